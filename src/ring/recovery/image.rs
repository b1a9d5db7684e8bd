//! The pages of a ring file, read one by one with pread(2). They are never mapped: a file that is cut short
//! while it is mapped ends the process (SIGBUS, mmap(2)), and what is read here may be anybody's.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use crate::ring::PAGE_SIZE;

/// What can be read at any place.
pub(crate) trait ReadAt {
    /// Reads from `at` on into `buffer`, and tells how much; zero at the end.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, at)
    }
}

impl ReadAt for &[u8] {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

/// The pages of a ring file.
pub(crate) struct Image<'a> {
    source: &'a dyn ReadAt,
    /// Where they begin.
    head: u64,
    /// How many the file says it has.
    promised: u64,
    /// How many it has room for, the last one perhaps in part.
    there: usize,
}

impl<'a> Image<'a> {
    /// The pages of a file of `length` bytes that begin behind `head` bytes, `promised` of them.
    pub(crate) fn new(source: &'a dyn ReadAt, length: u64, head: u64, promised: u64) -> Self {
        let room = length.saturating_sub(head).div_ceil(PAGE_SIZE as u64);
        let there = usize::try_from(room.min(promised)).unwrap_or(usize::MAX);
        Self { source, head, promised, there }
    }

    /// Pages that can be asked for.
    pub(crate) fn pages(&self) -> usize {
        self.there
    }

    /// Pages for which the file is too short.
    pub(crate) fn absent(&self) -> u64 {
        self.promised - self.there as u64
    }

    /// A page, or as much of it as is there.
    pub(crate) fn page(&self, number: usize) -> Bytes {
        let at = self.head + (number * PAGE_SIZE) as u64;
        Bytes::from(bytes(self.source, at, PAGE_SIZE))
    }
}

/// What is there of `length` bytes from `at` on.
pub(crate) fn bytes(source: &dyn ReadAt, at: u64, length: usize) -> Vec<u8> {
    let (mut read, mut filled) = (vec![0; length], 0);
    while filled < length {
        match source.read_at(&mut read[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::warn!("cannot read from a ring file at byte {at}: {error}");
                break;
            }
        }
    }
    read.truncate(filled);
    read
}
