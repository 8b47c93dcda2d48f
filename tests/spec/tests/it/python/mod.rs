//! The probe in Python against that in Rust.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use asgi::DynApp;
use asgi_spec::probe::Probe;
use asgi_spec::{Interface, ServerUnderTest, Suite};
use serde_json::Value;

use crate::linked::Linked;

/// How long one read may take.
const LIMIT: Duration = Duration::from_secs(10);

fn file(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.join(name).display().to_string()
}

fn probe() -> String {
    file("../../spec/probe/probe.py")
}

fn python(script: &str, argument: &str) -> Command {
    let mut command = Command::new("python3");
    command
        .args([
            file(&format!("tests/it/python/{script}")).as_str(),
            argument,
        ])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A small server for Python apps, with the probe. It ends with this value.
struct PythonServer {
    process: Child,
    address: SocketAddr,
}

impl PythonServer {
    fn start() -> Self {
        let mut process = python("server.py", &probe())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs python3");
        let mut line = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("the port of server.py");
        Self {
            process,
            address: ([127, 0, 0, 1], port).into(),
        }
    }
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Sends bytes, and returns all that comes until the server closes the connection.
fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    answer
}

/// Returns the record of a run that has ended.
fn report(address: SocketAddr, id: &str) -> Value {
    let request =
        format!("GET /report/{id}?ended HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let answer = String::from_utf8(exchange(address, request.as_bytes())).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
}

/// The steps of a record. What only one of the interfaces has is left out: the reason of a disconnect,
/// and the text of an error.
fn steps(record: &Value) -> Vec<(String, String)> {
    let steps = record["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            let text = step[0].as_str().unwrap().to_owned();
            let outcome = match step[1].as_str().unwrap() {
                end if end.starts_with("http.disconnect") => "http.disconnect",
                "Complete" => "closed",
                outcome => outcome,
            };
            (text, outcome.to_owned())
        })
        .collect()
}

fn assert_equal_records(id: &str, rust: &Value, python: &Value) {
    assert_eq!(steps(python), steps(rust), "{id}");
    for name in ["id", "calls", "end"] {
        assert_eq!(python[name], rust[name], "{id} {name}");
    }
    for (name, value) in rust["scope"].as_object().unwrap() {
        let of_the_server = ["client", "server", "extensions"];
        if !of_the_server.contains(&name.as_str()) {
            assert_eq!(&python["scope"][name], value, "{id} {name}");
        }
    }
}

/// Scripts, each with the rest of its request after the target.
const SCRIPTS: &[(&str, &str, &str)] = &[
    ("GET", "receive&start=200;x-a:b&more=a&flush&last=b", ""),
    (
        "POST",
        "body&start=201&last=%e2%82%ac%",
        "content-length: 5\r\n\r\nhello",
    ),
    (
        "POST",
        "receive&start=200&last",
        "content-length: 4\r\n\r\na\"\\\n",
    ),
    (
        "POST",
        "drain&start=404;x-a:b;x-a:c&last-fill=300",
        "content-length: 3\r\n\r\nabc",
    ),
    ("PUT", "receive-now&start=200&fill=9&last", ""),
    (
        "GET",
        "more=early&start=200&start=200&last=ok&more=late",
        "",
    ),
    ("GET", "push=/x&debug&start=200&push=/x&last=ok", ""),
    ("GET", "start=200&last=ok&closed&receive&closed", ""),
    ("GET", "state=mine&respond=hello&receive", ""),
    ("GET", "reply", ""),
    (
        "GET",
        "yield=3&busy=10&unheard-of&start=200;no-colon&last=ok",
        "",
    ),
    ("GET", "start=200&last=ok&keep&last=parked", ""),
    ("GET", "receive&start=200&last=ok&return&more=never", ""),
    ("GET", "error=on%20purpose", ""),
    ("GET", "panic=on%20purpose", ""),
    ("GET", "unsupported", ""),
    (
        "OPTIONS",
        "text=a&startup-complete&start=200&last=ok",
        "x-many: 1\r\nX-Many: 2\r\n",
    ),
];

#[test]
fn both_probes_report_the_same_of_the_same_scripts() {
    let rust = Linked::start(DynApp::new(Probe::new())).unwrap();
    let python = PythonServer::start();
    for (number, (method, script, rest)) in SCRIPTS.iter().enumerate() {
        let id = format!("run-{number}");
        let rest = if rest.contains("\r\n\r\n") {
            (*rest).to_owned()
        } else {
            format!("{rest}\r\n")
        };
        let request = format!(
            "{method} /run/{id}/a%20b?{script} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{rest}"
        );
        exchange(rust.address(), request.as_bytes());
        exchange(python.address, request.as_bytes());
        let (in_rust, in_python) = (report(rust.address(), &id), report(python.address, &id));
        assert_equal_records(&id, &in_rust, &in_python);
    }
}

#[test]
fn both_probes_report_the_same_of_a_websocket() {
    let rust = Linked::start(DynApp::new(Probe::new())).unwrap();
    let python = PythonServer::start();
    let script = "receive&accept=b;x-a:1&receive&receive&text=hi&binary=%00&receive";
    let mut request = format!(
        "GET /run/socket?{script} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: a, b\r\n\r\n"
    )
    .into_bytes();
    for (first, payload) in [
        (0x81, &b"hello"[..]),
        (0x82, b"\xff'\n"),
        (0x88, b"\x0f\xa0bye"),
    ] {
        let length = u8::try_from(payload.len()).unwrap();
        // A mask of zeros changes nothing.
        request.extend([first, 0x80 | length, 0, 0, 0, 0]);
        request.extend(payload);
    }
    for address in [rust.address(), python.address] {
        exchange(address, &request);
    }
    let (in_rust, in_python) = (
        report(rust.address(), "socket"),
        report(python.address, "socket"),
    );
    assert_equal_records("socket", &in_rust, &in_python);
}

#[test]
fn the_probe_in_python_passes_its_own_checks_without_a_server() {
    let output = python("driver.py", &probe())
        .output()
        .expect("this test needs python3");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(" passed, 0 failed"), "{text}");
}

#[test]
fn the_suite_knows_that_a_server_runs_python_and_asks_it_only_for_what_asgi_has() {
    let python = PythonServer::start();
    let results = Suite::at(python.address)
        .only("CORE-001@http1")
        .only("CORE-004@http1")
        .only("CORE-014@http1")
        .only("HTTP-041@http1")
        .only("HTTP-045@http1")
        .run();
    assert_eq!(results.interface(), Interface::Python);
    let grades: Vec<(&str, &str, &str)> = results
        .iter()
        .map(|one| {
            (
                one.requirement.id,
                one.grade.name(),
                one.grade.reason().unwrap_or_default(),
            )
        })
        .collect();
    let expected = [
        ("CORE-001", "passed", ""),
        (
            "CORE-004",
            "not supported",
            "ASGI does not say what send does after the app has ended",
        ),
        (
            "CORE-014",
            "not supported",
            "the spec decides against ASGI www, Response Body",
        ),
        ("HTTP-041", "passed", ""),
        ("HTTP-045", "passed", ""),
    ];
    assert_eq!(grades, expected);
}
