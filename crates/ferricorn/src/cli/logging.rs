//! Installs the log: events go to standard error, the access log to standard output.
//!
//! Each of the two has a [`LogQueue`], so that no thread waits for them. The lines of the command
//! itself, such as the one that says the server is up, take the same way as the events.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber, info};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use super::log_filter;
use super::log_queue::LogQueue;
use super::settings::CommandSettings;

/// The target of the access log's events.
const ACCESS: &str = "ferricorn::access";

/// The target of the lines about the command itself. They are shown at every level but `off`, because
/// scripts wait for them.
const STATUS: &str = "ferricorn::status";

/// Logs a line for people about the command itself.
pub(super) fn log_status(line: fmt::Arguments<'_>) {
    info!(target: STATUS, "{line}");
}

/// The queues of this process. They and their threads live until the process ends.
static QUEUES: OnceLock<LogQueues> = OnceLock::new();

struct LogQueues {
    /// To standard error.
    events: Arc<LogQueue>,
    /// To standard output.
    access: Option<Arc<LogQueue>>,
}

impl LogQueues {
    fn start(settings: &CommandSettings) -> io::Result<Self> {
        let limit = settings.log_buffer;
        let events = LogQueue::start("log lines", io::stderr(), limit, None)?;
        let access = if settings.config.access_log {
            let reports_to = Some(Arc::clone(&events));
            let lines = "lines of the access log";
            Some(LogQueue::start(lines, io::stdout(), limit, reports_to)?)
        } else {
            None
        };
        Ok(Self { events, access })
    }
}

/// Writes a line to standard error, at every log level. It comes after all log lines so far.
pub(super) fn print_line(line: fmt::Arguments<'_>) {
    let line = format!("{line}\n");
    match QUEUES.get() {
        Some(queues) => queues.events.push(line.as_bytes()),
        // If standard error is closed, there is no place to report that.
        None => drop(io::stderr().write_all(line.as_bytes())),
    }
}

/// Waits until the log is written, at most for `limit`. A log without a reader loses lines.
pub(super) fn flush(limit: Duration) {
    let deadline = Instant::now() + limit;
    let Some(queues) = QUEUES.get() else {
        return;
    };
    // A report about the access log goes to the other one.
    for queue in queues.access.iter().chain([&queues.events]) {
        queue.flush(deadline.saturating_duration_since(Instant::now()));
    }
}

/// Installs the subscriber. A subscriber that the program has installed before stays in place.
///
/// # Errors
///
/// A thread for the log cannot start.
pub(super) fn install(settings: &CommandSettings) -> io::Result<()> {
    let queues = match QUEUES.get() {
        Some(queues) => queues,
        None => {
            let queues = LogQueues::start(settings)?;
            QUEUES.get_or_init(|| queues)
        }
    };
    let is_access = |metadata: &Metadata<'_>| metadata.target() == ACCESS;
    let colours = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let not_access =
        filter_fn(move |metadata| !is_access(metadata)).with_max_level_hint(LevelFilter::TRACE);
    let shows_status = !log_filter::is_off(&settings.log_level);
    let status = filter_fn(move |metadata| shows_status && metadata.target() == STATUS)
        .with_max_level_hint(LevelFilter::INFO);
    let events = tracing_subscriber::fmt::layer()
        .with_writer(Arc::clone(&queues.events))
        .with_ansi(colours)
        .with_filter(
            log_filter::filter(&settings.log_level)
                .unwrap_or_default()
                .or(status)
                .and(not_access),
        );
    // The access log has its own filter, so that `--log-level warn` does not turn it off.
    let access = queues.access.as_ref().map(|queue| {
        tracing_subscriber::fmt::layer()
            .event_format(MessageOnly)
            .with_ansi(false)
            .with_writer(Arc::clone(queue))
            .with_filter(filter_fn(is_access).with_max_level_hint(LevelFilter::INFO))
    });
    let subscriber = Registry::default().with(events).with(access);
    // This fails only if there is a subscriber already.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// Formats an event as the time and its message only.
struct MessageOnly;

impl<S, N> FormatEvent<S, N> for MessageOnly
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        writer.write_char(' ')?;
        let mut message = MessageVisitor {
            writer: writer.by_ref(),
            result: Ok(()),
        };
        event.record(&mut message);
        message.result?;
        writeln!(writer)
    }
}

/// Writes the message of an event and skips its other fields.
struct MessageVisitor<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
}

impl Visit for MessageVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" && self.result.is_ok() {
            self.result = write!(self.writer, "{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" && self.result.is_ok() {
            self.result = self.writer.write_str(value);
        }
    }
}
