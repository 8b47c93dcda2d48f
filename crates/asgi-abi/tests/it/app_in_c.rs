//! Loads apps that use the ABI directly, as an app in C does: they may return anything.

use std::ffi::c_void;
use std::io;
use std::mem::size_of;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex};

use asgi_abi::abi::{self, Str};
use asgi_abi::{Library, LoadOptions};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{Exchange, get, start};

/// The host that `init` got.
static HOST: AtomicPtr<abi::Host> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn init(
    host: *const abi::Host,
    _: *const abi::Start,
    app: *mut *mut c_void,
    _: *mut abi::Buffer,
) -> u32 {
    HOST.store(host.cast_mut(), Ordering::SeqCst);
    // SAFETY: the host passes a valid output parameter.
    unsafe { app.write(std::ptr::dangling_mut()) };
    abi::READY
}

fn host() -> &'static abi::Host {
    // SAFETY: `init` has run, and the host is valid until the process ends.
    unsafe { &*HOST.load(Ordering::SeqCst) }
}

/// Refuses the call, for example because it has no memory.
unsafe extern "C" fn call(
    _: *mut c_void,
    _: *const abi::Scope,
    receive: *mut abi::Receive,
    send: *mut abi::Send,
    _: *mut abi::Task,
) -> u32 {
    // SAFETY: the library owns both halves and drops each once.
    unsafe {
        (host().receive_drop)(receive);
        (host().send_drop)(send);
    }
    abi::FAILED
}

/// Stores the half for sending as its task.
unsafe extern "C" fn call_to_send(
    _: *mut c_void,
    _: *const abi::Scope,
    receive: *mut abi::Receive,
    send: *mut abi::Send,
    task: *mut abi::Task,
) -> u32 {
    // SAFETY: the library owns both halves, and a half fits into a task.
    unsafe {
        (host().receive_drop)(receive);
        task.cast::<abi::Send>().write(send.read());
    }
    abi::READY
}

unsafe extern "C" fn poll(_: *mut abi::Task, _: *const abi::Waker, _: *mut abi::Outcome) -> u32 {
    abi::READY
}

/// Sends events that an app in Rust cannot send. Its error has the host's error for each.
unsafe extern "C" fn poll_to_send(
    task: *mut abi::Task,
    _: *const abi::Waker,
    outcome: *mut abi::Outcome,
) -> u32 {
    let broken = abi::Header {
        name: Str::new("a b"),
        value: Str::new("c"),
        flags: 0,
    };
    let event = abi::SendEvent::new;
    let start = |status| abi::SendEvent {
        status,
        ..event(abi::SEND_HTTP_RESPONSE_START)
    };
    let events = [
        // Well-formed, and without a READY of `send_poll_ready`.
        start(200),
        start(99),
        start(70_000),
        abi::SendEvent {
            headers: &raw const broken,
            n_headers: 1,
            ..start(200)
        },
        abi::SendEvent {
            text: Str::new("no path"),
            ..event(abi::SEND_HTTP_RESPONSE_PUSH)
        },
        abi::SendEvent {
            file: -1,
            ..event(abi::SEND_HTTP_RESPONSE_ZERO_COPY_SEND)
        },
        abi::SendEvent {
            flags: abi::FLAG_TEXT,
            body: bytes::Bytes::from_static(b"\xff").into(),
            ..event(abi::SEND_WEBSOCKET_SEND)
        },
        abi::SendEvent {
            status: 70_000,
            ..event(abi::SEND_WEBSOCKET_CLOSE)
        },
        event(77),
    ];
    let mut messages = Vec::new();
    for mut event in events {
        let mut error = std::mem::MaybeUninit::<abi::SendError>::uninit();
        // SAFETY: the task is our half; the error is filled in with FAILED.
        unsafe {
            let code = (host().send_start)(task.cast(), &raw mut event, error.as_mut_ptr());
            std::mem::forget(event);
            assert_eq!(code, abi::FAILED);
            let error = error.assume_init();
            assert_eq!(error.kind, abi::SEND_ERROR_MISUSE);
            messages.push(String::from_utf8(error.text.as_slice().to_vec()).unwrap());
        }
    }
    // Leaked: this app is simple.
    let messages: &'static [String] = messages.leak();
    let lent: Vec<_> = messages.iter().map(|message| Str::new(message)).collect();
    let lent: &'static [Str] = lent.leak();
    let outcome_value = abi::Outcome {
        kind: abi::OUTCOME_FAILED,
        messages: lent.as_ptr(),
        n_messages: lent.len(),
        ..abi::Outcome::EMPTY
    };
    // SAFETY: the host passes a valid output parameter.
    unsafe { outcome.write(outcome_value) };
    abi::FAILED
}

unsafe extern "C" fn drop_task(_: *mut abi::Task) {}

unsafe extern "C" fn drop_sender(task: *mut abi::Task) {
    // SAFETY: the task is our half.
    unsafe { (host().send_drop)(task.cast()) }
}

unsafe extern "C" fn shutdown(_: *mut c_void, _: u32) {}

const APP: abi::App = abi::App {
    magic: abi::MAGIC,
    major: abi::MAJOR,
    minor: abi::MINOR,
    size: size_of::<abi::App>() as u32,
    name: Str::new("by hand"),
    version: Str::NULL,
    toolchain: Str::new("none"),
    flags: 0,
    init,
    call,
    poll,
    drop_task,
    shutdown,
};

fn load(app: &'static abi::App) -> Library {
    // SAFETY: it keeps the rules, as far as a test can see.
    unsafe { Library::from_static(app, &LoadOptions::new()) }.unwrap()
}

/// ABI-013
#[test]
fn an_app_that_cannot_take_a_call_fails_it() {
    static DECLARATION: abi::App = APP;
    let library = load(&DECLARATION);
    assert_eq!((library.name(), library.version()), ("by hand", ""));
    let exchange = Exchange::default();
    let error = start(&library, get("/"), &exchange).end().unwrap_err();
    assert_eq!(error.to_string(), "the app's library refused the call");
    let state = exchange.lock();
    assert!(state.receive_dropped && state.send_dropped);
}

/// ABI-025 ABI-027
#[test]
fn invalid_events_and_events_without_room_are_misuse() {
    static DECLARATION: abi::App = abi::App {
        call: call_to_send,
        poll: poll_to_send,
        drop_task: drop_sender,
        ..APP
    };
    let exchange = Exchange::default();
    let error = start(&load(&DECLARATION), get("/"), &exchange)
        .end()
        .unwrap_err();
    assert_eq!(
        error.chain().to_string(),
        "http.response.start: a status outside of 100 to 999: a status outside of 100 to 999: an invalid header name: a \
         push with an invalid path: an invalid file descriptor: a text message that is not UTF-8: \
         a close code above 65535: an event of kind 77"
    );
    assert!(exchange.sent().is_empty());
    assert!(exchange.lock().send_dropped);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// ABI-035
#[test]
fn log_lines_of_an_app_reach_the_servers_subscriber() {
    static DECLARATION: abi::App = APP;
    load(&DECLARATION);
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .without_time()
        .with_ansi(false)
        .finish();
    let line = |level, exchange, fields: &[abi::LogField]| abi::LogLine {
        level,
        reserved: 0,
        exchange,
        target: Str::new("hello::db"),
        message: Str::new("a line"),
        fields: fields.as_ptr(),
        n_fields: fields.len(),
    };
    let field = |name, value, flags| abi::LogField {
        name: Str::new(name),
        value: Str::new(value),
        flags,
    };
    let fields = [
        field("rows", "3", abi::LOG_FIELD_PLAIN),
        field("user", "ann \"b\"", 0),
    ];
    tracing::subscriber::with_default(subscriber, || {
        // SAFETY: the lines, their texts and their fields are valid during the calls.
        unsafe {
            (host().log)(&line(abi::LOG_ERROR, 0, &[]));
            (host().log)(&line(abi::LOG_INFO, 7, &fields));
            (host().log)(&line(abi::LOG_DEBUG, 0, &[]));
        }
    });
    assert_eq!(
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap(),
        "ERROR hello::db: a line\n \
         INFO hello::db: a line rows=3 user=\"ann \\\"b\\\"\" exchange=7\n"
    );
}

#[test]
fn a_filter_of_the_server_applies_to_the_targets_of_the_app() {
    static DECLARATION: abi::App = APP;
    load(&DECLARATION);
    let filter = tracing_subscriber::filter::Targets::new()
        .with_target("shop", tracing::Level::INFO)
        .with_target("shop::db", tracing::Level::DEBUG);
    let subscriber = tracing_subscriber::registry().with(filter);
    let answers = tracing::subscriber::with_default(subscriber, || {
        [
            (abi::LOG_INFO, Str::new("shop::web")),
            (abi::LOG_DEBUG, Str::new("shop::web")),
            (abi::LOG_DEBUG, Str::new("shop::db")),
            (abi::LOG_TRACE, Str::new("shop::db")),
            (abi::LOG_ERROR, Str::new("other")),
            (abi::LOG_DEBUG, Str::NULL),
        ]
        // SAFETY: the texts are static.
        .map(|(level, target)| unsafe { (host().log_enabled)(level, target) } & abi::LOG_ENABLED)
    });
    assert_eq!(answers, [1, 0, 1, 0, 0, 1]);
}
