//! The headers that the server adds to every response: `server` and `date`.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{DATE, SERVER};
use http::{HeaderMap, HeaderValue};

use crate::config::Config;

/// Adds `server`, unless the app has set it or the operator turned it off.
pub(crate) fn add_server(headers: &mut HeaderMap, config: &Config) {
    if config.server_header {
        headers
            .entry(SERVER)
            .or_insert(HeaderValue::from_static("ferricorn"));
    }
}

/// Adds `date`, unless the app has set it or the operator turned it off. On HTTP/1, hyper adds its
/// own `date` to the responses that it writes.
pub(crate) fn add_date(headers: &mut HeaderMap, config: &Config) {
    if config.date_header
        && !headers.contains_key(DATE)
        && let Some(date) = date()
    {
        headers.insert(DATE, date);
    }
}

/// The value of `date`. Each thread makes it once a second.
fn date() -> Option<HeaderValue> {
    thread_local! {
        static LAST: RefCell<(Duration, Option<HeaderValue>)> = const {
            RefCell::new((Duration::ZERO, None))
        };
    }
    let now = SystemTime::now();
    let since_epoch = now.duration_since(UNIX_EPOCH).ok()?;
    LAST.with_borrow_mut(|(second, value)| {
        if value.is_none() || second.as_secs() != since_epoch.as_secs() {
            *second = since_epoch;
            *value = HeaderValue::try_from(httpdate::fmt_http_date(now)).ok();
        }
        value.clone()
    })
}
