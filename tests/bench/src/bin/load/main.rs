//! Sends requests at a given rate and prints how long each took, which wrk cannot.
//!
//! `load RATE SECONDS CONNECTIONS PATH ADDRESS…`
//!
//! The load is open: request n is due at n / RATE, whether those before it were answered or not,
//! and its latency counts from then (no coordinated omission). They go to the connections in turn;
//! one that is still busy keeps what is due until it is free. Prints a line of JSON.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

const USAGE: &str = "usage: load RATE SECONDS CONNECTIONS PATH ADDRESS…";

struct Connection {
    stream: TcpStream,
    /// When each request that was not sent yet was due.
    due: VecDeque<Instant>,
    /// When the request that is out was due.
    out: Option<Instant>,
    received: Vec<u8>,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rate, seconds, connections, path, addresses @ ..] = arguments.as_slice() else {
        panic!("{USAGE}");
    };
    let rate: f64 = rate.parse().expect(USAGE);
    let seconds: f64 = seconds.parse().expect(USAGE);
    let connections: usize = connections.parse().expect(USAGE);
    let addresses: Vec<SocketAddr> = addresses
        .iter()
        .map(|address| address.parse().expect(USAGE))
        .collect();

    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut poll = Poll::new()?;
    let mut connections = (0..connections)
        .map(|index| Connection::open(&poll, index, addresses[index % addresses.len()]))
        .collect::<io::Result<Vec<_>>>()?;

    let total = (rate * seconds) as usize;
    let mut latencies = Vec::with_capacity(total);
    let mut events = Events::with_capacity(1024);
    let began = Instant::now();
    let due_at = |number: usize| began + Duration::from_secs_f64(number as f64 / rate);
    let mut begun = 0;
    while latencies.len() < total {
        if began.elapsed() > Duration::from_secs_f64(seconds * 2.0 + 5.0) {
            return Err(io::Error::other("the server does not keep up"));
        }
        while begun < total && due_at(begun) <= Instant::now() {
            let index = begun % connections.len();
            let connection = &mut connections[index];
            connection.due.push_back(due_at(begun));
            connection.send(request.as_bytes())?;
            begun += 1;
        }
        // Shorter than poll's own resolution: another process may need this core.
        std::thread::sleep(Duration::from_micros(20));
        poll.poll(&mut events, Some(Duration::ZERO))?;
        for event in &events {
            let connection = &mut connections[event.token().0];
            if let Some(latency) = connection.receive()? {
                latencies.push(latency.as_secs_f64() * 1e6);
                connection.send(request.as_bytes())?;
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    let quantile = |share: f64| latencies[((total - 1) as f64 * share) as usize];
    println!(
        r#"{{"requests": {total}, "rate": {:.1}, "p50": {:.1}, "p90": {:.1}, "p99": {:.1}, "p999": {:.1}}}"#,
        total as f64 / took,
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        quantile(0.999),
    );
    Ok(())
}

impl Connection {
    fn open(poll: &Poll, index: usize, address: SocketAddr) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, Token(index), Interest::READABLE)?;
        Ok(Self {
            stream,
            due: VecDeque::new(),
            out: None,
            received: Vec::new(),
        })
    }

    /// Sends the next request that is due, unless one is out.
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        if self.out.is_none()
            && let Some(due) = self.due.pop_front()
        {
            // So few bytes always fit.
            self.stream.write_all(request)?;
            self.out = Some(due);
        }
        Ok(())
    }

    /// Reads what has come; how long the request took, if that was the end of its response.
    fn receive(&mut self) -> io::Result<Option<Duration>> {
        let mut part = [0; 4096];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.received.extend_from_slice(&part[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        // Every response ends with the one body that all servers send.
        if !self.received.ends_with(b"Hello, world!\n") {
            return Ok(None);
        }
        self.received.clear();
        Ok(self.out.take().map(|due| due.elapsed()))
    }
}
