//! Loads a library and starts its app.
//!
//! The steps: check the file and its ELF header, copy the file, check that the copy is complete,
//! `dlopen` it, find `ASGI_APP`, check its head, call its `init`. Each failure is a [`LoadError`] with
//! one line of text.

use std::fs::File;
use std::io::Read;
use std::mem::size_of;
use std::path::Path;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use libloading::os::unix::{Library as OpenLibrary, RTLD_LOCAL, RTLD_NOW};

use crate::abi::{self, Buffer, Str};
use crate::crash;
use crate::host::{HOST, LoadedApp};

mod elf;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(target_os = "linux")]
mod private_copy;

pub use self::error::LoadError;
use self::error::LoadProblem;
#[cfg(target_os = "linux")]
use self::private_copy::open_copy;

/// Options for [`Library::load_with`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The name of the app in the library. Default: `None`, the app without a name.
    pub name: Option<String>,
    /// The operator's configuration for the app. Default: none.
    pub config: Option<String>,
    /// How many threads the app's own runtime should use, in addition to the server's threads.
    /// Default: `None`, the app decides. An app in Rust then uses two, or one on a single core.
    pub threads: Option<u16>,
    /// Returns the number of the current exchange in the server's log. It is called on the thread
    /// that starts a call, and all log lines of that call get this number. Default: returns `None`,
    /// and the lines have no number.
    pub exchange_id: fn() -> Option<u64>,
    /// Tells the server that an app runs on a thread of its library while the server's thread polls
    /// its call. It is called during such a poll, on the server's thread; the call is woken when the
    /// app waits or ends. A server should not yet send the head of a response that it holds back, so
    /// that an app that sends the body at once gets the same response each time. Default: does
    /// nothing.
    pub app_is_working: fn(),
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            name: None,
            config: None,
            threads: None,
            exchange_id: || None,
            app_is_working: || {},
        }
    }
}

impl LoadOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`name`](Self::name).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets [`config`](Self::config).
    #[must_use]
    pub fn config(mut self, config: impl Into<String>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// Sets [`threads`](Self::threads).
    #[must_use]
    pub fn threads(mut self, threads: u16) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Sets [`exchange_id`](Self::exchange_id).
    #[must_use]
    pub fn exchange_id(mut self, exchange_id: fn() -> Option<u64>) -> Self {
        self.exchange_id = exchange_id;
        self
    }

    /// Sets [`app_is_working`](Self::app_is_working).
    #[must_use]
    pub fn app_is_working(mut self, app_is_working: fn()) -> Self {
        self.app_is_working = app_is_working;
        self
    }
}

/// A shared library whose app has started.
///
/// The library stays loaded until the process ends, also after this is dropped: its threads and its
/// thread-locals need its code. To run new code, start a new process.
#[derive(Debug)]
pub struct Library {
    app: LoadedApp,
}

impl Library {
    /// Loads the library at `path` with the default options.
    ///
    /// The code of the library runs in this process and may do everything that the process may. Load
    /// only files that you would also run as a program. On Linux, a private copy is loaded, so you
    /// may replace or remove the file afterwards.
    ///
    /// # Errors
    ///
    /// The file cannot be loaded, or its app does not start.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        Self::load_with(path, &LoadOptions::new())
    }

    /// Loads the library at `path`; see [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// The same as for [`load`](Self::load).
    pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let load = || {
            let symbol = symbol(options.name.as_deref());
            let library = open(path)?;
            // SAFETY: this only takes the address of the symbol; `start` checks the struct. The
            // library is never closed, so the address stays valid.
            let declaration = unsafe {
                let found = library.get::<*const abi::App>(symbol.as_bytes());
                *found.map_err(|_| no_app(path, &symbol))?
            };
            // Never closed: its threads and thread-locals would outlive its code.
            std::mem::forget(library);
            // SAFETY: the caller trusts the file. A library that exports this symbol has a struct
            // with this head there, or one with another first number, which `start` rejects.
            unsafe { start(declaration, options) }
        };
        let library: Self = load().map_err(|problem| LoadError::new(path, problem))?;
        let version = match library.version() {
            "" => String::new(),
            version => format!(" {version}"),
        };
        crash::set_library(format!("{}{version} ({})", library.name(), path.display()));
        Ok(library)
    }

    /// Starts an app that is linked into this program, such as an app in C or in a test.
    ///
    /// # Errors
    ///
    /// The same as for [`load`](Self::load).
    ///
    /// # Safety
    ///
    /// The data of `declaration` must be correct, and its functions must keep the rules of [`abi`].
    pub unsafe fn from_static(
        declaration: &'static abi::App,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        // SAFETY: the caller promises that the declaration is correct.
        unsafe { start(declaration, options) }
            .map_err(|problem| LoadError::new(Path::new("ASGI_APP"), problem))
    }

    /// The app, which a server can call.
    pub fn app(&self) -> LoadedApp {
        self.app
    }

    /// The app's name: the name of its crate.
    pub fn name(&self) -> &str {
        self.text(self.app.functions.name)
    }

    /// The app's version: the version of its crate.
    pub fn version(&self) -> &str {
        self.text(self.app.functions.version)
    }

    /// The compiler of the library, such as `rustc 1.95.0 (…)`. The server's can be another one.
    pub fn toolchain(&self) -> &str {
        self.text(self.app.functions.toolchain)
    }

    /// Stops the app's own runtime. Call it after the last call has ended; it blocks for at most
    /// `grace`. Returns whether the runtime has ended in that time.
    ///
    /// Tasks that the app has spawned are cancelled at their next `.await`; `grace` is for tasks that
    /// run blocking code. A call after this may fail, because the runtime is gone.
    pub fn shutdown(&self, grace: Duration) -> bool {
        let began = Instant::now();
        let millis = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        // What the library gets: whole milliseconds.
        let grace = Duration::from_millis(millis.into());
        // SAFETY: `init` has returned this pointer to an app, which is valid until the process ends.
        unsafe { (self.app.functions.shutdown)(self.app.app.as_ptr(), millis) }
        // The function returns nothing, but it uses up its time only if something does not end.
        began.elapsed() < grace
    }

    fn text(&self, text: Str) -> &str {
        // SAFETY: the library promises that its declaration and its texts are valid until the process
        // ends.
        std::str::from_utf8(unsafe { text.as_bytes() }).unwrap_or("?")
    }
}

/// The symbol of the app with this name.
fn symbol(name: Option<&str>) -> String {
    name.map_or_else(|| SYMBOL.to_owned(), |name| format!("{SYMBOL}_{name}"))
}

/// The symbol of the app without a name. Other apps have a symbol with an underscore and the name
/// after it.
const SYMBOL: &str = "ASGI_APP";

/// The error of a library without this symbol: it names the apps that the library has.
fn no_app(path: &Path, symbol: &str) -> LoadProblem {
    // The file was read before. If it is gone now, the error names no apps.
    let bytes = std::fs::read(path).unwrap_or_default();
    let apps: Vec<String> = elf::exports(&bytes)
        .filter_map(|name| match name.strip_prefix(SYMBOL)? {
            "" => Some("one without a name".to_owned()),
            name => Some(format!("`{}`", name.strip_prefix('_')?)),
        })
        .collect();
    if apps.is_empty() {
        return LoadProblem::NoApp;
    }
    LoadProblem::OtherApps {
        wanted: symbol
            .strip_prefix(SYMBOL)
            .and_then(|name| name.strip_prefix('_'))
            .map(str::to_owned),
        apps,
    }
}

/// Opens a private copy of the file.
fn open(path: &Path) -> Result<OpenLibrary, LoadProblem> {
    // Before it is opened: opening a FIFO waits until another process writes to it.
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(LoadProblem::Directory);
    }
    if !metadata.is_file() {
        return Err(LoadProblem::NotAFile);
    }
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(elf::HEAD_LEN);
    (&file).take(elf::HEAD_LEN as u64).read_to_end(&mut head)?;
    if head.is_empty() {
        return Err(LoadProblem::Empty);
    }
    if cfg!(target_os = "linux") {
        elf::check(&head)?;
    }
    open_copy(path, &head, &mut file)
}

/// Opens the file itself: other systems have no files in memory. There, a loaded library must not be
/// overwritten.
#[cfg(not(target_os = "linux"))]
fn open_copy(path: &Path, _: &[u8], _: &mut File) -> Result<OpenLibrary, LoadProblem> {
    let path = std::path::absolute(path)?;
    let name = path.display().to_string();
    dlopen(&path).map_err(|error| LoadProblem::from_dlopen(&name, &error))
}

fn dlopen(path: &Path) -> Result<OpenLibrary, String> {
    // RTLD_NOW resolves all symbols now, not during a request. RTLD_LOCAL hides the library's symbols
    // from other libraries.
    // SAFETY: this runs the library's constructors. `Library::load` documents that it runs the code
    // in the file, so its caller trusts the file.
    unsafe { OpenLibrary::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
        let cause = std::error::Error::source(&error);
        cause.map_or_else(|| error.to_string(), ToString::to_string)
    })
}

/// Checks a declaration, then starts its app.
///
/// # Safety
///
/// `declaration` must point to memory that is valid until the process ends. The memory must begin
/// with the head of an [`abi::App`] or with another number than [`abi::MAGIC`]. If the head is that of
/// this version, the rest must be an [`abi::App`] too.
unsafe fn start(
    declaration: *const abi::App,
    options: &LoadOptions,
) -> Result<Library, LoadProblem> {
    // SAFETY: the caller promises that the head is there: magic, version and size are the same in
    // every version.
    unsafe {
        let magic = (&raw const (*declaration).magic).read_unaligned();
        if magic != abi::MAGIC {
            return Err(LoadProblem::OtherMagic(magic));
        }
        let (major, minor) = ((*declaration).major, (*declaration).minor);
        if (major, minor) != (abi::MAJOR, abi::MINOR) {
            return Err(LoadProblem::OtherVersion { major, minor });
        }
        if (*declaration).size as usize != size_of::<abi::App>() {
            return Err(LoadProblem::OtherSize {
                found: (*declaration).size,
                expected: size_of::<abi::App>(),
            });
        }
        if let Some(missing) = missing_function(declaration) {
            return Err(LoadProblem::Incomplete(missing));
        }
    }
    // SAFETY: the head has our version and size, so the caller promises a complete struct. The check
    // above excludes NULL in its functions.
    let functions: &'static abi::App = unsafe { &*declaration };
    let mut app = std::ptr::null_mut();
    let mut error = Buffer::EMPTY;
    let start = abi::Start {
        size: size_of::<abi::Start>() as u32,
        threads: options.threads.map_or(0, u32::from),
        config: options.config.as_deref().map_or(Str::NULL, Str::new),
    };
    // SAFETY: `HOST` is static, `start` and its texts are valid until the call returns, and both
    // others are local variables that the library may write to.
    let code = unsafe {
        (functions.init)(
            &raw const HOST,
            &raw const start,
            &raw mut app,
            &raw mut error,
        )
    };
    match NonNull::new(app) {
        Some(app) if code == abi::READY => Ok(Library {
            app: LoadedApp {
                functions,
                app,
                exchange_id: options.exchange_id,
                app_is_working: options.app_is_working,
            },
        }),
        _ => Err(LoadProblem::Refused {
            why: String::from_utf8_lossy(error.as_slice()).into_owned(),
        }),
    }
}

/// The name of a function that is NULL. A struct in C may lack a function, but a function pointer of
/// Rust must not be NULL.
///
/// # Safety
///
/// `declaration` must point to a struct of this version, in which functions may be NULL.
unsafe fn missing_function(declaration: *const abi::App) -> Option<&'static str> {
    // SAFETY: the caller promises that the struct is there. The functions are read as plain pointers,
    // which may be NULL.
    unsafe {
        [
            ("init", (&raw const (*declaration).init).cast::<*const ()>()),
            ("call", (&raw const (*declaration).call).cast()),
            ("poll", (&raw const (*declaration).poll).cast()),
            ("drop_task", (&raw const (*declaration).drop_task).cast()),
            ("shutdown", (&raw const (*declaration).shutdown).cast()),
        ]
        .into_iter()
        .find(|(_, function)| function.read().is_null())
        .map(|(name, _)| name)
    }
}
