//! The programs on another server: `examples/tiny-server`, which has no runtime and blocks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use test_support::{LIMIT, library};

struct TinyServer {
    process: Child,
    address: String,
}

impl TinyServer {
    /// Starts the server with the library of this package.
    fn start() -> Self {
        let mut process = Command::new(library::build("tiny-server"))
            .arg("127.0.0.1:0")
            .arg(library::build("adopters"))
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

    /// Sends a request and reads up to the end of the connection.
    fn exchange(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    #[track_caller]
    fn expect(&self, request: &str, status: &str, body: &str) {
        let response = self.exchange(request);
        let (head, found) = response.split_once("\r\n\r\n").unwrap();
        let expected = format!("HTTP/1.0 {status} ");
        assert!(head.starts_with(&expected), "{request}: {response}");
        assert_eq!(found, body, "{request}");
    }

    /// Stops the server. Returns the faults that it has logged.
    fn stop(mut self) -> Vec<String> {
        writeln!(self.process.stdin.take().unwrap()).unwrap();
        let mut log = String::new();
        let mut stderr = self.process.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        assert!(self.process.wait().unwrap().success(), "{log}");
        let faults = log.lines().filter(|line| line.starts_with("error: "));
        faults.map(str::to_owned).collect()
    }
}

impl Drop for TinyServer {
    fn drop(&mut self) {
        // They fail if the server has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_server_without_a_runtime_serves_all_programs() {
    let server = TinyServer::start();
    for (target, status, body) in [
        ("/mini/hello/a%20b", "200", "Hello a b\n"),
        ("/mini/stream/3", "200", "line 1\nline 2\nline 3\n"),
        ("/mini/nothing", "404", "404 Not Found\n"),
        ("/bridge/hello/x", "200", "Hello x\n"),
        ("/bridge/nothing", "404", ""),
        ("/middleware/upper/parts", "200", "ABCDEFGHI"),
        ("/middleware/chopped/parts", "200", "abcdefghi"),
        ("/middleware/all/parts", "200", "ABCDEFGHI"),
    ] {
        server.expect(&format!("GET {target} HTTP/1.0\r\n\r\n"), status, body);
    }
    let length = "POST /bridge/length HTTP/1.0\r\ncontent-length: 5\r\n\r\n12345";
    server.expect(length, "200", "5");
    let item = r#"{"name":"x","price":1}"#;
    let head = format!(
        "POST /mini/items HTTP/1.0\r\ncontent-length: {}",
        item.len()
    );
    let expected = r#"{"name":"x","price":2}"#;
    server.expect(&format!("{head}\r\n\r\n{item}"), "201", expected);
    server.expect("GET /mini/fail HTTP/1.0\r\n\r\n", "500", "");
    let fault = "error: GET /mini/fail: the app failed: the handler broke";
    assert_eq!(server.stop(), [fault]);
}
