//! Scopes that say something else.

use std::sync::Arc;

use asgi::http::{HeaderValue, Method, Version};
use asgi::{Address, Extension, Scope, State, Tls};

pub(super) fn break_scope(id: &str, scope: &mut Scope) {
    let http = match scope {
        Scope::Http(http) => http,
        Scope::WebSocket(socket) => {
            match id {
                "WS-001" => drop(socket.headers.remove("x-many")),
                "WS-002" => socket.scheme = "http".into(),
                "WS-003" => socket.subprotocols.reverse(),
                _ => {}
            }
            return;
        }
        _ => return,
    };
    let offer = |extension| http.extensions.clone().with(extension);
    match id {
        "CORE-022" => http.state = State::new(),
        "CORE-024" => http.extensions = offer(Extension::Push),
        "CORE-026" => http.extensions.tls = Some(Arc::new(Tls::new())),
        "HTTP-001" => http.version = Version::HTTP_2,
        "HTTP-002" => http.method = Method::GET,
        "HTTP-003" => http.scheme = "https".into(),
        "HTTP-004" => {
            let target = format!("{}&more", http.target);
            http.target = target.parse().unwrap();
        }
        "HTTP-008" => {
            if let Some(first) = http.headers.get("x-many").cloned() {
                http.headers.insert("x-many", first);
            }
        }
        "HTTP-010" => {
            http.headers
                .insert("host", HeaderValue::from_static("suite"));
        }
        "HTTP-011" => http.client = Some(Address::Ip(([192, 0, 2, 1], 1).into())),
        "HTTP-060" => http.extensions = offer(Extension::PathSend),
        "HTTP-061" => http.extensions = offer(Extension::Debug),
        "HTTP-073" if http.target == "*" => http.target = "/".parse().unwrap(),
        _ => {}
    }
}
