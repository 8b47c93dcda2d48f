//! The head of one request: the parts of it that decide the framing, and the rare headers.
//!
//! [`RequestFraming`](super::RequestFraming) calls it with complete lines, without their CRLF.

use super::{FramingError, FramingState, SeenHeaders};
use crate::syntax::{is_target_byte, is_token_byte};

/// The facts about one head that decide what comes after it.
#[derive(Debug, Default)]
pub(super) struct HeadFraming {
    http_10: bool,
    /// The version is HTTP/1.2 to 1.9.
    newer_minor: bool,
    host: bool,
    content_length: Option<u64>,
    transfer_encoding: bool,
}

/// The first bytes of the lines that [`HeadFraming::add_line`] looks at.
const LOOKED_AT: [bool; 256] = {
    let mut looked_at = [false; 256];
    let bytes = b" \tcCeEhHtTuU";
    let mut index = 0;
    while index < bytes.len() {
        looked_at[bytes[index] as usize] = true;
        index += 1;
    }
    looked_at
};

impl HeadFraming {
    /// Starts a head with its request line.
    pub(super) fn new(request_line: &[u8]) -> Result<Self, FramingError> {
        let version = version(request_line)?;
        Ok(Self {
            http_10: version == RequestVersion::Http10,
            newer_minor: version == RequestVersion::NewerMinor,
            ..Self::default()
        })
    }

    /// Whether the version is HTTP/1.2 to 1.9, which hyper does not know.
    pub(super) fn has_newer_minor(&self) -> bool {
        self.newer_minor
    }

    /// Whether [`add_line`](Self::add_line) has a use for a line that begins with this byte.
    pub(super) fn looks_at(first: u8) -> bool {
        LOOKED_AT[usize::from(first)]
    }

    /// Adds a header line, which must not be empty.
    pub(super) fn add_line(
        &mut self,
        line: &[u8],
        seen: &mut SeenHeaders,
    ) -> Result<(), FramingError> {
        match line[0] {
            // RFC 9112 §5.2: "A server that receives an obs-fold in a request message that is not
            // within a "message/http" container MUST either reject the message […] or replace".
            b' ' | b'\t' => return Err(FramingError::FoldedLine),
            b'c' | b'C' => {
                if let Some(value) = value_of(line, b"content-length") {
                    if self.content_length.is_some() {
                        return Err(FramingError::RepeatedContentLength);
                    }
                    let length = decimal(value).ok_or(FramingError::MalformedContentLength)?;
                    self.content_length = Some(length);
                }
            }
            b'e' | b'E' => seen.expect |= is_named(line, b"expect"),
            // RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any
            // HTTP/1.1 request message […] that contains more than one Host header field line".
            b'h' | b'H' => {
                let is_host = is_named(line, b"host");
                if is_host && self.host {
                    return Err(FramingError::RepeatedHost);
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

    /// What comes after this head: its body, or the next request line.
    pub(super) fn next_state(&self) -> Result<FramingState, FramingError> {
        match (self.transfer_encoding, self.content_length) {
            // RFC 9112 §6.1: "A server or client that receives an HTTP/1.0 message containing a
            // Transfer-Encoding header field MUST treat the message as if the framing is faulty".
            (true, _) if self.http_10 => Err(FramingError::TransferEncodingInHttp10),
            // RFC 9112 §6.3: "Such a message might indicate an attempt to perform request
            // smuggling […] and ought to be handled as an error."
            (true, Some(_)) => Err(FramingError::ContentLengthAndTransferEncoding),
            (true, None) => Ok(FramingState::ChunkSize),
            (false, None | Some(0)) => Ok(FramingState::RequestLine),
            (false, Some(length)) => Ok(FramingState::Length(length)),
        }
    }
}

/// Whether a header line has this name, given in lower case.
///
/// hyper refuses white space around a name, so this function does not look for it.
fn is_named(line: &[u8], name: &[u8]) -> bool {
    line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name)
}

/// The value of a header line, if it has this name, given in lower case.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    is_named(line, name).then(|| line[name.len() + 1..].trim_ascii())
}

/// A `content-length` above this does not fit into the 64-bit numbers with a sign that most other
/// programs use.
const MAX_CONTENT_LENGTH: u64 = i64::MAX as u64;

/// RFC 9110 §8.6: a recipient "MUST anticipate potentially large decimal numerals and prevent parsing
/// errors due to integer conversion overflows".
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = str::from_utf8(digits).ok()?.parse().ok()?;
    (number <= MAX_CONTENT_LENGTH).then_some(number)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestVersion {
    Http10,
    Http11,
    NewerMinor,
}

/// Checks a request line without its CRLF, and returns its version.
fn version(line: &[u8]) -> Result<RequestVersion, FramingError> {
    match check_beginning(line)? {
        Some(b"HTTP/1.1") => Ok(RequestVersion::Http11),
        Some(b"HTTP/1.0") => Ok(RequestVersion::Http10),
        // RFC 9110 §6.2: a recipient of a higher minor version "SHOULD process the message as if it
        // were in the highest minor version within that major version to which the recipient is
        // conformant".
        Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9']) => {
            Ok(RequestVersion::NewerMinor)
        }
        _ => Err(FramingError::MalformedRequestLine),
    }
}

/// Checks as much of a request line as there is, from left to right, and returns what there is of its
/// version. So a fault has the same answer however the line is split, and hyper sees no part of it.
///
/// RFC 9112 §3: `method SP request-target SP HTTP-version`, each of them once.
pub(super) fn check_beginning(line: &[u8]) -> Result<Option<&[u8]>, FramingError> {
    let method = line
        .iter()
        .position(|byte| !is_token_byte(*byte))
        .unwrap_or(line.len());
    let target = match line[method..] {
        [] => return Ok(None),
        [b' ', ref target @ ..] if method > 0 => target,
        _ => return Err(FramingError::MalformedRequestLine),
    };
    // No form of a target contains a fragment; hyper's URI type drops it silently.
    let end = target
        .iter()
        .position(|byte| !is_target_byte(*byte))
        .unwrap_or(target.len());
    let version = match target[end..] {
        [] => return Ok(None),
        [b' ', ref version @ ..] if end > 0 => version,
        _ => return Err(FramingError::MalformedRequestLine),
    };
    if matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
        return Ok(Some(version));
    }
    let known = version.len().min(HTTP_1.len());
    match version {
        _ if version[..known] == HTTP_1[..known] => {}
        // Whatever follows, it is not HTTP/1. hyper must not see more: it would answer 400 at once.
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] if version[5] != b'1' => {
            return Err(FramingError::UnsupportedVersion);
        }
        _ => return Err(FramingError::MalformedRequestLine),
    }
    match version[known..] {
        [] | [b'0'..=b'9'] => Ok(Some(version)),
        _ => Err(FramingError::MalformedRequestLine),
    }
}

const HTTP_1: &[u8] = b"HTTP/1.";

/// Whether the beginning of a request line ends with the last byte of HTTP/1.2 to 1.9.
pub(super) fn ends_with_newer_minor(line: &[u8]) -> bool {
    let Some((b'2'..=b'9', before)) = line.split_last() else {
        return false;
    };
    let start = before.strip_suffix(b" HTTP/1.");
    start.is_some_and(|start| start.contains(&b' '))
}

/// Whether this is `field-name ":" OWS field-value OWS`. (RFC 9112 §5)
pub(super) fn is_field_line(line: &[u8]) -> bool {
    let name = line.iter().take_while(|byte| is_token_byte(**byte)).count();
    let is_value = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    name > 0 && line.get(name) == Some(&b':') && line[name..].iter().all(is_value)
}
