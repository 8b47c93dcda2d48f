//! Poem.

use std::convert::Infallible;
use std::sync::Arc;

use asgi::{Address, App};
use asgi_tower::TowerBody;
use asgi_util::RequestContext;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::uri::Scheme;
use poem::web::sse::{Event, SSE};
use poem::web::websocket::WebSocket;
use poem::web::{Data, LocalAddr, Path, RemoteAddr};
use poem::{
    Addr, Body, Endpoint, EndpointExt as _, IntoEndpoint, IntoResponse, RequestParts, Response,
    Route, get, handler, post,
};

use crate::Running;
use crate::sync_body::sync;

/// Makes an app of an endpoint of Poem.
pub fn adapt(endpoint: impl IntoEndpoint<Endpoint: 'static>) -> impl App {
    let endpoint = Arc::new(endpoint.into_endpoint());
    asgi_tower::app(tower::service_fn(move |request| {
        let endpoint = Arc::clone(&endpoint);
        async move { Ok::<_, Infallible>(endpoint.get_response(convert(request)).await.into()) }
    }))
}

/// The request for Poem.
fn convert(request: http::Request<TowerBody>) -> poem::Request {
    let (parts, body) = request.into_parts();
    let context = parts.extensions.get::<RequestContext>();
    let address = |address: Option<&Address>| address.and_then(Address::as_ip).map(Addr::from);
    let client = address(context.and_then(|context| context.client.as_ref()));
    let server = address(context.and_then(|context| context.server.as_ref()));
    let is_tls = context.is_some_and(|context| &*context.scheme == "https");
    let scheme = if is_tls { Scheme::HTTPS } else { Scheme::HTTP };
    let local = LocalAddr(server.unwrap_or_default());
    let remote = RemoteAddr(client.unwrap_or_default());
    let parts = RequestParts::from((parts, local, remote, scheme));
    poem::Request::from_parts(parts, Body::from(sync(body)))
}

/// The app that the tests use.
pub fn app(running: Running) -> impl App {
    let routes = Route::new()
        .at("/hello/:name", get(hello))
        .at("/echo", post(echo))
        .at("/peer", get(peer))
        .at("/fails", get(fails))
        .at("/slow", get(slow))
        .at("/events", get(events))
        .at("/ws", get(socket));
    adapt(routes.data(running))
}

#[handler]
fn hello(Path(name): Path<String>) -> String {
    format!("Hello {name}")
}

#[handler]
fn echo(body: Body) -> Response {
    let parts = body.into_bytes_stream();
    Response::builder().body(Body::from_bytes_stream(parts))
}

#[handler]
fn peer(remote: &RemoteAddr) -> String {
    match &remote.0 {
        Addr::SocketAddr(address) => address.to_string(),
        other => format!("{other:?}"),
    }
}

#[handler]
fn fails() -> poem::Result<()> {
    Err(poem::Error::from_status(http::StatusCode::IM_A_TEAPOT))
}

#[handler]
async fn slow(Data(running): Data<&Running>) {
    let _running = running.begin();
    std::future::pending::<()>().await;
}

#[handler]
fn events(Data(running): Data<&Running>) -> SSE {
    let running = running.begin();
    let first = stream::iter([Event::message("one"), Event::message("two")]);
    let silence = stream::once(async move {
        let _running = running;
        std::future::pending().await
    });
    SSE::new(first.chain(silence))
}

#[handler]
fn socket(socket: WebSocket, Data(running): Data<&Running>) -> impl IntoResponse {
    let running = running.begin();
    socket
        .protocols(["echo"])
        .on_upgrade(async move |mut socket| {
            let _running = running;
            while let Some(Ok(message)) = socket.next().await {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        })
}
