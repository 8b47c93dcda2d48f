//! Starts servers.

use std::fmt::{Debug, Display};
use std::net::SocketAddr;
use std::path::PathBuf;

use asgi::DynApp;

use crate::client::ClientTls;
use crate::probe::Probe;

/// A server that serves the probe.
///
/// An address alone is one that the suite can't stop.
pub trait ServerUnderTest: Send + 'static {
    /// Returns the address for clients.
    fn address(&self) -> SocketAddr;

    /// Stops the server gracefully, and waits for its end. The error is what the server told its
    /// operator.
    ///
    /// `None` means that this can't be done from here.
    fn stop(self: Box<Self>) -> Option<Result<(), String>> {
        None
    }

    /// Returns what the server has logged at the level `info` and above.
    ///
    /// `None` means that the suite can't read it.
    fn log(&self) -> Option<String> {
        None
    }
}

impl ServerUnderTest for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }
}

/// What a server is started with.
pub(crate) struct Launch {
    /// The steps of the lifespan.
    pub(crate) lifespan: String,
    /// The file for the lifespan's record.
    pub(crate) record: Option<PathBuf>,
    /// How its clients speak TLS. `None` without TLS.
    pub(crate) tls: Option<ClientTls>,
    /// More variables of the environment, for a library.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Another file in place of the probe's library.
    pub(crate) library: Option<PathBuf>,
}

impl Launch {
    pub(crate) fn new(lifespan: &str, tls: Option<ClientTls>) -> Self {
        Self {
            lifespan: lifespan.into(),
            record: None,
            tls,
            environment: Vec::new(),
            library: None,
        }
    }
}

/// Starts servers of one kind.
pub(crate) trait Launcher: Debug + Send + Sync + 'static {
    /// Starts a server and waits until it serves. The error is what the server told its operator.
    fn launch(&self, launch: Launch) -> Result<Box<dyn ServerUnderTest>, String>;

    /// Whether each launch starts another server.
    fn starts(&self) -> bool {
        true
    }

    /// The library of the probe, if the server loads one.
    fn library(&self) -> Option<PathBuf> {
        None
    }
}

type Start = dyn Fn(DynApp) -> Result<Box<dyn ServerUnderTest>, String> + Send + Sync;

/// Servers in this process.
pub(super) struct InProcess(Box<Start>);

impl InProcess {
    pub(super) fn new<S, E, F>(start: F) -> Self
    where
        S: ServerUnderTest,
        E: Display,
        F: Fn(DynApp) -> Result<S, E> + Send + Sync + 'static,
    {
        Self(Box::new(move |app| match start(app) {
            Ok(server) => Ok(Box::new(server)),
            Err(error) => Err(error.to_string()),
        }))
    }
}

impl Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InProcess")
    }
}

impl Launcher for InProcess {
    fn launch(&self, launch: Launch) -> Result<Box<dyn ServerUnderTest>, String> {
        let mut probe = Probe::new().lifespan(&launch.lifespan);
        if let Some(path) = launch.record {
            probe = probe.record_lifespan(path);
        }
        (self.0)(DynApp::new(probe))
    }
}

/// A server that runs already.
#[derive(Debug)]
pub(super) struct Elsewhere(pub(super) SocketAddr);

impl Launcher for Elsewhere {
    fn launch(&self, _: Launch) -> Result<Box<dyn ServerUnderTest>, String> {
        Ok(Box::new(self.0))
    }

    fn starts(&self) -> bool {
        false
    }
}
