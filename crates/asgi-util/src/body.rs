//! The request body as an `http_body::Body`, a `Stream`, and an `AsyncRead`.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asgi::{DisconnectReason, HttpScope, ReceiveEvent, Receiver, SendError};
use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, Version};
use http_body::{Body, Frame, SizeHint};

/// The request body that a [`Receiver`] yields.
///
/// It implements `http_body::Body`, which yields the data and then the trailers.
/// [`into_stream`](Self::into_stream) makes a `Stream` of the data. With the feature `tokio`,
/// `into_reader` makes an `AsyncRead`.
///
/// The size hint is exact if the request has a `content-length` or no body. If the request has no
/// body, the body is at its end from the start and reads nothing from the receiver.
///
/// ```
/// use asgi::{AppError, HttpResponseStart, Receiver, Scope, Sender};
/// use asgi_util::ReceiverBody;
/// use http_body_util::BodyExt;
///
/// async fn app(scope: Scope, receive: Receiver, mut send: Sender) -> Result<(), AppError> {
///     let Scope::Http(http) = scope else {
///         return Err(AppError::unsupported(&scope));
///     };
///     let body = ReceiverBody::new(&http, receive).collect().await?.to_bytes();
///     send.respond(HttpResponseStart::ok(), body).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), AppError> {
/// let response = asgi_testing::Client::new(app).post("/").body("ping").await?;
/// assert_eq!(response.text(), "ping");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct ReceiverBody {
    receive: Receiver,
    /// How many bytes are left, if the request says it.
    left: Option<u64>,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl ReceiverBody {
    /// Creates the body of the request that `scope` describes.
    pub fn new(scope: &HttpScope, receive: Receiver) -> Self {
        // On HTTP/2, trailers can follow an empty body.
        let ended = !scope.has_body() && scope.content_length().is_none_or(|_| is_http1(scope));
        let left = if ended {
            Some(0)
        } else {
            scope.content_length()
        };
        Self {
            receive,
            left,
            trailers: None,
            ended,
        }
    }

    /// Returns the trailers, if the body had some and they were not taken before.
    ///
    /// They come with the last part of the body. `poll_frame` yields them too, as its last frame.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Returns the receiver, for example to wait for the disconnect.
    pub fn into_receiver(self) -> Receiver {
        self.receive
    }

    /// Converts the body into a stream of its data.
    pub fn into_stream(self) -> BodyStream {
        BodyStream(self)
    }

    /// Converts the body into a reader. This requires the feature `tokio`.
    #[cfg(feature = "tokio")]
    pub fn into_reader(self) -> BodyReader {
        BodyReader {
            body: self,
            part: Bytes::new(),
        }
    }

    /// Polls for a part that is not empty.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, IncompleteBody>>> {
        while !self.ended {
            let part = match ready!(self.receive.poll_receive(cx)) {
                ReceiveEvent::HttpRequest(part) => part,
                ReceiveEvent::HttpDisconnect(disconnect) => {
                    self.end();
                    let error = IncompleteBody::new(disconnect.reason);
                    return Poll::Ready(Some(Err(error)));
                }
                // A receiver of another protocol has no body.
                _ => {
                    self.end();
                    break;
                }
            };
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(part.body.len() as u64);
            }
            if !part.more_body {
                self.end();
                self.trailers = part.trailers.map(|trailers| *trailers);
            }
            if !part.body.is_empty() {
                return Poll::Ready(Some(Ok(part.body)));
            }
        }
        Poll::Ready(None)
    }

    fn end(&mut self) {
        self.ended = true;
        self.left = Some(0);
    }
}

impl Body for ReceiverBody {
    type Data = Bytes;
    type Error = IncompleteBody;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, IncompleteBody>>> {
        if let Some(result) = ready!(self.poll_data(cx)) {
            return Poll::Ready(Some(result.map(Frame::data)));
        }
        let trailers = self.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The data of a request body as a [`Stream`]. [`ReceiverBody::into_stream`] returns it.
#[derive(Debug)]
pub struct BodyStream(ReceiverBody);

impl BodyStream {
    /// Returns the body. After the end of the stream, it has the trailers.
    pub fn into_body(self) -> ReceiverBody {
        self.0
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes, IncompleteBody>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_data(cx)
    }
}

fn is_http1(scope: &HttpScope) -> bool {
    scope.version <= Version::HTTP_11
}

/// The error of a request body that ended before it was complete.
///
/// If an app returns this error, [`AppError::is_disconnected`](asgi::AppError::is_disconnected) is
/// true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncompleteBody(SendError);

impl IncompleteBody {
    fn new(reason: DisconnectReason) -> Self {
        Self(SendError::disconnected(reason))
    }

    /// Returns how the exchange ended.
    pub fn reason(&self) -> DisconnectReason {
        self.0.disconnect_reason().unwrap_or(DisconnectReason::Lost)
    }
}

impl fmt::Display for IncompleteBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request body is incomplete")
    }
}

impl Error for IncompleteBody {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[cfg(feature = "tokio")]
pub use self::reader::BodyReader;

#[cfg(feature = "tokio")]
mod reader {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use bytes::{Buf, Bytes};
    use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

    use super::ReceiverBody;

    /// A reader for a request body. [`ReceiverBody::into_reader`] returns it.
    ///
    /// An incomplete body is an error of the kind `UnexpectedEof` with an
    /// [`IncompleteBody`](crate::IncompleteBody) inside.
    #[derive(Debug)]
    pub struct BodyReader {
        pub(super) body: ReceiverBody,
        pub(super) part: Bytes,
    }

    impl BodyReader {
        /// Returns the body. After the end of the data, it has the trailers. Bytes that were
        /// buffered and not read are lost.
        pub fn into_body(self) -> ReceiverBody {
            self.body
        }
    }

    impl AsyncRead for BodyReader {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let part = ready!(self.as_mut().poll_fill_buf(cx))?;
            let length = part.len().min(buf.remaining());
            buf.put_slice(&part[..length]);
            self.consume(length);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncBufRead for BodyReader {
        fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            let this = self.get_mut();
            if this.part.is_empty()
                && let Some(part) = ready!(this.body.poll_data(cx))
            {
                this.part =
                    part.map_err(|error| io::Error::new(io::ErrorKind::UnexpectedEof, error))?;
            }
            Poll::Ready(Ok(&this.part))
        }

        fn consume(mut self: Pin<&mut Self>, amount: usize) {
            self.part.advance(amount);
        }
    }
}
