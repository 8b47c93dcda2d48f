//! A chat room for the benchmark: a message that starts with `all` goes to every socket; every other
//! message goes back to its sender.

use std::sync::LazyLock;

use asgi::{
    AppError, Message, ReceiveEvent, Receiver, Scope, Sender, WebSocketAccept, WebSocketSend,
};
use tokio::sync::broadcast;

asgi_abi::export!(app);

/// How many messages a slow socket may miss before the room drops it. All sockets share these few: a
/// queue for each socket would cost more memory than the socket itself.
const BACKLOG: usize = 16;

static ROOM: LazyLock<broadcast::Sender<Message>> =
    LazyLock::new(|| broadcast::Sender::new(BACKLOG));

async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::WebSocket(_) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    // The app needs nothing more from the handshake: free it.
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
