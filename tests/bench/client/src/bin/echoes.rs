//! Sends WebSocket messages to an echo server, and prints how many come back each second.
//!
//! `echoes text|binary SIZE IN_FLIGHT SECONDS CONNECTIONS ADDRESS`
//!
//! Each connection sends IN_FLIGHT messages at once, and sends them again when all of them are
//! back. The messages of one batch differ in their first and last bytes and in their masks. The
//! program checks the head, the first and the last byte of each echo. A wrong echo, or no echo for
//! five seconds, ends the run. It prints a line of JSON.
//!
//! It makes all bytes before it starts, so that the load spends little time outside of system
//! calls.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bench_client::{BINARY, TEXT, head_len, masked, open, plain_head};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

const USAGE: &str = "usage: echoes text|binary SIZE IN_FLIGHT SECONDS CONNECTIONS ADDRESS";

/// How long an echo may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The messages that are sent at once, and the echoes that must come back.
struct Batch {
    sent: Vec<u8>,
    /// The head that each echo has.
    head: Vec<u8>,
    size: usize,
    in_flight: usize,
}

struct Connection {
    /// A blocking socket. It is read only when data has arrived, and the server takes everything
    /// that is written.
    stream: TcpStream,
    received: Vec<u8>,
    length: usize,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, size, in_flight, seconds, connections, address] = arguments.as_slice() else {
        panic!("{USAGE}");
    };
    let kind = match kind.as_str() {
        "text" => TEXT,
        "binary" => BINARY,
        _ => panic!("{USAGE}"),
    };
    let size: usize = size.parse().expect(USAGE);
    let in_flight: usize = in_flight.parse().expect(USAGE);
    let seconds: f64 = seconds.parse().expect(USAGE);
    let connections: usize = connections.parse().expect(USAGE);
    let address: SocketAddr = address.parse().expect(USAGE);

    let batch = Batch::new(kind, size, in_flight);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections = (0..connections)
        .map(|index| Connection::open(&epoll, index, address, &batch))
        .collect::<io::Result<Vec<_>>>()?;
    let began = Instant::now();
    let echoes = run(
        &epoll,
        &mut connections,
        &batch,
        began + Duration::from_secs_f64(seconds),
    )?;
    let rate = echoes as f64 / began.elapsed().as_secs_f64();
    println!(r#"{{"messages": {echoes}, "rate": {rate:.1}}}"#);
    Ok(())
}

/// Returns how many messages came back. Sends nothing after `end`, and waits for the last echoes.
fn run(
    epoll: &OwnedFd,
    connections: &mut [Connection],
    batch: &Batch,
    end: Instant,
) -> io::Result<usize> {
    for connection in &mut *connections {
        connection.stream.write_all(&batch.sent)?;
    }
    let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
    let mut events = Vec::with_capacity(connections.len());
    let (mut echoes, mut waiting) = (0, connections.len());
    while waiting > 0 {
        events.clear();
        epoll::wait(epoll, spare_capacity(&mut events), Some(&patience))?;
        if events.is_empty() {
            return Err(io::Error::other("no echo comes any more"));
        }
        let goes_on = Instant::now() < end;
        for event in &events {
            let connection = &mut connections[event.data.u64() as usize];
            if !connection.receive(batch)? {
                continue;
            }
            echoes += batch.in_flight;
            match goes_on {
                true => connection.stream.write_all(&batch.sent)?,
                false => waiting -= 1,
            }
        }
    }
    Ok(echoes)
}

impl Batch {
    fn new(kind: u8, size: usize, in_flight: usize) -> Self {
        assert!(size > 0, "an empty message has no first byte");
        let sent = (0..in_flight)
            .flat_map(|number| masked(kind, &payload(number, size), mask(number)))
            .collect();
        let head = plain_head(kind, size);
        assert_eq!(head.len(), head_len(size));
        Self {
            sent,
            head,
            size,
            in_flight,
        }
    }

    fn echo_len(&self) -> usize {
        self.head.len() + self.size
    }

    fn check(&self, received: &[u8]) -> io::Result<()> {
        for (number, echo) in received.chunks_exact(self.echo_len()).enumerate() {
            let ends = [echo[self.head.len()], echo[echo.len() - 1]];
            if !echo.starts_with(&self.head) || ends != [letter(number), letter(number + 1)] {
                return Err(io::Error::other(format!(
                    "message {number} comes back otherwise"
                )));
            }
        }
        Ok(())
    }
}

/// Letters. The first and the last one depend on the number of the message.
fn payload(number: usize, size: usize) -> Vec<u8> {
    let mut payload: Vec<u8> = (0..size).map(letter).collect();
    payload[0] = letter(number);
    payload[size - 1] = letter(number + 1);
    payload
}

fn letter(number: usize) -> u8 {
    b'a' + (number % 26) as u8
}

/// No byte of a mask is zero.
fn mask(number: usize) -> [u8; 4] {
    [0x9d, 0x37, 0x5c, 0xe1].map(|byte: u8| byte.rotate_left(number as u32))
}

impl Connection {
    fn open(epoll: &OwnedFd, index: usize, address: SocketAddr, batch: &Batch) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        open(&mut stream, "/echo", "")?;
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(epoll, &stream, data, epoll::EventFlags::IN)?;
        Ok(Self {
            stream,
            // One byte more than should come.
            received: vec![0; batch.echo_len() * batch.in_flight + 1],
            length: 0,
        })
    }

    /// Reads the bytes that have come. Returns whether all echoes are back.
    fn receive(&mut self, batch: &Batch) -> io::Result<bool> {
        match self.stream.read(&mut self.received[self.length..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => self.length += read,
        }
        let all = self.received.len() - 1;
        if self.length < all {
            return Ok(false);
        }
        if self.length > all {
            return Err(io::Error::other("more comes back than was sent"));
        }
        batch.check(&self.received[..all])?;
        self.length = 0;
        Ok(true)
    }
}
