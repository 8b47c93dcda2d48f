//! The lines that the log has about an exchange: its access record, and its app's faults.
//!
//! Each exchange has one access record, whichever version of HTTP it came over, and whether its app or
//! the server answered.

use std::fmt::{self, Write as _};
use std::time::Duration;

use asgi::{Address, AppError};
use asgi_rules::Fault;
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri, Version};
use tracing::{debug, error, info, warn};

use crate::config::Config;
use crate::panic::Panic;

/// The facts about a request that the log shows.
#[derive(Debug, Clone)]
pub(crate) struct RequestInfo {
    pub(crate) id: u64,
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    pub(crate) version: Version,
    pub(crate) client: Option<Address>,
}

/// The status of a request whose client left before the response began, as nginx logs it. No client ever
/// gets this status.
pub(crate) const CLIENT_LEFT: u16 = 499;

/// How an exchange ended, for the access log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessRecord {
    /// `None` if nothing went out because the server or the app broke off. [`CLIENT_LEFT`] if nothing
    /// went out because the client had left.
    pub(crate) status: Option<StatusCode>,
    /// The bytes of the response's body.
    pub(crate) sent: u64,
    pub(crate) took: Duration,
}

impl RequestInfo {
    pub(crate) fn new(
        id: u64,
        method: &Method,
        uri: &Uri,
        version: Version,
        client: Option<&Address>,
    ) -> Self {
        let target = uri.path_and_query().cloned();
        Self {
            id,
            method: method.clone(),
            target: target.unwrap_or_else(|| PathAndQuery::from_static("/")),
            version,
            client: client.cloned(),
        }
    }

    /// Logs how the app ended, if that deserves a line. A fault of the app is logged once, with its
    /// cause.
    pub(crate) fn log_app_end(&self, fault: Option<Fault>, cause: &Cause) {
        let Self {
            id, method, target, ..
        } = self;
        let path = target.path();
        match (fault, cause) {
            (Some(Fault::Panicked), cause) => {
                error!(exchange = id, %method, path, "the app panicked: {cause}");
            }
            (Some(Fault::NoResponse), _) => {
                error!(exchange = id, %method, path, "the app returned without a response");
            }
            (Some(Fault::Incomplete), _) => {
                error!(
                    exchange = id, %method, path,
                    "the app returned before its response was complete"
                );
            }
            (Some(_), cause) => {
                error!(exchange = id, %method, path, "the app failed: {cause}");
            }
            // CORE-029
            (None, Cause::Error(error)) if error.is_aborted() => {
                debug!(exchange = id, %method, path, "{cause}");
            }
            (None, Cause::Error(_)) => {
                debug!(
                    exchange = id, %method, path,
                    "the app ended after its client had left: {cause}"
                );
            }
            (None, _) => {}
        }
    }

    /// Logs that a poll of the app took longer than it may.
    pub(crate) fn log_slow_poll(&self, took: Duration, limit: Duration) {
        let Self {
            id, method, target, ..
        } = self;
        warn!(
            exchange = id, %method, path = target.path(),
            "the app blocked its thread for {took:?}: nothing else ran on it (limit {limit:?})"
        );
    }

    /// Writes the line of the access log, if it is on. The form follows the common log format.
    pub(crate) fn log_access(&self, config: &Config, record: AccessRecord) {
        if !config.access_log {
            return;
        }
        let AccessRecord { status, sent, took } = record;
        let client = ClientName(self.client.as_ref());
        let status = status.as_ref().map_or("-", StatusCode::as_str);
        let took = took.as_secs_f64() * 1000.0;
        info!(
            target: TARGET,
            "{client} - \"{} {} {:?}\" {status} {sent} {took:.3}ms",
            Escaped(self.method.as_str()), Escaped(self.target.as_str()), self.version,
        );
    }
}

const TARGET: &str = "ferricorn::access";

/// Writes the line of the access log for a request that could not be read. `request_line` is as much
/// of it as the server knows.
pub(crate) fn log_unreadable(
    config: &Config,
    client: Option<&Address>,
    request_line: &[u8],
    status: StatusCode,
) {
    if config.access_log {
        let client = ClientName(client);
        let line = request_line.escape_ascii();
        info!(target: TARGET, "{client} - \"{line}\" {} 0 -", status.as_str());
    }
}

/// Why an app ended as it did.
pub(crate) enum Cause {
    None,
    Error(AppError),
    Panic(Panic),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no cause"),
            Self::Error(error) => write!(f, "{}", error.chain()),
            Self::Panic(panic) => write!(f, "{panic}"),
        }
    }
}

/// A text from a client. What could end its quotes, or its line, is escaped, and so is everything but
/// printable ASCII.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if self.0.bytes().all(is_plain) {
            return f.write_str(self.0);
        }
        self.0.bytes().try_for_each(|byte| match byte {
            byte if is_plain(byte) => f.write_char(char::from(byte)),
            byte => write!(f, "{}", byte.escape_ascii()),
        })
    }
}

struct ClientName<'a>(Option<&'a Address>);

impl fmt::Display for ClientName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Address::Ip(address)) => write!(f, "{address}"),
            _ => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn only_plain_text_stays_as_it_is() {
        for (text, escaped) in [
            ("", ""),
            ("/it's?a=b c", "/it's?a=b c"),
            ("/\"a\"\\", "/\\\"a\\\"\\\\"),
            ("/caf\u{e9}", "/caf\\xc3\\xa9"),
            ("/\u{1b}[31m\n\u{7f}", "/\\x1b[31m\\n\\x7f"),
        ] {
            assert_eq!(Escaped(text).to_string(), escaped);
        }
    }
}
