//! Apps below the paths of a root app.

use std::sync::Arc;

use asgi::{App, AppError, AppFuture, DynApp, HttpResponseStart, Receiver, Scope, Sender};
use http::StatusCode;

/// Gives each request to the app at the start of its path. The first app has the lifespan of all.
pub(crate) struct Mounts(pub(crate) Vec<(&'static str, DynApp)>);

impl Mounts {
    /// Finds the app, and moves its prefix into the root path.
    fn choose(&self, scope: &mut Scope) -> Option<&DynApp> {
        let mut mounts = self.0.iter();
        let found = match scope {
            Scope::Http(http) => mounts.find(|(prefix, _)| http.nest(prefix)),
            Scope::WebSocket(socket) => mounts.find(|(prefix, _)| socket.nest(prefix)),
            Scope::Lifespan(_) => mounts.next(),
            _ => None,
        };
        found.map(|(_, app)| app)
    }
}

impl App for Mounts {
    async fn call(
        &self,
        mut scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> Result<(), AppError> {
        match self.choose(&mut scope) {
            Some(app) => app.call(scope, receive, send).await,
            None => not_found(scope, receive, send).await,
        }
    }

    // The future of the chosen app needs no box around it.
    fn start(
        self: Arc<Self>,
        mut scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> AppFuture<'static> {
        match self.choose(&mut scope) {
            Some(app) => app.start(scope, receive, send),
            None => Box::pin(not_found(scope, receive, send)),
        }
    }
}

async fn not_found(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::Http(_) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    let start = HttpResponseStart::new(StatusCode::NOT_FOUND);
    Ok(send.respond(start, "not found\n").await?)
}
