//! The fixed memory that all lanes share, and how they share it.
//!
//! Every lane has a quota. While memory is left, a lane may grow beyond its own; once only the reserve
//! is left, it lives off its own oldest segments. A lane within its quota may dip into the reserve, and
//! says that it *wants* those pages, which lanes beyond their quota then repay.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::file::RingFile;
use crate::error::{Error, Result};
use crate::ring::PAGE_SIZE;
use crate::sys::pages::{Chunk, PageCount, Pages, Request};

/// What the operator decides about the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions {
    /// Bytes for frames; rounded down to whole pages.
    pub memory: u64,
    /// Lock the memory, so that it is never swapped out.
    pub lock: bool,
}

impl PoolOptions {
    /// Least memory that makes sense: two segments for each of two interfaces.
    pub const MIN_MEMORY: u64 = 4 << 20;

    /// Accepts only what can be meant.
    ///
    /// # Errors
    /// When the memory is below [`Self::MIN_MEMORY`].
    pub fn check(&self) -> Result<()> {
        if self.memory < Self::MIN_MEMORY {
            return Err(Error::usage(
                "--memory",
                self.memory.to_string(),
                "the memory is at least 4MiB",
                "4MiB or more, such as 256MiB or 2GiB",
            ));
        }
        Ok(())
    }
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { memory: 256 << 20, lock: false }
    }
}

/// The pages and the accounts of who wants some. Cloning gives a second hand on the same pool.
#[derive(Debug, Clone)]
pub struct Pool {
    pages: Pages,
    total: usize,
    wanted: Arc<AtomicUsize>,
    chains: Arc<AtomicU64>,
}

impl Pool {
    /// The reserve is this part of all pages,
    const RESERVE: usize = 32;
    /// but so many pages at least, in which a segment finds room while it is packed,
    const LEAST_RESERVE: usize = 20;
    /// unless that is more than this part of a small memory.
    const MOST_RESERVE: usize = 8;
    /// Memory is scarce when beside the reserve less than this part of all pages is free: fading has a
    /// head start on eviction.
    const SCARCE: usize = 8;

    /// Obtains and touches the memory.
    ///
    /// # Errors
    /// When the options are out of range, or the machine has not that much memory available.
    pub fn new(options: &PoolOptions) -> Result<Self> {
        Self::obtain(options, Pages::map)
    }

    /// The same in a ring file, where the frames outlive the process.
    ///
    /// # Errors
    /// When the options are out of range, or the machine or the file system has not that much room.
    pub fn in_file(options: &PoolOptions, file: &RingFile) -> Result<Self> {
        Self::obtain(options, |request| {
            Pages::map_file(request, file.reserve(request.pages)?, RingFile::HEAD)
        })
    }

    fn obtain(
        options: &PoolOptions,
        map: impl FnOnce(Request) -> io::Result<Pages>,
    ) -> Result<Self> {
        options.check()?;
        let total = usize::try_from(options.memory).unwrap_or(usize::MAX) / PAGE_SIZE;
        let refused = |reason: String| {
            Error::operation("obtain", format!("{} bytes of memory", options.memory), reason)
                .hint("try a smaller --memory")
        };
        if let Some(available) = memory_available()
            && options.memory > available
        {
            return Err(refused(format!("the machine has {available} bytes available")));
        }
        let request = Request { page_size: PAGE_SIZE, pages: total, lock: options.lock };
        let pages = map(request).map_err(|e| refused(e.to_string()))?;
        Ok(Self { pages, total, wanted: Arc::default(), chains: Arc::default() })
    }

    /// The recording ends: what it holds stays readable in its file when it is dropped.
    pub(super) fn keep(&self) {
        self.pages.keep();
    }

    /// A number that no other chain of chunks of this pool has.
    pub(super) fn next_chain(&self) -> u64 {
        self.chains.fetch_add(1, Ordering::Relaxed)
    }

    /// All pages, taken or free.
    pub fn total_pages(&self) -> usize {
        self.total
    }

    /// Bytes obtained.
    pub fn obtained_bytes(&self) -> u64 {
        (self.total * PAGE_SIZE) as u64
    }

    /// Pages nobody holds.
    #[cfg(test)]
    pub(super) fn free_pages(&self) -> usize {
        self.pages.free()
    }

    /// Bytes that lanes may share as quotas: all but the reserve.
    pub fn quota_bytes(&self) -> u64 {
        ((self.total - self.reserve()) * PAGE_SIZE) as u64
    }

    fn reserve(&self) -> usize {
        let least = Self::LEAST_RESERVE.min(self.total / Self::MOST_RESERVE);
        (self.total / Self::RESERVE).max(least)
    }

    /// True while a lane beyond its quota may still grow.
    pub(super) fn has_spare(&self) -> bool {
        self.pages.free() > self.reserve()
    }

    pub(super) fn take(&self, account: &PageCount) -> Option<Chunk> {
        self.pages.take(account)
    }

    /// So many pages for packing, or none; a few are left to frames that arrive meanwhile.
    pub(super) fn take_to_pack(&self, count: usize, account: &PageCount) -> Option<Vec<Chunk>> {
        const LEFT: usize = 2;
        if self.pages.free() < count + LEFT {
            return None;
        }
        (0..count).map(|_| self.take(account)).collect()
    }

    /// True once packing is worth the trouble: before, memory is plentiful.
    pub(super) fn is_half_full(&self) -> bool {
        self.pages.free() < self.total / 2
    }

    /// True when evicting is near: time to fade.
    pub(super) fn is_scarce(&self) -> bool {
        self.pages.free() < self.reserve() + self.total / Self::SCARCE
    }

    /// A lane within its quota took a page of the reserve, or found none.
    pub(super) fn want(&self) {
        self.wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// True if a lane within its quota wants pages.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0
    }

    /// So many of the wanted pages are there now.
    pub(super) fn repay(&self, pages: usize) {
        let less = |wanted: usize| Some(wanted.saturating_sub(pages));
        // A closure that always answers is always obeyed.
        let _ = self.wanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Takes over the debt: pages that lanes within their quota want from those beyond theirs.
    pub(super) fn settle_debt(&self) -> usize {
        // Looked at on every tick of every lane: read before writing, so that nobody's cache line moves.
        if !self.is_wanted() {
            return 0;
        }
        self.wanted.swap(0, Ordering::Relaxed)
    }
}

/// `MemAvailable` of /proc/meminfo in bytes (proc_meminfo(5)); none where it cannot be read.
pub fn memory_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_obtains_whole_pages_and_refuses_nonsense() {
        let pool = Pool::new(&PoolOptions { memory: (5 << 20) + 7, lock: false }).unwrap();
        assert_eq!(pool.obtained_bytes(), 5 << 20);
        assert_eq!((pool.total_pages(), pool.free_pages()), (80, 80));
        assert_eq!(pool.quota_bytes(), 70 << 16, "an eighth of a small memory is kept in reserve");
        let tiny = Pool::new(&PoolOptions { memory: 1, lock: false }).unwrap_err();
        assert_eq!(tiny.exit_status(), 2, "{tiny}");
        let huge = Pool::new(&PoolOptions { memory: 1 << 60, lock: false }).unwrap_err();
        assert_eq!(huge.exit_status(), 1, "{huge}");
        assert!(huge.to_string().contains("smaller --memory"), "{huge}");
    }

    #[test]
    fn debt_is_settled_once() {
        let pool = Pool::new(&PoolOptions { memory: 4 << 20, lock: false }).unwrap();
        pool.want();
        pool.want();
        pool.want();
        pool.repay(1);
        assert!(pool.is_wanted());
        assert_eq!((pool.settle_debt(), pool.settle_debt()), (2, 0));
        pool.repay(1);
        assert!(!pool.is_wanted());
    }
}
