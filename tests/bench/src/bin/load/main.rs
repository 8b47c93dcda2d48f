//! Sends requests at a given rate and prints their latencies. wrk cannot do that.
//!
//! `load RATE SECONDS CONNECTIONS BLOCKING ADDRESS…`
//!
//! The load is open: request n is due at n / RATE, whether the requests before it were answered or
//! not, and its latency counts from then (no coordinated omission). The requests go to the
//! connections in turn. A busy connection keeps its requests until it is free.
//!
//! BLOCKING is the share of requests that make the server block a thread. The figures are those of
//! the other requests, which suffer from that. The blocking requests look random but are the same
//! in every run. The program prints a line of JSON with latencies in µs.
//!
//! It sleeps when it has nothing to do, and wakes to the microsecond. So on a core that it shares
//! with the server, it takes only the time that it needs for its requests.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::thread::set_current_timer_slack;

const USAGE: &str = "usage: load RATE SECONDS CONNECTIONS BLOCKING ADDRESS…";

struct Connection {
    stream: TcpStream,
    /// The requests that are due and not sent.
    waiting: VecDeque<Due>,
    /// The request that is sent and not answered.
    out: Option<Due>,
    received: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    blocks: bool,
}

#[derive(Default)]
struct Latencies {
    /// The latencies of the requests that block nothing.
    plain: Vec<f64>,
    blocking: Vec<f64>,
}

struct Load {
    rate: f64,
    total: usize,
    blocking: f64,
    began: Instant,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rate, seconds, connections, blocking, addresses @ ..] = arguments.as_slice() else {
        panic!("{USAGE}");
    };
    let rate: f64 = rate.parse().expect(USAGE);
    let seconds: f64 = seconds.parse().expect(USAGE);
    let connections: usize = connections.parse().expect(USAGE);
    let blocking: f64 = blocking.parse().expect(USAGE);
    let addresses: Vec<SocketAddr> = addresses
        .iter()
        .map(|address| address.parse().expect(USAGE))
        .collect();

    // Otherwise the kernel may add up to 50 µs to each wait, to wake less often.
    set_current_timer_slack(NonZeroU64::new(1))?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections = (0..connections)
        .map(|index| Connection::open(&epoll, index, addresses[index % addresses.len()]))
        .collect::<io::Result<Vec<_>>>()?;
    let load = Load {
        rate,
        total: (rate * seconds) as usize,
        blocking,
        began: Instant::now(),
    };
    let deadline = load.began + Duration::from_secs_f64(seconds * 2.0 + 5.0);
    let latencies = load.run(&epoll, &mut connections, deadline)?;
    latencies.print(load.total as f64 / load.began.elapsed().as_secs_f64());
    Ok(())
}

impl Load {
    fn run(
        &self,
        epoll: &OwnedFd,
        connections: &mut [Connection],
        deadline: Instant,
    ) -> io::Result<Latencies> {
        let mut latencies = Latencies::default();
        let mut events = Vec::with_capacity(1024);
        let (mut begun, mut ended) = (0, 0);
        while ended < self.total {
            let now = Instant::now();
            if now > deadline {
                return Err(io::Error::other("the server does not keep up"));
            }
            while begun < self.total && self.due(begun).at <= now {
                let index = begun % connections.len();
                connections[index].waiting.push_back(self.due(begun));
                connections[index].send()?;
                begun += 1;
            }
            let next = if begun < self.total {
                self.due(begun).at
            } else {
                deadline
            };
            let wait = next.saturating_duration_since(Instant::now());
            let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
            events.clear();
            epoll::wait(epoll, spare_capacity(&mut events), Some(&wait))?;
            for event in &events {
                let connection = &mut connections[event.data.u64() as usize];
                if let Some(due) = connection.receive()? {
                    latencies.push(due);
                    ended += 1;
                    connection.send()?;
                }
            }
        }
        Ok(latencies)
    }

    fn due(&self, number: usize) -> Due {
        Due {
            at: self.began + Duration::from_secs_f64(number as f64 / self.rate),
            blocks: lot(number as u64) < self.blocking,
        }
    }
}

/// A number from 0 to 1 that looks random and belongs to `number`: splitmix64's last steps.
fn lot(number: u64) -> f64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

impl Latencies {
    fn push(&mut self, due: Due) {
        let latency = due.at.elapsed().as_secs_f64() * 1e6;
        if due.blocks {
            self.blocking.push(latency);
        } else {
            self.plain.push(latency);
        }
    }

    fn print(mut self, rate: f64) {
        self.plain.sort_by(f64::total_cmp);
        let quantile = |share: f64| self.plain[((self.plain.len() - 1) as f64 * share) as usize];
        println!(
            r#"{{"requests": {}, "blocking": {}, "rate": {rate:.1}, "mean": {:.1}, "p50": {:.1}, "p90": {:.1}, "p99": {:.1}, "p999": {:.1}}}"#,
            self.plain.len() + self.blocking.len(),
            self.blocking.len(),
            self.plain.iter().sum::<f64>() / self.plain.len() as f64,
            quantile(0.5),
            quantile(0.9),
            quantile(0.99),
            quantile(0.999),
        );
    }
}

impl Connection {
    fn open(epoll: &OwnedFd, index: usize, address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(epoll, &stream, data, epoll::EventFlags::IN)?;
        Ok(Self {
            stream,
            waiting: VecDeque::new(),
            out: None,
            received: Vec::new(),
        })
    }

    /// Sends the next request that is due, unless the connection waits for a response.
    fn send(&mut self) -> io::Result<()> {
        if self.out.is_none()
            && let Some(due) = self.waiting.pop_front()
        {
            let request: &[u8] = if due.blocks {
                b"GET /block HTTP/1.1\r\nhost: localhost\r\n\r\n"
            } else {
                b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
            };
            // So few bytes always fit.
            self.stream.write_all(request)?;
            self.out = Some(due);
        }
        Ok(())
    }

    /// Reads the bytes that have come. Returns the request if its response is complete.
    fn receive(&mut self) -> io::Result<Option<Due>> {
        let mut part = [0; 4096];
        match self.stream.read(&mut part) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.received.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        // Every response ends with the one body that all servers send.
        if !self.received.ends_with(b"Hello, world!\n") {
            return Ok(None);
        }
        self.received.clear();
        Ok(self.out.take())
    }
}
