//! Opens a private copy of a library, which no other process can write to.
//!
//! `cp` over a loaded library changes the code of the processes that run it, and a truncated library
//! kills them. The copy is a file in memory. A sandbox may forbid those (`memfd_create`), or forbid to run
//! code in them; then the copy is a file on disk that has no name any more.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use libloading::os::unix::Library as OpenLibrary;
use rustix::fs::{MemfdFlags, memfd_create};

use super::error::LoadProblem;
use super::{dlopen, elf};

/// What the system's loader says if the file system does not allow to run code.
const NO_EXECUTION: &str = "failed to map segment";

/// Where a copy can be.
enum CopyPlace {
    Memory,
    Folder(PathBuf),
}

/// Copies the library that begins with `head`, and opens the copy.
pub(super) fn open_copy(
    path: &Path,
    head: &[u8],
    file: &mut File,
) -> Result<OpenLibrary, LoadProblem> {
    let mut places = vec![CopyPlace::Memory, CopyPlace::Folder(std::env::temp_dir())];
    let own_folder = std::path::absolute(path)?;
    places.extend(
        own_folder
            .parent()
            .map(|folder| CopyPlace::Folder(folder.to_owned())),
    );
    let mut tried = Vec::new();
    for place in places {
        let copied = place
            .make_file(path)
            .and_then(|copy| fill(copy, head, file));
        let (copy, len) = match copied {
            Ok(copied) => copied,
            Err(error) => {
                tried.push(format!("{}: {error}", place.name()));
                continue;
            }
        };
        // The length is that of the copy: another process may still write to the file.
        elf::check_end(head, len)?;
        let copy_path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let opened = dlopen(Path::new(&copy_path));
        // Never closed. The system's loader identifies a library by its path. If the number of this
        // descriptor were used again, the loader would take a second library for this one. A backtrace
        // also reads its line numbers from this file.
        std::mem::forget(copy);
        match opened {
            Err(error) if error.contains(NO_EXECUTION) => {
                tried.push(format!("{}: no code may run there", place.name()));
            }
            opened => {
                return opened.map_err(|error| LoadProblem::from_dlopen(&copy_path, &error));
            }
        }
    }
    Err(LoadProblem::NoCopy { tried })
}

/// Writes the whole library into a file. Returns the file and its length.
fn fill(mut copy: File, head: &[u8], file: &mut File) -> io::Result<(File, u64)> {
    copy.write_all(head)?;
    let head_len = head.len() as u64;
    file.seek(SeekFrom::Start(head_len))?;
    let rest = io::copy(file, &mut copy)?;
    Ok((copy, head_len + rest))
}

impl CopyPlace {
    fn make_file(&self, library: &Path) -> io::Result<File> {
        let name = library.file_name().unwrap_or_default();
        match self {
            Self::Memory => Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?)),
            Self::Folder(folder) => {
                let mut own_name = name.to_owned();
                own_name.push(format!(".{}.copy", std::process::id()));
                let path = folder.join(own_name);
                // Fails if the file exists: this never follows a link that another user has put there.
                let copy = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .mode(0o700)
                    .open(&path)?;
                remove_file(&path)?;
                Ok(copy)
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Memory => "in memory".to_owned(),
            Self::Folder(folder) => format!("in {}", folder.display()),
        }
    }
}
