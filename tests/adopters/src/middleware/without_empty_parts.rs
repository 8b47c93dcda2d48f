//! Drops events that the app would receive.

use std::task::{Context, Poll, ready};

use asgi::{App, AppError, ReceiveEvent, ReceiveHalf, Receiver, Scope, Sender};

/// Drops the empty parts of a request's body, except the last part.
pub(super) struct WithoutEmptyParts<A>(pub(super) A);

struct Half(Receiver);

impl ReceiveHalf for Half {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        loop {
            match ready!(self.0.poll_receive(cx)) {
                ReceiveEvent::HttpRequest(part) if part.body.is_empty() && part.more_body => {}
                event => return Poll::Ready(event),
            }
        }
    }
}

impl<A: App> App for WithoutEmptyParts<A> {
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        let receive = Receiver::new(Half(receive));
        self.0.call(scope, receive, send).await
    }
}
