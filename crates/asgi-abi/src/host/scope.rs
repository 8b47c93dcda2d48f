//! Converts a scope to the ABI, for one call of a library.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

use asgi::{Address, Extensions, HttpScope, Scope, Tls, WebSocketScope};
use http::Version;

use crate::abi::{self, Str};
use crate::extensions::EXTENSIONS;
use crate::headers;

/// Calls `f` with `scope` as a scope of the ABI, which is valid only during `f`. Returns `None` for a
/// kind of scope that cannot cross.
pub(super) fn with_abi_scope<R>(
    scope: &Scope,
    exchange: Option<u64>,
    f: impl FnOnce(*const abi::Scope) -> R,
) -> Option<R> {
    let exchange = exchange.unwrap_or(0);
    let f = |scope: &mut abi::Scope| {
        scope.exchange = exchange;
        f(scope)
    };
    match scope {
        Scope::Http(http) => Some(with_http(http, f)),
        Scope::WebSocket(websocket) => Some(with_websocket(websocket, f)),
        Scope::Lifespan(_) => Some(f(&mut abi::Scope::new(abi::SCOPE_LIFESPAN))),
        _ => None,
    }
}

/// Drops a scope, but keeps the allocation of its headers for the next one.
pub(super) fn recycle(scope: Scope) {
    match scope {
        Scope::Http(http) => headers::recycle(http.headers),
        Scope::WebSocket(websocket) => headers::recycle(websocket.headers),
        _ => {}
    }
}

fn with_http<R>(http: &HttpScope, f: impl FnOnce(&mut abi::Scope) -> R) -> R {
    let path = http.path();
    let flags = match http.has_body() {
        true => 0,
        false => abi::SCOPE_WITHOUT_BODY,
    };
    headers::with_abi_headers(&http.headers, |headers| {
        with_tls(http.extensions.tls.as_deref(), |tls| {
            let mut scope = abi::Scope {
                http_version: version(http.version),
                flags,
                method: Str::new(http.method.as_str()),
                scheme: Str::new(&http.scheme),
                target: Str::new(http.target.as_str()),
                path: Str::new(&path),
                root_path: Str::new(&http.root_path),
                headers: headers.as_ptr(),
                n_headers: headers.len(),
                client: address(http.client.as_ref()),
                server: address(http.server.as_ref()),
                extensions: bits(&http.extensions),
                tls,
                ..abi::Scope::new(abi::SCOPE_HTTP)
            };
            f(&mut scope)
        })
    })
}

fn with_websocket<R>(websocket: &WebSocketScope, f: impl FnOnce(&mut abi::Scope) -> R) -> R {
    let subprotocols: Vec<Str> = websocket
        .subprotocols
        .iter()
        .map(|name| Str::new(name))
        .collect();
    let path = websocket.path();
    headers::with_abi_headers(&websocket.headers, |headers| {
        with_tls(websocket.extensions.tls.as_deref(), |tls| {
            let mut scope = abi::Scope {
                http_version: version(websocket.version),
                scheme: Str::new(&websocket.scheme),
                target: Str::new(websocket.target.as_str()),
                path: Str::new(&path),
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
            f(&mut scope)
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
    let mut converted = abi::Address::NONE;
    match address {
        Some(Address::Ip(SocketAddr::V4(v4))) => {
            converted.kind = abi::ADDRESS_IPV4;
            converted.port = v4.port();
            converted.ip[..4].copy_from_slice(&v4.ip().octets());
        }
        Some(Address::Ip(SocketAddr::V6(v6))) => {
            converted.kind = abi::ADDRESS_IPV6;
            converted.port = v6.port();
            converted.ip = v6.ip().octets();
            converted.flow = v6.flowinfo();
            converted.scope_id = v6.scope_id();
        }
        Some(Address::Unix(path)) => {
            converted.kind = abi::ADDRESS_UNIX;
            if let Some(path) = path {
                let path: &OsStr = path.as_os_str();
                converted.path = Str::from_bytes(path.as_bytes());
            }
        }
        _ => {}
    }
    converted
}

/// The bits of all extensions but `debug`, whose values are Rust types for a test client in the same
/// program.
fn bits(extensions: &Extensions) -> u64 {
    EXTENSIONS
        .iter()
        .filter(|(_, one)| extensions.has(*one))
        .fold(0, |bits, (bit, _)| bits | bit)
}

/// Calls `f` with `tls` as a struct of the ABI, which is valid only during `f`; NULL without TLS.
fn with_tls<R>(tls: Option<&Tls>, f: impl FnOnce(*const abi::Tls) -> R) -> R {
    let Some(tls) = tls else {
        return f(std::ptr::null());
    };
    let text = |text: &Option<String>| text.as_deref().map_or(Str::NULL, Str::new);
    let chain = tls.client_cert_chain.iter();
    let chain: Vec<Str> = chain.map(|certificate| Str::new(certificate)).collect();
    let converted = abi::Tls {
        version: tls.version.map_or(0, u32::from),
        cipher_suite: tls.cipher_suite.map_or(0, u32::from),
        server_cert: text(&tls.server_cert),
        client_cert_chain: chain.as_ptr(),
        n_client_cert_chain: chain.len(),
        client_cert_name: text(&tls.client_cert_name),
        client_cert_error: text(&tls.client_cert_error),
        server_name: text(&tls.server_name),
    };
    f(&raw const converted)
}
