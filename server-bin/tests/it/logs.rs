//! The logs: a reader that stops reading them never stops the server.

use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Running, ferricorn, repository, static_app};

const LIMIT: Duration = Duration::from_secs(10);

/// More lines than two pipes and the smallest `--log-buffer` hold.
const REQUESTS: usize = 4_000;

/// The part of a request's target that makes its log lines long.
const LONG: &str = "0123456789012345678901234567890123456789012345678901234567890123456789";

/// A server that listens on a Unix socket, because this test reads no line with its port.
struct Unread {
    child: Child,
    folder: tempfile::TempDir,
}

impl Unread {
    fn start(command: &mut Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bind = format!("unix:{}", folder.path().join("socket").display());
        let child = command.args(["--bind", &bind, "--threads", "2"]).spawn();
        let unread = Self {
            child: child.unwrap(),
            folder,
        };
        let began = Instant::now();
        // The file exists a moment before the server listens.
        while UnixStream::connect(unread.socket()).is_err() {
            assert!(began.elapsed() < LIMIT, "the server has not started");
            std::thread::sleep(Duration::from_millis(5));
        }
        unread
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Sends one request after the other. Each must get its response in time.
    fn ask(&self, path: &str, status: u16, count: usize) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        for _ in 0..count {
            write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
            assert_eq!(response(&mut reader), status);
        }
    }

    /// Stops the server, which must end in time, and returns its exit code.
    fn stop(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let began = Instant::now();
        while began.elapsed() < LIMIT {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the process has not ended");
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // This fails if the process has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a response with a length, and returns its status.
fn response(reader: &mut impl BufRead) -> u16 {
    let mut line = || {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the server closed");
        line.trim_end().to_owned()
    };
    let status = line().split(' ').nth(1).unwrap().parse().unwrap();
    let mut length = None;
    loop {
        let header = line();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = Some(value.parse::<usize>().unwrap());
        }
    }
    let length = length.expect("the app sends its body in one part");
    reader.read_exact(&mut vec![0; length]).unwrap();
    status
}

/// All that comes out of a pipe, until the server ends.
fn read_in_background(pipe: PipeReader) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        BufReader::new(pipe).read_to_string(&mut text).unwrap();
        text
    })
}

/// The lines that come out of a pipe.
fn lines_of(pipe: PipeReader) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(pipe).lines().map_while(Result::ok);
        // The test may have failed.
        lines
            .take_while(|line| sender.send(line.clone()).is_ok())
            .for_each(drop);
    });
    receiver
}

/// The sum of the numbers in the reports about dropped lines.
fn dropped(log: &str, lines: &str) -> usize {
    let report = format!(" {lines} were dropped: ");
    let count = |line: &str| {
        let (before, _) = line.split_once(&report)?;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    };
    log.lines().filter_map(count).sum()
}

const SMALL: [&str; 2] = ["--log-buffer", "64KiB"];

#[test]
fn an_access_log_without_a_reader_stops_neither_the_server_nor_its_end() {
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut command = static_app(&[&["--access-log"], &SMALL[..]].concat());
    let server = Unread::start(command.stdout(writer).stderr(Stdio::null()));
    drop(command);
    server.ask(&format!("/{LONG}"), 200, REQUESTS);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn an_access_log_that_is_read_again_goes_on_and_the_log_counts_what_is_missing() {
    let (access, access_writer) = std::io::pipe().unwrap();
    let (log, log_writer) = std::io::pipe().unwrap();
    let mut command = static_app(&[&["--access-log"], &SMALL[..]].concat());
    let server = Unread::start(command.stdout(access_writer).stderr(log_writer));
    drop(command);
    let log = read_in_background(log);
    server.ask(&format!("/{LONG}"), 200, REQUESTS);
    let access = lines_of(access);
    let mut sent = REQUESTS;
    let mut written = 0;
    let began = Instant::now();
    // The reader has to make room before a line goes on.
    let mut goes_on = false;
    while !goes_on {
        assert!(began.elapsed() < LIMIT, "the access log does not go on");
        server.ask("/again", 200, 1);
        sent += 1;
        for line in access.try_iter() {
            assert!(line.ends_with("ms"), "{line}");
            goes_on |= line.contains("GET /again HTTP/1.1");
            written += 1;
        }
    }
    assert_eq!(server.stop(), Some(0));
    written += access.iter().count();
    let log = log.join().unwrap();
    let missing = dropped(&log, "lines of the access log");
    assert!(missing > 0, "{log}");
    assert_eq!(written + missing, sent);
}

#[test]
fn a_log_without_a_reader_stops_neither_the_server_nor_its_end() {
    let (log, writer) = std::io::pipe().unwrap();
    let mut command = static_app(&SMALL);
    let server = Unread::start(command.stderr(writer));
    drop(command);
    server.ask("/panic", 500, 1);
    server.ask(&format!("/error/{LONG}"), 500, REQUESTS);
    assert_eq!(server.stop(), Some(0));
    drop(log);
}

#[test]
fn the_log_of_a_server_is_complete_when_it_ends() {
    let (log, writer) = std::io::pipe().unwrap();
    let mut command = static_app(&["--log-level", "debug"]);
    let server = Unread::start(command.stderr(writer));
    drop(command);
    let log = read_in_background(log);
    server.ask("/panic", 500, 1);
    assert_eq!(server.stop(), Some(0));
    let log = log.join().unwrap();
    for part in [" serving ", "the app panicked", "stopping: "] {
        assert!(log.contains(part), "{part}: {log}");
    }
}

#[test]
fn a_minute_has_ten_backtraces_and_each_panic_has_its_line() {
    let hello = library("hello");
    for mut command in [static_app::<&str>(&[]), ferricorn(&[&hello])] {
        let command = command.args(["--bind", "127.0.0.1:0"]);
        let mut server = Running::start(command.env("RUST_BACKTRACE", "1"));
        let address = server.address();
        for _ in 0..10 {
            panics(address);
            let line = server.line_with("backtrace of the panic at ");
            assert!(line.contains("app.rs:"), "{line}");
            // The names are those of the app.
            server.line_with("app::");
        }
        for _ in 0..5 {
            panics(address);
        }
        server.signal(Signal::TERM);
        let ended = server.end();
        let count = |part: &str| ended.stderr.matches(part).count();
        assert_eq!(count("the app panicked: "), 15, "{}", ended.stderr);
        assert_eq!(count("backtrace of the panic at "), 10, "{}", ended.stderr);
    }
}

/// Sends a request whose app panics.
fn panics(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET /panic HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    assert_eq!(response(&mut BufReader::new(stream)), 500);
}

/// The library of an example, which `cargo test` has built.
fn library(name: &str) -> String {
    let built = Command::new(env!("CARGO"))
        .args(["build", "-p", name])
        .current_dir(repository(""))
        .status();
    assert!(built.unwrap().success());
    let folder = Path::new(env!("CARGO_BIN_EXE_ferricorn")).parent().unwrap();
    let file = folder.join(format!("lib{name}.so"));
    file.display().to_string()
}
