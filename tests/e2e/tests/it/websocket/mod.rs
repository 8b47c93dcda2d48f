//! WebSockets, over HTTP/1.1 and over HTTP/2.

mod close;
mod flow;
mod handshake;
mod messages;
mod shutdown;

use asgi::{App, WebSocketDisconnect};
use tokio::sync::mpsc::UnboundedReceiver;

use test_support::app::channel;
use test_support::{websocket_with, within};

/// An app that echoes, and tells how each socket was closed.
fn echo() -> (impl App, UnboundedReceiver<WebSocketDisconnect>) {
    let (told, ends) = channel();
    let app = websocket_with(told, async |told, mut socket| {
        socket.accept().await?;
        told.send(socket.echo().await?)?;
        Ok(())
    });
    (app, ends)
}

/// What the app was told of the end.
#[track_caller]
fn told(
    ends: &mut UnboundedReceiver<WebSocketDisconnect>,
) -> impl Future<Output = WebSocketDisconnect> {
    let end = within("the app's disconnect", ends.recv());
    async move { end.await.unwrap() }
}
