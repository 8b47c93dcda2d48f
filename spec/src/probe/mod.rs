//! The probe: an app that does what each request tells it, and reports what it saw.
//!
//! A suite outside of the server talks to it. It needs no runtime, so any server can run it. All
//! requests must reach the same process.
//!
//! | request | what the probe does |
//! | --- | --- |
//! | `/run/ID?STEPS` | plays the steps, for a request or a WebSocket, and records them under ID |
//! | `/use/ID?STEPS` | plays the steps with the receiver and the sender that the run ID has parked, then answers 200 |
//! | `/signal/ID?NAME` | ends the steps `wait=NAME` of the run ID, now and later |
//! | `/release` | ends all steps `wait`, now and later, so that the server can stop |
//! | `/report/ID` | answers with the record of a run, as JSON |
//! | `/report/ID?ended` | waits until the app's call has ended; `?steps=N` waits for N steps |
//!
//! The headers `probe-id` and `probe-steps` replace the path and the query for a request whose target
//! can't have them, such as `OPTIONS *`. The lifespan has the ID `lifespan`.
//!
//! # Steps
//!
//! Steps are separated by `&`. A step is a name, or a name, `=` and an argument. `;` separates the
//! parts of an argument; most that come after the first are headers, as `name:value`. Each part may
//! have percent-escapes. A step that fails is recorded, and the next one follows.
//!
//! | step | what it does |
//! | --- | --- |
//! | `receive` | waits for an event |
//! | `receive-now` | polls for an event once |
//! | `body` | receives until the last part of the body or a disconnect |
//! | `drain` | the same, and records only the number of bytes |
//! | `read` | calls `Receiver::body` |
//! | `closed` | waits for `Sender::closed` |
//! | `closed-handles=N` | waits for N handles of `Sender::closed_handle`, each with a waker of its own |
//! | `start=STATUS;HEADERS`, `start-trailers=…` | starts a response; the second promises trailers |
//! | `more=TEXT`, `last=TEXT`, `fill=N`, `last-fill=N` | a part of the body, the last two with N bytes |
//! | `respond=TEXT` | calls `Sender::respond` with the status 200 |
//! | `flood=N` | sends N parts of 64 KiB, until one is not taken |
//! | `flush` | calls `Sender::flush` |
//! | `trailers=;HEADERS`, `more-trailers=;HEADERS`, `hint=LINK;LINK`, `push=PATH;HEADERS` | events of extensions |
//! | `pathsend=PATH`, `debug` | events of extensions |
//! | `open=PATH`, `close-file` | opens a file for the following steps, and closes the app's handle |
//! | `zerocopy=last;offset:N;count:N`, `zerocopy=more;…` | sends a part of the open file; both numbers may be missing |
//! | `position`, `position=N` | records the position of the open file, the second after setting it |
//! | `accept=SUBPROTOCOL;HEADERS`, `text=TEXT`, `binary=TEXT`, `close=CODE;REASON` | events of a WebSocket |
//! | `text-fill=N`, `text-flood=N` | a text of N bytes, N texts of 64 KiB |
//! | `deny=STATUS;HEADERS`, `deny-more=TEXT`, `deny-last=TEXT` | a response that denies a handshake |
//! | `startup-complete=STATE`, `startup-failed=TEXT`, `shutdown-complete`, `shutdown-failed=TEXT` | events of the lifespan |
//! | `state=TEXT` | puts a value into the state of this scope |
//! | `yield=N` | returns `Pending` N times and asks to be polled again |
//! | `busy=MS` | does the same for this many milliseconds |
//! | `wait=NAME` | waits for the signal NAME |
//! | `keep` | parks the receiver and the sender for `/use`, and goes on without them |
//! | `lend` | parks them and waits until one `/use` is over |
//! | `last-report=ID` | sends the record of the run ID so far, as the last part |
//! | `reply` | answers 200 with the record so far |
//! | `return`, `error=TEXT`, `panic=TEXT`, `abort`, `unsupported` | ends the app |
//!
//! # Records
//!
//! A record has `calls` (how often the app was called with this ID), `scope`, `steps` and `end`: null,
//! `ok`, `error`, `panic` or `dropped`. A step is a list of its text, its outcome and details. The
//! outcome of an event that is sent is `ok`, `misuse`, `refused`, `gone`, `over`. That of an event
//! that is received is its text, such as `http.request "hello" last` or `http.disconnect Closed`.
//!
//! In `scope`, `tls` says whether the scope has the extension, and `tls_values` has its members or is
//! null. A file that a step names is opened by the server's process, so a suite that writes files runs
//! on the same machine.

mod event;
mod json;
mod play;
mod record;
mod script;

use std::path::PathBuf;
use std::sync::Arc;

use asgi::http::StatusCode;
use asgi::{App, AppError, HttpResponseStart, Receiver, Scope, Sender};
use bytes::Bytes;

use self::play::Player;
use self::record::Runs;

/// The ID of the lifespan's run.
pub const LIFESPAN: &str = "lifespan";

/// The environment variable with the steps of the lifespan.
pub const LIFESPAN_VARIABLE: &str = "ASGI_SPEC_LIFESPAN";

/// The environment variable with the path of the file that gets the lifespan's record.
pub const RECORD_VARIABLE: &str = "ASGI_SPEC_RECORD";

/// What the probe's lifespan does if nothing else is asked for. Each scope then has the state
/// `probe`.
pub const DEFAULT_LIFESPAN: &str = "receive&startup-complete=probe&receive&shutdown-complete";

/// The app that plays back what each request tells it. The module's documentation lists the steps.
///
/// Clones are the same app.
#[derive(Debug, Clone)]
pub struct Probe {
    runs: Arc<Runs>,
    lifespan: Arc<str>,
}

impl Probe {
    /// Creates a probe with the usual lifespan.
    pub fn new() -> Self {
        Self {
            runs: Arc::new(Runs::default()),
            lifespan: DEFAULT_LIFESPAN.into(),
        }
    }

    /// Creates a probe with the settings of the environment: the variables
    /// [`LIFESPAN_VARIABLE`] and [`RECORD_VARIABLE`].
    pub fn from_env() -> Self {
        let mut probe = Self::new();
        if let Ok(steps) = std::env::var(LIFESPAN_VARIABLE) {
            probe = probe.lifespan(&steps);
        }
        if let Some(path) = std::env::var_os(RECORD_VARIABLE) {
            probe = probe.record_lifespan(path);
        }
        probe
    }

    /// Sets the steps of the lifespan.
    #[must_use]
    pub fn lifespan(mut self, steps: &str) -> Self {
        self.lifespan = steps.into();
        self
    }

    /// Writes the lifespan's record to a file after each of its steps, for a suite that wants to read
    /// it after the server has ended.
    #[must_use]
    pub fn record_lifespan(self, path: impl Into<PathBuf>) -> Self {
        self.runs.write_to(LIFESPAN, path.into());
        self
    }

    async fn answer(&self, request: &ProbeRequest, send: &mut Sender) -> Result<(), AppError> {
        let (status, body) = match request.route.as_str() {
            "use" => {
                let halves = self.runs.take_parked(&request.id).await;
                let mut player = Player::new(Arc::clone(&self.runs), &request.id, halves);
                let end = player.play(&request.steps).await;
                player.give_back();
                end?;
                (StatusCode::OK, Bytes::from_static(b"{}"))
            }
            "signal" => {
                self.runs.signal(&request.id, &request.steps);
                (StatusCode::OK, Bytes::from_static(b"{}"))
            }
            "release" => {
                self.runs.release();
                (StatusCode::OK, Bytes::from_static(b"{}"))
            }
            "report" => {
                let wanted = request.steps.as_str();
                (StatusCode::OK, self.runs.report(&request.id, wanted).await)
            }
            _ => (
                StatusCode::NOT_FOUND,
                Bytes::from_static(b"This is the probe of asgi-spec. See asgi_spec::probe.\n"),
            ),
        };
        let start = HttpResponseStart::new(status).content_type("application/json");
        Ok(send.respond(start, body).await?)
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl App for Probe {
    async fn call(
        &self,
        mut scope: Scope,
        receive: Receiver,
        mut send: Sender,
    ) -> Result<(), AppError> {
        let asked = ProbeRequest::new(&scope, &self.lifespan);
        if asked.route != "run" {
            return self.answer(&asked, &mut send).await;
        }
        let recording = self.runs.call(&asked.id, json::scope(&scope));
        let mut player = Player::new(Arc::clone(&self.runs), &asked.id, Some((receive, send)));
        if let Some(state) = scope.state_mut() {
            player.state = std::mem::take(state);
        }
        let end = player.play(&asked.steps).await;
        recording.end(&end);
        end
    }
}

/// What a scope asks the probe to do.
struct ProbeRequest {
    route: String,
    id: String,
    steps: String,
}

impl ProbeRequest {
    fn new(scope: &Scope, lifespan: &str) -> Self {
        let (target, headers) = match scope {
            Scope::Http(http) => (&http.target, &http.headers),
            Scope::WebSocket(socket) => (&socket.target, &socket.headers),
            _ => {
                return Self {
                    route: "run".into(),
                    id: LIFESPAN.into(),
                    steps: lifespan.into(),
                };
            }
        };
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let mut segments = target.path().split('/').skip(1);
        let mut asked = Self {
            route: segments.next().unwrap_or_default().into(),
            id: segments.next().unwrap_or_default().into(),
            steps: target.query().unwrap_or_default().into(),
        };
        if let Some(id) = header("probe-id") {
            asked.route = "run".into();
            asked.id = id.into();
        }
        if let Some(steps) = header("probe-steps") {
            asked.steps = steps.into();
        }
        asked
    }
}
