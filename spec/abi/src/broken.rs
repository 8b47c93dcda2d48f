//! A host with one switch for each requirement of its side: it stands between a host and a lint, and does
//! something wrong that the lint must see.

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::size_of;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};
use std::thread;

use crate::BREAK_VARIABLE;
use crate::layout::*;
use crate::lint::Inner;
use crate::waker::NOOP;

/// The requirement that is broken.
static ID: LazyLock<String> = LazyLock::new(|| std::env::var(BREAK_VARIABLE).unwrap_or_default());

static INNER: AtomicPtr<App> = AtomicPtr::new(std::ptr::null_mut());
static REAL: OnceLock<&'static Host> = OnceLock::new();

thread_local! {
    /// The task that this thread polls.
    static POLLED: Cell<*mut Task> = const { Cell::new(std::ptr::null_mut()) };
}

fn breaks(id: &str) -> bool {
    *ID == id
}

fn real() -> &'static Host {
    REAL.get().expect("init sets it")
}

fn inner() -> &'static App {
    // SAFETY: `init` has set it to a static.
    unsafe { &*INNER.load(Ordering::SeqCst) }
}

/// The static that [`broken_host!`](crate::broken_host!) exports.
#[must_use]
pub const fn declare<I: Inner>() -> App {
    App {
        magic: MAGIC,
        major: MAJOR,
        minor: MINOR,
        size: size_of::<App>() as u32,
        name: Str::new("broken-host"),
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

static BROKEN: Host = Host {
    magic: MAGIC,
    major: MAJOR,
    minor: MINOR,
    size: size_of::<Host>() as u32,
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

// SAFETY (of all functions below): the arguments are those of a host and of a lint that keep the rules of
// `asgi.h`. What breaks a rule here does no harm with the lint, which keeps in memory what it checks.

unsafe extern "C" fn init<I: Inner>(
    host: *const Host,
    start: *const Start,
    app: *mut *mut c_void,
    error: *mut Buffer,
) -> u32 {
    INNER.store(I::app().cast_mut(), Ordering::SeqCst);
    // SAFETY: see above.
    unsafe {
        REAL.set(&*host).ok();
        let code = (inner().init)(&raw const BROKEN, start, app, error);
        if breaks("ABI-005") {
            return (inner().init)(&raw const BROKEN, start, app, error);
        }
        code
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
        let mut other = *scope;
        if breaks("ABI-031") && other.kind == SCOPE_HTTP {
            other.scheme = Str::new("gopher");
        }
        if breaks("ABI-032") {
            other.extensions |= 1 << 5;
        }
        (inner().call)(app, &raw const other, receive, send, task)
    }
}

unsafe extern "C" fn poll(task: *mut Task, waker: *const Waker, outcome: *mut Outcome) -> u32 {
    // SAFETY: see above.
    unsafe {
        POLLED.set(task);
        let code = (inner().poll)(task, waker, outcome);
        match code {
            PENDING | WORKING => {}
            PANICKED if breaks("ABI-015") => std::process::abort(),
            FAILED if breaks("ABI-034") => (*outcome).n_messages = (*outcome).n_messages.min(1),
            _ if breaks("ABI-016") => {
                (inner().poll)(task, waker, outcome);
            }
            _ => {}
        }
        code
    }
}

unsafe extern "C" fn drop_task(task: *mut Task) {
    // SAFETY: see above.
    unsafe {
        (inner().drop_task)(task);
        if breaks("ABI-017") {
            (inner().drop_task)(task);
        }
    }
}

unsafe extern "C" fn shutdown(app: *mut c_void, grace_ms: u32) {
    // SAFETY: see above.
    unsafe {
        (inner().shutdown)(app, grace_ms);
        if breaks("ABI-024") {
            (inner().shutdown)(app, grace_ms);
        }
    }
}

/// A task for another thread.
struct OtherThread(*mut Task);

// SAFETY: the lint looks only at a flag of the task.
unsafe impl std::marker::Send for OtherThread {}

impl OtherThread {
    fn poll(self) {
        let mut outcome = std::mem::MaybeUninit::uninit();
        // SAFETY: see above; the waker is a static.
        unsafe { (inner().poll)(self.0, &raw const NOOP.0, outcome.as_mut_ptr()) };
    }
}

/// The last body that the library has received, and its length.
static LAST_BODY: Mutex<(usize, usize)> = Mutex::new((0, 0));

unsafe extern "C" fn receive_poll(
    receive: *mut Receive,
    waker: *const Waker,
    event: *mut ReceiveEvent,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        if breaks("ABI-018") {
            let elsewhere = OtherThread(POLLED.get());
            thread::spawn(move || elsewhere.poll()).join().ok();
        }
        if breaks("ABI-020") {
            ((*(*waker).vtable).drop)(waker);
        }
        let given = if breaks("ABI-019") {
            &raw const NOOP.0
        } else {
            waker
        };
        let code = (real().receive_poll)(receive, given, event);
        if breaks("ABI-012") && code == PENDING {
            std::ptr::write_bytes(event.cast::<u8>(), 0, size_of::<ReceiveEvent>());
        }
        if breaks("ABI-010") {
            change_last_body();
            if code == READY {
                own_body(&mut *event);
            }
        }
        code
    }
}

/// Replaces a body by a copy that [`change_last_body`] can change.
///
/// # Safety
///
/// The event must own its body.
unsafe fn own_body(event: &mut ReceiveEvent) {
    // SAFETY: the caller promises it.
    let copy = unsafe {
        let copy = event.body.to_vec();
        event.body.give_back();
        copy
    };
    let copy: &'static mut [u8] = Box::leak(copy.into_boxed_slice());
    event.body = Buffer {
        ptr: copy.as_ptr(),
        len: copy.len(),
        drop: None,
        store: [0; 4],
    };
    let mut last = LAST_BODY.lock().unwrap_or_else(PoisonError::into_inner);
    *last = (copy.as_mut_ptr().expose_provenance(), copy.len());
}

/// Changes the bytes of the last body. Nothing reads them at the same time: the library polls.
fn change_last_body() {
    let (address, length) = *LAST_BODY.lock().unwrap_or_else(PoisonError::into_inner);
    for at in 0..length {
        let byte: *mut u8 = std::ptr::with_exposed_provenance_mut(address + at);
        // SAFETY: `own_body` has leaked these bytes.
        unsafe { byte.write(b'!') };
    }
}

unsafe extern "C" fn receive_drop(receive: *mut Receive) {
    // SAFETY: see above.
    unsafe { (real().receive_drop)(receive) }
}

unsafe extern "C" fn send_poll_ready(
    send: *mut Send,
    waker: *const Waker,
    error: *mut SendError,
) -> u32 {
    // SAFETY: see above.
    unsafe { (real().send_poll_ready)(send, waker, error) }
}

unsafe extern "C" fn send_start(
    send: *mut Send,
    event: *mut SendEvent,
    error: *mut SendError,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        let body = (*event).body.to_vec();
        if breaks("ABI-009") && body == b"before the start" {
            let again = (*event).body;
            again.give_back();
        }
        if breaks("ABI-026") && body == b"before the start" {
            (*event).body = Buffer::EMPTY;
        }
        if breaks("ABI-011") && (*event).n_headers == 1 {
            let header = *(*event).headers;
            if header.name.to_text() == "x-lent" {
                // As if the host read it later: the library has overwritten it by then.
                let late = Header {
                    value: Str::new("zzzzzzzzz"),
                    ..header
                };
                (*event).headers = &raw const late;
                return (real().send_start)(send, event, error);
            }
        }
        if breaks("ABI-027") && (*event).kind == 99 {
            (*event).body.give_back();
            return READY;
        }
        if breaks("ABI-025") {
            let mut ignored = std::mem::MaybeUninit::uninit();
            (real().send_poll_ready)(send, &raw const NOOP.0, ignored.as_mut_ptr());
        }
        (real().send_start)(send, event, error)
    }
}

unsafe extern "C" fn send_respond(
    send: *mut Send,
    waker: *const Waker,
    event: *mut SendEvent,
    error: *mut SendError,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        if breaks("ABI-029") && (*event).body.to_vec() == b"in one step" {
            (*event).body.give_back();
            (*event).body = Buffer::EMPTY;
            return DECLINED;
        }
        (real().send_respond)(send, waker, event, error)
    }
}

unsafe extern "C" fn send_poll_closed(
    send: *mut Send,
    waker: *const Waker,
    disconnect: *mut Disconnect,
) -> u32 {
    // SAFETY: see above.
    unsafe { (real().send_poll_closed)(send, waker, disconnect) }
}

unsafe extern "C" fn send_closed_handle(send: *const Send, closed: *mut Closed) -> u32 {
    // SAFETY: see above.
    unsafe { (real().send_closed_handle)(send, closed) }
}

unsafe extern "C" fn send_drop(send: *mut Send) {
    // SAFETY: see above.
    unsafe { (real().send_drop)(send) }
}

unsafe extern "C" fn closed_poll(
    closed: *mut Closed,
    waker: *const Waker,
    disconnect: *mut Disconnect,
) -> u32 {
    if breaks("ABI-030") {
        return PENDING;
    }
    // SAFETY: see above.
    unsafe { (real().closed_poll)(closed, waker, disconnect) }
}

unsafe extern "C" fn closed_drop(closed: *mut Closed) {
    // SAFETY: see above.
    unsafe { (real().closed_drop)(closed) }
}

unsafe extern "C" fn log_enabled(level: u32, target: Str) -> u32 {
    // SAFETY: see above.
    unsafe { (real().log_enabled)(level, target) }
}

unsafe extern "C" fn log(line: *const LogLine) {
    if breaks("ABI-035") {
        return;
    }
    // SAFETY: see above.
    unsafe { (real().log)(line) }
}
