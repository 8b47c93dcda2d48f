//! Runs the command.
//!
//! Its stages: arguments → log → file limit → certificates → app → runtime → bind → serve → exit.
//!
//! There are two runtimes: one serves with `--threads` threads, the other waits for signals on the main
//! thread. So Ctrl-C works even when an app blocks every serving thread.
//!
//! The command ends with the server, or at most one second after a second signal.

use std::fmt;
use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use asgi::Address;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, JoinHandle};

use super::arguments::{self, Invocation};
use super::exit::{Error, Exit};
use super::settings::{CommandSettings, OptionSet, ResolvedSettings, gather};
use super::stall_watchdog::StallWatchdog;
use super::value::show_duration;
use super::{Loaded, Program, Target, logging, tls};
use crate::{Bind, Handle, Listener, ServeError, Tls};

/// The name of this server.
pub(super) const SERVER: &str = "ferricorn";

/// How long the process waits for an app that blocks its thread, because nothing can stop that.
const BLOCKED_APP_WAIT: Duration = Duration::from_secs(1);

/// Signals within this time count as one.
const COALESCE_TIME: Duration = Duration::from_millis(20);

/// The server itself needs about 20 open files: its threads, its listeners, its certificates and its app.
const MIN_FILES: u64 = 64;

/// Where the app comes from.
pub(super) enum AppSource<'a> {
    LinkedIn(Loaded),
    Loader(Loader<'a>),
}

pub(super) type Loader<'a> = Box<dyn FnOnce(&Target) -> Result<Loaded, Error> + 'a>;

/// Runs the command. An error becomes a line on standard error and an exit code.
pub(super) fn run(program: &Program, source: AppSource<'_>) -> ExitCode {
    let exit = try_run(program, source).unwrap_or_else(|error| {
        print_status(format_args!("{}: error: {error}", program.name));
        error.exit
    });
    exit.into()
}

fn try_run(program: &Program, source: AppSource<'_>) -> Result<Exit, Error> {
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
        Invocation::PrintConfig(flags) => return Ok(print_output(&resolve(flags)?.print())),
        Invocation::Serve { app, flags } => (app, resolve(flags)?),
    };
    logging::install(&resolved.settings);
    crate::panic::install_hook();
    raise_file_limit(&resolved)?;
    let settings = resolved.settings;
    // Certificates come before the app, because a build may take a while.
    let tls = tls::load(&settings)?;
    let loaded = match source {
        AppSource::LinkedIn(loaded) => loaded,
        AppSource::Loader(load) => load(&Target {
            path: app.unwrap_or_default(),
            profile: settings.profile.clone(),
            config: app_config(&settings.app_config)?,
        })?,
    };
    serve(loaded, settings, tls.as_ref())
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

fn serve(loaded: Loaded, settings: CommandSettings, tls: Option<&Tls>) -> Result<Exit, Error> {
    let failed = |error: std::io::Error| {
        Error::new(
            Exit::Failed,
            format_args!("the server cannot start its threads: {error}"),
        )
    };
    let watchdog = Arc::<StallWatchdog>::default();
    let watched = Arc::clone(&watchdog);
    let workers = Builder::new_multi_thread()
        .worker_threads(settings.threads)
        .thread_name(SERVER)
        .on_thread_unpark(move || watched.note_wakeup())
        .enable_all()
        .build()
        .map_err(failed)?;
    if settings.threads > 1 {
        watchdog.start(workers.handle().clone()).map_err(failed)?;
    }
    let control = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let ended = control.block_on(async {
        // Signals come before the listeners: a script that sees the address may send a signal.
        let signals = Signals::new().map_err(failed)?;
        let listeners = bind(&workers, &settings, tls)?;
        let secure: Vec<bool> = listeners.iter().map(|one| one.tls().is_some()).collect();
        let banner = Banner::new(&loaded, settings.threads, secure);
        let graceful_timeout = settings.config.graceful_timeout;
        let (server, handle) = {
            let _runtime = workers.enter();
            let server = crate::serve(listeners, loaded.app, settings.config);
            let handle = server.handle();
            (workers.spawn(server), handle)
        };
        RunningServer {
            handle,
            banner,
            graceful_timeout,
        }
        .wait(server, signals)
        .await
    });
    match ended {
        Ok(Exit::Signal(_)) => workers.shutdown_background(),
        _ => workers.shutdown_timeout(BLOCKED_APP_WAIT),
    }
    ended
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
}

impl RunningServer {
    /// Waits until the server ends, and handles signals meanwhile.
    async fn wait(
        self,
        mut server: JoinHandle<Result<(), ServeError>>,
        mut signals: Signals,
    ) -> Result<Exit, Error> {
        let mut ready = pin!(self.handle.ready());
        let mut starting = true;
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    ReceivedSignal::Hangup => self.reload(),
                    ReceivedSignal::Stop(number) if stopping => {
                        let exchanges = self.exchanges();
                        logging::log_status(format_args!(
                            "stopped at once: {exchanges} cut off, the app's shutdown skipped"
                        ));
                        self.handle.abort();
                        // The exit code is known, and a blocked app must not delay the exit.
                        let _ = tokio::time::timeout(BLOCKED_APP_WAIT, &mut server).await;
                        return Ok(Exit::Signal(number));
                    }
                    ReceivedSignal::Stop(_) => {
                        stopping = true;
                        signals.coalesce().await;
                        // The line comes after the drain has begun, so that it is true.
                        self.handle.drain();
                        self.print_stopping();
                    }
                },
                is_ready = &mut ready, if starting => {
                    starting = false;
                    if is_ready {
                        self.banner.print(self.handle.addresses());
                    }
                }
                ended = &mut server => return outcome(ended),
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

    fn exchanges(&self) -> String {
        match self.handle.statistics().exchanges {
            1 => "1 exchange".to_owned(),
            number => format!("{number} exchanges"),
        }
    }

    fn print_stopping(&self) {
        if self.handle.statistics().exchanges == 0 {
            logging::log_status(format_args!(
                "stopping: no exchange runs; a second signal stops at once"
            ));
            return;
        }
        let exchanges = self.exchanges();
        let limit = match self.graceful_timeout {
            Some(limit) => format!("at most {}", show_duration(limit)),
            None => "without a limit".to_owned(),
        };
        logging::log_status(format_args!(
            "stopping: waiting for {exchanges}, {limit}; a second signal stops at once"
        ));
    }
}

fn outcome(ended: Result<Result<(), ServeError>, JoinError>) -> Result<Exit, Error> {
    match ended {
        Ok(Ok(())) => Ok(Exit::Stopped),
        Ok(Err(error)) if error.is_startup() => Err(Error::caused(Exit::NotStarted, &error)),
        Ok(Err(error)) => Err(Error::caused(Exit::Failed, &error)),
        Err(error) => Err(Error::new(
            Exit::Failed,
            format_args!("the server panicked, which is a bug in {SERVER}: {error}"),
        )),
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
    fn new() -> std::io::Result<Self> {
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

/// Prints a line for people to standard error, at every log level.
fn print_status(line: fmt::Arguments<'_>) {
    // One write for each line, so that it does not mix with lines of the log. If standard error is
    // closed, there is no place to report that.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn print_output(text: &str) -> Exit {
    // It is not an error if the reader stops early, as `head` does.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Stopped
}
