//! Gives memory back to the system after a burst.

use std::time::Duration;

/// How often the process looks at its memory. A burst is given back after at most twice this time.
const INTERVAL: Duration = Duration::from_secs(3);

/// The process gives memory back once it holds this much more than after the last time, in pages of 4 KiB:
/// 8 MiB. Less is not worth the work.
const WORTH_IT: u64 = 8 * 256;

/// Lets the process give memory back from now on, with a thread of its own.
pub(crate) fn keep_low() {
    asgi_abi::heap::return_large_blocks();
    // Without the thread, memory of a burst stays in the process. That is no reason not to serve.
    let _ = std::thread::Builder::new()
        .name("memory".to_owned())
        .spawn(|| {
            let mut trimmer = Trimmer::default();
            loop {
                std::thread::sleep(INTERVAL);
                let Some(pages) = resident_pages() else {
                    return;
                };
                if trimmer.look(pages) {
                    asgi_abi::heap::trim();
                    trimmer.trimmed(resident_pages().unwrap_or(pages));
                }
            }
        });
}

/// Decides when to give memory back.
#[derive(Debug, Default)]
struct Trimmer {
    /// How much the process held after the last time.
    least: u64,
    /// How much it held at the last look.
    last: u64,
}

impl Trimmer {
    /// Whether to give memory back now: the process holds much more than after the last time, and a burst is
    /// over, for it holds no more than at the last look.
    fn look(&mut self, pages: u64) -> bool {
        let grows = pages > std::mem::replace(&mut self.last, pages);
        self.least = self.least.min(pages);
        !grows && pages >= self.least + WORTH_IT
    }

    fn trimmed(&mut self, pages: u64) {
        self.least = pages;
        self.last = pages;
    }
}

fn resident_pages() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Trimmer, WORTH_IT};

    #[test]
    fn memory_is_given_back_once_after_a_burst() {
        let mut trimmer = Trimmer::default();
        trimmer.trimmed(2_000);
        assert!(!trimmer.look(2_000), "nothing has grown");
        assert!(!trimmer.look(2_000 + WORTH_IT - 1));
        assert!(!trimmer.look(2_000 + WORTH_IT - 1), "little has grown");
        assert!(!trimmer.look(90_000), "it still grows");
        assert!(trimmer.look(90_000));
        // Most of it was in use.
        trimmer.trimmed(80_000);
        assert!(!trimmer.look(80_000), "there is nothing more to give");
        // Later less is in use, and then a smaller burst comes.
        assert!(!trimmer.look(10_000));
        assert!(!trimmer.look(20_000));
        assert!(trimmer.look(20_000));
    }
}
