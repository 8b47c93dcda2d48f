//! From the client to the server.

use std::sync::{Arc, Mutex};

use super::frames::{self, Frames};
use super::request::{Requests, end_of_head, header};

/// The switches that need a whole head before they pass it on.
const CHANGES_HEADS: &[&str] = &["HTTP-012", "HTTP-013", "HTTP-088", "WS-012", "WS-039"];

pub(super) struct Up {
    id: &'static str,
    requests: Arc<Mutex<Requests>>,
    state: State,
    head: Vec<u8>,
}

enum State {
    Head,
    /// This many bytes of a body are missing.
    Body(u64),
    Socket(Frames),
    /// Nothing is known about the rest.
    Rest,
}

impl Up {
    pub(super) fn new(id: &'static str, requests: Arc<Mutex<Requests>>) -> Self {
        Self {
            id,
            requests,
            state: State::Head,
            head: Vec::new(),
        }
    }

    /// Whether this wire takes more than the server does.
    pub(super) fn has_no_bound(&self) -> bool {
        matches!(self.id, "HTTP-019" | "WS-034")
    }

    /// Takes bytes of the client, and returns those for the server.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let begins = matches!(self.state, State::Head) && self.head.is_empty();
        if begins && is_no_http_1(bytes) {
            self.state = State::Rest;
            self.requests.lock().unwrap().are_no_http_1 = true;
        }
        let passes_at_once = !CHANGES_HEADS.contains(&self.id);
        let mut out = Vec::new();
        while !bytes.is_empty() {
            match &mut self.state {
                State::Rest => {
                    out.extend(bytes);
                    break;
                }
                State::Body(left) => {
                    let count = usize::try_from(*left).map_or(bytes.len(), |n| n.min(bytes.len()));
                    out.extend(&bytes[..count]);
                    bytes = &bytes[count..];
                    *left -= count as u64;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                }
                State::Socket(frames) => {
                    for mut frame in frames.feed(bytes) {
                        self.requests.lock().unwrap().has_closed_socket |=
                            frames::opcode(&frame) == frames::CLOSE;
                        if self.id == "WS-016" && frames::opcode(&frame) == frames::PING {
                            frame[0] = frames::FIN | frames::BINARY;
                        }
                        out.extend(frame);
                    }
                    break;
                }
                State::Head => {
                    let before = self.head.len();
                    self.head.extend(bytes);
                    // Not the bytes that were searched before: a head can be very long.
                    let searched = before.saturating_sub(3);
                    let Some(end) = end_of_head(&self.head[searched..]) else {
                        if passes_at_once {
                            out.extend(bytes);
                        }
                        break;
                    };
                    let end = searched + end;
                    bytes = &bytes[end - before..];
                    self.head.truncate(end);
                    let head = std::mem::take(&mut self.head);
                    if self.id == "HTTP-088" && end_of_head(bytes) == Some(bytes.len()) {
                        // Two requests that came together change places.
                        self.requests.lock().unwrap().add(bytes);
                        out.extend(bytes);
                        bytes = &[];
                    }
                    self.requests.lock().unwrap().add(&head);
                    self.state = self.after(&head);
                    if passes_at_once {
                        out.extend(&head[before..]);
                    } else {
                        out.extend(self.change(&head));
                    }
                }
            }
        }
        out
    }

    /// What follows a head.
    fn after(&self, head: &[u8]) -> State {
        let head = String::from_utf8_lossy(head);
        let needs_frames = matches!(self.id, "WS-016" | "WS-028");
        let upgrades = header(&head, "upgrade").is_some();
        if upgrades && needs_frames {
            return State::Socket(Frames::default());
        }
        let waits_for_heads = upgrades && CHANGES_HEADS.contains(&self.id);
        if waits_for_heads || header(&head, "transfer-encoding").is_some() {
            return State::Rest;
        }
        let length = header(&head, "content-length").and_then(|length| length.parse().ok());
        match length {
            None | Some(0) => State::Head,
            Some(length) => State::Body(length),
        }
    }

    /// Changes a head.
    fn change(&self, head: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(head);
        let changed = match self.id {
            "HTTP-012" => text.replace("CONNECT example.com:443", "GET /"),
            "HTTP-013" => repaired(&text),
            "WS-012" => text.replace("sec-websocket-version: 12", "sec-websocket-version: 13"),
            "WS-039" if text.contains("upgrade:") => text.replace("HTTP/1.0", "HTTP/1.1"),
            _ => return head.to_vec(),
        };
        changed.into_bytes()
    }
}

/// Whether a connection is one of TLS or of HTTP/2. The wire passes these as they are.
fn is_no_http_1(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x16) || bytes.starts_with(b"PRI * HTTP/2.0")
}

/// A head without what is malformed in it.
fn repaired(head: &str) -> String {
    let malformed = [
        "content-length: 6\r\n",
        "content-length: +5\r\n",
        "content-length: 5x\r\n",
        "x y: 1\r\n",
        "x-a : 1\r\n",
        "no colon\r\n",
        "x-a: nul\0\r\n",
    ];
    let mut head = head.to_owned();
    for line in malformed {
        head = head.replace(line, "");
    }
    head
}
