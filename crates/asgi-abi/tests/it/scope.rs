//! Every field of a scope crosses.

use std::path::Path;
use std::sync::Arc;

use asgi::{
    Address, AppError, Extension, Extensions, HttpScope, LifespanScope, Receiver, Scope, Sender,
    State, Tls, WebSocketScope,
};
use http::{HeaderValue, Method, Version};

use crate::support::{Exchange, get, run};

/// Passes a scope through the boundary and returns the result.
#[track_caller]
fn crossed(scope: impl Into<Scope>) -> Scope {
    let (give, take) = std::sync::mpsc::channel();
    let app = move |scope: Scope, _: Receiver, _: Sender| {
        let give = give.clone();
        async move { Ok::<(), AppError>(give.send(scope)?) }
    };
    run(app, scope, &Exchange::default()).unwrap();
    take.recv().unwrap()
}

#[track_caller]
fn crossed_http(scope: HttpScope) -> HttpScope {
    match crossed(scope) {
        Scope::Http(http) => *http,
        other => panic!("an HTTP scope came out as {other:?}"),
    }
}

pub(crate) fn full() -> HttpScope {
    let method = Method::from_bytes(b"PURGE").unwrap();
    let mut scope = HttpScope::new(method, "/a%20b%ff?q=%41&x".parse().unwrap());
    scope.root_path = "/api".into();
    scope.version = Version::HTTP_2;
    scope.scheme = "https".into();
    scope
        .headers
        .append("host", HeaderValue::from_static("example.org"));
    scope
        .headers
        .append("cookie", HeaderValue::from_static("a=1"));
    scope
        .headers
        .append("x-latin-1", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    let mut secret = HeaderValue::from_static("b=2");
    secret.set_sensitive(true);
    scope.headers.append("cookie", secret);
    scope.client = Some(Address::Ip("192.0.2.1:40000".parse().unwrap()));
    scope.server = Some(Address::Ip("[fe80::1%7]:443".parse().unwrap()));
    scope.extensions = Extensions::new()
        .with(Extension::Push)
        .with(Extension::EarlyHint)
        .with(Extension::Trailers);
    let mut tls = Tls::new();
    tls.version = Some(0x0304);
    tls.cipher_suite = Some(0x1301);
    tls.server_cert = Some("server".into());
    tls.client_cert_chain = vec!["leaf".into(), "root".into()];
    tls.client_cert_name = Some("CN=client".into());
    tls.client_cert_error = Some(String::new());
    tls.server_name = Some("example.org".into());
    scope.extensions.tls = Some(Arc::new(tls));
    scope
}

// Compares with `Debug`, which shows every field.
/// ABI-031
#[test]
fn every_field_of_an_http_scope_crosses() {
    assert_eq!(
        format!("{:#?}", crossed_http(full())),
        format!("{:#?}", full())
    );
}

#[test]
fn a_scope_with_few_fields_crosses() {
    assert_eq!(
        format!("{:#?}", crossed_http(get("/"))),
        format!("{:#?}", get("/"))
    );
}

#[test]
fn an_options_request_for_the_whole_server_crosses() {
    let scope = HttpScope::new(Method::OPTIONS, "*".parse().unwrap());
    assert_eq!(
        format!("{:#?}", crossed_http(scope.clone())),
        format!("{scope:#?}")
    );
}

#[test]
fn each_version_crosses() {
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        let mut scope = get("/");
        scope.version = version;
        assert_eq!(crossed_http(scope).version, version);
    }
}

#[test]
fn any_scheme_crosses() {
    let mut scope = get("/");
    scope.scheme = "coap".into();
    assert_eq!(crossed_http(scope).scheme, "coap");
}

#[test]
fn unix_addresses_cross() {
    let mut scope = get("/");
    scope.client = Some(Address::Unix(None));
    scope.server = Some(Address::Unix(Some(Arc::from(Path::new("/run/app.sock")))));
    let crossed = crossed_http(scope.clone());
    assert_eq!(
        (crossed.client, crossed.server),
        (scope.client, scope.server)
    );
}

#[test]
fn a_header_may_be_empty() {
    let mut scope = get("/");
    scope
        .headers
        .append("x-empty", HeaderValue::from_static(""));
    assert_eq!(crossed_http(scope).headers["x-empty"], "");
}

/// ABI-032
#[test]
fn every_extension_crosses_but_debug() {
    let all = [
        Extension::Push,
        Extension::EarlyHint,
        Extension::Trailers,
        Extension::PathSend,
        Extension::ZeroCopySend,
        Extension::WebSocketHttpResponse,
    ];
    for one in all {
        let mut scope = get("/");
        scope.extensions = Extensions::new().with(one).with(Extension::Debug);
        let offered: Vec<_> = crossed_http(scope).extensions.iter().collect();
        assert_eq!(offered, [one]);
    }
}

/// ABI-033
#[test]
fn the_state_of_the_server_does_not_cross() {
    let mut scope = get("/");
    let mut state = State::new();
    state.insert("a value of the server");
    scope.state = state;
    assert!(crossed_http(scope).state.get::<&str>().is_none());
}

#[test]
fn a_lifespan_crosses() {
    assert!(matches!(crossed(LifespanScope::new()), Scope::Lifespan(_)));
}

#[test]
fn every_field_of_a_websocket_scope_crosses() {
    let http = full();
    let mut scope = WebSocketScope::new(http.target);
    scope.root_path = "/api".into();
    scope.version = Version::HTTP_2;
    scope.scheme = "wss".into();
    scope.headers = http.headers;
    scope.subprotocols = vec!["chat".into(), "superchat".into()];
    scope.client = http.client;
    scope.server = http.server;
    scope.extensions = http.extensions.with(Extension::WebSocketHttpResponse);
    for scope in [scope, WebSocketScope::new("/".parse().unwrap())] {
        let expected = format!("{scope:#?}");
        let Scope::WebSocket(crossed) = crossed(scope) else {
            panic!("another kind of scope");
        };
        assert_eq!(format!("{crossed:#?}"), expected);
    }
}

#[test]
fn whether_a_body_follows_crosses() {
    assert!(crossed_http(full()).has_body());
    let mut scope = full();
    scope.set_without_body();
    assert!(!crossed_http(scope).has_body());
}
