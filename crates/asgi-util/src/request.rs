//! Converts between `HttpScope` and the types of the crate `http`.

use std::borrow::Cow;

use asgi::{Address, Extensions, HttpScope, Receiver, State};
use http::header::HOST;
use http::uri::{self, PathAndQuery};
use http::{HeaderValue, Request, Uri, request};

use crate::ReceiverBody;

/// The members of an [`HttpScope`] that `http::request::Parts` has no place for.
///
/// [`into_request_parts`] puts this value into the extensions of the parts, and
/// [`from_request_parts`] takes it out again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestContext {
    /// `http` or `https`.
    pub scheme: Cow<'static, str>,
    /// The path at which the app is mounted.
    pub root_path: Cow<'static, str>,
    /// The address of the client, if the server knows it.
    pub client: Option<Address>,
    /// The address of the server's end of the connection, if the server knows it.
    pub server: Option<Address>,
    /// The values that the app made at startup, and those that middleware added.
    pub state: State,
    /// The extensions that this connection supports. [`send_response`](crate::send_response)
    /// needs them.
    pub extensions: Extensions,
    /// Whether a request body may follow, see [`HttpScope::has_body`].
    pub has_body: bool,
}

/// Converts a scope into the head of an `http::Request`.
///
/// The URI is in origin form: it has a path and a query, and neither a scheme nor an authority. The
/// parts have a [`RequestContext`] in their extensions.
///
/// ```
/// use asgi::HttpScope;
/// use asgi_util::{RequestContext, into_request_parts};
///
/// let scope = HttpScope::new(http::Method::GET, "/search?q=rust".parse()?);
/// let parts = into_request_parts(scope);
/// assert_eq!(parts.uri, "/search?q=rust");
/// assert_eq!(parts.extensions.get::<RequestContext>().unwrap().scheme, "http");
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
pub fn into_request_parts(scope: HttpScope) -> request::Parts {
    let has_body = scope.has_body();
    let mut uri = uri::Parts::default();
    uri.path_and_query = Some(scope.target);
    let uri = Uri::from_parts(uri).expect("a path without a scheme and an authority is a URI");
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = scope.method;
    parts.uri = uri;
    parts.version = scope.version;
    parts.headers = scope.headers;
    parts.extensions.insert(RequestContext {
        scheme: scope.scheme,
        root_path: scope.root_path,
        client: scope.client,
        server: scope.server,
        state: scope.state,
        extensions: scope.extensions,
        has_body,
    });
    parts
}

/// Converts a scope and its receiver into an `http::Request`.
///
/// This is [`into_request_parts`] with a [`ReceiverBody`].
pub fn into_request(scope: HttpScope, receive: Receiver) -> Request<ReceiverBody> {
    let body = ReceiverBody::new(&scope, receive);
    Request::from_parts(into_request_parts(scope), body)
}

/// Converts the head of an `http::Request` into a scope.
///
/// The rest of the scope comes from the [`RequestContext`] in the extensions of the parts. Without
/// one, the scheme comes from the URI and everything else is empty or unknown. A `host` header is
/// added from the URI if the request has none. Other extensions of the parts are lost.
///
/// ```
/// use asgi_util::from_request_parts;
///
/// let request = http::Request::get("https://example.org/a?b").body(())?;
/// let scope = from_request_parts(request.into_parts().0);
/// assert_eq!(scope.target, "/a?b");
/// assert_eq!(scope.scheme, "https");
/// assert_eq!(scope.headers["host"], "example.org");
/// # Ok::<(), http::Error>(())
/// ```
pub fn from_request_parts(mut parts: request::Parts) -> HttpScope {
    let context = parts.extensions.remove::<RequestContext>();
    let uri = parts.uri.into_parts();
    let target = uri
        .path_and_query
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    let mut scope = HttpScope::new(parts.method, target);
    scope.version = parts.version;
    scope.headers = parts.headers;
    if let Some(context) = context {
        if !context.has_body {
            scope.set_without_body();
        }
        scope.scheme = context.scheme;
        scope.root_path = context.root_path;
        scope.client = context.client;
        scope.server = context.server;
        scope.state = context.state;
        scope.extensions = context.extensions;
    } else if let Some(scheme) = uri.scheme {
        scope.scheme = Cow::Owned(scheme.as_str().to_owned());
    }
    if let Some(authority) = uri.authority
        && !scope.headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::try_from(host_and_port(authority.as_str()))
    {
        scope.headers.insert(HOST, host);
    }
    scope
}

/// Removes the user information: it does not belong in a `host` header (RFC 9110 §7.2).
fn host_and_port(authority: &str) -> &str {
    authority.rsplit('@').next().unwrap_or(authority)
}
