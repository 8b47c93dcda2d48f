//! The suite of the spec against the servers of this workspace.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod broken;
mod command;
mod files;
mod halves;
mod host;
mod library;
mod linked;
mod lint;
mod page;
mod python;
mod streams;
mod tiny;

use std::sync::Mutex;
use std::thread;

/// How many servers run at once. They wait most of the time.
const AT_ONCE: usize = 8;

/// Calls a function for each value, several at once, and returns what it complains about.
pub(crate) fn side_by_side<T: Send>(
    values: Vec<T>,
    check: impl Fn(T) -> Option<String> + Sync,
) -> Vec<String> {
    let left = Mutex::new(values);
    let complaints = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().pop();
                    let Some(value) = next else {
                        return;
                    };
                    if let Some(complaint) = check(value) {
                        complaints.lock().unwrap().push(complaint);
                    }
                }
            });
        }
    });
    complaints.into_inner().unwrap()
}
