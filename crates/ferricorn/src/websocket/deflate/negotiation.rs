//! The agreement of client and server on permessage-deflate (RFC 7692 §5.1 and 7.1).
//!
//! The handshake calls [`negotiate`]. The syntax of the header is in
//! [`extensions`](super::extensions).

use std::fmt::Write as _;

use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};

use super::extensions::{ExtensionParser, MalformedExtensions};

const NAME: &str = "permessage-deflate";

/// The window of a peer if the other side does not ask for a smaller one.
const LARGEST_WINDOW: u8 = 15;

/// The server looks at this many extensions of a request. Browsers offer one, libraries two or three.
const MOST_OFFERS: usize = 16;

/// The parameters that the server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeflateSettings {
    /// The largest window in each direction, as a power of two: 9 to 15.
    pub(crate) window_bits: u8,
    /// Whether a message may refer to earlier ones.
    pub(crate) context_takeover: bool,
}

/// The parameters that client and server have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreement {
    /// For the messages that the server compresses.
    pub(crate) server: Direction,
    /// For the messages that the client compresses.
    pub(crate) client: Direction,
}

/// The agreed parameters for the messages of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction {
    /// How far back a message may refer, as a power of two: 8 to 15, for the server 9 to 15.
    pub(crate) window_bits: u8,
    /// Whether a message may refer to earlier ones.
    pub(crate) context_takeover: bool,
}

/// Accepts the first offer of the client that the server supports. Returns the agreement and the
/// `sec-websocket-extensions` header of the response.
///
/// The server declines an offer with a parameter that is unknown, repeated or has an invalid value, and
/// looks at the next one (RFC 7692 §7.1). It also declines an offer that limits the server to a window of
/// 256 bytes (`server_max_window_bits=8`), because zlib has no such window for raw streams.
///
/// # Errors
///
/// A header does not follow the grammar.
pub(crate) fn negotiate(
    headers: &HeaderMap,
    settings: DeflateSettings,
) -> Result<Option<(Agreement, HeaderValue)>, MalformedExtensions> {
    let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    negotiate_values(values.map(HeaderValue::as_bytes), settings)
}

/// Does the work of [`negotiate`] for the values of all `sec-websocket-extensions` headers. They may
/// contain any bytes.
pub(crate) fn negotiate_values<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    settings: DeflateSettings,
) -> Result<Option<(Agreement, HeaderValue)>, MalformedExtensions> {
    let mut accepted = None;
    let mut looked_at = 0;
    for value in values {
        let mut extensions = ExtensionParser::new(value);
        while let Some(name) = extensions.next_extension()? {
            let mut offer = Some(Offer::default());
            while let Some((name, value)) = extensions.next_parameter()? {
                offer = offer.and_then(|offer| offer.with(name, value.as_deref()));
            }
            if accepted.is_none() && name == NAME.as_bytes() {
                accepted = offer.and_then(|offer| offer.accept(settings));
            }
            looked_at += 1;
            if looked_at == MOST_OFFERS {
                return Ok(accepted);
            }
        }
    }
    Ok(accepted)
}

/// The parameters of one offer.
#[derive(Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// `Some(None)` if the parameter has no value: the client supports a limit and does not ask for one.
    client_max_window_bits: Option<Option<u8>>,
}

impl Offer {
    /// Adds a parameter. `None` if the server must decline the offer because of it.
    fn with(mut self, name: &[u8], value: Option<&[u8]>) -> Option<Self> {
        let first = match (name, value) {
            (b"server_no_context_takeover", None) => set(&mut self.server_no_context_takeover),
            (b"client_no_context_takeover", None) => set(&mut self.client_no_context_takeover),
            (b"server_max_window_bits", Some(bits)) => {
                let bits = window_bits(bits)?;
                self.server_max_window_bits.replace(bits).is_none()
            }
            (b"client_max_window_bits", bits) => {
                let bits = match bits {
                    Some(bits) => Some(window_bits(bits)?),
                    None => None,
                };
                self.client_max_window_bits.replace(bits).is_none()
            }
            _ => return None,
        };
        first.then_some(self)
    }

    fn accept(self, settings: DeflateSettings) -> Option<(Agreement, HeaderValue)> {
        let largest = settings.window_bits.clamp(9, LARGEST_WINDOW);
        let server_limit = self.server_max_window_bits.unwrap_or(LARGEST_WINDOW);
        if server_limit == 8 {
            return None;
        }
        let client_window_bits = match self.client_max_window_bits {
            Some(limit) => limit.unwrap_or(LARGEST_WINDOW).min(largest),
            // "A server MUST NOT include [it]" if the client did not (RFC 7692 §7.1.2.2).
            None => LARGEST_WINDOW,
        };
        let agreement = Agreement {
            server: Direction {
                window_bits: server_limit.min(largest),
                context_takeover: settings.context_takeover && !self.server_no_context_takeover,
            },
            client: Direction {
                window_bits: client_window_bits,
                context_takeover: settings.context_takeover && !self.client_no_context_takeover,
            },
        };
        let asked = self.server_max_window_bits.is_some();
        let value = HeaderValue::try_from(response_value(agreement, asked)).ok()?;
        Some((agreement, value))
    }
}

/// The header of the response. It names the server's window if the client asked for one, and also if the
/// window is smaller than the largest: the client may then keep less memory (RFC 7692 §7.1.2.1).
fn response_value(agreement: Agreement, client_asked_for_server_window: bool) -> String {
    let Agreement { server, client } = agreement;
    let mut value = String::from(NAME);
    if !server.context_takeover {
        value.push_str("; server_no_context_takeover");
    }
    if !client.context_takeover {
        value.push_str("; client_no_context_takeover");
    }
    // Writing to a `String` cannot fail.
    if client_asked_for_server_window || server.window_bits < LARGEST_WINDOW {
        let _ = write!(value, "; server_max_window_bits={}", server.window_bits);
    }
    if client.window_bits < LARGEST_WINDOW {
        let _ = write!(value, "; client_max_window_bits={}", client.window_bits);
    }
    value
}

/// Sets a flag. Returns whether it was unset before.
fn set(flag: &mut bool) -> bool {
    !std::mem::replace(flag, true)
}

/// "A decimal integer value without leading zeroes between 8 to 15, inclusive" (RFC 7692 §7.1.2).
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}
