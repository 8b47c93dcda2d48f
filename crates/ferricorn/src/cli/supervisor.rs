//! Sees to it that the command ends in time, whatever its app does.
//!
//! A thread of its own receives the signals, and knows until when the current stage may last. It runs no
//! code of the app, so nothing holds it up. The main thread does the work of each stage. If it is not done
//! in time, this thread says what did not end, and ends the process.
//!
//! ```text
//!  preparing ─► loading ─► starting ─► serving ─► stopping ─► ending ─► (the process ends)
//!      │           │           │                     │           │
//!      └─ a signal ends it     └──── a second signal ┴───────────┘
//!         at once                    ends it at once
//! ```

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::exit::Exit;
use super::logging::{self, print_line};
use super::value::show_duration;

/// Signals within this time count as one.
const COALESCE_TIME: Duration = Duration::from_millis(20);

/// How long the main thread has after a second signal.
const ABORT_TIME: Duration = Duration::from_millis(500);

/// How long the last line waits for the reader of the log.
const LAST_FLUSH: Duration = Duration::from_millis(100);

/// The stages with a time limit, in their order. A later one replaces the limit of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CommandStage {
    /// The library is opened, and its app is made.
    Loading,
    /// The app's startup runs.
    Starting,
    /// The server has ended by itself; the app's runtime and library end.
    Ending,
    /// A signal has asked for the end.
    Stopping,
    /// A second signal has asked for it.
    Aborting,
}

/// Until when a stage may last, and how the process ends if it lasts longer.
struct StageLimit {
    stage: CommandStage,
    deadline: Instant,
    exit: Exit,
    line: StageLine,
}

/// Makes the line that says what did not end.
pub(super) type StageLine = Box<dyn Fn() -> String + Send>;

/// What a signal asks the main thread for.
#[derive(Debug, Clone, Copy)]
pub(super) enum SignalRequest {
    Stop,
    /// A second signal to stop, with its number.
    Abort(u8),
    Reload,
}

/// What happens after the first signal to stop.
pub(super) struct StopPlan {
    /// How long the stop may take; `None` sets no limit.
    pub(super) limit: Option<Duration>,
    /// Says what has not ended.
    pub(super) line: StageLine,
}

/// The main thread's side. Dropping it ends the thread, so that a program can go on after its server.
pub(super) struct Supervisor {
    clock: StageClock,
    requests: UnboundedReceiver<SignalRequest>,
}

/// Sets the limits of the stages.
#[derive(Clone)]
pub(super) struct StageClock(Arc<Supervised>);

/// What the thread and the main thread share.
struct Supervised {
    /// The program's name, for its errors.
    program: String,
    exit: fn(i32) -> !,
    state: Mutex<SupervisedState>,
    /// Notified when the state has changed.
    changed: Notify,
}

#[derive(Default)]
struct SupervisedState {
    limit: Option<StageLimit>,
    /// Once the main thread takes requests.
    plan: Option<StopPlan>,
    has_stopped: bool,
    is_released: bool,
}

impl Supervisor {
    /// Starts the thread. From now on, it receives the signals.
    ///
    /// # Errors
    ///
    /// The system gives no thread, or no signals.
    pub(super) fn start(program: &str, exit: fn(i32) -> !) -> io::Result<Self> {
        let clock = StageClock(Arc::new(Supervised {
            program: program.to_owned(),
            exit,
            state: Mutex::default(),
            changed: Notify::new(),
        }));
        let (sender, requests) = unbounded_channel();
        let (started, has_started) = sync_channel(1);
        let supervised = Arc::clone(&clock.0);
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let signals = runtime.and_then(|runtime| {
                let inside = runtime.enter();
                let signals = Signals::new()?;
                drop(inside);
                Ok((runtime, signals))
            });
            match signals {
                Ok((runtime, signals)) => {
                    // The main thread waits for it.
                    let _ = started.send(Ok(()));
                    runtime.block_on(supervised.supervise(signals, &sender));
                }
                Err(error) => drop(started.send(Err(error))),
            }
        };
        thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(run)?;
        has_started.recv().map_err(io::Error::other)??;
        Ok(Self { clock, requests })
    }

    pub(super) fn clock(&self) -> StageClock {
        self.clock.clone()
    }

    /// From now on, the main thread takes requests.
    pub(super) fn take_requests(&self, plan: StopPlan) {
        self.clock.0.state().plan = Some(plan);
    }

    /// The next request. Cancel-safe.
    pub(super) async fn request(&mut self) -> SignalRequest {
        match self.requests.recv().await {
            Some(request) => request,
            // The thread lives as long as this.
            None => std::future::pending().await,
        }
    }

    /// Keeps the thread until the process ends: it limits that end too.
    pub(super) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.clock.0.state().is_released = true;
        self.clock.0.changed.notify_one();
    }
}

impl StageClock {
    /// Sets how long a stage may last from now on; `None` sets no limit.
    pub(super) fn begin(
        &self,
        stage: CommandStage,
        limit: Option<Duration>,
        exit: Exit,
        line: StageLine,
    ) {
        let mut state = self.0.state();
        if state.limit.as_ref().is_some_and(|now| now.stage > stage) {
            return;
        }
        state.limit = limit.map(|limit| StageLimit {
            stage,
            deadline: Instant::now() + limit,
            exit,
            line,
        });
        drop(state);
        self.0.changed.notify_one();
    }

    /// Sets how long a stage of the start may last: `timeout`, and `reserve` for those that have a
    /// time limit of their own. `what` says what has not ended.
    pub(super) fn begin_start(
        &self,
        stage: CommandStage,
        what: &str,
        timeout: Duration,
        reserve: Duration,
    ) {
        let line = format!(
            "{}: error: {what} has not ended after {}, expected it within --startup-timeout: find out \
             what it waits for, or give it more time",
            self.0.program,
            show_duration(timeout)
        );
        let line: StageLine = Box::new(move || line.clone());
        self.begin(stage, Some(timeout + reserve), Exit::NotStarted, line);
    }

    /// The stage is over.
    pub(super) fn end(&self, stage: CommandStage) {
        let mut state = self.0.state();
        if state.limit.as_ref().is_some_and(|now| now.stage == stage) {
            state.limit = None;
        }
    }

    /// How long the main thread may still wait: at most `most`, and `reserve` less than the current
    /// stage has left.
    pub(super) fn left(&self, most: Duration, reserve: Duration) -> Duration {
        let state = self.0.state();
        let Some(limit) = &state.limit else {
            return most;
        };
        let left = limit.deadline.saturating_duration_since(Instant::now());
        left.saturating_sub(reserve).min(most)
    }
}

impl fmt::Debug for StageClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageClock").finish_non_exhaustive()
    }
}

impl Supervised {
    /// The thread's work, until it is released.
    async fn supervise(&self, mut signals: Signals, requests: &UnboundedSender<SignalRequest>) {
        loop {
            let deadline = {
                let state = self.state();
                if state.is_released {
                    return;
                }
                state.limit.as_ref().map(|limit| limit.deadline)
            };
            let late = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                received = signals.next() => match received {
                    ReceivedSignal::Hangup => drop(requests.send(SignalRequest::Reload)),
                    ReceivedSignal::Stop(number) => {
                        let request = self.stop(number);
                        if matches!(request, SignalRequest::Stop) {
                            signals.coalesce().await;
                        }
                        // The main thread may have ended already.
                        let _ = requests.send(request);
                    }
                },
                () = self.changed.notified() => {}
                () = late => self.end_late(),
            }
        }
    }

    /// A signal asks for the end.
    fn stop(&self, number: u8) -> SignalRequest {
        let mut state = self.state();
        let exit = Exit::Signal(number);
        if state.has_stopped {
            let line: StageLine = Box::new(|| "stopped at once: the app did not end".to_owned());
            state.limit = Some(StageLimit {
                stage: CommandStage::Aborting,
                deadline: Instant::now() + ABORT_TIME,
                exit,
                line,
            });
            return SignalRequest::Abort(number);
        }
        let Some(plan) = state.plan.take() else {
            drop(state);
            self.end(exit, "stopped at once, because the server has not started");
        };
        state.has_stopped = true;
        let program = self.program.clone();
        if let Some(limit) = plan.limit {
            state.limit = Some(StageLimit {
                stage: CommandStage::Stopping,
                deadline: Instant::now() + limit,
                exit: Exit::Failed,
                line: Box::new(move || format!("{program}: error: {}", (plan.line)())),
            });
        }
        SignalRequest::Stop
    }

    /// The main thread is too late.
    fn end_late(&self) {
        let mut state = self.state();
        // It may have begun another stage in this moment.
        let is_late = |limit: &mut StageLimit| limit.deadline <= Instant::now();
        let Some(limit) = state.limit.take_if(is_late) else {
            return;
        };
        drop(state);
        self.end(limit.exit, &(limit.line)());
    }

    /// Ends the process with this last line.
    fn end(&self, exit: Exit, line: &str) -> ! {
        print_line(format_args!("{line}"));
        logging::flush(LAST_FLUSH);
        (self.exit)(i32::from(exit.code()))
    }

    fn state(&self) -> MutexGuard<'_, SupervisedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The signals that the command handles. Rust's runtime already ignores SIGPIPE.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

enum ReceivedSignal {
    /// SIGINT or SIGTERM, with its number.
    Stop(u8),
    Hangup,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Discards signals that follow another one at once.
    ///
    /// `timeout`, and Ctrl-C for a script, signal the process and then its group. That is one request
    /// to stop, not two.
    async fn coalesce(&mut self) {
        let deadline = tokio::time::sleep(COALESCE_TIME);
        let mut deadline = pin!(deadline);
        loop {
            tokio::select! {
                () = &mut deadline => return,
                _ = self.next() => {}
            }
        }
    }

    /// The next signal. Cancel-safe.
    async fn next(&mut self) -> ReceivedSignal {
        tokio::select! {
            _ = self.interrupt.recv() => ReceivedSignal::Stop(2),
            _ = self.terminate.recv() => ReceivedSignal::Stop(15),
            _ = self.hangup.recv() => ReceivedSignal::Hangup,
        }
    }
}
