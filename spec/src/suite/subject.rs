//! The server as one case sees it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::{Interface, Launch, Launcher, RunReport, ServerUnderTest, StatedLimit};
use crate::cases::Transport;
use crate::client::http2::NO_PUSH;
use crate::client::{
    CaseClient, CaseRequest, Endpoint, Http1, Http2, PATIENCE, Received, RequestKind, Trace,
    within, within_time,
};
use crate::result::{Checked, fail, not_observable, not_supported};

/// How long a server may take to start or to stop.
const LAUNCH: Duration = Duration::from_secs(10);

/// The server under test, with the connections and the runs of one case.
pub(crate) struct Subject {
    shared: Arc<SubjectShared>,
}

struct SubjectShared {
    /// What the ids of this case's runs begin with.
    prefix: String,
    transport: Transport,
    place: Place,
    trace: Trace,
    connections: AtomicU32,
    runs: Mutex<Vec<String>>,
}

/// Where the server is, and what else the suite knows of it.
pub(super) struct Place {
    pub(super) endpoint: Endpoint,
    /// The version of its answers over HTTP/1, such as `HTTP/1.1`.
    pub(super) version: String,
    pub(super) interface: Interface,
    pub(super) launcher: Arc<dyn Launcher>,
    pub(super) log: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    pub(super) limits: Vec<StatedLimit>,
}

impl Subject {
    pub(super) fn new(prefix: String, transport: Transport, place: Place) -> Self {
        Self {
            shared: Arc::new(SubjectShared {
                prefix,
                transport,
                place,
                trace: Trace::new(),
                connections: AtomicU32::new(0),
                runs: Mutex::default(),
            }),
        }
    }

    /// Ends a case that needs HTTP/1.1 or newer if the server answers with HTTP/1.0.
    pub(crate) fn needs_http_1_1(&self) -> Checked {
        match self.shared.place.version.as_str() {
            "HTTP/1.0" if !self.is_http2() => not_supported("the server speaks HTTP/1.0 only"),
            _ => Ok(()),
        }
    }

    /// Whether the app is a Python app. ASGI then decides what a case can ask for.
    pub(crate) fn is_python(&self) -> bool {
        self.shared.place.interface == Interface::Python
    }

    /// How the probe of this server reports an outcome of the interface in Rust.
    pub(crate) fn outcome<'a>(&self, outcome: &'a str) -> &'a str {
        self.shared.place.interface.outcome(outcome)
    }

    /// The limit with this name, or the end of a case that needs it.
    pub(crate) fn time(&self, name: &str) -> Checked<Duration> {
        let limits = &self.shared.place.limits;
        match limits.iter().find_map(|limit| limit.time(name)) {
            Some(time) if time <= Duration::from_secs(5) => Ok(time),
            Some(time) => not_observable(format!("the {name} of {time:?} is longer than 5 s")),
            None => not_observable(format!("no {name} is stated, with --limit or Suite::limit")),
        }
    }

    /// How large a message of a WebSocket may be.
    pub(crate) fn max_message_size(&self) -> Checked<usize> {
        let size = |limit: &StatedLimit| match limit {
            StatedLimit::MaxMessageSize(size) => Some(*size),
            _ => None,
        };
        match self.shared.place.limits.iter().find_map(size) {
            Some(size) => Ok(size),
            None => not_observable("no max-message-size is stated, with --limit or Suite::limit"),
        }
    }

    /// Another reference to the same case.
    pub(crate) fn share(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.shared.trace
    }

    /// The name of what the case speaks, such as `http2`.
    pub(crate) fn transport(&self) -> &'static str {
        self.shared.transport.name(false)
    }

    /// Whether the case speaks HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.shared.transport.is_http2()
    }

    /// Where the server under test listens.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.shared.place.endpoint
    }

    /// Whether the connections use TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.endpoint().tls.is_some()
    }

    /// Opens a connection for the protocol of the case.
    pub(crate) async fn connect(&self) -> Checked<CaseClient> {
        self.connect_to(self.endpoint()).await
    }

    /// The same to another server.
    pub(crate) async fn connect_to(&self, endpoint: &Endpoint) -> Checked<CaseClient> {
        let (name, trace) = (self.client_name(), self.trace().clone());
        if !self.is_http2() {
            return Ok(Http1::connect(endpoint, name, trace).await?.into());
        }
        let http2 = Http2::connect(endpoint, NO_PUSH, name, trace).await?;
        if self.shared.transport == Transport::WebSocketHttp2 && !http2.connects() {
            return not_supported("the server has no WebSockets over HTTP/2");
        }
        Ok(http2.into())
    }

    /// Opens a connection for HTTP/1, whatever the case speaks.
    pub(crate) async fn connect_http1(&self) -> Checked<Http1> {
        Http1::connect(self.endpoint(), self.client_name(), self.trace().clone()).await
    }

    /// Opens a connection for HTTP/2 with these settings, whatever the case speaks.
    pub(crate) async fn connect_http2(&self, settings: &[(u16, u32)]) -> Checked<Http2> {
        let (name, trace) = (self.client_name(), self.trace().clone());
        Http2::connect(self.endpoint(), settings, name, trace).await
    }

    fn client_name(&self) -> String {
        let number = self.shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
        format!("client {number}")
    }

    /// Prepares a run of the probe with these steps.
    pub(crate) fn run(&self, steps: &str) -> Run {
        self.run_at("", steps)
    }

    /// Like [`run`](Self::run), with more text at the end of the path.
    pub(crate) fn run_at(&self, path: &str, steps: &str) -> Run {
        let mut runs = self
            .shared
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let id = format!("{}-{}", self.shared.prefix, runs.len() + 1);
        runs.push(id.clone());
        Run {
            target: format!("/run/{id}{path}?{steps}"),
            id,
            subject: self.share(),
        }
    }

    /// Runs steps in a GET on a connection of their own, and returns the response.
    pub(crate) async fn get(&self, steps: &str) -> Checked<Received> {
        self.run(steps).get().await
    }

    /// Sends a request for the probe itself, such as `/signal/NAME`.
    pub(crate) async fn ask(&self, target: &str) -> Checked<String> {
        let name = String::from("control");
        let trace = Trace::new();
        let mut client = Http1::connect(self.endpoint(), name, trace).await?;
        let request = format!("GET {target} HTTP/1.1\r\nhost: suite\r\nconnection: close\r\n\r\n");
        client.send(request).await?;
        let received = client.response().await?;
        if received.head.status != 200 {
            return fail(
                format!("200 from the probe for {target}"),
                received.head.status,
            );
        }
        Ok(received.text())
    }

    /// Returns the report on the lifespan of the server.
    pub(crate) async fn lifespan(&self) -> Checked<RunReport> {
        let text = self.ask("/report/lifespan").await?;
        let report = RunReport::parse(&text)?;
        if self.is_python() && report.calls() == 0 {
            return not_supported("the server has no lifespan");
        }
        Ok(report)
    }

    /// Returns what the server has logged.
    pub(crate) fn log(&self) -> Checked<String> {
        match (self.shared.place.log)() {
            Some(log) => Ok(log),
            None => not_observable("the suite can't read the log of this server"),
        }
    }

    /// Starts another server whose lifespan has these steps. The outer error says that this suite
    /// can't, the inner one is what the server told its operator.
    pub(crate) async fn launch(&self, lifespan: &str) -> Checked<(Result<Other, String>, Record)> {
        if !self.shared.place.launcher.starts() {
            return not_observable("the suite did not start this server");
        }
        if self.is_python() {
            // It ends the case if the server has none.
            self.lifespan().await?;
        }
        let record = Record::new(&self.shared.prefix);
        let mut launch = Launch::new(lifespan, self.endpoint().tls.clone());
        launch.record = Some(record.0.clone());
        Ok((self.launch_with(launch).await?, record))
    }

    /// The library of the probe, if the server loads one.
    pub(crate) fn library(&self) -> Option<PathBuf> {
        self.shared.place.launcher.library()
    }

    /// The name of a file that no other case has.
    pub(crate) fn file(&self, end: &str) -> PathBuf {
        Record::new(&self.shared.prefix).0.with_extension(end)
    }

    /// Starts another server. The errors are those of [`launch`](Self::launch).
    pub(crate) async fn launch_with(&self, launch: Launch) -> Checked<Result<Other, String>> {
        self.trace().line(format!(
            "starts a server with the lifespan {}",
            launch.lifespan
        ));
        let launcher = Arc::clone(&self.shared.place.launcher);
        let launched = within_time(LAUNCH, "the server to start or to refuse", async {
            match spawn_blocking(move || launcher.launch(launch)).await {
                Ok(launched) => Ok(launched),
                Err(error) => fail("a start without a panic", error),
            }
        })
        .await?;
        let launched = launched.map(|server| Other {
            endpoint: Endpoint {
                address: server.address(),
                tls: self.endpoint().tls.clone(),
            },
            server,
        });
        if let Err(why) = &launched {
            self.trace()
                .line(format!("the server did not start: {why}"));
        }
        Ok(launched)
    }

    fn run_ids(&self) -> Vec<String> {
        let runs = self
            .shared
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        runs.clone()
    }

    /// Adds the records of all runs to the trace.
    pub(super) async fn trace_runs(&self) {
        for id in self.run_ids() {
            if let Ok(record) = self.ask(&format!("/report/{id}")).await {
                self.trace().line(format!("the app saw {record}"));
            }
        }
    }
}

/// A server of one case.
pub(crate) struct Other {
    pub(crate) endpoint: Endpoint,
    server: Box<dyn ServerUnderTest>,
}

impl Other {
    /// Stops the server, and returns what it told its operator.
    pub(crate) async fn stop(self) -> Checked<Result<(), String>> {
        within_time(LAUNCH, "the server to stop", async {
            match spawn_blocking(move || self.server.stop()).await {
                Ok(Some(result)) => Ok(result),
                Ok(None) => not_observable("the suite can't stop this server"),
                Err(error) => fail("a stop without a panic", error),
            }
        })
        .await
    }
}

/// The file that gets the record of a lifespan.
pub(crate) struct Record(PathBuf);

impl Record {
    fn new(prefix: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let name = format!("asgi-spec-{process}-{number}-{prefix}.json");
        Self(std::env::temp_dir().join(name))
    }

    /// Waits until the lifespan has done this many steps. A server may serve before the probe has
    /// recorded that its answer was taken.
    pub(crate) async fn after_steps(&self, count: usize) -> Checked<RunReport> {
        within("the steps of the lifespan", async {
            loop {
                let report = self.read()?;
                if report.outcomes().len() >= count {
                    return Ok(report);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Reads the record.
    pub(crate) fn read(&self) -> Checked<RunReport> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => RunReport::parse(&text),
            Err(_) => not_observable("this server can't tell the probe where to write"),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // There is none if the lifespan was never called.
        std::fs::remove_file(&self.0).ok();
    }
}

/// A run of the probe: one request or WebSocket and its steps.
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) target: String,
    subject: Subject,
}

impl Run {
    /// A GET for this run.
    pub(crate) fn request(&self) -> CaseRequest {
        self.request_with("")
    }

    /// A GET with more headers, each with its CR LF.
    pub(crate) fn request_with(&self, headers: &str) -> CaseRequest {
        self.request_as("GET", headers)
    }

    /// A request with another method.
    pub(crate) fn request_as(&self, method: &str, headers: &str) -> CaseRequest {
        CaseRequest {
            method: method.into(),
            target: self.target.clone(),
            headers: headers.into(),
            kind: RequestKind::Http,
        }
    }

    /// A handshake for a WebSocket, with more headers.
    pub(crate) fn handshake(&self, headers: &str) -> CaseRequest {
        CaseRequest {
            kind: RequestKind::Handshake,
            ..self.request_with(headers)
        }
    }

    /// Sends a GET on a connection of its own, and returns the response.
    pub(crate) async fn get(&self) -> Checked<Received> {
        let mut client = self.subject.connect().await?;
        client.send(self.request()).await?;
        client.response().await
    }

    /// Ends the steps `wait=NAME` of this run.
    pub(crate) async fn signal(&self, name: &str) -> Checked {
        self.subject.trace().line(format!("signal {name}"));
        let target = format!("/signal/{}?{name}", self.id);
        self.subject.ask(&target).await.map(drop)
    }

    /// Waits until the app has ended, and returns what it saw.
    pub(crate) async fn report(&self) -> Checked<RunReport> {
        self.ask("?ended", "the app to end").await
    }

    /// Waits until the app has done this many steps.
    pub(crate) async fn after_steps(&self, count: usize) -> Checked<RunReport> {
        self.ask(
            &format!("?steps={count}"),
            &format!("the app to do {count} steps"),
        )
        .await
    }

    /// Returns what the app has seen so far.
    pub(crate) async fn report_now(&self) -> Checked<RunReport> {
        self.ask("", "a report").await
    }

    async fn ask(&self, wanted: &str, what: &str) -> Checked<RunReport> {
        let target = format!("/report/{}{wanted}", self.id);
        // Shorter than the wait inside, so that the message says what the app did not do.
        let limit = PATIENCE - Duration::from_millis(500);
        let text = within_time(limit, what, self.subject.ask(&target)).await?;
        RunReport::parse(&text)
    }

    /// Plays steps in another task, with the ends that this run has parked.
    pub(crate) async fn use_parked(&self, steps: &str) -> Checked {
        let target = format!("/use/{}?{steps}", self.id);
        self.subject.ask(&target).await.map(drop)
    }

    /// Fails unless the steps had these outcomes, once the app has ended.
    pub(crate) async fn expect(&self, outcomes: &[&str]) -> Checked<RunReport> {
        let report = self.report().await?;
        let interface = self.subject.shared.place.interface;
        if report.is_older_than((2, 5)) {
            return report.expect_without_reasons(outcomes);
        }
        let outcomes: Vec<&str> = outcomes
            .iter()
            .map(|outcome| interface.outcome(outcome))
            .collect();
        if report.outcomes() != outcomes {
            return fail(
                format!("the outcomes {outcomes:?}"),
                format!("{:?}", report.steps()),
            );
        }
        Ok(report)
    }
}
