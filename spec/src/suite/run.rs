//! Runs cases side by side.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::results::{Grade, Graded, Results};
use super::{Interface, Launch, Launcher, Place, Selection, ServerUnderTest, Subject};
use crate::cases::{Case, cases, missing, not_in_python};
use crate::client::{Http1, Trace};
use crate::probe::DEFAULT_LIFESPAN;
use crate::requirement::{requirement, requirements};
use crate::result::{Mismatch, Stop};

/// How long one case may take.
const CASE_LIMIT: Duration = Duration::from_secs(20);

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
    let launch = Launch {
        lifespan: DEFAULT_LIFESPAN.into(),
        record: None,
    };
    let server = launcher.launch(launch)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("the suite could not start its runtime: {error}"))?;
    let address = server.address();
    let server: Arc<Mutex<Option<Box<dyn ServerUnderTest>>>> = Arc::new(Some(server).into());
    let log = {
        let server = Arc::clone(&server);
        Arc::new(move || server.lock().ok()?.as_ref()?.log())
    };
    let results = runtime.block_on(async {
        let (version, interface) = runs_the_probe(address).await?;
        let mut results = without_case(selection);
        // The server may run longer than the suite, so another run must not have the same ids.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let nonce = now.map_or(0, |now| now.subsec_nanos());
        let permits = Arc::new(Semaphore::new(match interface {
            Interface::Rust => AT_ONCE,
            Interface::Python => AT_ONCE_IN_PYTHON,
        }));
        let mut running = JoinSet::new();
        for case in cases().filter(|case| selection.selects(case.id)) {
            let not_in_interface = match interface {
                Interface::Rust => None,
                Interface::Python => not_in_python(case.id),
            };
            if let Some(reason) = selection.skips(case).or(not_in_interface) {
                let grade = Grade::NotSupported(reason);
                results.extend(graded(case, grade, Duration::ZERO, Vec::new()));
                continue;
            }
            let prefix = format!("{}-{nonce:x}", case.id);
            let place = Place {
                address,
                version: version.clone(),
                interface,
                launcher: Arc::clone(launcher),
                log: log.clone(),
            };
            let subject = Subject::new(prefix, place);
            let permits = Arc::clone(&permits);
            running.spawn(async move {
                let _permit = permits.acquire_owned().await;
                one(case, subject).await
            });
        }
        while let Some(result) = running.join_next().await {
            let result = result.map_err(|error| format!("a case of the suite failed: {error}"))?;
            if let Some(result) = result {
                progress(&result);
                results.push(result);
            }
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

async fn one(case: &'static Case, subject: Subject) -> Option<Graded> {
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
    graded(case, grade, time, trace)
}

fn graded(case: &Case, grade: Grade, time: Duration, trace: Vec<String>) -> Option<Graded> {
    Some(Graded {
        requirement: requirement(case.id)?,
        case: Some(case.name.replace('_', " ")),
        transport: case.transport.name(),
        grade,
        time,
        trace,
    })
}

/// The requirements that no case checks.
fn without_case(selection: &Selection) -> Vec<Graded> {
    let selected = requirements()
        .iter()
        .filter(|requirement| selection.selects(requirement.id));
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

/// Returns the version of HTTP with which the probe answers at this address and the interface that
/// it uses, or a message for the operator.
async fn runs_the_probe(address: SocketAddr) -> Result<(String, Interface), String> {
    let asking = async {
        let trace = Trace::new();
        let mut client = Http1::connect(address, "control".into(), trace).await?;
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
