//! Builds the app's scope from the scope that the host passes to `call`.

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

/// Builds a scope, with a clone of the app's state.
///
/// # Safety
///
/// `scope` and all its parts must be valid.
pub(super) unsafe fn from_abi(
    scope: *const abi::Scope,
    application: &Application,
) -> Result<Scope, AppError> {
    // SAFETY: the caller promises that the scope is valid.
    let scope = unsafe { &*scope };
    match scope.kind {
        abi::SCOPE_LIFESPAN => Ok(LifespanScope::new().into()),
        // SAFETY: the caller promises that all parts are valid.
        abi::SCOPE_HTTP => unsafe {
            let mut http = http_from_abi(scope).map_err(invalid_scope)?;
            http.state = application.state();
            Ok(Scope::Http(http))
        },
        // SAFETY: the caller promises that all parts are valid.
        abi::SCOPE_WEBSOCKET => unsafe {
            let mut websocket = websocket_from_abi(scope).map_err(invalid_scope)?;
            websocket.state = application.state();
            Ok(websocket.into())
        },
        kind => Err(format!("the server passed a scope of unknown kind {kind}").into()),
    }
}

fn invalid_scope(why: &'static str) -> AppError {
    format!("the server passed an invalid scope: {why}").into()
}

/// # Safety
///
/// All parts of the scope must be valid.
unsafe fn http_from_abi(scope: &abi::Scope) -> Result<Box<HttpScope>, &'static str> {
    // SAFETY: the caller promises that all parts are valid.
    unsafe {
        let method =
            Method::from_bytes(scope.method.as_bytes()).map_err(|_| "an invalid method")?;
        let (target, headers) = target_and_headers(scope)?;
        // Boxed at once, because it is large.
        let mut http = Box::new(HttpScope::new(method, target));
        http.version = version(scope.http_version);
        http.scheme = scheme(scope.scheme);
        http.root_path = root_path(scope.root_path);
        http.headers = headers;
        http.client = address(&scope.client);
        http.server = address(&scope.server);
        http.extensions = extensions(scope);
        if scope.flags & abi::SCOPE_WITHOUT_BODY != 0 && http.has_body() {
            http.set_without_body();
        }
        Ok(http)
    }
}

/// # Safety
///
/// All parts of the scope must be valid.
unsafe fn websocket_from_abi(scope: &abi::Scope) -> Result<WebSocketScope, &'static str> {
    // SAFETY: the caller promises that all parts are valid.
    unsafe {
        let (target, headers) = target_and_headers(scope)?;
        let mut websocket = WebSocketScope::new(target);
        websocket.version = version(scope.http_version);
        websocket.scheme = scheme(scope.scheme);
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
/// The target and the headers of the scope must be valid.
unsafe fn target_and_headers(
    scope: &abi::Scope,
) -> Result<(PathAndQuery, HeaderMap), &'static str> {
    // SAFETY: the caller promises that the target and the headers are valid.
    let (target, headers) =
        unsafe { headers::from_abi_with_text(scope.target, scope.headers, scope.n_headers)? };
    let target = PathAndQuery::from_maybe_shared(target).map_err(|_| "an invalid target")?;
    Ok((target, headers))
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
    // SAFETY: the caller promises that the text is valid.
    Cow::Owned(unsafe { root_path.to_text() }.into_owned())
}

/// # Safety
///
/// The text must be valid.
unsafe fn scheme(scheme: Str) -> Cow<'static, str> {
    // SAFETY: the caller promises that the text is valid.
    match unsafe { scheme.as_bytes() } {
        b"http" => Cow::Borrowed("http"),
        b"https" => Cow::Borrowed("https"),
        b"ws" => Cow::Borrowed("ws"),
        b"wss" => Cow::Borrowed("wss"),
        // SAFETY: as above.
        _ => Cow::Owned(unsafe { scheme.to_text() }.into_owned()),
    }
}

/// # Safety
///
/// The path of the address must be valid or NULL.
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
            // SAFETY: the caller promises that the path is valid.
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
/// `tls` of the scope must be NULL or valid, with all its texts.
unsafe fn extensions(scope: &abi::Scope) -> Extensions {
    let mut extensions = EXTENSIONS
        .iter()
        .filter(|(bit, _)| scope.extensions & bit != 0)
        .fold(Extensions::new(), |all, (_, one)| all.with(*one));
    // SAFETY: the caller promises that `tls` is NULL or valid.
    extensions.tls = unsafe { scope.tls.as_ref().map(|tls| Arc::new(tls_from_abi(tls))) };
    extensions
}

/// # Safety
///
/// All texts of `tls` must be valid.
unsafe fn tls_from_abi(tls: &abi::Tls) -> Tls {
    let number = |number: u32| match number {
        0 => None,
        number => u16::try_from(number).ok(),
    };
    let text = |text: Str| {
        // SAFETY: the caller of `tls_from_abi` promises that the text is valid.
        (!text.ptr.is_null()).then(|| unsafe { text.to_text() }.into_owned())
    };
    let mut converted = Tls::new();
    converted.version = number(tls.version);
    converted.cipher_suite = number(tls.cipher_suite);
    converted.server_cert = text(tls.server_cert);
    // SAFETY: the caller promises that the array is valid.
    converted.client_cert_chain =
        unsafe { abi::slice(tls.client_cert_chain, tls.n_client_cert_chain) }
            .iter()
            .filter_map(|certificate| text(*certificate))
            .collect();
    converted.client_cert_name = text(tls.client_cert_name);
    converted.client_cert_error = text(tls.client_cert_error);
    converted.server_name = text(tls.server_name);
    converted
}
