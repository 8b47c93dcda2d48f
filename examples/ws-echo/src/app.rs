//! The smallest app with a WebSocket: it sends each message back.

use asgi::{
    AppError, HttpResponseStart, ReceiveEvent, Receiver, Scope, Sender, WebSocketAccept,
    WebSocketScope, WebSocketSend,
};

/// The app.
pub(crate) async fn app(scope: Scope, receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    match scope {
        Scope::WebSocket(websocket) => echo(&websocket, receive, send).await,
        Scope::Http(_) => {
            let start = HttpResponseStart::ok().content_type("text/plain; charset=utf-8");
            let hint = "Open a WebSocket here: the app sends your messages back.\n";
            Ok(send.respond(start, hint).await?)
        }
        other => Err(AppError::unsupported(&other)),
    }
}

/// Accepts the first subprotocol that the client offers, and sends each message back.
async fn echo(
    scope: &WebSocketScope,
    mut receive: Receiver,
    mut send: Sender,
) -> Result<(), AppError> {
    loop {
        match receive.receive().await {
            ReceiveEvent::WebSocketConnect(_) => {
                let mut accept = WebSocketAccept::new();
                accept.subprotocol = scope.subprotocols.first().cloned();
                send.send(accept).await?;
            }
            ReceiveEvent::WebSocketReceive(event) => {
                send.send(WebSocketSend::new(event.message)).await?;
            }
            _ => return Ok(()),
        }
    }
}
