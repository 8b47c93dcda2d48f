//! A model of one WebSocket: which event may come next, and what it does.

use asgi::http::Method;
use asgi::{
    Extension, Extensions, SendEvent, WebSocketAccept, WebSocketClose, WebSocketDisconnect,
};

use super::judged::{ExpectedAnswer, Judged};
use super::response::{ResponseEffect, ResponseModel};

/// A close frame has room for a reason of this many bytes. (RFC 6455 §5.5)
const LONGEST_REASON: usize = 123;

#[derive(Debug)]
enum SocketStep {
    Handshake,
    Denial(Box<ResponseModel>),
    Open,
    /// The app's last event was taken. It then receives this disconnect. (WS-022)
    Complete(WebSocketDisconnect),
}

/// What an event that is taken does to a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SocketEffect {
    Accept,
    Message,
    Close(u16, String),
    Denial(ResponseEffect),
}

#[derive(Debug)]
pub(crate) struct SocketModel {
    stage: SocketStep,
    subprotocols: Vec<String>,
    extensions: Extensions,
}

impl SocketModel {
    pub(crate) fn new(subprotocols: Vec<String>, extensions: Extensions) -> Self {
        Self {
            stage: SocketStep::Handshake,
            subprotocols,
            extensions,
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.stage, SocketStep::Complete(_))
    }

    pub(crate) fn is_accepted(&self) -> bool {
        match &self.stage {
            SocketStep::Open => true,
            SocketStep::Complete(disconnect) => disconnect.code != 1006,
            SocketStep::Handshake | SocketStep::Denial(_) => false,
        }
    }

    /// The disconnect that the app must receive after its last event.
    pub(crate) fn own_disconnect(&self) -> Option<&WebSocketDisconnect> {
        match &self.stage {
            SocketStep::Complete(disconnect) => Some(disconnect),
            _ => None,
        }
    }

    /// Why an app that returns `Ok` now has not done its work, and the requirement that says so.
    pub(crate) fn unfinished(&self) -> Option<(&'static str, &'static str)> {
        match &self.stage {
            SocketStep::Handshake => Some((
                "WS-011",
                "the app returns without an answer to the handshake",
            )),
            SocketStep::Denial(_) => {
                Some(("DENY-004", "the app returns before the end of its denial"))
            }
            // WS-023
            SocketStep::Open | SocketStep::Complete(_) => None,
        }
    }

    pub(crate) fn would_complete(&self, effect: &SocketEffect) -> bool {
        match (effect, &self.stage) {
            (SocketEffect::Close(..), _) => true,
            (SocketEffect::Denial(effect), SocketStep::Denial(denial)) => {
                denial.would_complete(effect)
            }
            _ => false,
        }
    }

    pub(crate) fn judge(&self, event: &SendEvent) -> Judged<SocketEffect> {
        if self.is_complete() {
            return Judged::after_the_end();
        }
        let is_denial = matches!(
            event,
            SendEvent::WebSocketHttpResponseStart(_) | SendEvent::WebSocketHttpResponseBody(_)
        );
        if is_denial && !self.extensions.has(Extension::WebSocketHttpResponse) {
            return Judged::not_offered(Extension::WebSocketHttpResponse.name());
        }
        match (&self.stage, event) {
            (SocketStep::Handshake, SendEvent::WebSocketAccept(accept)) => self.accept(accept),
            (SocketStep::Handshake, SendEvent::WebSocketHttpResponseStart(start)) => {
                if start.status.is_success() {
                    let status = start.status.as_u16();
                    return Judged::misuse("WS-008", format!("with the status {status}"));
                }
                let denial = ResponseModel::new(&Method::GET, Extensions::new());
                let judged = denial.head(start.status, &start.headers, false);
                judged.map(SocketEffect::Denial)
            }
            (SocketStep::Denial(denial), SendEvent::WebSocketHttpResponseBody(part)) => denial
                .part("HTTP-021", Some(part.body.len() as u64), !part.more_body)
                .map(SocketEffect::Denial),
            (SocketStep::Handshake, SendEvent::WebSocketHttpResponseBody(_)) => {
                Judged::misuse("HTTP-021", "before the start of a denial")
            }
            (SocketStep::Denial(_), SendEvent::WebSocketHttpResponseStart(_)) => {
                Judged::misuse("HTTP-021", "a second time")
            }
            (
                SocketStep::Denial(_),
                SendEvent::WebSocketAccept(_)
                | SendEvent::WebSocketSend(_)
                | SendEvent::WebSocketClose(_),
            ) => Judged::misuse("DENY-002", "after the start of a denial"),
            (SocketStep::Open, SendEvent::WebSocketHttpResponseStart(_)) => {
                Judged::misuse("DENY-003", "after the accept")
            }
            (SocketStep::Open, SendEvent::WebSocketSend(_)) => Judged::taken(SocketEffect::Message),
            (SocketStep::Handshake | SocketStep::Open, SendEvent::WebSocketClose(close)) => {
                judge_close(close)
            }
            (SocketStep::Handshake, SendEvent::WebSocketSend(_)) => {
                Judged::misuse("CORE-013", "before the accept")
            }
            (SocketStep::Open, SendEvent::WebSocketAccept(_)) => {
                Judged::misuse("CORE-013", "a second time")
            }
            _ => Judged::misuse("CORE-013", "is not expected now"),
        }
    }

    fn accept(&self, accept: &WebSocketAccept) -> Judged<SocketEffect> {
        if let Some(chosen) = &accept.subprotocol
            && !self.subprotocols.contains(chosen)
        {
            let what = format!("chooses {chosen:?}, which the client does not offer");
            return Judged::misuse("WS-009", what);
        }
        let mut names = accept.headers.keys();
        if let Some(name) = names.find(|name| name.as_str().starts_with("sec-websocket-")) {
            return Judged::misuse("WS-010", format!("has the header {name}"));
        }
        Judged::allowed(
            SocketEffect::Accept,
            ExpectedAnswer::Take {
                misuse: "WS-006",
                refused: Some("WS-006"),
            },
        )
    }

    pub(crate) fn apply(&mut self, effect: SocketEffect) {
        match effect {
            SocketEffect::Accept => self.stage = SocketStep::Open,
            SocketEffect::Message => {}
            SocketEffect::Close(code, reason) => {
                let disconnect = match self.stage {
                    SocketStep::Open => WebSocketDisconnect::new(code, reason),
                    _ => denied(),
                };
                self.stage = SocketStep::Complete(disconnect);
            }
            SocketEffect::Denial(effect) => {
                if let SocketStep::Handshake = self.stage {
                    let denial = ResponseModel::new(&Method::GET, Extensions::new());
                    self.stage = SocketStep::Denial(Box::new(denial));
                }
                if let SocketStep::Denial(denial) = &mut self.stage {
                    denial.apply(effect);
                    if denial.is_complete() {
                        self.stage = SocketStep::Complete(denied());
                    }
                }
            }
        }
    }
}

/// WS-022
fn denied() -> WebSocketDisconnect {
    WebSocketDisconnect::new(1006, "")
}

fn judge_close(close: &WebSocketClose) -> Judged<SocketEffect> {
    let (code, length) = (close.code, close.reason.len());
    if !matches!(code, 1000..=1003 | 1007..=1009 | 1011..=1014 | 3000..=4999) {
        return Judged::misuse("WS-018", format!("has the code {code}"));
    }
    if length > LONGEST_REASON {
        return Judged::misuse("WS-019", format!("has a reason of {length} bytes"));
    }
    Judged::taken(SocketEffect::Close(code, close.reason.clone()))
}
