//! One router with everything that an axum program has. It knows nothing of `asgi`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{
    ConnectInfo, DefaultBodyLimit, Form, Multipart, OriginalUri, Path, Query, Request,
};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::StreamBody;
use serde_json::Value;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::services::ServeDir;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::websockets;

/// `files` is a folder with static files.
pub fn router(files: &FilePath) -> Router {
    let slow = Router::new()
        .route("/slow", get(async || std::future::pending::<&str>().await))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            Duration::from_millis(20),
        ));
    let compressed = Router::new()
        .route("/text", get(async || "text ".repeat(1000)))
        .route("/short", get(async || "short"))
        .layer(CompressionLayer::new());
    let limited = Router::new()
        .route("/extractor", post(length))
        .layer(DefaultBodyLimit::max(10))
        .route("/layer", post(length).layer(RequestBodyLimitLayer::new(10)));
    Router::new()
        .route("/", get(async || "Hello, world!\n"))
        .route("/html", get(async || Html("<p>Hello</p>")))
        .route("/empty", get(async || StatusCode::NO_CONTENT))
        .route("/redirect", get(async || Redirect::to("/html?a=b")))
        .route("/cookies", get(cookies))
        .route("/large", get(async || vec![7_u8; 1 << 20]))
        .route("/path/{name}/{*rest}", get(path))
        .route("/query", get(query))
        .route("/headers", get(headers))
        .route("/host", get(host))
        .route("/peer", get(peer))
        .route("/json", post(json))
        .route("/form", post(form))
        .route("/multipart", post(multipart))
        .route("/length", post(length))
        .route(
            "/echo",
            post(async |request: Request| Response::new(request.into_body())),
        )
        .route("/events", get(events))
        .route("/trailers", get(trailers))
        .route("/breaks", get(breaks))
        .route(
            "/error",
            get(async || (StatusCode::IM_A_TEAPOT, "short and stout")),
        )
        .route("/panics", get(panics).layer(CatchPanicLayer::new()))
        .route(
            "/cors",
            get(async || "shared").layer(CorsLayer::permissive()),
        )
        .route(
            "/traced",
            get(async || "traced").layer(TraceLayer::new_for_http()),
        )
        .route(
            "/stamped",
            get(async || "stamped").layer(middleware::from_fn(stamp)),
        )
        .route("/sockets/any-method", any(async || "any"))
        .nest("/nested/{id}", Router::new().route("/uri", get(uri)))
        .nest("/compressed", compressed)
        .nest("/limited", limited)
        .nest("/timed", slow)
        .nest("/ws", websockets::router())
        .nest_service("/files", ServeDir::new(files))
}

async fn cookies() -> impl IntoResponse {
    let cookies = [
        (header::SET_COOKIE, "a=1"),
        (header::SET_COOKIE, "b=2; HttpOnly"),
    ];
    (AppendHeaders(cookies), "two cookies")
}

async fn path(Path((name, rest)): Path<(String, String)>) -> String {
    format!("{name} {rest}")
}

async fn query(Query(pairs): Query<Vec<(String, String)>>) -> String {
    format!("{pairs:?}")
}

/// The headers that the test has sent.
async fn headers(headers: HeaderMap) -> String {
    let mut lines: Vec<String> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-"))
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    lines.concat()
}

/// The host, where a program of axum looks for it.
async fn host(request: Request) -> String {
    let in_header = request.headers().get(header::HOST);
    let in_header = in_header.and_then(|host| host.to_str().ok());
    let in_uri = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    in_header.or(in_uri).unwrap_or("none").to_owned()
}

async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    peer.ip().to_string()
}

async fn json(Json(value): Json<Value>) -> Json<Value> {
    Json(serde_json::json!({ "got": value }))
}

async fn form(Form(pairs): Form<Vec<(String, String)>>) -> String {
    format!("{pairs:?}")
}

async fn multipart(mut parts: Multipart) -> Result<String, Response> {
    let mut text = String::new();
    loop {
        let part = parts
            .next_field()
            .await
            .map_err(IntoResponse::into_response)?;
        let Some(part) = part else {
            return Ok(text);
        };
        let name = part.name().unwrap_or("").to_owned();
        let file = part.file_name().unwrap_or("-").to_owned();
        let bytes = part.bytes().await.map_err(IntoResponse::into_response)?;
        text += &format!("{name} {file} {}\n", bytes.len());
    }
}

async fn length(body: Bytes) -> String {
    body.len().to_string()
}

async fn events() -> impl IntoResponse {
    let events = stream::iter(1..=3).then(async |number| {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Event::default().id(number.to_string()).data("a\nb"))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn trailers() -> Response {
    let trailers = HeaderMap::from_iter([(
        header::HeaderName::from_static("x-sum"),
        HeaderValue::from_static("9"),
    )]);
    let frames = [
        Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(b"body"))),
        Ok(http_body::Frame::trailers(trailers)),
    ];
    let mut response = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
    let names = HeaderValue::from_static("x-sum");
    response.headers_mut().insert(header::TRAILER, names);
    response
}

/// Fails after its first part has had time to reach the client.
async fn breaks() -> Response {
    let begun = stream::once(async { Ok("begun") });
    let breaks = stream::once(async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::Error::other("on purpose"))
    });
    Response::new(Body::from_stream(begun.chain(breaks)))
}

async fn panics() -> &'static str {
    panic!("on purpose")
}

async fn stamp(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let stamp = HeaderValue::from_static("stamped");
    response.headers_mut().insert("x-stamp", stamp);
    response
}

async fn uri(OriginalUri(original): OriginalUri, request: Request) -> String {
    format!("{} {}", original.path(), request.uri().path())
}
