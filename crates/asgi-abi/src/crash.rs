//! The crash report: which library and which requests the process was in when a signal killed it.
//!
//! Code in a library can end the whole process, by a bad pointer or by `abort`. [`report_crashes`]
//! installs a signal handler. It names the library and its running requests on standard error. Then
//! it gives the signal its default action and raises it again, so that the process ends by that
//! signal. No older handler runs: that of Rust's standard library calls `abort`, or returns.
//!
//! The process always ends. A second crash in the thread that reports ends it at once. Other threads
//! that crash wait for the report, but not for ever. An alarm ends the process if the report takes
//! longer than [`REPORT_SECONDS`], for example because standard error has no reader.
//!
//! A signal handler may do very little: this one does not allocate, does not lock, and calls only
//! functions that signal-safety(7) lists. So the text that it needs is ready in [`SLOTS`], a table
//! of atomics with a fixed size. Each call takes a slot when it starts and frees it when it ends.
//!
//! # Limits
//!
//! - If the reader of standard error has stopped and its pipe is full, the report is lost.
//! - If more than [`MAX_CALLS`] calls run at once, the others are counted, not named.
//! - A stack overflow on a thread of the app is not reported: that thread has no second stack. The
//!   kernel ends the process by SIGSEGV.
//! - If a thread of the app crashes, the report does not know its request, so it names all.
//! - `SIGKILL`, for example when the system has no memory, cannot be handled.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use asgi::Scope;

/// The signals of a crash, and their names.
const SIGNALS: [(libc::c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGABRT, "SIGABRT"),
];

/// How long the report may take, in seconds. It is one `write` for each line, so only a full pipe
/// makes it take long.
const REPORT_SECONDS: libc::c_uint = 1;

/// How long another thread that crashes waits for the end of the process, in milliseconds. This is
/// longer than the report may take.
const OTHER_REPORT_MILLIS: libc::c_int = 2_000;

/// How far from the stack pointer a stack overflow faults, in bytes. Functions with larger frames
/// touch each page of the frame in turn.
const OVERFLOW_DISTANCE: usize = 64 * 1024;

/// The most calls that have a name in the table.
const MAX_CALLS: usize = 256;

/// How many slots a call tries before it is only counted.
const MAX_PROBES: usize = 8;

/// The longest name of a call, in words of eight bytes.
const NAME_WORDS: usize = 12;

/// The running calls.
static SLOTS: [CallSlot; MAX_CALLS] = [const { CallSlot::new() }; MAX_CALLS];
/// How many calls run that have no slot.
static UNNAMED: AtomicUsize = AtomicUsize::new(0);

/// Whether calls fill in the table: [`report_crashes`] was called.
static IS_ENABLED: AtomicBool = AtomicBool::new(false);
/// The library's name for the report.
static LIBRARY: OnceLock<String> = OnceLock::new();
/// The signal of the first crash; 0 before it.
static FATAL_SIGNAL: AtomicI32 = AtomicI32::new(0);

thread_local! {
    /// The call whose code this thread runs.
    static CURRENT: Cell<CallPlace> = const { Cell::new(CallPlace::None) };
    /// The slot that this thread took last: usually it is free again.
    static LAST_SLOT: Cell<usize> = const { Cell::new(0) };
    /// Whether this thread writes the report.
    static IS_REPORTING: Cell<bool> = const { Cell::new(false) };
}

/// One row of the table.
struct CallSlot {
    /// [`FREE`], [`CLAIMED`] (a call fills it in) or [`NAMED`].
    state: AtomicUsize,
    exchange: AtomicU64,
    len: AtomicUsize,
    name: [AtomicU64; NAME_WORDS],
}

const FREE: usize = 0;
const CLAIMED: usize = 1;
const NAMED: usize = 2;

/// Where a call stands in the table.
#[derive(Clone, Copy)]
enum CallPlace {
    /// No place: crash reports are off, or the thread runs no call.
    None,
    /// The slot with this index.
    Named(usize),
    /// Only in the count of calls without a slot.
    Unnamed,
}

/// A running call, in the table until it is dropped.
pub(crate) struct TrackedCall(CallPlace);

impl TrackedCall {
    /// Puts a call into the table, if crash reports are on.
    pub(crate) fn new(scope: &Scope, exchange: Option<u64>) -> Self {
        if !IS_ENABLED.load(Ordering::Relaxed) {
            return Self(CallPlace::None);
        }
        let mut name = CallName::default();
        match scope {
            Scope::Http(http) => {
                name.push(http.method.as_str());
                name.push(" ");
                name.push(http.target.path());
            }
            Scope::WebSocket(websocket) => {
                name.push("websocket ");
                name.push(websocket.target.path());
            }
            other => name.push(other.kind()),
        }
        let first = LAST_SLOT.get();
        for n in (first..first + MAX_PROBES).map(|n| n % MAX_CALLS) {
            if SLOTS[n].claim() {
                LAST_SLOT.set(n);
                SLOTS[n].fill(&name, exchange.unwrap_or(0));
                return Self(CallPlace::Named(n));
            }
        }
        LAST_SLOT.set((first + MAX_PROBES) % MAX_CALLS);
        UNNAMED.fetch_add(1, Ordering::Relaxed);
        Self(CallPlace::Unnamed)
    }

    /// Runs code of the library for this call.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let outer = CURRENT.replace(self.0);
        let result = f();
        CURRENT.set(outer);
        result
    }
}

impl Drop for TrackedCall {
    fn drop(&mut self) {
        match self.0 {
            CallPlace::None => {}
            CallPlace::Named(n) => SLOTS[n].state.store(FREE, Ordering::Release),
            CallPlace::Unnamed => {
                UNNAMED.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// The name of a call; the end of a long name is cut off.
struct CallName {
    bytes: [u8; NAME_WORDS * 8],
    len: usize,
}

impl Default for CallName {
    fn default() -> Self {
        Self {
            bytes: [0; NAME_WORDS * 8],
            len: 0,
        }
    }
}

impl CallName {
    fn push(&mut self, text: &str) {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
    }
}

impl CallSlot {
    const fn new() -> Self {
        Self {
            state: AtomicUsize::new(FREE),
            exchange: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            name: [const { AtomicU64::new(0) }; NAME_WORDS],
        }
    }

    fn claim(&self) -> bool {
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        let free = self.state.load(relaxed) == FREE;
        free && self
            .state
            .compare_exchange(FREE, CLAIMED, acquire, relaxed)
            .is_ok()
    }

    fn fill(&self, name: &CallName, exchange: u64) {
        self.exchange.store(exchange, Ordering::Relaxed);
        self.len.store(name.len, Ordering::Relaxed);
        let words = name.bytes.chunks_exact(8).take(name.len.div_ceil(8));
        for (word, bytes) in self.name.iter().zip(words) {
            let mut chunk = [0; 8];
            chunk.copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(chunk), Ordering::Relaxed);
        }
        self.state.store(NAMED, Ordering::Release);
    }
}

/// Makes a crash in a library report the library and its running requests on standard error.
///
/// It installs signal handlers for the whole process, and replaces those of the standard library. So
/// call it only in a program whose purpose is to run the app. Call it before you load the app.
pub fn report_crashes() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        for (signal, _) in SIGNALS {
            set_action(signal, handle as *const () as usize);
        }
    });
    IS_ENABLED.store(true, Ordering::Relaxed);
}

/// The names of the calls that run now, such as `GET /a (exchange 7)`, without that of the lifespan.
///
/// Empty before [`report_crashes`]. For the last line of a server that must end although calls run.
pub fn running_calls() -> Vec<String> {
    let mut calls: Vec<String> = SLOTS
        .iter()
        .filter(|slot| slot.state.load(Ordering::Acquire) == NAMED)
        .map(|slot| {
            let mut line = CrashLine::default();
            line.push_call(slot);
            String::from_utf8_lossy(&line.bytes[..line.len]).into_owned()
        })
        .filter(|name| !name.starts_with("lifespan"))
        .collect();
    let unnamed = UNNAMED.load(Ordering::Relaxed);
    if unnamed != 0 {
        calls.push(format!("{unnamed} without a name"));
    }
    calls
}

/// Sets the library's name for the report. Only the first call has an effect.
pub(crate) fn set_library(name: String) {
    LIBRARY.get_or_init(|| name);
}

/// Sets the action of a signal: a function with the signature that SA_SIGINFO requires, or SIG_DFL.
fn set_action(signal: libc::c_int, action: usize) {
    // SAFETY: a zeroed `sigaction` is valid, and `sigemptyset` sets its mask. The pointer is valid
    // during the call. The callers pass a handler with the right signature, or SIG_DFL.
    unsafe {
        let mut new = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        new.sa_sigaction = action;
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut new.sa_mask);
        // It fails only for an invalid signal number.
        libc::sigaction(signal, &raw const new, std::ptr::null_mut());
    }
}

/// Lets this thread receive a signal.
fn unblock(signal: libc::c_int) {
    // SAFETY: `sigemptyset` initialises the set, and the pointers are valid during the calls.
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed().assume_init();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Ends the process by this signal.
fn die(signal: libc::c_int) -> ! {
    set_action(signal, libc::SIG_DFL);
    unblock(signal);
    // SAFETY: neither function has preconditions.
    unsafe {
        libc::raise(signal);
        // Process 1 of a container gets here: the kernel discards signals that would end it.
        libc::_exit(128 + signal)
    }
}

unsafe extern "C" fn handle(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let first = FATAL_SIGNAL.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
    if let Err(first) = first {
        if !IS_REPORTING.get() {
            // The report of another thread is about to end the process.
            // SAFETY: `poll` without descriptors only waits.
            unsafe { libc::poll(std::ptr::null_mut(), 0, OTHER_REPORT_MILLIS) };
        }
        die(first);
    }
    IS_REPORTING.set(true);
    set_action(libc::SIGALRM, report_took_too_long as *const () as usize);
    unblock(libc::SIGALRM);
    // SAFETY: `alarm` has no preconditions.
    unsafe { libc::alarm(REPORT_SECONDS) };
    // SAFETY: the kernel has filled in both for a handler with SA_SIGINFO.
    let is_overflow = unsafe { is_stack_overflow(signal, info, context) };
    report(signal, is_overflow);
    die(signal);
}

unsafe extern "C" fn report_took_too_long(
    _: libc::c_int,
    _: *mut libc::siginfo_t,
    _: *mut libc::c_void,
) {
    die(FATAL_SIGNAL.load(Ordering::SeqCst));
}

/// Whether the stack is probably full: the fault is near the stack pointer.
///
/// # Safety
///
/// The pointers must be those that a handler with SA_SIGINFO gets.
unsafe fn is_stack_overflow(
    signal: libc::c_int,
    info: *const libc::siginfo_t,
    context: *const libc::c_void,
) -> bool {
    // SAFETY: the caller promises that both are valid. A positive code means that the kernel found
    // a fault, and then the address is there.
    unsafe {
        if !matches!(signal, libc::SIGSEGV | libc::SIGBUS) || (*info).si_code <= 0 {
            return false;
        }
        let address = (*info).si_addr() as usize;
        let stack = stack_pointer(context.cast());
        stack.is_some_and(|stack| stack.abs_diff(address) < OVERFLOW_DISTANCE)
    }
}

/// The stack pointer of the code that a signal has interrupted.
///
/// # Safety
///
/// `context` must be that of a signal handler.
unsafe fn stack_pointer(context: *const libc::ucontext_t) -> Option<usize> {
    // SAFETY: the caller promises that the context is valid.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    return Some(unsafe { (*context).uc_mcontext.gregs[libc::REG_RSP as usize] } as usize);
    // SAFETY: as above.
    #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
    return Some(unsafe { (*context).uc_mcontext.sp } as usize);
    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )))]
    return {
        let _ = context;
        None
    };
}

/// Writes the report. It does only what a signal handler may do; see the module.
fn report(signal: libc::c_int, is_overflow: bool) {
    let library = LIBRARY.get().map_or("(still loading)", String::as_str);
    let name = SIGNALS.iter().find(|(one, _)| *one == signal);
    let name = name.map_or("a signal", |(_, name)| name);
    let current = CURRENT.get();
    let mut line = CrashLine::default();
    line.push(b"fatal: ");
    line.push(name.as_bytes());
    if is_overflow {
        line.push(b" (probably a stack overflow)");
    }
    match current {
        CallPlace::None => line.push(b" outside of any request, with the app "),
        _ => line.push(b" in the app "),
    }
    line.push(library.as_bytes());
    match current {
        CallPlace::None => line.push(b" loaded"),
        CallPlace::Named(n) => {
            line.push(b", in ");
            line.push_call(&SLOTS[n]);
        }
        CallPlace::Unnamed => line.push(b", in a request without a name"),
    }
    line.write();
    for (n, slot) in SLOTS.iter().enumerate() {
        let is_current = matches!(current, CallPlace::Named(current) if current == n);
        if !is_current && slot.state.load(Ordering::Acquire) == NAMED {
            let mut line = CrashLine::default();
            line.push(b"fatal: also running: ");
            line.push_call(slot);
            line.write();
        }
    }
    let unnamed = UNNAMED.load(Ordering::Relaxed);
    if unnamed != 0 {
        let mut line = CrashLine::default();
        line.push(b"fatal: also running, without a name: ");
        line.push_number(unnamed as u64);
        line.write();
    }
}

/// A line of the report, on the stack.
struct CrashLine {
    bytes: [u8; 512],
    len: usize,
}

impl Default for CrashLine {
    fn default() -> Self {
        Self {
            bytes: [0; 512],
            len: 0,
        }
    }
}

impl CrashLine {
    /// Adds as much of the text as fits. One byte stays free for the line's end.
    fn push(&mut self, text: &[u8]) {
        let room = self.bytes.len() - 1 - self.len;
        for byte in text.iter().take(room) {
            // A path comes from the client: it must not control a terminal.
            let is_plain = byte.is_ascii_graphic() || *byte == b' ' || !byte.is_ascii();
            self.bytes[self.len] = if is_plain { *byte } else { b'?' };
            self.len += 1;
        }
    }

    fn push_call(&mut self, slot: &CallSlot) {
        let len = slot.len.load(Ordering::Relaxed).min(NAME_WORDS * 8);
        for (n, word) in slot.name.iter().enumerate() {
            let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
            self.push(&bytes[..len.saturating_sub(n * 8).min(8)]);
        }
        let exchange = slot.exchange.load(Ordering::Relaxed);
        if exchange != 0 {
            self.push(b" (exchange ");
            self.push_number(exchange);
            self.push(b")");
        }
    }

    fn push_number(&mut self, number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.push(&digits[at..]);
    }

    fn write(mut self) {
        self.bytes[self.len] = b'\n';
        // SAFETY: the pointer and the length are those of initialised bytes of `self`. An error is
        // ignored: there is no other place to report it.
        unsafe {
            libc::write(
                libc::STDERR_FILENO,
                self.bytes.as_ptr().cast(),
                self.len + 1,
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{CallName, CallSlot, CrashLine};

    fn text(line: &CrashLine) -> &str {
        std::str::from_utf8(&line.bytes[..line.len]).unwrap()
    }

    #[test]
    fn a_slot_has_the_name_and_the_exchange() {
        let slot = CallSlot::new();
        for (path, exchange, expected) in [
            ("/", 7, "GET / (exchange 7)"),
            (
                "/12345678",
                1_234_567_890,
                "GET /12345678 (exchange 1234567890)",
            ),
            ("/a\u{1b}b", 0, "GET /a?b"),
        ] {
            let mut name = CallName::default();
            name.push("GET ");
            name.push(path);
            slot.fill(&name, exchange);
            let mut line = CrashLine::default();
            line.push_call(&slot);
            assert_eq!(text(&line), expected);
        }
    }

    #[test]
    fn a_long_name_and_a_long_line_are_cut_off() {
        let mut name = CallName::default();
        name.push(&"x".repeat(1000));
        let slot = CallSlot::new();
        slot.fill(&name, 1);
        let mut line = CrashLine::default();
        for _ in 0..100 {
            line.push_call(&slot);
        }
        assert_eq!(line.len, 511);
    }
}
