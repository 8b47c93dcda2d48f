//! What one server logs.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// One event of the log.
#[derive(Debug, Clone)]
pub struct Line {
    pub level: Level,
    pub target: String,
    /// The message, then the fields, as `name=value`.
    pub text: String,
}

/// What one server has logged so far.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    pub fn dispatch(&self) -> Dispatch {
        Dispatch::new(tracing_subscriber::registry().with(Capture(self.clone())))
    }

    /// The errors, which are the app's or ours and never the peer's.
    pub fn errors(&self) -> Vec<String> {
        self.texts(|line| line.level == Level::ERROR)
    }

    /// The lines of the access log, without client and time.
    pub fn accesses(&self) -> Vec<String> {
        self.texts(|line| line.target == "ferricorn::access")
            .iter()
            .map(|line| {
                let from = line.find('"').unwrap_or(0);
                let to = line.rfind(' ').unwrap_or(line.len());
                line[from..to].to_owned()
            })
            .collect()
    }

    fn texts(&self, wanted: impl Fn(&Line) -> bool) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let wanted = lines.iter().filter(|line| wanted(line));
        wanted.map(|line| line.text.clone()).collect()
    }
}

struct Capture(Log);

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // h2 says much, and nothing that a script asks for.
        if !metadata.target().starts_with("ferricorn") {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        self.0.0.lock().unwrap().push(Line {
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            text: text.message + &text.fields,
        });
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
        written.expect("a string takes everything");
    }
}
