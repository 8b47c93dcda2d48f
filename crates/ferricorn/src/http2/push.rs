//! Server push: makes promised requests, and decides which pushes a connection takes.

use std::collections::HashSet;

use asgi::{HttpResponsePush, HttpScope};
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use super::Shared;
use crate::Config;
use crate::exchange::{Admission, PushGate};

/// The request that promised requests belong to, as far as they repeat it.
#[derive(Debug)]
pub(super) struct Parent {
    scheme: Scheme,
    host: HeaderValue,
    /// A list, because most requests have few of these headers or none.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Parent {
    /// Keeps the parts that promised requests repeat of a request whose app may push.
    pub(super) fn new(scope: &HttpScope, config: &Config) -> Option<Self> {
        let mut headers = Vec::new();
        for name in &config.h2_push_headers {
            let mut values = scope.headers.get_all(name).iter().peekable();
            // Usually there is no value, and the second check costs more.
            if values.peek().is_some() && !concerns_only_page(name) {
                headers.extend(values.map(|value| (name.clone(), value.clone())));
            }
        }
        Some(Self {
            scheme: match &*scope.scheme {
                "https" => Scheme::HTTPS,
                _ => Scheme::HTTP,
            },
            host: scope.headers.get(HOST)?.clone(),
            headers,
        })
    }

    /// Makes the promised request. The app's headers replace those of the same name. `None` if the
    /// request has no valid URI.
    pub(super) fn promise(&self, push: HttpResponsePush) -> Option<Request<()>> {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + push.headers.len());
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        let mut last = None;
        for (name, value) in push.headers {
            let first_of_its_name = name.is_some();
            last = name.or(last);
            let Some(name) = last.as_ref().filter(|name| !is_forbidden(name)) else {
                continue;
            };
            if first_of_its_name {
                headers.insert(name, value);
            } else {
                headers.append(name, value);
            }
        }
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(self.scheme.clone());
        uri.authority = Some(Authority::try_from(self.host.as_bytes()).ok()?);
        uri.path_and_query = Some(push.path);
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        *request.method_mut() = Method::GET;
        *request.uri_mut() = Uri::from_parts(uri).ok()?;
        *request.headers_mut() = headers;
        Some(request)
    }
}

/// Whether a header concerns only the page's own request. Conditions and ranges, for example: the client
/// has no use for a part of something that it has not asked for. (PUSH-008)
fn concerns_only_page(name: &HeaderName) -> bool {
    is_forbidden(name)
        || [
            CONTENT_ENCODING,
            CONTENT_TYPE,
            IF_MATCH,
            IF_MODIFIED_SINCE,
            IF_NONE_MATCH,
            IF_RANGE,
            IF_UNMODIFIED_SINCE,
            RANGE,
        ]
        .contains(name)
}

/// Whether a promised request must not have this header: those that say how a request is sent, and
/// those of a body, which a promised request does not have (RFC 9113 §8.4.1).
fn is_forbidden(name: &HeaderName) -> bool {
    [
        CONNECTION,
        CONTENT_LENGTH,
        EXPECT,
        HOST,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ]
    .contains(name)
        || ["keep-alive", "proxy-connection"].contains(&name.as_str())
}

impl PushGate for Shared {
    fn admit(
        &self,
        push: &HttpResponsePush,
        before: &HashSet<PathAndQuery>,
    ) -> Result<Admission, &'static str> {
        if !self.transport.allows_push() {
            return Err("the client takes no pushes any more");
        }
        if !push.path.as_str().starts_with('/') {
            return Err("a push needs a path that begins with a slash");
        }
        if before.contains(&push.path) {
            return Err("this path was pushed before with the same response");
        }
        if before.len() >= self.server.config().h2_max_pushes {
            return Err("the response has as many pushes as the server allows");
        }
        let slot = self
            .pushes
            .take()
            .ok_or("the client has no room for a further push now")?;
        let permit = self.server.admit_later();
        let permit = permit.ok_or("the server runs as many exchanges as it may")?;
        let place = Box::new(slot);
        Ok(Admission { place, permit })
    }
}

#[cfg(test)]
mod tests {
    use asgi::{HttpResponsePush, HttpScope};
    use http::header::{ACCEPT_LANGUAGE, COOKIE, HOST};
    use http::uri::PathAndQuery;
    use http::{HeaderName, HeaderValue, Method};

    use super::Parent;
    use crate::Config;

    fn parent() -> Parent {
        let mut scope = HttpScope::new(Method::POST, PathAndQuery::from_static("/page"));
        let headers = [
            ("host", "a:1"),
            ("cookie", "c=1"),
            ("accept-language", "de"),
            ("content-type", "x/y"),
        ];
        for (name, value) in headers {
            scope.headers.append(name, HeaderValue::from_static(value));
        }
        Parent::new(&scope, &Config::default()).unwrap()
    }

    #[test]
    fn a_promise_is_a_get_with_a_few_headers_of_the_request() {
        let push = HttpResponsePush::new(PathAndQuery::from_static("/a%20b?c"));
        let request = parent().promise(push).unwrap();
        assert_eq!(*request.method(), Method::GET);
        assert_eq!(*request.uri(), "http://a:1/a%20b?c");
        let mut names: Vec<_> = request.headers().keys().collect();
        names.sort_by_key(|name| name.as_str());
        assert_eq!(names, [&ACCEPT_LANGUAGE, &COOKIE]);
    }

    #[test]
    fn headers_that_concern_only_the_page_are_never_copied() {
        let mut scope = HttpScope::new(Method::GET, PathAndQuery::from_static("/page"));
        let mut config = Config::default();
        for name in [
            "host",
            "range",
            "if-none-match",
            "content-type",
            "expect",
            "te",
            "x-mine",
        ] {
            scope.headers.append(name, HeaderValue::from_static("a"));
            config.h2_push_headers.push(HeaderName::from_static(name));
        }
        let push = HttpResponsePush::new(PathAndQuery::from_static("/"));
        let request = Parent::new(&scope, &config).unwrap().promise(push).unwrap();
        let names: Vec<_> = request.headers().keys().collect();
        assert_eq!(names, ["x-mine"]);
    }

    #[test]
    fn the_apps_headers_replace_those_of_the_request() {
        let mut push = HttpResponsePush::new(PathAndQuery::from_static("/"));
        for (name, value) in [
            ("cookie", "mine=1"),
            ("x-a", "1"),
            ("x-a", "2"),
            ("host", "evil"),
            ("content-length", "5"),
            ("connection", "close"),
        ] {
            push.headers.append(name, HeaderValue::from_static(value));
        }
        let request = parent().promise(push).unwrap();
        let headers = request.headers();
        assert_eq!(headers[COOKIE], "mine=1");
        assert_eq!(headers.get_all("x-a").iter().count(), 2);
        assert!(!headers.contains_key(HOST) && headers.len() == 4);
    }
}
