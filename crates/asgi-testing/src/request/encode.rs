//! Encodings of texts in a request: forms, queries, and base64 for credentials.

use std::fmt::{self, Write as _};

/// Writes pairs as `application/x-www-form-urlencoded` (WHATWG URL §5.2).
pub(crate) fn urlencoded<K: fmt::Display, V: fmt::Display>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        encode(&mut text, &name.to_string());
        text.push('=');
        encode(&mut text, &value.to_string());
    }
    text
}

fn encode(text: &mut String, part: &str) {
    for byte in part.bytes() {
        match byte {
            b' ' => text.push('+'),
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                text.push(char::from(byte));
            }
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
}

/// Encodes bytes as base64 with padding (RFC 4648 §4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let index = group >> (18 - 6 * at) & 63;
            match at <= chunk.len() {
                true => text.push(char::from(LETTERS[index as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{base64, urlencoded};

    /// RFC 4648 §10
    #[test]
    fn base64_has_the_test_vectors_of_the_rfc() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn a_form_encodes_everything_but_letters_digits_and_four_signs() {
        let pairs = [("a b", "ä&=+"), ("*-._", "~"), ("", "")];
        assert_eq!(urlencoded(pairs), "a+b=%C3%A4%26%3D%2B&*-._=%7E&=");
        assert_eq!(urlencoded([("n", 7)]), "n=7");
    }
}
