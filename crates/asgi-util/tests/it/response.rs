//! `send_response` and `send_denial` with bodies of every kind.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use asgi::{AppError, DisconnectReason, Extension, Extensions, Receiver, Scope, Sender};
use asgi_testing::{Client, Request};
use asgi_util::{ResponseError, send_denial, send_response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Empty, Full};

#[derive(Clone, Debug)]
enum Step {
    Data(&'static str),
    Trailers(&'static str),
    Wait,
    Silence,
    Fail,
}

/// A body that follows a script.
#[derive(Clone)]
struct Script {
    steps: VecDeque<Step>,
    exact: Option<u64>,
    dropped: Option<Arc<AtomicBool>>,
}

fn script(steps: impl IntoIterator<Item = Step>) -> Script {
    Script {
        steps: steps.into_iter().collect(),
        exact: None,
        dropped: None,
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(step) = self.steps.pop_front() else {
            return Poll::Ready(None);
        };
        match step {
            Step::Data(data) => {
                if let Some(exact) = &mut self.exact {
                    *exact -= data.len() as u64;
                }
                Poll::Ready(Some(Ok(Frame::data(data.into()))))
            }
            Step::Trailers(value) => Poll::Ready(Some(Ok(Frame::trailers(trailers(value))))),
            Step::Wait => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Silence => {
                self.steps.push_front(Step::Silence);
                Poll::Pending
            }
            Step::Fail => Poll::Ready(Some(Err(io::Error::other("the disk is gone")))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.exact
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Some(dropped) = &self.dropped {
            dropped.store(true, Ordering::Relaxed);
        }
    }
}

fn trailers(value: &'static str) -> HeaderMap {
    let name = HeaderName::from_static("x-sum");
    HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
}

/// A client whose app answers with a response, also to a handshake.
fn client<B>(make: impl Fn() -> Response<B> + Send + Sync + 'static) -> Client
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Client::new(move |scope: Scope, _: Receiver, mut send: Sender| {
        let response = make();
        async move {
            match scope {
                Scope::Http(http) => send_response(&mut send, &http.extensions, response).await?,
                Scope::WebSocket(websocket) => {
                    send_denial(&mut send, &websocket.extensions, response).await?;
                }
                _ => return Err(AppError::unsupported(&scope)),
            }
            Ok(())
        }
    })
    .extensions(Extensions::new())
}

fn scripted(steps: &[Step], exact: Option<u64>) -> Client {
    let mut body = script(steps.iter().cloned());
    body.exact = exact;
    client(move || Response::new(body.clone()))
}

fn with_trailers(request: Request) -> Request {
    request.scope(|scope| scope.extensions = Extensions::new().with(Extension::Trailers))
}

#[tokio::test]
async fn a_body_in_one_frame_is_sent_in_one_part() {
    let client = client(|| {
        let mut response = Response::new(Full::<Bytes>::from("hello"));
        *response.status_mut() = StatusCode::CREATED;
        response
            .headers_mut()
            .insert("x-a", HeaderValue::from_static("1"));
        response
    });
    for request in [client.get("/"), with_trailers(client.get("/"))] {
        let response = request.await.unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.header("x-a"), Some("1"));
        assert_eq!(response.header("content-length"), Some("5"));
        assert_eq!(response.chunks(), ["hello"]);
        assert_eq!(response.trailers(), None);
    }
}

#[tokio::test]
async fn an_empty_body_is_one_empty_part() {
    let client = client(|| Response::new(Empty::<Bytes>::new()));
    let response = client.get("/").await.unwrap();
    assert_eq!(response.header("content-length"), Some("0"));
    // Its length is not the length of the response to a GET (HTTP-027).
    let response = client.request(Method::HEAD, "/").await.unwrap();
    assert_eq!(response.header("content-length"), None);
}

#[tokio::test]
async fn a_stream_of_unknown_size_has_no_length() {
    let client = scripted(
        &[
            Step::Data("ab"),
            Step::Wait,
            Step::Data(""),
            Step::Data("c"),
        ],
        None,
    );
    let response = client.get("/").await.unwrap();
    assert_eq!(response.header("content-length"), None);
    assert_eq!(response.chunks(), ["ab", "c"]);
}

#[tokio::test]
async fn a_stream_of_known_size_has_its_length_whether_or_not_it_waits_first() {
    for steps in [
        &[Step::Data("ab"), Step::Wait, Step::Data("c")][..],
        &[Step::Wait, Step::Data("ab"), Step::Data("c")][..],
    ] {
        let response = scripted(steps, Some(3)).get("/").await.unwrap();
        assert_eq!(response.header("content-length"), Some("3"));
        assert_eq!(response.chunks(), ["ab", "c"]);
    }
}

#[tokio::test]
async fn trailers_are_sent_if_the_scope_offers_them() {
    let steps = [Step::Data("ab"), Step::Wait, Step::Trailers("3")];
    for (steps, body) in [(&steps[..], "ab"), (&steps[2..], "")] {
        let client = scripted(steps, None);
        let response = with_trailers(client.get("/")).await.unwrap();
        assert_eq!(response.trailers(), Some(&trailers("3")));
        assert_eq!(response.text(), body);
        let response = client.get("/").await.unwrap();
        assert_eq!((response.trailers(), &*response.text()), (None, body));
    }
}

#[tokio::test]
async fn trailers_may_follow_a_body_of_known_size() {
    let client = scripted(&[Step::Data("ab"), Step::Trailers("3")], Some(2));
    let response = with_trailers(client.get("/")).await.unwrap();
    assert_eq!(response.trailers(), Some(&trailers("3")));
    assert_eq!(response.header("content-length"), None);
    let response = client.get("/").await.unwrap();
    assert_eq!(response.header("content-length"), Some("2"));
}

#[tokio::test]
async fn a_stream_may_promise_trailers_and_have_none() {
    let client = scripted(&[Step::Data("ab"), Step::Wait, Step::Data("c")], None);
    let response = with_trailers(client.get("/")).await.unwrap();
    assert_eq!(response.text(), "abc");
    assert!(response.trailers().is_none_or(HeaderMap::is_empty));
}

#[tokio::test]
async fn a_body_that_fails_at_once_becomes_a_500() {
    let response = scripted(&[Step::Fail], None).get("/").await.unwrap();
    assert_eq!(response.status(), 500);
}

#[tokio::test]
async fn a_body_that_fails_later_breaks_the_response_off_and_keeps_its_error() {
    let client = scripted(&[Step::Data("ab"), Step::Wait, Step::Fail], None);
    let broken = client.get("/").await.unwrap_err();
    assert_eq!(broken.body(), "ab");
    let error = broken.app_error().unwrap();
    let text = error.chain().to_string();
    assert_eq!(text, "the response body failed: the disk is gone");
    let error = error.as_error().downcast_ref::<ResponseError>().unwrap();
    assert!(error.is_body() && error.as_send_error().is_none());
}

#[tokio::test]
async fn a_silent_body_ends_when_the_client_is_gone() {
    let dropped = Arc::new(AtomicBool::new(false));
    let mut body = script([Step::Data("ab"), Step::Silence]);
    body.dropped = Some(Arc::clone(&dropped));
    let client = client(move || Response::new(body.clone()));
    let mut exchange = client.get("/").start();
    assert_eq!(exchange.data().await.unwrap(), "ab");
    exchange.disconnect(DisconnectReason::Lost);
    let broken = exchange.finish().await.unwrap_err();
    assert!(dropped.load(Ordering::Relaxed));
    let error = broken.app_error().unwrap();
    assert!(error.is_disconnected());
    let error = error.as_error().downcast_ref::<ResponseError>().unwrap();
    assert!(error.as_send_error().unwrap().is_disconnected());
    assert_eq!(broken.fault(), None);
}

#[tokio::test]
async fn a_client_that_only_closed_its_side_gets_the_whole_response() {
    let client = scripted(
        &[Step::Data("ab"), Step::Wait, Step::Wait, Step::Data("c")],
        None,
    );
    let mut exchange = client.get("/").start();
    exchange.disconnect(DisconnectReason::Closed);
    assert_eq!(exchange.finish().await.unwrap().text(), "abc");
}

#[tokio::test]
async fn a_body_of_another_kind_of_buffer_works() {
    let client = client(|| {
        let body = Full::new(VecDeque::from(*b"hello"));
        let _: &dyn Body<Data = VecDeque<u8>, Error = Infallible> = &body;
        Response::new(body)
    });
    assert_eq!(client.get("/").await.unwrap().text(), "hello");
}

#[tokio::test]
async fn a_denial_is_sent_part_by_part_without_its_trailers_or_becomes_a_403() {
    let client = client(|| {
        let steps = [
            Step::Data("log "),
            Step::Wait,
            Step::Data("in"),
            Step::Trailers("1"),
        ];
        let mut response = Response::new(script(steps));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response
            .headers_mut()
            .insert("x-a", HeaderValue::from_static("1"));
        response
    });
    let offered = Extensions::new().with(Extension::WebSocketHttpResponse);
    let client = client.extensions(offered);
    let denied = client.websocket("/").connect().await.unwrap_err();
    let response = denied.response().unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.header("x-a"), Some("1"));
    assert_eq!(response.text(), "log in");
    assert_eq!(response.trailers(), None);
    let client = client.extensions(Extensions::new());
    let denied = client.websocket("/").connect().await.unwrap_err();
    assert_eq!(denied.status().unwrap(), 403);
}
