//! Tests of the proxy over real sockets: client, server with the proxy, upstream.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but not in the functions that they call"
)]

mod http;
mod loaded;
mod upstream;
mod websocket;

use std::net::SocketAddr;

use asgi_spec::Lint;
use proxy::Proxy;
use test_support::Server;

/// A server that serves a proxy for this upstream. `words` are more of its configuration.
async fn proxied(upstream: SocketAddr, words: &str) -> Server {
    let proxy = Proxy::new(&format!("http://{upstream} {words}")).unwrap();
    Server::start(Lint::new(proxy)).await
}

#[test]
fn a_configuration_that_is_not_valid_is_refused_with_what_was_expected() {
    for config in [
        "",
        "127.0.0.1:9000",
        "https://127.0.0.1:9000",
        "http://127.0.0.1:9000/path",
        "http://127.0.0.1:9000 host=other",
        "http://127.0.0.1:9000 connections=0",
        "http://127.0.0.1:9000 patience=-1",
        "http://127.0.0.1:9000 http://127.0.0.1:9001",
    ] {
        let error = Proxy::new(config).unwrap_err().to_string();
        assert!(error.contains("expected http://HOST:PORT ["), "{error}");
    }
}
