//! Reads and shows the values of options. Knows no option by name.

use std::fmt;
use std::time::Duration;

use http::Uri;

/// The longest duration. A longer one has no use and may overflow `Instant + Duration`.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Describes a valid duration, for errors.
pub(super) const DURATION: &str = "a duration such as 30s, 500ms, 2m or 1h, at most 365d";

/// Reads `30` (seconds), `30s`, `500ms`, `2m`, `1h` or `1d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "" | "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3_600)?),
        "d" => Duration::from_secs(number.checked_mul(86_400)?),
        _ => return None,
    };
    (duration <= LONGEST).then_some(duration)
}

/// A duration as text, in seconds or milliseconds: `30s`, `500ms`.
pub(super) fn show_duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// Reads `65536`, `64KiB`, `1MiB` or `1GiB`.
pub(super) fn size(text: &str) -> Option<usize> {
    let (number, unit) = number_and_unit(text)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(number.checked_mul(factor)?).ok()
}

/// Whether a text is an origin as browsers send it (RFC 6454 §6.2): a scheme, a host and perhaps a
/// port. Browsers send `null` for a page without an origin.
pub(super) fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let bare = match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) => text == format!("{scheme}://{authority}"),
        _ => false,
    };
    bare || text == "null"
}

/// A size in the largest unit that divides it.
pub(super) fn show_size(size: usize) -> String {
    match size {
        0 => "0".to_owned(),
        size if size.is_multiple_of(1 << 30) => format!("{}GiB", size >> 30),
        size if size.is_multiple_of(1 << 20) => format!("{}MiB", size >> 20),
        size if size.is_multiple_of(1 << 10) => format!("{}KiB", size >> 10),
        size => size.to_string(),
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

/// The value of a setting, to show as plain text or as TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SettingValue {
    /// A number or a boolean, without quotes in TOML.
    Bare(String),
    Text(String),
    List(Vec<String>),
}

impl SettingValue {
    pub(super) fn toml(&self) -> String {
        match self {
            Self::Bare(text) => text.clone(),
            Self::Text(text) => quote(text),
            Self::List(texts) => {
                let quoted: Vec<_> = texts.iter().map(|text| quote(text)).collect();
                format!("[{}]", quoted.join(", "))
            }
        }
    }
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare(text) | Self::Text(text) => f.write_str(text),
            Self::List(texts) => f.write_str(&texts.join(", ")),
        }
    }
}

/// A TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            char if char.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(char)));
            }
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_without_a_unit_is_in_seconds() {
        let read: Vec<_> = ["30", "30s", "500ms", "2m", "1h", "365d", "0"]
            .map(duration)
            .into();
        let seconds = |number| Some(Duration::from_secs(number));
        assert_eq!(
            read,
            [
                seconds(30),
                seconds(30),
                Some(Duration::from_millis(500)),
                seconds(120),
                seconds(3_600),
                seconds(31_536_000),
                seconds(0)
            ]
        );
    }

    #[test]
    fn an_invalid_duration_is_refused() {
        for text in [
            "",
            "s",
            "-1",
            "1.5s",
            "30 s",
            "30S",
            "366d",
            "1m30s",
            "99999999999999999999",
            "18446744073709551615m",
        ] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_size_is_in_bytes_or_binary_units() {
        let read: Vec<_> = ["65536", "64KiB", "1MiB", "2GiB", "7B"].map(size).into();
        assert_eq!(
            read,
            [
                Some(65_536),
                Some(65_536),
                Some(1 << 20),
                Some(2 << 30),
                Some(7)
            ]
        );
        for text in ["", "KiB", "64kb", "64 KiB", "-1", "18446744073709551615GiB"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_value_can_be_read_again_after_it_is_shown() {
        for millis in [0, 1, 500, 1_000, 1_500, 75_000] {
            let shown = Duration::from_millis(millis);
            assert_eq!(duration(&show_duration(shown)), Some(shown));
        }
        for bytes in [0, 1, 1_023, 1_024, 65_536, 3 << 20, 1 << 30] {
            assert_eq!(size(&show_size(bytes)), Some(bytes));
        }
    }

    #[test]
    fn a_toml_string_escapes_quotes_backslashes_and_control_characters() {
        assert_eq!(quote("a\"b\\c\nd\u{1}é"), r#""a\"b\\c\nd\u0001é""#);
    }
}
