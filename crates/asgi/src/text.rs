//! The content of WebSocket messages.

use std::ops::Deref;
use std::str::Utf8Error;

use bytes::Bytes;
use bytestring::ByteString;

/// A complete WebSocket message.
///
/// Spec: websocket §3.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A text message. It is valid UTF-8.
    Text(Text),
    /// A binary message.
    Binary(Bytes),
}

impl Message {
    /// Creates a text message.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::Text(text.into())
    }

    /// Creates a binary message.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self::Binary(data.into())
    }

    /// Returns the content of a text or binary message as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) => data,
        }
    }

    /// Returns the content of a text message, or `None` if this is a binary message.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Returns the content of a text or binary message as bytes, without a copy.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(data) => data,
        }
    }
}

conversions! {
    Text => Message: text => Self::Text(text);
    String => Message: text => Self::text(text);
    &str => Message: text => Self::text(text);
    Bytes => Message: data => Self::Binary(data);
    Vec<u8> => Message: data => Self::binary(data);
    &'static [u8] => Message: data => Self::binary(data);
    String => Text: text => Self(text.into());
    /// Copies the text.
    &str => Text: text => Self(text.into());
    Text => Bytes: text => text.into_bytes();
}

/// UTF-8 text that is cheap to clone: all clones share one [`Bytes`].
///
/// `Text` derefs to `str`.
///
/// Spec: websocket §3.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(ByteString);

impl Text {
    /// Creates a text from a string literal, without a copy.
    pub const fn from_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// Returns the bytes of the text, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl TryFrom<Bytes> for Text {
    type Error = Utf8Error;

    /// Checks that the bytes are valid UTF-8. This does not copy them.
    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        ByteString::try_from(bytes).map(Self)
    }
}

forward_fmt!(Text: Debug Display);
