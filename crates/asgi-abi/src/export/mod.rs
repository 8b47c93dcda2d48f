//! The library's side: the functions of `ASGI_APP`.
//!
//! The macro [`export!`](crate::export!) makes the static, and the host calls its functions. The app
//! calls nothing here. Every function catches panics, and polls and drops the app's futures in the
//! app's own runtime.

mod backtraces;
mod config;
mod halves;
mod log;
mod outcome;
mod own_runtime;
mod panic_hook;
mod runtime;
mod scope;
mod shared_halves;
mod task;

use std::ffi::c_void;
use std::mem::size_of;
use std::time::Duration;

use asgi::{App, AppError, DynApp};
use bytes::Bytes;

pub use self::config::Config;
use self::halves::{LibraryReceive, LibrarySend};
use self::runtime::Application;
pub use self::runtime::PollMode;
use self::task::LibraryTask;
use crate::abi::{self, Buffer, Str};
use crate::panic::catch;
use crate::{inline_storage, waker};

/// Exports an app from a shared library, so that a server can load it.
///
/// - `export!(app)` takes any expression that is an [`asgi::App`]: the name of an `async fn`, or a
///   call that makes an app.
/// - `export!(start = make)` takes a function that gets a [`Config`](crate::Config) and returns a
///   `Result` with an app. If it returns an error, the server does not start.
/// - `export!(admin: app)` and `export!(admin: start = make)` export an app under a name:
///   `ferricorn libshop.so:admin` serves it. A library can have any number of named apps, with or
///   without an unnamed one.
///
/// The server's threads poll a call until it waits for its own I/O, such as a timer or a database.
/// From then on, the library's own runtime polls it. A word after each of these forms, as in
/// `export!(app, inline)`, chooses one of the two for all calls. `inline` is best for an app that
/// hardly ever waits; `own_runtime` is best for an app that mostly waits, or that blocks its thread.
///
/// The expression is evaluated once, when the server loads the library, in the app's tokio runtime.
///
/// The crate needs `crate-type = ["cdylib"]` in its `Cargo.toml`, and a profile that unwinds on
/// panic.
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
    (start = $start:expr $(, $mode:ident)? $(,)?) => {
        $crate::export!(@unnamed ($($mode)?) |config| $crate::private::start($start, config));
    };
    ($name:ident : start = $start:expr $(, $mode:ident)? $(,)?) => {
        $crate::export!(@named $name ($($mode)?) |config| $crate::private::start($start, config));
    };
    ($name:ident : $app:expr $(, $mode:ident)? $(,)?) => {
        $crate::export!(@named $name ($($mode)?) |config| $crate::private::make(|| $app, config));
    };
    (@unnamed $mode:tt |$config:ident| $make:expr) => {
        /// The symbol that servers look for.
        #[unsafe(no_mangle)]
        pub static ASGI_APP: $crate::abi::App =
            $crate::export!(@declaration $mode |$config| $make);
    };
    (@named $name:ident $mode:tt |$config:ident| $make:expr) => {
        const _: () = {
            #[unsafe(export_name = ::core::concat!("ASGI_APP_", ::core::stringify!($name)))]
            static APP: $crate::abi::App = $crate::export!(@declaration $mode |$config| $make);
        };
    };
    (@mode ()) => { $crate::private::PollMode::Auto };
    (@mode (inline)) => { $crate::private::PollMode::Inline };
    (@mode (own_runtime)) => { $crate::private::PollMode::OwnRuntime };
    (@mode ($other:ident)) => {
        ::core::compile_error!("expected `inline` or `own_runtime`, or neither")
    };
    (@declaration $mode:tt |$config:ident| $make:expr) => {{
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a panic must not abort the whole server: \
             remove `panic = \"abort\"` from the profile that builds this library"
        );

        struct Exported;
        impl $crate::Exported for Exported {
            const NAME: &'static str = ::core::env!("CARGO_PKG_NAME");
            const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
            const POLL_MODE: $crate::private::PollMode = $crate::export!(@mode $mode);
            fn app(
                $config: $crate::Config,
            ) -> ::core::result::Result<$crate::private::DynApp, $crate::private::AppError>
            {
                $make
            }
        }
        $crate::declare::<Exported>()
    }};
    ($app:expr $(, $mode:ident)? $(,)?) => {
        $crate::export!(@unnamed ($($mode)?) |config| $crate::private::make(|| $app, config));
    };
}

/// Makes an app with a start function: `start = …` expands to this.
#[doc(hidden)]
pub fn start<A: App, E: Into<AppError>>(
    start: impl FnOnce(Config) -> Result<A, E>,
    config: Config,
) -> Result<DynApp, AppError> {
    start(config).map(DynApp::new).map_err(Into::into)
}

/// Makes an app without a start function: the other forms expand to this.
#[doc(hidden)]
pub fn make<A: App>(make: impl FnOnce() -> A, config: Config) -> Result<DynApp, AppError> {
    if config.text().is_some() {
        return Err("the app takes no configuration, but got one".into());
    }
    Ok(DynApp::new(make()))
}

/// The parameters of [`export!`](crate::export!) for one app.
#[doc(hidden)]
pub trait Exported: 'static {
    const NAME: &'static str;
    const VERSION: &'static str;
    const POLL_MODE: PollMode;
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
    // SAFETY: the host promises that its struct is valid until the process ends. `check_host` reads
    // only the head, which is the same in all versions; the rest is used only if the version fits.
    // `start` and its texts are valid during this call.
    let started = catch(|| unsafe {
        check_host(host)?;
        let text = (*start).config;
        let mut config = Config::default();
        if !text.ptr.is_null() {
            config = Config::new(text.to_text());
        }
        Application::start(&*host, (*start).threads, E::POLL_MODE, || E::app(config))
    });
    let why = match started {
        Ok(Ok(application)) => {
            // Leaked: tasks may refer to it until the process ends.
            let application: &'static Application = Box::leak(Box::new(application));
            // SAFETY: the host passes a valid output parameter.
            unsafe { app.write((&raw const *application).cast_mut().cast()) };
            return abi::READY;
        }
        Ok(Err(why)) => why,
        Err(message) => format!("the app panicked during startup: {message}"),
    };
    // SAFETY: the host passes a valid output parameter.
    unsafe { error.write(Bytes::from(why).into()) };
    abi::FAILED
}

/// Checks that the host has the ABI version of this library.
///
/// # Safety
///
/// `host` must point to the head of a host struct: magic, version and size.
unsafe fn check_host(host: *const abi::Host) -> Result<(), String> {
    // SAFETY: the caller promises that the head is valid.
    let (magic, major, minor, size) =
        unsafe { ((*host).magic, (*host).major, (*host).minor, (*host).size) };
    let is_same = magic == abi::MAGIC && (major, minor) == (abi::MAJOR, abi::MINOR);
    if !is_same || (size as usize) < size_of::<abi::Host>() {
        return Err(format!(
            "the server has version {major}.{minor} of the app ABI ({size} bytes), this app has {}.{} ({} \
             bytes)",
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
    // SAFETY: the host passes the pointer that `init` returned. `init` leaked the application, so it
    // is valid until the process ends.
    let application: &'static Application = unsafe { &*app.cast::<Application>() };
    // SAFETY: with this call, the host passes the ownership of both handles to the library. They are
    // halves of the host that `init` got.
    let (receive, send) = unsafe {
        (
            LibraryReceive::new(application.host, receive.read()),
            LibrarySend::new(application, send.read()),
        )
    };
    // SAFETY: the scope is valid during this call, and `from_abi` copies what it needs.
    let made = catch(|| unsafe {
        let exchange = (*scope).exchange;
        let scope = scope::from_abi(scope, application);
        LibraryTask::new(application, exchange, scope, receive, send)
    });
    // The panic hook has reported a panic.
    let Ok(made) = made else {
        return abi::FAILED;
    };
    let made = abi::Task {
        store: inline_storage::put(made),
    };
    // SAFETY: the host passes a valid output parameter.
    unsafe { task.write(made) };
    abi::READY
}

unsafe extern "C" fn poll(
    task: *mut abi::Task,
    waker: *const abi::Waker,
    outcome: *mut abi::Outcome,
) -> u32 {
    // SAFETY: the host passes a task that `call` has made and that is not dropped. The host uses it
    // on one thread at a time, so this reference is the only one.
    let task: &mut LibraryTask = unsafe { inline_storage::get(&raw mut (*task).store) };
    // SAFETY: the host's waker is valid during this call.
    let code = unsafe { waker::with_rust_waker(waker, |waker| task.poll(waker)) };
    if matches!(code, abi::FAILED | abi::PANICKED) {
        // SAFETY: the host passes a valid output parameter.
        unsafe { outcome.write(task.outcome()) };
    }
    code
}

unsafe extern "C" fn drop_task(task: *mut abi::Task) {
    // SAFETY: the host passes a task that `call` has made, and drops it only once.
    let mut task: LibraryTask = unsafe { inline_storage::take(&raw mut (*task).store) };
    task.cancel();
}

unsafe extern "C" fn shutdown(app: *mut c_void, grace_ms: u32) {
    // SAFETY: the host passes the pointer that `init` returned. `init` leaked the application, so it
    // is valid until the process ends.
    let application: &'static Application = unsafe { &*app.cast::<Application>() };
    let grace = Duration::from_millis(grace_ms.into());
    // The panic hook has reported a panic. There is nothing else to do about it.
    let _ = catch(|| application.shutdown(grace));
}
