//! The command `asgi-spec`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::thread;

use serde_json::Value;
use test_support::library;

/// The command.
pub(crate) static ASGI_SPEC: LazyLock<PathBuf> =
    LazyLock::new(|| library::build_program("asgi-spec", "asgi-spec", &["cli"]));

/// The library of the probe, beside the command.
static PROBE: LazyLock<PathBuf> = LazyLock::new(|| library::build("asgi-spec-probe"));

fn asgi_spec(arguments: &[&str]) -> Output {
    Command::new(&*ASGI_SPEC).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the suite against an address where it can't run, and returns its message.
fn message(address: SocketAddr) -> String {
    let output = asgi_spec(&["run", "--url", &format!("http://{address}")]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    let message = text(&output.stderr);
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[test]
fn the_loaded_probe_passes_with_the_command_of_this_server() {
    let ferricorn = library::build_program("ferricorn-cli", "ferricorn", &[]);
    let probe = PROBE.display().to_string();
    let exec = format!(
        "{} {{probe}} --bind 127.0.0.1:{{port}}",
        ferricorn.display()
    );
    let arguments = ["run", "--exec", &exec, "--probe", &probe, "--json", "-"];
    let output = asgi_spec(&arguments);
    let results: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let failed: Vec<&Value> = results["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|result| result["grade"] == "failed")
        .collect();
    let ids: Vec<&str> = failed.iter().filter_map(|one| one["id"].as_str()).collect();
    assert!(ids.is_empty(), "{failed:#?}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_run_prints_a_table_and_how_to_repeat_a_failure() {
    let server = library::build("tiny-server");
    let probe = PROBE.display().to_string();
    // It stops after a line on its input and ends here with a signal instead.
    let exec = format!("{} 127.0.0.1:{{port}} {{probe}}", server.display());
    let arguments = [
        "run", "--exec", &exec, "--probe", &probe, "--only", "LIFE-013",
    ];
    let output = asgi_spec(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let output = text(&output.stdout);
    assert!(output.starts_with("chapter"), "{output}");
    assert!(
        output.contains("  repeat    asgi-spec run --only LIFE-013"),
        "{output}"
    );
}

#[test]
fn a_port_without_a_server_gets_one_clear_message() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let message = message(address);
    let expected = format!("asgi-spec: no server listens on {address}");
    assert!(message.starts_with(&expected), "{message}");
}

#[test]
fn a_server_that_never_answers_gets_one_clear_message() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let message = message(listener.local_addr().unwrap());
    assert!(message.contains("does not answer within 5 s"), "{message}");
}

#[test]
fn a_server_of_static_files_gets_one_clear_message() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = client.read(&mut request);
        let page = "HTTP/1.1 404 Not Found\r\nserver: files\r\ncontent-length: 9\r\n\r\nnot found";
        client.write_all(page.as_bytes()).unwrap();
    });
    let message = message(address);
    assert!(
        message.contains("runs another app: it answered 404"),
        "{message}"
    );
}

#[test]
fn a_command_that_ends_at_once_gets_its_output_shown() {
    let probe = PROBE.display().to_string();
    let output = asgi_spec(&[
        "run",
        "--exec",
        "sh -c 'echo no such app; exit 3'",
        "--probe",
        &probe,
    ]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(message.contains("exit status: 3"), "{message}");
    assert!(message.contains("no such app"), "{message}");
}

#[test]
fn a_requirement_is_explained() {
    let output = text(&asgi_spec(&["explain", "http-038"]).stdout);
    assert!(
        output.starts_with("HTTP-038 (chapter http)\n\nIf an app ends"),
        "{output}"
    );
    assert!(
        output.contains("Case over http1: an app that ends without a head gets a 500"),
        "{output}"
    );
}

#[test]
fn an_id_that_is_not_in_the_spec_is_an_error() {
    for arguments in [
        &["explain", "HTTP-X99"][..],
        &["run", "--url", "http://127.0.0.1:1", "--only", "HTTP-X99"],
    ] {
        let output = asgi_spec(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("HTTP-X99"), "{output:?}");
    }
}
