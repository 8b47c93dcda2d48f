//! One exchange with the app of a library.

use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::half::{self, LibraryWaker};
use super::{LibraryFindings, PATIENCE, within};
use crate::buffer::counted;
use crate::host::Output;
use crate::layout::*;
use crate::report;
use crate::waker::{self, WakerCounts};

/// How long nothing happens before the client does the next thing.
const QUIET: Duration = Duration::from_millis(100);

/// What the client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientKind {
    Get,
    /// A body in two parts, and a send that waits for room.
    Post,
    /// The host drops the task while it runs.
    Cancelled,
    WebSocket,
    /// The client is gone from the beginning.
    Gone,
    /// The scope has an unknown kind.
    Unknown,
    /// The target of the scope is not UTF-8.
    NotUtf8,
}

/// How a task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskEnding {
    Ended,
    /// It still runs.
    Running,
    /// It waits although the host has woken it.
    Stuck,
    /// It returned an unknown code.
    Unknown,
}

/// What the functions of the host and the client share.
pub(super) struct ExchangeShared {
    kind: ClientKind,
    events: Mutex<VecDeque<ReceiveEvent>>,
    left: Mutex<Option<Disconnect>>,
    drops: Mutex<Vec<Arc<AtomicU32>>>,
    is_complete: AtomicBool,
    pub(super) receives: Mutex<Option<LibraryWaker>>,
    pub(super) closes: Mutex<Vec<LibraryWaker>>,
    pub(super) receives_dropped: AtomicU32,
    pub(super) sends_dropped: AtomicU32,
    pub(super) handles: AtomicI64,
    pub(super) has_room: AtomicBool,
    pub(super) waits_for_room: AtomicBool,
    pub(super) is_gone: AtomicBool,
}

// SAFETY: the events hold buffers, which any thread may use.
unsafe impl std::marker::Send for ExchangeShared {}
// SAFETY: as above; all else has a lock or is atomic.
unsafe impl Sync for ExchangeShared {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ExchangeShared {
    /// The next event for the app, if there is one. The last one comes again each time.
    pub(super) fn next_event(&self) -> Option<ReceiveEvent> {
        if let Some(event) = lock(&self.events).pop_front() {
            return Some(event);
        }
        let left = *lock(&self.left);
        let kind = match self.kind {
            ClientKind::WebSocket => RECEIVE_WEBSOCKET_DISCONNECT,
            _ => RECEIVE_HTTP_DISCONNECT,
        };
        left.map(|disconnect| ReceiveEvent {
            disconnect,
            ..event(kind, 0)
        })
    }

    pub(super) fn left(&self) -> Option<Disconnect> {
        *lock(&self.left)
    }

    /// The app has sent an event.
    pub(super) fn sent(&self, kind: u32, flags: u32) {
        match kind {
            SEND_HTTP_RESPONSE_BODY if flags & FLAG_MORE == 0 => {
                self.is_complete.store(true, Ordering::SeqCst);
                self.leave(DISCONNECT_COMPLETE);
            }
            SEND_WEBSOCKET_ACCEPT => self.give(RECEIVE_WEBSOCKET_RECEIVE, FLAG_TEXT, "hello"),
            _ => {}
        }
    }

    /// Gives the app an event, and wakes it if it waits.
    fn give(&self, kind: u32, flags: u32, body: &str) {
        let (body, drops) = counted(body);
        lock(&self.drops).push(drops);
        let given = ReceiveEvent {
            body,
            ..event(kind, flags)
        };
        lock(&self.events).push_back(given);
        self.wake();
    }

    fn leave(&self, reason: u32) {
        let code = if self.kind == ClientKind::WebSocket {
            1006
        } else {
            0
        };
        lock(&self.left).get_or_insert(Disconnect {
            reason,
            reserved: 0,
            code,
        });
        self.wake();
    }

    /// Wakes all that waits, and returns whether something did.
    fn wake(&self) -> bool {
        let receives = lock(&self.receives).take();
        let closes = std::mem::take(&mut *lock(&self.closes));
        let waited = receives.is_some() || !closes.is_empty();
        for waker in receives.iter().chain(&closes) {
            waker.wake_by_ref();
        }
        waited
    }
}

fn event(kind: u32, flags: u32) -> ReceiveEvent {
    ReceiveEvent {
        kind,
        flags,
        disconnect: Disconnect {
            reason: 0,
            reserved: 0,
            code: 0,
        },
        body: Buffer::EMPTY,
        headers: std::ptr::null(),
        n_headers: 0,
    }
}

pub(super) struct LibraryExchange {
    shared: Arc<ExchangeShared>,
    wakes: Arc<WakerCounts>,
    late: Mutex<Option<LibraryWaker>>,
}

impl LibraryExchange {
    pub(super) fn new(kind: ClientKind) -> Self {
        let shared = ExchangeShared {
            kind,
            events: Mutex::default(),
            left: Mutex::default(),
            drops: Mutex::default(),
            is_complete: AtomicBool::new(false),
            receives: Mutex::default(),
            closes: Mutex::default(),
            receives_dropped: AtomicU32::new(0),
            sends_dropped: AtomicU32::new(0),
            handles: AtomicI64::new(0),
            has_room: AtomicBool::new(false),
            waits_for_room: AtomicBool::new(kind == ClientKind::Post),
            is_gone: AtomicBool::new(kind == ClientKind::Gone),
        };
        match kind {
            ClientKind::Post | ClientKind::Cancelled => {
                shared.give(RECEIVE_HTTP_REQUEST, FLAG_MORE, "one ")
            }
            ClientKind::WebSocket => shared.give(RECEIVE_WEBSOCKET_CONNECT, 0, ""),
            ClientKind::Gone => shared.leave(DISCONNECT_LOST),
            _ => shared.give(RECEIVE_HTTP_REQUEST, 0, ""),
        }
        Self {
            shared: Arc::new(shared),
            wakes: Arc::default(),
            late: Mutex::default(),
        }
    }

    pub(super) fn halves(&self) -> (Receive, Send) {
        half::halves(&self.shared)
    }

    /// Whether the library has given back both halves and each handle for the close, once.
    pub(super) fn is_given_back(&self) -> bool {
        let shared = &self.shared;
        shared.receives_dropped.load(Ordering::SeqCst) == 1
            && shared.sends_dropped.load(Ordering::SeqCst) == 1
            && shared.handles.load(Ordering::SeqCst) == 0
    }

    /// Polls the task until it ends, while the client does its part.
    pub(super) fn run(
        &self,
        app: &App,
        task: &mut Task,
        findings: &mut LibraryFindings,
    ) -> TaskEnding {
        let began = Instant::now();
        let mut next = 0;
        loop {
            let seen = WAKES.count();
            let mut outcome = Output::<Outcome>::new();
            let code = waker::lend(&raw const WAKER.0, &self.wakes, |waker| {
                // SAFETY: the task is one of the library, and the outcome is a local variable.
                unsafe { (app.poll)(task, waker, outcome.pointer()) }
            });
            let outcome = outcome.value(matches!(code, FAILED | PANICKED), "poll");
            match code {
                PENDING | WORKING => {}
                READY | FAILED | PANICKED => {
                    let known = outcome.is_none_or(|outcome| {
                        code == PANICKED || (1..=OUTCOME_ABORTED).contains(&outcome.kind)
                    });
                    findings.check("ABI-014", known, "an outcome of an unknown kind");
                    return TaskEnding::Ended;
                }
                _ => return TaskEnding::Unknown,
            }
            if WAKES.wait(seen, QUIET) {
                continue;
            }
            if self.shared.kind == ClientKind::Cancelled {
                *lock(&self.late) = lock(&self.shared.receives).take();
                return TaskEnding::Running;
            }
            let seen = WAKES.count();
            let woke = match (self.shared.kind, next) {
                (ClientKind::Post, 0) => {
                    let waited = lock(&self.shared.receives).is_some();
                    self.shared.give(RECEIVE_HTTP_REQUEST, 0, "two");
                    waited
                }
                _ => {
                    self.shared.is_gone.store(true, Ordering::SeqCst);
                    let waited = lock(&self.shared.receives).is_some();
                    self.shared.leave(DISCONNECT_LOST);
                    waited
                }
            };
            next += 1;
            if woke && !WAKES.wait(seen, PATIENCE) {
                return TaskEnding::Stuck;
            }
            if next > 20 || began.elapsed() > PATIENCE {
                return TaskEnding::Running;
            }
        }
    }

    /// Uses a waker of the library after its task.
    pub(super) fn wake_late(&self) {
        if let Some(waker) = lock(&self.late).take() {
            waker.wake_by_ref();
            drop(waker);
            // A library that can't do this has crashed by now.
            report::check("ABI-021", true, String::new);
        }
    }

    /// Checks what the library has done with wakers and bodies.
    pub(super) fn verdict(&self, what: &str, findings: &mut LibraryFindings) {
        self.shared.wake();
        for event in lock(&self.shared.events).drain(..) {
            // SAFETY: the library has not taken it, so it is still this side's.
            unsafe { event.body.give_back() };
        }
        let kept = || self.wakes.kept.load(Ordering::SeqCst) <= 0;
        let given = within(kept);
        findings.check(
            "ABI-020",
            given,
            format!("{what}: a clone of a waker is not given back"),
        );
        let drops = lock(&self.shared.drops).clone();
        let dropped = within(|| drops.iter().all(|drops| drops.load(Ordering::SeqCst) > 0));
        findings.check(
            "ABI-009",
            dropped,
            format!("{what}: the body of an event is not dropped"),
        );
    }

    /// Calls a function with the scope of this exchange.
    pub(super) fn with_scope<R>(&self, call: impl FnOnce(*const Scope) -> R) -> R {
        let header = |name, value| Header {
            name: Str::new(name),
            value: Str::new(value),
            flags: 0,
        };
        let headers = [
            header("host", "localhost"),
            header("user-agent", "asgi-spec"),
        ];
        let address = Address {
            kind: 0,
            port: 0,
            reserved: 0,
            ip: [0; 16],
            flow: 0,
            scope_id: 0,
            path: Str::NULL,
        };
        let not_utf_8 = [b'/', 0xff];
        let (kind, method) = match self.shared.kind {
            ClientKind::WebSocket => (SCOPE_WEBSOCKET, Str::NULL),
            ClientKind::Unknown => (99, Str::new("GET")),
            ClientKind::Post | ClientKind::Cancelled => (SCOPE_HTTP, Str::new("POST")),
            _ => (SCOPE_HTTP, Str::new("GET")),
        };
        let path = match self.shared.kind {
            ClientKind::NotUtf8 => Str {
                ptr: not_utf_8.as_ptr(),
                len: not_utf_8.len(),
            },
            ClientKind::Post | ClientKind::Cancelled => Str::new("/echo"),
            _ => Str::new("/"),
        };
        let scheme = if kind == SCOPE_WEBSOCKET {
            "ws"
        } else {
            "http"
        };
        let scope = Scope {
            size: size_of::<Scope>() as u32,
            kind,
            http_version: HTTP_11,
            flags: 0,
            method,
            scheme: Str::new(scheme),
            target: path,
            path,
            root_path: Str::new(""),
            headers: headers.as_ptr(),
            n_headers: headers.len(),
            subprotocols: std::ptr::null(),
            n_subprotocols: 0,
            client: address,
            server: address,
            exchange: 0,
            extensions: 0,
            tls: std::ptr::null(),
        };
        call(&raw const scope)
    }
}

/// Counts the wakes of all exchanges: one runs at a time.
struct Wakes {
    count: Mutex<u64>,
    changed: Condvar,
}

static WAKES: Wakes = Wakes {
    count: Mutex::new(0),
    changed: Condvar::new(),
};

impl Wakes {
    fn count(&self) -> u64 {
        *lock(&self.count)
    }

    fn add(&self) {
        *lock(&self.count) += 1;
        self.changed.notify_all();
    }

    /// Waits for a wake after those that were seen. False if none came.
    fn wait(&self, seen: u64, limit: Duration) -> bool {
        let count = lock(&self.count);
        let waited = self
            .changed
            .wait_timeout_while(count, limit, |count| *count <= seen);
        let (count, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *count > seen
    }
}

/// The waker inside those that the library gets.
struct Counting(Waker);

// SAFETY: it points to a static.
unsafe impl Sync for Counting {}

static WAKER: Counting = Counting(Waker { vtable: &VTABLE });

static VTABLE: WakerVtable = WakerVtable {
    clone: count_clone,
    wake: count_wake,
    wake_by_ref: count_wake,
    drop: count_drop,
};

unsafe extern "C" fn count_clone(waker: *const Waker) -> *const Waker {
    waker
}

unsafe extern "C" fn count_wake(_: *const Waker) {
    WAKES.add();
}

unsafe extern "C" fn count_drop(_: *const Waker) {}
