//! Turns the raw path of a request into the decoded path that an app reads.

/// Decodes the percent-encoding of a path.
///
/// A `%` without two hexadecimal digits after it stays as it is. Bytes that are not valid UTF-8
/// after decoding become U+FFFD; an app that needs the exact bytes reads the raw path.
pub(crate) fn decode(raw: &str) -> String {
    if !raw.contains('%') {
        return raw.to_owned();
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%'
            && let [high, low, tail @ ..] = tail
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            decoded.push(high << 4 | low);
            rest = tail;
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Removes from `path` the prefix at which the app is mounted.
pub(crate) fn local<'a>(path: &'a str, root_path: &str) -> &'a str {
    match path.strip_prefix(root_path) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') || root_path.is_empty() => rest,
        _ => path,
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::{decode, local};

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
            assert_eq!(decode(raw), decoded, "{raw}");
        }
    }

    #[test]
    fn local_removes_the_root_path_only_before_a_slash() {
        for (path, root, rest) in [
            ("/a", "", "/a"),
            ("/api/a", "/api", "/a"),
            ("/api", "/api", "/"),
            ("/apix", "/api", "/apix"),
            ("/other", "/api", "/other"),
            ("*", "", "*"),
        ] {
            assert_eq!(local(path, root), rest, "{path} at {root}");
        }
    }
}
