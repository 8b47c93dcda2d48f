//! One connection for HTTP/2 (RFC 9113).
//!
//! It reads only when a case asks for something, so a case can also be a client that does not read.
//! What comes is sorted by stream. The connection answers SETTINGS and PING by itself.

mod frame;
mod hpack;
mod stream;

use std::collections::BTreeMap;

use super::parse::{BodyEnd, Head, Received};
use super::request::CaseRequest;
use super::socket::{ConnectionEnding, Endpoint, Protocol, RawConnection, STALL};
use super::{Trace, within};
use crate::result::{Checked, Stop, ensure, fail};

pub(crate) use self::frame::{RawHttp2Frame, code, flag, kind, setting};
use self::hpack::BlockDecoder;
pub(crate) use self::hpack::{HeaderList, encode};
pub(crate) use self::stream::{StreamArrivals, StreamEnding, StreamStep};

/// What a client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest window.
const WIDE: u32 = (1 << 31) - 1;

/// The window of a connection at its beginning, which no setting changes.
const FIRST_WINDOW: u32 = 65_535;

/// The settings of a usual client: it takes no pushes, and its windows are never the limit.
pub(crate) const NO_PUSH: &[(u16, u32)] = &[
    (setting::ENABLE_PUSH, 0),
    (setting::INITIAL_WINDOW_SIZE, WIDE),
];

/// The same for a client that takes pushes.
pub(crate) const TAKES_PUSH: &[(u16, u32)] = &[
    (setting::ENABLE_PUSH, 1),
    (setting::INITIAL_WINDOW_SIZE, WIDE),
];

/// Headers as they are sent.
pub(crate) fn pairs(headers: &HeaderList) -> Vec<(&str, &str)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// A raw connection.
pub(crate) struct Http2 {
    pub(crate) connection: RawConnection,
    decoder: BlockDecoder,
    next: u32,
    /// What the server allows on the whole connection, and on a new stream.
    window: i64,
    first_window: i64,
    largest_frame: usize,
    streams: BTreeMap<u32, StreamArrivals>,
    connects: bool,
    largest_head: Option<usize>,
    settings: bool,
    /// How many answers to the client's PING and SETTINGS have come.
    answers: usize,
    goaway: Option<u32>,
    ending: Option<ConnectionEnding>,
    scheme: &'static str,
}

impl Http2 {
    /// Opens a connection, sends these settings and waits for those of the server.
    pub(crate) async fn connect(
        endpoint: &Endpoint,
        settings: &[(u16, u32)],
        name: String,
        trace: Trace,
    ) -> Checked<Self> {
        let connection = RawConnection::connect(endpoint, Protocol::Http2, name, trace).await?;
        let mut http2 = Self {
            connection,
            decoder: BlockDecoder::new(),
            next: 1,
            window: FIRST_WINDOW.into(),
            first_window: FIRST_WINDOW.into(),
            largest_frame: 16_384,
            streams: BTreeMap::new(),
            connects: false,
            largest_head: None,
            settings: false,
            answers: 0,
            goaway: None,
            ending: None,
            scheme: if endpoint.tls.is_some() {
                "https"
            } else {
                "http"
            },
        };
        http2.connection.send(PREFACE).await?;
        http2.frame(&RawHttp2Frame::settings(settings)).await?;
        http2
            .frame(&RawHttp2Frame::window_update(0, WIDE - FIRST_WINDOW))
            .await?;
        while !http2.settings {
            http2.read_or_fail("the SETTINGS of the server").await?;
        }
        Ok(http2)
    }

    /// Whether the server takes WebSockets over HTTP/2.
    pub(crate) fn connects(&self) -> bool {
        self.connects
    }

    /// The largest head that the server announces to take.
    pub(crate) fn largest_head(&self) -> Option<usize> {
        self.largest_head
    }

    pub(crate) fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Sends a frame as it is.
    pub(crate) async fn frame(&mut self, frame: &RawHttp2Frame) -> Checked {
        self.connection.note(format!("→ {frame}"));
        self.connection.send(&frame.to_wire()).await
    }

    /// Sends SETTINGS, PING or another frame, and waits until the server has read it.
    pub(crate) async fn frame_is_read(&mut self, frame: &RawHttp2Frame) -> Checked {
        self.frame(frame).await?;
        let ping = RawHttp2Frame::new(kind::PING, 0, 0, *b"spec2026");
        let others = match frame.kind {
            kind::SETTINGS | kind::PING => 1,
            _ => 0,
        };
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

    /// Reads the whole response on a stream.
    pub(crate) async fn response(&mut self, stream: u32) -> Checked<Received> {
        let mut interim = Vec::new();
        loop {
            let head = self.head(stream).await?;
            if !head.is_interim() {
                return self.body_of(stream, interim, head, "GET").await;
            }
            interim.push(head);
        }
    }

    /// Resets a stream.
    pub(crate) async fn reset_stream(&mut self, stream: u32, code: u32) -> Checked {
        self.frame(&RawHttp2Frame::reset(stream, code)).await
    }

    /// Waits for the end of a stream.
    pub(crate) async fn ending(&mut self, stream: u32) -> Checked<StreamEnding> {
        self.until(stream, "the end of the stream", |arrived| arrived.ending)
            .await
    }

    /// Waits for a final head or the end of the stream or the connection. Returns the status, or `None`
    /// if there was no head.
    pub(crate) async fn status_or_end(&mut self, stream: u32) -> Checked<Option<u16>> {
        loop {
            let arrived = self.stream(stream);
            let head = arrived.heads.iter().find(|head| !head.is_interim());
            if let Some(head) = head {
                return Ok(Some(head.status));
            }
            if self.is_over(stream) {
                return Ok(None);
            }
            within("a status or the end of the stream", self.read()).await?;
        }
    }

    /// Waits for a promise on a stream, and returns the promised stream and its request.
    pub(crate) async fn promise(&mut self, stream: u32) -> Checked<(u32, HeaderList)> {
        let promise = self
            .until(stream, "a promise", |arrived| {
                match arrived.promises.pop_front() {
                    Some(promise) => Some(Ok(promise)),
                    None => arrived.ending.map(Err),
                }
            })
            .await?;
        match promise {
            Ok(promise) => Ok(promise),
            Err(ending) => fail("a promise", format!("{ending:?}")),
        }
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
    fn room(&mut self, stream: u32) -> usize {
        let window = self.window.min(self.stream(stream).window);
        usize::try_from(window).unwrap_or(0).min(self.largest_frame)
    }

    fn is_over(&mut self, stream: u32) -> bool {
        self.ending.is_some() || self.stream(stream).ending.is_some()
    }

    /// What has come on a stream.
    pub(crate) fn stream(&mut self, stream: u32) -> &mut StreamArrivals {
        let window = self.first_window;
        self.streams
            .entry(stream)
            .or_insert_with(|| StreamArrivals::new(window))
    }

    /// Reads until something is there.
    pub(crate) async fn until<T>(
        &mut self,
        stream: u32,
        what: &str,
        mut ready: impl FnMut(&mut StreamArrivals) -> Option<T>,
    ) -> Checked<T> {
        loop {
            if let Some(value) = ready(self.stream(stream)) {
                return Ok(value);
            }
            if self.ending.is_some() {
                return fail(what, self.how_it_ended(stream));
            }
            within(what, self.read()).await?;
        }
    }

    async fn read_or_fail(&mut self, what: &str) -> Checked {
        within(what, self.read()).await?;
        match self.ending {
            None => Ok(()),
            Some(_) => fail(what, self.how_it_ended(0)),
        }
    }

    fn how_it_ended(&mut self, stream: u32) -> String {
        let ending = self.stream(stream).ending;
        format!(
            "the end of the stream ({ending:?}) or of the connection ({:?}, GOAWAY {:?})",
            self.ending, self.goaway
        )
    }

    /// Reads the next head of a stream, also that of an interim response.
    pub(crate) async fn head(&mut self, stream: u32) -> Checked<Head> {
        const WHAT: &str = "the head of a response";
        let head = self
            .until(stream, WHAT, |arrived| match arrived.heads.pop_front() {
                Some(head) => Some(Ok(head)),
                None => arrived.ending.map(Err),
            })
            .await?;
        match head {
            Ok(head) => Ok(head),
            Err(ending) => fail(WHAT, format!("{ending:?}")),
        }
    }

    /// Reads the body of a response whose head has come.
    pub(crate) async fn body_of(
        &mut self,
        stream: u32,
        interim: Vec<Head>,
        head: Head,
        method: &str,
    ) -> Checked<Received> {
        let ending = loop {
            if let Some(ending) = self.stream(stream).ending {
                break match ending {
                    StreamEnding::EndStream => None,
                    StreamEnding::Reset(code) => Some(BodyEnd::StreamReset(code)),
                };
            }
            match self.ending {
                None => within("the rest of a body", self.read()).await?,
                Some(ConnectionEnding::Closed) => break Some(BodyEnd::Cut),
                Some(ConnectionEnding::Reset) => break Some(BodyEnd::Reset),
            }
        };
        let arrived = self.stream(stream);
        let body = arrived.data.split().to_vec();
        let trailers = std::mem::take(&mut arrived.trailers);
        let length = head.header("content-length").map(str::to_owned);
        let without = method == "HEAD" || matches!(head.status, 204 | 304);
        let end = match (ending, length) {
            (Some(cut), _) => cut,
            (None, _) if without => BodyEnd::None,
            (None, None) => BodyEnd::Marked,
            (None, Some(length)) => {
                let right = length == body.len().to_string();
                ensure(
                    right,
                    "a body with its content-length",
                    (length, body.len()),
                )?;
                BodyEnd::Length
            }
        };
        Ok(Received {
            interim,
            head,
            body,
            trailers,
            end,
        })
    }

    /// Reads whatever comes within a short time.
    pub(crate) async fn settle(&mut self) -> Checked {
        while self.ending.is_none() {
            match tokio::time::timeout(STALL, self.read()).await {
                Err(_) => break,
                Ok(read) => read?,
            }
        }
        Ok(())
    }

    /// Reads one frame, or the end of the connection.
    async fn read(&mut self) -> Checked {
        let Some(frame) = self.next_frame().await? else {
            return Ok(());
        };
        self.connection.note(format!("← {frame}"));
        match frame.kind {
            kind::HEADERS | kind::PUSH_PROMISE => return self.block(frame).await,
            kind::DATA => {
                let end = frame.has(flag::END_STREAM);
                self.stream(frame.stream).on_data(frame.content(), end);
            }
            kind::RST_STREAM => {
                let code = frame.number_at(0);
                self.stream(frame.stream).on_reset(code);
            }
            kind::GOAWAY => self.goaway = Some(frame.number_at(4)),
            kind::WINDOW_UPDATE if frame.stream == 0 => {
                self.window += i64::from(frame.number_at(0));
            }
            kind::WINDOW_UPDATE => {
                self.stream(frame.stream).window += i64::from(frame.number_at(0));
            }
            kind::SETTINGS if !frame.has(flag::ACK) => {
                self.on_settings(&frame.payload);
                self.frame(&RawHttp2Frame::new(kind::SETTINGS, flag::ACK, 0, []))
                    .await?;
            }
            kind::PING if !frame.has(flag::ACK) => {
                self.frame(&RawHttp2Frame::new(kind::PING, flag::ACK, 0, frame.payload))
                    .await?;
            }
            kind::SETTINGS | kind::PING => self.answers += 1,
            _ => {}
        }
        Ok(())
    }

    /// Takes a frame from the wire. Nothing is lost if the wait is dropped.
    async fn next_frame(&mut self) -> Checked<Option<RawHttp2Frame>> {
        let mut wanted = 9;
        loop {
            self.ending = self.connection.read_until(wanted).await?;
            if self.ending.is_some() {
                return Ok(None);
            }
            let mut head = [0; 9];
            head.copy_from_slice(&self.connection.buffer[..9]);
            let whole = 9 + RawHttp2Frame::length(&head);
            if self.connection.buffer.len() >= whole {
                self.connection.skip(9);
                let payload = self.connection.take(whole - 9);
                return Ok(Some(RawHttp2Frame::from_wire(&head, payload)));
            }
            wanted = whole;
        }
    }

    /// Reads the rest of a block of headers, and decodes it.
    async fn block(&mut self, first: RawHttp2Frame) -> Checked {
        let content = match first.kind {
            kind::PUSH_PROMISE => first.payload.get(4..).unwrap_or_default(),
            _ => first.content(),
        };
        let mut block = content.to_vec();
        let mut last = first.has(flag::END_HEADERS);
        while !last {
            match within("CONTINUATION", self.next_frame()).await? {
                Some(next) if next.kind == kind::CONTINUATION => {
                    last = next.has(flag::END_HEADERS);
                    block.extend(next.payload);
                }
                other => return fail("CONTINUATION", format!("{other:?}")),
            }
        }
        let headers = match self.decoder.decode(&block) {
            Ok(headers) => headers,
            Err(wrong) => return fail("a block of headers", wrong),
        };
        self.connection
            .note(format!("← {} {headers:?}", first.stream));
        if first.kind == kind::PUSH_PROMISE {
            let promised = first.promised();
            self.stream(first.stream).on_promise(promised, headers);
            return Ok(());
        }
        let end = first.has(flag::END_STREAM);
        match self.stream(first.stream).on_headers(headers, end) {
            Ok(()) => Ok(()),
            Err(wrong) => fail("a head of HTTP/2", wrong),
        }
    }

    fn on_settings(&mut self, payload: &[u8]) {
        self.settings = true;
        for one in payload.chunks_exact(6) {
            let name = u16::from_be_bytes([one[0], one[1]]);
            let value = u32::from_be_bytes([one[2], one[3], one[4], one[5]]);
            match name {
                setting::INITIAL_WINDOW_SIZE => {
                    let change = i64::from(value) - self.first_window;
                    self.first_window += change;
                    for stream in self.streams.values_mut() {
                        stream.window += change;
                    }
                }
                setting::MAX_FRAME_SIZE => self.largest_frame = value as usize,
                setting::MAX_HEADER_LIST_SIZE => self.largest_head = Some(value as usize),
                setting::ENABLE_CONNECT_PROTOCOL => self.connects = value == 1,
                _ => {}
            }
        }
    }

    /// Waits for this many bytes of DATA, and takes them.
    pub(crate) async fn exactly(
        &mut self,
        stream: u32,
        count: usize,
        what: &str,
    ) -> Checked<Vec<u8>> {
        self.until_data(stream, what, |data| (data.len() >= count).then_some(count))
            .await
    }

    /// Takes DATA up to the end of `pattern`.
    pub(crate) async fn expect_bytes(&mut self, stream: u32, pattern: &[u8]) -> Checked {
        let what = format!("the bytes {:?}", pattern.escape_ascii().to_string());
        self.until_data(stream, &what, |data| {
            let mut windows = data.windows(pattern.len());
            Some(windows.position(|window| window == pattern)? + pattern.len())
        })
        .await
        .map(drop)
    }

    /// Waits until `enough` says how many bytes of DATA are wanted, and takes them.
    async fn until_data(
        &mut self,
        stream: u32,
        what: &str,
        enough: impl Fn(&[u8]) -> Option<usize>,
    ) -> Checked<Vec<u8>> {
        let taken: Result<Vec<u8>, Stop> = self
            .until(stream, what, |arrived| match enough(&arrived.data) {
                Some(count) => Some(Ok(arrived.data.split_to(count).to_vec())),
                None => arrived.ending.map(|ending| {
                    let came = arrived.data.escape_ascii().to_string();
                    fail(what, format!("{ending:?} after {came:?}"))
                }),
            })
            .await?;
        taken
    }
}
