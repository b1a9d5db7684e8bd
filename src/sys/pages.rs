//! One memory mapping cut into equal pages that are handed out and come back by themselves.
//!
//! ```text
//!  mapping   │ page 0 │ page 1 │ page 2 │ ...                        │ page N-1 │
//!                  │
//!                  ├── Chunk 0..700 ──┬── Chunk 704..65536 ──┐   a page may be split; every chunk is
//!                  │  (frozen, read)  │  (being written)     │   the only owner of its bytes
//!                  └──── Lease: when the last chunk of a page is dropped, the page is free again ─┘
//! ```
//!
//! Taking and returning a page is lock-free and makes no system call.
//!
//! The mapping is anonymous, or that of a file, whose bytes outlive the process however it ends. So that
//! they can be walked then, the first bytes of a chunk that nobody owns any more say so, and how long it
//! is ([`Chunk::VACANT`]).

use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::sys::locked_file::LockedFile;

/// How to ask the kernel for the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Bytes of one page; a multiple of the machine's.
    pub page_size: usize,
    /// Number of pages.
    pub pages: usize,
    /// Lock them into memory (mlock(2)), so that they are never swapped out.
    pub lock: bool,
}

/// How many pages somebody holds. Cloning gives a second hand on the same account.
#[derive(Debug, Clone, Default)]
pub struct PageCount(Arc<AtomicUsize>);

impl PageCount {
    /// Pages taken for this account that have not come back yet.
    pub fn pages(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The mapping and its free pages. Cloning gives a second hand on the same one.
#[derive(Debug, Clone)]
pub struct Pages(Arc<Mapping>);

#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    length: usize,
    page_size: usize,
    /// Numbers of free pages, on their way from who gives one back to who takes one next.
    free: Receiver<usize>,
    back: Sender<usize>,
    /// What is written stays as it is, also when nobody owns it any more: of anonymous memory nobody sees it.
    keeps: AtomicBool,
    in_file: bool,
}

// SAFETY: `base` points to memory that belongs to this mapping alone (a file by its
// lock); bytes are reached only through chunks, each the single owner of its range.
unsafe impl Send for Mapping {}
// SAFETY: as above; the shared part of a mapping is the queue, which is Sync itself.
unsafe impl Sync for Mapping {}

impl Pages {
    /// Maps anonymous memory and touches every page of it, so that no page fault is left for later.
    ///
    /// # Errors
    /// When the kernel refuses the memory or the lock.
    pub fn map(request: Request) -> io::Result<Self> {
        Self::establish(request, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// Maps `file` from `offset` on, a multiple of the machine's page size, and touches every page of it.
    /// The file must have room for all of them (fallocate(2)); its lock keeps others away.
    ///
    /// # Errors
    /// When the kernel refuses the mapping or the lock.
    pub fn map_file(request: Request, file: &LockedFile, offset: u64) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Self::establish(request, libc::MAP_SHARED, file.as_raw_fd(), offset)
    }

    fn establish(
        request: Request,
        flags: libc::c_int,
        fd: libc::c_int,
        offset: libc::off_t,
    ) -> io::Result<Self> {
        let length = request.page_size.checked_mul(request.pages).filter(|l| *l > 0);
        let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let (back, free) = bounded(request.pages);
        for page in 0..request.pages {
            // The queue has room for every page, so this cannot fail.
            let _ = back.try_send(page);
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing; `fd` is open, or
        // not looked at.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, fd, offset) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(io::Error::last_os_error)?;
        let in_file = fd >= 0;
        let keeps = AtomicBool::new(!in_file);
        let page_size = request.page_size;
        let mapping = Mapping { base, length, page_size, free, back, keeps, in_file };
        mapping.prepare(request)?;
        Ok(Self(Arc::new(mapping)))
    }

    /// A whole free page for `account`, zeroed only when it was never used; none when all are taken.
    pub fn take(&self, account: &PageCount) -> Option<Chunk> {
        let page = self.0.free.try_recv().ok()?;
        account.0.fetch_add(1, Ordering::Relaxed);
        let lease =
            Arc::new(Lease { mapping: Arc::clone(&self.0), page, account: account.clone() });
        Some(Chunk { start: 0, end: self.0.page_size, lease })
    }

    /// The end: what is owned now is not marked vacant any more when it is dropped, so that a file shows it
    /// as it was.
    pub fn keep(&self) {
        self.0.keeps.store(true, Ordering::Relaxed);
    }

    /// Pages that can be taken now.
    pub fn free(&self) -> usize {
        self.0.free.len()
    }
}

impl Mapping {
    fn prepare(&self, request: Request) -> io::Result<()> {
        // SAFETY: the range is this mapping; the advice changes no content. A kernel without huge pages
        // refuses, and small ones serve as well.
        unsafe { libc::madvise(self.base.as_ptr().cast(), self.length, libc::MADV_HUGEPAGE) };
        // SAFETY: the range is this mapping; prefaulting for writing changes no content.
        let touched = unsafe {
            libc::madvise(self.base.as_ptr().cast(), self.length, libc::MADV_POPULATE_WRITE)
        };
        if touched < 0 {
            let error = io::Error::last_os_error();
            // Kernels before 5.14 do not know the advice: touch the pages by hand.
            if error.raw_os_error() != Some(libc::EINVAL) {
                return Err(error);
            }
            // SAFETY: the range is this mapping and nobody else has seen it yet.
            unsafe { std::ptr::write_bytes(self.base.as_ptr(), 0, self.length) };
        }
        if request.lock {
            // SAFETY: the range is this mapping; munmap undoes the lock.
            let locked = unsafe { libc::mlock(self.base.as_ptr().cast(), self.length) };
            if locked < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `Pages::map`, and every chunk that could reach it held an Arc
        // on this mapping, so none is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

/// Returns its page when the last chunk of the page is gone.
#[derive(Debug)]
struct Lease {
    mapping: Arc<Mapping>,
    page: usize,
    account: PageCount,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Only pages taken from the queue come back, so there is room.
        let _ = self.mapping.back.try_send(self.page);
        self.account.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A run of bytes of one page, owned by nobody else. Frozen into [`bytes::Bytes`], it is shared.
#[derive(Debug)]
pub struct Chunk {
    lease: Arc<Lease>,
    start: usize,
    end: usize,
}

impl Chunk {
    /// What stands at the beginning of a chunk that nobody owns any more, or nobody wrote to yet, read as
    /// a number on a little-endian machine; its length in bytes follows, 32 bits as well.
    pub const VACANT: u32 = u32::from_le_bytes(*b"DCno");

    /// True if its bytes outlive the process.
    pub fn is_in_file(&self) -> bool {
        self.lease.mapping.in_file
    }

    /// Stores `value`, little-endian, at `at`, a multiple of four: whoever looks at this memory when the
    /// process has died in between sees it only if he sees everything that was written before, too.
    ///
    /// # Panics
    /// When `at` is no multiple of four, seen from the beginning of the page, or beyond the chunk.
    #[inline]
    pub fn publish(&mut self, at: usize, value: u32) {
        let word = self[at..at + size_of::<u32>()].as_mut_ptr().cast::<u32>();
        assert!(word.is_aligned(), "published at {at}");
        // SAFETY: the four bytes belong to this chunk, which `&mut self` makes ours alone, and are
        // aligned; the reference ends here.
        let word = unsafe { AtomicU32::from_ptr(word) };
        word.store(value.to_le(), Ordering::Release);
    }

    /// Says in its first bytes, with one store, that nothing is here.
    fn vacate(&mut self) {
        let length = self.len();
        let mark = self.first_byte().cast::<u64>();
        if length < size_of::<u64>() || !mark.is_aligned() {
            return;
        }
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        // SAFETY: the eight bytes belong to this chunk, which `&mut self` makes ours alone, and are
        // aligned; the reference ends here.
        let mark = unsafe { AtomicU64::from_ptr(mark) };
        mark.store((u64::from(Self::VACANT) | u64::from(length) << 32).to_le(), Ordering::Release);
    }

    /// Keeps the bytes before `at` and gives away those from `at` on; all of them when `at` is beyond.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        let middle = self.start + at.min(self.end - self.start);
        let mut rest = Self { lease: Arc::clone(&self.lease), start: middle, end: self.end };
        self.end = middle;
        rest.vacate();
        rest
    }

    fn first_byte(&self) -> *mut u8 {
        let offset = self.lease.page * self.lease.mapping.page_size + self.start;
        // SAFETY: `page` came from the queue, so it is below the number of pages, and `start` is within
        // the page: the result is inside the mapping or one past its end.
        unsafe { self.lease.mapping.base.as_ptr().add(offset) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if !self.lease.mapping.keeps.load(Ordering::Relaxed) {
            self.vacate();
        }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: start..end lies within the page, the mapping is initialised (zeroed by the kernel) and
        // outlives the lease; only this chunk reaches these bytes, and `&self` forbids writing them.
        unsafe { slice::from_raw_parts(self.first_byte(), self.end - self.start) }
    }
}

impl DerefMut for Chunk {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `&mut self` makes this the only reference.
        unsafe { slice::from_raw_parts_mut(self.first_byte(), self.end - self.start) }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(count: usize) -> Pages {
        let request = Request { page_size: 4096, pages: count, lock: false };
        Pages::map(request).unwrap()
    }

    #[test]
    fn pages_come_back_when_their_last_chunk_is_dropped() {
        let (pages, account) = (pages(2), PageCount::default());
        let mut first = pages.take(&account).unwrap();
        let second = pages.take(&account).unwrap();
        assert!(pages.take(&account).is_none());
        let rest = first.split_off(1000);
        assert_eq!((first.len(), rest.len()), (1000, 3096));
        drop(first);
        assert_eq!((pages.free(), account.pages()), (0, 2));
        drop(rest);
        assert_eq!((pages.free(), account.pages()), (1, 1));
        drop(second);
        assert_eq!((pages.free(), account.pages()), (2, 0));
    }

    #[test]
    fn chunks_of_a_page_do_not_overlap() {
        let (pages, account) = (pages(1), PageCount::default());
        let mut front = pages.take(&account).unwrap();
        let mut back = front.split_off(10);
        let mut nothing = back.split_off(9999);
        front.fill(1);
        back.fill(2);
        nothing.fill(3);
        assert!(front.iter().all(|b| *b == 1) && back.iter().all(|b| *b == 2));
        assert!(nothing.is_empty());
    }

    #[test]
    fn a_file_keeps_what_was_written_and_says_what_nobody_owns() {
        let file = LockedFile::lock(tempfile::tempfile().unwrap()).unwrap();
        file.set_len(4 * 4096).unwrap();
        let request = Request { page_size: 4096, pages: 3, lock: false };
        let (pages, account) =
            (Pages::map_file(request, &file, 4096).unwrap(), PageCount::default());
        let mut chunk = pages.take(&account).unwrap();
        chunk[..8].copy_from_slice(b"whatever");
        chunk.publish(4, u32::from_le_bytes(*b"this"));
        let rest = chunk.split_off(64);
        let read = |at: u64| {
            let mut bytes = [0; 8];
            std::os::unix::fs::FileExt::read_exact_at(&*file, &mut bytes, 4096 + at).unwrap();
            bytes
        };
        assert_eq!(&read(0), b"whatthis");
        assert_eq!(read(64), *b"DCno\xc0\x0f\0\0");
        drop((chunk, rest));
        assert_eq!(read(0), *b"DCno\x40\0\0\0");
        drop(pages);
        assert_eq!(read(64), *b"DCno\xc0\x0f\0\0", "it outlives the mapping");
    }

    #[test]
    fn frozen_chunks_outlive_the_pool() {
        let bytes = {
            let (pages, account) = (pages(1), PageCount::default());
            let mut chunk = pages.take(&account).unwrap();
            chunk[..3].copy_from_slice(b"abc");
            bytes::Bytes::from_owner(chunk).slice(..3)
        };
        assert_eq!(&bytes[..], b"abc");
    }

    #[test]
    fn too_much_memory_is_an_error() {
        let request = Request { page_size: usize::MAX / 2, pages: 4, lock: false };
        assert!(Pages::map(request).is_err());
    }
}
