//! The life of the command: arguments → log → file limit → certificates → app → runtime → bind → serve → exit.
//!
//! Two runtimes run: one of `--threads` threads that serves, and the main thread's own for signals.
//! An app that blocks every serving thread does not make the process deaf to Ctrl-C.
//!
//! It ends when the server does, or a second after a second signal at the latest.

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

use super::arguments::{self, Asked};
use super::exit::{Error, Exit};
use super::settings::{Groups, Resolved, Settings, gather};
use super::stall_watchdog::StallWatchdog;
use super::value::show_duration;
use super::{Loaded, Program, Target, logging, tls};
use crate::{Bind, Handle, Listener, ServeError, Tls};

/// What this server is called.
pub(super) const SERVER: &str = "ferricorn";

/// How long the process waits for what cannot be told to stop: an app that blocks its thread.
const BLOCKED: Duration = Duration::from_secs(1);

/// Signals that are this close are one.
const SAME_MOMENT: Duration = Duration::from_millis(20);

/// How the app comes to the server.
pub(super) enum Load<'a> {
    LinkedIn(Loaded),
    Loader(Loader<'a>),
}

pub(super) type Loader<'a> = Box<dyn FnOnce(&Target) -> Result<Loaded, Error> + 'a>;

/// Does what the arguments ask for; an error becomes its line and its exit code.
pub(super) fn run(program: &Program, load: Load<'_>) -> ExitCode {
    let exit = try_run(program, load).unwrap_or_else(|error| {
        say(format_args!("{}: error: {error}", program.name));
        error.exit
    });
    exit.into()
}

fn try_run(program: &Program, load: Load<'_>) -> Result<Exit, Error> {
    let groups = match load {
        Load::LinkedIn(_) => Groups::LinkedIn,
        Load::Loader(_) => Groups::All,
    };
    let arguments = match &program.arguments {
        Some(arguments) => arguments.clone(),
        None => std::env::args_os().skip(1).collect(),
    };
    let version = program.version_text();
    let asked = arguments::parse(&program.name, &version, groups, arguments.into_iter())?;
    let resolve = |flags| Resolved::new(groups, &gather(groups, flags, std::env::vars_os())?);
    let (app, resolved) = match asked {
        Asked::Text(text) => return Ok(print(&text)),
        Asked::PrintConfig(flags) => return Ok(print(&resolve(flags)?.print())),
        Asked::Serve { app, flags } => (app, resolve(flags)?),
    };
    logging::install(&resolved.settings);
    crate::panic::install_hook();
    raise_file_limit(&resolved);
    let settings = resolved.settings;
    // Before the app: it may take a while to build.
    let tls = tls::load(&settings)?;
    let loaded = match load {
        Load::LinkedIn(loaded) => loaded,
        Load::Loader(load) => load(&Target {
            path: app.unwrap_or_default(),
            profile: settings.profile.clone(),
            config: app_config(&settings.app_config)?,
        })?,
    };
    serve(loaded, settings, tls.as_ref())
}

/// What the app is started with: the text itself, or what is in the file after an `@`.
fn app_config(text: &str) -> Result<Option<String>, Error> {
    let Some(file) = text.strip_prefix('@') else {
        return Ok((!text.is_empty()).then(|| text.to_owned()));
    };
    std::fs::read_to_string(file).map(Some).map_err(|error| {
        Error::usage(format_args!(
            "--app-config: {file} cannot be read ({error}), expected a file of text"
        ))
    })
}

/// Each connection is a file, and the usual soft limit of 1,024 is from the days of `select`.
fn raise_file_limit(resolved: &Resolved) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit on open files cannot be raised");
            limit = getrlimit(Resource::Nofile);
        }
    }
    let wanted = resolved.settings.config.max_connections;
    let files = limit.current.filter(|files| *files < wanted as u64);
    // The default is meant as "many"; a number that somebody chose is meant.
    if let Some(files) = files.filter(|_| resolved.is_given("max-connections")) {
        tracing::warn!("only {files} files may be open, fewer than --max-connections {wanted}");
    }
}

fn serve(loaded: Loaded, settings: Settings, tls: Option<&Tls>) -> Result<Exit, Error> {
    let failed = |error: std::io::Error| {
        Error::new(
            Exit::Failed,
            format_args!("the threads cannot be started: {error}"),
        )
    };
    let relief = Arc::<StallWatchdog>::default();
    let relieved = Arc::clone(&relief);
    let workers = Builder::new_multi_thread()
        .worker_threads(settings.threads)
        .thread_name(SERVER)
        .on_thread_unpark(move || relieved.woken())
        .enable_all()
        .build()
        .map_err(failed)?;
    if settings.threads > 1 {
        relief.watch(workers.handle().clone()).map_err(failed)?;
    }
    let control = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let ended = control.block_on(async {
        // Before anything listens: whoever sees the address may send a signal.
        let signals = Signals::new().map_err(failed)?;
        let listeners = bind(&workers, &settings, tls)?;
        let secure: Vec<bool> = listeners.iter().map(|one| one.tls().is_some()).collect();
        let banner = Banner::new(&loaded, settings.threads, secure);
        let graceful_timeout = settings.config.graceful_timeout;
        let (server, handle) = {
            let _inside = workers.enter();
            let server = crate::serve(listeners, loaded.app, settings.config);
            let handle = server.handle();
            (workers.spawn(server), handle)
        };
        Watch {
            handle,
            banner,
            graceful_timeout,
        }
        .until_ended(server, signals)
        .await
    });
    match ended {
        Ok(Exit::Signal(_)) => workers.shutdown_background(),
        _ => workers.shutdown_timeout(BLOCKED),
    }
    ended
}

fn bind(workers: &Runtime, settings: &Settings, tls: Option<&Tls>) -> Result<Vec<Listener>, Error> {
    let _inside = workers.enter();
    let binds = settings.binds.iter().map(|bind| (bind, tls));
    let insecure = settings.insecure_binds.iter().map(|bind| (bind, None));
    let all: Vec<_> = binds.chain(insecure).collect();
    for (number, (bind, _)) in all.iter().enumerate() {
        // Each port 0 is another one.
        let is_any_port = matches!(bind, Bind::Tcp { port: 0, .. });
        if !is_any_port && all[..number].iter().any(|(other, _)| other == bind) {
            return Err(Error::usage(format_args!(
                "the address {bind} is given twice; one of them is enough"
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

/// Watches over a server that runs.
struct Watch {
    handle: Handle,
    banner: Banner,
    graceful_timeout: Option<Duration>,
}

impl Watch {
    async fn until_ended(
        self,
        mut server: JoinHandle<Result<(), ServeError>>,
        mut signals: Signals,
    ) -> Result<Exit, Error> {
        let mut ready = pin!(self.handle.ready());
        let mut waiting = true;
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                received = signals.next() => match received {
                    Received::Hangup => self.reload(),
                    Received::Stop(number) if stopping => {
                        let left = self.exchanges();
                        say(format_args!(
                            "stopped at once: {left} cut off, the app's shutdown is skipped"
                        ));
                        self.handle.abort();
                        // How it ends is known, and a blocked app must not delay it.
                        let _ = tokio::time::timeout(BLOCKED, &mut server).await;
                        return Ok(Exit::Signal(number));
                    }
                    Received::Stop(_) => {
                        stopping = true;
                        signals.coalesce().await;
                        // What it says is so by then, whoever reads it.
                        self.handle.drain();
                        self.say_stopping();
                    }
                },
                is_ready = &mut ready, if waiting => {
                    waiting = false;
                    if is_ready {
                        self.banner.say(self.handle.addresses());
                    }
                }
                ended = &mut server => return outcome(ended),
            }
        }
    }

    /// How it goes with each certificate is in the log.
    fn reload(&self) {
        if let Ok(false) = self.handle.reload_tls() {
            tracing::info!("SIGHUP: nothing can be reloaded, start the command again for new code");
        }
    }

    fn exchanges(&self) -> String {
        match self.handle.statistics().exchanges {
            1 => "1 exchange".to_owned(),
            number => format!("{number} exchanges"),
        }
    }

    fn say_stopping(&self) {
        let exchanges = self.exchanges();
        let limit = match self.graceful_timeout {
            Some(limit) => format!("at most {}", show_duration(limit)),
            None => "as long as it takes".to_owned(),
        };
        say(format_args!(
            "stopping: waiting for {exchanges}, {limit}; again to stop at once"
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
            format_args!("the server panicked, which is a bug of {SERVER}: {error}"),
        )),
    }
}

/// The signals that the command answers. SIGPIPE is ignored by Rust's own start-up.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

enum Received {
    /// With the signal's number.
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

    /// Takes what comes at the same moment as a signal: `timeout` and a terminal's Ctrl-C in a script
    /// signal the process and then its group, which is not "again".
    async fn coalesce(&mut self) {
        let moment = tokio::time::sleep(SAME_MOMENT);
        let mut moment = pin!(moment);
        loop {
            tokio::select! {
                () = &mut moment => return,
                _ = self.next() => {}
            }
        }
    }

    /// The next signal. Cancel-safe.
    async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.interrupt.recv() => Received::Stop(2),
            _ = self.terminate.recv() => Received::Stop(15),
            _ = self.hangup.recv() => Received::Hangup,
        }
    }
}

/// The line that says that the server is up. Scripts wait for it.
struct Banner {
    app: String,
    threads: usize,
    /// Whether each listener speaks TLS.
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

    fn say(&self, addresses: &[Address]) {
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
                _ => "a socket without a name".to_owned(),
            };
            say(format_args!(
                "{SERVER} {version} serving {app} on {address} ({threads} thread{plural})"
            ));
        }
    }
}

/// A line for people on standard error, whatever the log level.
fn say(line: fmt::Arguments<'_>) {
    // One write a line, so that it stays whole beside the log's. Nobody is left to be told that
    // standard error is closed.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn print(text: &str) -> Exit {
    // A reader that has seen enough, as `head`, is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Exit::Stopped
}
