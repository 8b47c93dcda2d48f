//! A room with many sockets: what begins with `all` goes to everyone in it, all else comes back.

use std::sync::LazyLock;

use asgi::{
    AppError, Message, ReceiveEvent, Receiver, Scope, Sender, WebSocketAccept, WebSocketSend,
};
use tokio::sync::broadcast;

asgi_abi::export!(app);

/// How many messages everyone may be behind, the same few for all: a queue for each would be what a
/// socket consists of. Who is further behind is let go.
const BEHIND: usize = 16;

static ROOM: LazyLock<broadcast::Sender<Message>> =
    LazyLock::new(|| broadcast::Sender::new(BEHIND));

async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::WebSocket(_) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    // It has no use for what else the handshake said.
    drop(scope);
    let mut room = ROOM.subscribe();
    loop {
        // Both are cancel-safe.
        let message = tokio::select! {
            event = receive.receive() => match event {
                ReceiveEvent::WebSocketConnect(_) => {
                    send.send(WebSocketAccept::new()).await?;
                    continue;
                }
                ReceiveEvent::WebSocketReceive(event) => event.message,
                _ => return Ok(()),
            },
            message = room.recv() => {
                send.send(WebSocketSend::new(message?)).await?;
                continue;
            }
        };
        if message.as_bytes().starts_with(b"all") {
            ROOM.send(message)?;
        } else {
            send.send(WebSocketSend::new(message)).await?;
        }
    }
}
