//! The first line of a chunk: its size and its extensions. (RFC 9112 §7.1)

use crate::syntax::is_token_byte;

/// The size in the first line of a chunk, given without its CRLF. `None` if the line is malformed.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line
        .iter()
        .position(|byte| !byte.is_ascii_hexdigit())
        .unwrap_or(line.len());
    let (digits, extensions) = line.split_at(end);
    if digits.is_empty() || !are_extensions(extensions) {
        return None;
    }
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// RFC 9112 §7.1.1: `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`.
///
/// A parser that ends an extension elsewhere than this one may see other chunks.
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(after) = after_extension(rest) else {
            return false;
        };
        rest = after;
    }
    true
}

/// What follows the first extension.
fn after_extension(bytes: &[u8]) -> Option<&[u8]> {
    let name = after_blanks(bytes).strip_prefix(b";")?;
    let rest = after_token(after_blanks(name))?;
    let Some(value) = after_blanks(rest).strip_prefix(b"=") else {
        return Some(rest);
    };
    let value = after_blanks(value);
    match value.strip_prefix(b"\"") {
        Some(quoted) => after_quoted(quoted),
        None => after_token(value),
    }
}

fn after_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    &bytes[blanks..]
}

fn after_token(bytes: &[u8]) -> Option<&[u8]> {
    let token = bytes
        .iter()
        .take_while(|byte| is_token_byte(**byte))
        .count();
    (token > 0).then(|| &bytes[token..])
}

/// What follows a quoted string, given without its first quote. (RFC 9110 §5.6.4)
fn after_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'\t' | b' '..=b'~' | 0x80.., rest @ ..]
            | [b'\t' | b' '..=b'[' | b']'..=b'~' | 0x80.., rest @ ..] => rest,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::chunk_size;

    #[test]
    fn extensions_follow_their_grammar() {
        for line in [
            "5",
            "05",
            "5;a",
            "5;a=b",
            "5 ;a",
            "5; a",
            "5\t;\ta = b",
            "5;a;b=c ; d",
            "5;a=\"b;c=d\\\"\"",
            "5;a=\"\"",
            "5;a=\"\u{fc}\t\"",
        ] {
            assert_eq!(chunk_size(line.as_bytes()), Some(5), "{line:?}");
        }
        for line in [
            "",
            ";a",
            "5 ",
            "5\t",
            "5;",
            "5; ",
            "5;a ",
            "5;;a",
            "5;a=",
            "5;a= ",
            "5;a=b ",
            "5;=b",
            "5 a",
            "5;a b",
            "5;bad[=x",
            "5;\0ext",
            "5;a\r",
            "5;a=\"b",
            "5;a=\"b\\\"",
            "5;a=\"b\"c",
            "5;a=\"\0\"",
            "5;a=b=c",
            "5,a",
            "0x5",
            "+5",
            "5_",
        ] {
            assert_eq!(chunk_size(line.as_bytes()), None, "{line:?}");
        }
    }
}
