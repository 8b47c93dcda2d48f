//! axum on hyper-util's builder, because only the builder can set a header time-out.

use std::io;

use axum::Router;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use crate::{HEADER_TIMEOUT, Options, announce, app, listen};

pub fn run(options: &Options) -> io::Result<()> {
    let router = Router::new().route("/", get(|| async { app::BODY }));
    #[cfg(feature = "websocket-peers")]
    let router = router.route("/echo", get(socket::echo));
    serve(options, &router)
}

/// Uses a smaller read buffer for each WebSocket. By default it has 128 KiB, and axum clears all of
/// it before each read. Few users will find this option.
#[cfg(feature = "websocket-peers")]
pub fn run_small(options: &Options) -> io::Result<()> {
    serve(
        options,
        &Router::new().route("/echo", get(socket::echo_small)),
    )
}

fn serve(options: &Options, router: &Router) -> io::Result<()> {
    let listener = listen()?;
    announce(listener.local_addr()?);
    options.run(|| async {
        let listener = TcpListener::from_std(listener.try_clone()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(async move {
                let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
                builder
                    .http1()
                    .pipeline_flush(true)
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT);
                let stream = TokioIo::new(stream);
                #[cfg(feature = "websocket-peers")]
                let connection = builder.serve_connection_with_upgrades(stream, service);
                #[cfg(not(feature = "websocket-peers"))]
                let connection = builder.serve_connection(stream, service);
                // It is not an error if a client leaves.
                drop(connection.await);
            });
        }
    })
}

#[cfg(feature = "websocket-peers")]
mod socket {
    use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
    use axum::response::Response;

    pub(super) async fn echo(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(serve)
    }

    pub(super) async fn echo_small(upgrade: WebSocketUpgrade) -> Response {
        upgrade.read_buffer_size(SMALL).on_upgrade(serve)
    }

    /// Enough for the largest measured message, and less than twice its size.
    const SMALL: usize = 20 * 1024;

    async fn serve(mut socket: WebSocket) {
        while let Some(Ok(message)) = socket.recv().await {
            if matches!(message, Message::Text(_) | Message::Binary(_))
                && socket.send(message).await.is_err()
            {
                return;
            }
        }
    }
}
