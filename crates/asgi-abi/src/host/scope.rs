//! Lends a scope to a library.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

use asgi::{Address, Extensions, HttpScope, Scope, Tls, WebSocketScope};
use http::Version;

use crate::abi::{self, Str};
use crate::extensions::EXTENSIONS;
use crate::headers;

/// Lends `scope` for as long as `call` runs; `None` for a kind that cannot cross.
pub(super) fn lend<R>(
    scope: &Scope,
    exchange: Option<u64>,
    call: impl FnOnce(*const abi::Scope) -> R,
) -> Option<R> {
    let exchange = exchange.unwrap_or(0);
    let call = |lent: &mut abi::Scope| {
        lent.exchange = exchange;
        call(lent)
    };
    match scope {
        Scope::Http(http) => Some(lend_http(http, call)),
        Scope::WebSocket(websocket) => Some(lend_websocket(websocket, call)),
        Scope::Lifespan(_) => Some(call(&mut abi::Scope::new(abi::SCOPE_LIFESPAN))),
        _ => None,
    }
}

/// Drops a scope that was lent, but for what can be used again.
pub(super) fn recycle(scope: Scope) {
    match scope {
        Scope::Http(http) => headers::recycle(http.headers),
        Scope::WebSocket(websocket) => headers::recycle(websocket.headers),
        _ => {}
    }
}

fn lend_http<R>(http: &HttpScope, call: impl FnOnce(&mut abi::Scope) -> R) -> R {
    headers::with_lent(&http.headers, |headers| {
        with_tls(http.extensions.tls.as_deref(), |tls| {
            let mut scope = abi::Scope {
                http_version: version(http.version),
                method: Str::new(http.method.as_str()),
                scheme: Str::new(&http.scheme),
                target: Str::new(http.target.as_str()),
                path: Str::new(&http.path),
                root_path: Str::new(&http.root_path),
                headers: headers.as_ptr(),
                n_headers: headers.len(),
                client: address(http.client.as_ref()),
                server: address(http.server.as_ref()),
                extensions: bits(&http.extensions),
                tls,
                ..abi::Scope::new(abi::SCOPE_HTTP)
            };
            call(&mut scope)
        })
    })
}

fn lend_websocket<R>(websocket: &WebSocketScope, call: impl FnOnce(&mut abi::Scope) -> R) -> R {
    let subprotocols: Vec<Str> = websocket
        .subprotocols
        .iter()
        .map(|name| Str::new(name))
        .collect();
    headers::with_lent(&websocket.headers, |headers| {
        with_tls(websocket.extensions.tls.as_deref(), |tls| {
            let mut scope = abi::Scope {
                http_version: version(websocket.version),
                scheme: Str::new(&websocket.scheme),
                target: Str::new(websocket.target.as_str()),
                path: Str::new(&websocket.path),
                root_path: Str::new(&websocket.root_path),
                headers: headers.as_ptr(),
                n_headers: headers.len(),
                subprotocols: subprotocols.as_ptr(),
                n_subprotocols: subprotocols.len(),
                client: address(websocket.client.as_ref()),
                server: address(websocket.server.as_ref()),
                extensions: bits(&websocket.extensions),
                tls,
                ..abi::Scope::new(abi::SCOPE_WEBSOCKET)
            };
            call(&mut scope)
        })
    })
}

fn version(version: Version) -> u32 {
    match version {
        Version::HTTP_10 => abi::HTTP_10,
        Version::HTTP_2 => abi::HTTP_2,
        _ => abi::HTTP_11,
    }
}

fn address(address: Option<&Address>) -> abi::Address {
    let mut lent = abi::Address::NONE;
    match address {
        Some(Address::Ip(SocketAddr::V4(v4))) => {
            lent.kind = abi::ADDRESS_IPV4;
            lent.port = v4.port();
            lent.ip[..4].copy_from_slice(&v4.ip().octets());
        }
        Some(Address::Ip(SocketAddr::V6(v6))) => {
            lent.kind = abi::ADDRESS_IPV6;
            lent.port = v6.port();
            lent.ip = v6.ip().octets();
            lent.flow = v6.flowinfo();
            lent.scope_id = v6.scope_id();
        }
        Some(Address::Unix(path)) => {
            lent.kind = abi::ADDRESS_UNIX;
            if let Some(path) = path {
                let path: &OsStr = path.as_os_str();
                lent.path = Str::from_bytes(path.as_bytes());
            }
        }
        _ => {}
    }
    lent
}

/// Without `debug`: it carries Rust values, for a test client in the same program.
fn bits(extensions: &Extensions) -> u64 {
    EXTENSIONS
        .iter()
        .filter(|(_, one)| extensions.has(*one))
        .fold(0, |bits, (bit, _)| bits | bit)
}

/// Lends what TLS knows for as long as `call` runs; NULL where there is no TLS.
fn with_tls<R>(tls: Option<&Tls>, call: impl FnOnce(*const abi::Tls) -> R) -> R {
    let Some(tls) = tls else {
        return call(std::ptr::null());
    };
    let text = |text: &Option<String>| text.as_deref().map_or(Str::NULL, Str::new);
    let chain = tls.client_cert_chain.iter();
    let chain: Vec<Str> = chain.map(|certificate| Str::new(certificate)).collect();
    let lent = abi::Tls {
        version: tls.version.map_or(0, u32::from),
        cipher_suite: tls.cipher_suite.map_or(0, u32::from),
        server_cert: text(&tls.server_cert),
        client_cert_chain: chain.as_ptr(),
        n_client_cert_chain: chain.len(),
        client_cert_name: text(&tls.client_cert_name),
        client_cert_error: text(&tls.client_cert_error),
        server_name: text(&tls.server_name),
    };
    call(&raw const lent)
}
