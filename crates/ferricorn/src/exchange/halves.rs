//! The app's two halves of an exchange, and what the request's body is to the one that receives.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use asgi::{
    DisconnectReason, HttpRequest, ReceiveEvent, ReceiveHalf, SendError, SendEvent, SendHalf,
};
use asgi_exchange::WireEvent;
use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;

use super::Exchange;
use super::state::store;

/// The app's way to receive.
pub(super) struct Receive(pub(super) Arc<Exchange>);

impl ReceiveHalf for Receive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        self.0.lock().poll_receive(cx)
    }
}

/// The app's way to send.
pub(super) struct Send(pub(super) Arc<Exchange>);

impl SendHalf for Send {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.lock().poll_ready(cx)
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        let mut state = self.0.lock();
        let event = state.rules.send(event)?;
        state.swallowed = matches!(event, WireEvent::Nothing) && !state.rules.is_held();
        // A start that another task sends is held back until the driver has polled the app, which
        // then either has more to say or waits.
        if state.rules.is_held() {
            state.wake_driver();
        }
        state.apply(event);
        Ok(())
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut state = self.0.lock();
        match state.rules.disconnect() {
            Some(reason) => Poll::Ready(reason),
            None => {
                store(&mut state.closed_waker, cx);
                Poll::Pending
            }
        }
    }
}

/// The next part of a request's body; an error is why there is none.
pub(super) fn poll_body(
    body: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Result<HttpRequest, DisconnectReason>> {
    if body.is_end_stream() {
        return Poll::Ready(Ok(HttpRequest::last(Bytes::new())));
    }
    let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
        return Poll::Pending;
    };
    Poll::Ready(match frame {
        // Asked at once: after the last part hyper need not report an end.
        Some(Ok(frame)) => match frame.into_data() {
            Ok(data) => Ok(HttpRequest::new(data, !body.is_end_stream())),
            Err(frame) => {
                let mut last = HttpRequest::last(Bytes::new());
                last.trailers = frame.into_trailers().ok().map(Box::new);
                Ok(last)
            }
        },
        None => Ok(HttpRequest::last(Bytes::new())),
        Some(Err(error)) => Err(reason_of(&error)),
    })
}

fn reason_of(error: &hyper::Error) -> DisconnectReason {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                    DisconnectReason::ProtocolError
                }
                _ => DisconnectReason::Lost,
            };
        }
        cause = error.source();
    }
    DisconnectReason::Lost
}
