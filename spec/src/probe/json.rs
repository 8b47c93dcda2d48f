//! Scopes and events as the probe reports them.

use std::fmt::Write;

use asgi::http::{HeaderMap, Version};
use asgi::{Address, Extensions, Message, ReceiveEvent, Scope, State, Tls};
use serde_json::{Value, json};

use super::event::StateText;

/// Reports a scope, with ASGI's names.
pub(super) fn scope(scope: &Scope) -> Value {
    /// The members that both kinds have.
    macro_rules! of_request {
        ($scope:ident) => {
            json!({
                "type": scope.kind(),
                "http_version": version($scope.version),
                "scheme": $scope.scheme,
                "target": $scope.target.as_str(),
                "path": $scope.path(),
                "root_path": $scope.root_path,
                "headers": headers(&$scope.headers),
                "client": address($scope.client.as_ref()),
                "server": address($scope.server.as_ref()),
                "state": state(&$scope.state),
                "extensions": extensions(&$scope.extensions),
                "tls": $scope.extensions.tls.is_some(),
                "tls_values": $scope.extensions.tls.as_deref().map(tls),
            })
        };
    }
    match scope {
        Scope::Http(http) => {
            let mut value = of_request!(http);
            value["method"] = http.method.as_str().into();
            value
        }
        Scope::WebSocket(socket) => {
            let mut value = of_request!(socket);
            value["subprotocols"] = json!(socket.subprotocols);
            value
        }
        _ => json!({ "type": scope.kind() }),
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "unknown",
    }
}

/// A header's value may have any byte, so each byte becomes the character of its number.
fn headers(headers: &HeaderMap) -> Value {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| json!([name.as_str(), latin1(value.as_bytes())]))
        .collect()
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn address(address: Option<&Address>) -> Value {
    match address {
        Some(Address::Ip(ip)) => ip.to_string().into(),
        Some(Address::Unix(path)) => format!("unix:{path:?}").into(),
        _ => Value::Null,
    }
}

pub(super) fn state(state: &State) -> Value {
    state
        .get_ref::<StateText>()
        .map_or(Value::Null, |text| text.0.clone().into())
}

fn extensions(extensions: &Extensions) -> Value {
    extensions
        .iter()
        .map(|extension| extension.name())
        .collect()
}

fn tls(tls: &Tls) -> Value {
    json!({
        "version": tls.version,
        "cipher_suite": tls.cipher_suite,
        "server_cert": tls.server_cert,
        "server_name": tls.server_name,
        "client_cert_chain": tls.client_cert_chain,
        "client_cert_name": tls.client_cert_name,
        "client_cert_error": tls.client_cert_error,
    })
}

/// Reports an event in one line.
pub(super) fn event(event: &ReceiveEvent) -> String {
    let mut line = String::from(event.name());
    // Writing to a string can't fail.
    let _ = match event {
        ReceiveEvent::HttpRequest(part) => {
            let more = if part.more_body { "more" } else { "last" };
            let body = bytes(&part.body);
            let trailers = part.trailers.as_deref().map(|trailers| {
                let pairs = trailers.iter();
                let pairs =
                    pairs.map(|(name, value)| format!(" {name}:{}", latin1(value.as_bytes())));
                pairs.collect::<String>()
            });
            write!(line, " {body} {more}{}", trailers.unwrap_or_default())
        }
        ReceiveEvent::HttpDisconnect(end) => write!(line, " {:?}", end.reason),
        ReceiveEvent::WebSocketReceive(receive) => match &receive.message {
            Message::Text(text) => write!(line, " text {}", bytes(text.as_bytes())),
            Message::Binary(data) => write!(line, " binary {}", bytes(data)),
            _ => Ok(()),
        },
        ReceiveEvent::WebSocketDisconnect(end) => write!(line, " {} {:?}", end.code, end.reason),
        _ => Ok(()),
    };
    line
}

/// Quotes short texts. Of longer data, the length says enough.
fn bytes(bytes: &[u8]) -> String {
    if bytes.len() > 200 {
        return format!("({} bytes)", bytes.len());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("\"{}\"", bytes.escape_ascii()),
    }
}
