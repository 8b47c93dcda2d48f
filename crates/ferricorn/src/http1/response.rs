//! Makes hyper's response from what an exchange has to send.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use asgi_rules::{Framing, ResponseHead};
use bytes::Bytes;
use http::header::{CONNECTION, SERVER};
use http::{HeaderValue, Method, Response, Version};
use http_body::{Body, Frame, SizeHint};

use super::current;
use crate::exchange::{BrokenOff, Exchange, ResponsePart, ResponseStart};
use crate::refusal::Refusal;

/// The body that hyper polls.
pub(crate) enum ResponseBody {
    /// All of it. Empty if there is none, and once hyper has taken it.
    Whole(Bytes),
    Stream(StreamedBody),
}

/// A body whose parts the app sends one after the other.
pub(crate) struct StreamedBody {
    exchange: Arc<Exchange>,
    /// The bytes that its length still allows; `None` without a length.
    left: Option<u64>,
    breaking_off: bool,
}

/// The headers that the server adds to a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadOptions {
    /// Whether the response gets a `server`, if the app set none.
    pub(crate) server_header: bool,
    /// Whether the connection closes after it.
    pub(crate) close: bool,
    /// The version of the request.
    pub(crate) version: Version,
}

/// The response that the app has begun.
pub(crate) fn response(
    exchange: &Arc<Exchange>,
    start: ResponseStart,
    mut options: HeadOptions,
) -> Response<ResponseBody> {
    let ResponseStart { head, whole, .. } = start;
    // The end of such a body is the end of the connection, even if the client wants to keep it.
    options.close |= head.framing == Framing::Stream && options.version == Version::HTTP_10;
    let body = match whole {
        Some(whole) => ResponseBody::Whole(whole),
        None => ResponseBody::Stream(StreamedBody {
            exchange: Arc::clone(exchange),
            left: match head.framing {
                Framing::Empty => Some(0),
                Framing::Length(length) => Some(length),
                Framing::Stream => None,
            },
            breaking_off: false,
        }),
    };
    with_head(head, body, options)
}

/// The response that opens a WebSocket. After it the connection is no longer hyper's.
pub(crate) fn opening(head: ResponseHead, options: HeadOptions) -> Response<ResponseBody> {
    let options = HeadOptions {
        // `connection` says "upgrade", and the connection does not close here.
        close: false,
        ..options
    };
    with_head(head, ResponseBody::Whole(Bytes::new()), options)
}

/// A response of the server's own.
pub(crate) fn refusal(
    refusal: &Refusal,
    method: &Method,
    options: HeadOptions,
) -> Response<ResponseBody> {
    let mut response = refusal.response(method).map(ResponseBody::Whole);
    let upgrade = response.headers_mut().remove(CONNECTION);
    add_headers(&mut response, options);
    if let Some(upgrade) = upgrade {
        // `connection: close` may stand beside it.
        response.headers_mut().append(CONNECTION, upgrade);
    }
    response
}

fn with_head(
    head: ResponseHead,
    body: ResponseBody,
    mut options: HeadOptions,
) -> Response<ResponseBody> {
    options.close |= head.close;
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    add_headers(&mut response, options);
    response
}

fn add_headers(response: &mut Response<ResponseBody>, options: HeadOptions) {
    let headers = response.headers_mut();
    if options.server_header {
        headers
            .entry(SERVER)
            .or_insert(HeaderValue::from_static("ferricorn"));
    }
    if options.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if options.version == Version::HTTP_10 {
            // Otherwise hyper adds that the connection will be kept.
            *response.version_mut() = Version::HTTP_10;
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole(whole) if whole.is_empty() => Poll::Ready(None),
            Self::Whole(whole) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(whole))))),
            Self::Stream(stream) => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_empty(),
            // hyper takes a length of 0 for the end, but the app may have more to do.
            Self::Stream(stream) => stream.left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => SizeHint::with_exact(whole.len() as u64),
            Self::Stream(stream) => match stream.left {
                Some(left) => SizeHint::with_exact(left),
                None => SizeHint::default(),
            },
        }
    }
}

impl StreamedBody {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if !current::with_current(|connection| connection.transport.takes_body()) {
            // The driver polls again after hyper has written what it has.
            return Poll::Pending;
        }
        if self.breaking_off {
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        let Poll::Ready(part) = self.exchange.poll_part(cx) else {
            return Poll::Pending;
        };
        match part {
            ResponsePart::Data(data) => {
                current::with_current(|connection| connection.transport.took_body(data.len()));
                if let Some(left) = &mut self.left {
                    *left = left.saturating_sub(data.len() as u64);
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            ResponsePart::Trailers(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            ResponsePart::End => Poll::Ready(None),
            ResponsePart::Broken => {
                self.breaking_off = true;
                // If an error follows in the same poll, hyper throws away what it holds, the head
                // included. So the error comes in the next poll, after hyper has sent that.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl Drop for StreamedBody {
    fn drop(&mut self) {
        // hyper does not ask for the end of a body whose length it knows.
        if self.left == Some(0) {
            self.exchange.delivered();
        }
        self.exchange.log_access();
    }
}
