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

/// Runs the suite with the command of this server and more options, and returns the results.
fn results_of_ferricorn(server_options: &str, options: &[&str]) -> Value {
    let ferricorn = library::build_program("ferricorn-cli", "ferricorn", &[]);
    let probe = PROBE.display().to_string();
    let exec = format!(
        "{} {{probe}} --bind 127.0.0.1:{{port}} {server_options}",
        ferricorn.display()
    );
    let mut arguments = vec!["run", "--exec", &exec, "--probe", &probe, "--json", "-"];
    arguments.extend(options);
    let output = asgi_spec(&arguments);
    let mut results: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let results = results["results"].take();
    let all = results.as_array().unwrap();
    let failed: Vec<&Value> = all.iter().filter(|one| one["grade"] == "failed").collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(output.status.code(), Some(0));
    results
}

fn passed_over(results: &Value, transport: &str) -> usize {
    let all = results.as_array().unwrap().iter();
    let passed = all.filter(|one| one["grade"] == "passed" && one["transport"] == transport);
    passed.count()
}

#[test]
fn the_loaded_probe_passes_with_the_command_of_this_server() {
    let results = results_of_ferricorn("", &[]);
    for transport in ["http1", "http2", "websocket", "websocket-http2"] {
        let passed = passed_over(&results, transport);
        assert!(passed > 30, "{passed} over {transport}");
    }
}

#[test]
fn the_loaded_probe_passes_over_tls_with_certificates_of_the_suite() {
    let server = "--certfile {cert} --keyfile {key} --verify-mode optional --ca-certs {client-ca}";
    // The other chapters are the same as linked in, and take some seconds.
    let options = ["--tls", "--http2", "--only", "TLS-*", "--only", "HTTP-00*"];
    let results = results_of_ferricorn(server, &options);
    for transport in ["http1-tls", "http2-tls"] {
        let passed = passed_over(&results, transport);
        assert!(passed >= 16, "{passed} over {transport}");
    }
}

#[test]
fn a_server_without_http_2_is_an_error_only_if_it_must_speak_it() {
    let server = library::build("tiny-server");
    let probe = PROBE.display().to_string();
    let exec = format!("{} 127.0.0.1:{{port}} {{probe}}", server.display());
    let run = |more: &[&str]| {
        let mut arguments = vec!["run", "--exec", &exec, "--probe", &probe];
        arguments.extend(["--only", "HTTP-001@http2"]);
        arguments.extend(more);
        asgi_spec(&arguments)
    };
    let output = run(&["--http2"]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(message.contains("does not speak HTTP/2"), "{message}");

    for options in [&[][..], &["--no-http2"]] {
        let output = run(options);
        assert_eq!(output.status.code(), Some(0));
        let table = text(&output.stdout);
        let http = table
            .lines()
            .find(|line| line.starts_with("http "))
            .unwrap();
        let counts: Vec<&str> = http.split_whitespace().collect();
        assert_eq!(counts, ["http", "0", "0", "1", "0", "0"], "{table}");
    }
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
        output.contains("  repeat    asgi-spec run --only LIFE-013@http1 --trace"),
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
        message.contains("(files) runs another app: it answered 404"),
        "{message}"
    );
}

#[test]
fn a_server_of_another_protocol_gets_one_clear_message() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = client.read(&mut request);
        client.write_all(b"220 mail.example ready\r\n\r\n").unwrap();
    });
    let message = message(address);
    let expected = "does not answer as HTTP/1.1: expected a head of HTTP/1, got the status line";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_url_without_a_valid_port_is_an_error() {
    for url in [
        "http://127.0.0.1:99999",
        "http://127.0.0.1:x",
        "https://127.0.0.1:x",
        "127.0.0.1:1",
    ] {
        let output = asgi_spec(&["run", "--url", url]);
        assert_eq!(output.status.code(), Some(2), "{url}");
        let expected =
            format!("asgi-spec: --url {url}: expected http://HOST:PORT or https://HOST:PORT\n");
        assert_eq!(text(&output.stderr), expected);
    }
}

#[test]
fn the_results_of_a_run_are_written_as_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (page, json, both) = (file("page.html"), file("results.json"), file("both.html"));
    let probe = PROBE.display().to_string();
    let ferricorn = library::build_program("ferricorn-cli", "ferricorn", &[]);
    let exec = format!(
        "{} {{probe}} --bind 127.0.0.1:{{port}}",
        ferricorn.display()
    );
    let arguments = [
        "run", "--exec", &exec, "--probe", &probe, "--only", "HTTP-00*", "--name", "Ours",
        "--html", &page, "--json", &json,
    ];
    let output = asgi_spec(&arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<title>Ours and the spec</title>"), "{page}");
    assert!(
        page.contains("data-id=\"HTTP-004\"") && !page.contains("CORE-"),
        "{page}"
    );

    let output = asgi_spec(&["compare", "--html", &both, &json, &json]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = std::fs::read_to_string(both).unwrap();
    assert!(page.contains("<title>What 2 servers do"), "{page}");
    assert_eq!(
        page.matches("<td class=\"result ").count(),
        2 * page.matches("<tr id=").count()
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
        output.contains("Case over http1 and http2: an app that ends without a head gets a 500"),
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
