//! What the log says of an exchange and of its end.

use std::fmt;
use std::time::Duration;

use asgi::{Address, AppError};
use asgi_rules::Fault;
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri, Version};
use tracing::{debug, error, info, warn};

use crate::panic::Panic;

/// What the log says of an exchange.
#[derive(Debug, Clone)]
pub(crate) struct RequestInfo {
    pub(crate) id: u64,
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    pub(crate) version: Version,
    pub(crate) client: Option<Address>,
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

    /// Says how the app ended, if that is worth a line: an app's fault once, with its cause.
    pub(super) fn log_end(&self, fault: Option<Fault>, cause: &Cause) {
        let Self {
            id, method, target, ..
        } = self;
        let path = target.path();
        match (fault, cause) {
            (Some(Fault::Panicked), cause) => {
                error!(exchange = id, %method, path, "the app panicked: {cause}");
            }
            (Some(Fault::Failed), cause) => {
                error!(exchange = id, %method, path, "the app failed: {cause}");
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
            (None, Cause::Error(_)) => {
                debug!(
                    exchange = id, %method, path,
                    "the app ended after its client had left: {cause}"
                );
            }
            (None, _) => {}
        }
    }

    /// Says that a poll of the app took longer than it may.
    pub(super) fn log_slow_poll(&self, took: Duration, limit: Duration) {
        let Self {
            id, method, target, ..
        } = self;
        warn!(
            exchange = id, %method, path = target.path(),
            "the app blocked its thread for {took:?}: nothing else ran on it (limit {limit:?})"
        );
    }

    /// Writes the line of the access log, in the manner of the common log format.
    pub(crate) fn log_access(&self, status: Option<StatusCode>, sent: u64, took: Duration) {
        let client = ClientName(self.client.as_ref());
        // Nothing went out: the client left, or the app was cut off.
        let status = status.as_ref().map_or("-", StatusCode::as_str);
        let took = took.as_secs_f64() * 1000.0;
        info!(
            target: "ferricorn::access",
            "{client} - \"{} {} {:?}\" {status} {sent} {took:.3}ms",
            self.method, self.target, self.version,
        );
    }
}

/// Writes a line of the access log for a request of which nothing could be read.
pub(crate) fn log_unreadable(client: Option<&Address>, status: StatusCode) {
    let client = ClientName(client);
    info!(target: "ferricorn::access", "{client} - \"-\" {} 0 -", status.as_str());
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

struct ClientName<'a>(Option<&'a Address>);

impl fmt::Display for ClientName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Address::Ip(address)) => write!(f, "{address}"),
            _ => f.write_str("unix"),
        }
    }
}
