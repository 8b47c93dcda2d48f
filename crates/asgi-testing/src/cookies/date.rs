//! Reads the date of a cookie, in the many forms that servers write (RFC 6265 §5.1.1).

use std::time::{Duration, SystemTime};

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

#[derive(Default)]
struct DateParts {
    time: Option<(u64, u64, u64)>,
    day: Option<u64>,
    month: Option<u64>,
    year: Option<u64>,
}

/// Returns the moment, or `None` if the text is no date. Dates before 1970 are the beginning of 1970.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let mut parts = DateParts::default();
    let is_delimiter = |letter: char| !letter.is_ascii_alphanumeric() && letter != ':';
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        if parts.time.is_none() && time(token).is_some() {
            parts.time = time(token);
        } else if parts.day.is_none() && number(token, 1..=2).is_some() {
            parts.day = number(token, 1..=2);
        } else if parts.month.is_none() && month(token).is_some() {
            parts.month = month(token);
        } else if parts.year.is_none() {
            parts.year = number(token, 2..=4);
        }
    }
    let ((hour, minute, second), day, month) = (parts.time?, parts.day?, parts.month?);
    let year = match parts.year? {
        year @ 70..=99 => year + 1900,
        year @ 0..=69 => year + 2000,
        year => year,
    };
    let is_valid = (1601..10_000).contains(&year)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_valid {
        return None;
    }
    let days = days_since_1970(year, month, day);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Digits at the beginning of a token, if their number is right.
fn number(token: &str, length: std::ops::RangeInclusive<usize>) -> Option<u64> {
    let end = token
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(token.len());
    if !length.contains(&end) {
        return None;
    }
    token[..end].parse().ok()
}

fn time(token: &str) -> Option<(u64, u64, u64)> {
    let mut fields = token.splitn(3, ':');
    let mut field = || number(fields.next()?, 1..=2);
    Some((field()?, field()?, field()?))
}

fn month(token: &str) -> Option<u64> {
    let name = token.get(..3)?.to_ascii_lowercase();
    let position = MONTHS.iter().position(|month| *month == name)?;
    Some(position as u64 + 1)
}

/// Counts the days in the Gregorian calendar. Years begin in March here, so that the leap day is the
/// last day of a year.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let days_before_month = (153 * month + 2) / 5;
    let days_before_year = year * 365 + year / 4 - year / 100 + year / 400;
    /// From the first of March of the year 0 to the first of January 1970.
    const DAYS_BEFORE_1970: u64 = 719_468;
    (days_before_year + days_before_month + day - 1).saturating_sub(DAYS_BEFORE_1970)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::parse;

    #[test]
    fn dates_are_read_in_every_form() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sun, 06-Nov-1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 1 Jan 1970 00:00:01 GMT", Some(1)),
            ("Tue, 29 Feb 2000 00:00:00 GMT", Some(951_782_400)),
            ("Thu, 31 Dec 2099 23:59:59 GMT", Some(4_102_444_799)),
            ("Mon, 01 Mar 2100 00:00:00 GMT", Some(4_107_542_400)),
            ("06 Nov 1600 08:49:37", None),
            ("06 Nov 1994 24:00:00", None),
            ("32 Nov 1994 00:00:00", None),
            ("06 Nov 1994", None),
            ("tomorrow", None),
            ("", None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            let expected = expected.map(|since| SystemTime::UNIX_EPOCH + since);
            assert_eq!(parse(text), expected, "{text}");
        }
        let before = parse("06 Nov 1894 08:49:37").unwrap();
        assert!(before < SystemTime::UNIX_EPOCH + Duration::from_secs(86_400));
    }
}
