//! What client and server agree on (RFC 7692 §5.1 and 7.1).

use std::fmt::Write as _;

use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};

use super::extensions::{Extensions, Malformed};

const NAME: &str = "permessage-deflate";

/// The window of a peer that was not asked for a smaller one.
const LARGEST_WINDOW: u8 = 15;

/// How many extensions of a request are looked at: browsers offer one, libraries two or three.
const MOST_OFFERS: usize = 16;

/// What the server is willing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The largest window of both directions, as the power of two: 9 to 15.
    pub(crate) window_bits: u8,
    /// Whether a message may refer to the ones before it.
    pub(crate) context_takeover: bool,
}

/// What both sides have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreement {
    /// What the server compresses.
    pub(crate) server: Direction,
    /// What the client compresses.
    pub(crate) client: Direction,
}

/// What both sides have agreed on for the messages of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction {
    /// How far back a message may refer, as a power of two: 8 to 15, for the server 9 to 15.
    pub(crate) window_bits: u8,
    /// Whether a message may refer to the ones before it.
    pub(crate) context_takeover: bool,
}

/// Accepts the first offer of the client's that the server can keep to, and says what to answer in
/// `sec-websocket-extensions`.
///
/// An offer with a parameter that is unknown, repeated or has no lawful value is declined, and the next
/// one is looked at (RFC 7692 §7.1). So is one that wants the server to keep to a window of 256 bytes
/// (`server_max_window_bits=8`): zlib has none for raw streams.
pub(crate) fn negotiate(
    headers: &HeaderMap,
    settings: Settings,
) -> Result<Option<(Agreement, HeaderValue)>, Malformed> {
    let mut accepted = None;
    let mut looked_at = 0;
    for field in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        let mut extensions = Extensions::new(field.as_bytes());
        while let Some(name) = extensions.extension()? {
            let mut offer = Some(Offer::default());
            while let Some((name, value)) = extensions.parameter()? {
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
    /// Without a value the client only says that it could keep to a limit.
    client_max_window_bits: Option<Option<u8>>,
}

impl Offer {
    /// The offer with one more parameter, unless that makes it one to decline.
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

    fn accept(self, settings: Settings) -> Option<(Agreement, HeaderValue)> {
        let largest = settings.window_bits.clamp(9, LARGEST_WINDOW);
        let server_limit = self.server_max_window_bits.unwrap_or(LARGEST_WINDOW);
        if server_limit == 8 {
            return None;
        }
        let client_window_bits = match self.client_max_window_bits {
            Some(limit) => limit.unwrap_or(LARGEST_WINDOW).min(largest),
            // "A server MUST NOT include [it]" unasked (RFC 7692 §7.1.2.2).
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
        let answer = HeaderValue::try_from(answer(agreement, asked)).ok()?;
        Some((agreement, answer))
    }
}

/// The answer that says it. The server's window stands in it unasked if it is smaller than the largest:
/// the client may then keep less (RFC 7692 §7.1.2.1).
fn answer(agreement: Agreement, server_window_was_asked_for: bool) -> String {
    let Agreement { server, client } = agreement;
    let mut answer = String::from(NAME);
    if !server.context_takeover {
        answer.push_str("; server_no_context_takeover");
    }
    if !client.context_takeover {
        answer.push_str("; client_no_context_takeover");
    }
    // Writing to a `String` cannot fail.
    if server_window_was_asked_for || server.window_bits < LARGEST_WINDOW {
        let _ = write!(answer, "; server_max_window_bits={}", server.window_bits);
    }
    if client.window_bits < LARGEST_WINDOW {
        let _ = write!(answer, "; client_max_window_bits={}", client.window_bits);
    }
    answer
}

/// Sets a flag; says whether it was not set before.
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
