//! From hyper's request to a scope, or to why there is none.

use asgi::{Extension, HttpScope, State};
use http::header::{EXPECT, HOST, TE, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, request};

use super::request_framing::{FramingError, SeenHeaders};
use crate::connection_info::ConnectionInfo;
use crate::scope::{is_host, new_scope};

/// Why a request is answered without the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
}

const fn bad_request(why: &'static str) -> Refused {
    Refused {
        status: StatusCode::BAD_REQUEST,
        why,
    }
}

impl From<FramingError> for Refused {
    fn from(error: FramingError) -> Self {
        bad_request(error.as_str())
    }
}

/// The scope for a request, on whose connection the guard has seen these fields.
///
/// # Errors
///
/// The request is one that RFC 9110 or 9112 has refused, though hyper let it pass.
pub(crate) fn scope(
    parts: request::Parts,
    seen: SeenHeaders,
    known_host: &mut Option<Box<[u8]>>,
    ends: &ConnectionInfo,
    root_path: &str,
    state: &State,
) -> Result<Box<HttpScope>, Refused> {
    let request::Parts {
        method,
        uri,
        version,
        mut headers,
        ..
    } = parts;
    check_host(&headers, version, known_host)?;
    check_fields(&headers, seen)?;
    let target = target(&method, uri, &mut headers)?;
    let mut scope = new_scope(method, target, ends, root_path, state);
    scope.version = version;
    if seen.te && takes_trailers(&headers, version) {
        scope.extensions = scope.extensions.with(Extension::Trailers);
    }
    scope.headers = headers;
    Ok(scope)
}

fn check_fields(headers: &HeaderMap, seen: SeenHeaders) -> Result<(), Refused> {
    if seen.transfer_encoding && headers.contains_key(TRANSFER_ENCODING) {
        check_transfer_encoding(headers)?;
    }
    if seen.expect {
        check_expect(headers)?;
    }
    Ok(())
}

fn check_expect(headers: &HeaderMap) -> Result<(), Refused> {
    // RFC 9110 §10.1.1: "A server that receives an Expect field value containing a member other
    // than 100-continue MAY respond with a 417 (Expectation Failed)".
    let mut expectations = headers.get_all(EXPECT).iter();
    if expectations.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Ok(());
    }
    Err(Refused {
        status: StatusCode::EXPECTATION_FAILED,
        why: "an expectation other than 100-continue",
    })
}

/// RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
/// request message that lacks a Host header field and to any request message that contains more
/// than one Host header field line or a Host header field with an invalid field value." A second
/// one was refused by the guard.
fn check_host(
    headers: &HeaderMap,
    version: Version,
    known: &mut Option<Box<[u8]>>,
) -> Result<(), Refused> {
    let Some(host) = headers.get(HOST).map(HeaderValue::as_bytes) else {
        return match version {
            Version::HTTP_10 => Ok(()),
            _ => Err(bad_request("no host")),
        };
    };
    if known.as_ref().is_some_and(|known| **known == *host) {
        return Ok(());
    }
    if !is_host(host) {
        return Err(bad_request("a malformed host"));
    }
    // One a connection: who asks for several hosts pays for the check.
    known.get_or_insert_with(|| host.into());
    Ok(())
}

/// RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does not
/// understand SHOULD respond with 501 (Not Implemented)", and §7: chunked only once.
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Refused> {
    let codings = headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let mut chunked = 0;
    for coding in codings {
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(Refused {
                status: StatusCode::NOT_IMPLEMENTED,
                why: "an unknown transfer coding",
            });
        }
        chunked += 1;
    }
    if chunked == 1 {
        Ok(())
    } else {
        Err(bad_request("chunked more than once"))
    }
}

/// What is asked for; with an absolute target the host becomes the one that it names.
fn target(method: &Method, uri: Uri, headers: &mut HeaderMap) -> Result<PathAndQuery, Refused> {
    if method == Method::CONNECT {
        return Err(Refused {
            status: StatusCode::NOT_IMPLEMENTED,
            why: "CONNECT is not offered",
        });
    }
    let parts = uri.into_parts();
    match (parts.scheme, parts.authority, parts.path_and_query) {
        (None, None, Some(target)) if target.as_str() == "*" => {
            if method == Method::OPTIONS {
                Ok(target)
            } else {
                Err(bad_request("the target * is for OPTIONS alone"))
            }
        }
        (None, None, Some(target)) if target.as_str().starts_with('/') => Ok(target),
        (Some(scheme), Some(authority), target) if ["http", "https"].contains(&scheme.as_str()) => {
            // RFC 9112 §3.2.2: "When an origin server receives a request with an absolute-form of
            // request-target, the origin server MUST ignore the received Host header field (if
            // any) and instead use the host information of the request-target."
            if !is_host(authority.as_str().as_bytes()) {
                return Err(bad_request("a malformed authority"));
            }
            let host = HeaderValue::from_str(authority.as_str())
                .map_err(|_| bad_request("a malformed authority"))?;
            headers.insert(HOST, host);
            match target {
                Some(target) if target.as_str().starts_with('/') => Ok(target),
                _ => Ok(PathAndQuery::from_static("/")),
            }
        }
        _ => Err(bad_request("a malformed target")),
    }
}

/// Whether the client takes trailers behind a chunked body.
fn takes_trailers(headers: &HeaderMap, version: Version) -> bool {
    version == Version::HTTP_11
        && headers
            .get_all(TE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

#[cfg(test)]
mod tests {
    use super::{bad_request, target};
    use http::header::HOST;
    use http::{HeaderMap, Method, Uri};

    #[test]
    fn targets_of_every_form() {
        let check = |method: Method, uri: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "old".parse().unwrap());
            let target = target(&method, Uri::try_from(uri).unwrap(), &mut headers)
                .map_err(|refused| refused.status.as_u16())?;
            Ok((
                target.to_string(),
                headers[HOST].to_str().unwrap().to_owned(),
            ))
        };
        let ok = |target: &str, host: &str| Ok((target.to_owned(), host.to_owned()));
        assert_eq!(check(Method::GET, "/a?b"), ok("/a?b", "old"));
        assert_eq!(check(Method::OPTIONS, "*"), ok("*", "old"));
        assert_eq!(check(Method::GET, "*"), Err(400));
        assert_eq!(check(Method::GET, "a"), Err(400));
        assert_eq!(check(Method::GET, "http://new:1/x?y"), ok("/x?y", "new:1"));
        assert_eq!(check(Method::GET, "http://new"), ok("/", "new"));
        assert_eq!(check(Method::GET, "http://u@new/"), Err(400));
        assert_eq!(check(Method::GET, "ftp://new/"), Err(400));
        assert_eq!(check(Method::CONNECT, "new:1"), Err(501));
        assert_eq!(bad_request("x").status.as_u16(), 400);
    }
}
