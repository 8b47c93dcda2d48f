//! The steps that all versions of HTTP share: checks a request's host and `Expect`, and makes its
//! scope.

use std::borrow::Cow;
use std::sync::Arc;

use asgi::{HttpScope, State};
use http::header::EXPECT;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, StatusCode};

use crate::connection_info::ConnectionInfo;
use crate::refusal::Refusal;

/// The scope of a request on this connection. The caller adds what the head says beyond method and
/// target. Boxed, because it is large and moves often.
pub(crate) fn new_scope(
    method: Method,
    target: PathAndQuery,
    info: &ConnectionInfo,
    root_path: &str,
    state: &State,
) -> Box<HttpScope> {
    let mut scope = Box::new(HttpScope::new(method, target));
    if !root_path.is_empty() {
        scope.root_path = Cow::Owned(root_path.to_owned());
    }
    if let Some(tls) = &info.tls {
        scope.scheme = Cow::Borrowed("https");
        scope.extensions.tls = Some(Arc::clone(tls));
    }
    scope.client = info.client.clone();
    scope.server = info.server.clone();
    scope.state = state.clone();
    scope
}

/// RFC 9110 §10.1.1: "A server that receives an Expect field value containing a member other than
/// 100-continue MAY respond with a 417 (Expectation Failed)". It is a list: members may repeat, and
/// empty ones do not count (§5.6.1).
pub(crate) fn check_expect(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut members = headers
        .get_all(EXPECT)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty());
    if members.all(|member| member.eq_ignore_ascii_case(b"100-continue")) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::EXPECTATION_FAILED,
        "an expectation other than 100-continue",
    ))
}

/// Whether this is `uri-host [ ":" port ]` (RFC 9110 §7.2). It must not be empty: a URI of http has a
/// host (§4.2.1).
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
    use http::header::EXPECT;
    use http::{HeaderMap, HeaderValue};

    use super::{check_expect, is_host};

    #[test]
    fn expect_is_a_list_of_100_continue() {
        let check = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(EXPECT, HeaderValue::from_static(value));
            }
            check_expect(&headers).map_err(|refusal| refusal.status.as_u16())
        };
        for fine in [
            &[][..],
            &["100-continue"],
            &["100-Continue"],
            &["100-continue, 100-continue"],
            &["100-continue", ""],
            &[""],
            &[" , 100-continue,"],
        ] {
            assert_eq!(check(fine), Ok(()), "{fine:?}");
        }
        for other in [
            &["100-continue, x"][..],
            &["x"],
            &["100-continue;q=1"],
            &["100-continue", "x=y"],
        ] {
            assert_eq!(check(other), Err(417), "{other:?}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_maybe_a_port() {
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
