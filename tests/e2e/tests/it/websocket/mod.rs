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

/// An app that echoes, and reports how each WebSocket was closed.
fn echo() -> (impl App, UnboundedReceiver<WebSocketDisconnect>) {
    let (report, ends) = channel();
    let app = websocket_with(report, async |report, mut socket| {
        socket.accept().await?;
        report.send(socket.echo().await?)?;
        Ok(())
    });
    (app, ends)
}

/// Waits for the next report of [`echo`].
#[track_caller]
fn next_end(
    ends: &mut UnboundedReceiver<WebSocketDisconnect>,
) -> impl Future<Output = WebSocketDisconnect> {
    let end = within("the app's disconnect", ends.recv());
    async move { end.await.unwrap() }
}
