//! Tower services as apps.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use asgi::{Address, DisconnectReason, Extension, Extensions};
use asgi_testing::Client;
use asgi_tower::TowerBody;
use asgi_util::RequestContext;
use axum::Router;
use axum::body::Body;
use axum::extract::Request as AxumRequest;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Service, service_fn};

/// A service that may be called only after `poll_ready` of the same clone.
#[derive(Default)]
struct Strict {
    ready: bool,
    clones: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::SeqCst);
        Self {
            ready: false,
            clones: Arc::clone(&self.clones),
        }
    }
}

impl Service<Request<TowerBody>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.ready {
            return Poll::Ready(Ok(()));
        }
        // Not ready the first time.
        self.ready = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request<TowerBody>) -> Self::Future {
        assert!(self.ready, "`call` came before `poll_ready`");
        std::future::ready(Ok(Response::new("ready".into())))
    }
}

#[tokio::test]
async fn each_request_waits_until_a_clone_of_the_service_is_ready() {
    let service = Strict::default();
    let clones = Arc::clone(&service.clones);
    let client = Client::new(asgi_tower::app(service));
    for count in 1..=3 {
        assert_eq!(client.get("/").await.unwrap().text(), "ready");
        assert_eq!(clones.load(Ordering::SeqCst), count);
    }
}

#[tokio::test]
async fn a_boxed_service_is_an_app_too() {
    let boxed = tower::util::BoxCloneSyncService::new(Strict::default());
    let client = Client::new(asgi_tower::app(boxed));
    assert_eq!(client.get("/").await.unwrap().text(), "ready");
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let echo = service_fn(async |request: Request<TowerBody>| {
        let (parts, body) = request.into_parts();
        assert!(parts.headers.contains_key("te"));
        Ok::<_, Infallible>(Response::new(body))
    });
    let client = Client::new(asgi_tower::app(echo));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("6"));
    let request = client.post("/").header("te", "trailers").body("abcdef");
    let response = request.trailers(trailers.clone()).send().await.unwrap();
    assert_eq!(response.text(), "abcdef");
    assert_eq!(response.trailers(), Some(&trailers));
}

#[tokio::test]
async fn an_error_of_the_service_is_a_fault_of_the_app_with_its_causes() {
    let fails = service_fn(async |_: Request<TowerBody>| {
        let error = std::io::Error::other("no database");
        Err::<Response<Full<Bytes>>, _>(error)
    });
    let broken = Client::new(asgi_tower::app(fails)).get("/").await.unwrap();
    assert_eq!(broken.status(), 500);
    let error = broken.app_error().unwrap();
    assert_eq!(error.chain().to_string(), "no database");
}

#[tokio::test]
async fn a_body_that_fails_breaks_the_response_off() {
    let fails = service_fn(async |_: Request<TowerBody>| {
        let parts = [Ok("begun"), Err(std::io::Error::other("the disk is gone"))];
        let body = Body::from_stream(futures_util::stream::iter(parts));
        Ok::<_, Infallible>(Response::new(body))
    });
    let client = Client::new(asgi_tower::app(fails));
    let broken = client.get("/").send().await.unwrap_err();
    assert_eq!(broken.body(), "begun");
    let error = broken.app_error().unwrap().chain().to_string();
    assert!(error.contains("the disk is gone"), "{error}");
}

#[tokio::test]
async fn a_request_has_the_rest_of_its_scope_in_its_extensions() {
    let service = service_fn(async |request: Request<TowerBody>| {
        let context = request.extensions().get::<RequestContext>().unwrap();
        let client = context.client.as_ref().and_then(Address::as_ip).unwrap();
        let number: &u32 = context.state.get_ref().unwrap();
        let text = format!("{} {} {client} {number}", context.root_path, request.uri());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
    });
    let mut state = asgi::State::new();
    state.insert(7_u32);
    let client = Client::new(asgi_tower::app(service)).state(state);
    let response = client.mounted_at("/api").get("/a?b").await.unwrap();
    assert_eq!(response.text(), "/api /a?b 127.0.0.1:50000 7");
}

#[tokio::test]
async fn a_client_without_an_ip_address_has_no_connect_info() {
    use axum::extract::ConnectInfo;
    async fn peer(peer: Option<axum::Extension<ConnectInfo<std::net::SocketAddr>>>) -> String {
        format!("{}", peer.is_some())
    }
    let client = Client::new(asgi_tower::app(Router::new().route("/", get(peer))));
    assert_eq!(client.get("/").await.unwrap().text(), "true");
    let local = client
        .get("/")
        .scope(|scope| scope.client = Some(Address::Unix(None)));
    assert_eq!(local.send().await.unwrap().text(), "false");
}

#[tokio::test]
async fn a_handler_runs_on_after_its_client_has_closed_only_its_side() {
    let (go, gate) = tokio::sync::oneshot::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(Some(gate)));
    let waits = get(async move || {
        let gate = gate.lock().unwrap().take().unwrap();
        gate.await.unwrap();
        "late"
    });
    let client = Client::new(asgi_tower::app(Router::new().route("/", waits)));
    let mut exchange = client.get("/").start();
    exchange.disconnect(DisconnectReason::Closed);
    let finish = tokio::spawn(exchange.finish());
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    assert_eq!(finish.await.unwrap().unwrap().text(), "late");
}

#[tokio::test]
async fn a_service_without_a_lifespan_starts() {
    let app = asgi_tower::app(Router::new().route("/", get(async || "up")));
    let client = Client::new(app).startup().await.unwrap();
    assert_eq!(client.get("/").await.unwrap().text(), "up");
    client.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_service_that_cannot_be_made_at_startup_stops_the_server_with_its_causes() {
    let app =
        asgi_tower::at_startup(async || Err::<Router, _>(std::io::Error::other("no database")));
    let error = Client::new(app).startup().await.unwrap_err();
    assert_eq!(error.message(), "no database");
}

#[tokio::test]
async fn a_service_that_is_made_at_startup_serves_nothing_before() {
    let app = asgi_tower::at_startup(async || {
        Ok::<_, Infallible>(Router::new().route("/", get(async || "up")))
    });
    let client = Client::new(app);
    assert_eq!(client.get("/").await.unwrap().status(), 500);
    let started = client.startup().await.unwrap();
    assert_eq!(started.get("/").await.unwrap().text(), "up");
    started.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_empty_request_body_is_at_its_end_at_once() {
    let body = TowerBody::empty();
    assert!(http_body::Body::is_end_stream(&body));
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(0));
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn a_request_without_a_body_is_at_its_end_before_it_is_read() {
    let at_end = post(async |request: AxumRequest| {
        http_body::Body::is_end_stream(request.body()).to_string()
    });
    let client = Client::new(asgi_tower::app(Router::new().route("/", at_end)));
    assert_eq!(client.post("/").await.unwrap().text(), "true");
    assert_eq!(client.post("/").body("x").await.unwrap().text(), "false");
}

#[tokio::test]
async fn extensions_that_the_connection_does_not_support_are_not_used() {
    let echo = service_fn(async |request: Request<TowerBody>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let client = Client::new(asgi_tower::app(echo));
    let client = client.extensions(Extensions::new().with(Extension::EarlyHint));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    let response = client
        .post("/")
        .body("a")
        .trailers(trailers)
        .send()
        .await
        .unwrap();
    assert_eq!(response.text(), "a");
    assert_eq!(response.trailers(), None);
}
