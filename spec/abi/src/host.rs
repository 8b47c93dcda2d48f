//! The host's functions as the library gets them: each passes the call on and checks the result.

use std::mem::{MaybeUninit, size_of};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use crate::layout::*;
use crate::report;
use crate::waker::{self, WakerCounts};

/// The host that has loaded this library.
static REAL: OnceLock<&'static Host> = OnceLock::new();

/// Remembers the host. False if there is one.
pub(crate) fn set(host: &'static Host) -> bool {
    REAL.set(host).is_ok()
}

/// The host that has loaded this library. No function of the lint is called before `init`.
pub(crate) fn real() -> &'static Host {
    REAL.get().expect("init sets it")
}

/// The host that the checked library sees.
pub(crate) static CHECKED: Host = Host {
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

/// A handle of the host with the lint around it.
struct CheckedHandle<H> {
    handle: H,
    waits: Waits,
}

/// The wakers of a handle, and its last wait.
#[derive(Default)]
struct Waits {
    counts: Arc<WakerCounts>,
    /// How often the host had woken when the wait began. `None` if the handle does not wait.
    began: Option<u32>,
}

impl Waits {
    /// Checks the code of a poll.
    fn polled(&mut self, code: u32) {
        let wakes = self.counts.wakes.load(Ordering::SeqCst);
        if code == PENDING {
            self.began = Some(wakes);
        } else if self.began.take().is_some_and(|began| wakes > began) {
            // The library may also poll for another reason, so only a wake counts.
            report::check("ABI-019", true, String::new);
        }
    }
}

/// A handle that has the place of the host's own in the structs of the ABI.
pub(crate) trait AbiHandle: Copy + Sized + 'static {
    fn words(&mut self) -> &mut [usize];
}

macro_rules! handles {
    ($($handle:ident)*) => { $(
        impl AbiHandle for $handle {
            fn words(&mut self) -> &mut [usize] {
                &mut self.store
            }
        }
    )* };
}
handles! { Receive Send Closed Task }

/// Puts a box into the first word of a handle.
pub(crate) fn put<H: AbiHandle, T>(value: T) -> H {
    // SAFETY: all bytes zero are a valid handle: it is an array of words.
    let mut handle: H = unsafe { MaybeUninit::zeroed().assume_init() };
    handle.words()[0] = Box::into_raw(Box::new(value)).expose_provenance();
    handle
}

/// The box in a handle.
///
/// # Safety
///
/// [`put`] must have made the handle with the same `T`, and it must not be taken.
pub(crate) unsafe fn get<'a, H: AbiHandle, T>(handle: *mut H) -> &'a mut T {
    // SAFETY: the caller promises it.
    unsafe { &mut *std::ptr::with_exposed_provenance_mut::<T>((*handle).words()[0]) }
}

/// Takes the box out of a handle.
///
/// # Safety
///
/// As for [`get`].
pub(crate) unsafe fn take<H: AbiHandle, T>(handle: *mut H) -> Box<T> {
    // SAFETY: the caller promises it.
    unsafe {
        Box::from_raw(std::ptr::with_exposed_provenance_mut::<T>(
            (*handle).words()[0],
        ))
    }
}

/// Wraps a handle of the host.
pub(crate) fn checked<H: AbiHandle>(handle: H) -> H {
    put(CheckedHandle {
        handle,
        waits: Waits::default(),
    })
}

/// An output parameter whose bytes tell whether the host has written it.
pub(crate) struct Output<T>(MaybeUninit<T>);

/// What an output parameter is filled with.
const UNWRITTEN: u8 = 0xa5;

impl<T: Copy> Output<T> {
    pub(crate) fn new() -> Self {
        let mut value = MaybeUninit::uninit();
        // SAFETY: it is this variable, and any bytes are valid for a `MaybeUninit`.
        unsafe { std::ptr::write_bytes((&raw mut value).cast::<u8>(), UNWRITTEN, size_of::<T>()) };
        Self(value)
    }

    pub(crate) fn pointer(&mut self) -> *mut T {
        self.0.as_mut_ptr()
    }

    /// Returns the value if the host has returned a code that comes with one. Otherwise, checks that the
    /// host has written nothing.
    pub(crate) fn value(self, has_value: bool, what: &str) -> Option<T> {
        if has_value {
            // SAFETY: with this code, the host has written the whole value.
            return Some(unsafe { self.0.assume_init() });
        }
        let pointer = self.0.as_ptr().cast::<u8>();
        // SAFETY: `new` has written each byte, and the host has changed at most some of them.
        let bytes = unsafe { std::slice::from_raw_parts(pointer, size_of::<T>()) };
        let is_unwritten = bytes.iter().all(|byte| *byte == UNWRITTEN);
        report::check("ABI-012", is_unwritten, || {
            format!("the other side wrote the output parameter of {what} with another code")
        });
        None
    }
}

/// Passes a result on to the library.
///
/// # Safety
///
/// `to` must be valid for a write.
unsafe fn pass<T: Copy>(output: Output<T>, has_value: bool, what: &str, to: *mut T) {
    if let Some(value) = output.value(has_value, what) {
        // SAFETY: the caller promises it.
        unsafe { to.write(value) }
    }
}

// SAFETY (of all functions below): the library keeps the rules of `asgi.h` for its arguments, and its
// handles are those that the lint has made. The host keeps them for its functions, or is what is checked.

unsafe extern "C" fn receive_poll(
    receive: *mut Receive,
    waker: *const Waker,
    event: *mut ReceiveEvent,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        let half: &mut CheckedHandle<Receive> = get(receive);
        let mut output = Output::new();
        let code = waker::lend(waker, &half.waits.counts, |waker| {
            (real().receive_poll)(&raw mut half.handle, waker, output.pointer())
        });
        half.waits.polled(code);
        pass(output, code == READY, "receive_poll", event);
        code
    }
}

unsafe extern "C" fn receive_drop(receive: *mut Receive) {
    // SAFETY: see above.
    unsafe {
        let mut half: Box<CheckedHandle<Receive>> = take(receive);
        (real().receive_drop)(&raw mut half.handle);
        gives_back(half.waits.counts);
    }
}

unsafe extern "C" fn send_poll_ready(
    send: *mut Send,
    waker: *const Waker,
    error: *mut SendError,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        let half: &mut CheckedHandle<Send> = get(send);
        let mut output = Output::new();
        let code = waker::lend(waker, &half.waits.counts, |waker| {
            (real().send_poll_ready)(&raw mut half.handle, waker, output.pointer())
        });
        pass(output, code == FAILED, "send_poll_ready", error);
        code
    }
}

unsafe extern "C" fn send_start(
    send: *mut Send,
    event: *mut SendEvent,
    error: *mut SendError,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        let half: &mut CheckedHandle<Send> = get(send);
        let mut output = Output::new();
        let code = (real().send_start)(&raw mut half.handle, event, output.pointer());
        pass(output, code == FAILED, "send_start", error);
        code
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
        let half: &mut CheckedHandle<Send> = get(send);
        let mut output = Output::new();
        let code = waker::lend(waker, &half.waits.counts, |waker| {
            (real().send_respond)(&raw mut half.handle, waker, event, output.pointer())
        });
        pass(output, code == FAILED, "send_respond", error);
        code
    }
}

unsafe extern "C" fn send_poll_closed(
    send: *mut Send,
    waker: *const Waker,
    disconnect: *mut Disconnect,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        let half: &mut CheckedHandle<Send> = get(send);
        let mut output = Output::new();
        let code = waker::lend(waker, &half.waits.counts, |waker| {
            (real().send_poll_closed)(&raw mut half.handle, waker, output.pointer())
        });
        pass(output, code == READY, "send_poll_closed", disconnect);
        code
    }
}

unsafe extern "C" fn send_closed_handle(send: *const Send, closed: *mut Closed) -> u32 {
    // SAFETY: see above.
    unsafe {
        let half: &mut CheckedHandle<Send> = get(send.cast_mut());
        let mut output = Output::new();
        let code = (real().send_closed_handle)(&raw const half.handle, output.pointer());
        if let Some(handle) = output.value(code == READY, "send_closed_handle") {
            closed.write(checked(handle));
        }
        code
    }
}

unsafe extern "C" fn send_drop(send: *mut Send) {
    // SAFETY: see above.
    unsafe {
        let mut half: Box<CheckedHandle<Send>> = take(send);
        (real().send_drop)(&raw mut half.handle);
        gives_back(half.waits.counts);
    }
}

unsafe extern "C" fn closed_poll(
    closed: *mut Closed,
    waker: *const Waker,
    disconnect: *mut Disconnect,
) -> u32 {
    // SAFETY: see above.
    unsafe {
        let handle: &mut CheckedHandle<Closed> = get(closed);
        let mut output = Output::new();
        let code = waker::lend(waker, &handle.waits.counts, |waker| {
            (real().closed_poll)(&raw mut handle.handle, waker, output.pointer())
        });
        pass(output, code == READY, "closed_poll", disconnect);
        code
    }
}

unsafe extern "C" fn closed_drop(closed: *mut Closed) {
    // SAFETY: see above.
    unsafe {
        let mut handle: Box<CheckedHandle<Closed>> = take(closed);
        (real().closed_drop)(&raw mut handle.handle);
        gives_back(handle.waits.counts);
    }
}

/// The host needs no waker of a handle that it has back.
fn gives_back(counts: Arc<WakerCounts>) {
    report::soon(
        "ABI-020",
        "the host keeps a waker of a half that it has back",
        move || counts.kept.load(Ordering::SeqCst) <= 0,
    );
}

unsafe extern "C" fn log_enabled(level: u32, target: Str) -> u32 {
    // SAFETY: see above.
    unsafe { (real().log_enabled)(level, target) }
}

unsafe extern "C" fn log(line: *const LogLine) {
    // SAFETY: see above.
    unsafe { (real().log)(line) }
}
