//! The pushes that an app may send with its response.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use asgi::{HttpResponsePush, SendError};
use http::uri::PathAndQuery;

use crate::server::WaitingPermit;

/// Decides which pushes a connection takes.
pub(crate) trait PushGate: Send + Sync {
    /// Admits a push of a response that has pushed the paths in `before`.
    ///
    /// # Errors
    ///
    /// The reason why it is refused.
    fn admit(
        &self,
        push: &HttpResponsePush,
        before: &HashSet<PathAndQuery>,
    ) -> Result<Admission, &'static str>;
}

/// A place and a permit for a push, taken while the app can still get an error.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The place among the pushes of the connection. Only its gate knows the type.
    pub(crate) place: Box<dyn Any + Send>,
    /// For the app that answers the promised request.
    pub(crate) permit: WaitingPermit,
}

/// The paths that were pushed with a response, and the gate that admits more.
pub(super) struct Pushes {
    gate: Arc<dyn PushGate>,
    /// `None` until there is one: most responses have none.
    made: Option<HashSet<PathAndQuery>>,
}

impl Pushes {
    pub(super) fn new(gate: Arc<dyn PushGate>) -> Self {
        Self { gate, made: None }
    }

    pub(super) fn admit(&mut self, push: &HttpResponsePush) -> Result<Admission, SendError> {
        let made = self.made.get_or_insert_default();
        let admission = self.gate.admit(push, made).map_err(SendError::refused)?;
        made.insert(push.path.clone());
        Ok(admission)
    }
}

impl fmt::Debug for Pushes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushes")
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}
