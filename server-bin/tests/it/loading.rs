//! An app in a library, seen from outside of the process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::process::{BUILD, Running, ferricorn, repository};

/// Serves the example in Rust, built if need be.
fn hello(arguments: &[&str]) -> Running {
    let hello = repository("examples/hello").display().to_string();
    let mut command = ferricorn(&[&hello, "--profile", "dev", "--bind", "127.0.0.1:0"]);
    Running::start(command.args(arguments)).patience(BUILD)
}

/// The whole response, or as much as comes.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut response = Vec::new();
    // A connection that is reset has said all that it will.
    let _ = stream.read_to_end(&mut response);
    String::from_utf8_lossy(&response).into_owned()
}

/// A line of the log without its time.
fn said(line: &str) -> &str {
    line.split_once(' ')
        .expect("a time and more")
        .1
        .trim_start()
}

#[test]
fn what_the_app_logs_stands_in_the_servers_log_with_its_exchange() {
    let mut server = hello(&["--log-level", "info,hello=debug"]);
    let line = server.line_with("about to serve");
    assert_eq!(said(&line), "DEBUG hello::app: the app is about to serve");
    let address = server.address();
    assert!(get(address, "/").starts_with("HTTP/1.1 200"));
    assert!(get(address, "/io").starts_with("HTTP/1.1 200"));
    let line = server.line_with("a task counts");
    assert_eq!(
        said(&line),
        "DEBUG hello::app: a task counts thread=\"its own\" span=io exchange=2"
    );
}

#[test]
fn a_panic_of_the_app_is_one_line_of_the_log_and_says_where() {
    let mut server = hello(&[]);
    let address = server.address();
    assert!(get(address, "/panic").starts_with("HTTP/1.1 500"));
    let line = server.line_with("panic");
    assert!(
        said(&line).contains(
            "the app panicked: the client asked for a panic, at examples/hello/src/app.rs:"
        ) && line.contains("exchange=1"),
        "{line}"
    );
}
