//! From the server to the client.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use crate::broken::exchange::Process;

use super::frames::{self, Frames};
use super::request::{Request, Requests, end_of_head, header};

/// The switches that change frames.
const FRAMES: &[&str] = &["WS-017", "WS-026", "WS-028", "WS-029", "WS-032"];

pub(super) struct Down {
    id: &'static str,
    requests: Arc<Mutex<Requests>>,
    process: Arc<Process>,
    state: State,
    buffer: Vec<u8>,
    closes: bool,
    /// Whether the server has sent a head.
    has_answered: bool,
    /// Whether the last head says that the connection ends.
    announces_close: bool,
}

enum State {
    Head,
    /// This many bytes of a body are missing.
    Body(u64),
    /// The same, and each part becomes a chunk.
    BodyInChunks(u64),
    /// The line before a chunk comes.
    ChunkSize,
    /// This many bytes of a chunk and of its line end are missing.
    Chunk(usize),
    /// Trailers come. True if there was one.
    Trailers(bool),
    /// The body ends with the connection. True if it gets chunks.
    UntilEnd(bool),
    Socket(Frames),
    /// Bytes pass as they are.
    Rest,
}

impl Down {
    pub(super) fn new(
        id: &'static str,
        requests: Arc<Mutex<Requests>>,
        process: Arc<Process>,
    ) -> Self {
        Self {
            id,
            requests,
            process,
            state: State::Head,
            buffer: Vec::new(),
            closes: false,
            has_answered: false,
            announces_close: false,
        }
    }

    /// Whether the wire hides that the server has closed the connection.
    pub(super) fn hides_end(&self) -> bool {
        let is_idle = self.requests.lock().unwrap().are_answered();
        match self.id {
            "HTTP-074" => is_idle && !self.has_answered,
            "HTTP-077" => is_idle && self.has_answered && !self.announces_close,
            _ => false,
        }
    }

    /// Whether the wire closes the connection to the client now.
    pub(super) fn closes(&self) -> bool {
        self.closes
    }

    /// The server has closed its side. Returns the last bytes for the client.
    pub(super) fn end(&mut self) -> Vec<u8> {
        match self.state {
            State::ChunkSize if self.id == "HTTP-048" => b"0\r\n\r\n".to_vec(),
            State::UntilEnd(true) => b"0\r\n\r\n".to_vec(),
            _ => std::mem::take(&mut self.buffer),
        }
    }

    /// Takes bytes of the server, and returns those for the client.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.requests.lock().unwrap().are_no_http_1 {
            self.state = State::Rest;
        }
        self.buffer.extend(bytes);
        let mut out = Vec::new();
        while !self.buffer.is_empty() && self.step(&mut out) {}
        out
    }

    /// False if more bytes must come first.
    fn step(&mut self, out: &mut Vec<u8>) -> bool {
        match &mut self.state {
            State::Head => {
                let Some(end) = end_of_head(&self.buffer) else {
                    return false;
                };
                let head: Vec<u8> = self.buffer.drain(..end).collect();
                self.head(&head, out);
            }
            State::Body(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let count = most.min(self.buffer.len());
                *left -= count as u64;
                let is_end = *left == 0;
                out.extend(self.buffer.drain(..count));
                if is_end {
                    self.body_ends(out);
                }
            }
            State::BodyInChunks(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let count = most.min(self.buffer.len());
                *left -= count as u64;
                let is_end = *left == 0;
                let part: Vec<u8> = self.buffer.drain(..count).collect();
                chunk(&part, out);
                if is_end {
                    out.extend(b"0\r\n\r\n");
                    self.body_ends(out);
                }
            }
            State::ChunkSize => {
                let Some(line) = self.line() else {
                    return false;
                };
                let size = String::from_utf8_lossy(&line);
                let size = size.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16).unwrap();
                out.extend(line);
                self.state = match size {
                    0 => State::Trailers(false),
                    size => State::Chunk(size + 2),
                };
            }
            State::Chunk(left) => {
                let count = (*left).min(self.buffer.len());
                *left -= count;
                if *left == 0 {
                    self.state = State::ChunkSize;
                }
                out.extend(self.buffer.drain(..count));
            }
            State::Trailers(some) => {
                let some = *some;
                let Some(line) = self.line() else {
                    return false;
                };
                if line == b"\r\n" {
                    if some && self.id == "HTTP-050" {
                        out.extend(b"content-length: 9\r\n");
                    }
                    out.extend(line);
                    self.body_ends(out);
                } else {
                    out.extend(line);
                    self.state = State::Trailers(true);
                }
            }
            State::UntilEnd(true) => {
                let part = std::mem::take(&mut self.buffer);
                chunk(&part, out);
            }
            State::UntilEnd(false) | State::Rest => out.append(&mut self.buffer),
            State::Socket(frames) => {
                let whole = frames.feed(&self.buffer);
                self.buffer.clear();
                for frame in whole {
                    self.frame(frame, out);
                }
            }
        }
        true
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.windows(2).position(|two| two == b"\r\n")?;
        Some(self.buffer.drain(..end + 2).collect())
    }

    fn head(&mut self, head: &[u8], out: &mut Vec<u8>) {
        let request = self.requests.lock().unwrap().first();
        let head = String::from_utf8_lossy(head).into_owned();
        let status: u16 = head[9..12].parse().unwrap();
        let length = header(&head, "content-length").and_then(|length| length.parse().ok());
        let in_chunks = !request.is_own
            && request.method != "HEAD"
            && status == 200
            && length > Some(0)
            && match self.id {
                "HTTP-027" => true,
                "HTTP-086" => {
                    let number = self.process.requests.load(Ordering::SeqCst);
                    number.is_multiple_of(3)
                }
                _ => false,
            };
        self.has_answered |= status != 408;
        self.announces_close = header(&head, "connection") == Some("close");
        let is_interim = status < 200 && status != 101;
        if request.is_own {
            out.extend(head.bytes());
        } else if let Some(length) = length.filter(|_| in_chunks) {
            let line = format!("content-length: {length}\r\n");
            out.extend(
                head.replace(&line, "transfer-encoding: chunked\r\n")
                    .bytes(),
            );
        } else if let Some(changed) = change(self.id, head.clone(), status, &request) {
            out.extend(changed.bytes());
        }
        self.state = match (status, length) {
            (101, _) if FRAMES.contains(&self.id) => State::Socket(Frames::default()),
            (101, _) => State::Rest,
            _ if is_interim => State::Head,
            _ if request.method == "HEAD" || matches!(status, 204 | 304) => State::Body(0),
            _ if header(&head, "transfer-encoding").is_some() => State::ChunkSize,
            (_, Some(length)) if in_chunks => State::BodyInChunks(length),
            (_, Some(length)) => State::Body(length),
            _ => State::UntilEnd(self.id == "HTTP-033" && request.is_http_1_0 && !request.is_own),
        };
        if self.id == "WS-038" && status == 403 {
            self.closes = true;
        }
        if matches!(self.state, State::Body(0)) {
            self.body_ends(out);
        }
    }

    fn body_ends(&mut self, out: &mut Vec<u8>) {
        let mut requests = self.requests.lock().unwrap();
        let request = requests.first();
        requests.answered();
        self.state = State::Head;
        let adds = match self.id {
            "HTTP-026" => request.method == "HEAD",
            "HTTP-049" => true,
            _ => false,
        };
        if adds && !request.is_own {
            out.extend(b"evil");
        }
    }

    fn frame(&mut self, mut frame: Vec<u8>, out: &mut Vec<u8>) {
        if self.id == "WS-032" && frames::opcode(&frame) == frames::PING {
            return;
        }
        if frames::opcode(&frame) == frames::CLOSE {
            let answers = self.requests.lock().unwrap().has_closed_socket;
            let code = frame.get(2..4).map(|code| [code[0], code[1]]);
            let code = code.map(u16::from_be_bytes);
            let other: Option<u16> = match (self.id, code) {
                ("WS-028", Some(_)) if answers => Some(1001),
                ("WS-029", Some(1002 | 1007)) | ("WS-017", Some(1009)) => Some(1011),
                _ => None,
            };
            if let Some(other) = other {
                frame[2..4].copy_from_slice(&other.to_be_bytes());
            }
            self.closes |= self.id == "WS-026";
        }
        out.extend(frame);
    }
}

fn chunk(part: &[u8], out: &mut Vec<u8>) {
    out.extend(format!("{:x}\r\n", part.len()).bytes());
    out.extend(part);
    out.extend(b"\r\n");
}

/// Changes the head of a response. `None` if it is lost.
fn change(id: &str, head: String, status: u16, request: &Request) -> Option<String> {
    let with = |header: &str| head.replacen("\r\n", &format!("\r\n{header}\r\n"), 1);
    let as_status = |other: &str| head.replacen(&format!(" {status} "), &format!(" {other} "), 1);
    let is_chunked = header(&head, "transfer-encoding").is_some();
    Some(match (id, status) {
        ("HTTP-018", 100) | ("HTTP-074", 408) => return None,
        ("HTTP-028", 200) => with("keep-alive: timeout=9"),
        ("HTTP-033", _) if request.is_http_1_0 && header(&head, "content-length").is_none() => {
            with("transfer-encoding: chunked")
        }
        ("HTTP-034", 204) | ("WS-044", 101) => with("content-length: 5"),
        ("HTTP-052", 200) if is_chunked && header(&head, "trailer").is_some() => {
            with("content-length: 2")
        }
        ("HTTP-063", 400) => as_status("404"),
        ("HTTP-064", 431 | 414) | ("HTTP-065", 417) | ("HTTP-066", 501) | ("WS-036", 426) => {
            as_status("400")
        }
        ("HTTP-069", 400) if request.is_chunked => as_status("500"),
        ("HTTP-070", _) => head.replacen("\r\ndate: ", "\r\nx-date: ", 1),
        _ => head,
    })
}
