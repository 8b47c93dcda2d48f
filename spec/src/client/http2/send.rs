//! What a client sends.

use super::super::request::CaseRequest;
use super::super::socket::STALL;
use super::{Http2, RawHttp2Frame, StreamArrivals, encode, flag, kind, pairs};
use crate::result::{Checked, fail};

impl Http2 {
    /// Sends a frame as it is.
    pub(crate) async fn frame(&mut self, frame: &RawHttp2Frame) -> Checked {
        self.connection.note(format!("→ {frame}"));
        self.connection.send(&frame.to_wire()).await
    }

    /// Sends SETTINGS, PING or another frame, and waits until the server has read it.
    pub(crate) async fn frame_is_read(&mut self, frame: &RawHttp2Frame) -> Checked {
        self.frame(frame).await?;
        let ping = RawHttp2Frame::new(kind::PING, 0, 0, *b"spec2026");
        // An answer to SETTINGS may be that to the first SETTINGS of the connection, so only PING counts.
        let others = usize::from(frame.kind == kind::PING);
        let wanted = self.answers + others + 1;
        self.frame(&ping).await?;
        while self.answers < wanted {
            self.read_or_fail("an answer to PING").await?;
        }
        Ok(())
    }

    /// Sends a GET for a run of the probe, and returns its stream.
    pub(crate) async fn get(&mut self, request: &CaseRequest) -> Checked<u32> {
        let headers = request.http2(self.scheme);
        self.begin(&pairs(&headers), true).await
    }

    /// Begins a stream with these headers, as they are.
    pub(crate) async fn begin(&mut self, headers: &[(&str, &str)], end: bool) -> Checked<u32> {
        let stream = self.next;
        self.next += 2;
        self.streams
            .insert(stream, StreamArrivals::new(self.first_window));
        self.headers(stream, headers, end).await?;
        Ok(stream)
    }

    /// Sends a block of headers, in as many frames as it needs.
    pub(crate) async fn headers(
        &mut self,
        stream: u32,
        headers: &[(&str, &str)],
        end: bool,
    ) -> Checked {
        let shown = format!("{headers:?}");
        let shown: String = shown.chars().take(600).collect();
        self.connection.note(format!("→ {stream} {shown}"));
        let block = encode(headers);
        let mut parts = block.chunks(self.largest_frame).peekable();
        let mut kind = kind::HEADERS;
        let mut flags = if end { flag::END_STREAM } else { 0 };
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                flags |= flag::END_HEADERS;
            }
            self.frame(&RawHttp2Frame::new(kind, flags, stream, part))
                .await?;
            (kind, flags) = (kind::CONTINUATION, 0);
        }
        Ok(())
    }

    /// Resets a stream.
    pub(crate) async fn reset_stream(&mut self, stream: u32, code: u32) -> Checked {
        self.frame(&RawHttp2Frame::reset(stream, code)).await
    }

    /// Sends a part of a body, as far as the server's windows allow. It stops early if the server has
    /// ended the stream.
    pub(crate) async fn data(&mut self, stream: u32, mut data: &[u8], end: bool) -> Checked {
        loop {
            let room = self.room(stream);
            if room == 0 && !data.is_empty() {
                if self.is_over(stream) {
                    return Ok(());
                }
                self.read_or_fail("room in the server's window").await?;
                continue;
            }
            let (now, later) = data.split_at(data.len().min(room));
            self.data_now(stream, now, end && later.is_empty()).await?;
            data = later;
            if data.is_empty() {
                return Ok(());
            }
        }
    }

    /// Sends one DATA frame, whatever the windows say.
    pub(crate) async fn data_now(&mut self, stream: u32, data: &[u8], end: bool) -> Checked {
        let flags = if end { flag::END_STREAM } else { 0 };
        self.window -= data.len() as i64;
        self.stream(stream).window -= data.len() as i64;
        self.frame(&RawHttp2Frame::new(kind::DATA, flags, stream, data))
            .await
    }

    /// Sends as much as the server takes until its windows are full and stay so, and returns how much
    /// that was.
    pub(crate) async fn data_until_it_waits(
        &mut self,
        stream: u32,
        pattern: &[u8],
        limit: usize,
    ) -> Checked<usize> {
        let mut sent = 0;
        while sent < limit {
            let room = self.room(stream);
            if room == 0 {
                match tokio::time::timeout(STALL, self.read()).await {
                    Err(_) => break,
                    Ok(read) => read?,
                }
                if self.is_over(stream) {
                    return fail("the server to read or to wait", self.how_it_ended(stream));
                }
                continue;
            }
            let rest = &pattern[sent % pattern.len()..];
            let now = &rest[..rest.len().min(room)];
            self.data_now(stream, now, false).await?;
            sent += now.len();
        }
        Ok(sent)
    }

    /// How many bytes the next DATA frame may have.
    pub(super) fn room(&mut self, stream: u32) -> usize {
        let window = self.window.min(self.stream(stream).window);
        usize::try_from(window).unwrap_or(0).min(self.largest_frame)
    }
}
