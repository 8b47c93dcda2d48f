//! What a request is to every version of HTTP: its host and its scope.

use std::borrow::Cow;
use std::sync::Arc;

use asgi::{HttpScope, State};
use http::Method;
use http::uri::{Authority, PathAndQuery};

use crate::connection_info::ConnectionInfo;

/// The scope of a request on a connection with these ends, but for what its head says beyond method
/// and target. It is large, and where it goes it goes boxed.
pub(crate) fn new_scope(
    method: Method,
    target: PathAndQuery,
    ends: &ConnectionInfo,
    root_path: &str,
    state: &State,
) -> Box<HttpScope> {
    let mut scope = Box::new(HttpScope::new(method, target));
    if !root_path.is_empty() {
        *scope = scope.mounted_at(Cow::Owned(root_path.to_owned()));
    }
    if let Some(tls) = &ends.tls {
        scope.scheme = Cow::Borrowed("https");
        scope.extensions.tls = Some(Arc::clone(tls));
    }
    scope.client = ends.client.clone();
    scope.server = ends.server.clone();
    scope.state = state.clone();
    scope
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2), and not empty: a URI of http has a host (§4.2.1).
pub(crate) fn is_host(host: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let name = host.iter().take_while(|byte| plain(byte)).count();
    match host.split_at(name) {
        (name, []) => !name.is_empty(),
        (name, [b':', port @ ..]) if !name.is_empty() => port.iter().all(u8::is_ascii_digit),
        _ => is_unusual_host(host),
    }
}

fn is_unusual_host(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else {
        return false;
    };
    let after_host = authority.as_str().strip_prefix(authority.host());
    !authority.host().is_empty()
        && after_host.is_some_and(|rest| {
            rest.is_empty()
                || rest
                    .strip_prefix(':')
                    .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
        })
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "a",
            "a.b-c",
            "a:80",
            "a:",
            "127.0.0.1:8000",
            "[::1]",
            "[::1]:80",
            "a_b",
            "x~y",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":80", "a b", "u@a", "a/b", "a:b", "a:80:90", "[::1", "::1", "a?b", "a#b",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
