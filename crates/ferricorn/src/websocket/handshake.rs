//! The opening handshake: what a client must send (RFC 6455 §4.2, RFC 8441), and the server's answer.

use asgi::{Extension, HttpScope, WebSocketScope};
use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::deflate::{self, Agreement};
use crate::config::Config;
use crate::refusal::Refusal;
use crate::syntax::is_token_byte;

/// A handshake that is well formed.
#[derive(Debug)]
pub(crate) struct CheckedHandshake {
    /// The subprotocols that the client offers, the best first.
    subprotocols: Vec<String>,
    opening: Opening,
}

/// The server's part of the response that accepts a handshake.
#[derive(Debug)]
pub(crate) struct Opening {
    /// 101 or 200.
    pub(crate) status: StatusCode,
    /// The headers of the response that the app does not set.
    pub(crate) headers: HeaderMap,
    pub(crate) deflate: Option<Agreement>,
}

/// A refusal after which the connection goes on: the handshake is wrong, the request is sound.
const fn malformed(why: &'static str) -> Refusal {
    Refusal::bad_request(why).keeping_the_connection()
}

/// RFC 6455 §4.4: "it MUST respond with a |Sec-WebSocket-Version| header field"; RFC 9110 §15.5.22:
/// "The server MUST send an Upgrade header field in a 426 response".
const OTHER_VERSION: Refusal =
    Refusal::new(StatusCode::UPGRADE_REQUIRED, "a version other than 13")
        .with_headers(&[
            ("sec-websocket-version", "13"),
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
        ])
        .keeping_the_connection();

/// HTTP/2 has no `upgrade` (RFC 9113 §8.2.2), and so no 426.
const OTHER_VERSION_HTTP2: Refusal =
    malformed("a version other than 13").with_headers(&[("sec-websocket-version", "13")]);

const VERSION: HeaderValue = HeaderValue::from_static("13");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether a request of HTTP/1.1 asks for a WebSocket, well formed or not.
///
/// A client may ask for other protocols as well; the server chooses one.
///
/// RFC 9110 §7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option", and "A server
/// MAY ignore a received Upgrade header field". So a POST, or a request whose `connection` does not
/// name `upgrade`, is a plain request: usually a proxy has passed the header on by mistake.
pub(crate) fn is_upgrade_request(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET
        && has_token(headers, &UPGRADE, "websocket")
        && has_token(headers, &CONNECTION, "upgrade")
}

/// Checks a request of HTTP/1.1 that asks for a WebSocket. (RFC 6455 §4.2.1)
///
/// # Errors
///
/// The request is malformed, or its page may not open a WebSocket.
pub(crate) fn check_http1(
    request: &HttpScope,
    config: &Config,
) -> Result<CheckedHandshake, Refusal> {
    let headers = &request.headers;
    check_version(headers, OTHER_VERSION)?;
    let key =
        only(headers, &SEC_WEBSOCKET_KEY).map_err(|_| malformed("no key, or more than one"))?;
    if !is_key(key.as_bytes()) {
        return Err(malformed("the key is not 16 bytes in base64"));
    }
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let mut handshake = CheckedHandshake::new(StatusCode::SWITCHING_PROTOCOLS, headers, config)?;
    let answer = &mut handshake.opening.headers;
    answer.insert(UPGRADE, WEBSOCKET);
    answer.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok(handshake)
}

/// Checks an extended CONNECT for a WebSocket. It has no key, and neither has the answer. (RFC 8441 §5)
///
/// # Errors
///
/// As [`check_http1`].
pub(crate) fn check_http2(
    request: &HttpScope,
    config: &Config,
) -> Result<CheckedHandshake, Refusal> {
    check_version(&request.headers, OTHER_VERSION_HTTP2)?;
    CheckedHandshake::new(StatusCode::OK, &request.headers, config)
}

impl CheckedHandshake {
    fn new(status: StatusCode, headers: &HeaderMap, config: &Config) -> Result<Self, Refusal> {
        check_origin(headers, &config.ws_origins)?;
        let subprotocols = subprotocols(headers)?;
        let settings = deflate::DeflateSettings {
            window_bits: u8::try_from(config.ws_deflate_window_bits).unwrap_or(u8::MAX),
            context_takeover: config.ws_deflate_context_takeover,
        };
        let agreed = match config.ws_deflate {
            true => deflate::negotiate(headers, settings)
                .map_err(|_| malformed("sec-websocket-extensions is malformed"))?,
            false => None,
        };
        let mut answer = HeaderMap::new();
        let deflate = agreed.map(|(agreement, value)| {
            answer.insert(SEC_WEBSOCKET_EXTENSIONS, value);
            agreement
        });
        Ok(Self {
            subprotocols,
            opening: Opening {
                status,
                headers: answer,
                deflate,
            },
        })
    }

    /// Makes the scope of the socket from that of its request, and returns the server's part of the
    /// answer.
    pub(crate) fn into_scope(self, request: HttpScope) -> (Box<WebSocketScope>, Opening) {
        let mut scope = WebSocketScope::new(copy_target(&request.target));
        scope.version = request.version;
        scope.scheme = match &*request.scheme {
            "https" => "wss".into(),
            _ => "ws".into(),
        };
        scope.root_path = request.root_path;
        scope.headers = copy_headers(&request.headers);
        scope.subprotocols = self.subprotocols;
        scope.client = request.client;
        scope.server = request.server;
        scope.state = request.state;
        scope.extensions = request
            .extensions
            .without(Extension::EarlyHint)
            .without(Extension::Trailers)
            .with(Extension::WebSocketHttpResponse);
        (Box::new(scope), self.opening)
    }
}

/// Copies a target into memory of its own. A socket lives for long, and the buffer that its request
/// was read into is a hundred times as large.
pub(super) fn copy_target(target: &PathAndQuery) -> PathAndQuery {
    let bytes = Bytes::copy_from_slice(target.as_str().as_bytes());
    PathAndQuery::from_maybe_shared(bytes).unwrap_or_else(|_| target.clone())
}

/// Copies headers into memory of exactly their size.
fn copy_headers(headers: &HeaderMap) -> HeaderMap {
    let total = headers.values().map(HeaderValue::len).sum();
    let mut values = BytesMut::with_capacity(total);
    for value in headers.values() {
        values.extend_from_slice(value.as_bytes());
    }
    let mut values = values.freeze();
    let mut copy = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        let own = HeaderValue::from_maybe_shared(values.split_to(value.len()));
        copy.append(name, own.unwrap_or_else(|_| value.clone()));
    }
    copy
}

/// RFC 6455 §4.2.2: "If this version does not match a version understood by the server, the server
/// MUST abort the WebSocket handshake ... and instead send an appropriate HTTP error code (such as
/// 426 Upgrade Required) and a |Sec-WebSocket-Version| header field".
fn check_version(headers: &HeaderMap, other: Refusal) -> Result<(), Refusal> {
    match only(headers, &SEC_WEBSOCKET_VERSION) {
        Ok(version) if version == VERSION => Ok(()),
        Ok(_) => Err(other),
        Err(_) => Err(malformed("no version, or more than one")),
    }
}

/// A page of another site may open a socket with its visitor's cookies (RFC 6455 §10.2). Other clients
/// than browsers may send any origin, and mostly send none.
fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Refusal> {
    let is_allowed = |origin: &HeaderValue| {
        let mut allowed = allowed.iter().map(String::as_bytes);
        allowed.any(|allowed| allowed.eq_ignore_ascii_case(origin.as_bytes()))
    };
    if allowed.is_empty() || headers.get_all(ORIGIN).iter().all(is_allowed) {
        return Ok(());
    }
    let refusal = Refusal::new(StatusCode::FORBIDDEN, "an origin that is not allowed");
    Err(refusal.keeping_the_connection())
}

/// RFC 6455 §4.1: "The elements that comprise this value MUST be non-empty strings with characters in
/// the range U+0021 to U+007E not including separator characters ... and MUST all be unique strings."
fn subprotocols(headers: &HeaderMap) -> Result<Vec<String>, Refusal> {
    let mut offered: Vec<String> = Vec::new();
    for name in tokens(headers, &SEC_WEBSOCKET_PROTOCOL) {
        let sound = name.iter().all(|byte| is_token_byte(*byte));
        let Some(name) = std::str::from_utf8(name).ok().filter(|_| sound) else {
            return Err(malformed("a malformed subprotocol"));
        };
        if offered.iter().any(|before| before == name) {
            return Err(malformed("a subprotocol is offered twice"));
        }
        if offered.len() == MAX_SUBPROTOCOLS {
            return Err(malformed("too many subprotocols"));
        }
        offered.push(name.to_owned());
    }
    Ok(offered)
}

/// Each is compared with all before it: a head of 64 KiB has room for 30,000. Real clients offer less
/// than a dozen.
const MAX_SUBPROTOCOLS: usize = 100;

/// RFC 6455 §4.2.1: "a base64-encoded (see Section 4 of [RFC4648]) value that, when decoded, is 16
/// bytes in length".
fn is_key(key: &[u8]) -> bool {
    let [digits @ .., b'=', b'='] = key else {
        return false;
    };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.len() == 22 && digits.iter().all(is_digit)
}

/// The value of a header that must come exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a HeaderValue, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(()),
    }
}

/// The elements of a list, from all of its headers. Empty ones do not count (RFC 9110 §5.6.1).
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|one| one.eq_ignore_ascii_case(token.as_bytes()))
}
