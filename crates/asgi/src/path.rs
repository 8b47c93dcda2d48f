//! Turns the raw path of a request into the decoded path that an app reads.

use std::borrow::Cow;

use http::uri::PathAndQuery;

/// Decodes the percent-encoding of a path, or of a part of one.
///
/// A `%` without two hexadecimal digits after it stays as it is. Bytes that are not valid UTF-8
/// after decoding become U+FFFD; an app that needs the exact bytes reads the raw path.
///
/// ```
/// assert_eq!(asgi::percent_decode("a%20file"), "a file");
/// ```
pub fn percent_decode(raw: &str) -> Cow<'_, str> {
    if !raw.contains('%') {
        return Cow::Borrowed(raw);
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((byte, tail)) = decode_first(rest) {
        decoded.push(byte);
        rest = tail;
    }
    Cow::Owned(
        String::from_utf8(decoded)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

/// Returns the first byte of an encoded text, decoded, and what follows it.
fn decode_first(raw: &[u8]) -> Option<(u8, &[u8])> {
    if let [b'%', high, low, rest @ ..] = raw
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return Some((high << 4 | low, rest));
    }
    raw.split_first().map(|(byte, rest)| (*byte, rest))
}

/// Returns the decoded path of `target` after `root_path`.
pub(crate) fn full<'a>(root_path: &str, target: &'a PathAndQuery) -> Cow<'a, str> {
    let path = percent_decode(target.path());
    if root_path.is_empty() {
        return path;
    }
    Cow::Owned([root_path, &path].concat())
}

/// Moves `prefix` from the path of `target` to the end of `root_path`, if the path begins with it.
///
/// A slash of the prefix matches only a slash: `%2F` is a part of a segment.
pub(crate) fn nest(
    root_path: &mut Cow<'static, str>,
    target: &mut PathAndQuery,
    prefix: &str,
) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() {
        return true;
    }
    let path = target.path();
    let mut rest = path.as_bytes();
    for expected in prefix.bytes() {
        match decode_first(rest) {
            Some((byte, tail)) if byte == expected && (byte != b'/' || rest[0] == b'/') => {
                rest = tail;
            }
            _ => return false,
        }
    }
    if !matches!(rest, [] | [b'/', ..]) {
        return false;
    }
    let rest = match &path[path.len() - rest.len()..] {
        "" => "/",
        rest => rest,
    };
    let rest = match target.query() {
        Some(query) => PathAndQuery::try_from(format!("{rest}?{query}")),
        None => PathAndQuery::try_from(rest),
    };
    let Ok(rest) = rest else {
        return false;
    };
    *target = rest;
    root_path.to_mut().push_str(prefix);
    true
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::percent_decode;

    #[test]
    fn decode_keeps_malformed_escapes() {
        for (raw, decoded) in [
            ("/", "/"),
            ("/a%20b", "/a b"),
            ("/%C3%A4", "/ä"),
            ("/%c3%a4", "/ä"),
            ("/ä", "/ä"),
            ("/%", "/%"),
            ("/%4", "/%4"),
            ("/%zz%41", "/%zzA"),
            ("/%2525", "/%25"),
            ("/%+1", "/%+1"),
            ("/%ff", "/\u{fffd}"),
        ] {
            assert_eq!(percent_decode(raw), decoded, "{raw}");
        }
    }
}
