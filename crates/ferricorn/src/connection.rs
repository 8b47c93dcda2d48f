//! One accepted connection, before it is known what it speaks.

use std::sync::Arc;

use asgi::Address;

use crate::http1;
use crate::server::{Phase, Server};
use crate::transport::Socket;

/// The two ends of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    pub(crate) client: Option<Address>,
    pub(crate) server: Option<Address>,
}

/// Serves a connection until it is closed, in a task of its own.
///
/// `leave` is kept until then: what the connection holds of the server's limit.
pub(crate) fn spawn(server: &Arc<Server>, socket: Socket, ends: Ends, leave: impl Send + 'static) {
    let counted = server.count_connection();
    let server = Arc::clone(server);
    tokio::spawn(async move {
        let _held = (counted, leave);
        if server.phase() < Phase::Cut {
            http1::serve(server, socket, ends).await;
        }
    });
}
