//! A library with one switch for each requirement of its side: it stands between a host and an app, and does
//! something wrong that [`library::check`](crate::library::check) must see.

use std::ffi::c_void;
use std::mem::size_of;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::thread;
use std::time::Duration;

use crate::BREAK_VARIABLE;
use crate::layout::*;
use crate::lint::Inner;
use crate::waker::NOOP;

/// The requirement that is broken.
static ID: LazyLock<String> = LazyLock::new(|| std::env::var(BREAK_VARIABLE).unwrap_or_default());

static INNER: AtomicPtr<App> = AtomicPtr::new(std::ptr::null_mut());
static REAL: AtomicPtr<Host> = AtomicPtr::new(std::ptr::null_mut());

/// Whether the library has seen a scope that it can't read.
static IS_BROKEN: AtomicBool = AtomicBool::new(false);

/// Whether the task that runs has ended: the check plays one exchange at a time.
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

fn breaks(id: &str) -> bool {
    *ID == id
}

fn real() -> &'static Host {
    // SAFETY: `init` has set it to a static.
    unsafe { &*REAL.load(Ordering::SeqCst) }
}

fn inner() -> &'static App {
    // SAFETY: as above.
    unsafe { &*INNER.load(Ordering::SeqCst) }
}

/// The static that [`broken_library!`](crate::broken_library!) exports.
#[must_use]
pub const fn declare<I: Inner>() -> App {
    App {
        magic: MAGIC,
        major: MAJOR,
        minor: MINOR,
        size: size_of::<App>() as u32,
        name: Str::new("broken-library"),
        version: Str::new(env!("CARGO_PKG_VERSION")),
        toolchain: Str::new("Rust"),
        flags: 0,
        init: init::<I>,
        call,
        poll,
        drop_task,
        shutdown,
    }
}

// SAFETY (of all functions below): the arguments are those of a host and of an app that keep the rules of
// `asgi.h`. What breaks a rule here does no harm to the check.

unsafe extern "C" fn init<I: Inner>(
    host: *const Host,
    start: *const Start,
    app: *mut *mut c_void,
    error: *mut Buffer,
) -> u32 {
    INNER.store(I::app().cast_mut(), Ordering::SeqCst);
    // SAFETY: see above. The copy of the host lives until the process ends.
    unsafe {
        let mut broken = *host;
        if breaks("ABI-008") {
            broken.minor = MINOR;
        }
        broken.receive_poll = receive_poll;
        broken.receive_drop = receive_drop;
        broken.send_poll_ready = send_poll_ready;
        if broken.minor == MINOR {
            REAL.store(host.cast_mut(), Ordering::SeqCst);
        }
        (inner().init)(Box::leak(Box::new(broken)), start, app, error)
    }
}

unsafe extern "C" fn call(
    app: *mut c_void,
    scope: *const Scope,
    receive: *mut Receive,
    send: *mut Send,
    task: *mut Task,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        HAS_ENDED.store(false, Ordering::SeqCst);
        if breaks("ABI-023") && IS_BROKEN.load(Ordering::SeqCst) {
            let mut receive = receive.read();
            let mut send = send.read();
            (real().receive_drop)(&raw mut receive);
            (real().send_drop)(&raw mut send);
            return FAILED;
        }
        if (*scope).kind > SCOPE_LIFESPAN {
            IS_BROKEN.store(true, Ordering::SeqCst);
        }
        (inner().call)(app, scope, receive, send, task)
    }
}

unsafe extern "C" fn poll(task: *mut Task, waker: *const Waker, outcome: *mut Outcome) -> u32 {
    // SAFETY: see above.
    unsafe {
        if breaks("ABI-020") {
            ((*(*waker).vtable).drop)(waker);
        }
        let code = (inner().poll)(task, waker, outcome);
        if matches!(code, PENDING | WORKING) {
            return code;
        }
        HAS_ENDED.store(true, Ordering::SeqCst);
        if breaks("ABI-012") && code == READY {
            std::ptr::write_bytes(outcome.cast::<u8>(), 0, size_of::<Outcome>());
        }
        if breaks("ABI-014") { 77 } else { code }
    }
}

unsafe extern "C" fn drop_task(task: *mut Task) {
    if breaks("ABI-017") && !HAS_ENDED.load(Ordering::SeqCst) {
        return;
    }
    // SAFETY: see above.
    unsafe { (inner().drop_task)(task) }
}

unsafe extern "C" fn shutdown(app: *mut c_void, grace_ms: u32) {
    if breaks("ABI-024") {
        thread::sleep(Duration::from_millis(u64::from(grace_ms) + 1000));
    }
    // SAFETY: see above.
    unsafe { (inner().shutdown)(app, grace_ms) }
}

unsafe extern "C" fn receive_poll(
    receive: *mut Receive,
    waker: *const Waker,
    event: *mut ReceiveEvent,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        let given = if breaks("ABI-019") {
            &raw const NOOP.0
        } else {
            waker
        };
        let code = (real().receive_poll)(receive, given, event);
        if breaks("ABI-009") && code == READY {
            (*event).body = Buffer::EMPTY;
        }
        code
    }
}

unsafe extern "C" fn receive_drop(receive: *mut Receive) {
    if !breaks("ABI-013") {
        // SAFETY: see above.
        unsafe { (real().receive_drop)(receive) }
    }
}

unsafe extern "C" fn send_poll_ready(
    send: *mut Send,
    waker: *const Waker,
    error: *mut SendError,
) -> u32 {
    if breaks("ABI-025") {
        return READY;
    }
    // SAFETY: see above.
    unsafe { (real().send_poll_ready)(send, waker, error) }
}
