//! What an operator can set.

use std::time::Duration;

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
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            tls_handshake_timeout: Duration::from_secs(10),
            tls_check_interval: Some(Duration::from_secs(10)),
            max_head_size: 64 * 1024,
            max_headers: 100,
            max_connections: 65_536,
            max_exchanges: 16_384,
            backlog: 2_048,
            slow_poll: Duration::from_millis(100),
            date_header: true,
            server_header: true,
            access_log: false,
        }
    }
}
