//! The clients, all in one thread.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bench_client::{CLOSE, PING, PONG, TEXT, masked, open, parse};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use socket2::SockRef;

use crate::text::{COMPRESSED, Texts};
use crate::{Failure, LIMIT};

const MASK: [u8; 4] = [0x9d, 0x37, 0x5c, 0xe1];

pub struct Clients {
    address: SocketAddr,
    epoll: OwnedFd,
    /// `None` for a client that was killed or closed.
    clients: Vec<Option<Client>>,
    /// How many messages each client must have received so far.
    told: usize,
}

struct Client {
    /// A blocking socket, which is read only when data has arrived.
    stream: TcpStream,
    /// The first part of a frame that is not complete.
    rest: Vec<u8>,
    pings: usize,
    messages: usize,
    closed: Option<u16>,
}

impl Clients {
    pub fn new(address: SocketAddr) -> Result<Self, Failure> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self {
            address,
            epoll,
            clients: Vec::new(),
            told: 0,
        })
    }

    /// Opens `number` more clients. Each one sends a message and checks its echo.
    pub fn open(&mut self, number: usize, texts: Option<&Texts>) -> Result<(), Failure> {
        let began = Instant::now();
        for count in 0..number {
            let mut client = Client::open(self.address, texts)?;
            match texts {
                Some(texts) => {
                    let echoes = texts
                        .compressed()
                        .iter()
                        .map(|message| client.ask(TEXT | COMPRESSED, message));
                    texts.check(&echoes.collect::<Result<Vec<_>, _>>()?)?;
                }
                None => {
                    if client.ask(TEXT, b"hello")? != (TEXT, b"hello".to_vec()) {
                        return Err("an echo says something else".into());
                    }
                }
            }
            let data = epoll::EventData::new_u64(self.clients.len() as u64);
            epoll::add(&self.epoll, &client.stream, data, epoll::EventFlags::IN)?;
            self.clients.push(Some(client));
            // The open clients must answer their pings meanwhile.
            if count % 100 == 99 {
                self.serve_for(Duration::ZERO)?;
            }
            if began.elapsed() > 5 * LIMIT {
                return Err("opening takes too long".into());
            }
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().flatten()
    }

    /// How many clients are open.
    pub fn open_ones(&self) -> usize {
        self.all().count()
    }

    pub fn fewest_pings(&self) -> usize {
        self.all().map(|client| client.pings).min().unwrap_or(0)
    }

    /// Makes the last client send this message.
    pub fn say(&mut self, first: u8, payload: &[u8]) -> Result<(), Failure> {
        let speaker = self.clients.iter_mut().flatten().next_back();
        let speaker = speaker.ok_or("no client is left")?;
        self.told += 1;
        Ok(speaker.stream.write_all(&masked(first, payload, MASK))?)
    }

    /// Answers pings; nothing else may happen.
    pub fn serve_for(&mut self, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        loop {
            self.turn(end)?;
            if let Some(code) = self.all().find_map(|client| client.closed) {
                return Err(format!("a socket was closed with {code}").into());
            }
            if Instant::now() >= end {
                return Ok(());
            }
        }
    }

    pub fn serve_until_all_heard(&mut self, limit: Duration) -> Result<(), Failure> {
        let end = Instant::now() + limit;
        let told = self.told;
        let deaf = |clients: &Self| {
            clients
                .all()
                .filter(|client| client.messages < told)
                .count()
        };
        while deaf(self) > 0 {
            if Instant::now() >= end {
                return Err(format!("{} have not heard it", deaf(self)).into());
            }
            self.turn(end)?;
        }
        match self.all().all(|client| client.messages == told) {
            true => Ok(()),
            false => Err("some have heard it twice".into()),
        }
    }

    /// Waits until each client has received this close code and the end of its connection.
    pub fn serve_until_closed(&mut self, code: u16, limit: Duration) -> Result<(), Failure> {
        let end = Instant::now() + limit;
        while self.open_ones() > 0 {
            if Instant::now() >= end {
                return Err(format!("{} are open still", self.open_ones()).into());
            }
            self.turn(end)?;
            let others = |client: &Client| client.closed.filter(|closed| *closed != code);
            if let Some(other) = self.all().find_map(others) {
                return Err(format!("a socket was closed with {other}").into());
            }
        }
        Ok(())
    }

    /// Drops every other client without a close frame. Half of these connections end with a FIN, as
    /// if the process was killed; the others end with a reset. Returns how many were dropped.
    pub fn kill_every_other(&mut self) -> usize {
        let mut killed = 0;
        for client in self.clients.iter_mut().step_by(2) {
            if let Some(client) = client.take() {
                if killed % 2 == 0 {
                    // This makes the end a reset, not a FIN.
                    let _ = SockRef::from(&client.stream).set_linger(Some(Duration::ZERO));
                }
                killed += 1;
            }
        }
        killed
    }

    /// Waits until data arrives or until `end`, and handles the data.
    fn turn(&mut self, end: Instant) -> Result<(), Failure> {
        let wait = Timespec::try_from(end.saturating_duration_since(Instant::now()))?;
        let mut events = Vec::with_capacity(1024);
        epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&wait))?;
        for event in &events {
            let slot = &mut self.clients[event.data.u64() as usize];
            let Some(client) = slot else { continue };
            if !client.receive()? {
                if client.closed.is_none() {
                    return Err("the server ended a connection without a close frame".into());
                }
                *slot = None;
            }
        }
        Ok(())
    }
}

impl Client {
    fn open(address: SocketAddr, texts: Option<&Texts>) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let fields = texts.map(Texts::offer).unwrap_or_default();
        let head = open(&mut stream, "/", &fields)?;
        if texts.is_some_and(|texts| !texts.is_agreed(&head)) {
            return Err(format!("the server agrees to something else:\n{head}").into());
        }
        Ok(Self {
            stream,
            rest: Vec::new(),
            pings: 0,
            messages: 0,
            closed: None,
        })
    }

    /// Sends a message and waits for the answer.
    fn ask(&mut self, first: u8, payload: &[u8]) -> Result<(u8, Vec<u8>), Failure> {
        self.stream.write_all(&masked(first, payload, MASK))?;
        let mut received = Vec::new();
        let mut part = [0; 16 * 1024];
        loop {
            if let Some((first, payload, _)) = parse(&received) {
                return match first {
                    PING | CLOSE => Err("a ping or a close instead of an echo".into()),
                    _ => Ok((first, payload.to_vec())),
                };
            }
            match self.stream.read(&mut part)? {
                0 => return Err("the server ended a connection".into()),
                read => received.extend_from_slice(&part[..read]),
            }
        }
    }

    /// Reads the data that has come, and answers pings and a close. Returns whether the connection
    /// is still open.
    fn receive(&mut self) -> Result<bool, Failure> {
        let mut part = [0; 16 * 1024];
        match self.stream.read(&mut part) {
            Ok(0) => return Ok(false),
            Ok(read) => self.rest.extend_from_slice(&part[..read]),
            // Our answer to the close frame may arrive after the server has closed.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let mut at = 0;
        while let Some((first, payload, length)) = parse(&self.rest[at..]) {
            match first {
                PING => {
                    self.pings += 1;
                    self.stream.write_all(&masked(PONG, payload, MASK))?;
                }
                CLOSE => {
                    let code = payload
                        .first_chunk()
                        .ok_or("a close frame without a code")?;
                    self.closed = Some(u16::from_be_bytes(*code));
                    self.stream.write_all(&masked(CLOSE, payload, MASK))?;
                }
                _ => self.messages += 1,
            }
            at += length;
        }
        self.rest.drain(..at);
        Ok(true)
    }
}
