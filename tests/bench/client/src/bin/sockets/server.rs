//! The server as a process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;

pub struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    pub fn start(binary: &str, library: &str, arguments: &[&str]) -> Result<Self, Failure> {
        let mut process = Command::new(binary)
            .args([library, "--bind", "127.0.0.1:0", "--no-access-log"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{binary}: {error}"))?;
        let mut lines = BufReader::new(process.stderr.take().ok_or("it has no stderr")?).lines();
        let mut address = None;
        while address.is_none() {
            let line = lines.next().ok_or("the server ended before it served")??;
            address = line
                .split_once("on http://")
                .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        }
        // Passes on all other lines, so that the pipe does not fill up.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("  | {line}");
            }
        });
        let address = address.ok_or("no address")?;
        Ok(Self { process, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes of memory in use.
    pub fn resident(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kilobytes.ok_or("no VmRSS")?.parse::<u64>()? * 1024)
    }

    /// How many files are open, sockets among them.
    pub fn files(&self) -> Result<usize, Failure> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.process.id()))?.count())
    }

    pub fn terminate(&self) -> Result<(), Failure> {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        Ok(kill_process(pid.ok_or("no pid")?, Signal::TERM)?)
    }

    /// Its exit code.
    pub fn wait(&mut self, limit: Duration) -> Result<i32, Failure> {
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status.code().ok_or("the server was killed")?);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("the server does not end".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it has ended, there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
