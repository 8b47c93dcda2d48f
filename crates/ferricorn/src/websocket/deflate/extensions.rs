//! A parser for `sec-websocket-extensions` (RFC 6455 §9.1), called by [`negotiate`](super::negotiate).
//!
//! ```text
//! extension-list   = 1#extension
//! extension        = extension-token *( ";" extension-param )
//! extension-param  = token [ "=" (token | quoted-string) ]
//! ```

use std::borrow::Cow;

use crate::syntax::is_token_byte;

/// A `sec-websocket-extensions` header that does not follow the grammar.
///
/// "If a value is received by either the client or the server during negotiation that does not conform
/// to the ABNF below, the recipient of such malformed data MUST immediately Fail the WebSocket
/// Connection" (RFC 6455 §9.1). The server answers the handshake with 400. Such a client is broken, and
/// a connection without the extension would only hide that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MalformedExtensions;

/// Reads the value of one header from left to right.
pub(super) struct ExtensionParser<'a>(&'a [u8]);

impl<'a> ExtensionParser<'a> {
    pub(super) fn new(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// Reads the name of the next extension. The caller must read all of its
    /// [parameters](Self::next_parameter) before the next name.
    pub(super) fn next_extension(&mut self) -> Result<Option<&'a [u8]>, MalformedExtensions> {
        // "1#extension" lets elements be empty.
        while self.skip(b',') {}
        if self.0.is_empty() {
            return Ok(None);
        }
        let name = self.token()?;
        if !self.0.is_empty() && !matches!(self.0[0], b',' | b';') {
            return Err(MalformedExtensions);
        }
        Ok(Some(name))
    }

    /// Reads the next parameter of this extension, and its value if it has one.
    #[expect(clippy::type_complexity, reason = "a name and an optional value")]
    pub(super) fn next_parameter(
        &mut self,
    ) -> Result<Option<(&'a [u8], Option<Cow<'a, [u8]>>)>, MalformedExtensions> {
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
            Some(_) => Err(MalformedExtensions),
        }
    }

    fn value(&mut self) -> Result<Cow<'a, [u8]>, MalformedExtensions> {
        if self.skip(b'"') {
            self.quoted().map(Cow::Owned)
        } else {
            self.token().map(Cow::Borrowed)
        }
    }

    /// Reads the rest of a quoted-string, which must be a token too: "the value after quoted-string unescaping
    /// MUST conform to the 'token' ABNF" (RFC 6455 §9.1).
    fn quoted(&mut self) -> Result<Vec<u8>, MalformedExtensions> {
        let mut value = Vec::new();
        loop {
            let (byte, rest) = match self.0 {
                [b'\\', escaped, rest @ ..] => (escaped, rest),
                [b'"', rest @ ..] if !value.is_empty() => {
                    self.0 = rest.trim_ascii_start();
                    return Ok(value);
                }
                [byte, rest @ ..] => (byte, rest),
                [] => return Err(MalformedExtensions),
            };
            if !is_token_byte(*byte) {
                return Err(MalformedExtensions);
            }
            value.push(*byte);
            self.0 = rest;
        }
    }

    fn token(&mut self) -> Result<&'a [u8], MalformedExtensions> {
        let length = self
            .0
            .iter()
            .take_while(|byte| is_token_byte(**byte))
            .count();
        let (token, rest) = self.0.split_at(length);
        self.0 = rest.trim_ascii_start();
        match length {
            0 => Err(MalformedExtensions),
            _ => Ok(token),
        }
    }

    /// Skips this byte and the white space around it. Returns whether the byte was next.
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
