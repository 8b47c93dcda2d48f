//! What handlers of axum need beyond a tower service: `ConnectInfo` and WebSockets.
//!
//! # WebSockets
//!
//! axum's [`WebSocketUpgrade`](axum::extract::ws::WebSocketUpgrade) works unchanged, over HTTP/1.1 and
//! HTTP/2. The handshake always is a GET with HTTP/1.1 for the router, so `get` and `any` both match
//! it. axum takes the socket over from a connection of hyper, so each socket has such a connection in
//! memory, and each message is framed a second time:
//!
//! ```text
//! server ── events ── asgi-tower ── frames in memory ── axum's WebSocket
//! ```
//!
//! Our own [`WebSocketUpgrade`] has none of that cost. To use it, change the import.
//!
//! What differs from axum's own server, with both extractors:
//!
//! - The server assembles messages, compresses them, sends pings, and has limits of its own. A ping of
//!   the handler goes no further than this crate, which answers it.
//! - A response with a status below 300 cannot deny a handshake. The client gets 400 in its place.
//! - If the server does not offer `websocket.http.response`, each denial is a 403.

mod private_connection;
mod pump;
mod upgrade;
mod websocket;

use std::error::Error;
use std::net::SocketAddr;

use asgi::{
    Address, AppError, Extensions, HttpScope, Receiver, Sender, WebSocketAccept, WebSocketScope,
};
use asgi_util::{into_request_parts, send_denial};
use axum::extract::{ConnectInfo, OriginalUri};
use axum::response::IntoResponse;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use tower_service::Service;

use self::private_connection::PrivateConnection;
use self::upgrade::OpenHandshake;
pub use self::upgrade::{WebSocketUpgrade, WebSocketUpgradeRejection};
pub use self::websocket::WebSocket;
use crate::TowerBody;
use crate::call::call_while_connected;

/// Tells the extractor `ConnectInfo<SocketAddr>` who the client is.
pub(crate) fn insert_connect_info(request: &mut Request<TowerBody>, client: Option<&Address>) {
    if let Some(peer) = client.and_then(Address::as_ip) {
        request
            .extensions_mut()
            .insert(ConnectInfo::<SocketAddr>(peer));
    }
}

/// Returns the address that `ConnectInfo` has.
pub(crate) fn connected_peer(extensions: &http::Extensions) -> Option<SocketAddr> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(peer.0)
}

/// Returns the path before axum's routers have stripped anything.
pub(crate) fn original_path(extensions: &http::Extensions) -> Option<&str> {
    let original = extensions.get::<OriginalUri>()?;
    Some(original.0.path())
}

/// Serves one WebSocket with a service whose handlers use axum's extractor or ours.
pub(crate) async fn serve<S, B>(
    service: S,
    scope: WebSocketScope,
    receive: Receiver,
    mut send: Sender,
) -> Result<(), AppError>
where
    S: Service<Request<TowerBody>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let extensions = scope.extensions.clone();
    let client = scope.client.clone();
    let mut request = handshake_request(scope)?;
    insert_connect_info(&mut request, client.as_ref());
    let (connection, on_upgrade) = PrivateConnection::open().await?;
    let handshake = OpenHandshake::default();
    request.extensions_mut().insert(on_upgrade);
    request.extensions_mut().insert(handshake.clone());

    let closed = send.closed();
    let Some(response) = call_while_connected(service, request, closed).await? else {
        return Ok(());
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return deny(&extensions, &mut send, response).await;
    }
    let accept = accept(response.headers())?;
    match handshake.take() {
        Some(accepted) => {
            drop(connection);
            accepted(receive, send, accept).await
        }
        None => pump::pump(connection.upgrade().await?, accept, receive, send).await,
    }
}

/// The request for the router. It is HTTP/1.1 in every case.
fn handshake_request(scope: WebSocketScope) -> Result<Request<TowerBody>, AppError> {
    let mut http = HttpScope::new(Method::GET, scope.target);
    http.version = Version::HTTP_11;
    http.scheme = match &*scope.scheme {
        "wss" => "https".into(),
        _ => "http".into(),
    };
    http.root_path = scope.root_path;
    http.headers = scope.headers;
    http.client = scope.client;
    http.server = scope.server;
    http.state = scope.state;
    http.extensions = scope.extensions;
    http.set_without_body();
    let headers = &mut http.headers;
    // The server negotiates them.
    headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(
        header::SEC_WEBSOCKET_VERSION,
        HeaderValue::from_static("13"),
    );
    // A handshake over HTTP/2 has no key.
    headers
        .entry(header::SEC_WEBSOCKET_KEY)
        .or_insert(HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
    if !scope.subprotocols.is_empty() {
        let names = scope.subprotocols.join(", ").parse()?;
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, names);
    }
    Ok(Request::from_parts(
        into_request_parts(http),
        TowerBody::empty(),
    ))
}

/// What the client gets of the response 101.
fn accept(headers: &HeaderMap) -> Result<WebSocketAccept, AppError> {
    let mut accept = WebSocketAccept::new();
    for (name, value) in headers {
        if name == header::SEC_WEBSOCKET_PROTOCOL {
            accept.subprotocol = Some(value.to_str()?.to_owned());
        } else if !belongs_to_the_server(name) {
            accept.headers.append(name, value.clone());
        }
    }
    Ok(accept)
}

/// The server makes these headers itself, or they have no meaning in a handshake.
fn belongs_to_the_server(name: &http::HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION | header::UPGRADE | header::CONTENT_LENGTH | header::TRANSFER_ENCODING
    ) || name.as_str().starts_with("sec-websocket-")
}

async fn deny<B>(
    extensions: &Extensions,
    send: &mut Sender,
    response: Response<B>,
) -> Result<(), AppError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if response.status().is_success() {
        let text = "this is no WebSocket\n";
        let refusal = (StatusCode::BAD_REQUEST, text).into_response();
        return Ok(send_denial(send, extensions, refusal).await?);
    }
    Ok(send_denial(send, extensions, response).await?)
}
