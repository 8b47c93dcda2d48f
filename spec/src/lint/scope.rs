//! Checks what a server puts into a scope.

use std::borrow::Cow;

use asgi::http::header::{
    CONTENT_LENGTH, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, TE, TRANSFER_ENCODING,
};
use asgi::http::{HeaderMap, HeaderName, Method, Version};
use asgi::{Extension, Extensions, HttpScope, Scope, Tls, WebSocketScope};

use super::violation::LintFinding;

/// Returns what is wrong with a scope.
pub(crate) fn check_scope(scope: &Scope) -> Vec<LintFinding> {
    let mut found = Found(Vec::new());
    match scope {
        Scope::Http(http) => found.http(http),
        Scope::WebSocket(socket) => found.socket(socket),
        _ => {}
    }
    found.0
}

/// What the scopes of requests and WebSockets have in common.
struct CommonScope<'a> {
    version: Version,
    scheme: &'a str,
    secure: &'static str,
    plain: &'static str,
    root_path: &'a Cow<'static, str>,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    /// A test client can be told by what it offers.
    is_test: bool,
}

struct Found(Vec<LintFinding>);

impl Found {
    fn add(&mut self, id: &'static str, happened: impl Into<String>) {
        self.0.push(LintFinding::server(id, happened));
    }

    fn http(&mut self, scope: &HttpScope) {
        if !matches!(scope.version, Version::HTTP_10 | Version::HTTP_11)
            && scope.version < Version::HTTP_2
        {
            self.add("HTTP-001", format!("the version is {:?}", scope.version));
        }
        self.connection(
            &CommonScope {
                version: scope.version,
                scheme: &scope.scheme,
                secure: "https",
                plain: "http",
                root_path: &scope.root_path,
                headers: &scope.headers,
                extensions: &scope.extensions,
                is_test: scope.extensions.has(Extension::Debug),
            },
            "HTTP-003",
        );
        let target = scope.target.as_str();
        if scope.method == Method::CONNECT {
            self.add("HTTP-012", "the method is CONNECT");
        }
        if target == "*" && scope.method != Method::OPTIONS {
            let method = &scope.method;
            self.add("HTTP-073", format!("the target of {method} is *"));
        }
        self.extensions_of_a_request(scope);
    }

    fn extensions_of_a_request(&mut self, scope: &HttpScope) {
        let offers = |extension| scope.extensions.has(extension);
        if offers(Extension::WebSocketHttpResponse) {
            self.add("CORE-024", "a request offers websocket.http.response");
        }
        if offers(Extension::EarlyHint) && scope.version < Version::HTTP_11 {
            self.add("HTTP-056", "early hints are offered on HTTP/1.0");
        }
        if offers(Extension::Push) && scope.version < Version::HTTP_2 {
            let version = scope.version;
            self.add("PUSH-001", format!("push is offered on {version:?}"));
        }
        // A test client has no connection whose headers say what the client accepts.
        if offers(Extension::Trailers) && !offers(Extension::Debug) {
            if scope.version < Version::HTTP_11 {
                self.add("TRAIL-001", "trailers are offered on HTTP/1.0");
            } else if !lists(&scope.headers, &TE, "trailers") {
                self.add("TRAIL-001", "trailers are offered without te: trailers");
            }
        }
    }

    fn socket(&mut self, scope: &WebSocketScope) {
        if scope.version < Version::HTTP_11 {
            self.add("WS-001", format!("the version is {:?}", scope.version));
        }
        self.connection(
            &CommonScope {
                version: scope.version,
                scheme: &scope.scheme,
                secure: "wss",
                plain: "ws",
                root_path: &scope.root_path,
                headers: &scope.headers,
                extensions: &scope.extensions,
                is_test: !scope.headers.contains_key(SEC_WEBSOCKET_KEY)
                    && scope.version < Version::HTTP_2,
            },
            "WS-002",
        );
        for extension in scope.extensions.iter() {
            if extension != Extension::WebSocketHttpResponse {
                let name = extension.name();
                self.add("CORE-024", format!("a WebSocket offers {name}"));
            }
        }
        // A test client may have no header.
        if scope.headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
            let offered: Vec<&str> = listed(&scope.headers, &SEC_WEBSOCKET_PROTOCOL).collect();
            if offered != scope.subprotocols {
                let got = &scope.subprotocols;
                self.add(
                    "WS-003",
                    format!("{got:?} for a client that offers {offered:?}"),
                );
            }
        }
    }

    fn connection(&mut self, one: &CommonScope<'_>, scheme_id: &'static str) {
        let (scheme, secure) = (one.scheme, one.secure);
        if scheme != secure && scheme != one.plain {
            self.add(scheme_id, format!("the scheme is {scheme}"));
        }
        match (&one.extensions.tls, scheme == secure) {
            (Some(_), false) => self.add("CORE-026", format!("`tls` with the scheme {scheme}")),
            (Some(tls), true) => self.tls(tls),
            // A test may set the scheme alone.
            (None, true) if !one.is_test => {
                self.add("CORE-026", format!("the scheme {scheme} without `tls`"));
            }
            _ => {}
        }
        if one.root_path.ends_with('/') {
            let root_path = one.root_path;
            self.add(
                "HTTP-005",
                format!("root_path {root_path:?} has a slash at its end"),
            );
        }
        if one.headers.get_all(HOST).iter().count() > 1 {
            self.add("HTTP-009", "`headers` have several `host`");
        }
        let mut lengths = one.headers.get_all(CONTENT_LENGTH).iter();
        let length = lengths.next();
        if lengths.any(|other| Some(other) != length) {
            self.add("HTTP-013", "a request with several lengths");
        }
        if one.headers.contains_key(TRANSFER_ENCODING) {
            if length.is_some() {
                self.add("HTTP-013", "a request with a length and a transfer coding");
            }
            if one.version >= Version::HTTP_2 {
                self.add("HTTP-013", "an HTTP/2 request with a transfer coding");
            }
        }
    }

    fn tls(&mut self, tls: &Tls) {
        if let Some(version) = tls.version
            && !(0x0301..=0x0304).contains(&version)
        {
            self.add("TLS-001", format!("the version is {version:#06x}"));
        }
        let is_pem = |text: &String| text.trim_start().starts_with("-----BEGIN CERTIFICATE-----");
        if tls.server_cert.as_ref().is_some_and(|text| !is_pem(text)) {
            self.add("TLS-003", "`server_cert` is not PEM");
        }
        if !tls.client_cert_chain.iter().all(is_pem) {
            self.add("TLS-005", "`client_cert_chain` is not PEM");
        }
        if tls.client_cert_chain.is_empty() {
            if tls.client_cert_name.is_some() {
                self.add("TLS-006", "a name without a certificate");
            }
            if tls.client_cert_error.is_some() {
                self.add("TLS-007", "an error without a certificate");
            }
        }
    }
}

/// The items of a header whose values are lists.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let items = values.flat_map(|value| value.split(',')).map(str::trim);
    items.filter(|item| !item.is_empty())
}

fn lists(headers: &HeaderMap, name: &HeaderName, item: &str) -> bool {
    listed(headers, name).any(|one| one.eq_ignore_ascii_case(item))
}
