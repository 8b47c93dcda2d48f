//! A connection of hyper in memory, for extractors that take a WebSocket over from hyper.
//!
//! axum's `WebSocketUpgrade` needs hyper's `OnUpgrade`, which only a connection of hyper can make. So
//! this feeds a connection one constant handshake. The service gets the `OnUpgrade` of that handshake
//! in its own request, and its response never passes through this connection.

use std::io;
use std::pin::Pin;
use std::sync::Mutex;

use asgi::AppError;
use bytes::BytesMut;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::TowerBody;

/// The handshake for hyper. Any upgrade will do.
const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// How many bytes may wait between the two ends, in each direction.
const BUFFER: usize = 64 * 1024;

/// What hyper reads and writes at once. It is small because each WebSocket has its own.
const READ_BUFFER: usize = 8 * 1024;

pub(super) struct PrivateConnection {
    near: DuplexStream,
    /// hyper's end. It waits for the response to the handshake.
    server: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    accept: oneshot::Sender<()>,
}

impl PrivateConnection {
    /// Makes a connection, and the value that takes it over after [`upgrade`](Self::upgrade).
    pub(super) async fn open() -> Result<(Self, OnUpgrade), AppError> {
        let (mut near, far) = tokio::io::duplex(BUFFER);
        near.write_all(HANDSHAKE).await?;
        let (accept, accepted) = oneshot::channel();
        let (made, on_upgrade) = oneshot::channel();
        // hyper calls the service once, because the connection has one request.
        let once = Mutex::new(Some((made, accepted)));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let once = once.lock().map_or(None, |mut once| once.take());
            let on_upgrade = hyper::upgrade::on(&mut request);
            async move {
                let (made, accepted) = once.ok_or(Abandoned)?;
                made.send(on_upgrade).map_err(|_| Abandoned)?;
                accepted.await.map_err(|_| Abandoned)?;
                let mut response = Response::new(TowerBody::empty());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                Ok::<_, Abandoned>(response)
            }
        });
        let server = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(far), service)
            .with_upgrades();
        let mut connection = Self {
            near,
            server: Box::pin(server),
            accept,
        };
        tokio::select! {
            on_upgrade = on_upgrade => Ok((connection, on_upgrade?)),
            ended = &mut connection.server => Err(unexpected_end(ended)),
        }
    }

    /// Completes the handshake. The result is the client's end, and frames are masked on it.
    pub(super) async fn upgrade(mut self) -> Result<WebSocketStream<DuplexStream>, AppError> {
        // It fails if hyper has ended, and then `server` says so.
        let _ = self.accept.send(());
        self.server.await?;
        let mut bytes = BytesMut::new();
        let end = loop {
            if self.near.read_buf(&mut bytes).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
        };
        // The handler may have sent messages already.
        let messages = bytes.split_off(end).into();
        // The server has a limit of its own for messages.
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(None)
            .max_frame_size(None);
        let near = self.near;
        Ok(WebSocketStream::from_partially_read(near, messages, Role::Client, Some(config)).await)
    }
}

fn unexpected_end(ended: hyper::Result<()>) -> AppError {
    match ended {
        Ok(()) => "the private connection has ended".into(),
        Err(error) => error.into(),
    }
}

/// The service has ended without an upgrade.
#[derive(Debug)]
struct Abandoned;

impl std::fmt::Display for Abandoned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the upgrade was abandoned")
    }
}

impl std::error::Error for Abandoned {}
