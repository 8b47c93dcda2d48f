//! The body of a request, whatever it came over.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asgi::{DisconnectReason, HttpRequest};
use bytes::Bytes;
use h2::RecvStream;
use http_body::Body;
use hyper::body::Incoming;

/// The body of a request, whatever it came over.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Http1(Incoming),
    Http2(RecvStream),
    /// Of a promised request.
    None,
}

impl RequestBody {
    /// Whether all of it was read.
    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::None => true,
        }
    }

    /// The next part; an error is why there is none.
    pub(super) fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<HttpRequest, DisconnectReason>> {
        if self.is_end_stream() {
            return Poll::Ready(Ok(HttpRequest::last(Bytes::new())));
        }
        match self {
            Self::Http1(body) => poll_http1(body, cx),
            Self::Http2(body) => poll_http2(body, cx),
            Self::None => Poll::Ready(Ok(HttpRequest::last(Bytes::new()))),
        }
    }
}

fn poll_http1(
    body: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Result<HttpRequest, DisconnectReason>> {
    let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
    Poll::Ready(match frame {
        // Asked at once: after the last part hyper need not report an end.
        Some(Ok(frame)) => match frame.into_data() {
            Ok(data) => Ok(HttpRequest::new(data, !body.is_end_stream())),
            Err(frame) => Ok(trailing(frame.into_trailers().ok())),
        },
        None => Ok(HttpRequest::last(Bytes::new())),
        Some(Err(error)) => Err(reason_of(&error)),
    })
}

fn poll_http2(
    body: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Result<HttpRequest, DisconnectReason>> {
    let Some(data) = ready!(body.poll_data(cx)) else {
        let trailers = ready!(body.poll_trailers(cx));
        return Poll::Ready(trailers.map(trailing).map_err(|error| h2_reason_of(&error)));
    };
    Poll::Ready(match data {
        Ok(data) => {
            // Credit for what the app takes, and only for that: an upload that is not read comes to
            // a halt by itself. It can't fail: this much was received.
            let _ = body.flow_control().release_capacity(data.len());
            Ok(HttpRequest::new(data, !body.is_end_stream()))
        }
        Err(error) => Err(h2_reason_of(&error)),
    })
}

fn trailing(trailers: Option<http::HeaderMap>) -> HttpRequest {
    let mut last = HttpRequest::last(Bytes::new());
    last.trailers = trailers.map(Box::new);
    last
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

/// What an error of h2 means for the exchange that meets it.
pub(crate) fn h2_reason_of(error: &h2::Error) -> DisconnectReason {
    match error.reason() {
        Some(reason) if error.is_reset() && error.is_remote() => {
            DisconnectReason::Reset(reason.into())
        }
        Some(_) if !error.is_remote() => DisconnectReason::ProtocolError,
        _ => DisconnectReason::Lost,
    }
}
