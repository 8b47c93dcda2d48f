//! The error of the loader: why it did not load a library.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::abi;

/// Why a library was not loaded.
///
/// Its text is one line. It says what the loader found, what it expected and what the user can do.
#[derive(Debug)]
pub struct LoadError {
    path: PathBuf,
    problem: LoadProblem,
}

/// What is wrong with the file or with its app.
#[derive(Debug)]
pub(crate) enum LoadProblem {
    Missing,
    Directory,
    /// A FIFO, a socket or a device.
    NotAFile,
    NoPermission(io::Error),
    Unreadable(io::Error),
    Empty,
    NotALibrary {
        begins: String,
    },
    NotShared {
        what: &'static str,
    },
    OtherMachine {
        found: String,
        expected: String,
    },
    CutOff {
        end: u64,
        len: u64,
    },
    /// The loader could not make its private copy, in any of these places.
    NoCopy {
        tried: Vec<String>,
    },
    /// The library has thread-locals for which only a program reserves space.
    StaticTls,
    Unloadable {
        why: String,
    },
    NoApp,
    OtherApps {
        wanted: Option<String>,
        apps: Vec<String>,
    },
    OtherMagic(u64),
    OtherVersion {
        major: u16,
        minor: u16,
    },
    OtherSize {
        found: u32,
        expected: usize,
    },
    Incomplete(&'static str),
    Refused {
        why: String,
    },
}

impl LoadError {
    pub(crate) fn new(path: &Path, problem: LoadProblem) -> Self {
        Self {
            path: path.to_owned(),
            problem,
        }
    }

    /// The path of the library.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self.problem, LoadProblem::Missing)
    }

    /// Whether the library is valid and was loaded, but its app did not start.
    pub fn is_refused(&self) -> bool {
        matches!(self.problem, LoadProblem::Refused { .. })
    }
}

impl From<io::Error> for LoadProblem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::NoPermission(error),
            _ => Self::Unreadable(error),
        }
    }
}

impl LoadProblem {
    /// Converts an error of the system's loader, which knows the file by `path`.
    pub(crate) fn from_dlopen(path: &str, error: &str) -> Self {
        if error.contains("static TLS") {
            return Self::StaticTls;
        }
        let why = error.strip_prefix(path).unwrap_or(error);
        Self::Unloadable {
            why: why.trim_start_matches([':', ' ']).to_owned(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

/// How to get a library.
const BUILD: &str = "`cargo build` puts an app's library at target/debug/lib<name>.so";

impl fmt::Display for LoadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(
                f,
                "no such file, expected the shared library of an app: {BUILD}"
            ),
            Self::Directory => write!(
                f,
                "a directory, expected the shared library of an app: {BUILD}"
            ),
            Self::NotAFile => write!(
                f,
                "a FIFO, a socket or a device, expected the shared library of an app: {BUILD}"
            ),
            Self::NoPermission(_) => f.write_str(
                "not readable by this user, expected the shared library of an app: \
                 allow it with `chmod a+r`, or run as a user who may read it",
            ),
            Self::Unreadable(error) => write!(
                f,
                "not readable ({error}), expected the shared library of an app: check the disk"
            ),
            Self::Empty => write!(
                f,
                "an empty file, expected the shared library of an app: build it again, and check \
                 whether the disk is full"
            ),
            Self::NotALibrary { begins } => write!(
                f,
                "not a shared library (it begins with {begins}), expected an ELF file: {BUILD}"
            ),
            Self::NotShared { what } => write!(
                f,
                "{what}, expected a shared library: put `crate-type = [\"cdylib\"]` under [lib] in \
                 the app's Cargo.toml"
            ),
            Self::OtherMachine { found, expected } => write!(
                f,
                "a library for {found}, expected one for {expected}: build it for this machine \
                 (see `cargo build --target`)"
            ),
            Self::CutOff { end, len } => write!(
                f,
                "cut off: its segments end at byte {end}, but the file ends at byte {len}; copy it again"
            ),
            Self::NoCopy { tried } => write!(
                f,
                "no private copy of it can be made ({}), expected a place for one: allow \
                 `memfd_create` in the sandbox, or set TMPDIR to a folder where this user may write and \
                 run code",
                tried.join("; ")
            ),
            Self::StaticTls => f.write_str(
                "its thread-locals (`initial-exec`) do not fit into a running process, expected dynamic \
                 ones: if it uses mimalloc, turn on the feature `local_dynamic_tls`; if it uses \
                 jemalloc, `disable_initial_exec_tls`",
            ),
            Self::Unloadable { why } => write!(
                f,
                "the system's loader refuses it ({why}), expected a library with all its \
                 dependencies: check it with `ldd`, or build it on this machine"
            ),
            Self::NoApp => f.write_str(
                "a shared library without an app, expected the symbol ASGI_APP: add \
                 `asgi_abi::export!(app);` to its lib.rs",
            ),
            Self::OtherApps { wanted, apps } => {
                match wanted {
                    Some(wanted) => write!(f, "no app called `{wanted}`")?,
                    None => f.write_str("no app without a name")?,
                }
                write!(
                    f,
                    ", expected one that the library has: {}; give the name as in `libapp.so:name`",
                    apps.join(", "),
                )
            }
            Self::OtherMagic(found) => write!(
                f,
                "its symbol ASGI_APP begins with {found:#018x}, expected {:#018x}: the library is \
                 damaged or is not a Ferricorn app; export the app with `asgi_abi::export!(app);`",
                abi::MAGIC
            ),
            Self::OtherVersion { major, minor } => write!(
                f,
                "built for version {major}.{minor} of the app ABI, expected {}.{}: rebuild it with \
                 `asgi-abi = \"{}\"`, or run it with the server that it was built for",
                abi::MAJOR,
                abi::MINOR,
                env!("CARGO_PKG_VERSION")
            ),
            Self::OtherSize { found, expected } => write!(
                f,
                "the size of its ASGI_APP is {found} bytes, expected {expected}: rebuild it with \
                 `asgi-abi = \"{}\"`, or with this server's asgi.h",
                env!("CARGO_PKG_VERSION")
            ),
            Self::Incomplete(function) => write!(
                f,
                "its ASGI_APP has no function `{function}`, expected all five: fill in the struct \
                 as asgi.h says"
            ),
            Self::Refused { why } => write!(
                f,
                "the app did not start ({}), expected its init to succeed: fix the cause, then start \
                 again",
                OneLine(why)
            ),
        }
    }
}

/// A text of the library, on one line.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, line) in self.0.lines().enumerate() {
            let space = if n == 0 { "" } else { " " };
            write!(f, "{space}{}", line.trim())?;
        }
        Ok(())
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.problem {
            LoadProblem::NoPermission(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LoadError, LoadProblem};
    use std::io;
    use std::path::Path;

    // Without a real file: in containers, tests often run as root, which may read every file.
    #[test]
    fn a_file_without_read_permission() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = LoadError::new(Path::new("libapp.so"), LoadProblem::from(denied));
        assert_eq!(
            error.to_string(),
            "libapp.so: not readable by this user, expected the shared library of an app: allow it \
             with `chmod a+r`, or run as a user who may read it"
        );
    }

    #[test]
    fn a_reason_with_several_lines_becomes_one_line() {
        let why = "no database:\n  connection refused\n".to_owned();
        let error = LoadError::new(Path::new("libapp.so"), LoadProblem::Refused { why });
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
        assert!(
            error
                .to_string()
                .contains("(no database: connection refused)")
        );
    }
}
