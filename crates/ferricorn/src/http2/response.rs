//! Makes the head that h2 sends from the head that the app began.

use asgi_rules::{Framing, ResponseHead};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Response};

use crate::config::Config;
use crate::server_headers;

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
    add_server_headers(response.headers_mut(), config);
    response
}

/// Adds `server` and `date`.
pub(super) fn add_server_headers(headers: &mut HeaderMap, config: &Config) {
    server_headers::add_server(headers, config);
    server_headers::add_date(headers, config);
}
