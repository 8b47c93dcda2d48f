//! Watches the bytes of an HTTP/1 connection on their way to hyper.
//!
//! hyper answers some requests that RFC 9112 wants refused, and by the time it hands one over the
//! evidence is gone: bare line feeds, a second `content-length`, a `content-length` beside a
//! `transfer-encoding`. Each of them lets two parsers in a chain see different requests (request
//! smuggling). The guard follows the framing of the raw bytes and says which head is to be refused.
//!
//! It only refuses. It changes no byte and hyper alone decides what a request means; where the two
//! could disagree on where the next head begins, the guard has refused before. On its way it notes
//! which of the rarer fields came ([`Seen`]), so that nobody looks for the others.
//!
//! Called by [`Transport`](super::transport::Transport) with everything that is read.

use memchr::{memchr, memchr2};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A line that ends with a line feed alone.
    BareLineFeed,
    /// A line that goes on the one before (obsolete folding).
    FoldedLine,
    /// More than one `content-length`.
    RepeatedContentLength,
    /// A `content-length` that is no number.
    MalformedContentLength,
    /// More than one `host`.
    RepeatedHost,
    /// Both a `content-length` and a `transfer-encoding`.
    ContentLengthAndTransferEncoding,
    /// A `transfer-encoding` in HTTP/1.0.
    TransferEncodingInHttp10,
    /// A request line without the three parts, or with a fragment.
    MalformedRequestLine,
    /// A chunk whose size is no hexadecimal number, or that does not end where it should.
    MalformedChunk,
    /// A line that is longer than a whole head may be.
    TooLong,
    /// hyper saw a request that the guard did not: they disagree, so nothing can be trusted.
    OutOfStep,
}

impl Refusal {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BareLineFeed => "a line ends with a bare line feed",
            Self::FoldedLine => "a field is folded over two lines",
            Self::RepeatedContentLength => "content-length is repeated",
            Self::MalformedContentLength => "content-length is no number",
            Self::RepeatedHost => "more than one host",
            Self::ContentLengthAndTransferEncoding => {
                "content-length and transfer-encoding come together"
            }
            Self::TransferEncodingInHttp10 => "transfer-encoding in HTTP/1.0",
            Self::MalformedRequestLine => "the request line is malformed",
            Self::MalformedChunk => "a chunk is malformed",
            Self::TooLong => "a line is too long",
            Self::OutOfStep => "the end of the request before is in doubt",
        }
    }
}

/// Where in the stream of requests the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// Between two requests: nothing of the next one has come.
    Between,
    /// In the head of a request.
    Head,
    /// In the body of a request, trailers included.
    Body,
}

/// Which fields a connection's requests have had so far, of those that few have.
///
/// Looking for one by its name costs more than all else that is done with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) expect: bool,
    pub(crate) te: bool,
    pub(crate) transfer_encoding: bool,
    pub(crate) upgrade: bool,
}

/// Follows the framing of a connection's requests.
///
/// ```text
///             ┌──────────── no body ────────────┐
///             ▼                                 │
///   ──▶ RequestLine ──▶ Fields ──▶ (end of head)┼──▶ Length(n) ─────────────────▶ RequestLine
///                                               └──▶ ChunkSize ⇄ ChunkData ──▶ Trailers ──▶ …
/// ```
///
/// From every state a violation leads to `Refused`, where nothing is read any more.
#[derive(Debug)]
pub(crate) struct RequestFraming {
    state: State,
    /// What is known of the head that is being read.
    head: Head,
    seen: Seen,
    /// The beginning of a line whose end has not been read yet.
    line: Vec<u8>,
    max_line: usize,
    heads: u64,
    refused: Option<(u64, Refusal)>,
    /// What is wrong with a body: its request was let through.
    body_fault: Option<Refusal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    RequestLine,
    Fields,
    Length(u64),
    ChunkSize,
    /// The data of a chunk, without the line end behind it.
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Refused,
}

#[derive(Debug, Default)]
struct Head {
    http_10: bool,
    host: bool,
    content_length: Option<u64>,
    transfer_encoding: bool,
}

impl RequestFraming {
    /// `max_line` is the size of the largest head in bytes.
    pub(crate) fn new(max_line: usize) -> Self {
        Self {
            state: State::RequestLine,
            head: Head::default(),
            seen: Seen::default(),
            line: Vec::new(),
            max_line,
            heads: 0,
            refused: None,
            body_fault: None,
        }
    }

    /// Where the next byte belongs.
    pub(crate) fn position(&self) -> Position {
        match self.state {
            State::RequestLine if self.line.is_empty() => Position::Between,
            State::RequestLine | State::Fields | State::Refused => Position::Head,
            _ => Position::Body,
        }
    }

    /// What is known of the request of this number, counted from 0, and of those before it.
    ///
    /// # Errors
    ///
    /// It is to be refused.
    pub(crate) fn check(&self, request: u64) -> Result<Seen, Refusal> {
        match self.refused {
            Some((number, refusal)) if number <= request => Err(refusal),
            _ if request >= self.heads => Err(Refusal::OutOfStep),
            _ => Ok(self.seen),
        }
    }

    /// What is wrong with a body, if something is.
    pub(crate) fn body_fault(&self) -> Option<Refusal> {
        self.body_fault
    }

    /// Reads on.
    ///
    /// # Errors
    ///
    /// A body is malformed, see [`body_fault`](Self::body_fault): its request may be running
    /// already. The error is how many of the bytes stand before the fault; the rest, and all that
    /// follows, must not be trusted. A malformed head is told by [`check`](Self::check).
    pub(crate) fn read(&mut self, all: &[u8]) -> Result<(), usize> {
        let mut bytes = all;
        while !bytes.is_empty() {
            let before = all.len() - bytes.len();
            match &mut self.state {
                State::Refused if self.body_fault.is_some() => return Err(before),
                State::Refused => return Ok(()),
                State::Length(left) | State::ChunkData(left) => {
                    let skipped =
                        usize::try_from(*left).map_or(bytes.len(), |n| n.min(bytes.len()));
                    *left -= skipped as u64;
                    bytes = &bytes[skipped..];
                    self.leave_if_empty();
                }
                state => {
                    let in_fields = *state == State::Fields && self.line.is_empty();
                    let in_head = self.position() != Position::Body;
                    let read = if in_fields {
                        self.read_fields(&mut bytes)
                    } else {
                        self.read_line(&mut bytes)
                    };
                    if let Err(refusal) = read {
                        self.state = State::Refused;
                        self.line = Vec::new();
                        self.refused = Some((self.heads, refusal));
                        if in_head {
                            return Ok(());
                        }
                        self.body_fault = Some(refusal);
                        return Err(before);
                    }
                }
            }
        }
        Ok(())
    }

    fn leave_if_empty(&mut self) {
        match self.state {
            State::Length(0) => self.state = State::RequestLine,
            State::ChunkData(0) => self.state = State::ChunkEnd,
            _ => {}
        }
    }

    /// Takes the fields of a head off `bytes` in one go, up to its end or a line that is not whole.
    fn read_fields(&mut self, bytes: &mut &[u8]) -> Result<(), Refusal> {
        while let Some(end) = memchr(b'\n', bytes) {
            let line = &bytes[..end];
            *bytes = &bytes[end + 1..];
            if line.len() > self.max_line {
                return Err(Refusal::TooLong);
            }
            let [line @ .., b'\r'] = line else {
                return Err(Refusal::BareLineFeed);
            };
            match line.first() {
                None => return self.end_head(),
                Some(first) if NOTED[usize::from(*first)] => {
                    self.head.field(line, &mut self.seen)?
                }
                Some(_) => {}
            }
        }
        self.keep(bytes)
    }

    /// Takes one line off `bytes`, or keeps what there is of it.
    fn read_line(&mut self, bytes: &mut &[u8]) -> Result<(), Refusal> {
        let Some(end) = memchr(b'\n', bytes) else {
            return self.keep(bytes);
        };
        let line = &bytes[..end];
        *bytes = &bytes[end + 1..];
        if self.line.len() + line.len() > self.max_line {
            return Err(Refusal::TooLong);
        }
        if self.line.is_empty() {
            return self.take_line(line);
        }
        let mut whole = std::mem::take(&mut self.line);
        whole.extend_from_slice(line);
        self.take_line(&whole)
    }

    /// Keeps the beginning of a line.
    fn keep(&mut self, bytes: &mut &[u8]) -> Result<(), Refusal> {
        self.line.extend_from_slice(bytes);
        *bytes = &[];
        if self.line.len() > self.max_line {
            return Err(Refusal::TooLong);
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        // RFC 9112 §2.2 lets a recipient take a single LF as the end of a line; where others do
        // not, the two see different requests.
        let Some(line) = line.strip_suffix(b"\r") else {
            return Err(Refusal::BareLineFeed);
        };
        match self.state {
            // RFC 9112 §2.2: "a server that is expecting to receive and parse a request-line
            // SHOULD ignore at least one empty line (CRLF) received prior to the request-line."
            State::RequestLine if line.is_empty() => Ok(()),
            State::RequestLine => {
                self.head = Head {
                    http_10: request_line_is_http_10(line)?,
                    ..Head::default()
                };
                self.state = State::Fields;
                Ok(())
            }
            State::Fields if line.is_empty() => self.end_head(),
            State::Fields => self.head.field(line, &mut self.seen),
            State::ChunkSize => {
                self.state = match chunk_size(line).ok_or(Refusal::MalformedChunk)? {
                    0 => State::Trailers,
                    size => State::ChunkData(size),
                };
                Ok(())
            }
            State::ChunkEnd if line.is_empty() => {
                self.state = State::ChunkSize;
                Ok(())
            }
            State::ChunkEnd => Err(Refusal::MalformedChunk),
            State::Trailers if line.is_empty() => {
                self.state = State::RequestLine;
                Ok(())
            }
            State::Trailers | State::Length(_) | State::ChunkData(_) | State::Refused => Ok(()),
        }
    }

    fn end_head(&mut self) -> Result<(), Refusal> {
        self.state = self.head.body()?;
        self.heads += 1;
        Ok(())
    }
}

/// The first bytes of lines that [`Head::field`] looks at.
const NOTED: [bool; 256] = {
    let mut noted = [false; 256];
    let bytes = b" \tcCeEhHtTuU";
    let mut index = 0;
    while index < bytes.len() {
        noted[bytes[index] as usize] = true;
        index += 1;
    }
    noted
};

impl Head {
    /// What follows the head.
    fn body(&self) -> Result<State, Refusal> {
        match (self.transfer_encoding, self.content_length) {
            // RFC 9112 §6.1: "A server or client that receives an HTTP/1.0 message containing a
            // Transfer-Encoding header field MUST treat the message as if the framing is faulty".
            (true, _) if self.http_10 => Err(Refusal::TransferEncodingInHttp10),
            // RFC 9112 §6.3: "Such a message might indicate an attempt to perform request
            // smuggling […] and ought to be handled as an error."
            (true, Some(_)) => Err(Refusal::ContentLengthAndTransferEncoding),
            (true, None) => Ok(State::ChunkSize),
            (false, None | Some(0)) => Ok(State::RequestLine),
            (false, Some(length)) => Ok(State::Length(length)),
        }
    }

    fn field(&mut self, line: &[u8], seen: &mut Seen) -> Result<(), Refusal> {
        match line[0] {
            // RFC 9112 §5.2: "A server that receives an obs-fold in a request message that is not
            // within a "message/http" container MUST either reject the message […] or replace".
            b' ' | b'\t' => return Err(Refusal::FoldedLine),
            b'c' | b'C' => {
                if let Some(value) = value_of(line, b"content-length") {
                    if self.content_length.is_some() {
                        return Err(Refusal::RepeatedContentLength);
                    }
                    let length = decimal(value).ok_or(Refusal::MalformedContentLength)?;
                    self.content_length = Some(length);
                }
            }
            b'e' | b'E' => seen.expect |= is_named(line, b"expect"),
            // RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any
            // HTTP/1.1 request message […] that contains more than one Host header field line".
            b'h' | b'H' => {
                let is_host = is_named(line, b"host");
                if is_host && self.host {
                    return Err(Refusal::RepeatedHost);
                }
                self.host |= is_host;
            }
            b't' | b'T' => {
                seen.te |= is_named(line, b"te");
                self.transfer_encoding |= is_named(line, b"transfer-encoding");
                seen.transfer_encoding |= self.transfer_encoding;
            }
            b'u' | b'U' => seen.upgrade |= is_named(line, b"upgrade"),
            _ => {}
        }
        Ok(())
    }
}

/// Whether a field line is of the field of this lower-case name.
///
/// hyper refuses white space around a name, so none is looked for.
fn is_named(line: &[u8], name: &[u8]) -> bool {
    line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name)
}

/// The value of a field line, if it is the field of this lower-case name.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    is_named(line, name).then(|| line[name.len() + 1..].trim_ascii())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// The size in a chunk's first line. (RFC 9112 §7.1)
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line
        .iter()
        .position(|byte| !byte.is_ascii_hexdigit())
        .unwrap_or(line.len());
    let (digits, extension) = line.split_at(end);
    if digits.is_empty() || !matches!(extension.trim_ascii_start().first(), None | Some(b';')) {
        return None;
    }
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// RFC 9112 §3: `method SP request-target SP HTTP-version`, each of them once.
fn request_line_is_http_10(line: &[u8]) -> Result<bool, Refusal> {
    const VERSION: usize = "HTTP/1.1".len();
    let parts = || {
        let method = line.iter().position(|byte| *byte == b' ')?;
        let rest = &line[method + 1..];
        let (target, version) = rest.split_at_checked(rest.len().checked_sub(VERSION + 1)?)?;
        Some((target, version.strip_prefix(b" ")?))
    };
    let (target, version) = parts().ok_or(Refusal::MalformedRequestLine)?;
    // A fragment is no part of any form of a target; hyper's URI type drops it in silence.
    if target.is_empty() || memchr2(b' ', b'#', target).is_some() || version.contains(&b' ') {
        return Err(Refusal::MalformedRequestLine);
    }
    Ok(version == b"HTTP/1.0")
}

#[cfg(test)]
mod tests;
