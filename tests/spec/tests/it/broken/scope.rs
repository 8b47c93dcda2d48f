//! Scopes that say something else.

use std::sync::Arc;

use asgi::http::{HeaderValue, Method, Version};
use asgi::{Address, Extension, Extensions, HttpScope, Scope, State, Tls};

use super::exchange::Process;

pub(super) fn break_scope(id: &str, scope: &mut Scope, process: &Process) {
    if let Some((client, server)) = ends(scope)
        && let Some(Address::Ip(wire)) = client
        && let Some((real, entry)) = process.wires.lock().unwrap().get(wire)
    {
        *client = Some(Address::Ip(*real));
        *server = Some(Address::Ip(*entry));
    }
    match scope {
        Scope::Http(http) => break_http(id, http, process),
        Scope::WebSocket(socket) => match id {
            "WS-001" => drop(socket.headers.remove("x-many")),
            "WS-002" => socket.scheme = "http".into(),
            "WS-003" => socket.subprotocols.reverse(),
            "DENY-001" => socket.extensions = Extensions::new(),
            _ => {}
        },
        _ => {}
    }
}

type Ends<'a> = (&'a mut Option<Address>, &'a mut Option<Address>);

fn ends(scope: &mut Scope) -> Option<Ends<'_>> {
    match scope {
        Scope::Http(http) => Some((&mut http.client, &mut http.server)),
        Scope::WebSocket(socket) => Some((&mut socket.client, &mut socket.server)),
        _ => None,
    }
}

fn break_http(id: &str, http: &mut HttpScope, process: &Process) {
    let offer = |extension| http.extensions.clone().with(extension);
    match id {
        "CORE-022" => http.state = State::new(),
        "CORE-023" => {
            if let Some(state) = process.state.lock().unwrap().clone() {
                http.state = state;
            }
        }
        "CORE-024" => http.extensions = offer(Extension::Push),
        "CORE-026" => http.extensions.tls = Some(Arc::new(Tls::new())),
        "HTTP-001" => http.version = Version::HTTP_2,
        "HTTP-002" => http.method = Method::GET,
        "HTTP-003" => http.scheme = "https".into(),
        // Slashes that are joined, a second layer of escapes, a percent sign that is left out, and bytes
        // that are read as Latin-1.
        "HTTP-004" => change_path(http, |path| path.replace("//", "/")),
        "HTTP-005" => change_path(http, |path| path.replace("%2f", "%252f")),
        "HTTP-006" => change_path(http, |path| path.replace("%zz", "zz")),
        "HTTP-007" => change_path(http, |path| path.replace("%FF", "%C3%BF")),
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
        "HTTP-056" => http.extensions = offer(Extension::EarlyHint),
        "HTTP-060" => http.extensions = offer(Extension::PathSend),
        "HTTP-061" => http.extensions = offer(Extension::Debug),
        "HTTP-073" if http.target == "*" => http.target = "/".parse().unwrap(),
        "TRAIL-001" => http.extensions = offer(Extension::Trailers),
        _ => {}
    }
}

fn change_path(http: &mut HttpScope, change: impl FnOnce(&str) -> String) {
    let query = http.target.query().map(|query| format!("?{query}"));
    let target = change(http.target.path()) + &query.unwrap_or_default();
    if let Ok(target) = target.parse() {
        http.target = target;
    }
}
