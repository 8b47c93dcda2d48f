//! Reads the value of a `set-cookie` header (RFC 6265 §5.2).

use std::time::{Duration, SystemTime};

use super::date;

/// What a `set-cookie` header says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ParsedCookie {
    pub(super) name: String,
    pub(super) value: String,
    /// In lower case and without the dot at its beginning.
    pub(super) domain: Option<String>,
    pub(super) path: Option<String>,
    pub(super) secure: bool,
    pub(super) expires: Option<SystemTime>,
    /// The attributes as they stand.
    pub(super) attributes: String,
}

impl ParsedCookie {
    /// Returns `None` if the header is ignored as a whole. `now` is the moment from which `Max-Age`
    /// counts.
    pub(super) fn parse(text: &str, now: SystemTime) -> Option<Self> {
        let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
        // RFC 6265bis §5.6: a pair without "=" is a value without a name.
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let (name, value) = (name.trim(), value.trim());
        let has_control = text
            .chars()
            .any(|letter| letter.is_control() && letter != '\t');
        if (name.is_empty() && value.is_empty()) || has_control {
            return None;
        }
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            attributes: attributes.trim().to_owned(),
            ..Self::default()
        };
        let mut max_age = None;
        for attribute in attributes.split(';') {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match &*name.trim().to_ascii_lowercase() {
                "expires" => cookie.expires = date::parse(value).or(cookie.expires),
                "max-age" => max_age = expiry_after(value, now).or(max_age),
                "domain" if !value.is_empty() => {
                    let domain = value.strip_prefix('.').unwrap_or(value);
                    cookie.domain = Some(domain.to_ascii_lowercase());
                }
                "path" => {
                    let is_path = value.starts_with('/');
                    cookie.path = is_path.then(|| value.to_owned());
                }
                "secure" => cookie.secure = true,
                _ => {}
            }
        }
        // RFC 6265 §4.1.2.2: "If a cookie has both the Max-Age and the Expires attribute, the
        // Max-Age attribute has precedence".
        cookie.expires = max_age.or(cookie.expires);
        Some(cookie)
    }
}

/// RFC 6265 §5.2.2: a zero or a negative number is "the earliest representable date and time".
fn expiry_after(max_age: &str, now: SystemTime) -> Option<SystemTime> {
    let digits = max_age.strip_prefix('-').unwrap_or(max_age);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() < max_age.len() {
        return Some(SystemTime::UNIX_EPOCH);
    }
    /// RFC 6265bis §5.6.2: a user agent limits it to 400 days.
    const MOST: u64 = 400 * 24 * 60 * 60;
    match digits.parse().unwrap_or(MOST).min(MOST) {
        0 => Some(SystemTime::UNIX_EPOCH),
        seconds => Some(now + Duration::from_secs(seconds)),
    }
}
