//! The suite against `examples/tiny-server`, which speaks HTTP/1.0 only.

use asgi_spec::Suite;
use test_support::library;

/// What a server of HTTP/1.0 without reuse of connections does not do.
const EXPECTED: &[(&str, &str)] = &[];

#[test]
fn the_tiny_server_passes_what_http_1_0_can_show() {
    let server = library::build("tiny-server");
    let probe = library::build("asgi-spec-probe");
    let command = format!("{} 127.0.0.1:{{port}} {{probe}}", server.display());
    let mut suite = Suite::command(&command, &probe).websocket(false);
    for (id, reason) in EXPECTED {
        suite = suite.expect_fail(id, reason);
    }
    suite.run().assert();
}
