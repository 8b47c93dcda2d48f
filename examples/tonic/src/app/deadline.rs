//! Ends a call at the deadline of its client.
//!
//! tonic's own server does this too, but only until the response begins. Its layer is private, so a
//! program without that server needs one of its own.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

/// Ends each call with DEADLINE_EXCEEDED when the time in its `grpc-timeout` has passed.
///
/// The service is dropped then: its future, or the body of its response. A call without a valid
/// `grpc-timeout` has no deadline.
#[derive(Debug, Clone)]
pub(crate) struct Deadlines<S>(pub(crate) S);

impl<S, B> Service<Request<B>> for Deadlines<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let timeout = timeout(request.headers());
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let calling = self.0.call(request);
        Box::pin(async move {
            let Some(deadline) = deadline else {
                return calling.await;
            };
            let Ok(response) = timeout_at(deadline, calling).await else {
                return Ok(exceeded().into_http());
            };
            Ok(response?.map(|body| Body::new(UntilDeadline::new(body, deadline))))
        })
    }
}

fn exceeded() -> Status {
    Status::deadline_exceeded("the deadline of the call has passed")
}

/// The value of `grpc-timeout`: at most eight digits and a unit.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 60 * 60)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// The body of a response, until the deadline.
struct UntilDeadline {
    /// `None` after the deadline.
    body: Option<Body>,
    deadline: Pin<Box<Sleep>>,
}

impl UntilDeadline {
    fn new(body: Body, deadline: Instant) -> Self {
        Self {
            body: Some(body),
            deadline: Box::pin(sleep_until(deadline)),
        }
    }
}

impl http_body::Body for UntilDeadline {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        // First, so that a body that never waits ends too.
        if this.deadline.as_mut().poll(cx).is_pending() {
            return Pin::new(body).poll_frame(cx);
        }
        this.body = None;
        let mut trailers = HeaderMap::new();
        exceeded().add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_at_most_eight_digits_and_a_unit() {
        let parsed = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", value.parse().unwrap());
            timeout(&headers)
        };
        assert_eq!(parsed("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(parsed("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parsed("4S"), Some(Duration::from_secs(4)));
        assert_eq!(parsed("5m"), Some(Duration::from_millis(5)));
        assert_eq!(parsed("6u"), Some(Duration::from_micros(6)));
        assert_eq!(parsed("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for invalid in ["", "S", "1", "1s", "-1S", "+1S", "1 S", "123456789S", "1é"] {
            assert_eq!(parsed(invalid), None, "{invalid}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
