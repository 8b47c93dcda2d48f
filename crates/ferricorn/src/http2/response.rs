//! From what the app begins to the head that h2 sends.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use asgi_rules::{Framing, ResponseHead};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, SERVER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::Config;

/// The head of an app's response.
pub(super) fn head(head: ResponseHead, config: &Config) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if let Framing::Length(length) = head.framing {
        let headers = response.headers_mut();
        if !headers.contains_key(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
    adorn(response.headers_mut(), config);
    response
}

/// The head of a response of the server's own, with a text of this length.
pub(super) fn refusal(status: StatusCode, length: usize, config: &Config) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    adorn(headers, config);
    response
}

fn adorn(headers: &mut HeaderMap, config: &Config) {
    if config.server_header {
        headers
            .entry(SERVER)
            .or_insert(HeaderValue::from_static("ferricorn"));
    }
    if config.date_header
        && !headers.contains_key(DATE)
        && let Some(date) = date()
    {
        headers.insert(DATE, date);
    }
}

/// The value of `date`, made once a second for each thread.
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
