//! From the target of a request to the path that an app reads.

/// Decodes the percent-encoding of a path.
///
/// A `%` that two hexadecimal digits do not follow stands for itself. What is no UTF-8 afterwards
/// becomes U+FFFD: the raw path is the truth.
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

/// What is left of a path behind the prefix at which the app is mounted.
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
    fn percent_encoding_is_decoded_and_what_is_malformed_stands_for_itself() {
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
    fn the_mount_point_is_cut_off_at_a_segment() {
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
