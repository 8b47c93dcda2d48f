//! What an operator sees: the log at its default level, and advice for mistakes that are common.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::loading::{compiled, in_c};
use crate::process::{Running, assert_refused, ferricorn, run, static_app};

const ANY_PORT: [&str; 2] = ["--bind", "127.0.0.1:0"];

fn serving(arguments: &[&str]) -> Running {
    Running::start(&mut static_app(&[&ANY_PORT[..], arguments].concat()))
}

/// Connects once the server listens there, for a server that prints nothing.
#[track_caller]
fn connect_unix(path: &Path) -> UnixStream {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        thread::yield_now();
    }
}

/// The lines on standard error at this level.
fn lines_at<'a>(stderr: &'a str, level: &str) -> Vec<&'a str> {
    let level = format!(" {level} ");
    stderr
        .lines()
        .filter(|line| line.contains(&level))
        .collect()
}

#[test]
fn at_the_level_off_the_command_prints_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let bind = format!("unix:{}", path.display());
    let arguments = ["--bind", &bind, "--log-level", "OFF"];
    let server = Running::start(&mut static_app(&arguments));
    let mut client = connect_unix(&path);
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    server.signal(Signal::TERM);
    let ended = server.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

/// h2 warns about each acknowledgement of a ping that it has not sent.
fn unasked_acknowledgements(arguments: &[&str]) -> String {
    let mut server = serving(arguments);
    let mut client = TcpStream::connect(server.address()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    client
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let acknowledgement = [0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    client.write_all(&settings).unwrap();
    for _ in 0..3 {
        client.write_all(&acknowledgement).unwrap();
    }
    // The answer to a ping comes after all that was sent before it.
    let mut ping = acknowledgement;
    ping[4] = 0;
    client.write_all(&ping).unwrap();
    let mut seen = Vec::new();
    while !seen.windows(17).any(|window| window == acknowledgement) {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    drop(client);
    server.signal(Signal::TERM);
    server.end().stderr
}

#[test]
fn a_client_cannot_make_a_library_write_into_the_log() {
    let stderr = unasked_acknowledgements(&[]);
    assert_eq!(lines_at(&stderr, "WARN"), Vec::<&str>::new());
}

#[test]
fn a_library_that_the_filter_names_writes_into_the_log() {
    let stderr = unasked_acknowledgements(&["--log-level", "info,h2=warn"]);
    assert_eq!(lines_at(&stderr, "WARN").len(), 3, "{stderr}");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    for name in [
        "THREADS",
        "BIND",
        "ACCESS_LOG",
        "LOG_LEVEL",
        "CERTFILE",
        "CONFIG",
    ] {
        let mut command = ferricorn(&["--print-config"]);
        let ended = run(command.env(format!("FERRICORN_{name}"), ""));
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{name}");
        assert!(!ended.stdout.contains("# FERRICORN_"), "{}", ended.stdout);
    }
}

#[test]
fn an_unknown_variable_is_an_error_even_if_it_is_empty() {
    assert_refused(
        ferricorn(&["app.so"]).env("FERRICORN_THREDS", ""),
        2,
        "ferricorn: error: unknown variable FERRICORN_THREDS; did you mean FERRICORN_THREADS?",
    );
}

#[test]
fn flags_of_other_servers_get_the_flag_that_does_the_same_here() {
    for (flag, own) in [
        ("--port", "--bind HOST:PORT"),
        ("--host", "--bind HOST:PORT"),
        ("--workers", "--threads"),
    ] {
        assert_refused(
            &mut ferricorn(&["app.so", flag, "8000"]),
            2,
            &format!("ferricorn: error: unknown flag {flag}; use {own}"),
        );
    }
}

#[test]
fn a_limit_on_open_files_that_is_too_low_is_named() {
    let program = static_app(&ANY_PORT);
    for limit in [6, 16, 63] {
        let mut command = Command::new("sh");
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        command
            .args(["-c", &script, "sh"])
            .arg(program.get_program())
            .args(program.get_args());
        let line = format!(
            "static_app: error: the limit on open files is {limit}, expected at least 64; raise it \
             (ulimit -n, LimitNOFILE= of systemd)"
        );
        assert_refused(&mut command, 1, &line);
    }
}

/// A server on a Unix socket in a folder of its own.
fn serving_on_unix() -> (TempDir, PathBuf, Running) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let bind = format!("unix:{}", path.display());
    let mut server = Running::start(&mut static_app(&["--bind", &bind]));
    server.line_with(" serving ");
    (folder, path, server)
}

#[test]
fn a_stop_removes_the_file_of_the_servers_unix_socket() {
    let (_folder, path, server) = serving_on_unix();
    assert!(path.exists());
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
    assert!(!path.exists());
}

/// The first server removed the file by its path, and no client could reach the second one.
#[test]
fn a_stop_leaves_the_file_of_another_server() {
    let (_folder, path, server) = serving_on_unix();
    std::fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
    assert!(path.exists());
    drop(other);
}

#[test]
fn the_socket_of_a_dead_process_is_replaced_and_that_of_a_living_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let bind = format!("unix:{}", path.display());
    let living = UnixListener::bind(&path).unwrap();
    let ended = run(&mut static_app(&["--bind", &bind]));
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    assert!(ended.last_line().contains("another process listens there"));
    assert!(path.exists());
    // Closing it leaves the file, as a process that is killed does.
    drop(living);
    let mut server = Running::start(&mut static_app(&["--bind", &bind]));
    server.line_with(" serving ");
    connect_unix(&path);
}

/// Serves a library in C whose calls, except for the lifespan, have this function `poll`.
fn serving_in_c(folder: &Path, poll: &str) -> Running {
    let library = compiled(folder, "app.so", &in_c("", poll));
    let library = library.display().to_string();
    let arguments = ["--access-log", "--disconnect-grace", "100ms"];
    Running::start(ferricorn(&[&library]).args(ANY_PORT).args(arguments))
}

#[test]
fn a_client_that_leaves_a_loaded_app_before_its_answer_is_logged_as_499() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serving_in_c(folder.path(), "return ASGI_PENDING;");
    let address = server.address();
    let mut client = TcpStream::connect(address).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    drop(client);
    let line = server.stdout_line();
    assert!(line.contains("\"GET / HTTP/1.1\" 499 0 "), "{line}");
}

#[test]
fn a_loaded_app_that_does_not_know_requests_is_no_error_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let unsupported = "*outcome = (AsgiOutcome){ .kind = ASGI_OUTCOME_UNSUPPORTED };
        return ASGI_FAILED;";
    let mut server = serving_in_c(folder.path(), unsupported);
    let address = server.address();
    for _ in 0..3 {
        let mut client = TcpStream::connect(address).unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        let line = server.stdout_line();
        assert!(line.contains("\"GET / HTTP/1.1\" 404 10 "), "{line}");
    }
    server.signal(Signal::TERM);
    let ended = server.end();
    assert_eq!(lines_at(&ended.stderr, "ERROR"), Vec::<&str>::new());
    let told = ended.stderr.matches("the app does not serve HTTP requests");
    assert_eq!(told.count(), 1, "{}", ended.stderr);
}
