//! What the log says when the process is killed by what an app did.
//!
//! Code in a library can end the whole process: by a bad pointer, by `abort`. [`report_crashes`]
//! installs a handler that names the library and the requests that were in it, on standard error,
//! and then lets the signal do what it would have done.
//!
//! A handler may do next to nothing: it allocates nothing, locks nothing, and calls `write` and
//! `sigaction` alone. So what it says is kept ready in [`SLOTS`], a table of atomics of a fixed
//! size that each call fills in as it begins and frees as it ends.
//!
//! # Limits
//!
//! - More than [`MOST_CALLS`] calls at once are counted, not named.
//! - A stack overflow on a thread of the app's own is silent: that thread has no second stack.
//! - A thread of the app's own is in no request as far as this can tell: then all are named.
//! - `SIGKILL`, as from a lack of memory, cannot be handled.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use asgi::Scope;

/// Which signals a crash comes with, and their names.
const SIGNALS: [(libc::c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGABRT, "SIGABRT"),
];

/// How many calls are named.
const MOST_CALLS: usize = 256;

/// How many slots a call looks at before it is one of those that are only counted.
const PROBES: usize = 8;

/// How much of a call's name is kept, in words of eight bytes.
const WORDS: usize = 12;

/// The calls that run.
static SLOTS: [Slot; MOST_CALLS] = [const { Slot::new() }; MOST_CALLS];
static UNNAMED: AtomicUsize = AtomicUsize::new(0);

/// Whether anybody fills in the table.
static IS_ON: AtomicBool = AtomicBool::new(false);
/// The library, as the handler calls it.
static LIBRARY: OnceLock<String> = OnceLock::new();
static BEFORE: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

thread_local! {
    /// The call that this thread is in.
    static CURRENT: Cell<Place> = const { Cell::new(Place::None) };
    /// Where this thread found a slot the last time: most often it is free again.
    static HINT: Cell<usize> = const { Cell::new(0) };
}

struct Slot {
    /// [`FREE`], [`TAKEN`] or [`NAMED`].
    state: AtomicUsize,
    exchange: AtomicU64,
    len: AtomicUsize,
    name: [AtomicU64; WORDS],
}

const FREE: usize = 0;
const TAKEN: usize = 1;
const NAMED: usize = 2;

#[derive(Clone, Copy)]
enum Place {
    /// None: the table is not kept.
    None,
    Slot(usize),
    /// Counted alone.
    Unnamed,
}

/// A call's place in the table.
pub(crate) struct Entry(Place);

impl Entry {
    /// Puts a call into the table, if that is kept.
    pub(crate) fn new(scope: &Scope, exchange: Option<u64>) -> Self {
        if !IS_ON.load(Ordering::Relaxed) {
            return Self(Place::None);
        }
        let mut name = Name::default();
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
        let first = HINT.get();
        for n in (first..first + PROBES).map(|n| n % MOST_CALLS) {
            if SLOTS[n].take() {
                HINT.set(n);
                SLOTS[n].fill(&name, exchange.unwrap_or(0));
                return Self(Place::Slot(n));
            }
        }
        HINT.set((first + PROBES) % MOST_CALLS);
        UNNAMED.fetch_add(1, Ordering::Relaxed);
        Self(Place::Unnamed)
    }

    /// Runs code of the library's for this call.
    pub(crate) fn within<R>(&self, f: impl FnOnce() -> R) -> R {
        let outer = CURRENT.replace(self.0);
        let result = f();
        CURRENT.set(outer);
        result
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        match self.0 {
            Place::None => {}
            Place::Slot(n) => SLOTS[n].state.store(FREE, Ordering::Release),
            Place::Unnamed => {
                UNNAMED.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// A call's name, cut off where it is too long.
struct Name {
    bytes: [u8; WORDS * 8],
    len: usize,
}

impl Default for Name {
    fn default() -> Self {
        Self {
            bytes: [0; WORDS * 8],
            len: 0,
        }
    }
}

impl Name {
    fn push(&mut self, text: &str) {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
    }
}

impl Slot {
    const fn new() -> Self {
        Self {
            state: AtomicUsize::new(FREE),
            exchange: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            name: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    fn take(&self) -> bool {
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        let free = self.state.load(relaxed) == FREE;
        free && self
            .state
            .compare_exchange(FREE, TAKEN, acquire, relaxed)
            .is_ok()
    }

    fn fill(&self, name: &Name, exchange: u64) {
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

/// Makes a crash within a library say on standard error which library it was, and which requests
/// were in it.
///
/// For a program whose whole purpose is to run the app: it handles signals that are the process's,
/// not a library's, to handle. Call it once, before the app is loaded.
pub fn report_crashes() {
    BEFORE.get_or_init(|| SIGNALS.map(|(signal, _)| install(signal)));
    IS_ON.store(true, Ordering::Relaxed);
}

/// Says which library is loaded; the first one counts.
pub(crate) fn set_library(name: String) {
    LIBRARY.get_or_init(|| name);
}

/// Returns what was there before.
fn install(signal: libc::c_int) -> libc::sigaction {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeros are a valid `sigaction`, whose mask is then set; both pointers are valid, and
    // the handler has the signature that SA_SIGINFO asks for.
    unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        // It only fails for what is no signal.
        libc::sigaction(signal, &raw const action, before.as_mut_ptr());
        before.assume_init()
    }
}

unsafe extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
    if HAS_BEGUN.swap(true, Ordering::SeqCst) {
        // Another thread crashed before: its report ends the process.
        loop {
            // SAFETY: it only waits.
            unsafe { libc::pause() };
        }
    }
    report(signal);
    let n = SIGNALS.iter().position(|(one, _)| *one == signal);
    if let (Some(n), Some(before)) = (n, BEFORE.get()) {
        // SAFETY: the pointer is valid. What caused the signal happens again once this returns,
        // and is then handled as if we had not been here; what another process sent does not, so
        // it is sent again. The kernel filled in `info`.
        unsafe {
            libc::sigaction(signal, &raw const before[n], std::ptr::null_mut());
            if (*info).si_code <= 0 {
                libc::raise(signal);
            }
        }
    }
}

/// Only what is safe within a handler: see the module.
fn report(signal: libc::c_int) {
    let library = LIBRARY.get().map_or("that is being loaded", String::as_str);
    let name = SIGNALS.iter().find(|(one, _)| *one == signal);
    let name = name.map_or("a signal", |(_, name)| name);
    let current = CURRENT.get();
    let mut line = Line::default();
    line.push(b"fatal: ");
    line.push(name.as_bytes());
    match current {
        Place::None => line.push(b" outside of every request; loaded is the app "),
        _ => line.push(b" in the app "),
    }
    line.push(library.as_bytes());
    match current {
        Place::None => {}
        Place::Slot(n) => {
            line.push(b", in ");
            line.push_slot(&SLOTS[n]);
        }
        Place::Unnamed => line.push(b", in a request that is not in the table"),
    }
    line.write();
    for (n, slot) in SLOTS.iter().enumerate() {
        let is_current = matches!(current, Place::Slot(current) if current == n);
        if !is_current && slot.state.load(Ordering::Acquire) == NAMED {
            let mut line = Line::default();
            line.push(b"fatal: also in it: ");
            line.push_slot(slot);
            line.write();
        }
    }
    let unnamed = UNNAMED.load(Ordering::Relaxed);
    if unnamed != 0 {
        let mut line = Line::default();
        line.push(b"fatal: also in it, not named: ");
        line.push_number(unnamed as u64);
        line.write();
    }
}

/// A line on the stack.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; 512],
            len: 0,
        }
    }
}

impl Line {
    /// Adds what there is room for, with one byte left for the end.
    fn push(&mut self, text: &[u8]) {
        let room = self.bytes.len() - 1 - self.len;
        for byte in text.iter().take(room) {
            // A path is the client's: no byte of it may do anything to a terminal.
            let is_plain = byte.is_ascii_graphic() || *byte == b' ' || !byte.is_ascii();
            self.bytes[self.len] = if is_plain { *byte } else { b'?' };
            self.len += 1;
        }
    }

    fn push_slot(&mut self, slot: &Slot) {
        let len = slot.len.load(Ordering::Relaxed).min(WORDS * 8);
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
        // SAFETY: the bytes are initialised. If it fails there is nobody left to tell.
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
    use super::{Line, Name, Slot};

    fn text(line: &Line) -> &str {
        std::str::from_utf8(&line.bytes[..line.len]).unwrap()
    }

    #[test]
    fn a_slot_says_the_name_and_the_exchange() {
        let slot = Slot::new();
        for (path, exchange, expected) in [
            ("/", 7, "GET / (exchange 7)"),
            (
                "/12345678",
                1_234_567_890,
                "GET /12345678 (exchange 1234567890)",
            ),
            ("/a\u{1b}b", 0, "GET /a?b"),
        ] {
            let mut name = Name::default();
            name.push("GET ");
            name.push(path);
            slot.fill(&name, exchange);
            let mut line = Line::default();
            line.push_slot(&slot);
            assert_eq!(text(&line), expected);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_off() {
        let mut name = Name::default();
        name.push(&"x".repeat(1000));
        let slot = Slot::new();
        slot.fill(&name, 1);
        let mut line = Line::default();
        for _ in 0..100 {
            line.push_slot(&slot);
        }
        assert_eq!(line.len, 511);
    }
}
