//! How the process ends: an `exit` that the app calls, and an end that no code of the app can hold up.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::panic::catch;

/// Makes the text for a call of `exit`, and returns the exit code of the process.
type ExitReport = fn(i32) -> i32;

static REPORT: OnceLock<ExitReport> = OnceLock::new();
/// The process that the report is for: an app may fork, and its child may call `exit`.
static PROCESS: OnceLock<u32> = OnceLock::new();
static IS_EXPECTED: AtomicBool = AtomicBool::new(false);

/// From its drop on, the end of the process is expected, and [`report_exits`] reports nothing.
#[derive(Debug)]
#[must_use = "dropping it turns the report off"]
pub struct ExpectedExit(());

impl Drop for ExpectedExit {
    fn drop(&mut self) {
        IS_EXPECTED.store(true, Ordering::SeqCst);
    }
}

/// Calls `report` if the app ends the process by `exit`. Its result is the exit code of the process.
///
/// `report` gets the code that the app gave to `exit`, or 0 if the system does not tell it. It runs
/// after the handlers and destructors of the app. Only the first call has an effect: call it in `main`,
/// before you load the app, and drop the result when `main` returns.
pub fn report_exits(report: ExitReport) -> ExpectedExit {
    if REPORT.set(report).is_ok() {
        PROCESS.get_or_init(std::process::id);
        register();
    }
    ExpectedExit(())
}

/// Ends the process without running any code of the app: no handlers, no destructors.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn register() {
    unsafe extern "C" {
        fn on_exit(
            function: extern "C" fn(libc::c_int, *mut libc::c_void),
            argument: *mut libc::c_void,
        ) -> libc::c_int;
    }
    extern "C" fn at_exit(code: libc::c_int, _: *mut libc::c_void) {
        end(code);
    }
    // SAFETY: `at_exit` has the signature that glibc documents, and it is never unloaded. If there is
    // no memory for it, there is no report.
    unsafe { on_exit(at_exit, std::ptr::null_mut()) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn register() {
    extern "C" fn at_exit() {
        end(0);
    }
    // SAFETY: `at_exit` has the right signature, and it is never unloaded. If there is no memory for
    // it, there is no report.
    unsafe { libc::atexit(at_exit) };
}

/// Runs when some code calls `exit`, and when `main` returns.
fn end(code: i32) {
    let is_ours = PROCESS.get() == Some(&std::process::id());
    if IS_EXPECTED.load(Ordering::SeqCst) || !is_ours {
        return;
    }
    if let Some(report) = REPORT.get() {
        exit_now(catch(|| report(code)).unwrap_or(1));
    }
}
