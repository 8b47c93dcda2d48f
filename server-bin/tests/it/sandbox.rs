//! Loads an app where the system allows less than usual.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::loading::{compiled, in_c};
use crate::process::{Running, ferricorn, run};

/// Makes `memfd_create` fail with EPERM, as seccomp profiles do, then runs the rest of its arguments.
const WITHOUT_MEMFD: &str = r"
import ctypes, os, platform, struct, sys
number = {'x86_64': 319, 'aarch64': 279}[platform.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack('HP', len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
";

/// Limits the size of new files to one page. Python ignores the signal that would come with that.
const WITHOUT_FILES: &str = r"
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
os.execv(sys.argv[1], sys.argv[1:])
";

/// The command that serves this library, after a Python script has taken something away.
fn limited(script: &str, library: &Path) -> Command {
    let program = ferricorn(&[library.display().to_string().as_str(), "-b", "127.0.0.1:0"]);
    let mut command = Command::new("python3");
    command
        .args(["-c", script])
        .arg(program.get_program())
        .args(program.get_args());
    command
}

fn app(folder: &Path) -> std::path::PathBuf {
    compiled(folder, "app.so", &in_c("", "return ASGI_READY;"))
}

#[test]
fn a_library_is_loaded_where_memfd_create_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let library = app(folder.path());
    let mut command = limited(WITHOUT_MEMFD, &library);
    let mut server = Running::start(command.env("TMPDIR", temporary.path()));
    server.line_with(" serving ");
    // The copy has no name that another process could find.
    let count = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!(count(temporary.path()), 0);
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
}

#[test]
fn a_library_is_loaded_where_the_folder_for_temporary_files_is_not_there_either() {
    let folder = tempfile::tempdir().unwrap();
    let library = app(folder.path());
    let mut command = limited(WITHOUT_MEMFD, &library);
    let mut server = Running::start(command.env("TMPDIR", "/no/such/folder"));
    server.line_with(" serving ");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
}

#[test]
fn the_error_for_a_library_that_cannot_be_copied_names_each_place_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let library = app(folder.path());
    let mut command = limited(WITHOUT_FILES, &library);
    let ended = run(command.env("TMPDIR", "/no/such/folder"));
    let file = library.display();
    let own = folder.path().display();
    assert_eq!(
        (ended.code, ended.stderr.trim_end()),
        (
            3,
            &*format!(
                "ferricorn: error: {file}: no private copy of it can be made (in memory: File too large \
                 (os error 27); in /no/such/folder: No such file or directory (os error 2); in {own}: File \
                 too large (os error 27)), expected a place for one: allow `memfd_create` in the sandbox, \
                 or set TMPDIR to a folder where this user may write and run code"
            )
        )
    );
}
