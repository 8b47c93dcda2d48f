//! Header blocks (RFC 7541).
//!
//! They are written as literals that use no table, or as raw bytes. The decoder is another one than
//! the server's.

use std::fmt;

/// A header: the bytes of its name and of its value.
pub type Header = (Vec<u8>, Vec<u8>);

/// Encodes headers as literals without indexing and without Huffman coding.
pub fn encode(headers: &[Header]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        literal(0x00, name, value, &mut block);
    }
    block
}

/// Encodes one header as a literal that enters the dynamic table.
pub fn indexed_literal(name: &[u8], value: &[u8], block: &mut Vec<u8>) {
    literal(0x40, name, value, block);
}

fn literal(first: u8, name: &[u8], value: &[u8], block: &mut Vec<u8>) {
    block.push(first);
    for text in [name, value] {
        integer(0x00, 7, text.len(), block);
        block.extend(text);
    }
}

/// Encodes a number with a prefix of `bits` (RFC 7541 §5.1). `first` holds the bits before it.
fn integer(first: u8, bits: u8, mut number: usize, block: &mut Vec<u8>) {
    let most = (1 << bits) - 1;
    if number < most {
        block.push(first | u8::try_from(number).unwrap());
        return;
    }
    block.push(first | u8::try_from(most).unwrap());
    number -= most;
    while number >= 0x80 {
        block.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    block.push(u8::try_from(number).unwrap());
}

/// Decodes the header blocks of one connection, in their order.
pub(crate) struct Decoder(loona_hpack::Decoder<'static>);

impl Decoder {
    pub(crate) fn new() -> Self {
        Self(loona_hpack::Decoder::new())
    }

    /// The headers of a block, or why it is invalid.
    pub(crate) fn decode(&mut self, block: &[u8]) -> Result<Vec<(String, String)>, String> {
        let headers = self.0.decode(block).map_err(|error| format!("{error:?}"))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(headers
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect())
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}
