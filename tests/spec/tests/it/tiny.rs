//! The suite against `examples/tiny-server`, which speaks HTTP/1.0 only.

use asgi_spec::Suite;
use test_support::library;

#[test]
fn the_tiny_server_passes_what_http_1_0_can_show() {
    let server = library::build("tiny-server");
    let probe = library::build("asgi-spec-probe");
    let command = format!("{} 127.0.0.1:{{port}} {{probe}}", server.display());
    let results = Suite::command_that_reads(&command, &probe)
        .websocket(false)
        .skip(
            "HTTP-086",
            "a head may go out if a thread of the library begins just after the poll of the app",
        )
        .run();
    assert!(results.count("passed") > 85, "{}", results.count("passed"));
    results.assert();
}
