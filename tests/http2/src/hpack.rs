//! Field blocks (RFC 7541): written as literals that touch no table, or as raw bytes; read with a
//! decoder that is not the server's.

use std::fmt;

/// A field: its name and its value, any bytes.
pub type Field = (Vec<u8>, Vec<u8>);

/// Writes fields as literals without indexing and without Huffman's code.
pub fn encode(fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        literal(0x00, name, value, &mut block);
    }
    block
}

/// Writes one field as a literal that enters the dynamic table.
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

/// Writes a number with a prefix of `bits` (RFC 7541 §5.1), behind these higher bits.
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

/// Reads the blocks of one connection, in their order.
pub(crate) struct Decoder(loona_hpack::Decoder<'static>);

impl Decoder {
    pub(crate) fn new() -> Self {
        Self(loona_hpack::Decoder::new())
    }

    /// The fields of a block; the error is why it is none.
    pub(crate) fn decode(&mut self, block: &[u8]) -> Result<Vec<(String, String)>, String> {
        let fields = self.0.decode(block).map_err(|error| format!("{error:?}"))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(fields
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
