//! The grammar that all versions of HTTP share: the bytes of tokens and of targets, and hosts.

use std::net::Ipv6Addr;

/// RFC 9110 §5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a request's target may have this byte.
///
/// These are the bytes of RFC 3986, and those that browsers do not encode in a query: `[]\^`{|}`. A
/// raw byte above 0x7f, a quote or an angle bracket comes from no browser, and programs disagree on
/// them.
pub(crate) fn is_target_byte(byte: u8) -> bool {
    TARGET_BYTES[usize::from(byte)]
}

const TARGET_BYTES: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        allowed[byte as usize] = !matches!(byte, b'"' | b'#' | b'<' | b'>');
        byte += 1;
    }
    allowed
};

/// Whether this is `uri-host [ ":" port ]` (RFC 9110 §7.2). It must not be empty: a URI of http has a
/// host (§4.2.1).
pub(crate) fn is_host(host: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let name = host.iter().take_while(|byte| plain(byte)).count();
    match host.split_at(name) {
        (name, []) => !name.is_empty(),
        (name, [b':', port @ ..]) if !name.is_empty() => is_port(port),
        _ => is_unusual_host(host),
    }
}

/// RFC 3986 §3.2.3 allows any number of digits, also none; TCP has ports up to 65535.
fn is_port(port: &[u8]) -> bool {
    let mut number: u32 = 0;
    for digit in port {
        if !digit.is_ascii_digit() {
            return false;
        }
        number = (number * 10 + u32::from(digit - b'0')).min(1 << 16);
    }
    number < 1 << 16
}

/// An IP literal, or a name with rare bytes. (RFC 3986 §3.2.2)
fn is_unusual_host(host: &[u8]) -> bool {
    let (is_host, rest) = match host.strip_prefix(b"[") {
        Some(literal) => {
            let Some(end) = literal.iter().position(|byte| *byte == b']') else {
                return false;
            };
            (is_ip_literal(&literal[..end]), &literal[end + 1..])
        }
        None => {
            let end = host.iter().position(|byte| *byte == b':');
            let (name, rest) = host.split_at(end.unwrap_or(host.len()));
            (is_registered_name(name), rest)
        }
    };
    let is_end = match rest {
        [] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    };
    is_host && is_end
}

/// `IPv6address / IPvFuture`, without the brackets. No zone: it has a meaning only on its own machine.
fn is_ip_literal(literal: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = literal {
        let mut parts = future.splitn(2, |byte| *byte == b'.');
        let (version, address) = (parts.next().unwrap_or(b""), parts.next().unwrap_or(b""));
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address
                .iter()
                .all(|byte| *byte == b':' || is_name_byte(*byte));
    }
    str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// `*( unreserved / pct-encoded / sub-delims )`, not empty.
fn is_registered_name(mut name: &[u8]) -> bool {
    if name.is_empty() {
        return false;
    }
    loop {
        name = match name {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            [byte, rest @ ..] if is_name_byte(*byte) => rest,
            _ => return false,
        };
    }
}

/// `unreserved / sub-delims`.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{is_host, is_target_byte};

    #[test]
    fn a_host_is_a_name_or_an_address_and_maybe_a_port() {
        for host in [
            "a",
            "a.b-c",
            "a:80",
            "a:",
            "a:0",
            "a:65535",
            "a:00080",
            "127.0.0.1:8000",
            "[::1]",
            "[::1]:80",
            "[::1]:",
            "[::ffff:127.0.0.1]",
            "[v1.a:b]",
            "a_b",
            "x~y",
            "a%41b",
            "a%41b:80",
            "a!$&'()*+,;=",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":",
            ":80",
            "a b",
            "u@a",
            "a/b",
            "a:b",
            "a:80:90",
            "a:65536",
            "a:99999999999999999999",
            "a:-1",
            "a_b:65536",
            "[::1",
            "[::1]80",
            "[::1]:65536",
            "[zz]",
            "[]",
            "[::1%25eth0]",
            "[127.0.0.1]",
            "[v.a]",
            "[v1.]",
            "[vg.a]",
            "[[::1]]",
            "::1",
            "a?b",
            "a#b",
            "a%4",
            "a%zz",
            "a, b",
            "a\"b",
            "a\u{e9}",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_target_has_the_bytes_of_a_uri_and_those_that_browsers_send() {
        for byte in 0..=u8::MAX {
            let refused = !byte.is_ascii_graphic() || b"\"#<>".contains(&byte);
            assert_eq!(is_target_byte(byte), !refused, "{byte:#x}");
        }
    }
}
