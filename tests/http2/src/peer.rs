//! The peer: what a script says, and what it waits for.

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

/// How long one step may take. Only a failing script waits for so long.
pub const LIMIT: Duration = Duration::from_secs(10);

/// What came, as a script sees it. Continuations are joined and padding is gone; what only the peer
/// needs to know (settings, credit, pings that it answers) is not among it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A head, an interim one, or trailers.
    Head(Head),
    /// PUSH_PROMISE: the stream that is promised, and the fields of its request, in their order.
    Promise(u32, Vec<(String, String)>),
    /// A part of a body, and whether it was the last.
    Data(Vec<u8>, bool),
    /// RST_STREAM with this code.
    Reset(u32),
    /// GOAWAY with its last stream and its code.
    Goaway(u32, u32),
    /// A ping that the peer was told not to answer.
    Ping([u8; 8]),
    /// The answer to a ping.
    Pong([u8; 8]),
    /// The answer to our settings.
    SettingsAck,
    /// Anything else.
    Other(Frame),
}

/// One connection.
///
/// What comes waits in the order in which it came until the script asks for it; an `expect_` takes
/// the next thing on the stream that it names, whatever came on the others, and fails if that is
/// not what it expects. Pings and settings are answered while the peer waits, unless it is told
/// not to; credit is given only by the script.
#[derive(Debug)]
pub struct Peer {
    socket: Socket,
    unread: Vec<u8>,
    pub(crate) closed: Option<Closed>,
    /// What came and was not taken, each with its stream.
    pub(crate) inbox: VecDeque<(u32, Event)>,
    /// A field block whose continuations are still to come.
    block: Option<Frame>,
    decoder: Decoder,
    pub(crate) settings: HashMap<u16, u32>,
    pub(crate) credit: HashMap<u32, u64>,
    answers_pings: bool,
    pub(crate) pings: u64,
    log: Log,
}

impl Peer {
    /// A connection on which nothing was said.
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

    /// A connection on which both sides have settled.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[])
    }

    /// A connection on which both sides have settled, with these settings of the client's.
    #[track_caller]
    pub fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut peer = Self::silent(address);
        peer.write(PREFACE);
        peer.send(Frame::settings(settings));
        peer.expect_settings_ack();
        if peer.settings.is_empty() {
            peer.fail("no settings came before their answer to ours");
        }
        peer
    }

    /// Sends bytes that need be no frames.
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

    /// Sends frames until the server says goodbye or closes; whether it did before they were over.
    ///
    /// It reads as it writes, so that neither side waits for the other.
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
                // It has closed: what it said before may still be there.
                Err(_) => {
                    while self.turn(Some(Instant::now() + LIMIT)) {}
                    return true;
                }
            }
            while self.turn(None) {}
            let goodbye = |(_, event): &(u32, Event)| matches!(event, Event::Goaway(..));
            if self.closed.is_some() || self.inbox.iter().any(goodbye) {
                return true;
            }
            if progress.elapsed() > LIMIT {
                self.fail("the server reads no more of a flood");
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

    /// Sends the head of a POST whose body follows.
    #[track_caller]
    pub fn post(&mut self, stream: u32, path: &str) {
        self.send(headers(stream, &Request::post(path)));
    }

    /// Sends a part of a body that others follow.
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

    /// Lets the server send this much more.
    #[track_caller]
    pub fn credit(&mut self, stream: u32, increment: u32) {
        self.send(Frame::window_update(stream, increment));
    }

    /// Leaves pings unanswered from now on: they come to the script.
    pub fn ignore_pings(&mut self) {
        self.answers_pings = false;
    }

    /// Says that nothing more will come, and goes on reading.
    pub fn shut(&self) {
        self.socket.shut();
    }

    /// The next thing on a stream.
    #[track_caller]
    pub fn next(&mut self, stream: u32) -> Event {
        self.await_event(
            stream,
            |_| true,
            format_args!("something on stream {stream}"),
        )
    }

    /// The next thing on a stream, `None` if the connection ends first.
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

    /// The next thing on any stream and the stream's number, `None` if the connection ends first.
    #[track_caller]
    pub fn next_of_all(&mut self) -> Option<(u32, Event)> {
        let deadline = Instant::now() + LIMIT;
        while self.inbox.is_empty() {
            if !self.turn(Some(deadline)) {
                match self.closed {
                    Some(_) => return None,
                    None => self.fail(format_args!("waited {LIMIT:?} for anything")),
                }
            }
        }
        self.inbox.pop_front()
    }

    /// All that comes until the close: for what is no HTTP/2.
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

    /// Fails the script, with all that went over the wire.
    #[track_caller]
    pub fn fail(&self, why: impl fmt::Display) -> ! {
        panic!(
            "{why}\n--- the wire (> sent, < came)\n{}--- closed: {:?}, not taken: {:#?}",
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
                // As any client does that sees the end: the server waits for it.
                self.socket.shut();
                return closed;
            }
            if !self.turn(Some(deadline)) && self.closed.is_none() {
                self.fail(format_args!("waited {LIMIT:?} for the close"));
            }
        }
    }

    /// Reads once, until `deadline` or not waiting at all; whether something came.
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
                self.fail(format_args!("{frame} in the middle of a field block"));
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
            Ok(fields) => {
                self.log.add(format_args!("      {fields:?}"));
                let event = match promised {
                    Some(promised) => Event::Promise(promised, fields),
                    None => Event::Head(Head::new(fields, block.has(flag::END_STREAM))),
                };
                self.inbox.push_back((block.stream, event));
            }
            Err(error) => self.fail(format_args!("{block} is no field block: {error}")),
        }
    }

    /// A server that has closed needs no answer any more.
    fn answer(&mut self, frame: Frame) {
        let _ = self.try_send([frame]);
    }
}
