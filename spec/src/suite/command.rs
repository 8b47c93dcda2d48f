//! Servers that a command starts.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::time::sleep;

use super::{Launch, Launcher, ServerUnderTest};
use crate::client::{Endpoint, Http1, Trace};
use crate::probe::{LIFESPAN_VARIABLE, RECORD_VARIABLE};

/// How long a server may take until it listens, and until it ends.
const LIMIT: Duration = Duration::from_secs(8);

/// The signal that asks a server to stop.
const SIGTERM: i32 = 15;

/// How often the suite looks whether that is so.
const INTERVAL: Duration = Duration::from_millis(10);

/// Starts servers by a command.
#[derive(Debug)]
pub(super) struct ByCommand {
    command: String,
    probe: PathBuf,
    stopped_by: StoppedBy,
}

/// What makes a server begin its shutdown.
#[derive(Debug, Clone, Copy)]
pub(super) enum StoppedBy {
    /// SIGTERM.
    Signal,
    /// A line on its standard input.
    Input,
}

impl ByCommand {
    pub(super) fn new(command: &str, probe: &Path, stopped_by: StoppedBy) -> Self {
        Self {
            command: command.into(),
            probe: probe.into(),
            stopped_by,
        }
    }

    fn spawn(&self, launch: &Launch) -> io::Result<ServerProcess> {
        // If another process takes it now, the server says so.
        let port = free_port()?;
        let library = launch.library.as_ref().unwrap_or(&self.probe);
        let command = self
            .command
            .replace("{port}", &port.to_string())
            .replace("{probe}", &library.display().to_string());
        let mut process = Command::new("sh");
        process
            .args(["-c", &format!("exec {command}")])
            .env(LIFESPAN_VARIABLE, &launch.lifespan)
            .envs(launch.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(record) = &launch.record {
            process.env(RECORD_VARIABLE, record);
        }
        let mut child = process.spawn()?;
        let log = Arc::default();
        collect(child.stdout.take(), &log);
        collect(child.stderr.take(), &log);
        Ok(ServerProcess {
            child,
            address: (Ipv4Addr::LOCALHOST, port).into(),
            log,
            command,
            stopped_by: self.stopped_by,
        })
    }
}

impl Launcher for ByCommand {
    fn library(&self) -> Option<PathBuf> {
        Some(self.probe.clone())
    }

    fn launch(&self, launch: Launch) -> Result<Box<dyn ServerUnderTest>, String> {
        let could_not =
            |error: io::Error| format!("the command {:?} could not start: {error}", self.command);
        let mut process = self.spawn(&launch).map_err(could_not)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let endpoint = Endpoint {
            address: process.address,
            tls: launch.tls,
        };
        let connected = Cell::new(false);
        // A server may listen before its app has started. It serves once it answers.
        let serves = runtime.map_err(could_not)?.block_on(async {
            tokio::select! {
                () = answers(&endpoint, &connected) => Some(Ok(())),
                status = process.end() => Some(Err(status)),
                () = sleep(LIMIT) => None,
            }
        });
        match serves {
            Some(Ok(())) => Ok(Box::new(process)),
            Some(Err(status)) => Err(process.ended(status)),
            // The first check says what is wrong.
            None if connected.get() => Ok(Box::new(process)),
            None => Err(format!(
                "the command {:?} did not listen on {} within {} s; it printed:\n{}",
                process.command,
                process.address,
                LIMIT.as_secs(),
                process.printed()
            )),
        }
    }
}

/// Returns a port that is free now, below those that the system chooses for port 0. Otherwise a server of
/// another test could get it before this one, and the cases would talk to that server.
fn free_port() -> io::Result<u16> {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);

    // Suites in several processes begin at different ports.
    let start = std::process::id().wrapping_mul(997);
    let mut result = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..100 {
        let next = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = (FIRST + next % COUNT) as u16;
        result = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(|_| port);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// A server in a process of its own. Dropping it kills the process.
struct ServerProcess {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
    command: String,
    stopped_by: StoppedBy,
}

impl ServerProcess {
    fn printed(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.clone()
    }

    fn ended(&self, status: ExitStatus) -> String {
        // The last lines may still be on their way from the pipe.
        thread::sleep(INTERVAL * 5);
        format!(
            "the command {:?} ended with {status}; it printed:\n{}",
            self.command,
            self.printed()
        )
    }

    /// Waits for the end of the process.
    async fn end(&mut self) -> ExitStatus {
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status;
            }
            sleep(INTERVAL).await;
        }
    }

    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(INTERVAL);
        }
        None
    }
}

impl ServerUnderTest for ServerProcess {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn stop(mut self: Box<Self>) -> Option<Result<(), String>> {
        // Neither fails unless the server has ended, and the wait sees that.
        match (self.stopped_by, &mut self.child.stdin) {
            (StoppedBy::Input, Some(input)) => drop(input.write_all(b"\n")),
            _ => {
                let process = self.child.id().to_string();
                Command::new("kill").args(["-TERM", &process]).status().ok();
            }
        }
        let status = self.wait(LIMIT);
        Some(match status {
            // Some servers end by the signal that they were sent, after their shutdown.
            Some(status) if status.success() || status.signal() == Some(SIGTERM) => Ok(()),
            Some(status) => Err(self.ended(status)),
            None => Err(format!("no end within {} s after SIGTERM", LIMIT.as_secs())),
        })
    }

    fn log(&self) -> Option<String> {
        Some(self.printed())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail only if the process has ended and was waited for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks for an answer until one comes. A server that does not serve closes the connections that wait.
async fn answers(endpoint: &Endpoint, connected: &Cell<bool>) {
    loop {
        let (name, trace) = ("control".into(), Trace::new());
        if let Ok(mut client) = Http1::connect(endpoint, name, trace).await {
            connected.set(true);
            let request = "GET /report/hello HTTP/1.1\r\nhost: suite\r\nconnection: close\r\n\r\n";
            if client.send(request).await.is_ok() && client.head().await.is_ok() {
                return;
            }
            connected.set(false);
        }
        sleep(INTERVAL).await;
    }
}

/// Adds all that a process prints to the log, from a thread.
fn collect(pipe: Option<impl Read + Send + 'static>, log: &Arc<Mutex<String>>) {
    let Some(mut pipe) = pipe else {
        return;
    };
    let log = Arc::clone(log);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]);
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&text);
        }
    });
}
