//! A reverse proxy: it forwards each request and each WebSocket to one upstream over HTTP/1.1.

mod handshake;
mod headers;
mod http;
mod pool;
mod websocket;

use std::num::NonZeroU16;
use std::time::Duration;

use ::http::{HeaderValue, Uri};
use asgi::{App, AppError, Receiver, Scope, Sender};
use asgi_abi::Config;

use self::pool::Pool;

const EXPECTED: &str =
    "expected http://HOST:PORT [host=keep|upstream] [connections=NUMBER] [patience=SECONDS]";

/// The app.
#[derive(Debug)]
pub struct Proxy {
    pool: Pool,
    /// The `host` of the upstream.
    host: HeaderValue,
    /// Whether the upstream gets the `host` of the client instead.
    keeps_host: bool,
    /// How long the upstream may be silent before the head of its response.
    patience: Duration,
}

/// Makes the app from the text of `--app-config`.
pub(crate) fn start(config: Config) -> Result<Proxy, AppError> {
    Proxy::new(config.text().unwrap_or_default())
}

impl Proxy {
    /// Makes a proxy from its configuration, such as `http://127.0.0.1:9000 host=upstream`.
    ///
    /// - `host`: the `host` field for the upstream, that of the client (`keep`, the default) or the
    ///   address of the upstream.
    /// - `connections`: how many connections to the upstream HTTP requests may use at once, 64 by
    ///   default. More requests wait. WebSockets have connections of their own.
    /// - `patience`: after so many seconds without a response, and without a part of the request's
    ///   body to forward, the client gets a 504. 60 by default.
    ///
    /// # Errors
    ///
    /// Returns an error if the text has no address or something else in it.
    pub fn new(config: &str) -> Result<Self, AppError> {
        let invalid = |what: &str| format!("proxy: {what:?} is not valid, {EXPECTED}");
        let mut words = config.split_whitespace();
        let url = words.next().unwrap_or_default();
        let uri: Uri = url.parse().map_err(|_| invalid(url))?;
        let (Some("http"), Some(authority), "/", None) =
            (uri.scheme_str(), uri.authority(), uri.path(), uri.query())
        else {
            return Err(invalid(url).into());
        };
        let port = authority.port_u16().unwrap_or(80);
        let address = format!("{}:{port}", authority.host());
        let (mut keeps_host, mut connections, mut patience) = (true, 64, 60);
        for word in words {
            match word.split_once('=') {
                Some(("host", "keep")) => keeps_host = true,
                Some(("host", "upstream")) => keeps_host = false,
                Some(("connections", number)) => {
                    let number: NonZeroU16 = number.parse().map_err(|_| invalid(word))?;
                    connections = usize::from(number.get());
                }
                Some(("patience", seconds)) => {
                    let seconds: NonZeroU16 = seconds.parse().map_err(|_| invalid(word))?;
                    patience = u64::from(seconds.get());
                }
                _ => return Err(invalid(word).into()),
            }
        }
        Ok(Self {
            pool: Pool::new(address, connections),
            host: authority.as_str().try_into()?,
            keeps_host,
            patience: Duration::from_secs(patience),
        })
    }
}

impl App for Proxy {
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        match scope {
            Scope::Http(scope) => http::forward(self, *scope, receive, send).await,
            Scope::WebSocket(scope) => websocket::forward(self, *scope, receive, send).await,
            other => Err(AppError::unsupported(&other)),
        }
    }
}
