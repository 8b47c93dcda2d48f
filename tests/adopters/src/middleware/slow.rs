//! Drops and delays events.

use std::time::Duration;

use asgi::{App, AppError, Receiver, Scope, SendEvent, Sender};
use asgi_util::middleware::pipe;

/// Drops early hints, and waits before each part of a body.
pub(super) struct Slow<A> {
    pub(super) inner: A,
    pub(super) pause: Duration,
}

impl<A: App> App for Slow<A> {
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        let pause = self.pause;
        let (send, pipe) = pipe(send, async move |mut events| {
            while let Some((event, reply)) = events.next().await {
                match event {
                    SendEvent::HttpResponseEarlyHint(_) => {
                        reply.taken();
                        continue;
                    }
                    SendEvent::HttpResponseBody(_) => tokio::time::sleep(pause).await,
                    _ => {}
                }
                events.forward(event, reply).await;
            }
            Ok(())
        });
        pipe.drive(self.inner.call(scope, receive, send)).await
    }
}
