//! How a connection ended, on both versions of HTTP.

use std::error::Error;

use asgi::Address;
use tracing::debug;

/// How a connection ended. `E` is the error of hyper or of h2.
#[derive(Debug)]
pub(crate) enum ConnectionEnd<E> {
    /// hyper or h2 has finished, with or without an error.
    Finished(Result<(), E>),
    /// The client is gone.
    Lost,
    /// A deadline has passed.
    TimedOut(&'static str),
    /// A request cannot be read, and the server has answered it.
    Refused(&'static str),
    /// It was idle for long enough.
    Idle,
    /// The server cut it off.
    Cut,
}

impl<E: Error> ConnectionEnd<E> {
    pub(crate) fn log(&self, client: Option<&Address>) {
        match self {
            Self::Finished(Ok(())) | Self::Idle => {}
            Self::Finished(Err(error)) => {
                let cause = error.source();
                debug!(?client, cause, "connection ended: {error}");
            }
            Self::Lost => debug!(?client, "connection lost"),
            Self::TimedOut(why) => debug!(?client, "connection timed out: {why}"),
            Self::Refused(why) => debug!(?client, "request refused: {why}"),
            Self::Cut => debug!(?client, "connection cut off: the server stops"),
        }
    }
}
