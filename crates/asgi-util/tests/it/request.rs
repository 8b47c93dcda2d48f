//! Scopes become heads of `http` requests, and the other way round.

use asgi::{HttpScope, State};
use asgi_util::{RequestContext, from_request_parts, into_request_parts};
use http::{HeaderValue, Method, Version};

#[test]
fn a_scope_survives_the_way_there_and_back() {
    let mut scope = HttpScope::new(
        Method::from_bytes(b"BREW").unwrap(),
        "/a%20b?c".parse().unwrap(),
    );
    scope.version = Version::HTTP_2;
    scope.scheme = "https".into();
    scope.headers.append("x-a", HeaderValue::from_static("1"));
    scope.headers.append("x-a", HeaderValue::from_static("2"));
    scope.client = Some(asgi::Address::Unix(None));
    scope.state.insert(7_u8);
    scope.root_path = "/api".into();
    scope.set_without_body();
    let before = format!("{scope:?}");
    let parts = into_request_parts(scope);
    assert_eq!(parts.uri, "/a%20b?c");
    assert_eq!(parts.headers.get_all("x-a").iter().count(), 2);
    let scope = from_request_parts(parts);
    assert_eq!(format!("{scope:?}"), before);
    assert_eq!(scope.state.get::<u8>().as_deref(), Some(&7));
}

#[test]
fn the_target_of_options_star_stays() {
    let scope = HttpScope::new(Method::OPTIONS, "*".parse().unwrap());
    let parts = into_request_parts(scope);
    assert_eq!(parts.uri.path(), "*");
    assert_eq!(from_request_parts(parts).target, "*");
}

#[test]
fn a_middleware_of_http_can_change_the_context() {
    let scope = HttpScope::new(Method::GET, "/".parse().unwrap());
    let mut parts = into_request_parts(scope);
    let context = parts.extensions.get_mut::<RequestContext>().unwrap();
    context.state.insert(String::from("alice"));
    let state: State = from_request_parts(parts).state;
    assert_eq!(*state.get::<String>().unwrap(), "alice");
}

#[test]
fn the_authority_of_a_uri_becomes_the_host_unless_there_is_one() {
    let request = http::Request::get("http://user@example.org:8080/")
        .body(())
        .unwrap();
    let scope = from_request_parts(request.into_parts().0);
    assert_eq!(scope.headers["host"], "example.org:8080");
    let request = http::Request::get("http://example.org").header("host", "other");
    let scope = from_request_parts(request.body(()).unwrap().into_parts().0);
    assert_eq!(
        (scope.headers["host"].as_bytes(), scope.target.as_str()),
        (&b"other"[..], "/")
    );
}
