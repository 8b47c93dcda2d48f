//! The end of the app's runtimes, after its server has ended.

use std::time::Duration;

use tokio::runtime::Runtime;

use super::exit::{Error, Exit};
use super::supervisor::{CommandStage, StageClock};

/// How long the process waits for an app that blocks its thread, because nothing can stop that.
const BLOCKED_APP_WAIT: Duration = Duration::from_secs(1);

/// What the end of the runtimes leaves of the time for a stop, for the report about it.
const REPORT_RESERVE: Duration = Duration::from_millis(300);

/// How long the app's runtime and its library may take to end, if no signal has asked for the end.
const TEARDOWN_LIMIT: Duration = Duration::from_secs(3);

/// Ends what is left of the app after its server.
pub(super) struct Teardown {
    /// Ends the runtime of a loaded app.
    pub(super) shutdown: Option<fn(Duration) -> bool>,
    pub(super) clock: StageClock,
}

impl Teardown {
    pub(super) fn run(self, ended: Result<Exit, Error>, workers: Runtime) -> Result<Exit, Error> {
        let line = || "error: the app's runtime or its library did not end".to_owned();
        self.clock.begin(
            CommandStage::Ending,
            Some(TEARDOWN_LIMIT),
            Exit::Failed,
            Box::new(line),
        );
        let clean = matches!(ended, Ok(Exit::Stopped));
        if clean {
            workers.shutdown_timeout(self.clock.left(BLOCKED_APP_WAIT, REPORT_RESERVE));
        } else {
            // A blocked app has had its time, or the signal says to end at once.
            workers.shutdown_background();
        }
        let Some(shutdown) = self.shutdown else {
            return ended;
        };
        let grace = match ended {
            Ok(Exit::Signal(_)) => Duration::ZERO,
            _ => self.clock.left(BLOCKED_APP_WAIT, REPORT_RESERVE),
        };
        if !shutdown(grace) && clean {
            return Err(Error::new(
                Exit::Failed,
                "the app's runtime did not end: a thread of the app is blocked",
            ));
        }
        ended
    }
}
