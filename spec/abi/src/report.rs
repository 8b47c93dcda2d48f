//! What the lint has found so far in this process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::REPORT_VARIABLE;

/// The most findings that a report keeps: one is enough to fail a case.
const MOST: usize = 100;

/// How long a host may take to give back what it does not need any more.
const SOON: Duration = Duration::from_secs(2);

static REPORT: Mutex<LintReport> = Mutex::new(LintReport {
    checks: BTreeMap::new(),
    broken: Vec::new(),
    due: Vec::new(),
});

struct LintReport {
    checks: BTreeMap<&'static str, u64>,
    broken: Vec<(&'static str, String)>,
    due: Vec<Due>,
}

/// Something that must happen soon.
struct Due {
    id: &'static str,
    what: &'static str,
    since: Instant,
    is_done: Box<dyn Fn() -> bool + Send>,
}

fn lock() -> MutexGuard<'static, LintReport> {
    REPORT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a check, and records what broke the requirement if it failed.
pub(crate) fn check(id: &'static str, is_kept: bool, what: impl FnOnce() -> String) {
    let mut report = lock();
    *report.checks.entry(id).or_default() += 1;
    if !is_kept && report.broken.len() < MOST {
        report.broken.push((id, what()));
    }
}

/// Records what broke a requirement.
pub(crate) fn broken(id: &'static str, what: impl Into<String>) {
    check(id, false, || what.into());
}

/// Checks later that something has happened.
pub(crate) fn soon(
    id: &'static str,
    what: &'static str,
    is_done: impl Fn() -> bool + Send + 'static,
) {
    if is_done() {
        return check(id, true, String::new);
    }
    lock().due.push(Due {
        id,
        what,
        since: Instant::now(),
        is_done: Box::new(is_done),
    });
}

/// The report as JSON.
pub(crate) fn render() -> String {
    let mut report = lock();
    let due = std::mem::take(&mut report.due);
    for one in due {
        let done = (one.is_done)();
        if done || one.since.elapsed() > SOON {
            *report.checks.entry(one.id).or_default() += 1;
            if !done && report.broken.len() < MOST {
                report.broken.push((one.id, one.what.into()));
            }
        } else {
            report.due.push(one);
        }
    }
    let due: Vec<&str> = report.due.iter().map(|one| one.id).collect();
    json!({ "abi": 1, "checks": report.checks, "broken": report.broken, "due": due }).to_string()
}

/// All requirements that were checked so far, each with what broke it first.
pub(crate) fn all() -> Vec<(&'static str, Option<String>)> {
    let report = lock();
    let first = |id| {
        let mut broken = report.broken.iter();
        broken
            .find(|(one, _)| *one == id)
            .map(|(_, what)| what.clone())
    };
    report.checks.keys().map(|id| (*id, first(*id))).collect()
}

/// Writes the report to the file that a suite has named: after the shutdown, no request can ask for it.
pub(crate) fn write() {
    if let Some(path) = std::env::var_os(REPORT_VARIABLE) {
        // If this fails, the suite misses the file and says so.
        let _ = std::fs::write(path, render());
    }
}
