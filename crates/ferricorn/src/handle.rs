//! What can be told to, and asked of, a server that runs.

use asgi::Address;

/// Tells a running server to stop, and asks how it is. Cloning it is cheap.
///
/// Only the command line installs signal handlers; whoever embeds the server calls these.
#[derive(Debug, Clone)]
pub struct Handle {}

impl Handle {
    /// Stops accepting, lets what runs finish, then ends. Calling it again changes nothing.
    pub fn drain(&self) {}

    /// Ends at once: what runs is cut off, the app's shutdown is skipped.
    pub fn abort(&self) {}

    /// Waits until connections are accepted: `true`; or until that cannot be any more: `false`.
    pub async fn ready(&self) -> bool {
        true
    }

    /// Where the server listens, in the order of its listeners. A port 0 has become a real one.
    pub fn addresses(&self) -> &[Address] {
        &[]
    }

    /// How the server is at this moment.
    pub fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}

/// How a server is at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Connections that are open.
    pub connections: usize,
    /// Apps that run, the detached ones included.
    pub exchanges: usize,
    /// Apps that run on although their connection is done with them: the client left, or the
    /// response is complete.
    pub detached: usize,
}
