//! The settings of a server.

use std::time::Duration;

use http::HeaderName;
use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, USER_AGENT};

/// The settings of a server.
///
/// The documentation of each setting names its default. The command line has an option for each one, with
/// dashes: `--graceful-timeout`.
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
    /// The path that the app is mounted under, such as `/shop`. It becomes the scope's `root_path` and
    /// the start of its `path`. It begins with a slash and does not end with one. Default: empty.
    pub root_path: String,
    /// How long a drain waits for running exchanges before it cuts them off; `None` waits for ever.
    /// Default: 30 s, the time that orchestrators give a process before they kill it.
    pub graceful_timeout: Option<Duration>,
    /// How long an app may continue after its client has left; `None` sets no limit. Stops clients from
    /// piling up app calls by connecting, sending a request and leaving. Default: 30 s.
    pub disconnect_grace: Option<Duration>,
    /// How long the app's startup may take; `None` waits for ever. Default: 60 s.
    pub startup_timeout: Option<Duration>,
    /// How long the app's shutdown may take; `None` waits for ever. Default: 60 s.
    pub shutdown_timeout: Option<Duration>,
    /// How long a connection may be idle between two requests. Default: 75 s. That is longer than the
    /// usual 60 s of load balancers, so that the balancer closes first and never sends a request on a
    /// closed connection.
    pub keep_alive_timeout: Duration,
    /// How many requests a connection may carry before the server closes it; `None` sets no limit.
    /// Default: no limit; nginx and Hypercorn use 1,000.
    pub keep_alive_max_requests: Option<u64>,
    /// How long a client may take to send the head of a request. The time starts at the first byte of
    /// the head, and for the first request when the connection opens. Stops slow-header attacks.
    /// Default: 15 s.
    pub header_timeout: Duration,
    /// How long a client may pause while it sends a request body. It counts only while the app waits
    /// for more of the body. Default: 60 s.
    pub body_timeout: Duration,
    /// How many bytes of a request body a client must send in a second, on average, while the app waits for
    /// more; 0 turns it off. A slower client gets late, and the server ends its request as soon as it is
    /// late by [`body_timeout`](Self::body_timeout): a byte now and then is as good as silence. Default:
    /// 240, as in Kestrel; a modem from 1962 is as fast. Set it to 0 for apps whose clients keep a request
    /// open to send a few bytes now and then, such as streaming gRPC.
    pub min_body_rate: usize,
    /// How long a client may read nothing while the server has data to send. Stops slow-read attacks.
    /// Default: 60 s.
    pub write_timeout: Duration,
    /// How many bytes of a response a client must read in a second, on average, while the server has data
    /// to send; 0 turns it off. A slower client gets late, and the server ends its stream or connection
    /// as soon as it is late by [`write_timeout`](Self::write_timeout). WebSockets do not have this rate.
    /// Default: 240, as in Kestrel.
    pub min_read_rate: usize,
    /// How long a request may take in all, from its head to the end of its response; `None` sets no
    /// limit. Then the server ends the app: the client gets a 503, or a 408 if the app waits for the
    /// client's body, or a broken response if the head is out. Not for WebSockets, and not after the client
    /// has left or has the whole response: then `disconnect_grace` counts. Default: no limit, because streams and downloads may take hours.
    pub request_timeout: Option<Duration>,
    /// How long a TLS handshake may take, from the start of the connection. Stops clients that connect
    /// and send nothing from using up [`max_connections`](Self::max_connections). Default: 10 s. A
    /// normal handshake takes two round trips; Hypercorn and nginx wait 60 s.
    pub tls_handshake_timeout: Duration,
    /// How often the server looks for changed certificates, keys, authorities and revocation lists, to
    /// reload them; `None` turns it off. Default: 10 s, which costs one system call for each file.
    pub tls_check_interval: Option<Duration>,
    /// The largest head of a request in bytes, including the request line. The server answers a larger
    /// one with 431. Default: 64 KiB; Hypercorn uses 16 KiB and nginx 32 KiB.
    pub max_head_size: usize,
    /// The longest request line in bytes, without its line end; on HTTP/2, the longest `:path`. The
    /// server answers a longer one with 414. Never more than [`max_head_size`](Self::max_head_size).
    /// Default: 32 KiB, half of the largest head; RFC 9112 §3 asks for 8,000 bytes at least, and nginx
    /// allows 8 KiB.
    pub max_request_line: usize,
    /// How many headers a request may have. The server answers more with 431. Default: 100, as in
    /// hyper.
    pub max_headers: usize,
    /// The largest header of a request in bytes, its name and its value together; `None` sets no limit of its
    /// own, and [`max_head_size`](Self::max_head_size) bounds it. The server answers a larger one with 431.
    /// On HTTP/2, a cookie in several parts counts as one header. Default: no limit, because large cookies
    /// and tokens are common; nginx allows 8 KiB.
    pub max_header_size: Option<u64>,
    /// The largest body of a request in bytes; `None` sets no limit. The server answers a larger one
    /// with 413: before it calls the app if `content-length` tells, and otherwise when the app reads
    /// beyond the limit. Then the app receives a disconnect. Default: no limit, because an app that
    /// streams needs none, and one that collects a body states its own; nginx allows 1 MiB.
    pub max_body_size: Option<u64>,
    /// How many connections may be open. Further ones wait in the listener's backlog. Default: 65,536.
    pub max_connections: usize,
    /// How many connections one IP address may have; `None` sets no limit. Of IPv6, the first 64 bits
    /// count as one address. The server closes further ones at once, without an answer. Stops one
    /// client from taking all of [`max_connections`](Self::max_connections). Default: no limit, because
    /// a proxy and the users of one network share an address.
    pub max_connections_per_address: Option<u64>,
    /// How many exchanges may run at the same time. An exchange whose client has left counts until its
    /// app is done. The server answers a request above the limit with 503. Default: 16,384.
    pub max_exchanges: usize,
    /// How many streams an HTTP/2 client may have open on one connection. The server announces the
    /// limit and refuses further streams. Default: 100, the least that RFC 9113 §6.5.2 recommends.
    pub h2_max_concurrent_streams: u32,
    /// How many bytes of a request body an HTTP/2 client may send before the app reads them. Limits an
    /// upload to one window for each round trip. Each unread upload may hold this much memory, and a
    /// connection has one for each of its streams. Default: 256 KiB.
    pub h2_stream_window: usize,
    /// The largest frame in bytes that an HTTP/2 client may send: 16,384 to 16,777,215. Default:
    /// 16,384, which every client supports.
    pub h2_max_frame_size: usize,
    /// Whether apps may push responses over HTTP/2 to clients that accept pushes. Default: yes.
    pub h2_push: bool,
    /// How many pushes one response may have. Default: 100.
    pub h2_max_pushes: usize,
    /// The headers that a pushed request copies from the client's request. Default: `accept-encoding`,
    /// `accept-language`, `authorization`, `cookie` and `user-agent`, because responses often depend on
    /// them.
    pub h2_push_headers: Vec<HeaderName>,
    /// How long an HTTP/2 client with open streams may send nothing before the server sends a ping;
    /// `None` sends no pings. Finds clients that disappeared without closing the connection. Default:
    /// 20 s.
    pub h2_keep_alive_interval: Option<Duration>,
    /// How long an HTTP/2 client may take to answer a ping before the server closes the connection.
    /// Default: 20 s.
    pub h2_keep_alive_timeout: Duration,
    /// Whether clients may open WebSockets, over HTTP/1.1 and HTTP/2. If not, the app gets a WebSocket
    /// handshake as a plain request. Default: yes.
    pub ws: bool,
    /// The origins of web pages that may open WebSockets, such as `https://example.org`; empty allows
    /// all. Browsers let every page open a WebSocket to every server, with the cookies of the visitor
    /// (RFC 6455 §10.2). The server accepts clients that send no origin, because they are not browsers.
    /// Default: all.
    pub ws_origins: Vec<String>,
    /// The largest WebSocket message in bytes that a client may send: all its frames together,
    /// after decompression. A larger one closes the WebSocket with 1009. Each WebSocket may hold this much
    /// memory, and twice as much if the message is compressed. Default: 16 MiB, as in Hypercorn and
    /// Uvicorn.
    pub ws_max_message_size: usize,
    /// The largest WebSocket frame in bytes that a client may send. A larger one closes the WebSocket
    /// with 1009. Default: 16 MiB.
    pub ws_max_frame_size: usize,
    /// How long a WebSocket client may send nothing before the server sends a ping; `None` sends no
    /// pings. Finds clients that disappeared. Default: 20 s, because proxies usually close a connection
    /// after 30 s or more of silence.
    pub ws_ping_interval: Option<Duration>,
    /// How long a WebSocket client may send nothing after a ping before the server closes the WebSocket
    /// with 1011. Default: 20 s.
    pub ws_ping_timeout: Duration,
    /// How long a WebSocket client may take to answer a close frame before the server closes the
    /// connection. Default: 10 s, as in Uvicorn.
    pub ws_close_timeout: Duration,
    /// Whether the server compresses messages for clients that offer it (permessage-deflate, RFC 7692).
    /// Default: yes.
    pub ws_deflate: bool,
    /// How far back a compressed message may refer, as a power of two: 9 to 15. Each WebSocket keeps
    /// this much of the data it received, and at most 8 KiB of the data it sent. Each thread has
    /// up to four compressors of about 270 KiB. A client that does not offer to keep to the limit may
    /// use 15. Default: 12, which is 4 KiB, as in Uvicorn.
    pub ws_deflate_window_bits: u32,
    /// Whether a compressed message may refer to earlier messages. If not, a WebSocket keeps nothing
    /// for compression, and small messages hardly shrink. Default: yes.
    pub ws_deflate_context_takeover: bool,
    /// How many connections the kernel holds until the server accepts them. The kernel may have a lower
    /// limit (`net.core.somaxconn`). Default: 2,048.
    pub backlog: u32,
    /// Logs a poll of an app that takes longer than this, because it blocks the whole thread. Zero
    /// turns it off. Default: 100 ms.
    pub slow_poll: Duration,
    /// Whether the server adds a `date` header to responses (RFC 9110 §6.6.1), if the app sets none.
    /// Default: yes.
    pub date_header: bool,
    /// Whether the server adds `server: ferricorn` to responses, if the app sets none. Default: yes.
    pub server_header: bool,
    /// Whether the server logs each exchange, with the target `ferricorn::access` at level info.
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
            min_body_rate: 240,
            write_timeout: Duration::from_secs(60),
            min_read_rate: 240,
            request_timeout: None,
            tls_handshake_timeout: Duration::from_secs(10),
            tls_check_interval: Some(Duration::from_secs(10)),
            max_head_size: 64 * 1024,
            max_request_line: 32 * 1024,
            max_headers: 100,
            max_header_size: None,
            max_body_size: None,
            max_connections: 65_536,
            max_connections_per_address: None,
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
