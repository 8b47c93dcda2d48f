//! A client that reads nothing: `send` must wait at some bound. (CORE-011, CORE-016)

use asgi::bytes::Bytes;
use asgi::{DisconnectReason, HttpResponseBody, HttpResponseStart, SendError, SendEvent};

use super::HttpRun;
use crate::halves::failure::{RunResult, breach, not_woken};
use crate::halves::waits::PollOutcome;

/// The length of a part.
const PART: usize = 64 << 10;

impl HttpRun {
    pub(super) fn run_without_a_reader(&mut self) -> RunResult {
        self.watch
            .did("the app sends parts of 64 KiB, and the client reads nothing");
        self.send_until_it_waits(Some(HttpResponseStart::ok().into()))?;
        self.watch.did("the client reads everything");
        while !self.client.take().is_empty() {}
        self.read_all = true;
        self.watch.did("the app sends until it waits again");
        self.send_until_it_waits(None)?;
        self.watch.did("the client leaves");
        self.client.leave(DisconnectReason::Lost);
        match self.send_a_part(None) {
            PollOutcome::Ready(Err(error)) if error.is_disconnected() => Ok(()),
            PollOutcome::NotWoken(_) => not_woken("CORE-016", "send"),
            PollOutcome::Pending => breach("CORE-016", "`send` waits for a client that is gone"),
            PollOutcome::Ready(_) => breach("CORE-015", "`send` does not fail as disconnected"),
        }
    }

    fn send_until_it_waits(&mut self, mut first: Option<SendEvent>) -> RunResult {
        /// More than any server keeps for one client.
        const MOST: usize = 64 << 20;
        let mut bytes = 0;
        loop {
            match self.send_a_part(first.take()) {
                PollOutcome::Pending if self.read_all => {
                    return breach(
                        "CORE-011",
                        "`send` waits, and the client has read everything",
                    );
                }
                PollOutcome::Pending => return Ok(()),
                PollOutcome::Ready(Ok(())) => {}
                PollOutcome::Ready(Err(error)) => return breach("HTTP-021", error.to_string()),
                PollOutcome::NotWoken(_) => return not_woken("CORE-009", "send"),
            }
            self.read_all = false;
            bytes += PART;
            if bytes > MOST {
                return breach(
                    "CORE-011",
                    format!("`send` takes {bytes} bytes and does not wait"),
                );
            }
        }
    }

    /// Sends an event, or a part of the body if there is none.
    fn send_a_part(&mut self, event: Option<SendEvent>) -> PollOutcome<Result<(), SendError>> {
        let part = || HttpResponseBody::more(Bytes::from(vec![b'a'; PART])).into();
        let mut event = Some(event.unwrap_or_else(part));
        match &mut self.send {
            Some(send) => self
                .sending
                .poll(false, |cx| send.poll_send(cx, &mut event)),
            None => PollOutcome::Pending,
        }
    }
}
