//! One WebSocket. The handshake is a request of its own to the upstream, with another key.

use std::time::Duration;

use asgi::{
    AppError, Extension, Message, Receiver, Sender, Text, WebSocketAccept, WebSocketClose,
    WebSocketDisconnect, WebSocketHttpResponseBody, WebSocketHttpResponseStart, WebSocketScope,
};
use asgi_util::WebSocket;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::Proxy;
use super::headers::{Origin, for_upstream, remove_hop_by_hop};
use super::pool::RequestBody;

/// How long the upstream may take to answer a close frame.
const CLOSING: Duration = Duration::from_secs(5);

/// Fields of the handshake that each of the two handshakes has for itself.
const HANDSHAKE: [header::HeaderName; 5] = [
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
];

/// Forwards a WebSocket: first its handshake, then messages and closes in both directions.
pub(super) async fn forward(
    proxy: &Proxy,
    scope: WebSocketScope,
    receive: Receiver,
    mut send: Sender,
) -> Result<(), AppError> {
    let key = generate_key();
    let answer = tokio::time::timeout(proxy.patience, async {
        let mut connection = proxy.pool.connect().await?;
        let response = connection
            .send_request(handshake(proxy, &scope, &key)?)
            .await?;
        Ok((response, connection))
    });
    let answer = tokio::select! {
        answer = answer => answer,
        reason = send.closed() => return Err(reason.into()),
    };
    // The connection stays open as long as this value lives.
    let (mut response, _connection) = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return fail(&scope, &mut send, StatusCode::BAD_GATEWAY, &error).await,
        Err(late) => {
            return fail(&scope, &mut send, StatusCode::GATEWAY_TIMEOUT, &late.into()).await;
        }
    };
    remove_hop_by_hop(response.headers_mut());
    if response.status().as_u16() >= 300 {
        return deny(&scope, &mut send, response).await;
    }
    let Some(accept) = accept(&scope, &key, &response) else {
        let error = AppError::from("its answer to the handshake is not valid");
        return fail(&scope, &mut send, StatusCode::BAD_GATEWAY, &error).await;
    };
    let upgraded = TokioIo::new(hyper::upgrade::on(response).await?);
    let upstream = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    let client = WebSocket::accept(receive, send, accept).await?;
    pass(client, upstream).await
}

/// Makes the handshake for the upstream. It offers no extensions, so messages are not compressed.
fn handshake(
    proxy: &Proxy,
    scope: &WebSocketScope,
    key: &str,
) -> Result<Request<RequestBody>, AppError> {
    let mut headers = scope.headers.clone();
    let origin = Origin {
        version: scope.version,
        scheme: &scope.scheme,
        client: scope.client.as_ref(),
    };
    for_upstream(proxy, &mut headers, &origin);
    remove_handshake(&mut headers);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(
        header::SEC_WEBSOCKET_VERSION,
        HeaderValue::from_static("13"),
    );
    headers.insert(header::SEC_WEBSOCKET_KEY, key.try_into()?);
    if !scope.subprotocols.is_empty() {
        let offered = scope.subprotocols.join(", ").try_into()?;
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
    }
    let body = Empty::new().map_err(Into::into).boxed_unsync();
    let mut request = Request::get(scope.target.as_str()).body(body)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Makes the accept for the client. Returns `None` if the upstream has not accepted (RFC 6455 §4.1).
fn accept(
    scope: &WebSocketScope,
    key: &str,
    response: &Response<Incoming>,
) -> Option<WebSocketAccept> {
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
    for name in &HANDSHAKE {
        headers.remove(name);
    }
}

/// Denies the handshake with the response of the upstream, part by part.
async fn deny(
    scope: &WebSocketScope,
    send: &mut Sender,
    response: Response<Incoming>,
) -> Result<(), AppError> {
    if !scope.extensions.has(Extension::WebSocketHttpResponse) {
        return Ok(send.send(WebSocketClose::default()).await?);
    }
    let (head, mut body) = response.into_parts();
    let mut start = WebSocketHttpResponseStart::new(head.status);
    start.headers = head.headers;
    send.send(start).await?;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(AppError::aborted_by)?.into_data() {
            send.send(WebSocketHttpResponseBody::new(data, true))
                .await?;
        }
    }
    send.send(WebSocketHttpResponseBody::new(Bytes::new(), false))
        .await?;
    Ok(())
}

async fn fail(
    scope: &WebSocketScope,
    send: &mut Sender,
    status: StatusCode,
    error: &AppError,
) -> Result<(), AppError> {
    tracing::warn!(error = %error.chain(), %status, "the upstream failed");
    let start = WebSocketHttpResponseStart::new(status);
    WebSocket::deny(scope, send, start, "the upstream failed\n").await?;
    Ok(())
}

/// Passes messages and closes until one side is closed. Each direction waits for itself only.
async fn pass(
    client: WebSocket,
    upstream: WebSocketStream<TokioIo<Upgraded>>,
) -> Result<(), AppError> {
    let (mut from_client, mut to_client) = client.split();
    let (mut to_upstream, mut from_upstream) = upstream.split();
    let inbound = async {
        // If the upstream is gone, `outbound` learns it too.
        while let Some(message) = from_client.receive().await {
            let _ = to_upstream.send(to_frame(message)).await;
        }
        // Without a close frame (1006), the upstream sees none either.
        if let Some(frame) = from_client.disconnect().and_then(to_close_frame) {
            let _ = to_upstream.send(frame).await;
            tokio::time::sleep(CLOSING).await;
        }
    };
    let outbound = async {
        let close = loop {
            let message = match from_upstream.next().await {
                Some(Ok(Frame::Text(text))) => Message::text(Text::try_from(Bytes::from(text))?),
                Some(Ok(Frame::Binary(data))) => Message::binary(data),
                Some(Ok(Frame::Close(close))) => break close,
                // tungstenite answers pings.
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(AppError::aborted_by(error)),
                None => return Err(AppError::aborted()),
            };
            // If the client is gone, `inbound` learns it too and closes the upstream.
            let _ = to_client.send(message).await;
        };
        // It fails if the client was first.
        let _ = to_client.close(from_close_frame(close)).await;
        // The upstream gets its close frame back and then ends the connection.
        while let Some(Ok(_)) = from_upstream.next().await {}
        Ok(())
    };
    tokio::select! {
        () = inbound => Ok(()),
        result = outbound => result,
    }
}

fn to_frame(message: Message) -> Frame {
    match message {
        Message::Text(text) => Frame::text(&*text),
        other => Frame::binary(other.into_bytes()),
    }
}

fn to_close_frame(close: &WebSocketDisconnect) -> Option<Frame> {
    match close.code {
        1005 => Some(Frame::Close(None)),
        1006 => None,
        code => Some(Frame::Close(Some(CloseFrame {
            code: code.into(),
            reason: close.reason.as_str().into(),
        }))),
    }
}

/// A close without a code becomes 1000. So does 1010, which only clients may send.
fn from_close_frame(close: Option<CloseFrame>) -> WebSocketClose {
    match close.map(|close| (u16::from(close.code), close.reason)) {
        None | Some((1010, _)) => WebSocketClose::default(),
        Some((code, reason)) => WebSocketClose::new(code).reason(reason.as_str()),
    }
}
