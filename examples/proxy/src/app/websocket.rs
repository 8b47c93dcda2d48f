//! One WebSocket.

use std::time::Duration;

use asgi::{
    AppError, Message, Receiver, Sender, Text, WebSocketClose, WebSocketDisconnect,
    WebSocketHttpResponseStart, WebSocketScope,
};
use asgi_util::{WebSocket, send_denial};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::Proxy;
use super::handshake::{Answer, Upstream, open};

/// How long the upstream may take to answer a close frame.
const CLOSING: Duration = Duration::from_secs(5);

/// Forwards a WebSocket: first its handshake, then messages and closes in both directions.
pub(super) async fn forward(
    proxy: &Proxy,
    scope: WebSocketScope,
    receive: Receiver,
    mut send: Sender,
) -> Result<(), AppError> {
    let answer = tokio::select! {
        answer = tokio::time::timeout(proxy.patience, open(proxy, &scope)) => answer,
        reason = send.closed() => return Err(reason.into()),
    };
    let (status, error) = match answer {
        Ok(Ok(Answer::Accepted(accept, upstream))) => {
            let client = WebSocket::accept(receive, send, accept).await?;
            return pass(client, *upstream).await;
        }
        Ok(Ok(Answer::Denied(response))) => {
            return match send_denial(&mut send, &scope.extensions, response).await {
                Err(error) if error.is_body() => Err(AppError::aborted_by(error)),
                result => Ok(result?),
            };
        }
        Ok(Err(error)) => (StatusCode::BAD_GATEWAY, error),
        Err(late) => (StatusCode::GATEWAY_TIMEOUT, late.into()),
    };
    tracing::warn!(error = %error.chain(), %status, "the upstream failed");
    let start = WebSocketHttpResponseStart::new(status);
    WebSocket::deny(&scope, &mut send, start, "the upstream failed\n").await?;
    Ok(())
}

/// Passes messages and closes until one side is closed. Each direction waits for itself only.
async fn pass(client: WebSocket, upstream: Upstream) -> Result<(), AppError> {
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
