//! The spool file: copies of segments on the disk, so that memory can be used again before a bundle is written.
//!
//! ```text
//!   0               1 MiB
//!   │ as a ring file │ header │ content │ header │ content │ ...      a header and its content: a segment,
//!   │ without pages  │  as of a chunk that is closed        │         plain or packed, as it was in memory
//! ```
//!
//! It only grows: what could not be made safe is written again at the same place. Each segment explains itself like a
//! chunk of a ring file and has its checksum, so that a later process can read what a dead one left.

pub(super) mod place;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use self::place::SpoolPlace;
use super::chunk::{ChunkHeader, State};
use super::file::{FileHead, RingFile, WrittenMetadata};
use super::metadata::RecordingMetadata;
use super::segment::{Pinned, Segment};
use crate::sys::locked_file::LockedFile;

/// A spool file being written.
#[derive(Debug)]
pub struct SpoolFile {
    file: Arc<LockedFile>,
    /// Where the next segment goes.
    end: u64,
    told: WrittenMetadata,
}

impl SpoolFile {
    /// Begins in an empty `file`, for a recording of which `standing` tells.
    ///
    /// # Errors
    /// When it cannot be written, or somebody else has its lock.
    pub fn begin(file: File, standing: RecordingMetadata) -> io::Result<Self> {
        let file = LockedFile::lock(file)?;
        file.write_all_at(&FileHead::of_pages(0).encode(), 0)?;
        let mut told = WrittenMetadata { number: 0, standing };
        told.write(&file)?;
        Ok(Self { file: Arc::new(file), end: RingFile::HEAD, told })
    }

    /// What a dead process left, of `length` bytes.
    pub(super) fn of_left(file: Arc<LockedFile>, length: u64) -> Self {
        let told = WrittenMetadata { number: 0, standing: RecordingMetadata::unknown() };
        Self { file, end: length, told }
    }

    /// Appends copies of these segments, which are safe when it returns.
    ///
    /// # Errors
    /// When the disk refuses; then it is as if nothing had been appended.
    pub fn write(&mut self, segments: &[Pinned]) -> io::Result<Vec<Arc<Segment>>> {
        let begin = self.end;
        let copies: io::Result<Vec<_>> =
            segments.iter().map(|pinned| self.append(&pinned.segment)).collect();
        copies.and_then(|copies| self.file.sync_data().map(|()| copies)).inspect_err(|_| {
            self.end = begin;
            // What is half there is only in the way of whoever needs room.
            let _ = self.file.set_len(begin);
        })
    }

    fn append(&mut self, segment: &Segment) -> io::Result<Arc<Segment>> {
        let content = segment.chunks()?;
        let nothing = || io::Error::other("a segment without frames");
        let (summary, origin) = segment.summary().zip(segment.origin()).ok_or_else(nothing)?;
        let (codec, at) = (segment.codec(), self.end);
        let header = ChunkHeader { summary: &summary, origin: &origin, codec, chain: at };
        let header = header.of_content(&content, 0, State::Last);
        for bytes in std::iter::once(&header[..]).chain(content.iter().map(|chunk| &chunk[..])) {
            self.file.write_all_at(bytes, self.end)?;
            self.end += bytes.len() as u64;
        }
        let length = content.iter().map(Bytes::len).sum();
        let place = SpoolPlace::new(Arc::clone(&self.file), at, length);
        Ok(Arc::new(Segment::spooled(segment.parts().into(), codec, place)))
    }

    /// Writes how the recording stands, as `change` makes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&mut self, change: impl FnOnce(&mut RecordingMetadata)) -> io::Result<()> {
        change(&mut self.told.standing);
        self.told.write(&self.file)
    }

    /// Bytes of segments in it.
    pub fn bytes(&self) -> u64 {
        self.end - RingFile::HEAD
    }
}

#[cfg(test)]
mod tests;
