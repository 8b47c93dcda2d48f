//! What an operator can set.

use std::time::Duration;

use http::HeaderName;
use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, USER_AGENT};

/// What an operator can set, with the default of each.
///
/// ```
/// use ferricorn::Config;
/// use std::time::Duration;
///
/// let mut config = Config::default();
/// config.graceful_timeout = Some(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where the app is mounted: becomes the scope's `root_path` and the start of its `path`.
    /// Begins with a slash and does not end with one. Default: empty.
    pub root_path: String,
    /// How long a drain waits for exchanges that run, until it cuts them off; `None` waits for
    /// ever. Default: 30 s, which is what orchestrators give a process before they kill it.
    pub graceful_timeout: Option<Duration>,
    /// How long an app may go on once its client has left; `None` lets it go on for ever. Stops
    /// clients from piling up apps by connecting, asking and leaving. Default: 30 s.
    pub disconnect_grace: Option<Duration>,
    /// How long the app's start-up may take; `None` waits for ever. Default: 60 s.
    pub startup_timeout: Option<Duration>,
    /// How long the app's shutdown may take; `None` waits for ever. Default: 60 s.
    pub shutdown_timeout: Option<Duration>,
    /// How long a connection may be idle between two requests. Default: 75 s, longer than the 60 s
    /// of the usual load balancers, so that they close first and never send into a closed one.
    pub keep_alive_timeout: Duration,
    /// How many requests a connection may carry, until it is closed behind the last one; `None` sets
    /// no limit. Default: none; nginx and Hypercorn have 1,000.
    pub keep_alive_max_requests: Option<u64>,
    /// How long a client may take for the head of a request, counted from its first byte, and from
    /// the connection's beginning for the first one. Stops slow-header attacks. Default: 15 s.
    pub header_timeout: Duration,
    /// How long a client may stop in the middle of a request's body while the app waits for it.
    /// Default: 60 s.
    pub body_timeout: Duration,
    /// How long a client may leave a response unread while there is more to write. Stops slow-read
    /// attacks. Default: 60 s.
    pub write_timeout: Duration,
    /// How long a TLS handshake may take, from the connection's beginning. A client that only
    /// connects holds its place among [`max_connections`](Self::max_connections) for no longer.
    /// Default: 10 s; an honest one takes two round trips, and Hypercorn and nginx wait 60 s.
    pub tls_handshake_timeout: Duration,
    /// How often the files of certificates, keys and authorities are looked at, to reload them when
    /// they have changed; `None` never looks. Default: 10 s, which costs a system call a file.
    pub tls_check_interval: Option<Duration>,
    /// The size of a request's head, request line included, in bytes; more is answered with 431.
    /// Default: 64 KiB; Hypercorn has 16 and nginx 32.
    pub max_head_size: usize,
    /// How many fields a request may have; more is answered with 431. Default: 100, as hyper.
    pub max_headers: usize,
    /// How many connections may be open; further ones wait in the listener's backlog.
    /// Default: 65,536.
    pub max_connections: usize,
    /// How many exchanges may run, those whose client has left included; a request beyond them is
    /// answered with 503. Default: 16,384.
    pub max_exchanges: usize,
    /// How many streams a client of HTTP/2 may have open on one connection; it is told, and further
    /// ones are refused. Default: 100, which RFC 9113 §6.5.2 recommends as the least.
    pub h2_max_concurrent_streams: u32,
    /// How much of a request's body a client of HTTP/2 may send before the app has read any of it,
    /// in bytes. It bounds an upload's speed to one window a round trip, and what an unread upload
    /// holds in memory; a connection may hold as much for each of its streams. Default: 256 KiB.
    pub h2_stream_window: usize,
    /// The largest frame that a client of HTTP/2 may send, in bytes: 16,384 to 16,777,215.
    /// Default: 16,384, which every client can do.
    pub h2_max_frame_size: usize,
    /// Whether apps may push on HTTP/2, where the client takes pushes. Default: yes.
    pub h2_push: bool,
    /// How many pushes one response may have. Default: 100.
    pub h2_max_pushes: usize,
    /// What a promised request has of the fields of the request that it belongs to. Default:
    /// `accept-encoding`, `accept-language`, `authorization`, `cookie`, `user-agent`: what the
    /// response is likely to depend on.
    pub h2_push_headers: Vec<HeaderName>,
    /// A client of HTTP/2 that says nothing for this long while it has streams open is sent a ping;
    /// `None` sends none. Finds clients that went without a word. Default: 20 s.
    pub h2_keep_alive_interval: Option<Duration>,
    /// How long the answer to that ping may take, before the connection is given up. Default: 20 s.
    pub h2_keep_alive_timeout: Duration,
    /// Whether clients may open WebSockets, over HTTP/1.1 and HTTP/2. Without it a handshake is a
    /// plain request to the app. Default: yes.
    pub ws: bool,
    /// Where the pages may come from that open WebSockets, such as `https://example.org`; empty allows
    /// all. Browsers send the visitor's cookies along, whatever page it is (RFC 6455 §10.2). A client
    /// that does not name its origin is no browser, and let in. Default: all.
    pub ws_origins: Vec<String>,
    /// The largest message that a client may send on a WebSocket, put together and inflated, in
    /// bytes; more closes the socket with 1009. Each socket may hold as much, twice as much if the
    /// message is compressed. Default: 16 MiB, as Hypercorn and Uvicorn.
    pub ws_max_message_size: usize,
    /// The largest frame, in bytes; more closes the socket with 1009. Default: 16 MiB.
    pub ws_max_frame_size: usize,
    /// A client of a WebSocket that says nothing for this long is sent a ping; `None` sends none. Finds
    /// clients that went without a word. Default: 20 s, below the 30 s and more of usual proxies.
    pub ws_ping_interval: Option<Duration>,
    /// How long it may then go on saying nothing, before the socket is closed with 1011.
    /// Default: 20 s.
    pub ws_ping_timeout: Duration,
    /// How long a client may take to answer our close frame, before its connection is closed.
    /// Default: 10 s, as Uvicorn.
    pub ws_close_timeout: Duration,
    /// Whether messages are compressed for clients that offer it (permessage-deflate, RFC 7692).
    /// Default: yes.
    pub ws_deflate: bool,
    /// How far back a compressed message may refer, as a power of two: 9 to 15. A socket holds as much
    /// of what came and at most 8 KiB of what it sent; a thread has up to four compressors of some
    /// 270 KiB. A client that does not offer to keep to it may refer back by 15. Default: 12, 4 KiB, as
    /// Uvicorn.
    pub ws_deflate_window_bits: u32,
    /// Whether a compressed message may refer to those before it. Without, a socket holds nothing for
    /// compression, and small messages hardly shrink. Default: yes.
    pub ws_deflate_context_takeover: bool,
    /// How many connections the kernel holds for us until they are accepted; it may have a lower
    /// limit of its own (`net.core.somaxconn`). Default: 2,048.
    pub backlog: u32,
    /// A poll of an app that takes longer than this is logged: it blocks its whole thread. Zero
    /// turns it off. Default: 100 ms.
    pub slow_poll: Duration,
    /// Whether responses get a `date`. RFC 9110 §6.6.1 asks for it. Default: yes.
    pub date_header: bool,
    /// Whether responses get a `server: ferricorn`, if the app sets none. Default: yes.
    pub server_header: bool,
    /// Whether each exchange is logged, at the target `ferricorn::access`, level info.
    /// Default: no.
    pub access_log: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            root_path: String::new(),
            graceful_timeout: Some(Duration::from_secs(30)),
            disconnect_grace: Some(Duration::from_secs(30)),
            startup_timeout: Some(Duration::from_secs(60)),
            shutdown_timeout: Some(Duration::from_secs(60)),
            keep_alive_timeout: Duration::from_secs(75),
            keep_alive_max_requests: None,
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            tls_handshake_timeout: Duration::from_secs(10),
            tls_check_interval: Some(Duration::from_secs(10)),
            max_head_size: 64 * 1024,
            max_headers: 100,
            max_connections: 65_536,
            max_exchanges: 16_384,
            h2_max_concurrent_streams: 100,
            h2_stream_window: 256 * 1024,
            h2_max_frame_size: 16_384,
            h2_push: true,
            h2_max_pushes: 100,
            h2_push_headers: vec![
                ACCEPT_ENCODING,
                ACCEPT_LANGUAGE,
                AUTHORIZATION,
                COOKIE,
                USER_AGENT,
            ],
            h2_keep_alive_interval: Some(Duration::from_secs(20)),
            h2_keep_alive_timeout: Duration::from_secs(20),
            ws: true,
            ws_origins: Vec::new(),
            ws_max_message_size: 16 * 1024 * 1024,
            ws_max_frame_size: 16 * 1024 * 1024,
            ws_ping_interval: Some(Duration::from_secs(20)),
            ws_ping_timeout: Duration::from_secs(20),
            ws_close_timeout: Duration::from_secs(10),
            ws_deflate: true,
            ws_deflate_window_bits: 12,
            ws_deflate_context_takeover: true,
            backlog: 2_048,
            slow_poll: Duration::from_millis(100),
            date_header: true,
            server_header: true,
            access_log: false,
        }
    }
}
