//! What a library logs goes to the server's subscriber as if the server's own code had said it:
//! under the library's own targets, so that a filter such as `info,shop::db=debug` holds for them.
//!
//! `tracing` wants a static call site for each event. The library's are in another copy of it, so
//! one is made here for each level, target and set of field names, when it is first used, and kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use tracing_core::callsite::{Callsite, Identifier, register};
use tracing_core::field::{FieldSet, Value, display};
use tracing_core::metadata::{Kind, LevelFilter};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, Level, Metadata, dispatcher};

use crate::abi::{self, Str};
use crate::panic::caught;

/// How many call sites are kept. A Rust app has as many as its source; one that makes up targets or
/// names of fields must not fill the memory, and gets the last one for all the rest.
const MOST_SITES: usize = 4096;

/// How many of a line's fields are taken, the message and the exchange's number among them.
const MOST_FIELDS: usize = 32;

/// A call site that is made at run time, and never freed.
struct Site {
    metadata: OnceLock<Metadata<'static>>,
    interest: AtomicU8,
}

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;

impl Callsite for Site {
    fn set_interest(&self, interest: Interest) {
        let interest = match interest {
            interest if interest.is_never() => NEVER,
            interest if interest.is_always() => ALWAYS,
            _ => SOMETIMES,
        };
        self.interest.store(interest, Ordering::Release);
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata
            .get()
            .expect("`Site::leak` sets it before anybody else sees the site")
    }
}

impl Site {
    fn leak(level: Level, target: &str, names: &[&str]) -> &'static Self {
        let leak = |text: &str| -> &'static str { Box::leak(text.into()) };
        let names: Vec<&'static str> = ["message"]
            .into_iter()
            .chain(names.iter().map(|name| leak(name)))
            .chain(["exchange"])
            .collect();
        let site: &'static Self = Box::leak(Box::new(Self {
            metadata: OnceLock::new(),
            interest: AtomicU8::new(SOMETIMES),
        }));
        let target = leak(target);
        let fields = FieldSet::new(Box::leak(names.into()), Identifier(site));
        let metadata = Metadata::new(
            "event of the app",
            target,
            level,
            None,
            None,
            Some(target),
            fields,
            Kind::EVENT,
        );
        site.metadata.get_or_init(|| metadata);
        register(site);
        site
    }

    /// [`abi::LOG_ENABLED`] and [`abi::LOG_ASK_AGAIN`].
    fn enabled(&'static self) -> u32 {
        match self.interest.load(Ordering::Acquire) {
            NEVER => 0,
            ALWAYS => abi::LOG_ENABLED,
            _ if dispatcher::get_default(|it| it.enabled(self.metadata())) => {
                abi::LOG_ENABLED | abi::LOG_ASK_AGAIN
            }
            _ => abi::LOG_ASK_AGAIN,
        }
    }

    /// The one for this level, target and these names of fields.
    fn find(level: u32, target: &str, names: &[&str]) -> &'static Self {
        static SITES: OnceLock<RwLock<HashMap<String, &'static Site>>> = OnceLock::new();
        let sites = SITES.get_or_init(RwLock::default);
        // Nobody panics while it is locked but for want of memory.
        let read = || sites.read().unwrap_or_else(PoisonError::into_inner);

        let level = tracing_level(level);
        let key = |target: &str, names: &[&str]| {
            let mut key = format!("{level}\0{target}");
            for name in names {
                key.push('\0');
                key.push_str(name);
            }
            key
        };
        let wanted = key(target, names);
        if let Some(site) = read().get(&wanted) {
            return site;
        }
        let (wanted, target, names): (_, _, &[_]) = if read().len() < MOST_SITES {
            (wanted, target, names)
        } else {
            (key(OTHER, &[]), OTHER, &[])
        };
        // Two threads may both make one: the second is leaked, which happens once at most.
        let made = Self::leak(level, target, names);
        let mut sites = sites.write().unwrap_or_else(PoisonError::into_inner);
        sites.entry(wanted).or_insert(made)
    }
}

/// The target of lines that have none, or one too many.
const OTHER: &str = "app";

fn tracing_level(level: u32) -> Level {
    match level {
        abi::LOG_ERROR => Level::ERROR,
        abi::LOG_WARN => Level::WARN,
        abi::LOG_INFO => Level::INFO,
        abi::LOG_DEBUG => Level::DEBUG,
        _ => Level::TRACE,
    }
}

pub(super) unsafe extern "C" fn log_enabled(level: u32, target: Str) -> u32 {
    let enabled = || {
        if tracing_level(level) > LevelFilter::current() {
            // The server's hint follows its subscribers, who may change.
            return 0;
        }
        if target.ptr.is_null() {
            return abi::LOG_ENABLED;
        }
        // SAFETY: the text is valid for this call.
        let target = unsafe { target.to_text() };
        Site::find(level, &target, &[]).enabled()
    };
    // The subscriber is no code of ours; if it panics, the hook has printed that.
    caught(enabled).unwrap_or(0)
}

pub(super) unsafe extern "C" fn log(line: *const abi::LogLine) {
    // As above.
    let _ = caught(|| {
        // SAFETY: the line and all that it lends are valid for this call.
        unsafe { write(&*line) }
    });
}

/// # Safety
///
/// All parts of the line must be valid.
unsafe fn write(line: &abi::LogLine) {
    if tracing_level(line.level) > LevelFilter::current() {
        return;
    }
    // SAFETY: the caller's promise.
    let (target, message, fields) = unsafe {
        (
            line.target.to_text(),
            line.message.to_text(),
            abi::slice(line.fields, line.n_fields),
        )
    };
    let fields = &fields[..fields.len().min(MOST_FIELDS - 2)];
    // SAFETY: the caller's promise.
    let texts = |text: Str| unsafe { text.to_text() };
    let names: Vec<_> = fields.iter().map(|field| texts(field.name)).collect();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let target = if target.is_empty() { OTHER } else { &target };
    let site = Site::find(line.level, target, &names);
    if site.enabled() & abi::LOG_ENABLED == 0 {
        return;
    }
    let message = display(message);
    let fields: Vec<_> = fields
        .iter()
        .map(|field| {
            let value = texts(field.value);
            let plain = field.flags & abi::LOG_FIELD_PLAIN != 0;
            (plain.then(|| display(value.clone())), value)
        })
        .collect();
    let mut values: Vec<Option<&dyn Value>> = vec![Some(&message)];
    let texts: Vec<&str> = fields.iter().map(|(_, text)| &**text).collect();
    for ((plain, _), text) in fields.iter().zip(&texts) {
        values.push(Some(match plain {
            Some(plain) => plain,
            None => text,
        }));
    }
    let metadata = site.metadata();
    // Fewer are left where the site is the one for all the rest.
    values.truncate(metadata.fields().len() - 1);
    let exchange = (line.exchange != 0).then_some(&line.exchange as &dyn Value);
    values.push(exchange);
    let Some(first) = metadata.fields().iter().next() else {
        return;
    };
    // The array's length is part of its type: the rest of it is a field without a value.
    let keys: Vec<_> = metadata.fields().iter().collect();
    let mut pairs: [(_, Option<&dyn Value>); MOST_FIELDS] = [(&first, None); MOST_FIELDS];
    for (pair, (key, value)) in pairs.iter_mut().zip(keys.iter().zip(values)) {
        *pair = (key, value);
    }
    Event::dispatch(metadata, &metadata.fields().value_set(&pairs));
}
