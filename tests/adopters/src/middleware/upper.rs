//! Changes events, one for one.

use asgi::{App, AppError, Receiver, Scope, SendEvent, Sender};
use http::{HeaderValue, header};

/// Puts text bodies into upper case.
pub(super) struct Upper<A>(pub(super) A);

impl<A: App> App for Upper<A> {
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        let mut is_text = false;
        let send = send.map(move |mut event| {
            match &mut event {
                SendEvent::HttpResponseStart(start) => {
                    let kind = start.headers.get(header::CONTENT_TYPE);
                    is_text = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/"));
                    start
                        .headers
                        .insert("x-upper", HeaderValue::from_static("yes"));
                }
                SendEvent::HttpResponseBody(part) if is_text => {
                    part.body = part.body.to_ascii_uppercase().into();
                }
                _ => {}
            }
            event
        });
        self.0.call(scope, receive, send).await
    }
}
