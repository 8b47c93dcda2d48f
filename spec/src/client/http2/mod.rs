//! One connection for HTTP/2 (RFC 9113).
//!
//! It reads only when a case asks for something, so a case can also be a client that does not read.
//! What comes is sorted by stream. The connection answers SETTINGS and PING by itself.

mod frame;
mod hpack;
mod receive;
mod send;
mod stream;

use std::collections::BTreeMap;

use super::socket::{ConnectionEnding, Endpoint, RawConnection, WireProtocol};
use super::{Trace, within};
use crate::result::{Checked, fail};

pub(crate) use self::frame::{RawHttp2Frame, code, flag, kind, setting};
use self::hpack::BlockDecoder;
pub(crate) use self::hpack::{HeaderList, encode};
pub(crate) use self::stream::{StreamArrivals, StreamEnding, StreamStep};

/// What a client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest window.
const WIDE: u32 = (1 << 31) - 1;

/// The largest frame that the server may send, because the client sets no other limit.
const LARGEST_FRAME: usize = 16_384;

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
    /// How many answers to the client's PING have come.
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
        let connection = RawConnection::connect(endpoint, WireProtocol::Http2, name, trace).await?;
        let mut http2 = Self {
            connection,
            decoder: BlockDecoder::new(),
            next: 1,
            window: FIRST_WINDOW.into(),
            first_window: FIRST_WINDOW.into(),
            largest_frame: LARGEST_FRAME,
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
            kind::PING => self.answers += 1,
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
            let length = RawHttp2Frame::length(&head);
            if length > LARGEST_FRAME {
                return fail("a frame of at most 16384 bytes", length);
            }
            let whole = 9 + length;
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
}
