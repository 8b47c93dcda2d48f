//! One HTTP/2 connection: h2 does the frames and the windows, the [`driver`] does the rest.
//!
//! The driver is the connection's task. It takes requests from h2 and polls the app of each once. An
//! app that is not done by then goes on in a task of its own ([`stream`]): a hundred streams do not
//! share one core, and a busy app stops neither its neighbours nor a ping.

mod body;
mod body_reads;
mod capacity;
mod client_state;
mod driver;
mod fault;
mod flood;
mod frame;
pub(crate) mod frame_check;
mod keep_alive;
mod push;
mod push_slots;
mod request;
mod response;
mod stream;
mod streams;
mod transport;
mod websocket;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use h2::server::{Builder, Connection, Handshake};
use http::{Method, Uri, Version};
use tracing::debug;

use self::driver::Driver;
use self::fault::ConnectionFault;
pub(crate) use self::frame::PREFACE;
use self::frame::{MAX_MAX_FRAME_SIZE, MAX_WINDOW_SIZE, MIN_MAX_FRAME_SIZE};
use self::frame_check::FrameLimits;
use self::push_slots::PushSlots;
use self::streams::Streams;
use self::transport::{H2Io, Transport};
use crate::access_log::RequestInfo;
use crate::config::Config;
use crate::connection_info::ConnectionInfo;
use crate::deadlines::FAREWELL;
use crate::exchange::ExchangeOptions;
use crate::lifecycle::Phase;
use crate::net::{self, Socket};
use crate::server::Server;

/// What the driver and the streams of a connection share.
struct Shared {
    server: Arc<Server>,
    info: ConnectionInfo,
    transport: Transport,
    streams: Arc<Streams>,
    pushes: Arc<PushSlots>,
}

impl Shared {
    /// The facts about a request on this connection that the log shows.
    fn request_info(&self, method: &Method, uri: &Uri, version: Version) -> RequestInfo {
        let id = self.server.next_id();
        RequestInfo::new(id, method, uri, version, self.info.client.as_ref())
    }
}

/// h2 leaves interim responses, the `content-length` and the rest of an upload to its user.
const EXCHANGE_OPTIONS: ExchangeOptions = ExchangeOptions {
    sends_interim: true,
    implies_length: false,
    keeps_leftover: true,
};

/// How many DATA frames of one byte may wait for their apps on one connection. h2 needs about 300 bytes
/// for each, so 2.5 MiB. If a client sends more, h2 ends the connection with ENHANCE_YOUR_CALM. A whole
/// stream window of frames of 32 bytes fits. h2's default would grow with the connection's window.
pub(crate) const SMALL_DATA_FRAMES: usize = 8 * 1024;

/// h2 counts the bytes that a DATA frame is short of 256.
const DATA_FRAME_BUDGET: usize = SMALL_DATA_FRAMES * 255;

/// Serves one connection to its end.
pub(crate) async fn serve(
    server: Arc<Server>,
    socket: Socket,
    info: ConnectionInfo,
    opened: Instant,
) {
    let config = server.config();
    let limits = FrameLimits {
        max_frame_size: frame_size(config),
        max_concurrent_streams: config.h2_max_concurrent_streams,
    };
    let (mut transport, io) = Transport::new(socket, limits);
    let deadline = opened + config.header_timeout;
    let handshake = begin(handshake(config, io), &transport);
    let handshake = tokio::time::timeout_at(deadline.into(), handshake);
    let handshake = tokio::select! {
        biased;
        done = handshake => done,
        () = server_stops(&server) => {
            debug!(client = ?info.client, "no HTTP/2 preface: the server stops");
            return;
        }
    };
    let h2 = match handshake {
        Ok(Ok(h2)) => h2,
        Ok(Err(NotBegun::H2(error))) => {
            debug!(client = ?info.client, "no HTTP/2: {error}");
            return;
        }
        Ok(Err(NotBegun::Fault(fault))) => {
            debug!(client = ?info.client, "no HTTP/2: {}", fault.why);
            transport.write_goaway(fault);
            let cut = server.until(Phase::Cut);
            return net::close(&mut transport, config.write_timeout, cut).await;
        }
        Err(_) => {
            debug!(client = ?info.client, "connection timed out: no HTTP/2 preface");
            return;
        }
    };
    let shared = Shared {
        server,
        info,
        transport,
        streams: Arc::default(),
        pushes: Arc::default(),
    };
    let mut driver = Driver::new(shared, h2, opened);
    let end = poll_fn(|cx| driver.poll(cx)).await;
    driver.finish(end).await;
}

/// Waits until the server stops and a client that begins at this moment has had its time.
async fn server_stops(server: &Server) {
    if server.until(Phase::Draining).await == Phase::Draining {
        // Whether the time is over or the server cuts off: both end the wait.
        let _ = tokio::time::timeout(FAREWELL, server.until(Phase::Cut)).await;
    }
}

/// Why a connection did not get to its first frame.
enum NotBegun {
    H2(h2::Error),
    /// The preface is missing. Possible only over TLS, where ALPN alone picks the protocol; h2 never
    /// sees those bytes.
    Fault(ConnectionFault),
}

async fn begin(
    handshake: Handshake<H2Io, Bytes>,
    transport: &Transport,
) -> Result<Connection<H2Io, Bytes>, NotBegun> {
    let mut handshake = pin!(handshake);
    poll_fn(|cx| match handshake.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result.map_err(NotBegun::H2)),
        Poll::Pending => match transport.fault() {
            Some(fault) => Poll::Ready(Err(NotBegun::Fault(fault))),
            None => Poll::Pending,
        },
    })
    .await
}

fn handshake(config: &Config, io: H2Io) -> Handshake<H2Io, Bytes> {
    let streams = config.h2_max_concurrent_streams;
    let window = u32::try_from(config.h2_stream_window).unwrap_or(MAX_WINDOW_SIZE);
    let everything = u64::from(streams) * u64::from(window);
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(streams)
        .initial_window_size(window.min(MAX_WINDOW_SIZE))
        // Every stream may fill its window without taking anything from another: an upload that no app
        // reads stalls only itself.
        .initial_connection_window_size(
            u32::try_from(everything)
                .unwrap_or(MAX_WINDOW_SIZE)
                .clamp(DEFAULT_WINDOW, MAX_WINDOW_SIZE),
        )
        .max_frame_size(frame_size(config))
        .max_header_list_size(u32::try_from(config.max_head_size).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(DATA_FRAME_BUDGET);
    if config.ws {
        builder.enable_connect_protocol();
    }
    builder.handshake(io)
}

/// RFC 9113 §6.5.2: a frame's size is between 2^14 and 2^24-1.
fn frame_size(config: &Config) -> u32 {
    let size = u32::try_from(config.h2_max_frame_size).unwrap_or(u32::MAX);
    size.clamp(MIN_MAX_FRAME_SIZE, MAX_MAX_FRAME_SIZE)
}

/// RFC 9113 §6.9.2.
const DEFAULT_WINDOW: u32 = 65_535;

/// How many bytes of one response h2 takes before the socket does. hyper has 400 KiB; less is enough
/// for a stream to have its next part in time.
pub(crate) const SEND_BUFFER: usize = 128 * 1024;
