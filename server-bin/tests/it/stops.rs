//! A stop ends in time, whatever the app does. So does a start that hangs.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::loading::{compiled, in_c, request};
use crate::process::{Ended, Running, assert_refused, faulty, ferricorn, static_app};

/// The two time-outs of a stop, and a second more than both together.
const TIMEOUTS: [&str; 4] = ["--graceful-timeout", "500ms", "--shutdown-timeout", "500ms"];
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// A second signal ends the process at once. The rest is for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(1);

fn start(command: &mut Command, threads: &str) -> Running {
    let arguments = ["--bind", "127.0.0.1:0", "--threads", threads];
    Running::start(command.args(arguments).args(TIMEOUTS))
}

/// Sends the signal, and the process must end within `limit`.
#[track_caller]
fn stop(server: Running, signal: Signal, limit: Duration) -> Ended {
    server.signal(signal);
    let began = Instant::now();
    let ended = server.end();
    let took = began.elapsed();
    assert!(took < limit, "the stop took {took:?}:\n{}", ended.stderr);
    ended
}

/// A request that blocks a thread of the server.
#[track_caller]
fn blocked(server: &mut Running) -> TcpStream {
    let blocked = request(server.address(), "/block");
    server.line_with("blocked");
    blocked
}

#[test]
fn a_stop_ends_in_time_although_a_handler_blocks_its_thread() {
    let library = faulty("");
    for threads in ["1", "2"] {
        for (command, name) in [
            (&mut static_app::<&str>(&[]), "1 exchange did not end"),
            (
                &mut ferricorn(&[&library]),
                "1 exchange did not end: GET /block (exchange 1)",
            ),
        ] {
            let mut server = start(command, threads);
            let _blocked = blocked(&mut server);
            let ended = stop(server, Signal::TERM, STOP_LIMIT);
            assert_eq!(ended.code, 1, "{}", ended.stderr);
            let line = ended.last_line();
            assert!(line.ends_with(name), "{line}");
        }
    }
}

#[test]
fn a_stop_ends_in_time_although_a_handler_blocks_the_librarys_own_runtime() {
    let mut server = start(&mut ferricorn(&[faulty(":own")]), "2");
    let _blocked = blocked(&mut server);
    let ended = stop(server, Signal::TERM, STOP_LIMIT);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let line = ended.last_line();
    assert!(line.contains("a thread of the app is blocked"), "{line}");
}

/// The app may have to write what it holds in memory.
#[test]
fn an_app_that_blocks_one_thread_still_gets_its_shutdown() {
    let mut server = start(static_app::<&str>(&[]).env("STATIC_APP", "shutdown"), "2");
    let _blocked = blocked(&mut server);
    let ended = stop(server, Signal::TERM, STOP_LIMIT);
    assert_eq!(ended.code, 1);
    assert!(
        ended.last_line().contains("the cache is not written"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_stop_ends_in_time_although_the_shutdown_of_the_app_hangs() {
    for hangs in ["shutdown", "block-shutdown"] {
        let mut command = ferricorn(&[&faulty(""), "--app-config", hangs]);
        let mut server = start(&mut command, "1");
        server.address();
        let ended = stop(server, Signal::TERM, STOP_LIMIT);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert!(ended.last_line().contains("error: "), "{}", ended.stderr);
    }
}

/// A server with an app in C, whose library has this code too.
fn serving_c(folder: &Path, code: impl FnOnce(String) -> String) -> Running {
    let source = format!("#include <unistd.h>\n{}", in_c("", "return ASGI_PENDING;"));
    let library = compiled(folder, "faulty.so", &code(source));
    let mut server = start(&mut ferricorn(&[&library.display().to_string()]), "1");
    server.address();
    server
}

/// The shutdown function of the library of [`serving_c`].
const SHUTDOWN: &str = "(void)app; (void)ms; }";

#[test]
fn a_stop_ends_in_time_although_the_library_hangs_when_it_ends() {
    let shutdown = |source: String| {
        assert!(source.contains(SHUTDOWN));
        source.replace(SHUTDOWN, "(void)app; (void)ms; for (;;) pause(); }")
    };
    let destructor = |source: String| {
        source + "\n__attribute__((destructor)) static void hang(void) { for (;;) pause(); }"
    };
    let exit_handler = |source: String| {
        source
            + "\nstatic void hang(void) { for (;;) pause(); }
               __attribute__((constructor)) static void set(void) { atexit(hang); }"
    };
    let faults: [fn(String) -> String; 3] = [shutdown, destructor, exit_handler];
    for fault in faults {
        let folder = tempfile::tempdir().unwrap();
        let server = serving_c(folder.path(), fault);
        let ended = stop(server, Signal::TERM, STOP_LIMIT);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert!(ended.last_line().contains("error: "), "{}", ended.stderr);
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once_although_the_app_hangs() {
    let never = ["--graceful-timeout", "never", "--shutdown-timeout", "never"];
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = ferricorn(&[&faulty(":own"), "--app-config", "block-shutdown"]);
        let mut server = start(command.args(never), "1");
        server.address();
        server.signal(Signal::TERM);
        server.line_with("blocked");
        let ended = stop(server, signal, AT_ONCE);
        assert_eq!(ended.code, code, "{}", ended.stderr);
    }
    // The main thread is in the library.
    let folder = tempfile::tempdir().unwrap();
    let mut server = serving_c(folder.path(), |source| {
        let hang = "(void)app; (void)ms; write(2, \"hangs\\n\", 6); for (;;) pause(); }";
        source.replace(SHUTDOWN, hang)
    });
    server.signal(Signal::TERM);
    server.line_with("hangs");
    assert_eq!(stop(server, Signal::INT, AT_ONCE).code, 130);
}

#[test]
fn a_start_that_hangs_ends_at_its_time_out_and_says_what_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let constructor = "\n__attribute__((constructor)) static void hang(void) { for (;;) pause(); }";
    let source = in_c("", "return ASGI_PENDING;");
    let source = format!("#include <unistd.h>\n{source}{constructor}");
    let constructor = compiled(folder.path(), "hangs.so", &source);
    let constructor = constructor.display().to_string();
    let library = faulty("");
    let load = |library: &str| format!("the load of {library} (its constructors and its start)");
    for (mut command, what) in [
        (ferricorn(&[&constructor]), load(&constructor)),
        (
            ferricorn(&[&library, "--app-config", "start"]),
            load(&library),
        ),
        (
            ferricorn(&[&library, "--app-config", "startup"]),
            "the startup of ferricorn-cli".to_owned(),
        ),
    ] {
        let began = Instant::now();
        let ended = start(command.args(["--startup-timeout", "500ms"]), "1").end();
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(
            (ended.code, ended.last_line()),
            (
                4,
                &*format!(
                    "ferricorn: error: {what} has not ended after 500ms, expected it within \
                     --startup-timeout: find out what it waits for, or give it more time"
                )
            )
        );
    }
}

#[test]
fn a_signal_ends_a_start_that_hangs() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = ferricorn(&[&faulty(""), "--app-config", "start"]);
        let mut server = start(&mut command, "1");
        server.line_with("blocked");
        assert_eq!(stop(server, signal, AT_ONCE).code, code);
    }
    // The app's startup blocks the only thread: the first signal begins the stop.
    let mut server = start(static_app::<&str>(&[]).env("STATIC_APP", "block"), "1");
    server.line_with("blocked");
    server.signal(Signal::TERM);
    server.line_with("stopping:");
    assert_eq!(stop(server, Signal::TERM, AT_ONCE).code, 143);
}

#[test]
fn a_fifo_and_a_device_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    for path in [fifo.to_str().unwrap(), "/dev/zero"] {
        let line = format!(
            "ferricorn: error: {path}: a FIFO, a socket or a device, expected the shared library of an \
             app: `cargo build` puts an app's library at target/debug/lib<name>.so"
        );
        assert_refused(&mut ferricorn(&[path]), 3, &line);
    }
}

#[test]
fn an_app_that_calls_exit_does_not_look_like_a_clean_stop() {
    let library = faulty("");
    for (path, code, called) in [
        ("/exit", 1, "exit(0)"),
        ("/exit7", 7, "exit(7)"),
        ("/exit-thread", 1, "exit(0)"),
    ] {
        let mut server = start(&mut ferricorn(&[&library]), "1");
        let _request = request(server.address(), path);
        let ended = server.end();
        assert_eq!(
            (ended.code, ended.last_line()),
            (
                code,
                &*format!(
                    "ferricorn: error: the app called {called}, which ends the server at once"
                )
            )
        );
    }
    // A linked-in app cannot change the code, so a signal ends the process.
    let mut server = start(&mut static_app::<&str>(&[]), "1");
    let _request = request(server.address(), "/exit");
    server.line_with("error: the app called `exit`");
    assert_eq!(server.killed_by(), Some(Signal::ABORT.as_raw()));
}
