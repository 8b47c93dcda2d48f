//! Runs cases side by side.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::results::{Grade, Graded, Results};
use super::{Interface, Launch, Launcher, Place, Selection, ServerUnderTest, Subject};
use crate::cases::{Case, Transport, cases, missing, not_in_python};
use crate::client::http2::NO_PUSH;
use crate::client::{Endpoint, Http1, Http2, Trace};
use crate::probe::DEFAULT_LIFESPAN;
use crate::requirement::{requirement, requirements};
use crate::result::{Mismatch, Stop};

/// How long one case may take.
const CASE_LIMIT: Duration = Duration::from_secs(60);

/// How many cases run at once.
const AT_ONCE: usize = 16;

/// The same for Python, where one thread runs the server and the apps of all cases.
const AT_ONCE_IN_PYTHON: usize = 3;

/// How long a server may take for its first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

pub(super) fn run(
    launcher: &Arc<dyn Launcher>,
    selection: &Selection,
    progress: &(dyn Fn(&Graded) + Send + Sync),
) -> Result<Results, String> {
    if let Some(tls) = &selection.tls {
        tls.check()?;
    }
    let server = launcher.launch(Launch::new(DEFAULT_LIFESPAN, selection.tls.clone()))?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("the suite could not start its runtime: {error}"))?;
    let endpoint = Endpoint {
        address: server.address(),
        tls: selection.tls.clone(),
    };
    let server: Arc<Mutex<Option<Box<dyn ServerUnderTest>>>> = Arc::new(Some(server).into());
    let log = {
        let server = Arc::clone(&server);
        Arc::new(move || server.lock().ok()?.as_ref()?.log())
    };
    let results = runtime.block_on(async {
        let (version, interface) = runs_the_probe(&endpoint).await?;
        let no_http2 = no_http2(selection, &endpoint).await?;
        let mut results = without_case(selection);
        // The server may run longer than the suite, so another run must not have the same ids.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let nonce = now.map_or(0, |now| now.subsec_nanos());
        let permits = Arc::new(Semaphore::new(match interface {
            Interface::Rust => AT_ONCE,
            Interface::Python => AT_ONCE_IN_PYTHON,
        }));
        let mut running = JoinSet::new();
        for (number, (case, transport)) in selected_cases(selection).enumerate() {
            let not_in_interface = match interface {
                Interface::Rust => None,
                Interface::Python => not_in_python(case.id),
            };
            let reason = match &no_http2 {
                Some(reason) if transport.is_http2() => Some(reason.clone()),
                _ => selection.skips(case, transport).or(not_in_interface),
            };
            if let Some(reason) = reason {
                let grade = Grade::NotSupported(reason);
                let case = (case, transport.name(endpoint.tls.is_some()));
                results.extend(graded(case, grade, Duration::ZERO, Vec::new()));
                continue;
            }
            // A requirement can have several cases.
            let prefix = format!("{}-{number}-{nonce:x}", case.id);
            let place = Place {
                endpoint: endpoint.clone(),
                version: version.clone(),
                interface,
                launcher: Arc::clone(launcher),
                log: log.clone(),
                limits: selection.limits.clone(),
            };
            let subject = Subject::new(prefix, transport, place);
            let permits = Arc::clone(&permits);
            running.spawn(async move {
                let _permit = permits.acquire_owned().await;
                one((case, transport), subject).await
            });
        }
        while let Some(result) = running.join_next().await {
            let result = result.map_err(|error| format!("a case of the suite failed: {error}"))?;
            if let Some(result) = result {
                progress(&result);
                results.push(result);
            }
        }
        if launcher.starts() {
            release(&endpoint).await;
        }
        Ok::<_, String>((results, interface))
    });
    runtime.shutdown_background();
    // A task of a case may still know the server. A server that can't be stopped goes on.
    let server = server.lock().ok().and_then(|mut server| server.take());
    if let Some(server) = server {
        server.stop();
    }
    let (results, interface) = results?;
    Ok(Results::new(results, selection.expected.clone(), interface))
}

/// Lets the apps that still wait for a signal go on. A server that stops would wait for them.
async fn release(endpoint: &Endpoint) {
    let asking = async {
        let mut client = Http1::connect(endpoint, "control".into(), Trace::new()).await?;
        client
            .send("GET /release HTTP/1.1\r\nhost: suite\r\nconnection: close\r\n\r\n")
            .await?;
        client.response().await
    };
    // A server that can't be asked any more only takes longer to stop.
    timeout(FIRST_ANSWER, asking).await.ok();
}

/// The selected cases, each once for each of its transports.
fn selected_cases(selection: &Selection) -> impl Iterator<Item = (&'static Case, Transport)> {
    cases().flat_map(move |case| {
        let transports = case.transports.iter().copied();
        transports
            .filter(move |transport| selection.selects(case.id, *transport))
            .map(move |transport| (case, transport))
    })
}

async fn one(case: (&'static Case, Transport), subject: Subject) -> Option<Graded> {
    let (case, transport) = case;
    let began = Instant::now();
    let result = match timeout(CASE_LIMIT, (case.run)(subject.share())).await {
        Ok(result) => result,
        Err(_) => Err(Stop::Failed(Mismatch {
            expected: format!("an end of the case within {} s", CASE_LIMIT.as_secs()),
            got: "none".into(),
        })),
    };
    let time = began.elapsed();
    let (grade, trace) = match result {
        Ok(()) => (Grade::Passed, Vec::new()),
        Err(Stop::NotSupported(why)) => (Grade::NotSupported(why), Vec::new()),
        Err(Stop::NotObservable(why)) => (Grade::NotObservable(why), Vec::new()),
        Err(Stop::Failed(mismatch)) => {
            subject.trace_runs().await;
            (Grade::Failed(mismatch), subject.trace().take())
        }
    };
    graded(
        (case, transport.name(subject.has_tls())),
        grade,
        time,
        trace,
    )
}

fn graded(
    (case, transport): (&Case, &'static str),
    grade: Grade,
    time: Duration,
    trace: Vec<String>,
) -> Option<Graded> {
    Some(Graded {
        requirement: requirement(case.id)?,
        case: Some(case.name.replace('_', " ")),
        transport,
        grade,
        time,
        trace,
    })
}

/// The requirements that no case checks.
fn without_case(selection: &Selection) -> Vec<Graded> {
    let selected = requirements()
        .iter()
        .filter(|requirement| selection.selects_requirement(requirement.id));
    selected
        .filter_map(|requirement| {
            let grade = missing(requirement.id)?;
            Some(Graded {
                requirement,
                case: None,
                transport: "",
                grade,
                time: Duration::ZERO,
                trace: Vec::new(),
            })
        })
        .collect()
}

/// Says why no case runs over HTTP/2, if none does. An error is for the operator.
async fn no_http2(selection: &Selection, endpoint: &Endpoint) -> Result<Option<String>, String> {
    if selection.http2 == Some(false) {
        return Ok(Some("the server has no HTTP/2".into()));
    }
    let asking = async {
        let (name, trace) = ("control".into(), Trace::new());
        let mut client = Http2::connect(endpoint, NO_PUSH, name, trace).await?;
        let target = (":path", "/report/hello");
        let scheme = (":scheme", client.scheme());
        let request = [(":method", "GET"), scheme, (":authority", "suite"), target];
        let stream = client.begin(&request, true).await?;
        client.head(stream).await
    };
    let why = match timeout(FIRST_ANSWER, asking).await {
        Ok(Ok(head)) if head.status == 200 => return Ok(None),
        Ok(Ok(head)) => format!("it answered {}", head.status),
        Ok(Err(stop)) => format!("{stop:?}"),
        Err(_) => "it does not answer".into(),
    };
    if selection.http2 == Some(true) {
        let address = endpoint.address;
        return Err(format!(
            "the server at {address} does not speak HTTP/2: {why}"
        ));
    }
    Ok(Some("the server does not speak HTTP/2".into()))
}

/// Returns the version of HTTP with which the probe answers at this address and the interface that
/// it uses, or a message for the operator.
async fn runs_the_probe(endpoint: &Endpoint) -> Result<(String, Interface), String> {
    let address = endpoint.address;
    let asking = async {
        let trace = Trace::new();
        let mut client = Http1::connect(endpoint, "control".into(), trace).await?;
        client
            .send("GET /report/hello HTTP/1.1\r\nhost: suite\r\nconnection: close\r\n\r\n")
            .await?;
        client.response().await
    };
    let limit = FIRST_ANSWER.as_secs();
    match timeout(FIRST_ANSWER - Duration::from_millis(100), asking).await {
        Err(_) => Err(format!(
            "the server at {address} accepts connections and does not answer within {limit} s; \
             it must serve the probe over HTTP/1.1"
        )),
        Ok(Err(Stop::Failed(mismatch))) if mismatch.got.contains("refused") => Err(format!(
            "no server listens on {address}; start one with the probe, or let --exec start it"
        )),
        Ok(Err(Stop::Failed(mismatch))) => Err(format!(
            "the server at {address} does not answer as HTTP/1.1: {mismatch}"
        )),
        Ok(Err(Stop::NotSupported(why) | Stop::NotObservable(why))) => {
            Err(format!("the server at {address} can't be asked: {why}"))
        }
        Ok(Ok(received)) if received.text().contains("\"probe\":1") => {
            let interface = Interface::of_report(&received.text());
            Ok((received.head.version, interface))
        }
        Ok(Ok(received)) => {
            let server = received.head.header("server").unwrap_or("no name");
            Err(format!(
                "the server at {address} ({server}) runs another app: it answered {} to \
                 /report/hello; let it serve the probe: the library of asgi-spec-probe, or \
                 probe.py for Python",
                received.head.status
            ))
        }
    }
}
