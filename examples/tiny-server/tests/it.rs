//! Tests the server from outside, with raw sockets and with curl.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but not in the functions that they call"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_tiny-server");

struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts the server with the app of these tests.
    fn start() -> Self {
        Self::start_with(&tiny_app())
    }

    fn start_with(library: &Path) -> Self {
        let mut process = Command::new(BINARY)
            .arg("127.0.0.1:0")
            .arg(library)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        let address = address.to_owned();
        Self { process, address }
    }

    /// Presses Enter. Returns the lines that the server has logged.
    fn stop(mut self) -> Vec<String> {
        writeln!(self.process.stdin.take().unwrap()).unwrap();
        let mut log = String::new();
        let mut stderr = self.process.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        assert!(self.process.wait().unwrap().success(), "{log}");
        let lines = log.lines().filter(|line| line.starts_with("error: "));
        lines.map(str::to_owned).collect()
    }

    fn connect(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    /// Sends a request and returns the response up to the end of the connection.
    fn exchange(&self, request: &str) -> String {
        read(&mut self.connect(request)).unwrap()
    }

    fn get(&self, target: &str) -> String {
        self.exchange(&format!("GET {target} HTTP/1.0\r\n\r\n"))
    }

    /// Runs curl. Returns its exit code and its output.
    fn curl(&self, target: &str, options: &[&str]) -> (Option<i32>, String) {
        let url = format!("http://{}{target}", self.address);
        let curl = Command::new("curl")
            .args(["--silent", "--max-time", "20"])
            .args(options)
            .arg(url)
            .output()
            .unwrap();
        (
            curl.status.code(),
            String::from_utf8_lossy(&curl.stdout).into_owned(),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read(stream: &mut TcpStream) -> io::Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[track_caller]
fn assert_response(response: &str, status: &str, body: &str) {
    let (head, found) = response.split_once("\r\n\r\n").unwrap_or((response, ""));
    assert!(
        head.starts_with(&format!("HTTP/1.0 {status}")),
        "{response:?}"
    );
    assert_eq!(found, body, "{response:?}");
}

/// HTTP-027, HTTP-070
#[test]
fn a_body_in_one_part_has_a_length_and_the_response_has_a_date() {
    let server = Server::start();
    let response = server.get("/");
    assert_response(&response, "200 OK", "Hello, world!\n");
    assert!(response.contains("content-length: 14\r\n"), "{response}");
    assert!(response.contains("date: "), "{response}");
    assert_response(&server.exchange("HEAD / HTTP/1.0\r\n\r\n"), "200 OK", "");
    assert_response(&server.get("/other"), "404 Not Found", "Not found\n");
    assert_eq!(server.stop(), [""; 0]);
}

/// HTTP-033
#[test]
fn a_stream_ends_with_the_connection() {
    let server = Server::start();
    let response = server.get("/stream");
    assert_response(&response, "200 OK", "line 1\nline 2\nline 3\n");
    assert!(!response.contains("content-length"), "{response}");
    assert!(!response.contains("transfer-encoding"), "{response}");
    let big = server.get("/big");
    let body = big.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body.len(), 16 * 1024 * 1024);
    assert_eq!(server.stop(), [""; 0]);
}

/// HTTP-014, HTTP-025
#[test]
fn a_body_is_sent_back_part_by_part() {
    let server = Server::start();
    assert_response(&server.get("/echo"), "200 OK", "");
    let head = "POST /echo HTTP/1.0\r\ncontent-length: 8\r\n\r\n";
    let mut client = server.connect(head);
    let mut response = Vec::new();
    for part in ["ping", "pong"] {
        client.write_all(part.as_bytes()).unwrap();
        let mut byte = [0];
        while !response.ends_with(part.as_bytes()) {
            client.read_exact(&mut byte).unwrap();
            response.push(byte[0]);
        }
    }
    assert_eq!(read(&mut client).unwrap(), "");
    assert_eq!(server.stop(), [""; 0]);
}

/// CORE-022
#[test]
fn a_request_has_the_state_of_the_start_up() {
    let server = Server::start();
    assert_response(&server.get("/state"), "200 OK", "made at start-up\n");
    assert_eq!(server.stop(), [""; 0]);
}

/// HTTP-018
#[test]
fn a_client_that_expects_a_100_gets_one_when_the_app_asks_for_the_body() {
    let server = Server::start();
    let head = "HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
    let mut client = server.connect(&format!("POST /length {head}"));
    let mut interim = [0; 25];
    client.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"four").unwrap();
    assert_response(&read(&mut client).unwrap(), "200 OK", "4 bytes\n");
    // This app does not read the body.
    let mut client = server.connect(&format!("POST / {head}"));
    assert_response(&read(&mut client).unwrap(), "200 OK", "Hello, world!\n");
    assert_eq!(server.stop(), [""; 0]);
}

/// HTTP-020, HTTP-069
#[test]
fn a_body_that_ends_early_gets_a_400() {
    let server = Server::start();
    let mut client = server.connect("POST /length HTTP/1.0\r\ncontent-length: 8\r\n\r\nfour");
    client.shutdown(Shutdown::Write).unwrap();
    assert_response(&read(&mut client).unwrap(), "400 Bad Request", "");
    assert_eq!(server.stop(), [""; 0]);
}

/// HTTP-067 is for servers that have a limit of exchanges. This one has a limit of connections.
#[test]
fn connections_beyond_the_limit_wait() {
    let server = Server::start();
    let waiting: Vec<_> = (0..64)
        .map(|_| server.connect("GET /closed HTTP/1.0\r\n\r\n"))
        .collect();
    let mut client = server.connect("GET / HTTP/1.0\r\n\r\n");
    client
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    assert_eq!(
        read(&mut client).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    waiting[0].shutdown(Shutdown::Write).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert_response(&read(&mut client).unwrap(), "200 OK", "Hello, world!\n");
    drop(waiting);
    assert_eq!(server.stop(), [""; 0]);
}

#[test]
fn wrong_arguments_are_one_line_and_an_exit_code() {
    for arguments in [
        &[][..],
        &["127.0.0.1:0"],
        &["127.0.0.1:0", "none.so"],
        &["a", "b", "c"],
    ] {
        let output = Command::new(BINARY).args(arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), error.lines().count()),
            (Some(1), 1),
            "{error}"
        );
        assert!(error.starts_with("error: "), "{error}");
    }
}

/// HTTP-041, HTTP-042
#[test]
fn the_app_learns_that_the_client_has_closed_its_side() {
    let server = Server::start();
    for body in ["", "content-length: 100000\r\n"] {
        let mut client = server.connect(&format!("POST /closed HTTP/1.0\r\n{body}\r\nhalf"));
        client.shutdown(Shutdown::Write).unwrap();
        assert_response(&read(&mut client).unwrap(), "200 OK", "Closed\n");
    }
    let mut client = server.connect("POST /echo HTTP/1.0\r\ncontent-length: 4\r\n\r\nfour");
    client.shutdown(Shutdown::Write).unwrap();
    assert_response(&read(&mut client).unwrap(), "200 OK", "four");
    assert_eq!(server.stop(), [""; 0]);
}

/// HTTP-020, HTTP-037
#[test]
fn a_client_that_leaves_is_not_the_apps_fault() {
    let server = Server::start();
    let client = server.connect("POST /echo HTTP/1.0\r\ncontent-length: 10\r\n\r\nhalf");
    drop(client);
    let client = server.connect("GET /big HTTP/1.0\r\n\r\n");
    drop(client);
    assert_eq!(server.stop(), [""; 0]);
}

/// HTTP-036, HTTP-038, CORE-018, CORE-019, CORE-021
#[test]
fn an_app_that_fails_before_the_head_gets_a_500_and_a_line_in_the_log() {
    let server = Server::start();
    for target in ["/panic", "/error", "/silent", "/misuse"] {
        assert_response(&server.get(target), "500 Internal Server Error", "");
    }
    assert_response(&server.get("/"), "200 OK", "Hello, world!\n");
    assert_eq!(
        server.stop(),
        [
            "error: GET /panic: the app panicked",
            "error: GET /error: the app failed: the client asked for an error",
            "error: GET /silent: the app returned without a response",
            "error: GET /misuse: the app failed: the app sent http.response.body, \
             expected http.response.start",
        ]
    );
}

/// HTTP-039
#[test]
fn an_incomplete_response_ends_in_a_reset() {
    let server = Server::start();
    let error = read(&mut server.connect("GET /abort HTTP/1.0\r\n\r\n")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let expected = "error: GET /abort: the app's response is incomplete";
    assert_eq!(server.stop(), [expected]);
}

/// HTTP-049, CORE-014
#[test]
fn an_event_after_the_response_does_not_change_it() {
    let server = Server::start();
    assert_response(&server.get("/late"), "200 OK", "in time\n");
    let log = server.stop();
    assert!(log[0].contains("the response is complete"), "{log:?}");
    assert_eq!(log.len(), 1);
}

/// HTTP-013, HTTP-063, HTTP-064, HTTP-066
#[test]
fn a_malformed_request_does_not_reach_the_app() {
    let server = Server::start();
    let long = format!("GET / HTTP/1.0\r\na: {}\r\n\r\n", "b".repeat(20_000));
    for (request, status) in [
        ("GET\r\n\r\n", "400"),
        ("GET / HTTP/1.0\r\na b: c\r\n\r\n", "400"),
        ("POST / HTTP/1.0\r\ncontent-length: +1\r\n\r\na", "400"),
        (
            "POST / HTTP/1.0\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "501",
        ),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", "501"),
        (&long, "431"),
    ] {
        assert_response(&server.exchange(request), status, "");
    }
    assert_eq!(server.stop(), [""; 0]);
}

#[test]
fn curl_agrees() {
    let server = Server::start();
    assert_eq!(server.curl("/", &[]), (Some(0), "Hello, world!\n".into()));
    let stream = (Some(0), "line 1\nline 2\nline 3\n".into());
    assert_eq!(server.curl("/stream", &[]), stream);
    let echo = server.curl("/echo", &["--data-binary", "ping"]);
    assert_eq!(echo, (Some(0), "ping".into()));
    // 56: the connection broke.
    assert_eq!(server.curl("/abort", &[]).0, Some(56));
    assert_eq!(server.stop().len(), 1);
}

/// Builds the library of an example beside this server's binary.
fn library(package: &str) -> PathBuf {
    build(package, &[]);
    let name = format!("lib{}.so", package.replace('-', "_"));
    Path::new(BINARY).with_file_name(name)
}

/// Builds the app of these tests.
fn tiny_app() -> PathBuf {
    build("tiny-server", &["--example", "tiny_app"]);
    Path::new(BINARY).with_file_name("examples/libtiny_app.so")
}

fn build(package: &str, options: &[&str]) {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", package])
        .args(options)
        .args(cfg!(not(debug_assertions)).then_some("--release"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .status();
    assert!(built.unwrap().success(), "cargo does not build {package}");
}

/// hello uses tokio: it brings its own runtime.
#[test]
fn it_serves_an_app_that_needs_tokio() {
    let server = Server::start_with(&library("hello"));
    assert_response(&server.get("/"), "200 OK", "Hello, world!\n");
    assert_response(
        &server.get("/stream?n=3"),
        "200 OK",
        "line 1\nline 2\nline 3\n",
    );
    assert_response(&server.get("/sleep?ms=20"), "200 OK", "slept 20 ms\n");
    assert!(server.get("/io").contains(r#""tcp":"ping""#));
    assert!(server.get("/info").contains(r#""version":"HTTP/1.0""#));
    let body = "x".repeat(300_000);
    let length = body.len();
    let request = format!("POST /echo HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{body}");
    assert_response(&server.exchange(&request), "200 OK", &body);
    for target in ["/panic", "/error"] {
        assert_response(&server.get(target), "500 Internal Server Error", "");
    }
    let abort = read(&mut server.connect("GET /abort HTTP/1.0\r\n\r\n"));
    assert_eq!(abort.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(
        server.stop(),
        [
            "error: GET /panic: the app panicked",
            "error: GET /error: the app failed: the client asked for an error",
        ]
    );
}

#[test]
fn it_serves_an_app_in_c() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../c-hello");
    let library = Path::new(BINARY).with_file_name("libc_hello_of_tiny_server.so");
    let made = Command::new("make")
        .args(["--always-make", "--silent", "-C", folder])
        .arg(format!("OUT={}", library.display()))
        .status();
    assert!(made.unwrap().success());
    let server = Server::start_with(&library);
    assert!(server.get("/").starts_with("HTTP/1.0 200 OK"));
    let request = "POST /echo HTTP/1.0\r\ncontent-length: 4\r\n\r\nping";
    assert_response(&server.exchange(request), "200 OK", "ping");
    let stream = server.get("/stream?n=2");
    assert!(stream.contains("line 2"), "{stream}");
    assert_eq!(server.stop(), [""; 0]);
}

#[test]
fn it_serves_the_other_examples() {
    for (package, text) in [
        ("calculator", "<html"),
        ("chat", "<html"),
        ("push", "<html"),
        ("ws-echo", "Open a WebSocket here"),
    ] {
        let server = Server::start_with(&library(package));
        let response = server.get("/");
        assert!(response.starts_with("HTTP/1.0 200 OK"), "{response}");
        assert!(response.contains(text), "{package}: {response}");
        assert_eq!(server.stop(), [""; 0]);
    }
}

#[test]
fn it_does_not_depend_on_tokio() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", "tiny-server", "--edges", "normal"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("httparse"), "{tree}");
    assert!(!tree.contains("tokio"), "{tree}");
}
