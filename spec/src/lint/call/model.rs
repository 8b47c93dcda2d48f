//! The model of one exchange, in any protocol.

use asgi::{Scope, SendEvent};

use crate::lint::judged::Judged;
use crate::lint::lifespan::{LifespanEffect, LifespanModel};
use crate::lint::response::{ResponseEffect, ResponseModel};
use crate::lint::socket::{SocketEffect, SocketModel};

/// What the event that the server is taking at this moment does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InFlight {
    /// It is the last event.
    pub(crate) completes: bool,
    /// It accepts a WebSocket.
    pub(crate) accepts: bool,
}

/// What may come next, in any protocol.
#[derive(Debug)]
pub(crate) enum Model {
    Response(ResponseModel),
    Socket(SocketModel),
    Lifespan(LifespanModel),
    /// A kind of scope that Lint does not know.
    Unknown,
}

/// What an event does, in any protocol.
#[derive(Debug, Clone)]
pub(crate) enum ModelEffect {
    Response(ResponseEffect),
    Socket(SocketEffect),
    Lifespan(LifespanEffect),
}

impl Model {
    pub(crate) fn new(scope: &Scope) -> Self {
        match scope {
            Scope::Http(http) => {
                Self::Response(ResponseModel::new(&http.method, http.extensions.clone()))
            }
            Scope::WebSocket(socket) => Self::Socket(SocketModel::new(
                socket.subprotocols.clone(),
                socket.extensions.clone(),
            )),
            Scope::Lifespan(_) => Self::Lifespan(LifespanModel::new()),
            _ => Self::Unknown,
        }
    }

    pub(crate) fn judge(&self, event: &SendEvent) -> Option<Judged<ModelEffect>> {
        match self {
            Self::Response(model) => Some(model.judge(event).map(ModelEffect::Response)),
            Self::Socket(model) => Some(model.judge(event).map(ModelEffect::Socket)),
            Self::Lifespan(model) => Some(model.judge(event).map(ModelEffect::Lifespan)),
            Self::Unknown => None,
        }
    }

    pub(crate) fn apply(&mut self, effect: ModelEffect) {
        match (self, effect) {
            (Self::Response(model), ModelEffect::Response(effect)) => model.apply(effect),
            (Self::Socket(model), ModelEffect::Socket(effect)) => model.apply(effect),
            (Self::Lifespan(model), ModelEffect::Lifespan(effect)) => model.apply(effect),
            _ => {}
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Response(model) => model.is_complete(),
            Self::Socket(model) => model.is_complete(),
            Self::Lifespan(model) => model.is_complete(),
            Self::Unknown => false,
        }
    }

    pub(crate) fn in_flight(&self, effect: &ModelEffect) -> InFlight {
        let completes = match (self, effect) {
            (Self::Response(model), ModelEffect::Response(effect)) => model.would_complete(effect),
            (Self::Socket(model), ModelEffect::Socket(effect)) => model.would_complete(effect),
            (_, ModelEffect::Lifespan(effect)) => *effect == LifespanEffect::Over,
            _ => false,
        };
        InFlight {
            completes,
            accepts: matches!(effect, ModelEffect::Socket(SocketEffect::Accept)),
        }
    }
}
