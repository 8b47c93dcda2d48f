//! Apps for the scripts, in few words.

use asgi::{
    App, AppError, DisconnectReason, HttpResponseBody, HttpResponseStart, HttpScope, ReceiveEvent,
    Receiver, Scope, Sender,
};
use bytes::Bytes;

/// One request, as an app gets it.
pub struct Http {
    pub scope: HttpScope,
    pub receive: Receiver,
    pub send: Sender,
}

impl Http {
    /// Answers 200 with a body in one part.
    pub async fn respond(&mut self, body: impl Into<Bytes>) -> Result<(), AppError> {
        self.begin().await?;
        self.last(body).await
    }

    /// Begins a response of 200, to be streamed.
    pub async fn begin(&mut self) -> Result<(), AppError> {
        self.send.send(HttpResponseStart::ok()).await?;
        Ok(())
    }

    /// Sends a part of the body that others follow.
    pub async fn more(&mut self, body: impl Into<Bytes>) -> Result<(), AppError> {
        self.send.send(HttpResponseBody::more(body)).await?;
        Ok(())
    }

    /// Sends the last part of the body.
    pub async fn last(&mut self, body: impl Into<Bytes>) -> Result<(), AppError> {
        self.send.send(HttpResponseBody::last(body)).await?;
        Ok(())
    }

    /// Receives the whole body, the trailers with it; the error is how the client left instead.
    pub async fn body(&mut self) -> Result<(Vec<u8>, Option<http::HeaderMap>), DisconnectReason> {
        let mut body = Vec::new();
        loop {
            match self.receive.receive().await {
                ReceiveEvent::HttpRequest(part) => {
                    body.extend(part.body);
                    if !part.more_body {
                        return Ok((body, part.trailers.map(|trailers| *trailers)));
                    }
                }
                ReceiveEvent::HttpDisconnect(end) => return Err(end.reason),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Receives until the end of the exchange and gives what that says.
    pub async fn disconnect(&mut self) -> DisconnectReason {
        loop {
            if let ReceiveEvent::HttpDisconnect(end) = self.receive.receive().await {
                return end.reason;
            }
        }
    }
}

/// An app that serves HTTP alone.
pub fn http<F, Fut>(app: F) -> impl App
where
    F: Fn(Http) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    move |scope: Scope, receive: Receiver, send: Sender| {
        let app = app.clone();
        async move {
            match scope {
                Scope::Http(scope) => {
                    let scope = *scope;
                    app(Http {
                        scope,
                        receive,
                        send,
                    })
                    .await
                }
                other => Err(AppError::unsupported(&other)),
            }
        }
    }
}

/// An app that gets a clone of `context` with each request: a channel to the test, mostly.
pub fn http_with<T, F, Fut>(context: T, app: F) -> impl App
where
    T: Clone + Send + Sync + 'static,
    F: Fn(T, Http) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    http(move |http| app(context.clone(), http))
}

/// Answers "hello" to everything, and reads nothing.
pub fn hello() -> impl App {
    http(async |mut http: Http| http.respond("hello").await)
}

/// Reads the body and answers with it.
pub fn echo() -> impl App {
    http(async |mut http: Http| match http.body().await {
        Ok((body, _)) => http.respond(body).await,
        Err(_) => Ok(()),
    })
}

/// Answers with what the request's head was: method, target, then the fields, a line each.
pub fn mirror() -> impl App {
    http(async |mut http: Http| {
        let mut text = format!("{} {}\n", http.scope.method, http.scope.target);
        for (name, value) in &http.scope.headers {
            text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
        http.respond(text).await
    })
}
