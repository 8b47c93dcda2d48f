//! Header blocks (RFC 7541). The client writes literals that use no table, so it can send any name
//! and any value.

/// The headers of a block in their order.
pub(crate) type HeaderList = Vec<(String, String)>;

/// Encodes headers as literals without indexing and without Huffman coding. Each character of a text
/// is a byte.
pub(crate) fn encode(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            let bytes: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
            length(bytes.len(), &mut block);
            block.extend(bytes);
        }
    }
    block
}

/// Encodes a length with a prefix of 7 bits (RFC 7541 §5.1), without the flag for Huffman coding.
fn length(mut length: usize, block: &mut Vec<u8>) {
    if length < 0x7f {
        block.push(length as u8);
        return;
    }
    block.push(0x7f);
    length -= 0x7f;
    while length >= 0x80 {
        block.push(0x80 | (length & 0x7f) as u8);
        length >>= 7;
    }
    block.push(length as u8);
}

/// Decodes the header blocks of one connection, in their order.
pub(super) struct BlockDecoder(loona_hpack::Decoder<'static>);

impl BlockDecoder {
    pub(super) fn new() -> Self {
        Self(loona_hpack::Decoder::new())
    }

    /// The headers of a block, or why it is invalid. Each byte becomes the character of its number.
    pub(super) fn decode(&mut self, block: &[u8]) -> Result<HeaderList, String> {
        let headers = self.0.decode(block).map_err(|error| format!("{error:?}"))?;
        let text = |bytes: Vec<u8>| bytes.iter().map(|byte| char::from(*byte)).collect();
        let pairs = headers.into_iter();
        Ok(pairs
            .map(|(name, value)| (text(name), text(value)))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let long = "x".repeat(300);
        let headers = [(":path", "/"), ("x-a", long.as_str()), ("x-b", "\u{ff}")];
        let decoded = BlockDecoder::new().decode(&encode(&headers)).unwrap();
        let pairs: Vec<(&str, &str)> = decoded
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(pairs, headers);
    }

    #[test]
    fn huffman_coding_and_the_tables_are_read() {
        // RFC 7541, C.4.1.
        let block = [
            0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab,
            0x90, 0xf4, 0xff,
        ];
        let decoded = BlockDecoder::new().decode(&block).unwrap();
        assert_eq!(decoded[0], (":method".into(), "GET".into()));
        assert_eq!(decoded[3], (":authority".into(), "www.example.com".into()));
    }
}
