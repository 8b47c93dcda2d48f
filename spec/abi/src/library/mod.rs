//! A small host that loads a library and checks its side of the boundary.
//!
//! It plays exchanges with whatever app the library has: it needs no particular answer. It shares no code
//! with a host that serves.

mod exchange;
mod half;

use std::ffi::c_void;
use std::mem::size_of;
use std::path::Path;
use std::time::{Duration, Instant};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use self::exchange::{ClientKind, LibraryExchange, TaskEnding};
use crate::host::Output;
use crate::layout::*;
use crate::report;

/// The requirements that this module checks.
pub const CHECKED: &[&str] = &[
    "ABI-003", "ABI-008", "ABI-009", "ABI-012", "ABI-013", "ABI-014", "ABI-017", "ABI-019",
    "ABI-020", "ABI-021", "ABI-023", "ABI-024", "ABI-025",
];

/// How long a call of the app may wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long `shutdown` may take, in milliseconds.
const GRACE: u32 = 2000;

/// One requirement, and what the library does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LibraryFinding {
    /// The id, such as `ABI-013`.
    pub id: &'static str,
    /// What broke the requirement. `None` if the library keeps it.
    pub broken: Option<String>,
}

/// What a check has found so far.
#[derive(Default)]
pub(crate) struct LibraryFindings(Vec<LibraryFinding>);

impl LibraryFindings {
    pub(crate) fn check(&mut self, id: &'static str, is_kept: bool, what: impl Into<String>) {
        let broken = (!is_kept).then(|| what.into());
        match self.0.iter_mut().find(|one| one.id == id) {
            Some(one) => {
                if one.broken.is_none() {
                    one.broken = broken;
                }
            }
            None => self.0.push(LibraryFinding { id, broken }),
        }
    }
}

/// Loads a library, calls its app, and returns a finding for each requirement that it could check.
///
/// The library stays loaded. It runs in this process: if it crashes, this process does too.
///
/// # Errors
///
/// Returns a message if the library can't be loaded, or if its app does not start.
pub fn check(path: &Path, config: Option<&str>) -> Result<Vec<LibraryFinding>, String> {
    let mut findings = LibraryFindings::default();
    // SAFETY: the operator asks for the code of this library.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let library =
        library.map_err(|error| format!("{} can't be loaded: {error}", path.display()))?;
    // SAFETY: the symbol has this type, if its magic number is right.
    let symbol = unsafe { library.get::<*const App>(b"ASGI_APP\0") };
    let app: *const App = match symbol {
        Ok(symbol) => *symbol,
        Err(_) => return Err(format!("{} has no symbol ASGI_APP", path.display())),
    };
    // A library stays loaded until the process ends. (ABI-007)
    std::mem::forget(library);
    // SAFETY: the head is the same in all versions.
    let (magic, major, minor, size) =
        unsafe { ((*app).magic, (*app).major, (*app).minor, (*app).size) };
    if magic != MAGIC {
        return Err(format!(
            "ASGI_APP begins with {magic:#x}, expected {MAGIC:#x}"
        ));
    }
    if (major, minor) != (MAJOR, MINOR) {
        return Err(format!(
            "the library has version {major}.{minor} of the ABI, this check has {MAJOR}.{MINOR}"
        ));
    }
    let is_right = size as usize == size_of::<App>();
    findings.check(
        "ABI-003",
        is_right,
        format!("the size {size}, expected {}", size_of::<App>()),
    );
    if !is_right {
        return Ok(findings.0);
    }
    // SAFETY: it is a static of a library that stays loaded, of this version.
    let app: &'static App = unsafe { &*app };
    refuses_another_version(app, &mut findings);
    let started = init(app, &half::HOST, config)
        .map_err(|message| format!("the app does not start: {message}"))?;
    for kind in [
        ClientKind::Get,
        ClientKind::Post,
        ClientKind::Cancelled,
        ClientKind::WebSocket,
        ClientKind::Gone,
    ] {
        play(app, started, kind, &mut findings);
    }
    unreadable(app, started, &mut findings);
    let began = Instant::now();
    // SAFETY: `init` has made the app, and no task is left.
    unsafe { (app.shutdown)(started, GRACE) };
    let took = began.elapsed();
    let limit = Duration::from_millis(u64::from(GRACE) + 500);
    findings.check(
        "ABI-024",
        took < limit,
        format!("shutdown took {took:?} with a grace of {GRACE} ms"),
    );
    for (id, broken) in report::all() {
        findings.check(id, broken.is_none(), broken.unwrap_or_default());
    }
    let mut findings = findings.0;
    findings.sort_by_key(|one| one.id);
    Ok(findings)
}

/// Calls `init` with a host of another version.
fn refuses_another_version(app: &App, findings: &mut LibraryFindings) {
    let other: &'static Host = Box::leak(Box::new(Host {
        minor: MINOR + 1,
        ..half::HOST
    }));
    let (code, message) =
        init(app, other, None).map_or_else(|message| (FAILED, message), |_| (READY, String::new()));
    findings.check(
        "ABI-008",
        code == FAILED && !message.is_empty(),
        format!("init with a host of version {MAJOR}.{}: {code}", MINOR + 1),
    );
}

/// Calls `init`, and returns the app or the message.
fn init(app: &App, host: &'static Host, config: Option<&str>) -> Result<*mut c_void, String> {
    let start = Start {
        size: size_of::<Start>() as u32,
        threads: 1,
        config: config.map_or(Str::NULL, Str::new),
    };
    let mut made = Output::<*mut c_void>::new();
    let mut error = Output::<Buffer>::new();
    // SAFETY: the host is a static, and the outputs are local variables.
    let code = unsafe { (app.init)(host, &raw const start, made.pointer(), error.pointer()) };
    let made = made.value(code == READY, "init");
    let message = error.value(code == FAILED, "init");
    let message = message.map(|error| {
        // SAFETY: the library has given the buffer to this side.
        unsafe {
            let text = error.to_vec();
            error.give_back();
            String::from_utf8_lossy(&text).into_owned()
        }
    });
    match made {
        Some(app) if !app.is_null() => Ok(app),
        Some(_) => Err("init returned READY with NULL".into()),
        None => Err(message.unwrap_or_else(|| format!("init returned {code}"))),
    }
}

/// Plays one exchange, and checks what the library does with it.
fn play(app: &'static App, started: *mut c_void, kind: ClientKind, findings: &mut LibraryFindings) {
    let exchange = LibraryExchange::new(kind);
    let what = format!("{kind:?}");
    let mut task = match call(app, started, &exchange) {
        Ok(task) => task,
        Err(code) => {
            // It may serve no such scope. It must not keep the halves.
            let given = exchange.is_given_back();
            findings.check("ABI-013", given, format!("{what}: call returned {code}"));
            return;
        }
    };
    let ending = exchange.run(app, &mut task, findings);
    findings.check(
        "ABI-019",
        ending != TaskEnding::Stuck,
        format!("{what}: the app waits for what has happened"),
    );
    findings.check(
        "ABI-014",
        ending != TaskEnding::Unknown,
        format!("{what}: an unknown code"),
    );
    // SAFETY: `call` has made the task, and this is its only drop.
    unsafe { (app.drop_task)(&raw mut task) };
    exchange.wake_late();
    let given = within(|| exchange.is_given_back());
    let id = if ending == TaskEnding::Running {
        "ABI-017"
    } else {
        "ABI-013"
    };
    findings.check(id, given, format!("{what}: a half is not given back"));
    exchange.verdict(&what, findings);
}

/// Calls the app with a scope, or returns the code.
fn call(app: &App, started: *mut c_void, exchange: &LibraryExchange) -> Result<Task, u32> {
    let (mut receive, mut send) = exchange.halves();
    let mut task = Output::<Task>::new();
    let code = exchange.with_scope(|scope| {
        // SAFETY: all arguments are valid during the call. The halves are the library's from now on.
        unsafe {
            (app.call)(
                started,
                scope,
                &raw mut receive,
                &raw mut send,
                task.pointer(),
            )
        }
    });
    task.value(code == READY, "call").ok_or(code)
}

/// Calls the app with scopes that it can't read. Each fails its own call only.
fn unreadable(app: &'static App, started: *mut c_void, findings: &mut LibraryFindings) {
    for kind in [ClientKind::Unknown, ClientKind::NotUtf8] {
        let exchange = LibraryExchange::new(kind);
        let what = format!("{kind:?}");
        let called = call(app, started, &exchange);
        let failed = match called {
            Err(_) => true,
            Ok(mut task) => {
                let ending = exchange.run(app, &mut task, findings);
                // SAFETY: as in `play`.
                unsafe { (app.drop_task)(&raw mut task) };
                // It may also have read what it needs.
                ending != TaskEnding::Stuck
            }
        };
        findings.check("ABI-023", failed, format!("{what}: the call does not end"));
        let given = within(|| exchange.is_given_back());
        findings.check(
            "ABI-013",
            given,
            format!("{what}: a half is not given back"),
        );
    }
    // The next call works.
    let exchange = LibraryExchange::new(ClientKind::Get);
    let works = call(app, started, &exchange);
    findings.check(
        "ABI-023",
        works.is_ok(),
        "no call works after an unreadable scope",
    );
    if let Ok(mut task) = works {
        exchange.run(app, &mut task, findings);
        // SAFETY: as in `play`.
        unsafe { (app.drop_task)(&raw mut task) };
    }
}

/// Waits until something is true.
fn within(is_true: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !is_true() {
        if began.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
