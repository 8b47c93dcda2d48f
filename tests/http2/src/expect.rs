//! The expectations of a script.

use std::time::Instant;

use crate::frame::{Frame, STREAM};
use crate::peer::{Event, LIMIT, Peer};
use crate::response::{Head, Response};
use crate::socket::Closed;

impl Peer {
    /// Waits until the server has read everything so far: sends a PING and waits for its answer.
    #[track_caller]
    pub fn settle(&mut self) {
        self.pings += 1;
        let payload = self.pings.to_be_bytes();
        self.send(Frame::ping(payload));
        self.await_event(0, |event| *event == Event::Pong(payload), "a pong");
    }

    /// [`settle`](Self::settle), but the server may end the connection instead. Returns whether it
    /// answered.
    #[track_caller]
    pub fn settle_or_close(&mut self) -> bool {
        self.pings += 1;
        let payload = self.pings.to_be_bytes();
        if self.flood([Frame::ping(payload)]) {
            return false;
        }
        loop {
            match self.next_or_close(0) {
                Some(Event::Pong(got)) if got == payload => return true,
                Some(goaway @ Event::Goaway(..)) => {
                    self.inbox.push_back((0, goaway));
                    return false;
                }
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// Expects a head next on a stream, with any status.
    #[track_caller]
    pub fn expect_head(&mut self, stream: u32) -> Head {
        match self.next(stream) {
            Event::Head(head) => head,
            other => self.fail(format_args!("expected a head on {stream}, got {other:?}")),
        }
    }

    /// Expects a head with this status next.
    #[track_caller]
    pub fn expect_status(&mut self, stream: u32, status: u16) -> Head {
        let head = self.expect_head(stream);
        if head.status != status {
            self.fail(format_args!("expected {status} on {stream}, got {head:#?}"));
        }
        head
    }

    /// Expects a PUSH_PROMISE next. Returns the promised stream and the headers of its request.
    #[track_caller]
    pub fn expect_promise(&mut self, stream: u32) -> (u32, Vec<(String, String)>) {
        match self.next(stream) {
            Event::Promise(promised, headers) => (promised, headers),
            other => self.fail(format_args!(
                "expected a promise on {stream}, got {other:?}"
            )),
        }
    }

    /// Expects DATA next. Returns the data and whether it had END_STREAM.
    #[track_caller]
    pub fn expect_data(&mut self, stream: u32) -> (Vec<u8>, bool) {
        match self.next(stream) {
            Event::Data(data, end) => (data, end),
            other => self.fail(format_args!("expected DATA on {stream}, got {other:?}")),
        }
    }

    /// Expects exactly `length` bytes of a body next, in any number of frames, without END_STREAM.
    #[track_caller]
    pub fn expect_bytes(&mut self, stream: u32, length: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < length {
            let (data, end) = self.expect_data(stream);
            body.extend(data);
            if end || body.len() > length {
                let got = body.len();
                self.fail(format_args!(
                    "expected {length} bytes without END_STREAM, got {got}, END_STREAM: {end}"
                ));
            }
        }
        body
    }

    /// Expects a whole response with this status next, up to END_STREAM.
    #[track_caller]
    pub fn expect_response(&mut self, stream: u32, status: u16) -> Response {
        let head = self.expect_status(stream, status);
        let (response, end) = self.follow(stream, head);
        match end {
            None => response,
            Some(code) => self.fail(format_args!(
                "stream {stream} was reset with code {code} after {response:?}"
            )),
        }
    }

    /// Expects a response that a reset with this code breaks off. Returns the received part.
    #[track_caller]
    pub fn expect_broken(&mut self, stream: u32, code: u32) -> Response {
        let head = self.expect_head(stream);
        let (response, end) = self.follow(stream, head);
        if end != Some(code) {
            self.fail(format_args!(
                "expected a reset with {code}, got {end:?} after {response:?}"
            ));
        }
        response
    }

    /// Expects a reset with this code, with or without a part of a response before it.
    #[track_caller]
    pub fn expect_broken_or_reset(&mut self, stream: u32, code: u32) {
        let end = match self.next(stream) {
            Event::Reset(got) => Some(got),
            Event::Head(head) => self.follow(stream, head).1,
            other => self.fail(format_args!("expected a broken response, got {other:?}")),
        };
        if end != Some(code) {
            self.fail(format_args!("expected a reset with {code}, got {end:?}"));
        }
    }

    /// Reads the rest of a response. Returns the code if a reset ends it.
    #[track_caller]
    fn follow(&mut self, stream: u32, head: Head) -> (Response, Option<u32>) {
        let mut over = head.end;
        let mut response = Response {
            head,
            body: Vec::new(),
            trailers: None,
        };
        while !over {
            match self.next(stream) {
                Event::Data(data, end) => {
                    response.body.extend(data);
                    over = end;
                }
                Event::Head(head) if head.end && head.status == 0 => {
                    response.trailers = Some(head.headers);
                    over = true;
                }
                Event::Reset(code) => return (response, Some(code)),
                other => self.fail(format_args!("got {other:?} after {response:?}")),
            }
        }
        (response, None)
    }

    /// Expects RST_STREAM with this code next on a stream.
    #[track_caller]
    pub fn expect_reset(&mut self, stream: u32, code: u32) {
        match self.next(stream) {
            Event::Reset(got) if got == code => {}
            other => self.fail(format_args!(
                "expected a reset of {stream} with code {code}, got {other:?}"
            )),
        }
    }

    /// Expects nothing on a stream, after the server has read everything so far.
    #[track_caller]
    pub fn expect_nothing(&mut self, stream: u32) {
        self.settle();
        if let Some((_, event)) = self.inbox.iter().find(|(on, _)| *on == stream) {
            let event = event.clone();
            self.fail(format_args!("expected nothing on {stream}, got {event:?}"));
        }
    }

    /// Expects that the server refuses a stream with this code: by RST_STREAM or by GOAWAY.
    #[track_caller]
    pub fn expect_refusal(&mut self, stream: u32, code: u32) {
        match self.next_or_close(stream) {
            Some(Event::Reset(got)) if got == code => {}
            None => {
                self.expect_goaway(code);
            }
            other => self.fail(format_args!("expected a refusal, got {other:?}")),
        }
    }

    /// Expects the next GOAWAY to have this code. Returns its last stream.
    #[track_caller]
    pub fn expect_goaway(&mut self, code: u32) -> u32 {
        let goaway = |event: &Event| matches!(event, Event::Goaway(..));
        match self.await_event(0, goaway, "a GOAWAY") {
            Event::Goaway(last, got) if got == code => last,
            other => self.fail(format_args!(
                "expected GOAWAY with code {code}, got {other:?}"
            )),
        }
    }

    /// Expects a GOAWAY with this code, and then the close.
    #[track_caller]
    pub fn expect_connection_error(&mut self, code: u32) {
        self.expect_goaway(code);
        self.expect_closed();
    }

    /// Expects both GOAWAY frames of a graceful end (RFC 9113 §6.8). Returns the last stream of the
    /// second.
    #[track_caller]
    pub fn expect_graceful_goaway(&mut self, code: u32) -> u32 {
        let first = self.expect_goaway(code);
        if first != STREAM {
            self.fail(format_args!("the first GOAWAY has the last stream {first}"));
        }
        self.expect_goaway(code)
    }

    /// Expects that the server closes without a reset. Ignores everything before.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        if self.wait_for_close() != Closed::Eof {
            self.fail("the connection was reset");
        }
    }

    /// Expects that the server closes, with or without a reset.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        self.wait_for_close();
    }

    /// Expects the ACK of SETTINGS.
    #[track_caller]
    pub fn expect_settings_ack(&mut self) {
        let ack = |event: &Event| *event == Event::SettingsAck;
        self.await_event(0, ack, "the ACK of SETTINGS");
    }

    /// Expects a PING that the peer does not answer by itself. Returns its payload.
    #[track_caller]
    pub fn expect_ping(&mut self) -> [u8; 8] {
        let ping = |event: &Event| matches!(event, Event::Ping(_));
        match self.await_event(0, ping, "a ping") {
            Event::Ping(payload) => payload,
            _ => unreachable!("the event is a ping"),
        }
    }

    /// Waits until the server has given this much credit on a stream, in total.
    #[track_caller]
    pub fn expect_credit(&mut self, stream: u32, at_least: u64) {
        let deadline = Instant::now() + LIMIT;
        while self.credit_of(stream) < at_least {
            if !self.turn(Some(deadline)) {
                let got = self.credit_of(stream);
                self.fail(format_args!(
                    "{got} of {at_least} bytes of credit on {stream}"
                ));
            }
        }
    }

    /// How much credit the server has given on a stream so far, without the initial window.
    pub fn credit_of(&self, stream: u32) -> u64 {
        self.credit.get(&stream).copied().unwrap_or(0)
    }

    /// A setting of the server, `None` if the server did not send it.
    pub fn setting(&self, name: u16) -> Option<u32> {
        self.settings.get(&name).copied()
    }
}
