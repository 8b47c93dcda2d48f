//! Calls the functions of an exported app directly, as a host in another language does.
//!
//! In the other tests, the host of `asgi_abi` is in the same process and shares the vtables of its
//! wakers. So only these tests and `hello` use foreign wakers.

use std::ffi::c_void;
use std::mem::{MaybeUninit, size_of};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use asgi_abi::abi::{self, Str};

use crate::support::eventually;

/// The counts below are global, so only one test at a time may run.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

static CLONES: AtomicU32 = AtomicU32::new(0);
static DROPS: AtomicU32 = AtomicU32::new(0);
static WAKES: AtomicU32 = AtomicU32::new(0);

/// A waker of the host that counts the calls of its functions.
struct Counting(abi::Waker);

// SAFETY: it is a pointer to a static, which any thread may read.
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

/// A clone of the waker with which the library polled last.
static KEPT: AtomicPtr<abi::Waker> = AtomicPtr::new(std::ptr::null_mut());
static RECEIVES_DROPPED: AtomicU32 = AtomicU32::new(0);
static SENDS_DROPPED: AtomicU32 = AtomicU32::new(0);

/// Always pending; keeps a clone of the waker.
unsafe extern "C" fn receive_poll(
    _: *mut abi::Receive,
    waker: *const abi::Waker,
    _: *mut abi::ReceiveEvent,
) -> u32 {
    // SAFETY: the library's waker is valid during this call.
    let kept = unsafe { ((*(*waker).vtable).clone)(waker) };
    let before = KEPT.swap(kept.cast_mut(), Ordering::SeqCst);
    if !before.is_null() {
        // SAFETY: an earlier call has cloned it, and this is its only drop.
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
    // SAFETY: the host owns the body from now on, and takes it once.
    drop(unsafe { (&raw const (*event).body).read() });
    abi::READY
}

unsafe extern "C" fn send_respond(
    _: *mut abi::Send,
    _: *const abi::Waker,
    _: *mut abi::SendEvent,
    _: *mut abi::SendError,
) -> u32 {
    abi::DECLINED
}

unsafe extern "C" fn send_poll_closed(
    _: *mut abi::Send,
    _: *const abi::Waker,
    _: *mut abi::Disconnect,
) -> u32 {
    abi::PENDING
}

unsafe extern "C" fn send_closed_handle(_: *const abi::Send, closed: *mut abi::Closed) -> u32 {
    let store = [MaybeUninit::uninit(); 4];
    // SAFETY: the library passes a valid output parameter.
    unsafe { closed.write(abi::Closed { store }) };
    abi::READY
}

unsafe extern "C" fn closed_poll(
    _: *mut abi::Closed,
    _: *const abi::Waker,
    _: *mut abi::Disconnect,
) -> u32 {
    abi::PENDING
}

unsafe extern "C" fn closed_drop(_: *mut abi::Closed) {}

unsafe extern "C" fn send_drop(_: *mut abi::Send) {
    SENDS_DROPPED.fetch_add(1, Ordering::SeqCst);
}

/// Takes only lines with the target `logged`.
unsafe extern "C" fn log_enabled(level: u32, target: Str) -> u32 {
    // SAFETY: the library's text is valid during this call.
    let is_read = target.ptr.is_null() || unsafe { target.as_bytes() } == b"logged";
    (is_read && level <= abi::LOG_INFO).into()
}

static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

unsafe extern "C" fn log(line: *const abi::LogLine) {
    // SAFETY: the library's line and its fields are valid during this call.
    let (line, fields) = unsafe {
        let fields = std::slice::from_raw_parts((*line).fields, (*line).n_fields);
        (&*line, fields)
    };
    // SAFETY: as above.
    let text = |text: Str| unsafe { text.to_text() };
    let mut text_of_line = format!("{} {} {}", line.exchange, line.level, text(line.message));
    for field in fields {
        let value = text(field.value);
        text_of_line.push_str(&format!(" {}={value}/{}", text(field.name), field.flags));
    }
    LOGGED.lock().unwrap().push(text_of_line);
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
    send_respond,
    send_poll_closed,
    send_closed_handle,
    send_drop,
    closed_poll,
    closed_drop,
    log_enabled,
    log,
};

/// Calls `init`. Returns the app or the error.
fn init(app: &'static abi::App, host: &'static abi::Host) -> Result<*mut c_void, String> {
    let start = abi::Start {
        size: size_of::<abi::Start>() as u32,
        threads: 1,
        config: Str::NULL,
    };
    let mut started = std::ptr::null_mut();
    let mut error = abi::Buffer::EMPTY;
    // SAFETY: the host is static, and both output parameters are local variables.
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

/// Calls an app with empty halves: the library only passes them back.
fn call(functions: &abi::App, app: *mut c_void, scope: &abi::Scope) -> abi::Task {
    let store = [MaybeUninit::uninit(); 4];
    let mut receive = abi::Receive {
        store: [MaybeUninit::uninit(); 6],
    };
    let mut send = abi::Send { store };
    let mut task = MaybeUninit::uninit();
    // SAFETY: `init` of this library has made the app, and the library takes both halves.
    unsafe {
        let (receive, send) = (&raw mut receive, &raw mut send);
        let code = (functions.call)(app, scope, receive, send, task.as_mut_ptr());
        assert_eq!(code, abi::READY);
        task.assume_init()
    }
}

fn poll(app: &abi::App, task: &mut abi::Task) -> (u32, MaybeUninit<abi::Outcome>) {
    let mut outcome = MaybeUninit::uninit();
    // SAFETY: the app has made the task, which has not ended; `outcome` is a local variable.
    let code = unsafe { (app.poll)(task, &raw const WAKER.0, outcome.as_mut_ptr()) };
    (code, outcome)
}

/// Whether a task goes on. These hosts hold back no head, so both codes are the same to them.
fn is_pending(code: u32) -> bool {
    matches!(code, abi::PENDING | abi::WORKING)
}

mod apps {
    //! Apps for these tests.

    use std::time::Duration;

    use asgi::{AppError, DynApp, Receiver, Scope, Sender};
    use asgi_abi::private::PollMode;
    use asgi_abi::{Config, Exported, abi, declare};
    use tracing::Instrument;

    macro_rules! app {
        ($name:ident, $type:ident, $make:expr) => {
            struct $type;
            impl Exported for $type {
                const NAME: &'static str = stringify!($type);
                const VERSION: &'static str = "1.2.3";
                const POLL_MODE: PollMode = PollMode::Auto;
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

    /// Logs in the call and in tasks that it spawns.
    async fn logs(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        tracing::info!(target: "logged", rows = 3, user = "ann", "at once");
        tracing::debug!(target: "logged", "a disabled level");
        tracing::error!(target: "other", "a disabled target");
        let span = tracing::info_span!(target: "logged", "outer", id = 1);
        let task = async {
            let inner = tracing::error_span!(target: "logged", "inner");
            inner.in_scope(|| tracing::warn!(target: "logged", "{} task", "a"));
        };
        tokio::spawn(task.instrument(span)).await?;
        tokio::spawn(async { tracing::warn!(target: "logged", "a task without a span") }).await?;
        Ok(())
    }

    /// Polls its half in a task, so that the library passes a waker of its runtime.
    async fn receives(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
        let task = tokio::spawn(async move {
            receive.receive().await;
        });
        tokio::time::sleep(Duration::from_secs(3600)).await;
        task.await?;
        Ok(())
    }
}

/// ABI-020
#[test]
fn a_library_clones_wakes_and_drops_a_foreign_waker() {
    let _lock = one_at_a_time();
    static THIS_HOST: abi::Host = HOST;
    let counts = || {
        let count = |count: &AtomicU32| count.load(Ordering::SeqCst);
        (count(&CLONES), count(&DROPS), count(&WAKES))
    };
    let before = counts();
    let app = init(&apps::SLEEPS, &THIS_HOST).unwrap();
    let mut task = call(&apps::SLEEPS, app, &scope(abi::SCOPE_HTTP));
    assert!(is_pending(poll(&apps::SLEEPS, &mut task).0));
    assert!(counts().0 > before.0, "the library keeps a clone");
    // There are two wake-ups if the timer ends while the call moves. The first one has no effect.
    let mut wakes = before.2;
    loop {
        eventually(|| counts().2 > wakes);
        wakes = counts().2;
        match poll(&apps::SLEEPS, &mut task).0 {
            code if is_pending(code) => {}
            code => break assert_eq!(code, abi::READY),
        }
    }
    // SAFETY: the task is dropped once.
    unsafe { (apps::SLEEPS.drop_task)(&raw mut task) };
    eventually(|| counts().1 - before.1 == counts().0 - before.0);
    // SAFETY: this is the last call of the app.
    unsafe { (apps::SLEEPS.shutdown)(app, 1000) };
}

/// ABI-020, ABI-021
#[test]
fn a_host_may_keep_wake_and_drop_a_waker_of_the_library() {
    let _lock = one_at_a_time();
    static THIS_HOST: abi::Host = HOST;
    let app = init(&apps::RECEIVES, &THIS_HOST).unwrap();
    let mut task = call(&apps::RECEIVES, app, &scope(abi::SCOPE_HTTP));
    assert!(is_pending(poll(&apps::RECEIVES, &mut task).0));
    eventually(|| !KEPT.load(Ordering::SeqCst).is_null());
    let kept = KEPT.swap(std::ptr::null_mut(), Ordering::SeqCst);
    // SAFETY: there are two clones of the waker, and `wake` or `drop` frees each once.
    unsafe {
        let vtable = &*(*kept).vtable;
        let second = (vtable.clone)(kept);
        (vtable.wake_by_ref)(kept);
        // The library polls again, so the host keeps another waker.
        eventually(|| !KEPT.load(Ordering::SeqCst).is_null());
        (vtable.drop)(second);
        (vtable.wake)(kept);
    }
    let (receives, sends) = (&RECEIVES_DROPPED, &SENDS_DROPPED);
    let before = (
        receives.load(Ordering::SeqCst),
        sends.load(Ordering::SeqCst),
    );
    // SAFETY: the task is dropped once; then this is the last call of the app.
    unsafe {
        (apps::RECEIVES.drop_task)(&raw mut task);
        (apps::RECEIVES.shutdown)(app, 1000);
    }
    eventually(|| {
        receives.load(Ordering::SeqCst) == before.0 + 1
            && sends.load(Ordering::SeqCst) == before.1 + 1
    });
    let kept = KEPT.swap(std::ptr::null_mut(), Ordering::SeqCst);
    // SAFETY: this is the only drop of the last clone.
    unsafe { ((*(*kept).vtable).drop)(kept) };
}

/// ABI-035
#[test]
fn log_lines_have_the_number_of_their_exchange() {
    let _lock = one_at_a_time();
    static THIS_HOST: abi::Host = HOST;
    let app = init(&apps::LOGS, &THIS_HOST).unwrap();
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

/// ABI-008
#[test]
fn a_host_of_another_version_is_refused() {
    static NEWER: abi::Host = abi::Host {
        minor: abi::MINOR + 1,
        ..HOST
    };
    static SMALLER: abi::Host = abi::Host { size: 16, ..HOST };
    static OTHER: abi::Host = abi::Host { magic: 1, ..HOST };
    for host in [&NEWER, &SMALLER, &OTHER] {
        let error = init(&apps::SLEEPS, host).unwrap_err();
        assert!(error.contains("version 0."), "{error}");
    }
    assert_eq!(
        init(&apps::SLEEPS, &NEWER).unwrap_err(),
        format!(
            "the server has version 0.{} of the app ABI ({size} bytes), this app has 0.{} ({size} bytes)",
            abi::MINOR + 1,
            abi::MINOR,
            size = size_of::<abi::Host>()
        )
    );
}

#[test]
fn an_app_that_panics_during_startup_is_refused() {
    static THIS_HOST: abi::Host = HOST;
    let error = init(&apps::PANICS, &THIS_HOST).unwrap_err();
    assert_eq!(error, "the app panicked during startup: no configuration");
}

/// The code and the first message of a task that fails at once.
fn failure(scope: &abi::Scope) -> (u32, String) {
    static THIS_HOST: abi::Host = HOST;
    let app = init(&apps::SLEEPS, &THIS_HOST).unwrap();
    // SAFETY: as above. The library has written the outcome, and its texts are valid until the task
    // is dropped.
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

/// ABI-023
#[test]
fn an_invalid_scope_fails_only_its_call() {
    let _lock = one_at_a_time();
    let mut no_path = scope(abi::SCOPE_HTTP);
    no_path.target = Str::new("a b");
    let why = "the server passed an invalid scope: an invalid target";
    assert_eq!(failure(&no_path), (abi::FAILED, why.to_owned()));

    let mut no_method = scope(abi::SCOPE_HTTP);
    no_method.method = Str::new("G T");
    let why = "the server passed an invalid scope: an invalid method";
    assert_eq!(failure(&no_method), (abi::FAILED, why.to_owned()));

    let header = abi::Header {
        name: Str::new("a b"),
        value: Str::new("c"),
        flags: 0,
    };
    let mut no_header = scope(abi::SCOPE_HTTP);
    (no_header.headers, no_header.n_headers) = (&raw const header, 1);
    let why = "the server passed an invalid scope: an invalid header name";
    assert_eq!(failure(&no_header), (abi::FAILED, why.to_owned()));

    let why = "the server passed a scope of unknown kind 77";
    assert_eq!(failure(&scope(77)), (abi::FAILED, why.to_owned()));
}

/// ABI-016
#[test]
fn a_poll_after_the_end_is_a_panic() {
    let _lock = one_at_a_time();
    static THIS_HOST: abi::Host = HOST;
    let app = init(&apps::SLEEPS, &THIS_HOST).unwrap();
    // SAFETY: as above. The second poll breaks a rule of the ABI, but a library in Rust handles it.
    unsafe {
        let mut task = call(&apps::SLEEPS, app, &scope(77));
        assert_eq!(poll(&apps::SLEEPS, &mut task).0, abi::FAILED);
        assert_eq!(poll(&apps::SLEEPS, &mut task).0, abi::PANICKED);
        (apps::SLEEPS.drop_task)(&raw mut task);
        (apps::SLEEPS.shutdown)(app, 1000);
    }
}
