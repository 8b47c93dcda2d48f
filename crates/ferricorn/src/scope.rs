//! The steps that all versions of HTTP share: checks a request's `Expect`, and makes its scope.

use std::borrow::Cow;
use std::sync::Arc;

use asgi::{HttpScope, State};
use http::header::EXPECT;
use http::uri::PathAndQuery;
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

#[cfg(test)]
mod tests {
    use http::header::EXPECT;
    use http::{HeaderMap, HeaderValue};

    use super::check_expect;

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
}
