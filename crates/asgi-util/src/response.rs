//! Sends an `http::Response` with any body, as a response or as the denial of a handshake.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseBody, HttpResponseStart,
    HttpResponseTrailers, SendError, Sender, WebSocketClose, WebSocketHttpResponseBody,
    WebSocketHttpResponseStart,
};
use bytes::{Buf, Bytes};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body;

/// Sends a complete response with any `http_body::Body`.
///
/// `extensions` are those of the request's scope.
///
/// - The body is streamed: each frame is sent as soon as the body yields it.
/// - If the first frame comes at once and ends the body, the body is sent in one part.
/// - If the body knows its size and the response has no `content-length`, this adds one.
/// - Trailers are sent if `extensions` offer them and the response has no `content-length`.
///   Otherwise they are dropped.
/// - If the first poll of the body fails, nothing has been sent. The server answers 500.
/// - While the body is silent, this notices that the client is gone. After
///   [`DisconnectReason::Closed`] the client may still read, so this continues; the server's grace
///   period limits it.
///
/// # Cancel safety
///
/// This function is not cancel-safe. If the future is dropped, the response is incomplete.
///
/// # Errors
///
/// Returns an error if the body fails or if the server does not take an event.
///
/// ```
/// use asgi::{AppError, Receiver, Scope, Sender};
/// use asgi_util::send_response;
/// use http_body_util::Full;
///
/// async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
///     let Scope::Http(http) = scope else {
///         return Err(AppError::unsupported(&scope));
///     };
///     let response = http::Response::new(Full::<bytes::Bytes>::from("Hello\n"));
///     send_response(&mut send, &http.extensions, response).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), AppError> {
/// let response = asgi_testing::Client::new(app).get("/").await?;
/// assert_eq!(response.text(), "Hello\n");
/// # Ok(()) }
/// ```
pub async fn send_response<B>(
    send: &mut Sender,
    extensions: &Extensions,
    response: Response<B>,
) -> Result<(), ResponseError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (head, body) = response.into_parts();
    let mut body = pin!(body);
    let mut start = HttpResponseStart::new(head.status);
    start.headers = head.headers;

    // The head depends on how the body begins, so poll the body once.
    let mut next = match poll_fn(|cx| Poll::Ready(poll_part(body.as_mut(), cx))).await {
        Poll::Ready(part) => Some(part?),
        Poll::Pending => None,
    };
    let left = body.size_hint().exact();
    let ends_here = match &next {
        Some(BodyPart::End) => true,
        Some(BodyPart::Data(_)) => body.is_end_stream(),
        Some(BodyPart::Trailers(_)) | None => false,
    };
    // A body of a known size rarely has trailers, and a `content-length` helps the client more. So
    // trailers are promised only if the size is unknown, or if nothing else can follow.
    let trailers = !ends_here
        && extensions.has(Extension::Trailers)
        && !start.headers.contains_key(CONTENT_LENGTH)
        && left.is_none_or(|left| left == 0);
    start.trailers = trailers;
    if !ends_here && !trailers {
        let sent = match &next {
            Some(BodyPart::Data(data)) => data.len() as u64,
            _ => 0,
        };
        let length = left.and_then(|left| left.checked_add(sent));
        add_content_length(&mut start, length);
    }
    send.send(start).await?;

    let mut watches_client = true;
    loop {
        let part = match next.take() {
            Some(part) => part,
            None => next_part(body.as_mut(), send, &mut watches_client).await?,
        };
        let is_last = match part {
            BodyPart::Data(data) => {
                let is_last =
                    body.is_end_stream() || (!trailers && body.size_hint().exact() == Some(0));
                send.send(HttpResponseBody::new(data, !is_last)).await?;
                is_last
            }
            BodyPart::Trailers(headers) if trailers => {
                send.send(HttpResponseBody::last(Bytes::new())).await?;
                send.send(HttpResponseTrailers::new(headers)).await?;
                return Ok(());
            }
            BodyPart::Trailers(_) | BodyPart::End => {
                send.send(HttpResponseBody::last(Bytes::new())).await?;
                true
            }
        };
        if is_last {
            if trailers {
                // The start promised trailers, so the response needs them to be complete.
                send.send(HttpResponseTrailers::new(HeaderMap::new()))
                    .await?;
            }
            return Ok(());
        }
    }
}

/// Denies the handshake of a WebSocket with a response with any `http_body::Body`.
///
/// `extensions` are those of the WebSocket's scope. If they offer no response to a handshake, the
/// server answers 403 instead. The body is streamed; trailers are dropped.
///
/// # Cancel safety
///
/// This function is not cancel-safe. If the future is dropped, the response is incomplete.
///
/// # Errors
///
/// Returns an error if the body fails or if the server does not take an event. For example, the
/// status must be from 300 to 999.
///
/// ```
/// use asgi::{AppError, Receiver, Scope, Sender};
/// use asgi_util::send_denial;
/// use http_body_util::Full;
///
/// async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
///     let Scope::WebSocket(websocket) = scope else {
///         return Err(AppError::unsupported(&scope));
///     };
///     let response = http::Response::builder().status(401);
///     let response = response.body(Full::<bytes::Bytes>::from("Log in first\n"))?;
///     send_denial(&mut send, &websocket.extensions, response).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), AppError> {
/// let denied = asgi_testing::Client::new(app).websocket("/").connect().await.unwrap_err();
/// assert_eq!(denied.response().unwrap().text(), "Log in first\n");
/// # Ok(()) }
/// ```
pub async fn send_denial<B>(
    send: &mut Sender,
    extensions: &Extensions,
    response: Response<B>,
) -> Result<(), ResponseError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if !extensions.has(Extension::WebSocketHttpResponse) {
        return Ok(send.send(WebSocketClose::default()).await?);
    }
    let (head, body) = response.into_parts();
    let mut body = pin!(body);
    let mut start = WebSocketHttpResponseStart::new(head.status);
    start.headers = head.headers;
    send.send(start).await?;
    let mut watches_client = true;
    loop {
        let part = next_part(body.as_mut(), send, &mut watches_client).await?;
        let (data, is_last) = match part {
            BodyPart::Data(data) => (data, body.is_end_stream()),
            BodyPart::Trailers(_) | BodyPart::End => (Bytes::new(), true),
        };
        send.send(WebSocketHttpResponseBody::new(data, !is_last))
            .await?;
        if is_last {
            return Ok(());
        }
    }
}

/// Adds a `content-length`, unless the response has one or its status forbids one.
fn add_content_length(start: &mut HttpResponseStart, length: Option<u64>) {
    let status = start.status;
    if status != StatusCode::NO_CONTENT
        && status != StatusCode::RESET_CONTENT
        && status != StatusCode::NOT_MODIFIED
        && let Some(length) = length
    {
        start
            .headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
}

enum BodyPart {
    /// It is never empty.
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

fn poll_part<B>(
    mut body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> Poll<Result<BodyPart, ResponseError>>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    loop {
        if body.is_end_stream() {
            return Poll::Ready(Ok(BodyPart::End));
        }
        let frame = match ready!(body.as_mut().poll_frame(cx)) {
            None => return Poll::Ready(Ok(BodyPart::End)),
            Some(Err(error)) => return Poll::Ready(Err(ResponseError::body(error))),
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(mut data) if data.has_remaining() => {
                let length = data.remaining();
                return Poll::Ready(Ok(BodyPart::Data(data.copy_to_bytes(length))));
            }
            Ok(_) => {}
            // A frame of another kind has no meaning here.
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return Poll::Ready(Ok(BodyPart::Trailers(trailers)));
                }
            }
        }
    }
}

/// Waits for the next part, or until the client is gone.
async fn next_part<B>(
    mut body: Pin<&mut B>,
    send: &mut Sender,
    watches_client: &mut bool,
) -> Result<BodyPart, ResponseError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    poll_fn(|cx| {
        if let Poll::Ready(part) = poll_part(body.as_mut(), cx) {
            return Poll::Ready(part);
        }
        if !*watches_client {
            return Poll::Pending;
        }
        let error = match ready!(send.poll_closed(cx)) {
            reason if reason.is_gone() => SendError::disconnected(reason),
            DisconnectReason::Complete => SendError::over(),
            // The client may still read (HTTP-042), and this reason does not change any more
            // (HTTP-046).
            _ => {
                *watches_client = false;
                return Poll::Pending;
            }
        };
        Poll::Ready(Err(error.into()))
    })
    .await
}

/// The error of [`send_response`] and [`send_denial`].
#[derive(Debug)]
pub struct ResponseError(ResponseErrorKind);

#[derive(Debug)]
enum ResponseErrorKind {
    Body(Box<dyn Error + Send + Sync>),
    Send(SendError),
}

impl ResponseError {
    fn body(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(ResponseErrorKind::Body(error.into()))
    }

    /// Returns whether the body failed. The source is its error.
    pub fn is_body(&self) -> bool {
        matches!(self.0, ResponseErrorKind::Body(_))
    }

    /// Returns the error of the server, if it did not take an event.
    pub fn as_send_error(&self) -> Option<&SendError> {
        match &self.0 {
            ResponseErrorKind::Send(error) => Some(error),
            ResponseErrorKind::Body(_) => None,
        }
    }
}

impl From<SendError> for ResponseError {
    fn from(error: SendError) -> Self {
        Self(ResponseErrorKind::Send(error))
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            ResponseErrorKind::Body(_) => "the response body failed",
            ResponseErrorKind::Send(_) => "could not send the response",
        })
    }
}

impl Error for ResponseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            ResponseErrorKind::Body(error) => Some(&**error),
            ResponseErrorKind::Send(error) => Some(error),
        }
    }
}
