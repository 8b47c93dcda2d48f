//! The head of one request: the parts of it that decide the framing, and the rare headers.
//!
//! [`RequestFraming`](super::RequestFraming) calls it with complete lines, without their CRLF.

use memchr::memchr2;

use super::{FramingError, FramingState, SeenHeaders};

/// The facts about one head that decide what comes after it.
#[derive(Debug, Default)]
pub(super) struct HeadFraming {
    http_10: bool,
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
        Ok(Self {
            http_10: request_line_is_http_10(request_line)?,
            ..Self::default()
        })
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

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// RFC 9112 §3: `method SP request-target SP HTTP-version`, each of them once.
fn request_line_is_http_10(line: &[u8]) -> Result<bool, FramingError> {
    const VERSION: usize = "HTTP/1.1".len();
    let parts = || {
        let method = line.iter().position(|byte| *byte == b' ')?;
        let rest = &line[method + 1..];
        let (target, version) = rest.split_at_checked(rest.len().checked_sub(VERSION + 1)?)?;
        Some((target, version.strip_prefix(b" ")?))
    };
    let (target, version) = parts().ok_or(FramingError::MalformedRequestLine)?;
    // No form of a target contains a fragment; hyper's URI type drops it silently.
    if target.is_empty() || memchr2(b' ', b'#', target).is_some() || version.contains(&b' ') {
        return Err(FramingError::MalformedRequestLine);
    }
    Ok(version == b"HTTP/1.0")
}
