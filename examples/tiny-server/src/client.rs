//! One client and its request: what it sends and what it does goes to its exchange.

use std::io::{self, Read};
use std::net::TcpStream;
use std::task::{Context, Poll};

use asgi::{DisconnectReason, HttpRequest};
use asgi_rules::exchange::HttpExchange;
use rustix::event::PollFlags;

use crate::run::Alarm;
use crate::{PATIENCE, http10};

/// A client, as its exchange sees it.
pub(crate) struct Client<'a> {
    pub(crate) stream: &'a TcpStream,
    pub(crate) exchange: HttpExchange,
    /// How much of the request body is still to be read.
    pub(crate) unread: u64,
    /// The client has not left, as far as the server knows.
    pub(crate) watched: bool,
}

impl Client<'_> {
    pub(crate) fn push(&mut self, part: Vec<u8>) {
        self.unread -= part.len() as u64;
        self.exchange
            .push_body(HttpRequest::new(part, self.unread > 0));
    }

    pub(crate) fn write(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(event) = self.exchange.poll_output(cx) {
            if let Err(error) = http10::write(self.stream, event) {
                self.leave(http10::reason(&error));
            }
        }
    }

    fn leave(&mut self, reason: DisconnectReason) {
        self.watched = false;
        self.exchange.disconnected(reason);
    }

    /// Waits until the app is woken, the client sends what the app wants, or the client leaves.
    pub(crate) fn wait(&mut self, alarm: &Alarm, cx: &mut Context<'_>) -> io::Result<()> {
        let wants_body = self.exchange.poll_wants_body(cx).is_ready();
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, wants_body);
        events.set(PollFlags::RDHUP, self.watched);
        let socket = (!events.is_empty()).then_some((self.stream, events));
        match alarm.wait(socket, wants_body.then_some(PATIENCE))? {
            None => self.leave(DisconnectReason::TimedOut), // HTTP-075
            Some(ready) if wants_body && ready.intersects(PollFlags::IN) => {
                let mut part = vec![0; self.unread.min(16 * 1024) as usize];
                match self.stream.read(&mut part) {
                    Ok(0) => self.leave(DisconnectReason::ProtocolError), // HTTP-020
                    Ok(length) => self.push(part[..length].to_vec()),
                    Err(error) => self.leave(http10::reason(&error)),
                }
            }
            Some(ready) if ready.intersects(PollFlags::ERR) => self.leave(DisconnectReason::Lost),
            Some(ready) if ready.intersects(PollFlags::RDHUP) => {
                self.watched = false;
                self.exchange.half_closed(); // HTTP-041
            }
            Some(_) => {}
        }
        Ok(())
    }
}
