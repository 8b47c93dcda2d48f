//! Clients that send exactly the bytes that a case asks for, and may break every rule.

mod exchange;
mod http1;
pub(crate) mod http2;
mod parse;
mod request;
mod socket;
mod tls;
mod trace;
pub(crate) mod websocket;

pub(crate) use self::exchange::CaseClient;
pub(crate) use self::http1::Http1;
pub(crate) use self::http2::Http2;
pub(crate) use self::parse::{BodyEnd, Head, Received};
pub(crate) use self::request::{CHUNKED, CaseRequest, RequestKind};
pub(crate) use self::socket::{ConnectionEnding, Endpoint, STALL};
pub(crate) use self::tls::{ClientCertificate, ClientTls, TLS_1_2, TLS_1_3, der_of_pem};
pub(crate) use self::trace::Trace;
pub(crate) use self::websocket::FIN;

use std::time::Duration;

use tokio::time::timeout;

use crate::result::{Stop, fail};

/// How long a case waits for the next thing that the server must do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for something that must happen.
pub(crate) async fn within<T>(
    what: &str,
    future: impl Future<Output = Result<T, Stop>>,
) -> Result<T, Stop> {
    within_time(PATIENCE, what, future).await
}

/// Like [`within`], with another limit.
pub(crate) async fn within_time<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = Result<T, Stop>>,
) -> Result<T, Stop> {
    match timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => fail(what, format!("nothing for {limit:?}")),
    }
}
