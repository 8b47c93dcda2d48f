//! Follows redirects (RFC 9110 §15.4).

use std::fmt::Write as _;
use std::panic::Location;

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_TYPE, COOKIE, HOST, LOCATION, TRANSFER_ENCODING,
};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode};

use crate::{Broken, Request, Response};

impl Request {
    /// Sends the request and follows redirects up to the limit of the request.
    pub(crate) async fn follow(
        self,
        caller: &'static Location<'static>,
    ) -> Result<Response, Broken> {
        let mut request = self;
        let mut earlier: Vec<Response> = Vec::new();
        loop {
            let next = request.clone();
            let mut response = request.start_at(caller).run().await?;
            let Some(next) = next.redirected(&response) else {
                response.set_redirects(earlier);
                return Ok(response);
            };
            earlier.push(response);
            if earlier.len() > next.redirects {
                too_many(&earlier, next.redirects, caller);
            }
            request = next;
        }
    }

    /// Makes the next request, or returns `None` if the response is not one that a client follows.
    fn redirected(mut self, response: &Response) -> Option<Self> {
        let keeps_method = match response.status() {
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
            // "For historical reasons, a user agent MAY change the request method from POST to GET".
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.scope.method != Method::POST,
            // "a GET or HEAD request if using HTTP"
            StatusCode::SEE_OTHER => self.scope.method == Method::HEAD,
            _ => return None,
        };
        let location = response.headers().get(LOCATION)?.to_str().ok()?;
        let place = RequestPlace {
            scheme: &self.scope.scheme,
            authority: self.scope.headers.get(HOST)?.to_str().ok()?,
            path: &format!("{}{}", self.scope.root_path, self.scope.raw_path()),
            query: self.scope.target.query(),
        };
        let target = resolve(location, &place)?;
        let is_elsewhere = target.authority != place.authority || target.scheme != place.scheme;
        let path = target.path.strip_prefix(&*self.scope.root_path)?;
        let path = match path {
            "" => "/",
            path if path.starts_with('/') => path,
            // Another path begins with the same letters: the app is not mounted there.
            _ => return None,
        };
        let parsed: PathAndQuery = match &target.query {
            Some(query) => format!("{path}?{query}").parse().ok()?,
            None => path.parse().ok()?,
        };
        let headers = &mut self.scope.headers;
        if is_elsewhere {
            headers.remove(AUTHORIZATION);
            headers.remove(COOKIE);
            headers.insert(HOST, HeaderValue::try_from(&*target.authority).ok()?);
        }
        if !keeps_method {
            self.scope.method = Method::GET;
            self.body = None;
            self.trailers = None;
            // "If the request method has been changed to GET or HEAD, remove content-specific header
            // fields".
            for name in [
                CONTENT_ENCODING,
                CONTENT_LANGUAGE,
                CONTENT_LENGTH,
                CONTENT_LOCATION,
                CONTENT_TYPE,
                TRANSFER_ENCODING,
            ] {
                headers.remove(name);
            }
        }
        self.scope.scheme = target.scheme.into();
        self.scope.set_target(parsed);
        Some(self)
    }
}

fn too_many(earlier: &[Response], limit: usize, caller: &Location<'_>) -> ! {
    let mut chain = String::new();
    for response in earlier {
        let location = response.header("location").unwrap_or("");
        let status = response.status().as_u16();
        let _ = write!(chain, "\n  {status} to {location}");
    }
    panic!("the app redirected more than {limit} times:{chain}\n  the test waits at {caller}\n");
}

/// An absolute URI without its fragment.
struct RequestPlace<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: &'a str,
    query: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
struct ResolvedPlace {
    scheme: String,
    authority: String,
    path: String,
    query: Option<String>,
}

/// Resolves a reference against the place of the request (RFC 3986 §5.2). Returns `None` for a
/// scheme that is not of HTTP.
fn resolve(reference: &str, base: &RequestPlace<'_>) -> Option<ResolvedPlace> {
    let reference = reference.split('#').next().unwrap_or("");
    let (rest, scheme) = match reference.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => {
            let scheme = scheme.to_ascii_lowercase();
            if !matches!(&*scheme, "http" | "https") || !rest.starts_with("//") {
                return None;
            }
            (rest, scheme)
        }
        _ => (reference, base.scheme.to_owned()),
    };
    let (hier, query) = match rest.split_once('?') {
        Some((hier, query)) => (hier, Some(query.to_owned())),
        None => (rest, None),
    };
    if let Some(after) = hier.strip_prefix("//") {
        let slash = after.find('/').unwrap_or(after.len());
        let authority = &after[..slash];
        // "user:password@" is not a part of the host.
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        return (!authority.is_empty()).then(|| ResolvedPlace {
            scheme,
            authority: authority.to_owned(),
            path: without_dots(&after[slash..]),
            query,
        });
    }
    let (path, query) = match hier {
        "" => (
            base.path.to_owned(),
            query.or_else(|| base.query.map(str::to_owned)),
        ),
        path if path.starts_with('/') => (without_dots(path), query),
        path => {
            let folder = base.path.rfind('/').map_or(0, |slash| slash + 1);
            (
                without_dots(&format!("{}{path}", &base.path[..folder])),
                query,
            )
        }
    };
    Some(ResolvedPlace {
        scheme,
        authority: base.authority.to_owned(),
        path,
        query,
    })
}

/// RFC 3986 §3.1
fn is_scheme(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Removes the segments `.` and `..`. (RFC 3986 §5.2.4)
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::{RequestPlace, resolve};

    /// RFC 3986 §5.4, as far as it is about HTTP.
    #[test]
    fn references_are_resolved_as_in_the_examples_of_the_rfc() {
        let base = RequestPlace {
            scheme: "http",
            authority: "a",
            path: "/b/c/d;p",
            query: Some("q"),
        };
        for (reference, expected) in [
            ("g:h", None),
            ("g", Some("http://a/b/c/g")),
            ("./g", Some("http://a/b/c/g")),
            ("g/", Some("http://a/b/c/g/")),
            ("/g", Some("http://a/g")),
            ("//g", Some("http://g/")),
            ("?y", Some("http://a/b/c/d;p?y")),
            ("g?y", Some("http://a/b/c/g?y")),
            ("#s", Some("http://a/b/c/d;p?q")),
            ("g#s", Some("http://a/b/c/g")),
            ("g?y#s", Some("http://a/b/c/g?y")),
            (";x", Some("http://a/b/c/;x")),
            ("g;x", Some("http://a/b/c/g;x")),
            ("", Some("http://a/b/c/d;p?q")),
            (".", Some("http://a/b/c/")),
            ("./", Some("http://a/b/c/")),
            ("..", Some("http://a/b/")),
            ("../", Some("http://a/b/")),
            ("../g", Some("http://a/b/g")),
            ("../..", Some("http://a/")),
            ("../../g", Some("http://a/g")),
            ("../../../g", Some("http://a/g")),
            ("/./g", Some("http://a/g")),
            ("/../g", Some("http://a/g")),
            ("g.", Some("http://a/b/c/g.")),
            ("..g", Some("http://a/b/c/..g")),
            ("./g/.", Some("http://a/b/c/g/")),
            ("g/../h", Some("http://a/b/c/h")),
            ("g;x=1/../y", Some("http://a/b/c/y")),
            ("g?y/../x", Some("http://a/b/c/g?y/../x")),
            ("HTTPS://u:p@b:8443/x?y#z", Some("https://b:8443/x?y")),
            ("http://b", Some("http://b/")),
            ("http:g", None),
            ("mailto:a@b", None),
            ("http:///x", None),
        ] {
            let resolved = resolve(reference, &base).map(|place| {
                let query = place.query.map(|query| format!("?{query}"));
                let query = query.unwrap_or_default();
                format!(
                    "{}://{}{}{query}",
                    place.scheme, place.authority, place.path
                )
            });
            assert_eq!(resolved.as_deref(), expected, "{reference}");
        }
    }
}
