//! Drives the exported app as a host in another language would: by its functions alone.
//!
//! The host of `asgi_abi` is in the same process here and shares its wakers' tables, so only these
//! tests and `hello` take the ways of a waker that is foreign.

use std::ffi::c_void;
use std::mem::{MaybeUninit, size_of};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use asgi_abi::abi::{self, Str};

use crate::support::eventually;

/// The counts below are the process's, so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

static CLONES: AtomicU32 = AtomicU32::new(0);
static DROPS: AtomicU32 = AtomicU32::new(0);
static WAKES: AtomicU32 = AtomicU32::new(0);

/// A waker of the host's: it counts what is done with it.
struct Counting(abi::Waker);

// SAFETY: a pointer to a static.
unsafe impl Sync for Counting {}

static WAKER: Counting = Counting(abi::Waker { vtable: &VTABLE });
static VTABLE: abi::WakerVtable = abi::WakerVtable {
    clone: count_clone,
    wake: count_wake,
    wake_by_ref: count_wake_by_ref,
    drop: count_drop,
};

unsafe extern "C" fn count_clone(waker: *const abi::Waker) -> *const abi::Waker {
    CLONES.fetch_add(1, Ordering::SeqCst);
    waker
}

unsafe extern "C" fn count_wake(_: *const abi::Waker) {
    WAKES.fetch_add(1, Ordering::SeqCst);
    DROPS.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn count_wake_by_ref(_: *const abi::Waker) {
    WAKES.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn count_drop(_: *const abi::Waker) {
    DROPS.fetch_add(1, Ordering::SeqCst);
}

/// The waker with which the library last polled, kept.
static KEPT: AtomicPtr<abi::Waker> = AtomicPtr::new(std::ptr::null_mut());
static RECEIVES_DROPPED: AtomicU32 = AtomicU32::new(0);
static SENDS_DROPPED: AtomicU32 = AtomicU32::new(0);

/// Never has an event; keeps the waker.
unsafe extern "C" fn receive_poll(
    _: *mut abi::Receive,
    waker: *const abi::Waker,
    _: *mut abi::ReceiveEvent,
) -> u32 {
    // SAFETY: the library lends a valid waker.
    let kept = unsafe { ((*(*waker).vtable).clone)(waker) };
    let before = KEPT.swap(kept.cast_mut(), Ordering::SeqCst);
    if !before.is_null() {
        // SAFETY: it was cloned above, and is given back once.
        unsafe { ((*(*before).vtable).drop)(before) };
    }
    abi::PENDING
}

unsafe extern "C" fn receive_drop(_: *mut abi::Receive) {
    RECEIVES_DROPPED.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn send_poll_ready(
    _: *mut abi::Send,
    _: *const abi::Waker,
    _: *mut abi::SendError,
) -> u32 {
    abi::READY
}

unsafe extern "C" fn send_start(
    _: *mut abi::Send,
    event: *mut abi::SendEvent,
    _: *mut abi::SendError,
) -> u32 {
    // SAFETY: the body is the host's from now on.
    drop(unsafe { (&raw const (*event).body).read() });
    abi::READY
}

unsafe extern "C" fn send_poll_closed(
    _: *mut abi::Send,
    _: *const abi::Waker,
    _: *mut abi::Disconnect,
) -> u32 {
    abi::PENDING
}

unsafe extern "C" fn send_drop(_: *mut abi::Send) {
    SENDS_DROPPED.fetch_add(1, Ordering::SeqCst);
}

/// Reads the target `logged` alone.
unsafe extern "C" fn log_enabled(level: u32, target: Str) -> u32 {
    // SAFETY: the library lends a valid text.
    let is_read = target.ptr.is_null() || unsafe { target.as_bytes() } == b"logged";
    (is_read && level <= abi::LOG_INFO).into()
}

static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

unsafe extern "C" fn log(line: *const abi::LogLine) {
    // SAFETY: the library lends a valid line.
    let (line, fields) = unsafe {
        let fields = std::slice::from_raw_parts((*line).fields, (*line).n_fields);
        (&*line, fields)
    };
    // SAFETY: as above.
    let text = |text: Str| unsafe { text.to_text() };
    let mut said = format!("{} {} {}", line.exchange, line.level, text(line.message));
    for field in fields {
        let value = text(field.value);
        said.push_str(&format!(" {}={value}/{}", text(field.name), field.flags));
    }
    LOGGED.lock().unwrap().push(said);
}

const HOST: abi::Host = abi::Host {
    magic: abi::MAGIC,
    major: abi::MAJOR,
    minor: abi::MINOR,
    size: size_of::<abi::Host>() as u32,
    receive_poll,
    receive_drop,
    send_poll_ready,
    send_start,
    send_poll_closed,
    send_drop,
    log_enabled,
    log,
};

/// `init`; the app, or why it refuses.
fn init(app: &'static abi::App, host: &'static abi::Host) -> Result<*mut c_void, String> {
    let start = abi::Start {
        size: size_of::<abi::Start>() as u32,
        threads: 1,
        config: Str::NULL,
    };
    let mut started = std::ptr::null_mut();
    let mut error = abi::Buffer::EMPTY;
    // SAFETY: the host lives for ever, and the library may write to both.
    let code = unsafe { (app.init)(host, &raw const start, &raw mut started, &raw mut error) };
    match code {
        abi::READY => Ok(started),
        code => {
            assert_eq!(code, abi::FAILED);
            Err(String::from_utf8(error.as_slice().to_vec()).unwrap())
        }
    }
}

fn scope(kind: u32) -> abi::Scope {
    abi::Scope {
        http_version: abi::HTTP_11,
        method: Str::new("GET"),
        scheme: Str::new("http"),
        target: Str::new("/"),
        path: Str::new("/"),
        ..abi::Scope::new(kind)
    }
}

/// Calls an app with halves that have nothing in them: the library only passes them back.
fn call(functions: &abi::App, app: *mut c_void, scope: &abi::Scope) -> abi::Task {
    let store = [MaybeUninit::uninit(); 4];
    let (mut receive, mut send) = (abi::Receive { store }, abi::Send { store });
    let mut task = MaybeUninit::uninit();
    // SAFETY: the app was made by this library; both halves are ours to give.
    unsafe {
        let (receive, send) = (&raw mut receive, &raw mut send);
        let code = (functions.call)(app, scope, receive, send, task.as_mut_ptr());
        assert_eq!(code, abi::READY);
        task.assume_init()
    }
}

fn poll(app: &abi::App, task: &mut abi::Task) -> (u32, MaybeUninit<abi::Outcome>) {
    let mut outcome = MaybeUninit::uninit();
    // SAFETY: the task is one of the app's that has not ended; the library may write to `outcome`.
    let code = unsafe { (app.poll)(task, &raw const WAKER.0, outcome.as_mut_ptr()) };
    (code, outcome)
}

mod apps {
    //! Apps of their own, each exported under its own name.

    use std::time::Duration;

    use asgi::{AppError, DynApp, Receiver, Scope, Sender};
    use asgi_abi::private::Runs;
    use asgi_abi::{Config, Exported, abi, declare};
    use tracing::Instrument;

    macro_rules! app {
        ($name:ident, $type:ident, $make:expr) => {
            struct $type;
            impl Exported for $type {
                const NAME: &'static str = stringify!($type);
                const VERSION: &'static str = "1.2.3";
                const RUNS: Runs = Runs::WhereItWaits;
                fn app(_: Config) -> Result<DynApp, AppError> {
                    let make: fn() -> DynApp = || $make;
                    Ok(make())
                }
            }
            pub(super) static $name: abi::App = declare::<$type>();
        };
    }

    app!(SLEEPS, Sleeps, DynApp::new(sleeps));
    app!(RECEIVES, Receives, DynApp::new(receives));
    app!(LOGS, Logs, DynApp::new(logs));
    app!(PANICS, Panics, panic!("no configuration"));

    async fn sleeps(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(())
    }

    /// Says something itself, and in a task that it spawns.
    async fn logs(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        tracing::info!(target: "logged", rows = 3, user = "ann", "at once");
        tracing::debug!(target: "logged", "nobody reads this level");
        tracing::error!(target: "other", "nobody reads this target");
        let span = tracing::info_span!(target: "logged", "outer", id = 1);
        let task = async {
            let inner = tracing::error_span!(target: "logged", "inner");
            inner.in_scope(|| tracing::warn!(target: "logged", "{} task", "a"));
        };
        tokio::spawn(task.instrument(span)).await?;
        tokio::spawn(async { tracing::warn!(target: "logged", "a task without a span") }).await?;
        Ok(())
    }

    /// Polls its half in a task of its own, so that the library lends a waker of its runtime's.
    async fn receives(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
        let task = tokio::spawn(async move {
            receive.receive().await;
        });
        tokio::time::sleep(Duration::from_secs(3600)).await;
        task.await?;
        Ok(())
    }
}

#[test]
fn a_foreign_waker_is_cloned_to_be_kept_woken_and_given_back() {
    let _alone = alone();
    static IT: abi::Host = HOST;
    let counts = || {
        let count = |count: &AtomicU32| count.load(Ordering::SeqCst);
        (count(&CLONES), count(&DROPS), count(&WAKES))
    };
    let before = counts();
    let app = init(&apps::SLEEPS, &IT).unwrap();
    let mut task = call(&apps::SLEEPS, app, &scope(abi::SCOPE_HTTP));
    assert_eq!(poll(&apps::SLEEPS, &mut task).0, abi::PENDING);
    assert!(counts().0 > before.0, "it is kept");
    // Twice where the timer ends while the call moves: then the first one comes for nothing.
    let mut wakes = before.2;
    loop {
        eventually(|| counts().2 > wakes);
        wakes = counts().2;
        match poll(&apps::SLEEPS, &mut task).0 {
            abi::PENDING => {}
            code => break assert_eq!(code, abi::READY),
        }
    }
    // SAFETY: dropped once.
    unsafe { (apps::SLEEPS.drop_task)(&raw mut task) };
    eventually(|| counts().1 - before.1 == counts().0 - before.0);
    // SAFETY: the app's last call.
    unsafe { (apps::SLEEPS.shutdown)(app, 1000) };
}

#[test]
fn a_waker_of_the_library_may_be_kept_woken_and_given_back_by_the_host() {
    let _alone = alone();
    static IT: abi::Host = HOST;
    let app = init(&apps::RECEIVES, &IT).unwrap();
    let mut task = call(&apps::RECEIVES, app, &scope(abi::SCOPE_HTTP));
    assert_eq!(poll(&apps::RECEIVES, &mut task).0, abi::PENDING);
    eventually(|| !KEPT.load(Ordering::SeqCst).is_null());
    let kept = KEPT.swap(std::ptr::null_mut(), Ordering::SeqCst);
    // SAFETY: the waker was cloned, twice now; each is given back once, by `wake` or `drop`.
    unsafe {
        let vtable = &*(*kept).vtable;
        let second = (vtable.clone)(kept);
        (vtable.wake_by_ref)(kept);
        // The library polls again, and so another waker is kept.
        eventually(|| !KEPT.load(Ordering::SeqCst).is_null());
        (vtable.drop)(second);
        (vtable.wake)(kept);
    }
    let (receives, sends) = (&RECEIVES_DROPPED, &SENDS_DROPPED);
    let before = (
        receives.load(Ordering::SeqCst),
        sends.load(Ordering::SeqCst),
    );
    // SAFETY: dropped once; then the app's last call.
    unsafe {
        (apps::RECEIVES.drop_task)(&raw mut task);
        (apps::RECEIVES.shutdown)(app, 1000);
    }
    eventually(|| {
        receives.load(Ordering::SeqCst) == before.0 + 1
            && sends.load(Ordering::SeqCst) == before.1 + 1
    });
    let kept = KEPT.swap(std::ptr::null_mut(), Ordering::SeqCst);
    // SAFETY: the last one that was kept.
    unsafe { ((*(*kept).vtable).drop)(kept) };
}

#[test]
fn what_an_app_says_bears_the_number_of_its_exchange() {
    let _alone = alone();
    static IT: abi::Host = HOST;
    let app = init(&apps::LOGS, &IT).unwrap();
    let mut scope = scope(abi::SCOPE_HTTP);
    scope.exchange = 7;
    // SAFETY: as above.
    unsafe {
        let mut task = call(&apps::LOGS, app, &scope);
        eventually(|| poll(&apps::LOGS, &mut task).0 == abi::READY);
        (apps::LOGS.drop_task)(&raw mut task);
        (apps::LOGS.shutdown)(app, 1000);
    }
    assert_eq!(
        *LOGGED.lock().unwrap(),
        [
            "7 3 at once rows=3/1 user=ann/0",
            "7 2 a task span=outer{id=1}:inner/1",
            "0 2 a task without a span",
        ]
    );
}

#[test]
fn a_host_of_another_version_is_refused() {
    static NEWER: abi::Host = abi::Host {
        minor: abi::MINOR + 1,
        ..HOST
    };
    static SMALLER: abi::Host = abi::Host { size: 16, ..HOST };
    static OTHER: abi::Host = abi::Host { magic: 1, ..HOST };
    for host in [&NEWER, &SMALLER, &OTHER] {
        let refusal = init(&apps::SLEEPS, host).unwrap_err();
        assert!(refusal.contains("version 0."), "{refusal}");
    }
    assert_eq!(
        init(&apps::SLEEPS, &NEWER).unwrap_err(),
        format!(
            "the server speaks version 0.{} of the app ABI ({size} bytes), this app 0.{} ({size} bytes)",
            abi::MINOR + 1,
            abi::MINOR,
            size = size_of::<abi::Host>()
        )
    );
}

#[test]
fn an_app_that_panics_as_it_is_made_is_refused() {
    static IT: abi::Host = HOST;
    let refusal = init(&apps::PANICS, &IT).unwrap_err();
    assert_eq!(refusal, "the app panicked as it was made: no configuration");
}

/// The first message of a task that ends at once, badly.
fn failure(scope: &abi::Scope) -> (u32, String) {
    static IT: abi::Host = HOST;
    let app = init(&apps::SLEEPS, &IT).unwrap();
    // SAFETY: as above; the outcome is filled in, and its texts live until the task is dropped.
    unsafe {
        let mut task = call(&apps::SLEEPS, app, scope);
        let (code, outcome) = poll(&apps::SLEEPS, &mut task);
        let outcome = outcome.assume_init();
        let message = (*outcome.messages).to_text().into_owned();
        (apps::SLEEPS.drop_task)(&raw mut task);
        (apps::SLEEPS.shutdown)(app, 1000);
        (code, message)
    }
}

#[test]
fn a_scope_that_makes_no_sense_fails_its_call_alone() {
    let _alone = alone();
    let mut no_path = scope(abi::SCOPE_HTTP);
    no_path.target = Str::new("a b");
    let wrong = "the server's scope does not cross: a target that is no path and query";
    assert_eq!(failure(&no_path), (abi::FAILED, wrong.to_owned()));

    let mut no_method = scope(abi::SCOPE_HTTP);
    no_method.method = Str::new("G T");
    let wrong = "the server's scope does not cross: a method that is no token";
    assert_eq!(failure(&no_method), (abi::FAILED, wrong.to_owned()));

    let header = abi::Header {
        name: Str::new("a b"),
        value: Str::new("c"),
        flags: 0,
    };
    let mut no_header = scope(abi::SCOPE_HTTP);
    (no_header.headers, no_header.n_headers) = (&raw const header, 1);
    let wrong = "the server's scope does not cross: a header name that is no token";
    assert_eq!(failure(&no_header), (abi::FAILED, wrong.to_owned()));

    let wrong = "the server called with a scope of unknown kind 77";
    assert_eq!(failure(&scope(77)), (abi::FAILED, wrong.to_owned()));
}

#[test]
fn a_task_that_is_polled_after_its_end_says_so() {
    let _alone = alone();
    static IT: abi::Host = HOST;
    let app = init(&apps::SLEEPS, &IT).unwrap();
    // SAFETY: as above, but for the second poll, which Rust's library withstands.
    unsafe {
        let mut task = call(&apps::SLEEPS, app, &scope(77));
        assert_eq!(poll(&apps::SLEEPS, &mut task).0, abi::FAILED);
        assert_eq!(poll(&apps::SLEEPS, &mut task).0, abi::PANICKED);
        (apps::SLEEPS.drop_task)(&raw mut task);
        (apps::SLEEPS.shutdown)(app, 1000);
    }
}
