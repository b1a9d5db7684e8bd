//! Frames that wait until it is known which of their second are the last.
//!
//! ```text
//!   bytes   ├─ frame ─┼─ frame ─┼─ entry ─┼─ frame ─┼ ...    as they will be in the file, in order
//!   frames  where, when, in which bucket, which of how many
//! ```
//!
//! Memory is bounded: when the bytes are many, frames that cannot be among the last any more are removed; if
//! that does not help, the second is over early, and a new part of it begins.

use super::limits::Limits;
use super::second::{Bucket, HeldPlace};
use crate::capture_file::writer::Writer;
use crate::error::Result;
use crate::time::Wall;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    frames: Vec<Waiting>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// None for a journal entry.
    place: Option<HeldPlace>,
    at: usize,
    length: usize,
    wall: Wall,
    original_len: u32,
}

impl Held {
    /// Bytes at which those are removed that are certain not to be kept.
    const MANY: usize = 48 << 20;
    /// Frames likewise: 20 MiB with their places.
    const MANY_FRAMES: usize = 400_000;

    /// True if there should be less of it.
    #[inline]
    pub(super) fn is_much(&self) -> bool {
        self.bytes.len() >= Self::MANY || self.frames.len() >= Self::MANY_FRAMES
    }

    /// What was appended to the bytes since `at`.
    pub(super) fn note(
        &mut self,
        at: usize,
        place: Option<HeldPlace>,
        wall: Wall,
        original_len: u32,
    ) {
        let length = self.bytes.len() - at;
        self.frames.push(Waiting { place, at, length, wall, original_len });
    }

    /// Removes what cannot be kept any more; true if that was half of it.
    pub(super) fn shrink(&mut self, buckets: &mut [Bucket], limits: &Limits) -> bool {
        let mut end = 0;
        let bytes = &mut self.bytes;
        self.frames.retain_mut(|frame| {
            if let Some(HeldPlace { bucket, ordinal }) = frame.place {
                let bucket = &mut buckets[bucket as usize];
                if !bucket.keeps(ordinal, limits) {
                    bucket.aside.add(frame.wall, frame.original_len);
                    return false;
                }
            }
            bytes.copy_within(frame.at..frame.at + frame.length, end);
            frame.at = end;
            end += frame.length;
            true
        });
        bytes.truncate(end);
        end < Self::MANY / 2 && self.frames.len() < Self::MANY_FRAMES / 2
    }

    /// Writes what is kept, in order, and forgets everything. The last frame before a hole says so.
    pub(super) fn release(
        &mut self,
        buckets: &mut [Bucket],
        limits: &Limits,
        out: &mut Writer,
        mut comment: impl FnMut(&Bucket, Wall) -> String,
    ) -> Result<()> {
        self.shrink(buckets, limits);
        for frame in &self.frames {
            let bytes = &self.bytes[frame.at..frame.at + frame.length];
            let Some(HeldPlace { bucket, ordinal }) = frame.place else {
                out.release_entry(bytes)?;
                continue;
            };
            let bucket = &buckets[bucket as usize];
            let hole = bucket.is_last_before_hole(ordinal, limits);
            let text = hole.then(|| comment(bucket, frame.wall));
            out.release(bytes, frame.wall, text.as_deref())?;
        }
        self.bytes.clear();
        self.frames.clear();
        Ok(())
    }
}
