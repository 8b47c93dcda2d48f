//! Runs the command and waits for it, with a time limit.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than everything except a build takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Enough for a build of an example of this workspace on a busy machine.
pub(crate) const BUILD_TIMEOUT: Duration = Duration::from_secs(300);

/// The `ferricorn` command, without the ferricorn variables of the environment.
pub(crate) fn ferricorn<S: AsRef<str>>(arguments: &[S]) -> Command {
    command(Path::new(env!("CARGO_BIN_EXE_ferricorn")), arguments)
}

/// The command of `examples/static_app.rs`, which has the server linked in.
pub(crate) fn static_app<S: AsRef<str>>(arguments: &[S]) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_ferricorn")).with_file_name("examples/static_app");
    assert!(
        program.exists(),
        "build it first: cargo build -p ferricorn-cli --examples"
    );
    command(&program, arguments)
}

/// The library of `examples/faulty.rs`, with `:name` after it if there is a name.
pub(crate) fn faulty(name: &str) -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_ferricorn")).with_file_name("examples");
    let library = folder.join("libfaulty.so");
    assert!(
        library.exists(),
        "build it first: cargo build -p ferricorn-cli --examples"
    );
    format!("{}{name}", library.display())
}

fn command<S: AsRef<str>>(program: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments.iter().map(AsRef::as_ref))
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        // With a backtrace, a panic takes several lines, and longer than `--slow-poll`.
        let changes_a_test =
            |name: &str| name.starts_with("FERRICORN_") || name == "RUST_BACKTRACE";
        if name.to_str().is_some_and(changes_a_test) {
            command.env_remove(name);
        }
    }
    command
}

/// A folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The last line on standard error.
    pub(crate) fn last_line(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }
}

/// Runs the command to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ended {
    Running::start(command).end()
}

/// Asserts that the command ends with `code` and prints only this line, to standard error.
#[track_caller]
pub(crate) fn assert_refused(command: &mut Command, code: i32, line: &str) {
    let ended = run(command);
    let expected = Ended {
        code,
        stdout: String::new(),
        stderr: format!("{line}\n"),
    };
    assert_eq!(ended, expected);
}

/// A running process. Dropping it kills the process.
pub(crate) struct Running {
    child: Child,
    stderr: Receiver<String>,
    stdout: Receiver<String>,
    /// The lines of standard error so far.
    seen: Vec<String>,
    timeout: Duration,
}

impl Running {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the process starts");
        let stdout = lines(child.stdout.take().expect("the output is piped"));
        let stderr = lines(child.stderr.take().expect("the output is piped"));
        Self {
            child,
            stderr,
            stdout,
            seen: Vec::new(),
            timeout: TIMEOUT,
        }
    }

    /// Sets another time limit, for a command that builds first.
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Waits for a line on standard error that holds `part`.
    #[track_caller]
    pub(crate) fn line_with(&mut self, part: &str) -> String {
        let deadline = Instant::now() + self.timeout;
        loop {
            let Ok(line) = self.stderr.recv_timeout(left(deadline)) else {
                panic!(
                    "found no line with {part:?} on standard error:\n{}",
                    self.seen.join("\n")
                );
            };
            self.seen.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Waits for a line on standard output.
    #[track_caller]
    pub(crate) fn stdout_line(&mut self) -> String {
        self.stdout
            .recv_timeout(self.timeout)
            .expect("a line on standard output")
    }

    /// Waits for the line that says the server is up, and returns its address.
    #[track_caller]
    pub(crate) fn address(&mut self) -> SocketAddr {
        let line = self.line_with(" serving ");
        let (_, address) = line.split_once("http://").expect("an address in the line");
        let (address, _) = address.split_once(' ').expect("more after the address");
        address.parse().expect("an address and a port")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process runs");
    }

    /// Waits until the process has ended by itself.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + self.timeout;
        let stdout = self.rest(&self.stdout, deadline);
        let stderr = self.rest(&self.stderr, deadline);
        // Its outputs are closed, so the process is ending or has ended.
        let status = self.child.wait().expect("the process is our child");
        self.seen.extend(stderr);
        Ended {
            code: status
                .code()
                .unwrap_or_else(|| panic!("killed by the signal {:?}", status.signal())),
            stdout: text(&stdout),
            stderr: text(&self.seen),
        }
    }

    /// Waits for the end, and returns the signal that caused it, if any.
    #[track_caller]
    pub(crate) fn killed_by(mut self) -> Option<i32> {
        self.status().signal()
    }

    /// Waits for the end. Unlike [`end`](Self::end), it does not wait until the outputs are closed.
    #[track_caller]
    pub(crate) fn status(&mut self) -> ExitStatus {
        let deadline = Instant::now() + self.timeout;
        loop {
            if let Some(status) = self.child.try_wait().expect("the process is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the process has not ended");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    fn rest(&self, lines: &Receiver<String>, deadline: Instant) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match lines.recv_timeout(left(deadline)) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return rest,
                Err(RecvTimeoutError::Timeout) => panic!(
                    "the process has not ended; it printed:\n{}\n{}",
                    self.seen.join("\n"),
                    rest.join("\n")
                ),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // This fails if the process has ended by itself, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn text(lines: &[String]) -> String {
    lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect()
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
