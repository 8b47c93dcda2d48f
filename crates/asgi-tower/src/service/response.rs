//! The response of an app, as a host gets it.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asgi_rules::exchange::HttpExchange;
use asgi_rules::{Ending, Framing, ResponseHead, Verdict, WireEvent};
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

/// An app that runs for one request.
pub(super) struct StartedExchange {
    exchange: HttpExchange,
    /// It comes once the app has ended.
    verdict: oneshot::Receiver<Verdict>,
    /// The app has ended, with this verdict.
    ended: Option<Option<Verdict>>,
    /// The app learns that its client is gone when this is dropped before the end of the response.
    _host_waits: oneshot::Sender<()>,
    version: Version,
}

impl StartedExchange {
    pub(super) fn new(
        exchange: HttpExchange,
        verdict: oneshot::Receiver<Verdict>,
        host_waits: oneshot::Sender<()>,
        version: Version,
    ) -> Self {
        Self {
            exchange,
            verdict,
            ended: None,
            _host_waits: host_waits,
            version,
        }
    }

    /// Waits for the head of the response.
    pub(super) async fn into_response(mut self) -> Response<AppBody> {
        loop {
            match poll_fn(|cx| self.poll_next(cx)).await {
                Ok(WireEvent::Response(head, body)) => {
                    let length = Some(body.len() as u64);
                    return response(head, self.version, AppBody::new(body, length, None));
                }
                Ok(WireEvent::Head(head, body)) => {
                    let length = match head.framing {
                        Framing::Empty => Some(0),
                        Framing::Length(length) => Some(length),
                        Framing::Stream => None,
                    };
                    let version = self.version;
                    return response(head, version, AppBody::new(body, length, Some(self)));
                }
                // The scope does not offer the extensions of other events.
                Ok(_) => {}
                Err(verdict) => {
                    // An app that breaks off before its head gets 500 too: a service of axum cannot fail.
                    let status = verdict.and_then(|verdict| verdict.answer);
                    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    let mut response = Response::new(AppBody::empty());
                    *response.status_mut() = status;
                    return response;
                }
            }
        }
    }

    /// Polls for the next output. After the last one, this returns the verdict on the app.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<WireEvent, Option<Verdict>>> {
        if let Poll::Ready(output) = self.exchange.poll_output(cx) {
            return Poll::Ready(Ok(output));
        }
        if self.ended.is_none() {
            // There is no verdict if the runtime has dropped the app.
            self.ended = Some(ready!(Pin::new(&mut self.verdict).poll(cx)).ok());
        }
        // What the app sent just before its end comes first.
        let output = self.exchange.take_output();
        Poll::Ready(output.ok_or_else(|| self.ended.flatten()))
    }
}

fn response(head: ResponseHead, version: Version, body: AppBody) -> Response<AppBody> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if head.close && version <= Version::HTTP_11 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// The body of a response of an app. [`AppService`](crate::AppService) returns it.
///
/// If it is dropped before its end, the app learns that its client is gone.
pub struct AppBody {
    /// The part that came with the head.
    first: Bytes,
    /// How many bytes are left, if the app has said it.
    left: Option<u64>,
    /// The exchange, until the body has ended.
    rest: Option<StartedExchange>,
}

impl AppBody {
    fn new(first: Bytes, length: Option<u64>, rest: Option<StartedExchange>) -> Self {
        Self {
            first,
            left: length,
            rest,
        }
    }

    /// Makes an empty body.
    pub(super) fn empty() -> Self {
        Self::new(Bytes::new(), Some(0), None)
    }

    /// Makes a frame of data, if there is data.
    fn data(&mut self, data: Bytes) -> Option<Frame<Bytes>> {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(data.len() as u64);
        }
        (!data.is_empty()).then(|| Frame::data(data))
    }
}

impl Body for AppBody {
    type Data = Bytes;
    type Error = IncompleteResponse;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, IncompleteResponse>>> {
        let this = self.get_mut();
        let first = std::mem::take(&mut this.first);
        if let Some(frame) = this.data(first) {
            return Poll::Ready(Some(Ok(frame)));
        }
        while let Some(rest) = &mut this.rest {
            let data = match ready!(rest.poll_next(cx)) {
                Ok(WireEvent::Data(data)) => data,
                Ok(WireEvent::Last(data)) => {
                    this.rest = None;
                    data
                }
                Ok(WireEvent::Trailers(trailers)) => {
                    this.rest = None;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(_) => continue,
                Err(verdict) => {
                    this.rest = None;
                    let ending = verdict.map(|verdict| verdict.ending);
                    if matches!(ending, Some(Ending::Complete | Ending::WithoutTrailers)) {
                        break;
                    }
                    return Poll::Ready(Some(Err(IncompleteResponse(()))));
                }
            };
            if let Some(frame) = this.data(data) {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl fmt::Debug for AppBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppBody")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// The error of an [`AppBody`] whose app has not finished its response. The log says why.
#[derive(Debug)]
pub struct IncompleteResponse(());

impl fmt::Display for IncompleteResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the app did not finish its response")
    }
}

impl Error for IncompleteResponse {}
