//! Makes a scope from h2's request, or says why the request is refused.

use asgi::{Extension, HttpScope, State, WebSocketScope};
use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, TE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, request};

use crate::config::Config;
use crate::connection_info::ConnectionInfo;
use crate::refusal::Refusal;
use crate::scope::{check_expect, new_scope};
use crate::syntax::{is_host, is_target_byte};
use crate::websocket::{self, Opening};

/// Why a request does not reach the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestFault {
    /// RFC 9113 §8.1.1: "Malformed requests or responses that are detected MUST be treated as a
    /// stream error (Section 5.4.2) of type PROTOCOL_ERROR."
    Malformed(&'static str),
    /// It is well-formed, and the server answers it.
    Refused(Refusal),
}

impl From<Refusal> for RequestFault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What the client asks for.
pub(super) enum Asked {
    Http(Box<HttpScope>),
    WebSocket(Box<WebSocketScope>, Opening),
}

/// What a request asks for.
///
/// # Errors
///
/// h2 let it pass, but RFC 6455, 9110 or 9113 wants it refused.
pub(super) fn asked(
    mut parts: request::Parts,
    info: &ConnectionInfo,
    config: &Config,
    state: &State,
) -> Result<Asked, RequestFault> {
    let Some(protocol) = parts.extensions.remove::<Protocol>() else {
        return scope(parts, info, config, state).map(Asked::Http);
    };
    // RFC 9110 §7.8 compares the names of protocols without their case.
    if !protocol.as_str().eq_ignore_ascii_case("websocket") {
        return Err(Refusal::not_implemented("another protocol than websocket").into());
    }
    // RFC 8441 §4: with a protocol, the target is that of any request. The app does not see CONNECT.
    parts.method = Method::GET;
    let scope = scope(parts, info, config, state)?;
    let handshake = websocket::check_http2(&scope, config)?;
    let (scope, opening) = handshake.into_scope(*scope);
    Ok(Asked::WebSocket(scope, opening))
}

/// The scope for a request.
///
/// # Errors
///
/// h2 let the request pass, but RFC 9110 or 9113 wants it refused.
fn scope(
    parts: request::Parts,
    info: &ConnectionInfo,
    config: &Config,
    state: &State,
) -> Result<Box<HttpScope>, RequestFault> {
    let request::Parts {
        method,
        uri,
        version,
        mut headers,
        ..
    } = parts;
    let seen = HeaderSurvey::in_headers(&headers)?;
    if seen.crumbs > 1 {
        join_cookies(&mut headers);
    }
    if headers.len() > config.max_headers {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Refusal::new(status, "too many headers").into());
    }
    Refusal::check_header_sizes(&headers, config.max_header_size)?;
    if seen.expect {
        check_expect(&headers)?;
    }
    let target = target(&method, uri, &mut headers)?;
    if target.as_str().len() > config.max_request_line {
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, "the path is too long").into());
    }
    let mut scope = new_scope(method, target, info, &config.root_path, state);
    scope.version = version;
    scope.extensions = scope.extensions.with(Extension::EarlyHint);
    // h2 lets no other value pass (RFC 9113 §8.2.2).
    if seen.te {
        scope.extensions = scope.extensions.with(Extension::Trailers);
    }
    scope.headers = headers;
    Refusal::check_length(&scope, config.max_body_size)?;
    Ok(scope)
}

/// The scope for a request that the server has promised.
pub(super) fn promised_scope(
    request: &Request<()>,
    info: &ConnectionInfo,
    config: &Config,
    state: &State,
) -> Box<HttpScope> {
    let target = request.uri().path_and_query().cloned();
    let target = target.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let method = request.method().clone();
    let mut scope = new_scope(method, target, info, &config.root_path, state);
    scope.version = request.version();
    scope.headers.clone_from(request.headers());
    let authority = request.uri().authority();
    if let Some(host) = authority.and_then(|name| HeaderValue::from_str(name.as_str()).ok()) {
        scope.headers.insert(HOST, host);
    }
    scope
}

/// The results of one pass over all headers. Looking up each of these headers costs more.
#[derive(Debug, Default)]
struct HeaderSurvey {
    te: bool,
    expect: bool,
    /// How many headers the cookie came in.
    crumbs: usize,
}

impl HeaderSurvey {
    fn in_headers(headers: &HeaderMap) -> Result<Self, RequestFault> {
        let mut seen = Self::default();
        let mut lengths = 0;
        for (name, value) in headers {
            if has_white_space_around(value) {
                return Err(RequestFault::Malformed(
                    "white space around a header's value",
                ));
            }
            if *name == COOKIE {
                seen.crumbs += 1;
            } else if *name == TE {
                seen.te = true;
            } else if *name == CONTENT_LENGTH {
                lengths += 1;
            } else if *name == EXPECT {
                seen.expect = true;
            }
        }
        // RFC 9110 §8.6 lets a recipient refuse a repeated length. h2 checks the body against the
        // first one, and a server that the app asks may believe the second.
        if lengths > 1 {
            return Err(RequestFault::Malformed("more than one content-length"));
        }
        Ok(seen)
    }
}

/// RFC 9113 §8.2.1: "A field value MUST NOT start or end with an ASCII whitespace character". h2 does
/// not look.
pub(super) fn has_white_space_around(value: &HeaderValue) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    blank(value.as_bytes().first()) || blank(value.as_bytes().last())
}

/// The target of a request. Its authority becomes the `host`, so that apps need not know the version.
///
/// The scheme does not matter. A gateway that ends TLS passes on the scheme of its own client, and the
/// scope has the scheme of this connection.
fn target(
    method: &Method,
    uri: Uri,
    headers: &mut HeaderMap,
) -> Result<PathAndQuery, RequestFault> {
    let parts = uri.into_parts();
    // RFC 9113 §8.3.1: "exactly one valid value". h2 takes any characters that a scheme may have.
    if let Some(scheme) = &parts.scheme
        && !scheme
            .as_str()
            .starts_with(|first: char| first.is_ascii_alphabetic())
    {
        return Err(RequestFault::Malformed("a malformed scheme"));
    }
    if method == Method::CONNECT {
        // RFC 9113 §8.5: "A CONNECT request that does not conform to these restrictions is
        // malformed". h2 checks the other restrictions.
        return Err(match parts.authority {
            None => RequestFault::Malformed("CONNECT without an authority"),
            Some(_) => Refusal::not_implemented("CONNECT is not offered").into(),
        });
    }
    check_host(parts.authority.as_ref().map(|name| name.as_str()), headers)?;
    if let Some(authority) = parts.authority {
        let host = HeaderValue::from_str(authority.as_str())
            .map_err(|_| RequestFault::Malformed("a malformed authority"))?;
        headers.insert(HOST, host);
    }
    let target = parts
        .path_and_query
        .ok_or(RequestFault::Malformed("no path"))?;
    match target.as_str() {
        "*" if method == Method::OPTIONS => Ok(target),
        path if path.starts_with('/') && path.bytes().all(is_target_byte) => Ok(target),
        _ => Err(RequestFault::Malformed("a malformed path")),
    }
}

/// RFC 9113 §8.3.1: "A server SHOULD treat a request as malformed if it contains a Host header
/// field that identifies an entity that differs from the entity in the ":authority" pseudo-header
/// field."
fn check_host(authority: Option<&str>, headers: &HeaderMap) -> Result<(), RequestFault> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(RequestFault::Malformed("more than one host"));
    }
    match (authority, host) {
        (None, None) => Err(RequestFault::Malformed("no authority")),
        (Some(authority), _) if !is_host(authority.as_bytes()) => {
            Err(RequestFault::Malformed("a malformed authority"))
        }
        (Some(authority), Some(host))
            if !authority.as_bytes().eq_ignore_ascii_case(host.as_bytes()) =>
        {
            Err(RequestFault::Malformed("a host other than the authority"))
        }
        (None, Some(host)) if !is_host(host.as_bytes()) => {
            Err(RequestFault::Malformed("a malformed host"))
        }
        _ => Ok(()),
    }
}

/// RFC 9113 §8.2.3: "If there are multiple Cookie header fields after decompression, these MUST be
/// concatenated into a single octet string using the two-octet delimiter of 0x3b, 0x20 ... before
/// being passed into a non-HTTP/2 context".
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::{RequestFault, join_cookies, target};
    use http::header::{COOKIE, HOST};
    use http::{HeaderMap, HeaderValue, Method, Uri};

    fn check(method: &Method, uri: &str, hosts: &[&str]) -> Result<(String, String), bool> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        let target = target(method, Uri::try_from(uri).unwrap(), &mut headers)
            .map_err(|fault| matches!(fault, RequestFault::Malformed(_)))?;
        let host = headers[HOST].to_str().unwrap().to_owned();
        Ok((target.to_string(), host))
    }

    #[test]
    fn the_authority_becomes_the_host() {
        let ok = |target: &str, host: &str| Ok((target.to_owned(), host.to_owned()));
        let get = |uri, hosts| check(&Method::GET, uri, hosts);
        assert_eq!(get("https://a:1/x?y", &[]), ok("/x?y", "a:1"));
        assert_eq!(get("https://a/x", &["A"]), ok("/x", "a"));
        assert_eq!(get("/x", &["a"]), ok("/x", "a"));
        assert_eq!(get("/x", &[]), Err(true));
        assert_eq!(get("https://a/x", &["b"]), Err(true));
        assert_eq!(get("https://a/x", &["a", "a"]), Err(true));
        assert_eq!(get("https://u@a/x", &[]), Err(true));
        assert_eq!(get("/x", &["a b"]), Err(true));
        assert_eq!(get("*", &["a"]), Err(true));
        assert_eq!(check(&Method::OPTIONS, "*", &["a"]), ok("*", "a"));
        assert_eq!(check(&Method::CONNECT, "a:1", &[]), Err(false));
        assert_eq!(check(&Method::CONNECT, "/x", &["a"]), Err(true));
    }

    #[test]
    fn crumbs_become_one_cookie() {
        let mut headers = HeaderMap::new();
        for crumb in ["a=1", "b=2", "c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(crumb));
        }
        join_cookies(&mut headers);
        let cookies: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }
}
