//! A server's whole life.

use std::pin::Pin;
use std::task::{Context, Poll};

use asgi::App;

use crate::{Config, Handle, Listener, ServeError};

/// Serves `app` on `listeners` until a [`Handle`] says otherwise.
pub fn serve(_listeners: Vec<Listener>, _app: impl App, _config: Config) -> Serve {
    Serve {}
}

/// A server that runs while it is polled.
#[derive(Debug)]
pub struct Serve {}

impl Serve {
    /// A handle to stop it with.
    pub fn handle(&self) -> Handle {
        Handle {}
    }
}

impl Future for Serve {
    type Output = Result<(), ServeError>;
    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}
