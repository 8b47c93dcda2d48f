//! What the app sends, and how the halves must answer.

use asgi::bytes::Bytes;
use asgi::{HttpResponseBody, HttpResponseStart, SendError, SendEvent};

use super::HttpRun;
use super::events::describe;
use crate::halves::failure::{RunResult, breach, not_woken, outcome, told};
use crate::halves::waits::PollOutcome;

impl HttpRun {
    pub(super) fn send(&mut self) -> RunResult {
        let event = self.random_event();
        let (fresh, together) = (self.fresh(), self.fresh());
        let Some(send) = &mut self.send else {
            return Ok(());
        };
        self.watch.did(told(&describe(&event), fresh));
        let judged = self.model.judge(&event);
        let mut waiting = Some(event.clone());
        let result = match self.sending.poll(fresh, |cx| match together {
            true => send.poll_send(cx, &mut waiting),
            false => send.poll_ready(cx),
        }) {
            PollOutcome::NotWoken(_) => return not_woken("CORE-009", "send"),
            PollOutcome::Pending => {
                self.watch.result("waits");
                if waiting.is_none() {
                    return breach("CORE-012", "an event is taken while `send` waits");
                }
                return self.may_wait_for_room();
            }
            PollOutcome::Ready(Ok(())) if !together => {
                self.may_have_room()?;
                let Some(send) = &mut self.send else {
                    return Ok(());
                };
                send.start_send(event.clone())
            }
            PollOutcome::Ready(result) => result,
        };
        self.watch.result(outcome(&result));
        if let Err(error) = &result {
            return self.check_error(error);
        }
        self.may_have_room()?;
        if let Some(effect) = judged.effect {
            self.model.apply(effect);
        }
        self.expected
            .taken(&event, self.is_head, self.model.is_complete());
        self.read_all = false;
        Ok(())
    }

    pub(super) fn respond_or_send(&mut self) -> RunResult {
        // HalvesSuite that take no complete responses return at once, and wake no task for that.
        if self.sending.is_waiting() {
            return self.send();
        }
        let start = HttpResponseStart::ok();
        let body = Bytes::from(self.next_text());
        let fresh = self.fresh();
        let Some(send) = &mut self.send else {
            return Ok(());
        };
        let mut response = Some((start.clone(), body.clone()));
        self.watch.did(told("respond", fresh));
        let result = match self
            .sending
            .poll(fresh, |cx| send.poll_respond(cx, &mut response))
        {
            PollOutcome::NotWoken(_) => return not_woken("CORE-009", "respond"),
            PollOutcome::Pending => {
                self.watch.result("waits");
                return self.may_wait_for_room();
            }
            PollOutcome::Ready(Ok(())) if response.is_some() => {
                self.watch.result("in two events");
                return self.send();
            }
            PollOutcome::Ready(result) => result,
        };
        self.watch.result(outcome(&result));
        if let Err(error) = &result {
            return self.check_error(error);
        }
        self.may_have_room()?;
        for event in [SendEvent::from(start), HttpResponseBody::last(body).into()] {
            if let Some(effect) = self.model.judge(&event).effect {
                self.model.apply(effect);
            }
            self.expected
                .taken(&event, self.is_head, self.model.is_complete());
        }
        self.read_all = false;
        Ok(())
    }

    fn may_wait_for_room(&self) -> RunResult {
        if self.ended {
            return breach("CORE-004", "`send` waits after the app has ended");
        }
        if self.gone.is_some() {
            return breach("CORE-016", "`send` waits for a client that is gone");
        }
        if self.read_all {
            return breach(
                "CORE-011",
                "`send` waits, and the client has read everything",
            );
        }
        Ok(())
    }

    /// The server says that there is room, or takes an event.
    fn may_have_room(&self) -> RunResult {
        if self.ended {
            return breach("CORE-004", "`send` does not fail after the app has ended");
        }
        match self.gone {
            Some(reason) => breach("CORE-015", format!("`send` does not fail after {reason:?}")),
            None => Ok(()),
        }
    }

    fn check_error(&self, error: &SendError) -> RunResult {
        if error.is_over() != self.ended {
            return breach("CORE-004", format!("`send` fails with: {error}"));
        }
        if !self.ended && error.disconnect_reason() != self.gone {
            let gone = self.gone;
            return breach(
                "CORE-015",
                format!("{error:?} if the client is gone with {gone:?}"),
            );
        }
        Ok(())
    }
}
