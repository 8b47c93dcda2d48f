//! The state that the driver and the app's halves share, under one lock.

use std::task::{Context, Poll};

use asgi::{DisconnectReason, HttpDisconnect, ReceiveEvent, SendError};
use asgi_rules::{AppEnd, Ending, Fault, WireEvent};
use http::{Method, StatusCode};

use super::app_status::AppStatus;
use super::push::Pushes;
use super::request_side::{BodyFailure, RequestSide};
use super::response_queue::{
    BrokenOff, Interim, ResponseEnd, ResponsePart, ResponseQueue, ResponseStart,
};
use super::rules::Rules;
use super::sent_response::SentResponse;
use super::wakers::{Wakers, store_waker, wake_other};

pub(super) struct ExchangeState {
    pub(super) rules: Rules,
    pub(super) request: RequestSide,
    pub(super) response: ResponseQueue,
    pub(super) app: AppStatus,
    pub(super) wakers: Wakers,
    pub(super) access: SentResponse,
    /// The pushes of this response, if the app may push.
    pub(super) pushes: Option<Pushes>,
    /// The client has closed its side, and the rules know.
    pub(super) client_closed: bool,
    /// The status that answers a fault of the client if the app sends no response.
    pub(super) client_fault: Option<StatusCode>,
}

impl ExchangeState {
    pub(super) fn new(rules: Rules, request: RequestSide) -> Self {
        Self {
            rules,
            request,
            response: ResponseQueue::default(),
            app: AppStatus::new(),
            wakers: Wakers::default(),
            access: SentResponse::default(),
            pushes: None,
            client_closed: false,
            client_fault: None,
        }
    }

    /// Takes the head of the response, with the whole body if that is complete.
    pub(super) fn take_start(
        &mut self,
        cx: &Context<'_>,
    ) -> Option<Result<ResponseStart, BrokenOff>> {
        // An app may send a hint or a push and fail at once: the 500 comes after it (HTTP-082).
        if self.response.interim.is_some() {
            return None;
        }
        if self.request.owes_continue()
            && self.response.head.is_some()
            && self.response.end.is_none()
        {
            self.request.hold_head_for_continue(cx);
            return None;
        }
        let Some(head) = self.response.head.take() else {
            return (self.response.end == Some(ResponseEnd::Broken)).then_some(Err(BrokenOff));
        };
        self.access.status = Some(head.status);
        let whole = self.response.take_whole(&head);
        self.access.sent += whole.as_ref().map_or(0, |whole| whole.len() as u64);
        Some(Ok(ResponseStart {
            head,
            opens: self.response.opens,
            whole,
            body_unread: self.request.has_unread(),
        }))
    }

    /// Takes an interim response. Only for drivers that send them.
    pub(super) fn take_interim(&mut self, cx: &Context<'_>) -> Option<Interim> {
        if self.request.take_continue() {
            return Some(Interim::Continue);
        }
        let interim = self.response.interim.take()?;
        self.make_room(cx);
        Some(*interim)
    }

    /// There is room again, so the app may be polled again.
    fn make_room(&mut self, cx: &Context<'_>) {
        self.app.runnable = true;
        wake_other(&mut self.wakers.ready, cx);
    }

    /// Takes the next part of the response after its head.
    pub(super) fn take_part(&mut self, cx: &Context<'_>) -> Option<ResponsePart> {
        if let Some(data) = self.response.data.take() {
            self.access.sent += data.len() as u64;
            self.app.taken.count();
            self.make_room(cx);
            return Some(ResponsePart::Data(data));
        }
        if let Some(trailers) = self.response.trailers.take() {
            return Some(ResponsePart::Trailers(*trailers));
        }
        match self.response.end? {
            ResponseEnd::Complete => Some(ResponsePart::End),
            ResponseEnd::Broken => Some(ResponsePart::Broken),
        }
    }

    /// The client has left, or the server has given it up.
    pub(super) fn disconnected(&mut self, reason: DisconnectReason) {
        // After an end of the app's, the connection's end says nothing about the client.
        if self.response.end.is_none() {
            self.access.note_disconnect(reason);
        }
        self.rules.disconnected(reason);
    }

    /// The app has ended: completes or breaks off its response. Returns the fault that the log reports.
    pub(super) fn ended(&mut self, end: AppEnd, method: &Method) -> Option<Fault> {
        let verdict = self.rules.ended(end);
        self.app.ended = true;
        self.request.app_ended();
        self.app.polling = false;
        let mut fault = verdict.fault;
        match (verdict.ending, self.client_fault) {
            // The client's fault takes precedence over the app's result. (HTTP-020)
            (Ending::Gone | Ending::ServerError, Some(status)) if self.access.status.is_none() => {
                self.response.whole(status, method);
                fault = fault.filter(|fault| *fault == Fault::Panicked);
            }
            (Ending::ServerError, _) if fault == Some(Fault::Unsupported) => {
                self.response.whole(self.rules.unsupported_status(), method);
            }
            (Ending::ServerError, _) => {
                if fault.is_none() {
                    self.access.note_unanswered();
                }
                self.response
                    .whole(StatusCode::INTERNAL_SERVER_ERROR, method);
            }
            (Ending::Complete, _) => {}
            // HTTP-079
            (Ending::WithoutTrailers, _) => self.response.end = Some(ResponseEnd::Complete),
            // `Abort` and `Gone`
            _ => self.response.end = Some(ResponseEnd::Broken),
        }
        self.wakers.wake_app();
        self.wake_driver();
        fault
    }

    /// Queues an event of the app for the driver.
    pub(super) fn queue(&mut self, event: WireEvent) {
        if !self.response.push(event) {
            return;
        }
        self.wake_driver();
        if self.rules.is_complete() {
            // A half that waits for the end of the exchange learns of it.
            self.wakers.wake_app();
        }
    }

    /// Wakes the driver, unless it is polling the app and looks afterwards.
    pub(super) fn wake_driver(&mut self) {
        if !self.app.polling {
            self.wakers.wake_driver();
        }
    }

    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        if let Rules::Session(_) = self.rules {
            return self.poll_receive_in_session(cx);
        }
        self.request.wants_body = false;
        if !self.rules.is_complete() {
            if self.app.received.must_yield(cx) {
                // A task of the app's own that receives has no turns.
                self.app.received.reset();
                return Poll::Pending;
            }
            match self.request.poll_part(cx) {
                Poll::Ready(Some(Ok(part))) => {
                    self.app.received.count();
                    return Poll::Ready(part.into());
                }
                Poll::Ready(Some(Err(BodyFailure { reason, status }))) => {
                    self.client_fault = status.or(self.client_fault);
                    self.disconnected(reason);
                }
                Poll::Ready(None) => {}
                // The app receives all that has come before it hears of the end. If the client has only
                // closed its side, the body still holds some of that, and reports the end itself.
                Poll::Pending => {
                    store_waker(&mut self.wakers.receive, cx);
                    if self.request.expects_continue() {
                        // A driver that sends the 100 must learn of this.
                        self.wake_driver();
                    }
                    match self.rules.report_disconnect() {
                        None | Some(DisconnectReason::Closed) => return Poll::Pending,
                        Some(_) => self.request.wants_body = false,
                    }
                }
            }
        }
        match self.rules.report_disconnect() {
            Some(reason) => Poll::Ready(HttpDisconnect::new(reason).into()),
            None => {
                store_waker(&mut self.wakers.receive, cx);
                Poll::Pending
            }
        }
    }

    fn poll_receive_in_session(&mut self, cx: &Context<'_>) -> Poll<ReceiveEvent> {
        let Rules::Session(session) = &mut self.rules else {
            return Poll::Pending;
        };
        let Some(received) = session.receive() else {
            store_waker(&mut self.wakers.receive, cx);
            return Poll::Pending;
        };
        if received.wakes_driver {
            self.wake_driver();
        }
        Poll::Ready(received.event)
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if let Err(error) = self.rules.report_ready() {
            return Poll::Ready(Err(error));
        }
        // An app that answers HEAD with an endless body would never wait for anything.
        if std::mem::take(&mut self.response.swallowed) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // A complete response has no room to wait for: the next event gets an error.
        let has_room = self.response.has_room() && self.rules.has_room();
        if has_room || self.rules.is_complete() {
            return Poll::Ready(Ok(()));
        }
        store_waker(&mut self.wakers.ready, cx);
        Poll::Pending
    }
}
