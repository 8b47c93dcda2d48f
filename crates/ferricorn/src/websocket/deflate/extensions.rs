//! The syntax of `sec-websocket-extensions` (RFC 6455 §9.1).
//!
//! ```text
//! extension-list   = 1#extension
//! extension        = extension-token *( ";" extension-param )
//! extension-param  = token [ "=" (token | quoted-string) ]
//! ```

use std::borrow::Cow;

use crate::websocket::handshake::is_token_byte;

/// A field that the grammar does not know.
///
/// "If a value is received by either the client or the server during negotiation that does not conform
/// to the ABNF below, the recipient of such malformed data MUST immediately Fail the WebSocket
/// Connection" (RFC 6455 §9.1): the handshake is answered with 400. Who writes such a field is broken,
/// and to go on without the extension would only hide that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads one field's value from left to right.
pub(super) struct Extensions<'a>(&'a [u8]);

impl<'a> Extensions<'a> {
    pub(super) fn new(field: &'a [u8]) -> Self {
        Self(field)
    }

    /// The name of the next extension. Its [parameters](Self::parameter) come before the next name.
    pub(super) fn extension(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        // "1#extension" lets elements be empty.
        while self.skip(b',') {}
        if self.0.is_empty() {
            return Ok(None);
        }
        let name = self.token()?;
        if !self.0.is_empty() && !matches!(self.0[0], b',' | b';') {
            return Err(Malformed);
        }
        Ok(Some(name))
    }

    /// The next parameter of this extension, and its value if it has one.
    #[expect(clippy::type_complexity, reason = "a name and perhaps a value")]
    pub(super) fn parameter(
        &mut self,
    ) -> Result<Option<(&'a [u8], Option<Cow<'a, [u8]>>)>, Malformed> {
        if !self.skip(b';') {
            return Ok(None);
        }
        let name = self.token()?;
        let value = if self.skip(b'=') {
            Some(self.value()?)
        } else {
            None
        };
        match self.0.first() {
            None | Some(b',' | b';') => Ok(Some((name, value))),
            Some(_) => Err(Malformed),
        }
    }

    fn value(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        if self.skip(b'"') {
            self.quoted().map(Cow::Owned)
        } else {
            self.token().map(Cow::Borrowed)
        }
    }

    /// The rest of a quoted-string, which must be a token too: "the value after quoted-string unescaping
    /// MUST conform to the 'token' ABNF" (RFC 6455 §9.1).
    fn quoted(&mut self) -> Result<Vec<u8>, Malformed> {
        let mut value = Vec::new();
        loop {
            let (byte, rest) = match self.0 {
                [b'\\', escaped, rest @ ..] => (escaped, rest),
                [b'"', rest @ ..] if !value.is_empty() => {
                    self.0 = rest.trim_ascii_start();
                    return Ok(value);
                }
                [byte, rest @ ..] => (byte, rest),
                [] => return Err(Malformed),
            };
            if !is_token_byte(*byte) {
                return Err(Malformed);
            }
            value.push(*byte);
            self.0 = rest;
        }
    }

    fn token(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self
            .0
            .iter()
            .take_while(|byte| is_token_byte(**byte))
            .count();
        let (token, rest) = self.0.split_at(length);
        self.0 = rest.trim_ascii_start();
        match length {
            0 => Err(Malformed),
            _ => Ok(token),
        }
    }

    /// Whether the byte came next; what is blank around it is skipped.
    fn skip(&mut self, byte: u8) -> bool {
        self.0 = self.0.trim_ascii_start();
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest.trim_ascii_start();
                true
            }
            _ => false,
        }
    }
}
