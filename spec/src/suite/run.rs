//! Runs cases side by side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::results::{Grade, Graded, Results};
use super::{Launch, Launcher, Place, Selection, ServerUnderTest, Subject};
use crate::cases::{Case, cases, missing};
use crate::client::{Http1, Trace};
use crate::probe::DEFAULT_LIFESPAN;
use crate::requirement::{requirement, requirements};
use crate::result::{Mismatch, Stop};

/// How long one case may take.
const CASE_LIMIT: Duration = Duration::from_secs(60);

/// How many cases run at once.
const AT_ONCE: usize = 16;

/// How long a server may take for its first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

pub(super) fn run(
    launcher: &Arc<dyn Launcher>,
    selection: &Selection,
    progress: &(dyn Fn(&Graded) + Send + Sync),
) -> Result<Results, String> {
    let server = launcher.launch(Launch::new(DEFAULT_LIFESPAN))?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("the suite could not start its runtime: {error}"))?;
    let address = server.address();
    let server: Arc<std::sync::Mutex<Box<dyn ServerUnderTest>>> = Arc::new(server.into());
    let log = {
        let server = Arc::clone(&server);
        Arc::new(move || server.lock().ok().and_then(|server| server.log()))
    };
    let results = runtime.block_on(async {
        let version = runs_the_probe(address).await?;
        let mut results = without_case(selection);
        // The server may run longer than the suite, so another run must not have the same ids.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let nonce = now.map_or(0, |now| now.subsec_nanos());
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut running = JoinSet::new();
        for case in cases().filter(|case| selection.selects(case.id)) {
            if let Some(reason) = selection.skips(case) {
                let grade = Grade::NotSupported(reason);
                results.extend(graded(case, grade, Duration::ZERO, Vec::new()));
                continue;
            }
            let prefix = format!("{}-{nonce:x}", case.id);
            let place = Place {
                address,
                version: version.clone(),
                launcher: Arc::clone(launcher),
                log: log.clone(),
                limits: selection.limits.clone(),
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
        Ok::<_, String>(results)
    });
    runtime.shutdown_background();
    // The lock and the `Arc` are only ours now. A server that can't be stopped goes on.
    if let Some(server) = Arc::into_inner(server).and_then(|server| server.into_inner().ok()) {
        server.stop();
    }
    Ok(Results::new(results?, selection.expected.clone()))
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

/// Returns the version of HTTP with which the probe answers at this address, or a message for the
/// operator.
async fn runs_the_probe(address: SocketAddr) -> Result<String, String> {
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
        Ok(Err(stop)) => Err(format!(
            "the server at {address} does not answer as HTTP/1.1: {stop:?}"
        )),
        Ok(Ok(received)) if received.text().contains("\"probe\":1") => Ok(received.head.version),
        Ok(Ok(received)) => Err(format!(
            "the server at {address} runs another app: it answered {} to /report/hello, and the \
             suite expected the probe; serve the library of asgi-spec-probe",
            received.head.status
        )),
    }
}
