//! The library's side: the functions behind `ASGI_APP`.
//!
//! Nothing here is called by the app. [`export!`](crate::export!) makes the static, the host calls
//! through it. Every function that the host calls catches panics, and polls and drops the app's
//! futures within the app's own runtime.

mod config;
mod halves;
mod log;
mod outcome;
mod own_runtime;
mod panic_hook;
mod runtime;
mod scope;
mod task;

use std::ffi::c_void;
use std::mem::size_of;
use std::time::Duration;

use asgi::{App, AppError, DynApp};
use bytes::Bytes;

pub use self::config::Config;
use self::halves::{LibraryReceive, LibrarySend};
use self::runtime::Application;
pub use self::runtime::Runs;
use self::task::Task;
use crate::abi::{self, Buffer, Str};
use crate::panic::caught;
use crate::{inline_storage, waker};

/// Exports an app from a shared library, for a server to load.
///
/// - `export!(app)` takes any expression that is an [`asgi::App`]: the name of an `async fn`, or a
///   call that makes an app.
/// - `export!(start = make)` takes a function of a [`Config`](crate::Config) that returns a
///   `Result` of an app. Its error is why the server does not start.
/// - `export!(admin: app)` and `export!(admin: start = make)` export an app under a name of its
///   own: `ferricorn libshop.so:admin` serves it. A library has any number of those beside, or
///   instead of, the one without a name.
///
/// A call is polled by the server's threads until it waits for something of its own, a timer or a
/// database: from then on the library's own runtime polls it. A word behind each of these forms, as
/// in `export!(app, inline)`, forces one of both: `inline` is best for an app that hardly ever
/// waits, `own_runtime` for one that does nothing else, or that blocks its thread.
///
/// The expression is evaluated once, when the library is loaded, within the app's tokio runtime.
///
/// The crate's `Cargo.toml` says `crate-type = ["cdylib"]`, and its profile unwinds on panic.
///
/// ```
/// use asgi::{AppError, Receiver, Scope, Sender};
///
/// async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
///     Ok(())
/// }
///
/// asgi_abi::export!(app);
/// # fn main() {}
/// ```
///
/// ```
/// use asgi::{App, AppError, Receiver, Scope, Sender};
///
/// fn start(config: asgi_abi::Config) -> Result<impl App, AppError> {
///     let greeting = config.text().ok_or("expected a greeting in --app-config")?.to_owned();
///     Ok(move |_: Scope, _: Receiver, _: Sender| {
///         let _greeting = greeting.clone();
///         async { Ok(()) }
///     })
/// }
///
/// asgi_abi::export!(start = start);
/// asgi_abi::export!(polite: start = start);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    (start = $start:expr $(, $runs:ident)? $(,)?) => {
        $crate::export!(@unnamed ($($runs)?) |config| $crate::private::start($start, config));
    };
    ($name:ident : start = $start:expr $(, $runs:ident)? $(,)?) => {
        $crate::export!(@named $name ($($runs)?) |config| $crate::private::start($start, config));
    };
    ($name:ident : $app:expr $(, $runs:ident)? $(,)?) => {
        $crate::export!(@named $name ($($runs)?) |config| $crate::private::make(|| $app, config));
    };
    (@unnamed $runs:tt |$config:ident| $make:expr) => {
        /// The app, as servers find it.
        #[unsafe(no_mangle)]
        pub static ASGI_APP: $crate::abi::App =
            $crate::export!(@declaration $runs |$config| $make);
    };
    (@named $name:ident $runs:tt |$config:ident| $make:expr) => {
        const _: () = {
            #[unsafe(export_name = ::core::concat!("ASGI_APP_", ::core::stringify!($name)))]
            static APP: $crate::abi::App = $crate::export!(@declaration $runs |$config| $make);
        };
    };
    (@runs ()) => { $crate::private::Runs::WhereItWaits };
    (@runs (inline)) => { $crate::private::Runs::Inline };
    (@runs (own_runtime)) => { $crate::private::Runs::OnItsOwn };
    (@runs ($other:ident)) => {
        ::core::compile_error!("expected `inline` or `own_runtime`, or neither")
    };
    (@declaration $runs:tt |$config:ident| $make:expr) => {{
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "an app that aborts on panic takes the whole server with it: \
             remove `panic = \"abort\"` from the profile that builds this library"
        );

        struct Exported;
        impl $crate::Exported for Exported {
            const NAME: &'static str = ::core::env!("CARGO_PKG_NAME");
            const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
            const RUNS: $crate::private::Runs = $crate::export!(@runs $runs);
            fn app(
                $config: $crate::Config,
            ) -> ::core::result::Result<$crate::private::DynApp, $crate::private::AppError>
            {
                $make
            }
        }
        $crate::declare::<Exported>()
    }};
    ($app:expr $(, $runs:ident)? $(,)?) => {
        $crate::export!(@unnamed ($($runs)?) |config| $crate::private::make(|| $app, config));
    };
}

/// What `start = …` stands for.
#[doc(hidden)]
pub fn start<A: App, E: Into<AppError>>(
    start: impl FnOnce(Config) -> Result<A, E>,
    config: Config,
) -> Result<DynApp, AppError> {
    start(config).map(DynApp::new).map_err(Into::into)
}

/// What an app without a start function stands for.
#[doc(hidden)]
pub fn make<A: App>(make: impl FnOnce() -> A, config: Config) -> Result<DynApp, AppError> {
    if config.text().is_some() {
        return Err("it takes no configuration, and was given one".into());
    }
    Ok(DynApp::new(make()))
}

/// What [`export!`](crate::export!) knows of an app.
#[doc(hidden)]
pub trait Exported: 'static {
    const NAME: &'static str;
    const VERSION: &'static str;
    const RUNS: Runs;
    fn app(config: Config) -> Result<DynApp, AppError>;
}

/// The static that [`export!`](crate::export!) exports.
#[doc(hidden)]
pub const fn declare<E: Exported>() -> abi::App {
    abi::App {
        magic: abi::MAGIC,
        major: abi::MAJOR,
        minor: abi::MINOR,
        size: size_of::<abi::App>() as u32,
        name: Str::new(E::NAME),
        version: Str::new(E::VERSION),
        toolchain: Str::new(env!("ASGI_ABI_RUSTC")),
        flags: 0,
        init: init::<E>,
        call,
        poll,
        drop_task,
        shutdown,
    }
}

unsafe extern "C" fn init<E: Exported>(
    host: *const abi::Host,
    start: *const abi::Start,
    app: *mut *mut c_void,
    error: *mut Buffer,
) -> u32 {
    // SAFETY: the host passes a struct that lives as long as the process; of one with another
    // version `check_host` reads nothing but the head, which is the same in all of them. `start` and
    // what it lends are valid for this call.
    let started = caught(|| unsafe {
        check_host(host)?;
        let text = (*start).config;
        let mut config = Config::default();
        if !text.ptr.is_null() {
            config = Config::new(text.to_text());
        }
        Application::start(&*host, (*start).threads, E::RUNS, || E::app(config))
    });
    let refusal = match started {
        Ok(Ok(application)) => {
            // Never freed: tasks refer to it until the process ends.
            let application: &'static Application = Box::leak(Box::new(application));
            // SAFETY: `app` is the host's, valid for a write.
            unsafe { app.write((&raw const *application).cast_mut().cast()) };
            return abi::READY;
        }
        Ok(Err(refusal)) => refusal,
        Err(message) => format!("the app panicked as it was made: {message}"),
    };
    // SAFETY: `error` is the host's, valid for a write.
    unsafe { error.write(Bytes::from(refusal).into()) };
    abi::FAILED
}

/// # Safety
///
/// `host` must point to the head of a host struct: magic, version and size.
unsafe fn check_host(host: *const abi::Host) -> Result<(), String> {
    // SAFETY: the caller's promise.
    let (magic, major, minor, size) =
        unsafe { ((*host).magic, (*host).major, (*host).minor, (*host).size) };
    let same = magic == abi::MAGIC && (major, minor) == (abi::MAJOR, abi::MINOR);
    if !same || (size as usize) < size_of::<abi::Host>() {
        return Err(format!(
            "the server speaks version {major}.{minor} of the app ABI ({size} bytes), this app {}.{} ({} bytes)",
            abi::MAJOR,
            abi::MINOR,
            size_of::<abi::Host>()
        ));
    }
    Ok(())
}

unsafe extern "C" fn call(
    app: *mut c_void,
    scope: *const abi::Scope,
    receive: *mut abi::Receive,
    send: *mut abi::Send,
    task: *mut abi::Task,
) -> u32 {
    // SAFETY: `app` came out of `init`, which leaked it.
    let application: &'static Application = unsafe { &*app.cast::<Application>() };
    // SAFETY: the host gives both handles away with this call, and they belong to its host struct.
    let (receive, send) = unsafe {
        (
            LibraryReceive::new(application.host, receive.read()),
            LibrarySend::new(application, send.read()),
        )
    };
    // SAFETY: the scope is valid for this call; `rebuild` copies all that it takes from it.
    let made = caught(|| unsafe {
        let exchange = (*scope).exchange;
        let scope = scope::rebuild(scope, application);
        Task::new(application, exchange, scope, receive, send)
    });
    // The hook has printed a panic.
    let Ok(made) = made else {
        return abi::FAILED;
    };
    let made = abi::Task {
        store: inline_storage::put(made),
    };
    // SAFETY: `task` is the host's, valid for a write.
    unsafe { task.write(made) };
    abi::READY
}

unsafe extern "C" fn poll(
    task: *mut abi::Task,
    waker: *const abi::Waker,
    outcome: *mut abi::Outcome,
) -> u32 {
    // SAFETY: `task` came out of `call` and was not dropped; the host uses it on one thread at a
    // time, so this reference is the only one.
    let task: &mut Task = unsafe { inline_storage::get(&raw mut (*task).store) };
    // SAFETY: the waker is lent for this call.
    let code = unsafe { waker::borrow(waker, |waker| task.poll(waker)) };
    if matches!(code, abi::FAILED | abi::PANICKED) {
        // SAFETY: `outcome` is the host's, valid for a write.
        unsafe { outcome.write(task.outcome()) };
    }
    code
}

unsafe extern "C" fn drop_task(task: *mut abi::Task) {
    // SAFETY: `task` came out of `call`, and the host drops it once.
    let mut task: Task = unsafe { inline_storage::take(&raw mut (*task).store) };
    task.cancel();
}

unsafe extern "C" fn shutdown(app: *mut c_void, grace_ms: u32) {
    // SAFETY: `app` came out of `init`, which leaked it.
    let application: &'static Application = unsafe { &*app.cast::<Application>() };
    let grace = Duration::from_millis(grace_ms.into());
    // A panic's message went out by the hook, and nobody is left to act on it.
    let _ = caught(|| application.shutdown(grace));
}
