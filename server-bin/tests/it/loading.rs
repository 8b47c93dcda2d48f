//! Apps in shared libraries: log, panics, crashes and loading errors, seen from outside the process.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{BUILD_TIMEOUT, Running, assert_refused, ferricorn, repository};

/// Serves the Rust example `hello`, after a build if it is needed.
fn hello(arguments: &[&str]) -> Running {
    let hello = repository("examples/hello").display().to_string();
    let mut command = ferricorn(&[&hello, "--profile", "dev", "--bind", "127.0.0.1:0"]);
    Running::start(command.args(arguments)).timeout(BUILD_TIMEOUT)
}

/// Sends a request.
pub(crate) fn request(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    stream
}

/// Sends a request and returns the response, or the part of it that arrives.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = request(address, path);
    let mut response = Vec::new();
    // After a reset, nothing more can arrive.
    let _ = stream.read_to_end(&mut response);
    String::from_utf8_lossy(&response).into_owned()
}

/// A line of the log without its time.
fn without_time(line: &str) -> &str {
    line.split_once(' ')
        .expect("a time, then the rest of the line")
        .1
        .trim_start()
}

#[test]
fn the_servers_log_shows_the_apps_log_with_the_exchange() {
    let mut server = hello(&["--log-level", "info,hello=debug"]);
    let line = server.line_with("about to serve");
    assert_eq!(
        without_time(&line),
        "DEBUG hello::app: the app is about to serve"
    );
    let address = server.address();
    assert!(get(address, "/").starts_with("HTTP/1.1 200"));
    assert!(get(address, "/io").starts_with("HTTP/1.1 200"));
    let line = server.line_with("a task counts");
    assert_eq!(
        without_time(&line),
        "DEBUG hello::app: a task counts thread=\"its own\" span=io exchange=2"
    );
}

#[test]
fn a_panic_of_the_app_is_one_line_in_the_log_and_says_where() {
    let mut server = hello(&[]);
    let address = server.address();
    assert!(get(address, "/panic").starts_with("HTTP/1.1 500"));
    let line = server.line_with("panic");
    assert!(
        without_time(&line).contains(
            "the app panicked: the client asked for a panic, at examples/hello/src/app.rs:"
        ) && line.contains("exchange=1"),
        "{line}"
    );
}

/// Compiles a library in C into the folder.
pub(crate) fn compiled(folder: &Path, name: &str, code: &str) -> PathBuf {
    let source = folder.join(name).with_extension("c");
    let library = folder.join(name);
    std::fs::write(&source, code).unwrap();
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-I")
        .arg(repository("crates/asgi-abi/include"))
        .output()
        .expect("a C compiler called `cc` is needed for this test");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    library
}

/// An app in C with this code in `init` and `poll`. The code may use `host`.
pub(crate) fn in_c(init: &str, poll: &str) -> String {
    format!(
        "#include <asgi.h>
        #include <stdlib.h>
        static const AsgiHost *host;
        static uint32_t init(const AsgiHost *h, const AsgiStart *start, void **app,
                             AsgiBuffer *error) {{
            host = h; *app = (void *)h;
            (void)start; (void)error;
            {init}
            return ASGI_READY;
        }}
        static uint32_t call(void *app, const AsgiScope *scope, AsgiReceive *receive,
                             AsgiSend *send, AsgiTask *task) {{
            host->receive_drop(receive); host->send_drop(send);
            (void)app;
            if (scope->kind == ASGI_SCOPE_LIFESPAN) task->store[0] = 3;
            else task->store[0] = scope->path.ptr[1] == 'c' ? 1 : 2;
            return ASGI_READY;
        }}
        static uint32_t poll(AsgiTask *task, const AsgiWaker *waker, AsgiOutcome *outcome) {{
            (void)waker;
            if (task->store[0] == 3) {{
                *outcome = (AsgiOutcome){{ .kind = ASGI_OUTCOME_UNSUPPORTED }};
                return ASGI_FAILED;
            }}
            {poll}
        }}
        static void drop_task(AsgiTask *task) {{ (void)task; }}
        static void stop(void *app, uint32_t ms) {{ (void)app; (void)ms; }}
        const AsgiApp ASGI_APP = {{ .magic = ASGI_MAGIC, .major = ASGI_MAJOR, .minor = ASGI_MINOR,
            .size = sizeof(AsgiApp), .name = {{ (const uint8_t *)\"in_c\", 4 }}, .init = init,
            .call = call, .poll = poll, .drop_task = drop_task, .shutdown = stop }};"
    )
}

/// The command as another user, if the current user may read everything.
fn as_another_user(folder: &Path, library: &Path) -> Command {
    // The other user may have no access to the folder of the build.
    let program = folder.join("ferricorn");
    std::fs::copy(env!("CARGO_BIN_EXE_ferricorn"), &program).unwrap();
    let everybody = Permissions::from_mode(0o755);
    std::fs::set_permissions(folder, everybody.clone()).unwrap();
    std::fs::set_permissions(&program, everybody).unwrap();
    let mut command = Command::new(&program);
    command.arg(library).stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    command
}

/// The offset in a 64-bit library where its last loaded segment ends.
fn segments_end(library: &[u8]) -> u64 {
    let number = |at: usize| u64::from_ne_bytes(library[at..at + 8].try_into().unwrap());
    let count = usize::from(library[0x38]);
    let table = (0..count).map(|n| number(0x20) as usize + 56 * n);
    let loaded = table.filter(|at| library[*at..at + 4] == 1u32.to_ne_bytes());
    loaded
        .map(|at| number(at + 8) + number(at + 32))
        .max()
        .unwrap()
}

#[test]
fn the_error_for_a_bad_library_is_one_line_with_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| std::fs::write(at(name), bytes).unwrap();
    let c = |name: &str, code: &str| compiled(folder.path(), name, code);

    write("empty.so", b"");
    write("text.so", b"#!/bin/sh\n");
    c("symbol.so", "int nothing;");
    c("magic.so", "const unsigned long long ASGI_APP = 0x1234;");
    let head = "#include <asgi.h>
        struct { uint64_t magic; uint16_t major, minor; uint32_t size; } const ASGI_APP =
            { ASGI_MAGIC, 7, 5, 16 };";
    c("version.so", head);
    let whole = c("whole.so", &in_c("", "return ASGI_READY;"));
    let mut other = std::fs::read(whole).unwrap();
    write("cut.so", &other[..4096]);
    let segments = segments_end(&other);
    // e_machine: another machine than this one.
    other[18] = if cfg!(target_arch = "aarch64") {
        62
    } else {
        183
    };
    write("machine.so", &other);
    let admin = in_c("", "return ASGI_READY;").replace("ASGI_APP =", "ASGI_APP_admin =");
    c("named.so", &admin);
    let refusal = "*error = (AsgiBuffer){ (const uint8_t *)\"no\\ndatabase\", 11, 0, {0} };
        return ASGI_FAILED;";
    c("refuses.so", &in_c(refusal, "return ASGI_READY;"));

    let machine = if cfg!(target_arch = "aarch64") {
        "x86_64"
    } else {
        "aarch64"
    };
    let table = [
        (
            "missing.so",
            "No such file or directory (os error 2); expected a shared library or the folder of a \
             crate"
                .to_owned(),
        ),
        (
            "empty.so",
            "an empty file, expected the shared library of an app: build it again, and check \
             whether the disk is full"
                .to_owned(),
        ),
        (
            "text.so",
            "not a shared library (it begins with \"#!/bin/s\"), expected an ELF file: `cargo \
             build` puts an app's library at target/debug/lib<name>.so"
                .to_owned(),
        ),
        (
            "symbol.so",
            "a shared library without an app, expected the symbol ASGI_APP: add \
             `asgi_abi::export!(app);` to its lib.rs"
                .to_owned(),
        ),
        (
            "magic.so",
            "its symbol ASGI_APP begins with 0x0000000000001234, expected 0x5050415f49475341: the \
             library is damaged or is not a Ferricorn app; export the app with \
             `asgi_abi::export!(app);`"
                .to_owned(),
        ),
        (
            "version.so",
            format!(
                "built for version 7.5 of the app ABI, expected {}.{}: rebuild it with `asgi-abi = \
                 \"{}\"`, or run it with the server that it was built for",
                asgi_abi::abi::MAJOR,
                asgi_abi::abi::MINOR,
                env!("CARGO_PKG_VERSION")
            ),
        ),
        (
            "machine.so",
            format!(
                "a library for {machine}, expected one for {}: build it for this machine (see \
                 `cargo build --target`)",
                std::env::consts::ARCH
            ),
        ),
        (
            "cut.so",
            format!(
                "cut off: its segments end at byte {segments}, but the file ends at byte 4096; copy it again"
            ),
        ),
        (
            "named.so",
            "no app without a name, expected one that the library has: `admin`; give the name as in \
             `libapp.so:name`"
                .to_owned(),
        ),
        (
            "refuses.so",
            "the app did not start (no database), expected its init to succeed: fix the cause, \
             then start again"
                .to_owned(),
        ),
    ];
    for (name, why) in table {
        let path = at(name).display().to_string();
        let line = format!("ferricorn: error: {path}: {why}");
        assert_refused(&mut ferricorn(&[path]), 3, &line);
    }
}

#[test]
fn the_error_for_an_unreadable_library_is_one_line_with_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let library = compiled(folder.path(), "secret.so", &in_c("", "return ASGI_READY;"));
    std::fs::set_permissions(&library, Permissions::from_mode(0o000)).unwrap();
    let line = format!(
        "ferricorn: error: {}: not readable by this user, expected the shared library of an app: \
         allow it with `chmod a+r`, or run as a user who may read it",
        library.display()
    );
    assert_refused(&mut as_another_user(folder.path(), &library), 3, &line);
}

#[test]
fn after_a_crash_the_log_names_the_library_and_the_requests_in_it() {
    for (crash, signal) in [
        ("*(volatile int *)0 = 1;", "SIGSEGV"),
        ("abort();", "SIGABRT"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let poll = format!("if (task->store[0] == 1) {{ {crash} }} return ASGI_PENDING;");
        let library = compiled(folder.path(), "bad.so", &in_c("", &poll));
        let path = library.display().to_string();
        let mut server = Running::start(&mut ferricorn(&[&path, "--bind", "127.0.0.1:0"]));
        let address = server.address();
        let waits = request(address, "/waits");
        // Nothing shows that a request has reached a silent app, so wait.
        std::thread::sleep(Duration::from_millis(200));
        let mut crashes = request(address, "/crash?secret=1");
        let line = server.line_with("fatal: ");
        assert_eq!(
            line,
            format!("fatal: {signal} in the app in_c ({path}), in GET /crash (exchange 2)")
        );
        assert!(
            server
                .line_with("GET /waits")
                .ends_with("also running: GET /waits (exchange 1)")
        );
        // The signal has ended the process.
        let mut rest = Vec::new();
        let _ = crashes.read_to_end(&mut rest);
        assert!(rest.is_empty());
        drop(waits);
        let expected = if signal == "SIGSEGV" {
            Signal::SEGV
        } else {
            Signal::ABORT
        };
        assert_eq!(server.killed_by(), Some(expected.as_raw()));
    }
}

/// Sends these bytes and returns the body of the response, with any framing.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(request).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").expect("a complete head");
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    body.to_owned()
}

/// An HTTP/1.0 request. Its response ends with the connection.
fn http10(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.0\r\nhost: test\r\nx-quote: \"\\\r\n\r\n").into_bytes()
}

#[test]
fn an_app_in_c_serves_like_an_app_in_rust() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libc_hello.so");
    // The same flags as in the makefile, which `.ci/run` runs. Every machine with Rust has `cc`, but not
    // every one has `make`.
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(["-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden"])
        .arg("-I")
        .arg(repository("crates/asgi-abi/include"))
        .arg("-o")
        .arg(&library)
        .arg(repository("examples/c-hello/hello.c"))
        .output()
        .expect("the compiler that Rust links with");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");

    let path = library.display().to_string();
    let arguments = [
        &path,
        "--bind",
        "127.0.0.1:0",
        "--log-level",
        "info,c_hello=trace",
    ];
    let mut server = Running::start(&mut ferricorn(&arguments));
    let line = server.line_with("the app is made");
    assert_eq!(without_time(&line), "DEBUG c_hello: the app is made");
    let address = server.address();

    assert_eq!(exchange(address, &http10("/")), "Hello, world!\n");
    let line = server.line_with("served");
    assert_eq!(without_time(&line), "TRACE c_hello: served exchange=1");

    let echo = b"POST /echo HTTP/1.0\r\nhost: test\r\ncontent-length: 7\r\n\r\n1234567";
    assert_eq!(exchange(address, echo), "1234567");
    assert_eq!(
        exchange(address, &http10("/stream?n=2")),
        "line 1\nline 2\n"
    );
    assert_eq!(exchange(address, &http10("/sleep?ms=20")), "slept 20 ms\n");

    let info: Value = serde_json::from_str(&exchange(address, &http10("/info?a=%20b"))).unwrap();
    let expected = serde_json::json!({
        "version": "HTTP/1.0",
        "method": "GET",
        "scheme": "http",
        "path": "/info",
        "raw_path": "/info",
        "query_string": "a=%20b",
        "root_path": "",
        "headers": [["host", "test"], ["x-quote", "\"\\"]],
    });
    assert_eq!(info, expected);

    assert!(get(address, "/nowhere").starts_with("HTTP/1.1 404"));
    assert!(get(address, "/error").starts_with("HTTP/1.1 500"));
    server.line_with("the app failed: the client asked for an error");

    // A request that sleeps for long notices that its client has left.
    drop(request(address, "/sleep?ms=60000"));
    server.line_with("served");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
}
