//! Scopes: paths, mounts and bodies.

use std::borrow::Cow;

use asgi::{HttpScope, LifespanScope, Scope, State, WebSocketScope};
use http::{HeaderValue, Method, Version, header};

use crate::support::change;

fn scope(target: &str) -> HttpScope {
    HttpScope::new(Method::GET, target.parse().unwrap())
}

#[test]
fn two_mounts_add_up() {
    let mut scope = scope("/a/b/c%20d?q=1");
    assert!(scope.nest("/a"));
    assert!(scope.nest("/b/"));
    change("`root_path` is `/b`", &scope.root_path);
    assert_eq!(scope.root_path, "/a/b");
    assert_eq!(scope.path(), "/a/b/c d");
    assert_eq!(scope.local_path(), "/c d");
    assert_eq!(scope.raw_path(), "/c%20d");
    assert_eq!(scope.query_string(), "q=1");
}

#[test]
fn only_whole_segments_are_a_mount() {
    for (target, prefix, root, local) in [
        ("/a", "/a", "/a", "/"),
        ("/a?q", "/a", "/a", "/"),
        ("/a/", "/a", "/a", "/"),
        ("/a//b", "/a", "/a", "//b"),
        ("/a/b", "", "", "/a/b"),
        ("/a/b", "/", "", "/a/b"),
        ("/%61/b", "/a", "/a", "/b"),
        ("/%C3%A4/b", "/ä", "/ä", "/b"),
        ("/50%/b", "/50%", "/50%", "/b"),
        ("/a%2Fb/c", "/a/b", "", "/a/b/c"),
        ("/ab", "/a", "", "/ab"),
        ("/a%2Fb", "/a", "", "/a/b"),
        ("/a", "/a/b", "", "/a"),
        ("/a", "a", "", "/a"),
        ("*", "/a", "", "*"),
    ] {
        let mut http = scope(target);
        let mut websocket = WebSocketScope::new(target.parse().unwrap());
        let nested = http.nest(prefix);
        assert_eq!(websocket.nest(prefix), nested);
        let is_noop = matches!(prefix, "" | "/");
        assert_eq!(nested, is_noop || !root.is_empty(), "{prefix} in {target}");
        assert_eq!(http.root_path, root, "{prefix} in {target}");
        assert_eq!(http.local_path(), local, "{prefix} in {target}");
        assert_eq!(websocket.root_path, root);
        assert_eq!(websocket.path(), http.path());
        if !nested {
            assert_eq!(http.target, target);
        }
    }
}

#[test]
fn a_rewritten_target_changes_every_path() {
    let mut scope = scope("/old");
    scope.root_path = "/api".into();
    scope.set_target("/n%65w?x".parse().unwrap());
    assert_eq!(scope.path(), "/api/new");
    assert_eq!(scope.local_path(), "/new");
    assert_eq!(scope.query_string(), "x");
}

#[test]
fn a_plain_path_is_not_copied() {
    let scope = scope("/plain");
    assert!(matches!(scope.path(), Cow::Borrowed("/plain")));
    change("a `String` for each request", scope.path());
}

#[test]
fn a_scope_tells_whether_a_body_follows() {
    let with = |name, value| {
        let mut scope = scope("/");
        scope.headers.append(name, HeaderValue::from_static(value));
        scope
    };
    let length = |value| with(header::CONTENT_LENGTH, value);
    assert_eq!(
        (scope("/").content_length(), scope("/").has_body()),
        (None, false)
    );
    assert_eq!(
        (length("3").content_length(), length("3").has_body()),
        (Some(3), true)
    );
    assert_eq!(
        (length("0").content_length(), length("0").has_body()),
        (Some(0), false)
    );
    assert_eq!(length("+3").content_length(), None);
    assert!(with(header::TRANSFER_ENCODING, "chunked").has_body());
    let mut http2 = scope("/");
    http2.version = Version::HTTP_2;
    assert!(http2.has_body());
    http2.set_without_body();
    assert!(!http2.has_body());
}

#[test]
fn every_kind_of_scope_has_the_same_questions() {
    let mut http = Scope::from(scope("/a%20b"));
    let mut lifespan = Scope::from(LifespanScope::new());
    assert_eq!(http.path().unwrap(), "/a b");
    assert!(http.headers().unwrap().is_empty());
    http.state_mut().unwrap().insert(5_u8);
    assert!(matches!(&http, Scope::Http(http) if http.state.get_ref::<u8>() == Some(&5)));
    assert!(lifespan.path().is_none() && lifespan.headers().is_none());
    assert!(lifespan.state_mut().is_none());
}

#[test]
fn a_state_gives_references_and_lets_values_go() {
    let mut state = State::new();
    assert!(state.remove::<u8>().is_none());
    state.insert_arc(std::sync::Arc::new(7_u8));
    let clone = state.clone();
    assert_eq!(state.get_ref::<u8>(), Some(&7));
    assert_eq!(state.remove::<u8>().as_deref(), Some(&7));
    assert!(state.get_ref::<u8>().is_none());
    assert_eq!(clone.get_ref::<u8>(), Some(&7));
}

#[test]
fn a_server_can_offer_extensions_of_its_own() {
    let mut scope = scope("/");
    scope.extensions.insert(String::from("of a third server"));
    assert_eq!(
        scope.extensions.get::<String>().map(String::as_str),
        Some("of a third server")
    );
    assert!(scope.extensions.get::<u8>().is_none());
}
