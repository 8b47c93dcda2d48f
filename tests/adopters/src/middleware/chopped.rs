//! Makes many events of one.

use asgi::{App, AppError, HttpResponseBody, Receiver, Scope, SendEvent, Sender};
use asgi_util::middleware::pipe;

/// Sends bodies in parts of at most `size` bytes.
pub(super) struct Chopped<A> {
    pub(super) inner: A,
    pub(super) size: usize,
}

impl<A: App> App for Chopped<A> {
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        let size = self.size;
        let (send, pipe) = pipe(send, async move |mut events| {
            while let Some((event, reply)) = events.next().await {
                let SendEvent::HttpResponseBody(mut part) = event else {
                    events.forward(event, reply).await;
                    continue;
                };
                let mut result = Ok(());
                while part.body.len() > size && result.is_ok() {
                    let piece = part.body.split_to(size);
                    result = events.send(HttpResponseBody::more(piece)).await;
                }
                if result.is_ok() {
                    result = events.send(part).await;
                }
                reply.answer(result);
            }
            Ok(())
        });
        pipe.drive(self.inner.call(scope, receive, send)).await
    }
}
