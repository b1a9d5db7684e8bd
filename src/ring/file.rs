//! The ring file: the pool's pages in a file, so that what they hold outlives the process.
//!
//! ```text
//!   0        64 KiB              544 KiB             1 MiB
//!   │ magic   │ standing, place 0 │ standing, place 1 │ page 0 │ page 1 │ ...
//!   │ version, page size, pages                       │  chunks, as in memory (see `chunk`)
//! ```
//!
//! One dashcap has it at a time: it holds the file's lock (flock(2)), which the kernel releases however
//! the process ends. A file is never written over: it is made anew, by a name that nothing has, with all
//! its room obtained (so that a full file system is told at the start and never kills later), readable
//! and writable by its owner alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FallocateFlags, fallocate, fstatfs};

use super::metadata::{LaneName, RecordingMetadata};
use crate::error::{Error, Result};
use crate::ring::PAGE_SIZE;
use crate::sys::locked_file::LockedFile;

/// A ring file being written. Cloning gives a second hand on the same one.
#[derive(Debug, Clone)]
pub struct RingFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: LockedFile,
    told: Mutex<WrittenMetadata>,
}

/// What was written last.
#[derive(Debug)]
pub(super) struct WrittenMetadata {
    pub(super) number: u64,
    pub(super) standing: RecordingMetadata,
}

impl WrittenMetadata {
    /// Writes it into the place whose turn it is.
    pub(super) fn write(&mut self, file: &File) -> io::Result<()> {
        self.number += 1;
        let place = RingFile::PLACES[(self.number % 2) as usize];
        file.write_all_at(&self.standing.encode(self.number, RingFile::PLACE), place)
    }
}

/// What a file says of itself in its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHead {
    pub(super) version: u32,
    pub(super) page_size: u32,
    pub(super) pages: u64,
}

impl FileHead {
    const MAGIC: [u8; 8] = *b"DCring\r\n";
    /// Raised when a reader of the old one would misunderstand.
    pub(super) const VERSION: u32 = 1;
    /// Magic 8, version 4, page size 4, pages 8, CRC-32 of these 4.
    pub(super) const SIZE: usize = 28;

    /// Of a file with so many pages; none has a spool file.
    pub(super) fn of_pages(pages: u64) -> Self {
        Self { version: Self::VERSION, page_size: PAGE_SIZE as u32, pages }
    }

    pub(super) fn encode(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&Self::MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.page_size.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.pages.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// None if this is no ring file.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::SIZE] = bytes.first_chunk()?;
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| bytes[at + n]));
        let whole = bytes.starts_with(&Self::MAGIC) && number(24) == crc32fast::hash(&bytes[..24]);
        whole.then(|| Self {
            version: number(8),
            page_size: number(12),
            pages: u64::from(number(16)) | u64::from(number(20)) << 32,
        })
    }
}

impl RingFile {
    /// Where the pages begin.
    pub(super) const HEAD: u64 = 1 << 20;
    /// Where the two places for the standing begin, and how long each is.
    pub(super) const PLACES: [u64; 2] = [64 << 10, 544 << 10];
    pub(super) const PLACE: usize = 480 << 10;
    /// Frames are nobody else's business.
    const MODE: u32 = 0o600;
    /// File systems that are memory: `TMPFS_MAGIC`, `RAMFS_MAGIC`, `HUGETLBFS_MAGIC` (linux/magic.h).
    const IN_MEMORY: [u64; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];

    /// Makes the file, which must not be there yet.
    ///
    /// # Errors
    /// When it is there, or cannot be made.
    pub fn create(path: &Path, standing: RecordingMetadata) -> Result<Self> {
        let failed = |e: io::Error| Error::operation("make ring file", told(path), e);
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(Self::MODE)
            .open(path)
            .map_err(failed)?;
        let file = lock(file, path)?;
        if !is_in_memory(&file) {
            tracing::warn!(
                "{} lies on a disk: every frame is written there as well, and capture may wait for it; \
                 /run does not cost that",
                path.display()
            );
        }
        let told = Mutex::new(WrittenMetadata { number: 0, standing });
        Ok(Self(Arc::new(Inner { path: path.to_owned(), file, told })))
    }

    /// Obtains room for so many pages; from here on it is a ring file.
    pub(super) fn reserve(&self, pages: usize) -> io::Result<&LockedFile> {
        let Inner { file, .. } = &*self.0;
        file.write_all_at(&FileHead::of_pages(pages as u64).encode(), 0)?;
        self.told().write(file)?;
        let length = Self::HEAD + (pages * PAGE_SIZE) as u64;
        fallocate(&**file, FallocateFlags::empty(), 0, length)?;
        Ok(file)
    }

    /// Removes it: nothing was recorded into it.
    pub fn discard(&self) {
        if let Err(error) = fs::remove_file(self.path()) {
            tracing::warn!("cannot remove {}: {error}", self.path().display());
        }
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// These lanes will be written to.
    pub fn enroll(&self, lanes: impl IntoIterator<Item = LaneName>) {
        self.note(|standing| standing.lanes.extend(lanes));
    }

    /// Writes how the recording stands, as `change` makes it.
    pub fn note(&self, change: impl FnOnce(&mut RecordingMetadata)) {
        let mut told = self.told();
        change(&mut told.standing);
        if let Err(error) = told.write(&self.0.file) {
            tracing::warn!("cannot write to {}: {error}", self.path().display());
        }
    }

    /// A standing is changed as a whole, so a poisoned one is whole.
    fn told(&self) -> MutexGuard<'_, WrittenMetadata> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn lock(file: File, path: &Path) -> Result<LockedFile> {
    LockedFile::lock(file).map_err(|refused| match refused {
        TryLockError::WouldBlock => in_use(path),
        TryLockError::Error(e) => Error::operation("lock ring file", told(path), e),
    })
}

pub(super) fn in_use(path: &Path) -> Error {
    Error::operation("lock ring file", told(path), "another dashcap uses it")
        .hint("give each its own --ring-file; `dashcap snapshot` asks the one that records")
}

pub(super) fn told(path: &Path) -> String {
    path.display().to_string()
}

fn is_in_memory(file: &File) -> bool {
    // The type has another width on every architecture; the magic numbers have 32 bits.
    fstatfs(file).is_ok_and(|fs| RingFile::IN_MEMORY.contains(&((fs.f_type as u64) & 0xffff_ffff)))
}
