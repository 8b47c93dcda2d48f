//! The peer: sends frames, and sorts received frames into events.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::PREFACE;
use crate::frame::{Frame, STREAM, flag, kind};
use crate::hpack::Decoder;
use crate::log::Log;
use crate::request::{Request, headers};
use crate::response::Head;
use crate::socket::{Closed, Read, Socket};

/// How long one step may take. Only a failing script waits that long.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A received frame, as a script sees it.
///
/// CONTINUATION is joined to its HEADERS, and padding is removed. There is no event for SETTINGS,
/// WINDOW_UPDATE and pings that the peer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// HEADERS: a head, an interim head or trailers.
    Head(Head),
    /// PUSH_PROMISE: the promised stream, and the headers of its request in their order.
    Promise(u32, Vec<(String, String)>),
    /// DATA, and whether it had END_STREAM.
    Data(Vec<u8>, bool),
    /// RST_STREAM with this code.
    Reset(u32),
    /// GOAWAY with this last stream and this code.
    Goaway(u32, u32),
    /// A PING after [`Peer::ignore_pings`].
    Ping([u8; 8]),
    /// The ACK of a PING.
    Pong([u8; 8]),
    /// The ACK of SETTINGS.
    SettingsAck,
    /// Any other frame.
    Other(Frame),
}

/// One connection.
///
/// Received events wait in their order until the script asks for them. Each `expect_` method takes
/// the next event of one stream and fails if that is not the expected one. While the peer waits, it
/// answers PING (unless [`ignore_pings`](Self::ignore_pings) was called) and SETTINGS. It never sends
/// WINDOW_UPDATE by itself.
#[derive(Debug)]
pub struct Peer {
    socket: Socket,
    unread: Vec<u8>,
    pub(crate) closed: Option<Closed>,
    /// Events that the script has not taken, each with its stream.
    pub(crate) inbox: VecDeque<(u32, Event)>,
    /// A header block that needs CONTINUATION frames.
    block: Option<Frame>,
    decoder: Decoder,
    pub(crate) settings: HashMap<u16, u32>,
    pub(crate) credit: HashMap<u32, u64>,
    answers_pings: bool,
    pub(crate) pings: u64,
    log: Log,
}

impl Peer {
    /// Connects and sends nothing.
    pub fn silent(address: SocketAddr) -> Self {
        Self {
            socket: Socket::connect(address, LIMIT),
            unread: Vec::new(),
            closed: None,
            inbox: VecDeque::new(),
            block: None,
            decoder: Decoder::new(),
            settings: HashMap::new(),
            credit: HashMap::new(),
            answers_pings: true,
            pings: 0,
            log: Log::new(),
        }
    }

    /// Connects, and sends the preface and SETTINGS. Waits for the SETTINGS of the server and its ACK.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[])
    }

    /// [`connect`](Self::connect), with these settings of the client.
    #[track_caller]
    pub fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut peer = Self::silent(address);
        peer.write(PREFACE);
        peer.send(Frame::settings(settings));
        peer.expect_settings_ack();
        if peer.settings.is_empty() {
            peer.fail("the server acknowledged SETTINGS before it sent its own");
        }
        peer
    }

    /// Sends any bytes.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        self.log.add(format_args!("> {}", bytes.escape_ascii()));
        if let Err(error) = self.socket.write(bytes) {
            self.fail(format_args!("cannot write: {error}"));
        }
    }

    /// Sends a frame.
    #[track_caller]
    pub fn send(&mut self, frame: Frame) {
        self.send_all([frame]);
    }

    /// Sends frames, in one write.
    #[track_caller]
    pub fn send_all(&mut self, frames: impl IntoIterator<Item = Frame>) {
        if let Err(error) = self.try_send(frames) {
            self.fail(format_args!("cannot write: {error}"));
        }
    }

    fn try_send(&mut self, frames: impl IntoIterator<Item = Frame>) -> std::io::Result<()> {
        let mut wire = Vec::new();
        for frame in frames {
            self.log.add(format_args!("> {frame}"));
            frame.write_to(&mut wire);
        }
        self.socket.write(&wire)
    }

    /// Sends frames until the server sends GOAWAY or closes. Returns whether it did before the last
    /// frame.
    ///
    /// It reads while it writes, so that the two sides do not block each other.
    #[track_caller]
    pub fn flood(&mut self, frames: impl IntoIterator<Item = Frame>) -> bool {
        const BATCH: usize = 16 * 1024;
        let mut frames = frames.into_iter().peekable();
        let mut wire = Vec::new();
        let mut progress = Instant::now();
        while frames.peek().is_some() || !wire.is_empty() {
            while wire.len() < BATCH
                && let Some(frame) = frames.next()
            {
                self.log.add(format_args!("> {frame}"));
                frame.write_to(&mut wire);
            }
            match self.socket.write_some(&wire) {
                Ok(0) => std::thread::yield_now(),
                Ok(written) => {
                    wire.drain(..written);
                    progress = Instant::now();
                }
                // The server has closed. Its last frames may still be unread.
                Err(_) => {
                    while self.turn(Some(Instant::now() + LIMIT)) {}
                    return true;
                }
            }
            while self.turn(None) {}
            let goaway = |(_, event): &(u32, Event)| matches!(event, Event::Goaway(..));
            if self.closed.is_some() || self.inbox.iter().any(goaway) {
                return true;
            }
            if progress.elapsed() > LIMIT {
                self.fail("the server does not read the flood");
            }
        }
        false
    }

    /// Sends a whole request without a body.
    #[track_caller]
    pub fn request(&mut self, stream: u32, request: &Request) {
        self.send(headers(stream, request).end_stream());
    }

    /// Sends a GET.
    #[track_caller]
    pub fn get(&mut self, stream: u32, path: &str) {
        self.request(stream, &Request::get(path));
    }

    /// Sends the head of a POST. A body follows.
    #[track_caller]
    pub fn post(&mut self, stream: u32, path: &str) {
        self.send(headers(stream, &Request::post(path)));
    }

    /// Sends a part of a body. More parts follow.
    #[track_caller]
    pub fn data(&mut self, stream: u32, data: impl Into<Vec<u8>>) {
        self.send(Frame::data(stream, data));
    }

    /// Sends the last part of a body.
    #[track_caller]
    pub fn last(&mut self, stream: u32, data: impl Into<Vec<u8>>) {
        self.send(Frame::data(stream, data).end_stream());
    }

    /// Resets a stream.
    #[track_caller]
    pub fn reset(&mut self, stream: u32, code: u32) {
        self.send(Frame::reset(stream, code));
    }

    /// Sends WINDOW_UPDATE.
    #[track_caller]
    pub fn credit(&mut self, stream: u32, increment: u32) {
        self.send(Frame::window_update(stream, increment));
    }

    /// Stops answering pings. The script gets them as events.
    pub fn ignore_pings(&mut self) {
        self.answers_pings = false;
    }

    /// Closes the client's side. The server's side can still be read.
    pub fn shut(&self) {
        self.socket.shut();
    }

    /// The next event on a stream.
    #[track_caller]
    pub fn next(&mut self, stream: u32) -> Event {
        self.await_event(
            stream,
            |_| true,
            format_args!("an event on stream {stream}"),
        )
    }

    /// The next event on a stream, if it was received already.
    pub fn try_next(&mut self, stream: u32) -> Option<Event> {
        let at = self.inbox.iter().position(|(on, _)| *on == stream)?;
        self.inbox.remove(at).map(|(_, event)| event)
    }

    /// The next event on a stream, `None` if the connection ends first.
    #[track_caller]
    pub fn next_or_close(&mut self, stream: u32) -> Option<Event> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.inbox.iter().position(|(on, _)| *on == stream) {
                return self.inbox.remove(at).map(|(_, event)| event);
            }
            if !self.turn(Some(deadline)) {
                match self.closed {
                    Some(_) => return None,
                    None => self.fail(format_args!("waited {LIMIT:?} on stream {stream}")),
                }
            }
        }
    }

    /// The next event on any stream, with its stream. `None` if the connection ends first.
    #[track_caller]
    pub fn next_of_all(&mut self) -> Option<(u32, Event)> {
        let deadline = Instant::now() + LIMIT;
        while self.inbox.is_empty() {
            if !self.turn(Some(deadline)) {
                match self.closed {
                    Some(_) => return None,
                    None => self.fail(format_args!("waited {LIMIT:?} for any event")),
                }
            }
        }
        self.inbox.pop_front()
    }

    /// Reads all bytes until the close. For answers that are not HTTP/2.
    #[track_caller]
    pub fn expect_bytes_until_close(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.socket.read(&mut self.unread, Some(deadline)) {
                Read::Some => {}
                Read::Nothing => self.fail("waited for the close"),
                Read::Closed(_) => return std::mem::take(&mut self.unread),
            }
        }
    }

    /// Fails the script, and shows the sent and received frames.
    #[track_caller]
    pub fn fail(&self, why: impl fmt::Display) -> ! {
        panic!(
            "{why}\n--- frames (> sent, < received)\n{}--- closed: {:?}, events not taken: {:#?}",
            self.log, self.closed, self.inbox
        )
    }

    #[track_caller]
    pub(crate) fn await_event(
        &mut self,
        stream: u32,
        wanted: impl Fn(&Event) -> bool,
        what: impl fmt::Display,
    ) -> Event {
        let deadline = Instant::now() + LIMIT;
        loop {
            let found = |(on, event): &(u32, Event)| *on == stream && wanted(event);
            if let Some(at) = self.inbox.iter().position(found) {
                return self.inbox.remove(at).expect("it was found").1;
            }
            if !self.turn(Some(deadline)) {
                match self.closed {
                    Some(_) => self.fail(format_args!("expected {what}, got the close")),
                    None => self.fail(format_args!("waited {LIMIT:?} for {what}")),
                }
            }
        }
    }

    #[track_caller]
    pub(crate) fn wait_for_close(&mut self) -> Closed {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(closed) = self.closed {
                // The server waits for this.
                self.socket.shut();
                return closed;
            }
            if !self.turn(Some(deadline)) && self.closed.is_none() {
                self.fail(format_args!("waited {LIMIT:?} for the close"));
            }
        }
    }

    /// Reads once, and waits until `deadline` at most; `None` does not wait. Returns whether it read
    /// bytes.
    #[track_caller]
    pub(crate) fn turn(&mut self, deadline: Option<Instant>) -> bool {
        if self.closed.is_some() {
            return false;
        }
        match self.socket.read(&mut self.unread, deadline) {
            Read::Nothing => return false,
            Read::Closed(closed) => {
                self.log.add(format_args!("< {closed:?}"));
                self.closed = Some(closed);
                return false;
            }
            Read::Some => {}
        }
        while let Some(frame) = Frame::take_from(&mut self.unread) {
            self.log.add(format_args!("< {frame}"));
            self.take(frame);
        }
        true
    }

    #[track_caller]
    fn take(&mut self, frame: Frame) {
        if let Some(mut block) = self.block.take() {
            if frame.kind != kind::CONTINUATION || frame.stream != block.stream {
                self.fail(format_args!("{frame} in the middle of a header block"));
            }
            block.payload.extend(&frame.payload);
            block.flags |= frame.flags & flag::END_HEADERS;
            return self.take_head(block);
        }
        let stream = frame.stream;
        let event = match frame.kind {
            kind::HEADERS | kind::PUSH_PROMISE => {
                let mut block = frame.clone();
                block.payload = frame.unpadded().to_vec();
                return self.take_head(block);
            }
            kind::DATA => Event::Data(frame.unpadded().to_vec(), frame.has(flag::END_STREAM)),
            kind::RST_STREAM => Event::Reset(frame.number_at(0)),
            kind::GOAWAY => Event::Goaway(frame.number_at(0), frame.number_at(4)),
            kind::PING => {
                let payload = frame.payload[..].try_into().unwrap();
                if frame.has(flag::ACK) {
                    Event::Pong(payload)
                } else if self.answers_pings {
                    return self.answer(Frame::ping(payload).ack());
                } else {
                    Event::Ping(payload)
                }
            }
            kind::SETTINGS if frame.has(flag::ACK) => Event::SettingsAck,
            kind::SETTINGS => {
                for setting in frame.payload.chunks_exact(6) {
                    let name = u16::from_be_bytes(setting[..2].try_into().unwrap());
                    let value = u32::from_be_bytes(setting[2..].try_into().unwrap());
                    self.settings.insert(name, value);
                }
                return self.answer(Frame::settings(&[]).ack());
            }
            kind::WINDOW_UPDATE => {
                *self.credit.entry(stream).or_default() += u64::from(frame.number_at(0));
                return;
            }
            _ => Event::Other(frame),
        };
        self.inbox.push_back((stream, event));
    }

    #[track_caller]
    fn take_head(&mut self, block: Frame) {
        if !block.has(flag::END_HEADERS) {
            self.block = Some(block);
            return;
        }
        let promised = (block.kind == kind::PUSH_PROMISE).then(|| block.number_at(0) & STREAM);
        let start = if promised.is_some() { 4 } else { 0 };
        match self.decoder.decode(&block.payload[start..]) {
            Ok(headers) => {
                self.log.add(format_args!("      {headers:?}"));
                let event = match promised {
                    Some(promised) => Event::Promise(promised, headers),
                    None => Event::Head(Head::new(headers, block.has(flag::END_STREAM))),
                };
                self.inbox.push_back((block.stream, event));
            }
            Err(error) => self.fail(format_args!("{block} has an invalid header block: {error}")),
        }
    }

    /// Sends an answer. Ignores errors, as a server that has closed needs none.
    fn answer(&mut self, frame: Frame) {
        let _ = self.try_send([frame]);
    }
}
