//! A connection of HTTP/1.1 that has become a WebSocket.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use asgi::DisconnectReason;
use bytes::{Bytes, BytesMut};

use super::transport::Transport;
use crate::exchange::{CancelOnDrop, Exchange};
use crate::net::Peer;
use crate::server::Server;
use crate::websocket::{Driver, Encoder, Io, SocketEnd};

/// Drives the socket to its end. `read` holds the bytes that the client has sent after its handshake.
pub(super) async fn serve(
    server: Arc<Server>,
    transport: Transport,
    exchange: Arc<Exchange>,
    read: Bytes,
) {
    let mut cancel = CancelOnDrop::new(&exchange);
    let io = OverHttp1(transport);
    let mut driver = Driver::new(&server, exchange, io, BytesMut::from(read));
    let end = std::future::poll_fn(|cx| driver.poll(cx)).await;
    let OverHttp1(mut transport) = driver.finish(end);
    cancel.release();
    match end {
        SocketEnd::Cut | SocketEnd::Lost => {}
        // The client takes nothing, so it would not take the end either.
        SocketEnd::TimedOut(_) if transport.stuck_since().is_some() => transport.reset_on_close(),
        SocketEnd::Closed | SocketEnd::TimedOut(_) | SocketEnd::Aborted => {
            transport.close(&server).await
        }
    }
}

/// The connection after its 101.
#[derive(Debug)]
struct OverHttp1(Transport);

impl Io for OverHttp1 {
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<Result<usize, DisconnectReason>> {
        let read = self.0.poll_read_on(cx, buffer);
        read.map_err(|_| DisconnectReason::Lost)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Encoder,
        written: &mut usize,
    ) -> Poll<Result<(), DisconnectReason>> {
        while !outgoing.is_empty() {
            match ready!(self.0.poll_write_past(cx, &outgoing.slices())) {
                Ok(0) | Err(_) => return Poll::Ready(Err(DisconnectReason::Lost)),
                Ok(count) => {
                    outgoing.written(count);
                    *written += count;
                }
            }
        }
        // The TLS session may still hold bytes that it has encrypted.
        self.0.poll_drain(cx).map_err(|_| DisconnectReason::Lost)
    }

    fn stuck_since(&self) -> Option<Instant> {
        self.0.stuck_since()
    }

    fn is_lost(&mut self, cx: &mut Context<'_>) -> bool {
        self.0.poll_peer(cx) == Peer::Lost
    }
}
