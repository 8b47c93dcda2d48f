//! Early hints and pushes of a handler.

use std::sync::Mutex;

use asgi::{DisconnectReason, Extension, Extensions, HttpResponsePush};
use asgi_testing::Client;
use asgi_tower::{EarlyHints, ServerPush};
use axum::routing::get;
use axum::{Extension as FromExtensions, Router};
use http::HeaderValue;
use http::uri::PathAndQuery;
use test_support::within;

const LINK: HeaderValue = HeaderValue::from_static("</a.css>; rel=preload; as=style");

type Hints = Option<FromExtensions<EarlyHints>>;
type Push = Option<FromExtensions<ServerPush>>;

fn client(extensions: Extensions) -> Client {
    let page = get(async |hints: Hints, push: Push| {
        let mut done = Vec::new();
        if let Some(FromExtensions(hints)) = hints {
            hints.send([LINK]).await.unwrap();
            done.push("hinted");
        }
        if let Some(FromExtensions(push)) = push {
            push.push(PathAndQuery::from_static("/a.css"))
                .await
                .unwrap();
            let mut request = HttpResponsePush::new(PathAndQuery::from_static("/b.css"));
            request
                .headers
                .insert("x-color", HeaderValue::from_static("red"));
            push.push_request(request).await.unwrap();
            done.push("pushed");
        }
        done.join(" ")
    });
    let router = Router::new()
        .route("/", page)
        .route("/a.css", get(async || "a {}"))
        .route(
            "/b.css",
            get(async |headers: http::HeaderMap| format!("{:?}", headers["x-color"])),
        );
    Client::new(asgi_tower::app(router)).extensions(extensions)
}

#[tokio::test]
async fn a_handler_sends_early_hints_before_its_response() {
    let client = client(Extensions::new().with(Extension::EarlyHint));
    let response = client.get("/").await.unwrap();
    assert_eq!(response.text(), "hinted");
    assert_eq!(response.early_hints()[0].links, [LINK]);
}

#[tokio::test]
async fn a_handler_pushes_other_routes_of_its_router() {
    let client = client(Extensions::new().with(Extension::Push));
    let response = client.get("/").await.unwrap();
    assert_eq!(response.text(), "pushed");
    let pushed: Vec<_> = response.pushes().iter().map(|one| one.path()).collect();
    assert_eq!(pushed, ["/a.css", "/b.css"]);
    let texts = response
        .pushes()
        .iter()
        .map(|one| one.response().unwrap().text());
    assert_eq!(texts.collect::<Vec<_>>(), ["a {}", "\"red\""]);
}

#[tokio::test]
async fn a_request_has_only_the_handles_that_its_connection_supports() {
    let response = client(Extensions::new()).get("/").await.unwrap();
    assert_eq!(response.text(), "");
    let both = Extensions::new()
        .with(Extension::EarlyHint)
        .with(Extension::Push);
    let response = client(both).get("/").await.unwrap();
    assert_eq!(response.text(), "hinted pushed");
}

#[tokio::test]
async fn a_handle_is_over_once_the_handler_has_returned() {
    static KEPT: Mutex<Option<EarlyHints>> = Mutex::new(None);
    let keeps = get(async |FromExtensions(hints): FromExtensions<EarlyHints>| {
        *KEPT.lock().unwrap() = Some(hints);
        "kept"
    });
    let client = Client::new(asgi_tower::app(Router::new().route("/", keeps)));
    assert_eq!(client.get("/").await.unwrap().text(), "kept");
    let hints = KEPT.lock().unwrap().take().unwrap();
    assert!(hints.send([LINK]).await.unwrap_err().is_over());
}

#[tokio::test]
async fn a_handler_with_handles_is_dropped_when_its_client_leaves() {
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let waits = get(
        async move |FromExtensions(_hints): FromExtensions<EarlyHints>| {
            started.send(()).unwrap();
            std::future::pending::<&str>().await
        },
    );
    let client = Client::new(asgi_tower::app(Router::new().route("/", waits)));
    let mut exchange = client.get("/").start();
    tokio::select! {
        event = exchange.next_event() => panic!("{event:?}"),
        () = async { starts.recv().await.unwrap() } => {}
    }
    exchange.disconnect(DisconnectReason::Lost);
    let end = within("the end of the handler", exchange.finish()).await;
    assert_eq!(end.unwrap_err().fault(), None);
}
