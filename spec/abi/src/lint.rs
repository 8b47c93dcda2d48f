//! The functions of `ASGI_APP`: each checks the host's call, and passes it on.

use std::ffi::c_void;
use std::mem::size_of;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::buffer::counted;
use crate::host::{self, Output, get, put};
use crate::layout::*;
use crate::raw::RawTask;
use crate::{INIT_VARIABLE, report};

/// The app that the calls go to.
static INNER: AtomicPtr<App> = AtomicPtr::new(std::ptr::null_mut());

static IS_STARTED: AtomicBool = AtomicBool::new(false);
static IS_SHUT_DOWN: AtomicBool = AtomicBool::new(false);

/// How many tasks there were: some of them keep a waker for longer.
static TASKS: Mutex<u32> = Mutex::new(0);

/// The app that a lint checks the host for.
pub trait Inner {
    /// Returns the exported app.
    fn app() -> *const App;
}

/// The static that [`lint!`](crate::lint!) exports.
#[must_use]
pub const fn declare<I: Inner>() -> App {
    App {
        magic: MAGIC,
        major: MAJOR,
        minor: MINOR,
        size: size_of::<App>() as u32,
        name: Str::new("asgi-spec-probe"),
        version: Str::new(env!("CARGO_PKG_VERSION")),
        toolchain: Str::new("Rust, with the lint of asgi-spec-abi"),
        flags: 0,
        init: init::<I>,
        call,
        poll,
        drop_task,
        shutdown,
    }
}

/// One call, and what the host has done with its task.
struct CheckedTask {
    inner: CheckedKind,
    has_ended: bool,
    is_used: AtomicBool,
    is_dropped: Arc<AtomicBool>,
    /// A clone of the host's waker that outlives the task.
    kept: Option<HostWaker>,
    keeps_waker: bool,
}

enum CheckedKind {
    Library(Task),
    Raw(RawTask),
}

/// A clone of the host's waker, for another thread.
struct HostWaker(*const Waker);

// SAFETY: any thread may use and drop wakers.
unsafe impl std::marker::Send for HostWaker {}

impl HostWaker {
    fn new(waker: *const Waker) -> Self {
        // SAFETY: the host's waker is valid during this call.
        Self(unsafe { ((*(*waker).vtable).clone)(waker) })
    }

    /// Wakes from another thread, after the task has ended.
    fn wake_later(self) {
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            self.wake();
            // A host that can't do this has crashed by now.
            report::check("ABI-021", true, String::new);
        });
    }

    fn wake(self) {
        // SAFETY: this side owns the clone, and `wake` is its last use.
        unsafe {
            ((*(*self.0).vtable).wake_by_ref)(self.0);
            ((*(*self.0).vtable).wake)(self.0);
        }
    }
}

/// Every fourth task keeps a waker.
const KEEPS_WAKER: u32 = 4;

/// The app inside. Nothing asks for it before `init`.
fn inner() -> &'static App {
    let app = INNER.load(Ordering::SeqCst);
    // SAFETY: `init` has set it to a static.
    unsafe { &*app }
}

unsafe extern "C" fn init<I: Inner>(
    host: *const Host,
    start: *const Start,
    app: *mut *mut c_void,
    error: *mut Buffer,
) -> u32 {
    // SAFETY: the host's struct is valid until the process ends, and `asgi.h` has the same head in all
    // versions. The other arguments are valid during the call.
    unsafe {
        let is_same = (*host).magic == MAGIC
            && ((*host).major, (*host).minor) == (MAJOR, MINOR)
            && (*host).size as usize >= size_of::<Host>();
        if !is_same {
            error.write(counted("the probe was built for another version of the ABI").0);
            return FAILED;
        }
        if let Ok(message) = std::env::var(INIT_VARIABLE) {
            error.write(counted(message).0);
            return FAILED;
        }
        let is_first = !IS_STARTED.swap(true, Ordering::SeqCst);
        report::check("ABI-005", is_first, || "init was called twice".into());
        let size = (*start).size as usize;
        report::check("ABI-031", size == size_of::<Start>(), || {
            format!("the start has the size {size}")
        });
        INNER.store(I::app().cast_mut(), Ordering::SeqCst);
        host::set(&*host);
        (inner().init)(&raw const host::CHECKED, start, app, error)
    }
}

unsafe extern "C" fn call(
    app: *mut c_void,
    scope: *const Scope,
    receive: *mut Receive,
    send: *mut Send,
    task: *mut Task,
) -> u32 {
    may_call("call");
    let number = {
        let mut tasks = TASKS.lock().unwrap_or_else(PoisonError::into_inner);
        *tasks += 1;
        *tasks
    };
    // SAFETY: the host passes valid arguments, and the ownership of both handles.
    unsafe {
        check_scope(&*scope);
        let mut receive = host::checked(receive.read());
        let mut send = host::checked(send.read());
        let target = (*scope).target.to_text();
        let kind = if let Some(raw) = RawTask::new(&target, &*scope, receive, send) {
            CheckedKind::Raw(raw)
        } else {
            let mut made = Output::new();
            let code = (inner().call)(app, scope, &raw mut receive, &raw mut send, made.pointer());
            // The probe is no part of the check, so no one looks at what it has not written.
            match made.value(code == READY, "call of the probe") {
                Some(made) => CheckedKind::Library(made),
                None => return code,
            }
        };
        task.write(put(CheckedTask {
            inner: kind,
            has_ended: false,
            is_used: AtomicBool::new(false),
            is_dropped: Arc::default(),
            kept: None,
            keeps_waker: number.is_multiple_of(KEEPS_WAKER),
        }));
    }
    READY
}

/// Checks what must hold for each call but `drop_task`.
fn may_call(what: &str) {
    let is_started = IS_STARTED.load(Ordering::SeqCst);
    report::check("ABI-005", is_started, || format!("{what} before init"));
    let is_over = IS_SHUT_DOWN.load(Ordering::SeqCst);
    report::check("ABI-024", !is_over, || format!("{what} after shutdown"));
    if is_over {
        report::write();
    }
}

/// Checks the members of a scope that no app in Rust sees.
fn check_scope(scope: &Scope) {
    let known = EXTENSION_PUSH
        | EXTENSION_EARLY_HINT
        | EXTENSION_TRAILERS
        | EXTENSION_PATH_SEND
        | EXTENSION_ZERO_COPY_SEND
        | EXTENSION_WEBSOCKET_HTTP_RESPONSE;
    let extensions = scope.extensions;
    report::check("ABI-032", extensions & !known == 0, || {
        format!("the scope offers the extensions {extensions:#x}")
    });
    let is_known = match scope.kind {
        SCOPE_HTTP => !scope.method.ptr.is_null(),
        SCOPE_WEBSOCKET => scope.method.ptr.is_null(),
        SCOPE_LIFESPAN => return,
        _ => false,
    };
    let version = matches!(scope.http_version, HTTP_10 | HTTP_11 | HTTP_2);
    let is_right = is_known
        && version
        && scope.size as usize == size_of::<Scope>()
        && !scope.target.ptr.is_null()
        && !scope.scheme.ptr.is_null();
    report::check("ABI-031", is_right, || {
        format!(
            "a scope of the size {}, the kind {} and the version {}",
            scope.size, scope.kind, scope.http_version
        )
    });
}

unsafe extern "C" fn poll(task: *mut Task, waker: *const Waker, outcome: *mut Outcome) -> u32 {
    may_call("poll");
    // SAFETY: the host passes a task of `call`, which stays in memory. The flag is shared, so that this
    // thread may look at it while another one polls.
    let is_used = unsafe { (*state_of(task)).is_used.swap(true, Ordering::SeqCst) };
    report::check("ABI-018", !is_used, || {
        "a task on two threads at once".into()
    });
    if is_used {
        return PENDING;
    }
    // SAFETY: the flag says that no other poll runs.
    let state: &mut CheckedTask = unsafe { get(task) };
    let is_over = state.has_ended || state.is_dropped.load(Ordering::SeqCst);
    report::check("ABI-016", !is_over, || {
        "a poll of a task that has ended".into()
    });
    if is_over {
        state.is_used.store(false, Ordering::SeqCst);
        return READY;
    }
    if state.keeps_waker && state.kept.is_none() {
        state.kept = Some(HostWaker::new(waker));
    }
    // SAFETY: the arguments are the host's.
    let code = unsafe {
        match &mut state.inner {
            CheckedKind::Library(task) => (inner().poll)(task, waker, outcome),
            CheckedKind::Raw(raw) => raw.poll(waker, outcome),
        }
    };
    state.is_used.store(false, Ordering::SeqCst);
    if !matches!(code, PENDING | WORKING) {
        state.has_ended = true;
        let is_dropped = Arc::clone(&state.is_dropped);
        report::soon(
            "ABI-017",
            "a task that has ended is not dropped",
            move || is_dropped.load(Ordering::SeqCst),
        );
    }
    code
}

/// The state of a task, for a look at its flag.
///
/// # Safety
///
/// `call` must have made the task.
unsafe fn state_of(task: *mut Task) -> *const CheckedTask {
    // SAFETY: the caller promises it.
    unsafe { std::ptr::with_exposed_provenance((*task).store[0]) }
}

unsafe extern "C" fn drop_task(task: *mut Task) {
    // SAFETY: as in `poll`.
    let is_used = unsafe { (*state_of(task)).is_used.load(Ordering::SeqCst) };
    report::check("ABI-018", !is_used, || {
        "a drop of a task while it is polled".into()
    });
    if is_used {
        return;
    }
    // SAFETY: the flag says that no poll runs.
    let state: &mut CheckedTask = unsafe { get(task) };
    let is_dropped = state.is_dropped.swap(true, Ordering::SeqCst);
    report::check("ABI-017", !is_dropped, || "a task was dropped twice".into());
    if is_dropped {
        return;
    }
    // SAFETY: this is the only drop. The state stays in memory for later mistakes of the host.
    unsafe {
        match &mut state.inner {
            CheckedKind::Library(task) => (inner().drop_task)(task),
            CheckedKind::Raw(raw) => raw.end(),
        }
    }
    if let Some(kept) = state.kept.take() {
        kept.wake_later();
    }
    if IS_SHUT_DOWN.load(Ordering::SeqCst) {
        report::write();
    }
}

unsafe extern "C" fn shutdown(app: *mut c_void, grace_ms: u32) {
    may_call("shutdown");
    IS_SHUT_DOWN.store(true, Ordering::SeqCst);
    report::write();
    // SAFETY: the host passes the app of `init`.
    unsafe { (inner().shutdown)(app, grace_ms) }
}
