//! Makes a scope from hyper's request, or says why the request is refused.

use asgi::{Extension, HttpScope, State};
use http::header::{HOST, TE, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, request};

use super::request_framing::{FramingError, SeenHeaders};
use crate::config::Config;
use crate::connection_info::ConnectionInfo;
use crate::refusal::Refusal;
use crate::scope::{check_expect, new_scope};
use crate::syntax::is_host;

impl From<FramingError> for Refusal {
    fn from(error: FramingError) -> Self {
        let status = match error {
            FramingError::TargetTooLong => StatusCode::URI_TOO_LONG,
            FramingError::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            FramingError::MethodTooLong => StatusCode::NOT_IMPLEMENTED,
            FramingError::UnsupportedVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.as_str())
    }
}

/// What a connection adds to the scopes of its requests.
pub(crate) struct ScopeContext<'a> {
    /// A host that was valid before: nearly always the next request has the same one.
    pub(crate) known_host: &'a mut Option<Box<[u8]>>,
    pub(crate) info: &'a ConnectionInfo,
    pub(crate) config: &'a Config,
    pub(crate) state: &'a State,
}

/// The scope for a request. `seen` is what the request framing found in the raw bytes.
///
/// # Errors
///
/// hyper let the request pass, but RFC 9110 or 9112 wants it refused.
pub(crate) fn scope(
    parts: request::Parts,
    seen: SeenHeaders,
    context: ScopeContext<'_>,
) -> Result<Box<HttpScope>, Refusal> {
    let request::Parts {
        method,
        uri,
        version,
        mut headers,
        ..
    } = parts;
    check_host(&headers, version, context.known_host)?;
    check_headers(&headers, seen)?;
    Refusal::check_header_sizes(&headers, context.config.max_header_size)?;
    let target = target(&method, uri, &mut headers)?;
    let ScopeContext {
        info,
        config,
        state,
        ..
    } = context;
    let mut scope = new_scope(method, target, info, &config.root_path, state);
    scope.version = version;
    if seen.te && takes_trailers(&headers, version) {
        scope.extensions = scope.extensions.with(Extension::Trailers);
    }
    scope.headers = headers;
    Refusal::check_length(&scope, config.max_body_size)?;
    Ok(scope)
}

fn check_headers(headers: &HeaderMap, seen: SeenHeaders) -> Result<(), Refusal> {
    if seen.transfer_encoding && headers.contains_key(TRANSFER_ENCODING) {
        check_transfer_encoding(headers)?;
    }
    if seen.expect {
        check_expect(headers)?;
    }
    Ok(())
}

/// RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
/// request message that lacks a Host header field and to any request message that contains more
/// than one Host header field line or a Host header field with an invalid field value." The request
/// framing has refused a second one.
fn check_host(
    headers: &HeaderMap,
    version: Version,
    known: &mut Option<Box<[u8]>>,
) -> Result<(), Refusal> {
    let Some(host) = headers.get(HOST).map(HeaderValue::as_bytes) else {
        return match version {
            Version::HTTP_10 => Ok(()),
            _ => Err(Refusal::bad_request("no host")),
        };
    };
    if known.as_ref().is_some_and(|known| **known == *host) {
        return Ok(());
    }
    if !is_host(host) {
        return Err(Refusal::bad_request("a malformed host"));
    }
    // A connection remembers one host. If a client asks for several, each of the others is checked
    // every time.
    known.get_or_insert_with(|| host.into());
    Ok(())
}

/// RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does not
/// understand SHOULD respond with 501 (Not Implemented)", and §7: chunked only once.
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let codings = headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let mut chunked = 0;
    for coding in codings {
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::not_implemented("an unknown transfer coding"));
        }
        chunked += 1;
    }
    if chunked == 1 {
        Ok(())
    } else {
        Err(Refusal::bad_request("chunked more than once"))
    }
}

/// The target of a request. An absolute target also sets the host.
fn target(method: &Method, uri: Uri, headers: &mut HeaderMap) -> Result<PathAndQuery, Refusal> {
    if method == Method::CONNECT {
        return Err(Refusal::not_implemented("CONNECT is not offered"));
    }
    let parts = uri.into_parts();
    match (parts.scheme, parts.authority, parts.path_and_query) {
        (None, None, Some(target)) if target.as_str() == "*" => {
            if method == Method::OPTIONS {
                Ok(target)
            } else {
                Err(Refusal::bad_request("the target * is for OPTIONS alone"))
            }
        }
        (None, None, Some(target)) if target.as_str().starts_with('/') => Ok(target),
        (Some(scheme), Some(authority), target) if ["http", "https"].contains(&scheme.as_str()) => {
            // RFC 9112 §3.2.2: "When an origin server receives a request with an absolute-form of
            // request-target, the origin server MUST ignore the received Host header field (if
            // any) and instead use the host information of the request-target."
            if !is_host(authority.as_str().as_bytes()) {
                return Err(Refusal::bad_request("a malformed authority"));
            }
            let host = HeaderValue::from_str(authority.as_str())
                .map_err(|_| Refusal::bad_request("a malformed authority"))?;
            headers.insert(HOST, host);
            match target {
                Some(target) if target.as_str().starts_with('/') => Ok(target),
                Some(target) => with_path(&target),
                None => Ok(PathAndQuery::from_static("/")),
            }
        }
        _ => Err(Refusal::bad_request("a malformed target")),
    }
}

/// Adds the path to a target that is only a query, as in `http://example.org?query`.
///
/// RFC 9110 §4.2.3: "an empty path component is equivalent to an absolute path of "/"".
fn with_path(query: &PathAndQuery) -> Result<PathAndQuery, Refusal> {
    PathAndQuery::try_from(format!("/{}", query.as_str()))
        .map_err(|_| Refusal::bad_request("a malformed target"))
}

/// Whether the client takes trailers after a chunked body.
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
    use super::target;
    use http::header::HOST;
    use http::{HeaderMap, Method, Uri};

    #[test]
    fn targets_of_every_form() {
        let check = |method: Method, uri: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "old".parse().unwrap());
            let target = target(&method, Uri::try_from(uri).unwrap(), &mut headers)
                .map_err(|refusal| refusal.status.as_u16())?;
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
        assert_eq!(check(Method::GET, "http://new?y=1"), ok("/?y=1", "new"));
        assert_eq!(check(Method::GET, "http://new?"), ok("/?", "new"));
        assert_eq!(check(Method::GET, "http://new:99999/"), Err(400));
        assert_eq!(check(Method::GET, "http://u@new/"), Err(400));
        assert_eq!(check(Method::GET, "ftp://new/"), Err(400));
        assert_eq!(check(Method::CONNECT, "new:1"), Err(501));
    }
}
