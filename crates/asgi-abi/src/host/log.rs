//! The host functions for the log: log lines of a library become `tracing` events of the server.
//!
//! The events keep the targets of the library, so a filter such as `info,shop::db=debug` applies to
//! them.
//!
//! `tracing` needs a static call site for each event. The library's call sites belong to its own copy
//! of `tracing`. So this module makes one for each combination of level, target and field names when
//! it first sees it, and keeps it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use tracing_core::callsite::{Callsite, Identifier, register};
use tracing_core::field::{FieldSet, Value, display};
use tracing_core::metadata::{Kind, LevelFilter};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, Level, Metadata, dispatcher};

use crate::abi::{self, Str};
use crate::panic::catch;

/// The most call sites. The number of call sites of a Rust app is fixed by its source. An app that
/// generates targets or field names must not fill the memory: after this many, all its new lines of
/// a level share one call site.
const MAX_SITES: usize = 4096;

/// The most fields of a line, including the message and the exchange's number. Others are dropped.
const MAX_FIELDS: usize = 32;

/// A call site that is made at run time and never freed.
struct LibraryCallsite {
    metadata: OnceLock<Metadata<'static>>,
    interest: AtomicU8,
}

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;

impl Callsite for LibraryCallsite {
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
            .expect("`LibraryCallsite::leak` sets it before it returns the call site")
    }
}

impl LibraryCallsite {
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

    /// The flags [`abi::LOG_ENABLED`] and [`abi::LOG_ASK_AGAIN`].
    fn enabled_flags(&'static self) -> u32 {
        match self.interest.load(Ordering::Acquire) {
            NEVER => 0,
            ALWAYS => abi::LOG_ENABLED,
            _ if dispatcher::get_default(|it| it.enabled(self.metadata())) => {
                abi::LOG_ENABLED | abi::LOG_ASK_AGAIN
            }
            _ => abi::LOG_ASK_AGAIN,
        }
    }

    /// Finds or makes the call site of this level, target and field names.
    fn find(level: u32, target: &str, names: &[&str]) -> &'static Self {
        static SITES: OnceLock<RwLock<HashMap<String, &'static LibraryCallsite>>> = OnceLock::new();
        let sites = SITES.get_or_init(RwLock::default);
        // No code panics while it is locked, unless memory runs out.
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
        let (wanted, target, names): (_, _, &[_]) = if read().len() < MAX_SITES {
            (wanted, target, names)
        } else {
            (key(DEFAULT_TARGET, &[]), DEFAULT_TARGET, &[])
        };
        // If two threads make the same one at the same time, one of the two is leaked.
        let new = Self::leak(level, target, names);
        let mut sites = sites.write().unwrap_or_else(PoisonError::into_inner);
        sites.entry(wanted).or_insert(new)
    }
}

/// The target of lines without a target, and of all lines after [`MAX_SITES`].
const DEFAULT_TARGET: &str = "app";

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
            // This is the most verbose level of all subscribers; it can change.
            return 0;
        }
        if target.ptr.is_null() {
            return abi::LOG_ENABLED;
        }
        // SAFETY: the library promises that the text is valid during this call.
        let target = unsafe { target.to_text() };
        LibraryCallsite::find(level, &target, &[]).enabled_flags()
    };
    // The subscriber is foreign code. If it panics, the panic hook has reported that.
    catch(enabled).unwrap_or(0)
}

pub(super) unsafe extern "C" fn log(line: *const abi::LogLine) {
    // As in `log_enabled`.
    let _ = catch(|| {
        // SAFETY: the library promises that the line and all its parts are valid during this call.
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
    // SAFETY: the caller promises that all parts are valid.
    let (target, message, fields) = unsafe {
        (
            line.target.to_text(),
            line.message.to_text(),
            abi::slice(line.fields, line.n_fields),
        )
    };
    let fields = &fields[..fields.len().min(MAX_FIELDS - 2)];
    // SAFETY: the caller promises that all texts are valid.
    let texts = |text: Str| unsafe { text.to_text() };
    let names: Vec<_> = fields.iter().map(|field| texts(field.name)).collect();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let target = if target.is_empty() {
        DEFAULT_TARGET
    } else {
        &target
    };
    let site = LibraryCallsite::find(line.level, target, &names);
    if site.enabled_flags() & abi::LOG_ENABLED == 0 {
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
    // The shared call site has fewer fields: the others are dropped.
    values.truncate(metadata.fields().len() - 1);
    let exchange = (line.exchange != 0).then_some(&line.exchange as &dyn Value);
    values.push(exchange);
    let Some(first) = metadata.fields().iter().next() else {
        return;
    };
    // The length of the array is part of its type, so the rest repeats a field without a value.
    let keys: Vec<_> = metadata.fields().iter().collect();
    let mut pairs: [(_, Option<&dyn Value>); MAX_FIELDS] = [(&first, None); MAX_FIELDS];
    for (pair, (key, value)) in pairs.iter_mut().zip(keys.iter().zip(values)) {
        *pair = (key, value);
    }
    Event::dispatch(metadata, &metadata.fields().value_set(&pairs));
}
