//! Recognises the header of the PROXY protocol, which the server does not read, to tell the operator.
//!
//! A proxy or a load balancer sends it before the first request if it is set up to. The server answers it
//! as any malformed request.

use asgi::Address;
use tracing::{debug, warn};

use crate::hints::OneHint;

/// How many bytes [`is_proxy_header`] needs.
pub(crate) const LEN: usize = V2.len();

const V1: &[u8] = b"PROXY ";
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Whether a connection that begins with these bytes begins with a header of the PROXY protocol, version 1
/// or 2.
pub(crate) fn is_proxy_header(first: &[u8]) -> bool {
    first.starts_with(V1) || first.starts_with(V2)
}

/// Logs the header, and once, what to do about it.
pub(crate) fn log_proxy_header(hint: &OneHint, client: Option<&Address>) {
    hint.give(|| {
        warn!(
            ?client,
            "a connection began with a PROXY protocol header, which this server does not read; turn it off \
             in the proxy (proxy_protocol of nginx, send-proxy of HAProxy)"
        );
    });
    debug!(?client, "a PROXY protocol header was sent");
}
