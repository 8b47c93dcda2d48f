//! The program, as its users run it.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use test_support::{Client, run, within};
use tokio::net::TcpStream;

/// The program on a free port. It is killed at the end of a test that fails.
struct Program {
    process: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Program {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_axum-hosts-asgi"))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        Self {
            process,
            output,
            address: address.to_owned(),
        }
    }

    async fn get(&self, target: &str) -> String {
        let stream = within("a connection", TcpStream::connect(&self.address)).await;
        let mut client = Client::tcp(stream.unwrap());
        client.get(target).await;
        let body = client.expect_response(200).await.body;
        String::from_utf8(body.to_vec()).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // They fail if the program has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_app_runs_next_to_a_route_of_axum_and_stops_with_the_program() {
    let mut program = Program::start();
    run(async {
        assert!(program.get("/").await.starts_with("This is axum"));
        let first = program.get("/counter/page?q").await;
        assert_eq!(first, "request 1 for /page in /counter\n");
        let second = program.get("/counter").await;
        assert_eq!(second, "request 2 for / in /counter\n");
    });
    let id = program.process.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(killed.success());
    let mut line = String::new();
    program.output.read_line(&mut line).unwrap();
    assert_eq!(line, "stopped\n");
    assert!(program.process.wait().unwrap().success());
}
