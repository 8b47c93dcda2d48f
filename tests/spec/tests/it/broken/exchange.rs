//! What the parts of one broken server, and of one exchange with it, tell each other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use asgi::{Scope, SendError, SendEvent, Sender, State};
use tokio::sync::Notify;

/// What all exchanges of one broken server share.
#[derive(Default)]
pub(super) struct Process {
    /// How many requests have reached the app.
    pub(super) requests: AtomicU32,
    /// Whether the app has panicked.
    pub(super) has_panicked: AtomicBool,
    /// Whether there is an exchange that need not wait for its client.
    pub(super) has_unbounded: AtomicBool,
    /// Ends one exchange that runs.
    pub(super) end_one: Notify,
    /// Tells that the startup is complete.
    pub(super) started: Notify,
    /// Whether the lifespan of the app has ended.
    pub(super) lifespan_ended: AtomicBool,
    /// The task that waits for the shutdown.
    pub(super) lifespan_waker: Mutex<Option<Waker>>,
    /// The error of an app whose startup has failed.
    pub(super) startup_error: Mutex<Option<String>>,
    /// The state that one scope has left onward.
    pub(super) state: Mutex<Option<State>>,
    /// The real ends of each connection from the wire to the server: the client and the wire.
    pub(super) wires: Mutex<HashMap<SocketAddr, (SocketAddr, SocketAddr)>>,
}

/// What one exchange is.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) id: &'static str,
    pub(super) is_head: bool,
    pub(super) is_chunked: bool,
    pub(super) offers_trailers: bool,
    pub(super) seen: Arc<Mutex<Seen>>,
    /// The server's sender, which the layer also uses itself.
    send: Arc<Mutex<Option<Sender>>>,
    pub(super) process: Arc<Process>,
}

/// What has happened in one exchange so far.
#[derive(Default)]
pub(super) struct Seen {
    /// The names of the events that the server has taken.
    pub(super) sent: Vec<&'static str>,
    /// The names of the events that the app has received.
    pub(super) received: Vec<&'static str>,
    pub(super) promised_trailers: bool,
    pub(super) closed: bool,
    /// Whether the last event of a response was taken.
    pub(super) complete: bool,
}

impl Exchange {
    pub(super) fn new(
        id: &'static str,
        scope: &Scope,
        send: Sender,
        process: &Arc<Process>,
    ) -> Self {
        let http = match scope {
            Scope::Http(http) => Some(http),
            _ => None,
        };
        Self {
            id,
            is_head: http.is_some_and(|http| http.method == "HEAD"),
            is_chunked: http.is_some_and(|http| http.headers.contains_key("transfer-encoding")),
            offers_trailers: http
                .is_some_and(|http| http.extensions.has(asgi::Extension::Trailers)),
            seen: Arc::default(),
            send: Arc::new(Mutex::new(Some(send))),
            process: Arc::clone(process),
        }
    }

    pub(super) fn has_sent(&self, name: &str) -> bool {
        self.seen.lock().unwrap().sent.contains(&name)
    }

    pub(super) fn has_received(&self, name: &str) -> bool {
        self.seen.lock().unwrap().received.contains(&name)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.seen.lock().unwrap().closed
    }

    /// Takes the server's sender. What the app still holds is over from then on.
    pub(super) fn take(&self) -> Option<Sender> {
        self.send.lock().unwrap().take()
    }

    /// Calls the server's sender.
    pub(super) fn with<T>(&self, call: impl FnOnce(&mut Sender) -> T) -> Option<T> {
        self.send.lock().unwrap().as_mut().map(call)
    }

    /// Passes an event to the server.
    pub(super) fn pass(&self, event: SendEvent) -> Result<(), SendError> {
        let name = event.name();
        let promises = matches!(&event, SendEvent::HttpResponseStart(start) if start.trailers);
        let completes = matches!(&event, SendEvent::HttpResponseBody(part) if !part.more_body);
        let result = self.with(|send| send.start_send(event));
        let result = result.unwrap_or_else(|| Err(SendError::over()));
        if result.is_ok() {
            let mut seen = self.seen.lock().unwrap();
            seen.sent.push(name);
            seen.promised_trailers |= promises;
            seen.complete |= completes && !seen.promised_trailers;
            if name == "lifespan.startup.complete" {
                self.process.started.notify_one();
            }
        }
        result
    }

    /// Sends an event of the layer's own, if there is room for it.
    pub(super) fn send(&self, event: impl Into<SendEvent>) {
        let mut cx = Context::from_waker(Waker::noop());
        let ready = self.with(|send| send.poll_ready(&mut cx).is_ready());
        if ready == Some(true) {
            // The server may refuse it: the layer only tries.
            let _ = self.pass(event.into());
        }
    }
}
