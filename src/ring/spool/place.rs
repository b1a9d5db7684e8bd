//! Where in a spool file a segment lies, and what it holds.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::ring::chunk::{ChunkHeader, Described};
use crate::sys::locked_file::LockedFile;

/// Where in a spool file a segment lies.
#[derive(Debug, Clone)]
pub(in crate::ring) struct SpoolPlace {
    file: Arc<LockedFile>,
    /// Where its header begins.
    at: u64,
    /// Bytes of its content.
    length: usize,
}

impl SpoolPlace {
    /// In `file`, from `at` on, with so many bytes of content.
    pub(in crate::ring) fn new(file: Arc<LockedFile>, at: u64, length: usize) -> Self {
        Self { file, at, length }
    }

    /// Bytes of content.
    pub(in crate::ring) fn length(&self) -> usize {
        self.length
    }

    /// The content, whole and unharmed.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written.
    pub(in crate::ring) fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; ChunkHeader::SIZE + self.length];
        self.file.read_exact_at(&mut bytes, self.at)?;
        let whole = Described::read(&bytes).is_some_and(|found| found.length == self.length);
        if !whole {
            return Err(io::Error::other("its copy in the spool file is not what was written"));
        }
        Ok(Bytes::from(bytes).slice(ChunkHeader::SIZE..))
    }
}
