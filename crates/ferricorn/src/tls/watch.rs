//! Watches the files of TLS and reloads them after a change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use super::{Tls, TlsConfig, log_reload};
use crate::lifecycle::{Lifecycle, Phase};

/// How long the files must stay unchanged before a reload, because a certificate and its key are seldom
/// replaced in one step.
const SETTLE: Duration = Duration::from_millis(500);

/// The metadata of all files, to notice changes. It follows links, because tools mostly replace those.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileStamps(Vec<Option<FileStamp>>);

#[derive(Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileStamps {
    pub(super) fn read(config: &TlsConfig) -> Self {
        let stamp = |path| {
            let found = fs::metadata(path).ok()?;
            Some(FileStamp {
                device: found.dev(),
                inode: found.ino(),
                size: found.size(),
                modified: (found.mtime(), found.mtime_nsec()),
            })
        };
        Self(config.files().map(stamp).collect())
    }
}

/// Looks for changed files every `interval` and reloads them, until the drain begins.
pub(crate) async fn watch(all: Vec<Tls>, interval: Duration, life: Arc<Lifecycle>) {
    let watching = async {
        loop {
            tokio::time::sleep(interval).await;
            for tls in &all {
                check(tls).await;
            }
        }
    };
    tokio::select! {
        () = watching => {}
        _ = life.until(Phase::Draining) => {}
    }
}

/// Reloads the files if they have changed and have then settled.
async fn check(tls: &Tls) {
    let look = || {
        let tls = tls.clone();
        // A file system may be slow, and a serving thread must not wait.
        tokio::task::spawn_blocking(move || {
            let now = FileStamps::read(&tls.0.config);
            (*tls.stamps() != now).then_some(now)
        })
    };
    let Ok(Some(mut before)) = look().await else {
        return;
    };
    loop {
        tokio::time::sleep(SETTLE).await;
        match look().await {
            Ok(Some(now)) if now == before => break,
            Ok(Some(now)) => before = now,
            // Another caller has reloaded the files, or they are back to what they were.
            _ => return,
        }
    }
    let tls = tls.clone();
    // The task can only fail by a panic, and the panic is logged.
    if let Ok(replaced) = tokio::task::spawn_blocking(move || tls.replace()).await {
        log_reload(&replaced);
    }
}
