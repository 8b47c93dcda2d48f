//! A running server: its status lines, signals and exit codes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{BUILD_TIMEOUT, Running, ferricorn, repository, run, static_app};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const ANY_PORT: [&str; 4] = ["--bind", "127.0.0.1:0", "--threads", "2"];

fn serving(arguments: &[&str]) -> Running {
    Running::start(&mut static_app(&[&ANY_PORT[..], arguments].concat()))
}

/// A line about the command itself, without the time and the level that each line of the log has.
#[track_caller]
pub(crate) fn status_text(line: &str) -> &str {
    let (time, text) = line
        .split_once("  INFO ferricorn::status: ")
        .unwrap_or_else(|| panic!("no time and level in {line:?}"));
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    text
}

/// Sends a request and returns a reader for the response.
fn request(address: SocketAddr, path: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    BufReader::new(stream)
}

/// Sends a request for `/hold` and waits until its exchange runs.
fn held(address: SocketAddr) -> BufReader<TcpStream> {
    let mut response = request(address, "/hold");
    let mut line = String::new();
    while line != "held\n" {
        line.clear();
        assert_ne!(
            response.read_line(&mut line).unwrap(),
            0,
            "the connection was closed"
        );
    }
    response
}

#[test]
fn the_serving_line_names_the_app_the_address_and_the_threads() {
    let mut server = serving(&["--log-level", "error"]);
    let line = server.line_with("serving");
    let line = status_text(&line);
    let (before, port) = line.split_once("127.0.0.1:").unwrap();
    let (port, after) = port.split_once(' ').unwrap();
    assert_eq!(
        before,
        format!("ferricorn {VERSION} serving static_app 1.2.3 on http://")
    );
    assert_eq!(after, "(2 threads)");
    assert_ne!(port.parse::<u16>().unwrap(), 0);
}

#[test]
fn each_address_has_its_serving_line() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("app.sock").display());
    let mut server = serving(&["--bind", &socket, "--threads", "1"]);
    assert!(
        server
            .line_with("serving")
            .contains(" on http://127.0.0.1:")
    );
    assert_eq!(
        status_text(&server.line_with("serving")),
        format!("ferricorn {VERSION} serving static_app 1.2.3 on {socket} (1 thread)")
    );
}

#[test]
fn clients_can_connect_after_the_serving_line() {
    let mut server = serving(&[]);
    let mut status = String::new();
    request(server.address(), "/")
        .read_line(&mut status)
        .unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK\r\n");
}

#[test]
fn a_signal_stops_the_server_with_exit_code_0() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = serving(&["--graceful-timeout", "5s"]);
        server.address();
        server.signal(signal);
        assert_eq!(
            status_text(&server.line_with("stopping:")),
            "stopping: no exchange runs; a second signal stops at once"
        );
        assert_eq!(server.end().code, 0);
    }
}

#[test]
fn the_stopping_line_counts_the_exchanges_and_they_are_cut_off_in_time() {
    let mut server = serving(&["--graceful-timeout", "100ms"]);
    let _held = held(server.address());
    server.signal(Signal::TERM);
    assert_eq!(
        status_text(&server.line_with("stopping:")),
        "stopping: waiting for 1 exchange, at most 100ms; a second signal stops at once"
    );
    assert_eq!(server.end().code, 0);
}

#[test]
fn a_second_signal_stops_the_server_at_once_with_the_signals_exit_code() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut server = serving(&["--graceful-timeout", "never"]);
        let _held = held(server.address());
        server.signal(Signal::TERM);
        assert_eq!(
            status_text(&server.line_with("stopping:")),
            "stopping: waiting for 1 exchange, without a limit; a second signal stops at once"
        );
        server.signal(signal);
        assert_eq!(server.end().code, code);
    }
}

/// The signals have a thread of their own. On a serving thread, this app would block them too.
#[test]
fn a_second_signal_stops_the_server_even_if_an_app_blocks_every_thread() {
    let mut server = serving(&["--threads", "1"]);
    let _blocked = request(server.address(), "/block");
    server.line_with("blocked");
    server.signal(Signal::INT);
    server.line_with("stopping:");
    server.signal(Signal::INT);
    assert_eq!(server.end().code, 130);
}

/// tokio's thread that waits for I/O also runs the tasks that are ready. If there is only one, no other
/// thread starts to wait for I/O.
#[test]
fn an_app_that_blocks_one_thread_does_not_stop_the_others() {
    let mut server = serving(&["--threads", "2"]);
    let address = server.address();
    let ask = |stream: &mut TcpStream, path: &str| {
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    };
    let connect = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        ask(&mut stream, "/");
        stream.read_exact(&mut [0; 64]).unwrap();
        stream
    };
    let (mut one, mut other) = (connect(), connect());
    ask(&mut one, "/block");
    server.line_with("blocked");
    // The reader also gets the rest of the first response.
    ask(&mut other, "/");
    let mut seen = String::new();
    let mut other = BufReader::new(other);
    while seen.matches("Hello").count() < 2 {
        assert_ne!(other.read_line(&mut seen).unwrap(), 0, "{seen}");
    }
    server.signal(Signal::INT);
    server.line_with("stopping:");
    server.signal(Signal::INT);
    server.end();
}

#[test]
fn a_hangup_without_certificate_files_only_logs_a_line() {
    let mut server = serving(&[]);
    let address = server.address();
    server.signal(Signal::HUP);
    server.line_with("SIGHUP: no certificate files to reload");
    let mut status = String::new();
    request(address, "/").read_line(&mut status).unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK\r\n");
}

#[test]
fn the_error_for_an_app_that_refuses_to_start_is_one_line() {
    let ended = run(static_app(&ANY_PORT).env("STATIC_APP", "startup"));
    assert_eq!(
        (ended.code, ended.last_line()),
        (
            4,
            "static_app: error: the app refused to start: no database | at db:5432"
        )
    );
    assert!(!ended.stderr.contains("serving"), "{}", ended.stderr);
}

#[test]
fn a_failed_shutdown_of_the_app_is_exit_code_1() {
    let mut server = Running::start(static_app(&ANY_PORT).env("STATIC_APP", "shutdown"));
    server.address();
    server.signal(Signal::INT);
    let ended = server.end();
    assert_eq!(
        (ended.code, ended.last_line()),
        (
            1,
            "static_app: error: the app's shutdown failed: the cache is not written"
        )
    );
}

#[test]
fn an_address_in_use_is_exit_code_5() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(&mut static_app(&["--bind", &address]));
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    let line = ended.last_line();
    assert!(
        line.starts_with("static_app: error: ") && line.contains(&address),
        "{line}"
    );
}

#[test]
fn the_access_log_goes_to_standard_output_at_every_log_level() {
    let mut server = serving(&["--access-log", "--log-level", "error"]);
    let mut status = String::new();
    request(server.address(), "/")
        .read_line(&mut status)
        .unwrap();
    let line = server.stdout_line();
    assert!(line.contains("GET / "), "{line}");
}

#[test]
fn a_crate_is_built_loaded_and_served() {
    let hello = repository("examples/hello").display().to_string();
    let mut command = ferricorn(&[&hello, "--profile", "dev", "--bind", "127.0.0.1:0"]);
    let mut server = Running::start(&mut command).timeout(BUILD_TIMEOUT);
    let line = server.line_with("serving");
    let begin = format!("ferricorn {VERSION} serving hello 0.1.0 on http://127.0.0.1:");
    assert!(status_text(&line).starts_with(&begin), "{line}");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
}

#[test]
fn the_same_address_twice_is_an_error() {
    let mut command = static_app(&["--bind", "127.0.0.1:1", "--bind", "127.0.0.1:1"]);
    let expected = "static_app: error: found the address 127.0.0.1:1 twice, expected it once; remove one \
                    of them";
    crate::process::assert_refused(&mut command, 2, expected);
}

/// The report of Rust's own hook would be a second one, without the request.
#[test]
fn a_panic_of_the_app_is_one_line_in_the_log() {
    let mut server = serving(&[]);
    let mut status = String::new();
    request(server.address(), "/panic")
        .read_line(&mut status)
        .unwrap();
    assert_eq!(status, "HTTP/1.1 500 Internal Server Error\r\n");
    server.signal(Signal::TERM);
    let ended = server.end();
    let about: Vec<_> = ended
        .stderr
        .lines()
        .filter(|line| line.contains("panicked"))
        .collect();
    let [line] = about[..] else {
        panic!("{}", ended.stderr)
    };
    assert!(
        line.contains("the app panicked: the client asked for it, at "),
        "{line}"
    );
    assert!(line.contains("static_app.rs:"), "{line}");
}

#[test]
fn an_unreadable_request_has_a_line_in_the_access_log() {
    let mut server = serving(&["--access-log"]);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"\x00\r\n\r\n").unwrap();
    let line = server.stdout_line();
    assert!(line.ends_with(r#" - "\x00" 400 0 -"#), "{line}");
}
