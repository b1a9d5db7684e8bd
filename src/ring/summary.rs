//! What a segment says of itself without being read: its lane, its clocks, its first and last stamp, its
//! frames.

use crate::time::{Mono, Offset, Wall};

/// Number of a lane within a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u16);

/// What a segment says of itself without being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentSummary {
    pub(super) lane: LaneId,
    pub(super) sequence: u64,
    pub(super) offset: Offset,
    pub(super) first: Wall,
    pub(super) last: Wall,
    pub(super) frames: u32,
    pub(super) folded: u64,
    /// Of the frames, those that were cut to their headers.
    pub(super) faded: u32,
}

impl SegmentSummary {
    /// Of a segment without frames.
    pub(super) fn empty(lane: LaneId, sequence: u64, offset: Offset) -> Self {
        let (first, last) = (Wall(u64::MAX), Wall(0));
        Self { lane, sequence, offset, first, last, frames: 0, folded: 0, faded: 0 }
    }

    /// Of several in a row, oldest first, as if they were one; none of none.
    pub(super) fn joined(mut each: impl Iterator<Item = Self>) -> Option<Self> {
        let mut all = each.next()?;
        for next in each {
            all.first = all.first.min(next.first);
            all.last = all.last.max(next.last);
            all.frames = all.frames.saturating_add(next.frames);
            all.folded = all.folded.saturating_add(next.folded);
            all.faded = all.faded.saturating_add(next.faded);
        }
        Some(all)
    }

    pub(super) fn first(&self) -> Mono {
        self.offset.mono(self.first)
    }

    pub(super) fn last(&self) -> Mono {
        self.offset.mono(self.last)
    }
}
