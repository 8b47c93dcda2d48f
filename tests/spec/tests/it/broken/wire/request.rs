//! The requests of one connection, as both directions of the wire know them.

use std::collections::VecDeque;

/// What the client has sent so far.
#[derive(Default)]
pub(super) struct Requests {
    /// Those without a final response.
    waiting: VecDeque<Request>,
    /// Whether the client has sent a close frame.
    pub(super) has_closed_socket: bool,
    pub(super) are_no_http_1: bool,
}

/// One request.
#[derive(Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) is_http_1_0: bool,
    pub(super) is_chunked: bool,
    /// Whether the suite asks for itself, such as for a report. These must work.
    pub(super) is_own: bool,
}

impl Requests {
    pub(super) fn add(&mut self, head: &[u8]) {
        let head = String::from_utf8_lossy(head);
        let line = head.lines().next().unwrap_or_default();
        let target = line.split(' ').nth(1).unwrap_or_default();
        let own = ["/report", "/use", "/signal", "/release"];
        self.waiting.push_back(Request {
            method: line.split(' ').next().unwrap_or_default().into(),
            is_http_1_0: line.ends_with("HTTP/1.0"),
            is_chunked: head.contains("transfer-encoding: chunked"),
            is_own: own.iter().any(|own| target.starts_with(own)),
        });
    }

    /// Whether each request has its final response.
    pub(super) fn are_answered(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The request that the next response is for.
    pub(super) fn first(&self) -> Request {
        self.waiting.front().cloned().unwrap_or_default()
    }

    /// Its final response has come.
    pub(super) fn answered(&mut self) {
        self.waiting.pop_front();
    }
}

/// The end of a head, if the bytes contain it.
pub(super) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let end = b"\r\n\r\n";
    let at = bytes.windows(end.len()).position(|four| four == end);
    at.map(|at| at + end.len())
}

/// The value of a header in a head.
pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (one, value) = line.split_once(':')?;
        one.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
