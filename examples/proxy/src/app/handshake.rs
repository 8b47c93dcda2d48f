//! The handshake of a WebSocket with the upstream.

use asgi::{AppError, WebSocketAccept, WebSocketScope};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Proxy;
use super::headers::{Origin, for_upstream, remove_hop_by_hop};
use super::pool::RequestBody;

/// A WebSocket to the upstream.
pub(super) type Upstream = WebSocketStream<TokioIo<Upgraded>>;

/// How the upstream answers a handshake.
pub(super) enum Answer {
    /// With what the client gets.
    Accepted(WebSocketAccept, Box<Upstream>),
    Denied(Response<Incoming>),
}

/// The client and the upstream each have a handshake of their own with the proxy.
const OF_ONE_HANDSHAKE: [HeaderName; 5] = [
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
];

/// Opens a WebSocket to the upstream, on a connection that does not belong to the pool.
pub(super) async fn open(proxy: &Proxy, scope: &WebSocketScope) -> Result<Answer, AppError> {
    let key = generate_key();
    let mut connection = proxy.pool.connect().await?;
    let request = request(proxy, scope, &key)?;
    let mut response = connection.send_request(request).await?;
    remove_hop_by_hop(response.headers_mut());
    if response.status().as_u16() >= 300 {
        return Ok(Answer::Denied(response));
    }
    let accept = accept(scope, &key, &response).ok_or("its answer to the handshake is invalid")?;
    let upgraded = TokioIo::new(hyper::upgrade::on(response).await?);
    let upstream = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    Ok(Answer::Accepted(accept, Box::new(upstream)))
}

/// Makes the request. It offers no extensions, so messages are not compressed.
fn request(
    proxy: &Proxy,
    scope: &WebSocketScope,
    key: &str,
) -> Result<Request<RequestBody>, AppError> {
    let body = Empty::<Bytes>::new().map_err(Into::into).boxed_unsync();
    let mut request = Request::get(scope.target.as_str()).body(body)?;
    let headers = request.headers_mut();
    *headers = scope.headers.clone();
    let origin = Origin {
        version: scope.version,
        scheme: &scope.scheme,
        client: scope.client.as_ref(),
    };
    for_upstream(proxy, headers, &origin);
    remove_handshake(headers);
    for (name, value) in [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_KEY, key),
    ] {
        headers.insert(name, HeaderValue::from_str(value)?);
    }
    if !scope.subprotocols.is_empty() {
        let offered = scope.subprotocols.join(", ").try_into()?;
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
    }
    Ok(request)
}

/// Makes the accept for the client, or `None` if the upstream has not accepted (RFC 6455 §4.1).
fn accept<B>(scope: &WebSocketScope, key: &str, response: &Response<B>) -> Option<WebSocketAccept> {
    let mut headers = response.headers().clone();
    let proof = headers.get(header::SEC_WEBSOCKET_ACCEPT)?;
    let is_proven = *proof == derive_accept_key(key.as_bytes());
    let is_extended = headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS || !is_proven || is_extended {
        return None;
    }
    let mut accept = WebSocketAccept::new();
    if let Some(chosen) = headers.get(header::SEC_WEBSOCKET_PROTOCOL) {
        let chosen = scope
            .subprotocols
            .iter()
            .find(|offered| *offered == chosen)?;
        accept.subprotocol = Some(chosen.clone());
    }
    remove_handshake(&mut headers);
    accept.headers = headers;
    Some(accept)
}

fn remove_handshake(headers: &mut HeaderMap) {
    for name in &OF_ONE_HANDSHAKE {
        headers.remove(name);
    }
}
