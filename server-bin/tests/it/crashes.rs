//! A crash in a loaded app ends the process at once, by the signal, after a report.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::loading::{compiled, in_c, request};
use crate::process::{Running, ferricorn};

/// Longer than a crash may take: its report has a second.
const CRASH_LIMIT: Duration = Duration::from_secs(5);

/// A server whose app runs this code in C for GET /crash, and waits for ever for other requests.
fn crashing(folder: &Path, code: &str) -> Running {
    let poll = format!("if (task->store[0] == 1) {{ {code} }} return ASGI_PENDING;");
    let library = compiled(folder, "bad.so", &in_c("", &poll));
    let path = library.display().to_string();
    let mut command = ferricorn(&[&path, "--bind", "127.0.0.1:0", "--threads", "2"]);
    Running::start(&mut command).timeout(CRASH_LIMIT)
}

/// Code in C that overflows the stack.
const OVERFLOW: &str = "
    int (*volatile again)(int) = 0;
    int overflow(int n) { volatile char frame[256]; frame[n % 256] = 1; return again(n + 1) + frame[0]; }
    again = overflow;
    overflow(0);";

#[test]
fn a_stack_overflow_ends_the_process_by_its_signal_after_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = crashing(folder.path(), OVERFLOW);
    let address = server.address();
    let _crashes = request(address, "/crash");
    let line = server.line_with("fatal: ");
    assert!(
        line.starts_with("fatal: SIGSEGV (probably a stack overflow) in the app in_c ("),
        "{line}"
    );
    assert!(line.ends_with("in GET /crash (exchange 1)"), "{line}");
    assert_eq!(server.killed_by(), Some(Signal::SEGV.as_raw()));
}

#[test]
fn threads_that_crash_at_the_same_time_do_not_hang_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let code = "
        void *crash(void *n) { (void)n; *(volatile int *)0 = 1; return 0; }
        for (int n = 0; n < 16; n++) { pthread_t thread; pthread_create(&thread, 0, crash, 0); }
        crash(0);";
    let poll = format!("if (task->store[0] == 1) {{ {code} }} return ASGI_PENDING;");
    let source = format!("#include <pthread.h>\n{}", in_c("", &poll));
    let library = compiled(folder.path(), "bad.so", &source);
    let path = library.display().to_string();
    for _ in 0..10 {
        let mut command = ferricorn(&[&path, "--bind", "127.0.0.1:0"]);
        let mut server = Running::start(&mut command).timeout(CRASH_LIMIT);
        let _crashes = request(server.address(), "/crash");
        server.line_with("fatal: SIGSEGV");
        assert_eq!(server.killed_by(), Some(Signal::SEGV.as_raw()));
    }
}

#[test]
fn a_crash_signal_from_another_process_ends_the_process_by_that_signal() {
    for signal in [
        Signal::SEGV,
        Signal::BUS,
        Signal::ILL,
        Signal::FPE,
        Signal::ABORT,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = crashing(folder.path(), "");
        server.address();
        server.signal(signal);
        server.line_with("fatal: ");
        assert_eq!(server.killed_by(), Some(signal.as_raw()));
    }
}

#[test]
fn a_crash_ends_the_process_although_its_report_has_no_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = compiled(folder.path(), "bad.so", &in_c("", "return ASGI_PENDING;"));
    // The pipe is full before the server starts.
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let socket = folder.path().join("socket");
    let bind = format!("unix:{}", socket.display());
    let mut child = ferricorn(&[&path.display().to_string(), "--bind", &bind])
        .stderr(writer)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !socket.exists() {
        assert!(began.elapsed() < CRASH_LIMIT, "the server has not started");
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill")
        .args(["-SEGV", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > CRASH_LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the process has not ended");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    drop(reader);
    assert_eq!(status.signal(), Some(Signal::SEGV.as_raw()));
}
