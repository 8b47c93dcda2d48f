//! Rebuilds a scope from what the host lends.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use asgi::{Address, AppError, Extensions, HttpScope, LifespanScope, Scope, Tls, WebSocketScope};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Version};

use super::runtime::Application;
use crate::abi::{self, Str};
use crate::extensions::EXTENSIONS;
use crate::headers;

/// # Safety
///
/// `scope` must be valid.
pub(super) unsafe fn rebuild(
    scope: *const abi::Scope,
    application: &Application,
) -> Result<Scope, AppError> {
    // SAFETY: the caller's promise.
    let scope = unsafe { &*scope };
    match scope.kind {
        abi::SCOPE_LIFESPAN => Ok(LifespanScope::new().into()),
        // SAFETY: as above: all parts of a valid scope are valid.
        abi::SCOPE_HTTP => unsafe {
            let mut http = rebuild_http(scope).map_err(does_not_cross)?;
            http.state = application.state();
            Ok(Scope::Http(http))
        },
        // SAFETY: as above.
        abi::SCOPE_WEBSOCKET => unsafe {
            let mut websocket = rebuild_websocket(scope).map_err(does_not_cross)?;
            websocket.state = application.state();
            Ok(websocket.into())
        },
        kind => Err(format!("the server called with a scope of unknown kind {kind}").into()),
    }
}

fn does_not_cross(wrong: &'static str) -> AppError {
    format!("the server's scope does not cross: {wrong}").into()
}

/// # Safety
///
/// All parts of the scope must be valid.
unsafe fn rebuild_http(scope: &abi::Scope) -> Result<Box<HttpScope>, &'static str> {
    // SAFETY: the caller's promise, for each part.
    unsafe {
        let method =
            Method::from_bytes(scope.method.as_bytes()).map_err(|_| "a method that is no token")?;
        let (target, headers) = target_and_headers(scope)?;
        // Boxed at once: it is large.
        let mut http = Box::new(HttpScope::new(method, target));
        http.version = version(scope.http_version);
        http.scheme = scheme(scope.scheme);
        set_path(&mut http.path, scope.path);
        http.root_path = root_path(scope.root_path);
        http.headers = headers;
        http.client = address(&scope.client);
        http.server = address(&scope.server);
        http.extensions = extensions(scope);
        Ok(http)
    }
}

/// # Safety
///
/// All parts of the scope must be valid.
unsafe fn rebuild_websocket(scope: &abi::Scope) -> Result<WebSocketScope, &'static str> {
    // SAFETY: the caller's promise, for each part.
    unsafe {
        let (target, headers) = target_and_headers(scope)?;
        let mut websocket = WebSocketScope::new(target);
        websocket.version = version(scope.http_version);
        websocket.scheme = scheme(scope.scheme);
        set_path(&mut websocket.path, scope.path);
        websocket.root_path = root_path(scope.root_path);
        websocket.headers = headers;
        websocket.subprotocols = abi::slice(scope.subprotocols, scope.n_subprotocols)
            .iter()
            .map(|name| name.to_text().into_owned())
            .collect();
        websocket.client = address(&scope.client);
        websocket.server = address(&scope.server);
        websocket.extensions = extensions(scope);
        Ok(websocket)
    }
}

/// # Safety
///
/// The scope's target and headers must be valid.
unsafe fn target_and_headers(
    scope: &abi::Scope,
) -> Result<(PathAndQuery, HeaderMap), &'static str> {
    // SAFETY: the caller's promise.
    let (target, headers) =
        unsafe { headers::rebuild_beside(scope.target, scope.headers, scope.n_headers)? };
    let target = PathAndQuery::from_maybe_shared(target)
        .map_err(|_| "a target that is no path and query")?;
    Ok((target, headers))
}

/// Most paths are what their target says: then this is one already.
///
/// # Safety
///
/// The text must be valid.
unsafe fn set_path(path: &mut String, given: Str) {
    // SAFETY: the caller's promise.
    unsafe {
        if path.as_bytes() != given.as_bytes() {
            *path = given.to_text().into_owned();
        }
    }
}

fn version(version: u32) -> Version {
    match version {
        abi::HTTP_10 => Version::HTTP_10,
        abi::HTTP_2 => Version::HTTP_2,
        _ => Version::HTTP_11,
    }
}

/// # Safety
///
/// The text must be valid.
unsafe fn root_path(root_path: Str) -> Cow<'static, str> {
    if root_path.len == 0 {
        return Cow::Borrowed("");
    }
    // SAFETY: the caller's promise.
    Cow::Owned(unsafe { root_path.to_text() }.into_owned())
}

/// # Safety
///
/// The text must be valid.
unsafe fn scheme(scheme: Str) -> Cow<'static, str> {
    // SAFETY: the caller's promise.
    match unsafe { scheme.as_bytes() } {
        b"http" => Cow::Borrowed("http"),
        b"https" => Cow::Borrowed("https"),
        b"ws" => Cow::Borrowed("ws"),
        b"wss" => Cow::Borrowed("wss"),
        // SAFETY: the caller's promise.
        _ => Cow::Owned(unsafe { scheme.to_text() }.into_owned()),
    }
}

/// # Safety
///
/// The path, if there is one, must be valid.
unsafe fn address(address: &abi::Address) -> Option<Address> {
    let ip = address.ip;
    match address.kind {
        abi::ADDRESS_IPV4 => {
            let ip = Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]);
            Some(SocketAddr::from(SocketAddrV4::new(ip, address.port)).into())
        }
        abi::ADDRESS_IPV6 => {
            let ip = Ipv6Addr::from(ip);
            let v6 = SocketAddrV6::new(ip, address.port, address.flow, address.scope_id);
            Some(SocketAddr::from(v6).into())
        }
        abi::ADDRESS_UNIX if address.path.ptr.is_null() => Some(Address::Unix(None)),
        abi::ADDRESS_UNIX => {
            // SAFETY: the caller's promise.
            let path = unsafe { address.path.as_bytes() };
            Some(Address::Unix(Some(Arc::from(Path::new(
                OsStr::from_bytes(path),
            )))))
        }
        _ => None,
    }
}

/// # Safety
///
/// What TLS knows must be valid.
unsafe fn extensions(scope: &abi::Scope) -> Extensions {
    let mut extensions = EXTENSIONS
        .iter()
        .filter(|(bit, _)| scope.extensions & bit != 0)
        .fold(Extensions::new(), |all, (_, one)| all.with(*one));
    // SAFETY: the caller's promise.
    extensions.tls = unsafe { scope.tls.as_ref().map(|tls| Arc::new(rebuild_tls(tls))) };
    extensions
}

/// # Safety
///
/// All texts must be valid.
unsafe fn rebuild_tls(tls: &abi::Tls) -> Tls {
    let number = |number: u32| match number {
        0 => None,
        number => u16::try_from(number).ok(),
    };
    let text = |text: Str| {
        // SAFETY: the caller's promise.
        (!text.ptr.is_null()).then(|| unsafe { text.to_text() }.into_owned())
    };
    let mut rebuilt = Tls::new();
    rebuilt.version = number(tls.version);
    rebuilt.cipher_suite = number(tls.cipher_suite);
    rebuilt.server_cert = text(tls.server_cert);
    // SAFETY: the caller's promise.
    rebuilt.client_cert_chain =
        unsafe { abi::slice(tls.client_cert_chain, tls.n_client_cert_chain) }
            .iter()
            .filter_map(|certificate| text(*certificate))
            .collect();
    rebuilt.client_cert_name = text(tls.client_cert_name);
    rebuilt.client_cert_error = text(tls.client_cert_error);
    rebuilt.server_name = text(tls.server_name);
    rebuilt
}
