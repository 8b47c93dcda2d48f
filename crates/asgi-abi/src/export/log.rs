//! Forwards the app's `tracing` events to the server's log.
//!
//! A library has its own copy of `tracing`, which has no subscriber. [`LogBridge`] is the subscriber,
//! unless the app installs its own. It asks the server once for each call site whether the log takes
//! its lines. So a disabled line costs no more than in any other program.
//!
//! A line has the number of its exchange: the exchange that this thread polls, or, in a task that
//! the app has spawned, the exchange in which the current span was made.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_core::field::{Field, Visit};
use tracing_core::metadata::LevelFilter;
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, Level, Metadata, Subscriber};

use crate::abi::{self, Str};

thread_local! {
    /// The exchange whose call this thread polls; 0 if none.
    static EXCHANGE: Cell<u64> = const { Cell::new(0) };
    /// The spans that this thread is in, the innermost last.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with this exchange as the current one.
pub(super) fn with_exchange<R>(exchange: u64, f: impl FnOnce() -> R) -> R {
    struct Restore(u64);
    impl Drop for Restore {
        fn drop(&mut self) {
            EXCHANGE.set(self.0);
        }
    }
    let _restore = Restore(EXCHANGE.replace(exchange));
    f()
}

/// The exchange whose call this thread polls; 0 if none.
pub(super) fn current_exchange() -> u64 {
    EXCHANGE.get()
}

/// Writes one line without `tracing`.
pub(super) fn line(host: &abi::Host, level: u32, target: &str, message: &str) {
    let line = abi::LogLine {
        level,
        reserved: 0,
        exchange: current_exchange(),
        target: Str::new(target),
        message: Str::new(message),
        fields: std::ptr::null(),
        n_fields: 0,
    };
    // SAFETY: the line and its texts are valid until the call returns.
    unsafe { (host.log)(&raw const line) }
}

/// Whether the server's log takes such lines: the flags of `log_enabled`.
pub(super) fn enabled_flags(host: &abi::Host, level: u32, target: Str) -> u32 {
    // SAFETY: `target` is a text of our caller, which is valid until the call returns.
    unsafe { (host.log_enabled)(level, target) }
}

/// A subscriber that forwards events to the host.
pub(super) struct LogBridge {
    host: &'static abi::Host,
    max_level: LevelFilter,
    spans: Mutex<HashMap<u64, Span>>,
    next_span: AtomicU64,
}

struct Span {
    metadata: &'static Metadata<'static>,
    /// For example `outer{a=1}:inner{b=2}`.
    path: Arc<str>,
    exchange: u64,
    handles: usize,
}

impl LogBridge {
    pub(super) fn new(host: &'static abi::Host) -> Self {
        let levels = [
            (abi::LOG_TRACE, LevelFilter::TRACE),
            (abi::LOG_DEBUG, LevelFilter::DEBUG),
            (abi::LOG_INFO, LevelFilter::INFO),
            (abi::LOG_WARN, LevelFilter::WARN),
            (abi::LOG_ERROR, LevelFilter::ERROR),
        ];
        let max_level = levels
            .into_iter()
            .find(|(level, _)| enabled_flags(host, *level, Str::NULL) & abi::LOG_ENABLED != 0)
            .map_or(LevelFilter::OFF, |(_, filter)| filter);
        Self {
            host,
            max_level,
            spans: Mutex::default(),
            next_span: AtomicU64::new(1),
        }
    }

    fn enabled_flags(&self, metadata: &Metadata<'_>) -> u32 {
        enabled_flags(
            self.host,
            abi_level(*metadata.level()),
            Str::new(metadata.target()),
        )
    }

    fn spans(&self) -> MutexGuard<'_, HashMap<u64, Span>> {
        // No code of the app runs while it is locked.
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path and the exchange of the span that contains a line or a new span.
    fn context(&self, parent: Option<&Id>, is_contextual: bool) -> (Option<Arc<str>>, u64) {
        let parent = match parent {
            Some(id) => Some(id.into_u64()),
            None if is_contextual => current_span(),
            None => None,
        };
        let found = parent.and_then(|id| {
            let spans = self.spans();
            let span = spans.get(&id)?;
            Some((Arc::clone(&span.path), span.exchange))
        });
        let (path, span_exchange) = found.map_or((None, 0), |(path, of)| (Some(path), of));
        match current_exchange() {
            0 => (path, span_exchange),
            exchange => (path, exchange),
        }
    }
}

fn current_span() -> Option<u64> {
    // `try_with` fails while the thread ends; then there is no span.
    ENTERED
        .try_with(|entered| entered.borrow().last().copied())
        .ok()
        .flatten()
}

fn abi_level(level: Level) -> u32 {
    match level {
        Level::ERROR => abi::LOG_ERROR,
        Level::WARN => abi::LOG_WARN,
        Level::INFO => abi::LOG_INFO,
        Level::DEBUG => abi::LOG_DEBUG,
        Level::TRACE => abi::LOG_TRACE,
    }
}

impl Subscriber for LogBridge {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.enabled_flags(metadata) {
            0 => Interest::never(),
            abi::LOG_ENABLED => Interest::always(),
            _ => Interest::sometimes(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.enabled_flags(metadata) & abi::LOG_ENABLED != 0
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.max_level)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let (parent, exchange) = self.context(attributes.parent(), attributes.is_contextual());
        let metadata = attributes.metadata();
        let mut path = String::new();
        if let Some(parent) = parent {
            path.push_str(&parent);
            path.push(':');
        }
        path.push_str(metadata.name());
        let mut fields = SpanFields(String::new());
        attributes.record(&mut fields);
        path.push_str(&fields.close());
        let id = self.next_span.fetch_add(1, Ordering::Relaxed);
        let span = Span {
            metadata,
            path: path.into(),
            exchange,
            handles: 1,
        };
        self.spans().insert(id, span);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut fields = SpanFields(String::new());
        values.record(&mut fields);
        let fields = fields.close();
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            span.path = format!("{}{fields}", span.path).into();
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let (path, exchange) = self.context(event.parent(), event.is_contextual());
        let mut values = EventFields::default();
        event.record(&mut values);
        let mut fields: Vec<_> = values
            .fields
            .iter()
            .map(|(name, value, flags)| abi::LogField {
                name: Str::new(name),
                value: Str::new(value),
                flags: *flags,
            })
            .collect();
        if let Some(path) = &path {
            fields.push(abi::LogField {
                name: Str::new("span"),
                value: Str::new(path),
                flags: abi::LOG_FIELD_PLAIN,
            });
        }
        let metadata = event.metadata();
        let line = abi::LogLine {
            level: abi_level(*metadata.level()),
            reserved: 0,
            exchange,
            target: Str::new(metadata.target()),
            message: Str::new(&values.message),
            fields: fields.as_ptr(),
            n_fields: fields.len(),
        };
        // SAFETY: the line, its texts and its fields are valid until the call returns.
        unsafe { (self.host.log)(&raw const line) }
    }

    fn enter(&self, id: &Id) {
        let id = id.into_u64();
        // It fails only while the thread ends.
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(id));
    }

    fn exit(&self, id: &Id) {
        let id = id.into_u64();
        // It fails only while the thread ends.
        let _ = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            if let Some(at) = entered.iter().rposition(|one| *one == id) {
                entered.remove(at);
            }
        });
    }

    fn current_span(&self) -> Current {
        let Some(id) = current_span() else {
            return Current::none();
        };
        let metadata = self.spans().get(&id).map(|span| span.metadata);
        metadata.map_or_else(Current::none, |metadata| {
            Current::new(Id::from_u64(id), metadata)
        })
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = self.spans().get_mut(&id.into_u64()) {
            span.handles += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let id = id.into_u64();
        let mut spans = self.spans();
        let Some(span) = spans.get_mut(&id) else {
            return false;
        };
        span.handles -= 1;
        let closed = span.handles == 0;
        if closed {
            spans.remove(&id);
        }
        closed
    }
}

/// Formats the fields of a span as `{a=1 b="x"}`.
struct SpanFields(String);

impl SpanFields {
    fn close(mut self) -> String {
        if !self.0.is_empty() {
            self.0.push('}');
        }
        self.0
    }
}

impl Visit for SpanFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let before = if self.0.is_empty() { '{' } else { ' ' };
        // If the `Debug` of a value fails, its text ends there.
        let _ = write!(self.0, "{before}{}={value:?}", field.name());
    }
}

/// The message of an event, and its other fields as name, value and flags.
#[derive(Default)]
struct EventFields {
    message: String,
    fields: Vec<(&'static str, String, u64)>,
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.fields.push((name, value.to_owned(), 0)),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // If the `Debug` of a value fails, its text ends there.
        let _ = write!(text, "{value:?}");
        match field.name() {
            "message" => self.message = text,
            name => self.fields.push((name, text, abi::LOG_FIELD_PLAIN)),
        }
    }
}
