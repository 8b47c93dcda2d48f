//! Runs the command.
//!
//! Its stages: arguments → log → file limit → certificates → app → runtime → bind → serve → exit.
//!
//! There are two runtimes: one serves with `--threads` threads, the other waits on the main thread. A third
//! thread receives the signals and limits how long each stage takes (`supervisor.rs`). So the command ends
//! in time, even when an app blocks every serving thread or hangs in its start.

use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use asgi::Address;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinError, JoinHandle};

use super::arguments::{self, Invocation};
use super::exit::{Error, Exit};
use super::logging::{self, print_line};
use super::settings::{CommandSettings, OptionSet, ResolvedSettings, gather};
use super::stall_watchdog::StallWatchdog;
use super::supervisor::{CommandStage, SignalRequest, StageClock, StopPlan, Supervisor};
use super::teardown::Teardown;
use super::value::show_duration;
use super::{Loaded, Program, Target, exit_guard, limits, tls};
use crate::{Bind, Handle, Listener, ServeError, Tls};

/// The name of this server, and of the threads that serve.
pub(super) const SERVER: &str = crate::panic::SERVING_THREAD;

/// How long the end of the command waits for the reader of its log.
pub(super) const LOG_FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// What the log leaves of the time for a stop, for the end of the process.
const FLUSH_RESERVE: Duration = Duration::from_millis(100);

/// How long the server has to end after a second signal.
const ABORT_WAIT: Duration = Duration::from_millis(200);

/// How much longer than its two time-outs a stop may take, before the log gets its time.
const STOP_RESERVE: Duration = Duration::from_millis(700);

/// How long the app's startup may outlast its time-out. Only an app that blocks its thread does.
const START_RESERVE: Duration = Duration::from_millis(500);

/// The server itself needs about 20 open files: its threads, its listeners, its certificates and its app.
const MIN_FILES: u64 = 64;

/// Where the app comes from.
pub(super) enum AppSource<'a> {
    LinkedIn(Loaded),
    Loader(Loader<'a>),
}

/// Whether the program goes on after its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AppKind {
    /// It may: the app is linked in.
    LinkedIn,
    /// It ends: this is the command.
    Loaded,
}

pub(super) type Loader<'a> = Box<dyn FnOnce(&Target) -> Result<Loaded, Error> + 'a>;

/// Runs the command. An error becomes a line on standard error and an exit code.
pub(super) fn run(program: &Program, source: AppSource<'_>) -> ExitCode {
    let mut flush_limit = LOG_FLUSH_LIMIT;
    let exit = try_run(program, source, &mut flush_limit).unwrap_or_else(|error| {
        print_line(format_args!("{}: error: {error}", program.name));
        error.exit
    });
    logging::flush(flush_limit);
    exit.into()
}

/// `flush_limit` is how long the end of the command may wait for the log.
fn try_run(
    program: &Program,
    source: AppSource<'_>,
    flush_limit: &mut Duration,
) -> Result<Exit, Error> {
    let set = match source {
        AppSource::LinkedIn(_) => OptionSet::LinkedIn,
        AppSource::Loader(_) => OptionSet::All,
    };
    let arguments = match &program.arguments {
        Some(arguments) => arguments.clone(),
        None => std::env::args_os().skip(1).collect(),
    };
    let version = program.version_text();
    let invocation = arguments::parse(&program.name, &version, set, arguments.into_iter())?;
    let resolve = |flags| ResolvedSettings::new(set, &gather(set, flags, std::env::vars_os())?);
    let (app, resolved) = match invocation {
        Invocation::PrintText(text) => return Ok(print_output(&text)),
        Invocation::PrintLimits(flags) => {
            return Ok(print_output(&limits::table(&resolve(flags)?.settings)));
        }
        Invocation::PrintConfig(flags) => return Ok(print_output(&resolve(flags)?.print())),
        Invocation::Serve { app, flags } => (app, resolve(flags)?),
    };
    logging::install(&resolved.settings).map_err(failed)?;
    crate::panic::install_hook(crate::current_exchange, || logging::flush(LOG_FLUSH_LIMIT));
    raise_file_limit(&resolved)?;
    let mut supervisor = Supervisor::start(&program.name, program.exit).map_err(failed)?;
    let settings = resolved.settings;
    // Certificates come before the app, because a build may take a while.
    let tls = tls::load(&settings)?;
    let clock = supervisor.clock();
    let (loaded, kind) = match source {
        AppSource::LinkedIn(loaded) => (loaded, AppKind::LinkedIn),
        AppSource::Loader(load) => {
            let loaded = load(&Target {
                path: app.unwrap_or_default(),
                profile: settings.profile.clone(),
                config: app_config(&settings.app_config)?,
                startup_timeout: settings.config.startup_timeout,
                clock: clock.clone(),
            })?;
            clock.end(CommandStage::Loading);
            (loaded, AppKind::Loaded)
        }
    };
    let exit = serve(loaded, kind, settings, tls.as_ref(), &mut supervisor);
    *flush_limit = clock.left(LOG_FLUSH_LIMIT, FLUSH_RESERVE);
    if kind == AppKind::Loaded {
        // It also limits what the library does when the process ends.
        supervisor.keep();
    }
    exit
}

/// The configuration text for the app: the text itself, or the text of the file after an `@`.
fn app_config(text: &str) -> Result<Option<String>, Error> {
    let Some(file) = text.strip_prefix('@') else {
        return Ok((!text.is_empty()).then(|| text.to_owned()));
    };
    std::fs::read_to_string(file).map(Some).map_err(|error| {
        Error::usage(format_args!(
            "--app-config: {file} cannot be read ({error}), expected a text file"
        ))
    })
}

/// Raises the limit on open files as far as possible.
///
/// Each connection is a file, and the usual soft limit of 1,024 is too low; it exists for `select`.
///
/// # Errors
///
/// The limit is too low even for the server itself.
fn raise_file_limit(resolved: &ResolvedSettings) -> Result<(), Error> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit on open files cannot be raised");
            limit = getrlimit(Resource::Nofile);
        }
    }
    if let Some(files) = limit.current.filter(|files| *files < MIN_FILES) {
        return Err(Error::new(
            Exit::Failed,
            format_args!(
                "the limit on open files is {files}, expected at least {MIN_FILES}; raise it \
                 (ulimit -n, LimitNOFILE= of systemd)"
            ),
        ));
    }
    let wanted = resolved.settings.config.max_connections;
    let files = limit.current.filter(|files| *files < wanted as u64);
    // The default means "many". Only a number that the operator chose is worth a warning.
    if let Some(files) = files.filter(|_| resolved.is_given("max-connections")) {
        tracing::warn!(
            "the limit on open files is {files}, below --max-connections {wanted}; raise the limit"
        );
    }
    Ok(())
}

fn serve(
    loaded: Loaded,
    kind: AppKind,
    settings: CommandSettings,
    tls: Option<&Tls>,
    supervisor: &mut Supervisor,
) -> Result<Exit, Error> {
    let clock = supervisor.clock();
    let workers = serving_threads(settings.threads, kind)?;
    let control = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let teardown = Teardown {
        shutdown: loaded.shutdown,
        clock: clock.clone(),
    };
    let ended = control.block_on(async {
        let listeners = bind(&workers, &settings, tls)?;
        let secure: Vec<bool> = listeners.iter().map(|one| one.tls().is_some()).collect();
        let banner = Banner::new(&loaded, settings.threads, secure);
        let config = &settings.config;
        let (startup, graceful) = (config.startup_timeout, config.graceful_timeout);
        let stop = graceful.zip(config.shutdown_timeout);
        let stop = stop.map(|(graceful, shutdown)| graceful + shutdown + STOP_RESERVE);
        let (server, handle) = {
            let _runtime = workers.enter();
            let server = crate::serve(listeners, loaded.app, settings.config);
            let handle = server.handle();
            (server, handle)
        };
        let running = RunningServer {
            handle,
            banner,
            graceful_timeout: graceful,
            running_calls: loaded.running_calls,
            clock,
        };
        // Signals come before the start of the app, which may take long.
        supervisor.take_requests(running.stop_plan(stop));
        if let Some(startup) = startup {
            // The server itself limits it, unless the app blocks the server's threads.
            let what = format!("the startup of {}", loaded.name);
            running
                .clock
                .begin_start(CommandStage::Starting, &what, startup, START_RESERVE);
        }
        running.wait(workers.spawn(server), supervisor).await
    });
    teardown.run(ended, workers)
}

/// The runtime that serves.
fn serving_threads(threads: usize, kind: AppKind) -> Result<Runtime, Error> {
    let watchdog = Arc::<StallWatchdog>::default();
    let watched = Arc::clone(&watchdog);
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(threads)
        .thread_name(SERVER)
        .on_thread_unpark(move || watched.note_wakeup())
        .enable_all();
    if kind == AppKind::LinkedIn {
        builder
            .on_thread_start(exit_guard::arm)
            .on_thread_stop(exit_guard::disarm);
    }
    let workers = builder.build().map_err(failed)?;
    if threads > 1 {
        watchdog.start(workers.handle().clone()).map_err(failed)?;
    }
    Ok(workers)
}

/// The error if the system gives the server no thread.
fn failed(error: std::io::Error) -> Error {
    Error::new(
        Exit::Failed,
        format_args!("the server cannot start its threads: {error}"),
    )
}

fn bind(
    workers: &Runtime,
    settings: &CommandSettings,
    tls: Option<&Tls>,
) -> Result<Vec<Listener>, Error> {
    let _runtime = workers.enter();
    let binds = settings.binds.iter().map(|bind| (bind, tls));
    let insecure = settings.insecure_binds.iter().map(|bind| (bind, None));
    let all: Vec<_> = binds.chain(insecure).collect();
    for (number, (bind, _)) in all.iter().enumerate() {
        // Port 0 is a different port each time.
        let is_any_port = matches!(bind, Bind::Tcp { port: 0, .. });
        if !is_any_port && all[..number].iter().any(|(other, _)| other == bind) {
            return Err(Error::usage(format_args!(
                "found the address {bind} twice, expected it once; remove one of them"
            )));
        }
    }
    let listen = |(bind, tls): (&Bind, Option<&Tls>)| {
        let listener = bind.listen(&settings.config)?;
        match tls {
            Some(tls) => listener.with_tls(tls),
            None => Ok(listener),
        }
    };
    all.into_iter()
        .map(listen)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::caused(Exit::NotBound, &error))
}

/// A server that runs, and what the main thread needs for it.
struct RunningServer {
    handle: Handle,
    banner: Banner,
    graceful_timeout: Option<Duration>,
    /// Names the calls of a loaded app.
    running_calls: Option<fn() -> Vec<String>>,
    clock: StageClock,
}

impl RunningServer {
    /// What the supervisor does after the first signal.
    fn stop_plan(&self, limit: Option<Duration>) -> StopPlan {
        let handle = self.handle.clone();
        let running_calls = self.running_calls;
        let line = move || {
            format!(
                "the stop took longer than --graceful-timeout and --shutdown-timeout allow: {}",
                unfinished(handle.statistics().exchanges, running_calls)
            )
        };
        StopPlan {
            limit,
            line: Box::new(line),
        }
    }

    /// Waits until the server ends, and does what signals ask for meanwhile.
    async fn wait(
        self,
        mut server: JoinHandle<Result<(), ServeError>>,
        supervisor: &mut Supervisor,
    ) -> Result<Exit, Error> {
        let mut ready = pin!(self.handle.ready());
        let mut starting = true;
        loop {
            tokio::select! {
                biased;
                request = supervisor.request() => match request {
                    SignalRequest::Reload => self.reload(),
                    SignalRequest::Stop => {
                        // The line comes after the drain has begun, so that it is true.
                        self.handle.drain();
                        self.print_stopping();
                    }
                    SignalRequest::Abort(number) => {
                        let exchanges = count(self.handle.statistics().exchanges);
                        logging::log_status(format_args!(
                            "stopped at once: {exchanges} cut off, the app's shutdown skipped"
                        ));
                        self.handle.abort();
                        // The exit code is known, and a blocked app must not delay the exit.
                        let _ = tokio::time::timeout(ABORT_WAIT, &mut server).await;
                        return Ok(Exit::Signal(number));
                    }
                },
                is_ready = &mut ready, if starting => {
                    starting = false;
                    if is_ready {
                        self.clock.end(CommandStage::Starting);
                        self.banner.print(self.handle.addresses());
                    }
                }
                ended = &mut server => return self.outcome(ended),
            }
        }
    }

    /// Reloads the certificates; [`Handle::reload_tls`] logs the result.
    fn reload(&self) {
        if let Ok(false) = self.handle.reload_tls() {
            tracing::info!(
                "SIGHUP: no certificate files to reload; to run new code, restart the command"
            );
        }
    }

    fn print_stopping(&self) {
        let exchanges = self.handle.statistics().exchanges;
        if exchanges == 0 {
            logging::log_status(format_args!(
                "stopping: no exchange runs; a second signal stops at once"
            ));
            return;
        }
        let exchanges = count(exchanges);
        let limit = match self.graceful_timeout {
            Some(limit) => format!("at most {}", show_duration(limit)),
            None => "without a limit".to_owned(),
        };
        logging::log_status(format_args!(
            "stopping: waiting for {exchanges}, {limit}; a second signal stops at once"
        ));
    }

    fn outcome(&self, ended: Result<Result<(), ServeError>, JoinError>) -> Result<Exit, Error> {
        match ended {
            Ok(Ok(())) => Ok(Exit::Stopped),
            Ok(Err(error)) if error.is_startup() => Err(Error::caused(Exit::NotStarted, &error)),
            Ok(Err(error)) if error.is_unfinished() => {
                let exchanges = self.handle.statistics().exchanges;
                let left = unfinished(exchanges, self.running_calls);
                Err(Error::new(Exit::Failed, format_args!("{error}: {left}")))
            }
            Ok(Err(error)) => Err(Error::caused(Exit::Failed, &error)),
            Err(error) => Err(Error::new(
                Exit::Failed,
                format_args!("the server panicked, which is a bug in {SERVER}: {error}"),
            )),
        }
    }
}

fn count(exchanges: usize) -> String {
    match exchanges {
        1 => "1 exchange".to_owned(),
        number => format!("{number} exchanges"),
    }
}

/// How many exchanges have not ended, and which.
fn unfinished(exchanges: usize, running_calls: Option<fn() -> Vec<String>>) -> String {
    /// The most names in the line.
    const MOST: usize = 10;
    let mut names = running_calls.map_or_else(Vec::new, |running_calls| running_calls());
    if names.is_empty() {
        return format!("{} did not end", count(exchanges));
    }
    if names.len() > MOST {
        names.truncate(MOST);
        names.push("more".to_owned());
    }
    format!("{} did not end: {}", count(exchanges), names.join(", "))
}

/// The line that says the server is up, one for each address. Scripts wait for it.
struct Banner {
    app: String,
    threads: usize,
    /// Whether each listener uses TLS.
    secure: Vec<bool>,
}

impl Banner {
    fn new(loaded: &Loaded, threads: usize, secure: Vec<bool>) -> Self {
        let app = match &loaded.version {
            Some(version) => format!("{} {version}", loaded.name),
            None => loaded.name.clone(),
        };
        Self {
            app,
            threads,
            secure,
        }
    }

    fn print(&self, addresses: &[Address]) {
        let Self {
            app,
            threads,
            secure,
        } = self;
        let version = env!("CARGO_PKG_VERSION");
        let plural = if *threads == 1 { "" } else { "s" };
        for (address, secure) in addresses.iter().zip(secure) {
            let address = match address {
                Address::Ip(address) if *secure => format!("https://{address}"),
                Address::Ip(address) => format!("http://{address}"),
                Address::Unix(Some(path)) => format!("unix:{}", path.display()),
                _ => "an unnamed socket".to_owned(),
            };
            logging::log_status(format_args!(
                "{SERVER} {version} serving {app} on {address} ({threads} thread{plural})"
            ));
        }
    }
}

fn print_output(text: &str) -> Exit {
    // It is not an error if the reader stops early, as `head` does.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Stopped
}
