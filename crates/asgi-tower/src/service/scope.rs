//! The scope of a request that comes from a host.

use asgi::{Address, Extension, Extensions, HttpScope, State};
use asgi_util::from_request_parts;
use http::header::TE;
use http::{HeaderMap, request};

/// Makes the scope. It offers only what a host can do.
pub(super) fn http_scope(mut parts: request::Parts, state: State, without_body: bool) -> HttpScope {
    let client = client(&parts);
    let root_path = root_path(&parts);
    // A router inside `app` gets its requests with the context of the server. That server can do more
    // than this host, so only a part of the context holds here.
    let context = parts.extensions.remove::<asgi_util::RequestContext>();
    let mut scope = from_request_parts(parts);
    if let Some(context) = context {
        scope.scheme = context.scheme;
        scope.root_path = context.root_path;
        scope.client = context.client;
        scope.server = context.server;
        scope.extensions.tls = context.extensions.tls;
    }
    if client.is_some() {
        scope.client = client;
    }
    if let Some(stripped) = root_path {
        scope.root_path.to_mut().push_str(&stripped);
    }
    if without_body {
        scope.set_without_body();
    }
    if accepts_trailers(&scope.headers) {
        let offered = std::mem::replace(&mut scope.extensions, Extensions::new());
        scope.extensions = offered.with(Extension::Trailers);
    }
    scope.state = state;
    scope
}

/// RFC 9110 §10.1.4: "The presence of the keyword "trailers" indicates that the client is willing to
/// accept trailer fields".
fn accepts_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TE).iter().filter_map(|te| te.to_str().ok());
    values
        .flat_map(|te| te.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

fn client(parts: &request::Parts) -> Option<Address> {
    if let Some(address) = parts.extensions.get::<Address>() {
        return Some(address.clone());
    }
    #[cfg(feature = "axum")]
    if let Some(peer) = crate::axum::connected_peer(&parts.extensions) {
        return Some(peer.into());
    }
    None
}

/// Returns the decoded start of the path that an axum router has stripped.
fn root_path(parts: &request::Parts) -> Option<String> {
    #[cfg(feature = "axum")]
    {
        let original = crate::axum::original_path(&parts.extensions)?;
        let path = parts.uri.path();
        // `/asgi` becomes `/`.
        let stripped = original
            .strip_suffix(path)
            .or_else(|| (path == "/").then_some(original))?;
        Some(asgi::percent_decode(stripped.trim_end_matches('/')).into_owned())
    }
    #[cfg(not(feature = "axum"))]
    {
        let _ = parts;
        None
    }
}
