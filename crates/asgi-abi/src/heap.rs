//! Gives the memory of the process back to the system.
//!
//! The command calls this, and nothing else does. It is here because it needs unsafe code, and because an app
//! in a library shares the C library's heap with its server: another allocator in the server would not
//! cover what the app frees.

/// Tunes the heap of the process so that large blocks go back to the system when they are freed.
///
/// By itself, glibc learns from the first large block that is freed to keep such blocks, up to 32 MiB each
/// and 64 MiB at the end of each heap. After a burst of large messages, a server would keep hundreds of
/// megabytes. With other C libraries this does nothing.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `mallopt` takes two numbers, and may be called at any time.
        let set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
        debug_assert_eq!(set, 1, "glibc accepts a threshold up to 32 MiB");
    }
}

/// Returns the free pages of the heap to the system: those between blocks that are in use, too. This takes
/// milliseconds for each 100 MiB that are free, and other threads wait when they allocate meanwhile. With
/// other C libraries this does nothing.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: `malloc_trim` takes a number, and may be called at any time.
        unsafe { libc::malloc_trim(0) };
    }
}

/// Blocks of at least 1 MiB are mapped from the system and unmapped when they are freed. Buffers of a
/// connection are smaller and come from the heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 20;

#[cfg(test)]
mod tests {
    /// Resident memory of this process, in MiB.
    fn resident() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages / 256
    }

    #[test]
    #[cfg_attr(not(target_env = "gnu"), ignore = "only glibc has the call")]
    fn free_pages_between_blocks_in_use_go_back() {
        // Every other block stays, so the end of the heap is in use.
        let mut blocks: Vec<Vec<u8>> = (0..2_000).map(|_| vec![1; 64 * 1024]).collect();
        let mut at = 0;
        blocks.retain(|_| {
            at += 1;
            at % 20 == 0
        });
        let before = resident();
        super::trim();
        let after = resident();
        assert!(
            after + 60 < before,
            "{before} MiB before, {after} MiB after"
        );
        drop(blocks);
    }
}
