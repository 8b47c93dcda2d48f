//! Follows the framing of the requests on an HTTP/1 connection.
//!
//! hyper accepts some requests that RFC 9112 wants refused, and its `Request` no longer shows why:
//! bare line feeds, a second `content-length`, a `content-length` with a `transfer-encoding`. Two
//! parsers in a chain can read different requests from such bytes (request smuggling).
//! [`RequestFraming`] follows the raw bytes on their way to hyper and says which head the server
//! must refuse. hyper does not see the refused head: the driver answers it.
//!
//! It does not parse requests: hyper alone decides what a request means. If the two could disagree
//! on where the next head begins, `RequestFraming` has refused already. It changes no byte, with one
//! exception: hyper knows no minor version above 1, so such a digit becomes a 1
//! ([`RequestFraming::take_newer_minors`]). It also notes which rare headers came
//! ([`SeenHeaders`]), so that the server does not look for the others.
//!
//! [`Transport`](super::transport::Transport) calls it with all bytes that it reads. Pure: no I/O,
//! no clock.

mod chunk;
mod head;

use memchr::{memchr, memchr2};

use self::chunk::chunk_size;
use self::head::{HeadFraming, check_beginning, ends_with_newer_minor, is_field_line};

/// Why the server refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FramingError {
    /// A line ends with a line feed alone.
    BareLineFeed,
    /// A line continues the line before (obsolete folding).
    FoldedLine,
    /// More than one `content-length`.
    RepeatedContentLength,
    /// A `content-length` that is not a number, or does not fit into 63 bits.
    MalformedContentLength,
    /// More than one `host`.
    RepeatedHost,
    /// Both a `content-length` and a `transfer-encoding`.
    ContentLengthAndTransferEncoding,
    /// A `transfer-encoding` in HTTP/1.0.
    TransferEncodingInHttp10,
    /// A request line without its three parts, or with a byte that they must not have.
    MalformedRequestLine,
    /// A version of HTTP other than 1.
    UnsupportedVersion,
    /// A method without an end.
    MethodTooLong,
    /// A target that makes the request line too long.
    TargetTooLong,
    /// A header without a colon, or with a byte that it must not have.
    MalformedHeader,
    /// The size of a chunk is not a hexadecimal number, its extensions are malformed, or its data
    /// does not end after that size.
    MalformedChunk,
    /// A line of the headers or of a chunk is longer than a whole head may be.
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
            Self::MalformedContentLength => "content-length is not a number, or too large",
            Self::RepeatedHost => "more than one host",
            Self::ContentLengthAndTransferEncoding => "both content-length and transfer-encoding",
            Self::TransferEncodingInHttp10 => "transfer-encoding in HTTP/1.0",
            Self::MalformedRequestLine => "the request line is malformed",
            Self::UnsupportedVersion => "a version of HTTP other than 1",
            Self::MethodTooLong => "the method is too long",
            Self::TargetTooLong => "the request line is too long",
            Self::MalformedHeader => "a header is malformed",
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
/// From every state a violation leads to `Refused`, which accepts no further bytes.
#[derive(Debug)]
pub(crate) struct RequestFraming {
    state: FramingState,
    /// The head that is being read.
    head: HeadFraming,
    seen: SeenHeaders,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    limits: LineLimits,
    /// The head began in an earlier read. hyper looks at it again only when it is complete.
    split: bool,
    /// The places of the newer minor versions in the last read.
    newer_minors: Vec<usize>,
    /// How many heads have come whole.
    heads: u64,
    /// The number of the first refused request, and why.
    refused: Option<(u64, FramingError)>,
    /// The beginning of the request line of a head that is split or refused.
    request_line: Vec<u8>,
    /// What is wrong with a body. Its request has passed [`check_request`](Self::check_request).
    body_fault: Option<FramingError>,
}

/// The longest lines, in bytes with their CR and without their LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineLimits {
    /// The longest request line.
    pub(crate) request_line: usize,
    /// The longest line of headers and chunks: the size of the largest head.
    pub(crate) line: usize,
}

impl LineLimits {
    /// `max_request_line` is without the end of the line.
    pub(crate) fn new(max_request_line: usize, max_head_size: usize) -> Self {
        Self {
            // hyper answers with 431 as soon as it has as many bytes as a head may have.
            request_line: max_request_line
                .saturating_add(1)
                .min(max_head_size.saturating_sub(1)),
            line: max_head_size,
        }
    }
}

/// How much of a refused request's line [`RequestFraming::request_line`] keeps, in bytes.
const KEPT_REQUEST_LINE: usize = 512;

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
    pub(crate) fn new(limits: LineLimits) -> Self {
        Self {
            state: FramingState::RequestLine,
            head: HeadFraming::default(),
            seen: SeenHeaders::default(),
            line: Vec::new(),
            limits,
            split: false,
            newer_minors: Vec::new(),
            heads: 0,
            refused: None,
            request_line: Vec::new(),
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

    /// The number of the first request whose head is refused, and why.
    #[inline]
    pub(crate) fn refused_head(&self) -> Option<(u64, FramingError)> {
        match self.body_fault {
            None => self.refused,
            Some(_) => None,
        }
    }

    /// The request line of the refused head as far as it is known, or its beginning.
    pub(crate) fn request_line(&self) -> &[u8] {
        &self.request_line
    }

    /// Takes the places in the last read that have the minor version of a version above HTTP/1.1.
    /// hyper must get a 1 there.
    #[inline]
    pub(crate) fn take_newer_minors(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.newer_minors)
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
    /// A head is [refused](Self::refused_head), or a body is malformed, see
    /// [`body_fault`](Self::body_fault): then its request may already run. The error is the number of
    /// bytes before the fault. hyper must see no more.
    pub(crate) fn read(&mut self, all: &[u8]) -> Result<(), usize> {
        let mut bytes = all;
        let mut head_start = None;
        self.split = self.state == FramingState::Headers;
        while !bytes.is_empty() {
            let before = all.len() - bytes.len();
            match &mut self.state {
                FramingState::Refused => return Err(before),
                FramingState::Length(left) | FramingState::ChunkData(left) => {
                    let skipped =
                        usize::try_from(*left).map_or(bytes.len(), |n| n.min(bytes.len()));
                    *left -= skipped as u64;
                    bytes = &bytes[skipped..];
                    self.end_data_if_complete();
                }
                FramingState::RequestLine => {
                    if self.line.is_empty() {
                        head_start = Some(before);
                    }
                    if let Err(error) = self.read_request_line(&mut bytes, all.len()) {
                        self.refuse_head(error, head_start.map(|start| &all[start..]));
                        return Err(before);
                    }
                }
                FramingState::Headers => {
                    let read = if self.split {
                        self.read_line(&mut bytes)
                    } else {
                        self.read_headers(&mut bytes)
                    };
                    if let Err(error) = read {
                        self.refuse_head(error, head_start.map(|start| &all[start..]));
                        return Err(before);
                    }
                }
                _ => {
                    if let Err(error) = self.read_line(&mut bytes) {
                        self.refuse(error);
                        self.body_fault = Some(error);
                        return Err(before);
                    }
                }
            }
        }
        if self.state == FramingState::Headers
            && let Some(start) = head_start
        {
            self.keep_request_line(&all[start..]);
        }
        Ok(())
    }

    fn refuse(&mut self, error: FramingError) {
        self.state = FramingState::Refused;
        self.line = Vec::new();
        self.refused = Some((self.heads, error));
    }

    /// `head` is the beginning of the head, if it came with this read.
    fn refuse_head(&mut self, error: FramingError, head: Option<&[u8]>) {
        if let Some(head) = head {
            self.keep_request_line(head);
        } else if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.keep_request_line(&line);
        }
        self.refuse(error);
    }

    /// Keeps the first line of this head, without its end.
    fn keep_request_line(&mut self, head: &[u8]) {
        let end = memchr2(b'\r', b'\n', head).unwrap_or(head.len());
        self.request_line.clear();
        self.request_line
            .extend_from_slice(&head[..end.min(KEPT_REQUEST_LINE)]);
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
            if line.len() > self.limits.line {
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

    /// Reads a request line, or keeps its beginning. `length` is that of the whole read.
    fn read_request_line(&mut self, bytes: &mut &[u8], length: usize) -> Result<(), FramingError> {
        let end = memchr(b'\n', bytes);
        let here = end.unwrap_or(bytes.len());
        if self.line.len() + here > self.limits.request_line {
            let room = self.limits.request_line - self.line.len();
            self.line.extend_from_slice(&bytes[..room]);
            let has_method = self.line.contains(&b' ');
            check_beginning(without_cr(&self.line))?;
            return Err(match has_method {
                true => FramingError::TargetTooLong,
                // RFC 9112 §3: "A server that receives a method longer than any that it implements
                // SHOULD respond with a 501 (Not Implemented) status code."
                false => FramingError::MethodTooLong,
            });
        }
        self.read_line(bytes)?;
        if end.is_none() {
            let line = without_cr(&self.line);
            check_beginning(line)?;
            let after = 1 + self.line.len() - line.len();
            if ends_with_newer_minor(line) {
                self.newer_minors.extend(length.checked_sub(after));
            }
        } else if self.head.has_newer_minor() && self.state == FramingState::Headers {
            // The digit, CR and LF.
            self.newer_minors
                .extend((length - bytes.len()).checked_sub(3));
        }
        Ok(())
    }

    /// Reads one line from `bytes`, or keeps its beginning.
    fn read_line(&mut self, bytes: &mut &[u8]) -> Result<(), FramingError> {
        let Some(end) = memchr(b'\n', bytes) else {
            return self.keep_partial_line(bytes);
        };
        let line = &bytes[..end];
        *bytes = &bytes[end + 1..];
        if self.line.len() + line.len() > self.limits.line {
            return Err(FramingError::TooLong);
        }
        if self.line.is_empty() {
            return self.end_line(line);
        }
        let mut complete = std::mem::take(&mut self.line);
        complete.extend_from_slice(line);
        if self.state == FramingState::RequestLine {
            self.keep_request_line(&complete);
        }
        self.end_line(&complete)
    }

    fn keep_partial_line(&mut self, bytes: &mut &[u8]) -> Result<(), FramingError> {
        if self.line.len() + bytes.len() > self.limits.line {
            return Err(FramingError::TooLong);
        }
        self.line.extend_from_slice(bytes);
        *bytes = &[];
        Ok(())
    }

    /// Moves on with a complete line, without its line feed.
    fn end_line(&mut self, line: &[u8]) -> Result<(), FramingError> {
        // RFC 9112 §2.2 lets a recipient accept a single LF as the end of a line. Other parsers
        // don't, and then the two see different requests.
        let Some(line) = line.strip_suffix(b"\r") else {
            if self.state == FramingState::RequestLine {
                check_beginning(line)?;
            }
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
            FramingState::Headers => {
                self.head.add_line(line, &mut self.seen)?;
                match is_field_line(line) {
                    true => Ok(()),
                    false => Err(FramingError::MalformedHeader),
                }
            }
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

/// The last byte of an incomplete line may be the first one of its CRLF.
fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests;
