//! Connects a peer to the server of a test.

use http2::Peer;
use test_support::blocking::Server;

pub trait Connect {
    /// A peer after the exchange of SETTINGS.
    fn connect(&self) -> Peer;

    /// [`connect`](Self::connect), with these settings of the client.
    fn connect_with(&self, settings: &[(u16, u32)]) -> Peer;
}

impl Connect for Server {
    #[track_caller]
    fn connect(&self) -> Peer {
        Peer::connect(self.address())
    }

    #[track_caller]
    fn connect_with(&self, settings: &[(u16, u32)]) -> Peer {
        Peer::connect_with(self.address(), settings)
    }
}
