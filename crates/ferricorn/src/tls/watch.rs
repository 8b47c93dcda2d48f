//! Notices that files have changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use super::{Tls, TlsConfig, log_reload};
use crate::server::{Lifecycle, Phase};

/// A certificate and its key are seldom replaced in one step: what has changed is read when nothing
/// has changed for so long.
const SETTLE: Duration = Duration::from_millis(500);

/// What files look like from the outside. Links are followed, for they are what is replaced mostly.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<FileStamp>>);

#[derive(Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn take(config: &TlsConfig) -> Self {
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

/// Reloads what has changed, until the drain begins. Looks every `interval`.
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

async fn check(tls: &Tls) {
    let look = || {
        let tls = tls.clone();
        // A file system may be slow, and a thread that serves must not wait.
        tokio::task::spawn_blocking(move || {
            let now = Stamp::take(&tls.0.config);
            (*tls.seen() != now).then_some(now)
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
            // Somebody else has reloaded them.
            _ => return,
        }
    }
    let tls = tls.clone();
    // It can only fail by a panic, which is in the log then.
    if let Ok(replaced) = tokio::task::spawn_blocking(move || tls.replace()).await {
        log_reload(&replaced);
    }
}
