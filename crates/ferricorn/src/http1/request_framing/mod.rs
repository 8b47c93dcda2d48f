//! Follows the framing of the requests on an HTTP/1 connection.
//!
//! hyper accepts some requests that RFC 9112 wants refused, and its `Request` no longer shows why:
//! bare line feeds, a second `content-length`, a `content-length` with a `transfer-encoding`. Two
//! parsers in a chain can read different requests from such bytes (request smuggling).
//! [`RequestFraming`] follows the raw bytes on their way to hyper and says which head the server
//! must refuse.
//!
//! It does not parse requests and it changes no byte: hyper alone decides what a request means. If
//! the two could disagree on where the next head begins, `RequestFraming` has refused already. It
//! also notes which rare headers came ([`SeenHeaders`]), so that the server does not look for the
//! others.
//!
//! [`Transport`](super::transport::Transport) calls it with all bytes that it reads. Pure: no I/O,
//! no clock.

mod head;

use memchr::memchr;

use self::head::HeadFraming;

/// Why the server refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FramingError {
    /// A line ends with a line feed alone.
    BareLineFeed,
    /// A line continues the line before (obsolete folding).
    FoldedLine,
    /// More than one `content-length`.
    RepeatedContentLength,
    /// A `content-length` that is not a number.
    MalformedContentLength,
    /// More than one `host`.
    RepeatedHost,
    /// Both a `content-length` and a `transfer-encoding`.
    ContentLengthAndTransferEncoding,
    /// A `transfer-encoding` in HTTP/1.0.
    TransferEncodingInHttp10,
    /// A request line without the three parts, or with a fragment.
    MalformedRequestLine,
    /// The size of a chunk is not a hexadecimal number, or its data does not end after that size.
    MalformedChunk,
    /// A line is longer than a whole head may be.
    TooLong,
    /// hyper gave the server a request that [`RequestFraming`] did not see. They disagree, so the
    /// server can trust neither.
    OutOfStep,
}

impl FramingError {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BareLineFeed => "a line ends with a bare line feed",
            Self::FoldedLine => "a header is folded over two lines",
            Self::RepeatedContentLength => "content-length is repeated",
            Self::MalformedContentLength => "content-length is not a number",
            Self::RepeatedHost => "more than one host",
            Self::ContentLengthAndTransferEncoding => "both content-length and transfer-encoding",
            Self::TransferEncodingInHttp10 => "transfer-encoding in HTTP/1.0",
            Self::MalformedRequestLine => "the request line is malformed",
            Self::MalformedChunk => "a chunk is malformed",
            Self::TooLong => "a line is too long",
            Self::OutOfStep => "the end of the previous request is unclear",
        }
    }
}

/// Where in the stream of requests the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// Between two requests: no byte of the next one has come.
    Between,
    /// In the head of a request.
    Head,
    /// In the body of a request, trailers included.
    Body,
}

/// Which rare headers the requests of a connection have had so far.
///
/// To look for a header by its name costs more than everything else that the server does with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SeenHeaders {
    pub(crate) expect: bool,
    pub(crate) te: bool,
    pub(crate) transfer_encoding: bool,
    pub(crate) upgrade: bool,
}

/// Follows the framing of the requests on one connection.
///
/// ```text
///             ┌──────────── no body ─────────────┐
///             ▼                                  │
///   ──▶ RequestLine ──▶ Headers ──▶ (end of head)┼──▶ Length(n) ─────────────────▶ RequestLine
///                                                └──▶ ChunkSize ⇄ ChunkData ──▶ Trailers ──▶ …
/// ```
///
/// From every state a violation leads to `Refused`, which ignores all further bytes.
#[derive(Debug)]
pub(crate) struct RequestFraming {
    state: FramingState,
    /// The head that is being read.
    head: HeadFraming,
    seen: SeenHeaders,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    max_line: usize,
    /// How many heads have come whole.
    heads: u64,
    /// The number of the first refused request, and why.
    refused: Option<(u64, FramingError)>,
    /// What is wrong with a body. Its request has passed [`check_request`](Self::check_request).
    body_fault: Option<FramingError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FramingState {
    RequestLine,
    Headers,
    /// So many bytes of a body with `content-length` are missing.
    Length(u64),
    ChunkSize,
    /// So many bytes of a chunk are missing, without the line end after them.
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Refused,
}

impl RequestFraming {
    /// `max_line` is the size of the largest head in bytes.
    pub(crate) fn new(max_line: usize) -> Self {
        Self {
            state: FramingState::RequestLine,
            head: HeadFraming::default(),
            seen: SeenHeaders::default(),
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
            FramingState::RequestLine if self.line.is_empty() => Position::Between,
            FramingState::RequestLine | FramingState::Headers | FramingState::Refused => {
                Position::Head
            }
            _ => Position::Body,
        }
    }

    /// Says whether the server may serve a request, and which rare headers have come so far.
    ///
    /// `number` counts the requests of the connection from 0.
    ///
    /// # Errors
    ///
    /// The server must refuse this request.
    pub(crate) fn check_request(&self, number: u64) -> Result<SeenHeaders, FramingError> {
        match self.refused {
            Some((refused, error)) if refused <= number => Err(error),
            _ if number >= self.heads => Err(FramingError::OutOfStep),
            _ => Ok(self.seen),
        }
    }

    /// What is wrong with a body, if anything is.
    pub(crate) fn body_fault(&self) -> Option<FramingError> {
        self.body_fault
    }

    /// How many bytes of an incomplete line it holds.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self) -> usize {
        self.line.len()
    }

    /// Follows the next bytes of the connection.
    ///
    /// # Errors
    ///
    /// A body is malformed, see [`body_fault`](Self::body_fault). Its request may already run. The
    /// error is the number of bytes before the fault; the server must not trust the bytes after
    /// that. A malformed head is not an error here:
    /// [`check_request`](Self::check_request) reports it.
    pub(crate) fn read(&mut self, all: &[u8]) -> Result<(), usize> {
        let mut bytes = all;
        while !bytes.is_empty() {
            let before = all.len() - bytes.len();
            match &mut self.state {
                FramingState::Refused if self.body_fault.is_some() => return Err(before),
                FramingState::Refused => return Ok(()),
                FramingState::Length(left) | FramingState::ChunkData(left) => {
                    let skipped =
                        usize::try_from(*left).map_or(bytes.len(), |n| n.min(bytes.len()));
                    *left -= skipped as u64;
                    bytes = &bytes[skipped..];
                    self.end_data_if_complete();
                }
                state => {
                    let in_headers = *state == FramingState::Headers && self.line.is_empty();
                    let in_head = self.position() != Position::Body;
                    let read = if in_headers {
                        self.read_headers(&mut bytes)
                    } else {
                        self.read_line(&mut bytes)
                    };
                    if let Err(error) = read {
                        self.state = FramingState::Refused;
                        self.line = Vec::new();
                        self.refused = Some((self.heads, error));
                        if in_head {
                            return Ok(());
                        }
                        self.body_fault = Some(error);
                        return Err(before);
                    }
                }
            }
        }
        Ok(())
    }

    fn end_data_if_complete(&mut self) {
        match self.state {
            FramingState::Length(0) => self.state = FramingState::RequestLine,
            FramingState::ChunkData(0) => self.state = FramingState::ChunkEnd,
            _ => {}
        }
    }

    /// Reads header lines from `bytes` in one loop, up to the end of the head or of `bytes`.
    fn read_headers(&mut self, bytes: &mut &[u8]) -> Result<(), FramingError> {
        while let Some(end) = memchr(b'\n', bytes) {
            let line = &bytes[..end];
            *bytes = &bytes[end + 1..];
            if line.len() > self.max_line {
                return Err(FramingError::TooLong);
            }
            let [line @ .., b'\r'] = line else {
                return Err(FramingError::BareLineFeed);
            };
            match line.first() {
                None => return self.end_head(),
                Some(first) if HeadFraming::looks_at(*first) => {
                    self.head.add_line(line, &mut self.seen)?
                }
                Some(_) => {}
            }
        }
        self.keep_partial_line(bytes)
    }

    /// Reads one line from `bytes`, or keeps its beginning.
    fn read_line(&mut self, bytes: &mut &[u8]) -> Result<(), FramingError> {
        let Some(end) = memchr(b'\n', bytes) else {
            return self.keep_partial_line(bytes);
        };
        let line = &bytes[..end];
        *bytes = &bytes[end + 1..];
        if self.line.len() + line.len() > self.max_line {
            return Err(FramingError::TooLong);
        }
        if self.line.is_empty() {
            return self.end_line(line);
        }
        let mut complete = std::mem::take(&mut self.line);
        complete.extend_from_slice(line);
        self.end_line(&complete)
    }

    fn keep_partial_line(&mut self, bytes: &mut &[u8]) -> Result<(), FramingError> {
        self.line.extend_from_slice(bytes);
        *bytes = &[];
        if self.line.len() > self.max_line {
            return Err(FramingError::TooLong);
        }
        Ok(())
    }

    /// Moves on with a complete line, without its line feed.
    fn end_line(&mut self, line: &[u8]) -> Result<(), FramingError> {
        // RFC 9112 §2.2 lets a recipient accept a single LF as the end of a line. Other parsers
        // don't, and then the two see different requests.
        let Some(line) = line.strip_suffix(b"\r") else {
            return Err(FramingError::BareLineFeed);
        };
        match self.state {
            // RFC 9112 §2.2: "a server that is expecting to receive and parse a request-line
            // SHOULD ignore at least one empty line (CRLF) received prior to the request-line."
            FramingState::RequestLine if line.is_empty() => Ok(()),
            FramingState::RequestLine => {
                self.head = HeadFraming::new(line)?;
                self.state = FramingState::Headers;
                Ok(())
            }
            FramingState::Headers if line.is_empty() => self.end_head(),
            FramingState::Headers => self.head.add_line(line, &mut self.seen),
            FramingState::ChunkSize => {
                self.state = match chunk_size(line).ok_or(FramingError::MalformedChunk)? {
                    0 => FramingState::Trailers,
                    size => FramingState::ChunkData(size),
                };
                Ok(())
            }
            FramingState::ChunkEnd if line.is_empty() => {
                self.state = FramingState::ChunkSize;
                Ok(())
            }
            FramingState::ChunkEnd => Err(FramingError::MalformedChunk),
            FramingState::Trailers if line.is_empty() => {
                self.state = FramingState::RequestLine;
                Ok(())
            }
            FramingState::Trailers
            | FramingState::Length(_)
            | FramingState::ChunkData(_)
            | FramingState::Refused => Ok(()),
        }
    }

    fn end_head(&mut self) -> Result<(), FramingError> {
        self.state = self.head.next_state()?;
        self.heads += 1;
        Ok(())
    }
}

/// The size in the first line of a chunk. (RFC 9112 §7.1)
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

#[cfg(test)]
mod tests;
