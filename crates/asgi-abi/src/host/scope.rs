//! Lends a scope to a library.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

use asgi::{Address, Extension, Extensions, HttpScope, Scope, Tls};
use http::Version;

use crate::abi::{self, Str};
use crate::fields;

/// Lends `scope` for as long as `call` runs; `None` for a kind that cannot cross.
pub(super) fn lend<R>(scope: &Scope, call: impl FnOnce(*const abi::Scope) -> R) -> Option<R> {
    match scope {
        Scope::Http(http) => Some(lend_http(http, call)),
        Scope::Lifespan(_) => {
            let lifespan = empty(abi::SCOPE_LIFESPAN);
            Some(call(&raw const lifespan))
        }
        _ => None,
    }
}

fn lend_http<R>(http: &HttpScope, call: impl FnOnce(*const abi::Scope) -> R) -> R {
    let headers = fields::lend(&http.headers);
    let tls = http.extensions.tls.as_deref();
    let chain: Vec<Str> = tls.map_or_else(Vec::new, |tls| {
        let chain = tls.client_cert_chain.iter();
        chain.map(|certificate| Str::new(certificate)).collect()
    });
    let tls = tls.map(|tls| lend_tls(tls, &chain));
    let scope = abi::Scope {
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
        extensions: extensions(&http.extensions),
        tls: tls.as_ref().map_or(std::ptr::null(), |tls| &raw const *tls),
        ..empty(abi::SCOPE_HTTP)
    };
    call(&raw const scope)
}

/// A scope of this kind, with nothing in it.
const fn empty(kind: u32) -> abi::Scope {
    abi::Scope {
        size: size_of::<abi::Scope>() as u32,
        kind,
        http_version: 0,
        reserved: 0,
        method: Str::NULL,
        scheme: Str::NULL,
        target: Str::NULL,
        path: Str::NULL,
        root_path: Str::NULL,
        headers: std::ptr::null(),
        n_headers: 0,
        client: abi::Address::NONE,
        server: abi::Address::NONE,
        extensions: 0,
        tls: std::ptr::null(),
    }
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

/// Only what the events of this version can do.
fn extensions(extensions: &Extensions) -> u64 {
    [
        (abi::EXTENSION_PUSH, Extension::Push),
        (abi::EXTENSION_EARLY_HINT, Extension::EarlyHint),
        (abi::EXTENSION_TRAILERS, Extension::Trailers),
    ]
    .into_iter()
    .filter(|(_, one)| extensions.has(*one))
    .fold(0, |bits, (bit, _)| bits | bit)
}

fn lend_tls(tls: &Tls, chain: &[Str]) -> abi::Tls {
    let text = |text: &Option<String>| text.as_deref().map_or(Str::NULL, Str::new);
    abi::Tls {
        version: tls.version.map_or(0, u32::from),
        cipher_suite: tls.cipher_suite.map_or(0, u32::from),
        server_cert: text(&tls.server_cert),
        client_cert_chain: chain.as_ptr(),
        n_client_cert_chain: chain.len(),
        client_cert_name: text(&tls.client_cert_name),
        client_cert_error: text(&tls.client_cert_error),
        server_name: text(&tls.server_name),
    }
}
