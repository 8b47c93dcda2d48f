//! The cases: each checks one requirement over one protocol.
//!
//! A case is an async function whose name is the rule. Its script is what the client sends and what
//! the probe does.

/// Lists the cases of a file: the transports, then the id and the function of each case that runs
/// over all of them.
macro_rules! cases {
    ($([$transport:ident] $($id:literal $name:ident,)*)*) => {
        pub(super) const CASES: &[$crate::cases::Case] = &[$($($crate::cases::Case {
            id: $id,
            name: stringify!($name),
            transports: cases!(@over $transport),
            run: |server| Box::pin($name(server)),
        }),*),*];
    };
    (@over Http) => { &[$crate::cases::Transport::Http1, $crate::cases::Transport::Http2] };
    (@over Sockets) => {
        &[$crate::cases::Transport::WebSocket, $crate::cases::Transport::WebSocketHttp2]
    };
    (@over $transport:ident) => { &[$crate::cases::Transport::$transport] };
}

mod abi;
mod core;
mod file;
mod file_parts;
mod http2;
mod http_body;
mod http_end;
mod http_extension;
mod http_own;
mod http_response;
mod http_scope;
mod lifespan;
mod limit;
mod push;
mod push_exchange;
mod python;
mod tls;
mod websocket_deflate;
mod websocket_drain;
mod websocket_handshake;
mod websocket_http2;
mod websocket_messages;
mod without;

use std::pin::Pin;

pub(crate) use self::python::{basis_in_python, not_in_python};
pub(crate) use self::without::missing;
#[cfg(feature = "cli")]
pub(crate) use self::without::not_observable;
#[cfg(all(test, feature = "cli"))]
pub(crate) use self::without::of_libraries;
use crate::result::Checked;
use crate::suite::Subject;

/// One case.
pub(crate) struct Case {
    /// The requirement.
    pub(crate) id: &'static str,
    /// The rule, as the name of a function.
    pub(crate) name: &'static str,
    pub(crate) transports: &'static [Transport],
    pub(crate) run: fn(Subject) -> Pin<Box<dyn Future<Output = Checked> + Send>>,
}

/// What a case speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Http1,
    Http2,
    /// A WebSocket over HTTP/1.1.
    WebSocket,
    /// A WebSocket over HTTP/2.
    WebSocketHttp2,
}

impl Transport {
    pub(crate) fn name(self, has_tls: bool) -> &'static str {
        match (self, has_tls) {
            (Self::Http1, false) => "http1",
            (Self::Http1, true) => "http1-tls",
            (Self::Http2, false) => "http2",
            (Self::Http2, true) => "http2-tls",
            (Self::WebSocket, false) => "websocket",
            (Self::WebSocket, true) => "websocket-tls",
            (Self::WebSocketHttp2, false) => "websocket-http2",
            (Self::WebSocketHttp2, true) => "websocket-http2-tls",
        }
    }

    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::WebSocketHttp2)
    }

    pub(crate) fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::WebSocketHttp2)
    }
}

/// Returns all cases.
pub(crate) fn cases() -> impl Iterator<Item = &'static Case> {
    let files = [
        core::CASES,
        http_scope::CASES,
        http_body::CASES,
        http_response::CASES,
        http_end::CASES,
        http_extension::CASES,
        http_own::CASES,
        http2::CASES,
        push::CASES,
        push_exchange::CASES,
        tls::CASES,
        file::CASES,
        file_parts::CASES,
        websocket_handshake::CASES,
        websocket_messages::CASES,
        websocket_deflate::CASES,
        websocket_http2::CASES,
        websocket_drain::CASES,
        lifespan::CASES,
        abi::CASES,
        limit::CASES,
    ];
    files.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{requirement, requirements};

    #[test]
    fn each_requirement_has_a_case_or_a_reason_and_not_both() {
        let mut wrong = Vec::new();
        for requirement in requirements() {
            let has_case = cases().any(|case| case.id == requirement.id);
            if has_case == missing(requirement.id).is_some() {
                wrong.push(requirement.id);
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn each_case_is_about_a_requirement_of_the_spec() {
        for case in cases() {
            assert!(requirement(case.id).is_some(), "{}", case.id);
        }
    }

    #[test]
    fn no_two_cases_have_one_name() {
        let names: Vec<&str> = cases().map(|case| case.name).collect();
        let different: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), different.len());
    }
}
