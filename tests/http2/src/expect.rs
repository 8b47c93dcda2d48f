//! What a script waits for.

use std::time::Instant;

use crate::frame::{Frame, STREAM};
use crate::peer::{Event, LIMIT, Peer};
use crate::response::{Head, Response};
use crate::socket::Closed;

impl Peer {
    /// Waits until the server has seen all that was sent: it answers a ping behind it.
    #[track_caller]
    pub fn settle(&mut self) {
        self.pings += 1;
        let payload = self.pings.to_be_bytes();
        self.send(Frame::ping(payload));
        self.await_event(0, |event| *event == Event::Pong(payload), "a pong");
    }

    /// As [`settle`](Self::settle), with a server that may have had enough; whether it has not.
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
                Some(goodbye @ Event::Goaway(..)) => {
                    self.inbox.push_back((0, goodbye));
                    return false;
                }
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// The next head on a stream, whatever it is.
    #[track_caller]
    pub fn expect_head(&mut self, stream: u32) -> Head {
        match self.next(stream) {
            Event::Head(head) => head,
            other => self.fail(format_args!("expected a head on {stream}, got {other:?}")),
        }
    }

    /// A head with this status is next.
    #[track_caller]
    pub fn expect_status(&mut self, stream: u32, status: u16) -> Head {
        let head = self.expect_head(stream);
        if head.status != status {
            self.fail(format_args!("expected {status} on {stream}, got {head:#?}"));
        }
        head
    }

    /// A promise is next: the stream that it promises, and the fields of its request.
    #[track_caller]
    pub fn expect_promise(&mut self, stream: u32) -> (u32, Vec<(String, String)>) {
        match self.next(stream) {
            Event::Promise(promised, fields) => (promised, fields),
            other => self.fail(format_args!(
                "expected a promise on {stream}, got {other:?}"
            )),
        }
    }

    /// DATA is next; whether it was the last.
    #[track_caller]
    pub fn expect_data(&mut self, stream: u32) -> (Vec<u8>, bool) {
        match self.next(stream) {
            Event::Data(data, end) => (data, end),
            other => self.fail(format_args!("expected DATA on {stream}, got {other:?}")),
        }
    }

    /// This much of a body is next, in however many frames, and it is not over.
    #[track_caller]
    pub fn expect_bytes(&mut self, stream: u32, length: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < length {
            let (data, end) = self.expect_data(stream);
            body.extend(data);
            if end || body.len() > length {
                let came = body.len();
                self.fail(format_args!(
                    "expected {length} bytes and no end, got {came}, {end}"
                ));
            }
        }
        body
    }

    /// A whole response with this status is next, down to END_STREAM.
    #[track_caller]
    pub fn expect_response(&mut self, stream: u32, status: u16) -> Response {
        let head = self.expect_status(stream, status);
        let (response, end) = self.follow(stream, head);
        match end {
            None => response,
            Some(code) => self.fail(format_args!(
                "stream {stream} was reset with code {code} behind {response:?}"
            )),
        }
    }

    /// A response that is broken off with this code is next; what came of it.
    #[track_caller]
    pub fn expect_broken(&mut self, stream: u32, code: u32) -> Response {
        let head = self.expect_head(stream);
        let (response, end) = self.follow(stream, head);
        if end != Some(code) {
            self.fail(format_args!(
                "expected a reset with {code}, got {end:?} behind {response:?}"
            ));
        }
        response
    }

    /// A stream is broken off with this code, with or without a head before that.
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

    /// What follows a head, down to the end; the code if that is a reset.
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
                    response.trailers = Some(head.fields);
                    over = true;
                }
                Event::Reset(code) => return (response, Some(code)),
                other => self.fail(format_args!("got {other:?} behind {response:?}")),
            }
        }
        (response, None)
    }

    /// RST_STREAM with this code is next on a stream.
    #[track_caller]
    pub fn expect_reset(&mut self, stream: u32, code: u32) {
        match self.next(stream) {
            Event::Reset(got) if got == code => {}
            other => self.fail(format_args!(
                "expected a reset of {stream} with code {code}, got {other:?}"
            )),
        }
    }

    /// Nothing has come on a stream, though all that was sent so far was seen.
    #[track_caller]
    pub fn expect_nothing(&mut self, stream: u32) {
        self.settle();
        if let Some((_, event)) = self.inbox.iter().find(|(on, _)| *on == stream) {
            let event = event.clone();
            self.fail(format_args!("expected nothing on {stream}, got {event:?}"));
        }
    }

    /// A stream is refused with this code: by its reset, or by the end of the connection.
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

    /// A GOAWAY with this code is next among them; its last stream.
    #[track_caller]
    pub fn expect_goaway(&mut self, code: u32) -> u32 {
        let goodbye = |event: &Event| matches!(event, Event::Goaway(..));
        match self.await_event(0, goodbye, "a GOAWAY") {
            Event::Goaway(last, got) if got == code => last,
            other => self.fail(format_args!(
                "expected GOAWAY with code {code}, got {other:?}"
            )),
        }
    }

    /// The server ends the connection with this code, and closes it.
    #[track_caller]
    pub fn expect_connection_error(&mut self, code: u32) {
        self.expect_goaway(code);
        self.expect_closed();
    }

    /// Both GOAWAYs of a graceful end come (RFC 9113 §6.8); the last stream of the second.
    #[track_caller]
    pub fn expect_graceful_goaway(&mut self, code: u32) -> u32 {
        let first = self.expect_goaway(code);
        if first != STREAM {
            self.fail(format_args!("the first GOAWAY promises only {first}"));
        }
        self.expect_goaway(code)
    }

    /// The server closes in order. What came before is not looked at.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        if self.wait_for_close() != Closed::Eof {
            self.fail("the connection was reset");
        }
    }

    /// The server closes, in order or not.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        self.wait_for_close();
    }

    /// Another answer to our settings has come.
    #[track_caller]
    pub fn expect_settings_ack(&mut self) {
        let ack = |event: &Event| *event == Event::SettingsAck;
        self.await_event(0, ack, "the answer to our settings");
    }

    /// A ping that the peer does not answer comes.
    #[track_caller]
    pub fn expect_ping(&mut self) -> [u8; 8] {
        let ping = |event: &Event| matches!(event, Event::Ping(_));
        match self.await_event(0, ping, "a ping") {
            Event::Ping(payload) => payload,
            _ => unreachable!("only a ping was awaited"),
        }
    }

    /// Waits until the server has given this much credit on a stream since the beginning.
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

    /// How much the server lets us send on a stream beyond the first window, of what has come.
    pub fn credit_of(&self, stream: u32) -> u64 {
        self.credit.get(&stream).copied().unwrap_or(0)
    }

    /// A setting of the server's, if it sent one.
    pub fn setting(&self, name: u16) -> Option<u32> {
        self.settings.get(&name).copied()
    }
}
