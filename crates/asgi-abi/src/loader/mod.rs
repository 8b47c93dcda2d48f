//! Loads a library and starts the app in it.
//!
//! In order: look at the file and its ELF header, copy it, look whether the copy is whole, `dlopen`
//! it, find `ASGI_APP`, compare its head, call its `init`. Whatever is wrong is a [`LoadError`] of one line.

use std::fs::File;
use std::io::Read;
use std::mem::size_of;
use std::path::Path;
use std::ptr::NonNull;
use std::time::Duration;

use libloading::os::unix::{Library as OpenLibrary, RTLD_LOCAL, RTLD_NOW};

use crate::abi::{self, Buffer, Str};
use crate::crash;
use crate::host::{HOST, LoadedApp};

mod elf;
mod error;

pub use self::error::LoadError;
use self::error::Problem;

/// How a library is loaded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Which of the library's apps: `None`, the default, for the one without a name.
    pub name: Option<String>,
    /// What the operator has to say to the app. Default: nothing.
    pub config: Option<String>,
    /// How many threads the app's own runtime may well use, beside the server's, on which the app
    /// itself runs. The app chooses if it is `None`, the default: two, or one on a single core.
    pub threads: Option<u16>,
    /// Says which exchange the app is called for, as the server's log numbers them: asked on the
    /// thread that polls the call for the first time, whose lines in the log then bear that number
    /// wherever in the app they come from. The default says that there is none.
    pub exchange_id: fn() -> Option<u64>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            name: None,
            config: None,
            threads: None,
            exchange_id: || None,
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
}

/// A shared library whose app has started.
///
/// It stays loaded until the process ends, also when this is dropped: its threads and its
/// thread-locals hold it. New code comes with a new process.
#[derive(Debug)]
pub struct Library {
    app: LoadedApp,
}

impl Library {
    /// Loads the library at `path` with the defaults.
    ///
    /// Its code runs in this process from now on, and may do what the process may: load only what
    /// you would run as a program. The file may be replaced or removed afterwards, for a private
    /// copy is loaded.
    ///
    /// # Errors
    ///
    /// The file is none that can be loaded here, or its app would not start.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        Self::load_with(path, &LoadOptions::new())
    }

    /// [`load`](Self::load), with options.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let load = || {
            let symbol = symbol(options.name.as_deref());
            let library = open(path)?;
            // SAFETY: the symbol's address is all that is taken here; `start` judges what is there.
            // The library is never closed, so the address stays valid.
            let declaration = unsafe {
                let found = library.get::<*const abi::App>(symbol.as_bytes());
                *found.map_err(|_| no_app(path, &symbol))?
            };
            // Its threads and thread-locals would outlive its code.
            std::mem::forget(library);
            // SAFETY: a library that exports this symbol has a struct with that head there, or is
            // none of ours, which the head tells.
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

    /// Starts an app that is linked into this program: one in C, or in a test.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    ///
    /// # Safety
    ///
    /// What `declaration` says must be true, and its functions must keep the rules of [`abi`].
    pub unsafe fn from_static(
        declaration: &'static abi::App,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        // SAFETY: the caller's promise.
        unsafe { start(declaration, options) }
            .map_err(|problem| LoadError::new(Path::new("ASGI_APP"), problem))
    }

    /// The app, to be called.
    pub fn app(&self) -> LoadedApp {
        self.app
    }

    /// The app's name: that of its crate.
    pub fn name(&self) -> &str {
        self.text(self.app.functions.name)
    }

    /// The app's version: that of its crate.
    pub fn version(&self) -> &str {
        self.text(self.app.functions.version)
    }

    /// What compiled the library, such as `rustc 1.95.0 (…)`. It need not be what compiled the
    /// server.
    pub fn toolchain(&self) -> &str {
        self.text(self.app.functions.toolchain)
    }

    /// Stops the app's own runtime, after the last call has ended; blocks for `grace` at most.
    ///
    /// Tasks that the app has spawned are cancelled where they wait; `grace` is for those that run
    /// blocking code. A call that comes after this fails.
    pub fn shutdown(&self, grace: Duration) {
        let grace = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        // SAFETY: `app` is what `init` made.
        unsafe { (self.app.functions.shutdown)(self.app.app.as_ptr(), grace) }
    }

    fn text(&self, text: Str) -> &str {
        // SAFETY: the declaration and its texts live as long as the process.
        std::str::from_utf8(unsafe { text.as_bytes() }).unwrap_or("?")
    }
}

/// The symbol of the app of that name.
fn symbol(name: Option<&str>) -> String {
    name.map_or_else(|| SYMBOL.to_owned(), |name| format!("{SYMBOL}_{name}"))
}

/// The app without a name; before the others' names stand this and an underscore.
const SYMBOL: &str = "ASGI_APP";

/// What there is instead of that symbol.
fn no_app(path: &Path, symbol: &str) -> Problem {
    // The file was read before; if it is gone by now, nothing can be said of what is in it.
    let bytes = std::fs::read(path).unwrap_or_default();
    let apps: Vec<String> = elf::exports(&bytes)
        .filter_map(|name| match name.strip_prefix(SYMBOL)? {
            "" => Some("one without a name".to_owned()),
            name => Some(format!("`{}`", name.strip_prefix('_')?)),
        })
        .collect();
    if apps.is_empty() {
        return Problem::NoApp;
    }
    Problem::OtherApps {
        wanted: symbol
            .strip_prefix(SYMBOL)
            .and_then(|name| name.strip_prefix('_'))
            .map(str::to_owned),
        apps,
    }
}

/// Opens a private copy of the file.
fn open(path: &Path) -> Result<OpenLibrary, Problem> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Problem::Directory);
    }
    let mut head = Vec::with_capacity(elf::HEAD);
    (&file).take(elf::HEAD as u64).read_to_end(&mut head)?;
    if head.is_empty() {
        return Err(Problem::Empty);
    }
    if cfg!(target_os = "linux") {
        elf::check(&head)?;
    }
    open_copy(path, &head, &mut file)
}

/// `cp` over a loaded library changes the code under the process that runs it, and to truncate it
/// kills that process. So what is loaded is a file in memory that nobody else can write to.
#[cfg(target_os = "linux")]
fn open_copy(path: &Path, head: &[u8], rest: &mut File) -> Result<OpenLibrary, Problem> {
    use rustix::fs::{MemfdFlags, memfd_create};
    use std::io::Write;
    use std::os::fd::AsRawFd;

    let name = path.file_name().unwrap_or_default();
    let mut copy_whole = || -> std::io::Result<(File, u64)> {
        let mut copy = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
        copy.write_all(head)?;
        let more = std::io::copy(rest, &mut copy)?;
        Ok((copy, head.len() as u64 + more))
    };
    let (copy, len) = copy_whole().map_err(|error| Problem::Unloadable {
        why: format!("no copy in memory could be made: {error}"),
    })?;
    // Of the copy: somebody may be writing to the file.
    elf::check_end(head, len)?;
    let copy_path = format!("/proc/self/fd/{}", copy.as_raw_fd());
    let opened = dlopen(Path::new(&copy_path));
    let opened = opened.map_err(|error| Problem::of_dlopen(&copy_path, &error));
    // Never closed. The system's loader knows a library by its name: if the descriptor's number
    // came to be used again, a second library would be taken for this one. And a backtrace reads
    // its line numbers from there.
    std::mem::forget(copy);
    opened
}

/// Other systems have no such file in memory: there, the library must not be overwritten.
#[cfg(not(target_os = "linux"))]
fn open_copy(path: &Path, _: &[u8], _: &mut File) -> Result<OpenLibrary, Problem> {
    let path = std::path::absolute(path)?;
    let name = path.display().to_string();
    dlopen(&path).map_err(|error| Problem::of_dlopen(&name, &error))
}

fn dlopen(path: &Path) -> Result<OpenLibrary, String> {
    // Everything is resolved now, not amid a request; its symbols are not for other libraries.
    // SAFETY: this runs the library's constructors. `Library::load` tells its caller that it runs
    // the code in the file.
    unsafe { OpenLibrary::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
        let cause = std::error::Error::source(&error);
        cause.map_or_else(|| error.to_string(), ToString::to_string)
    })
}

/// Judges a declaration, then starts its app.
///
/// # Safety
///
/// `declaration` must point to memory that lives as long as the process and begins with the head
/// of an [`abi::App`], or with another number than [`abi::MAGIC`].
unsafe fn start(declaration: *const abi::App, options: &LoadOptions) -> Result<Library, Problem> {
    // SAFETY: the caller's promise: magic, version and size are there in every version.
    unsafe {
        let magic = (&raw const (*declaration).magic).read_unaligned();
        if magic != abi::MAGIC {
            return Err(Problem::OtherMagic(magic));
        }
        let (major, minor) = ((*declaration).major, (*declaration).minor);
        if (major, minor) != (abi::MAJOR, abi::MINOR) {
            return Err(Problem::OtherVersion { major, minor });
        }
        if (*declaration).size as usize != size_of::<abi::App>() {
            return Err(Problem::OtherSize {
                found: (*declaration).size,
                expected: size_of::<abi::App>(),
            });
        }
        if let Some(missing) = missing_function(declaration) {
            return Err(Problem::Incomplete(missing));
        }
    }
    // SAFETY: the head says that this is a whole struct of our version, and no function is NULL.
    let functions: &'static abi::App = unsafe { &*declaration };
    let mut app = std::ptr::null_mut();
    let mut error = Buffer::EMPTY;
    let start = abi::Start {
        size: size_of::<abi::Start>() as u32,
        threads: options.threads.map_or(0, u32::from),
        config: options.config.as_deref().map_or(Str::NULL, Str::new),
    };
    // SAFETY: `HOST` lives as long as the process, `start` until the call returns, and both others
    // are valid for a write.
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
            },
        }),
        _ => Err(Problem::Refused {
            why: String::from_utf8_lossy(error.as_slice()).into_owned(),
        }),
    }
}

/// A struct written in C may lack a function, which a Rust function pointer must not.
///
/// # Safety
///
/// `declaration` must point to a struct of this version, functions aside.
unsafe fn missing_function(declaration: *const abi::App) -> Option<&'static str> {
    // SAFETY: the caller's promise; the pointers are read as plain ones.
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
