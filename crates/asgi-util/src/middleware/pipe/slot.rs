//! The place through which each event of an inner app passes.

use asgi::{SendError, SendEvent};

/// The event on its way from the inner app to the loop, and the answer on its way back.
#[derive(Default)]
pub(super) struct PipeSlot {
    /// The loop waits for an event.
    pub(super) wanted: bool,
    /// `poll_ready` of the inner app has promised room for one event.
    pub(super) room_promised: bool,
    pub(super) event: Option<SendEvent>,
    /// The number of the last event. A reply to an older one answers nothing.
    pub(super) number: u64,
    /// The last event has no answer yet.
    pub(super) unanswered: bool,
    pub(super) answer: Option<PipeAnswer>,
    /// The error of an event whose `send` did not wait for the answer.
    pub(super) late_error: Option<SendError>,
    pub(super) sender_dropped: bool,
    pub(super) failure: Option<PipeFailure>,
    /// The loop has woken the inner app's sender since `drive` has polled the app.
    pub(super) sender_woken: bool,
}

/// The answer of the loop to one event.
pub(super) enum PipeAnswer {
    Given(Result<(), SendError>),
    /// The loop has dropped its reply.
    Dropped,
}

impl PipeAnswer {
    pub(super) fn into_error(self) -> Option<SendError> {
        match self {
            Self::Given(result) => result.err(),
            Self::Dropped => None,
        }
    }
}

/// Why the inner app can send nothing more.
pub(super) enum PipeFailure {
    /// The inner app has ended.
    AppEnded,
    /// The loop has returned `Ok`.
    PumpEnded,
    /// The loop has failed, with this error for the inner app.
    PumpFailed(SendError),
}

impl PipeFailure {
    pub(super) fn error(&self) -> SendError {
        match self {
            Self::AppEnded | Self::PumpEnded => SendError::over(),
            Self::PumpFailed(error) => error.clone(),
        }
    }
}

impl PipeSlot {
    pub(super) fn take_late_error(&mut self) -> Option<SendError> {
        let error = self.answer.take().and_then(PipeAnswer::into_error);
        self.late_error.take().or(error)
    }

    pub(super) fn app_has_ended(&self) -> bool {
        matches!(self.failure, Some(PipeFailure::AppEnded))
    }

    pub(super) fn offer(&mut self, event: SendEvent) {
        self.room_promised = false;
        self.event = Some(event);
        self.number += 1;
        self.unanswered = true;
    }

    /// Returns the answer to the last event, or the reason why there will be none.
    pub(super) fn take_answer(&mut self) -> Option<Result<(), SendError>> {
        match (self.answer.take(), &self.failure) {
            (Some(PipeAnswer::Given(result)), _) => Some(result),
            // The loop failed while it handled the event.
            (Some(PipeAnswer::Dropped), Some(PipeFailure::PumpFailed(error))) => {
                Some(Err(error.clone()))
            }
            (Some(PipeAnswer::Dropped), _) => Some(Ok(())),
            (None, _) if !self.unanswered => Some(Ok(())),
            (None, Some(failure)) if self.event.is_some() => {
                let error = failure.error();
                self.event = None;
                self.unanswered = false;
                Some(Err(error))
            }
            (None, _) => None,
        }
    }
}
