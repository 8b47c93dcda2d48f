//! WebSockets of axum.
//!
//! axum takes a WebSocket over from a connection of hyper. So the bridge makes such a connection in
//! memory and speaks WebSocket over it, as a client:
//!
//! ```text
//! server ── events ── bridge ── tungstenite ── hyper ── duplex ── hyper ── axum's handler
//! ```
//!
//! A ping of the handler goes no further than the bridge. A response with a status below 300 cannot
//! deny a handshake, so the client gets 426 in its place.

use std::future::pending;

use asgi::{
    AppError, Message, Receiver, Sender, Text, WebSocketAccept, WebSocketClose,
    WebSocketDisconnect, WebSocketHttpResponseStart, WebSocketScope,
};
use asgi_util::WebSocket;
use axum::body::Body;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message as WireMessage, Utf8Bytes};
use tower::ServiceExt;

use super::{Axum, set_peer};

impl Axum {
    pub(super) async fn websocket(
        &self,
        scope: WebSocketScope,
        receive: Receiver,
        mut send: Sender,
    ) -> Result<(), AppError> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let router = self.0.clone();
        let client = scope.client.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            set_peer(&mut request, client.as_ref());
            router.clone().oneshot(request)
        });
        let server = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(far), service)
            .with_upgrades();
        let (mut requests, client) =
            hyper::client::conn::http1::handshake(TokioIo::new(near)).await?;
        let exchange = async {
            let mut response = requests.send_request(handshake(&scope)?).await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return deny(&scope, &mut send, response).await;
            }
            let upgraded = hyper::upgrade::on(&mut response).await?;
            let accept = accept(response.headers())?;
            let socket = WebSocket::accept(receive, send, accept).await?;
            // The server has a limit of its own.
            let config = WebSocketConfig::default()
                .max_message_size(None)
                .max_frame_size(None);
            let io = TokioIo::new(upgraded);
            let handler = WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await;
            pump(socket, handler).await
        };
        // Both ends of the connection run in this future, so they end with it.
        let connection = async {
            let _ = tokio::join!(server, client.with_upgrades());
            pending().await
        };
        tokio::select! {
            result = exchange => result,
            never = connection => never,
        }
    }
}

/// The request for axum. It is HTTP/1.1 in every case.
fn handshake(scope: &WebSocketScope) -> Result<Request<Body>, AppError> {
    let mut request = Request::get(scope.target.as_str()).body(Body::empty())?;
    let headers = request.headers_mut();
    *headers = scope.headers.clone();
    headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
    for (name, value) in [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !scope.subprotocols.is_empty() {
        let names = scope.subprotocols.join(", ").parse()?;
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, names);
    }
    Ok(request)
}

/// What the client gets of axum's response 101.
fn accept(headers: &HeaderMap) -> Result<WebSocketAccept, AppError> {
    let mut accept = WebSocketAccept::new();
    for (name, value) in headers {
        match name {
            // The server makes its own.
            &header::CONNECTION
            | &header::UPGRADE
            | &header::SEC_WEBSOCKET_ACCEPT
            | &header::DATE => {}
            &header::SEC_WEBSOCKET_PROTOCOL => {
                accept.subprotocol = Some(value.to_str()?.to_owned());
            }
            name => drop(accept.headers.append(name, value.clone())),
        }
    }
    Ok(accept)
}

async fn deny(
    scope: &WebSocketScope,
    send: &mut Sender,
    response: Response<Incoming>,
) -> Result<(), AppError> {
    let (head, body) = response.into_parts();
    if head.status.is_success() {
        let start = WebSocketHttpResponseStart::new(StatusCode::UPGRADE_REQUIRED);
        return Ok(WebSocket::deny(scope, send, start, "not a WebSocket\n").await?);
    }
    let mut start = WebSocketHttpResponseStart::new(head.status);
    start.headers = head.headers;
    let body = body.collect().await?.to_bytes();
    Ok(WebSocket::deny(scope, send, start, body).await?)
}

/// Passes messages in both directions. Neither direction waits for the other: if both are full, they
/// would wait for each other.
async fn pump(
    socket: WebSocket,
    handler: WebSocketStream<TokioIo<Upgraded>>,
) -> Result<(), AppError> {
    let (mut receive, mut send) = socket.split();
    let (mut to_handler, mut from_handler) = handler.split();
    // Returns whether the handler may still answer.
    let incoming = async {
        while let Some(message) = receive.receive().await {
            let message = match message {
                // `Utf8Bytes` checks the text a second time.
                Message::Text(text) => WireMessage::Text(Utf8Bytes::try_from(text.into_bytes())?),
                Message::Binary(data) => WireMessage::Binary(data),
                _ => continue,
            };
            if to_handler.send(message).await.is_err() {
                return Ok(true);
            }
        }
        let Some(close) = close_of_client(receive.disconnect()) else {
            return Ok(false);
        };
        // It fails if the handler has ended.
        let _ = to_handler.send(close).await;
        Ok::<_, AppError>(true)
    };
    let outgoing = async {
        while let Some(Ok(message)) = from_handler.next().await {
            match message {
                WireMessage::Text(text) => send.send(Text::try_from(Bytes::from(text))?).await?,
                WireMessage::Binary(data) => send.send(data).await?,
                WireMessage::Close(frame) => {
                    let close = frame.map_or_else(WebSocketClose::default, |frame| {
                        WebSocketClose::new(frame.code.into()).reason(frame.reason.as_str())
                    });
                    return Ok(send.close(close).await?);
                }
                _ => {}
            }
        }
        // The handler has dropped its socket without a close frame.
        Err(AppError::aborted())
    };
    let mut outgoing = std::pin::pin!(outgoing);
    tokio::select! {
        may_answer = incoming => if may_answer? { outgoing.await } else { Ok(()) },
        result = &mut outgoing => result,
    }
}

/// The close frame of a client that has closed its socket. A lost connection has none.
fn close_of_client(disconnect: Option<&WebSocketDisconnect>) -> Option<WireMessage> {
    let disconnect = disconnect?;
    match disconnect.code {
        1006 => None,
        1005 => Some(WireMessage::Close(None)),
        code => Some(WireMessage::Close(Some(CloseFrame {
            code: code.into(),
            reason: disconnect.reason.clone().into(),
        }))),
    }
}
