//! Following a lane: one segment after the other, from some moment on and for as long as somebody wants, without
//! a frame missing or coming twice, and without holding more than one segment.
//!
//! ```text
//!   sealed   [5][6][7+8 packed][9]   open [10..
//!                     └ position: the next one is number 8, and 4,711 frames came before it
//! ```
//!
//! A reader that is too slow finds segments gone: since each knows how many frames came before it, the number of
//! those that were missed is exact.

use std::sync::Arc;

use super::Lane;
use crate::frame::StoredFrame;
use crate::ring::segment::{Frames, Pinned, Segment};
use crate::time::Mono;

/// Where a reader of a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At the first frame that is not older.
    From(Mono),
    /// Behind a segment.
    Behind {
        /// Number of the next segment.
        next: u64,
        /// Frames and copies the lane stored before it.
        passed: u64,
    },
}

/// What comes next in a lane.
pub struct Followed {
    /// Its frames in order of arrival; none when the reader has all that was stored so far. Pins the segment while
    /// it lives.
    pub frames: Option<Frames>,
    /// Where the reader stands behind them.
    pub position: Position,
    /// Frames and copies before them that were evicted before the reader came to them.
    pub missed: u64,
    /// Nothing stored since then was evicted.
    pub complete_from: Mono,
}

/// Frames of a segment that stays as long as they are read. Unpacked when the first one is asked for: by the
/// reader, not by the capture thread.
struct PinnedFrames {
    pinned: Pinned,
    frames: Option<Frames>,
}

impl Iterator for PinnedFrames {
    type Item = StoredFrame;

    fn next(&mut self) -> Option<StoredFrame> {
        let Self { pinned, frames } = self;
        frames.get_or_insert_with(|| pinned.frames()).next()
    }
}

impl Lane {
    /// The next segment for a reader at `position`. Seals what is open if there is nothing else.
    pub fn follow(&mut self, position: Position) -> Followed {
        if self.segment_at(position).is_none() {
            self.seal();
        }
        let complete_from = self.complete_from;
        let Some(segment) = self.segment_at(position).map(Arc::clone) else {
            return Followed { frames: None, position, missed: 0, complete_from };
        };
        let (next, passed) = match position {
            Position::From(_) => {
                let first = segment.parts().first();
                first.map_or((0, 0), |part| (part.summary.sequence, part.before))
            }
            Position::Behind { next, passed } => (next, passed),
        };
        let (mut missed, mut behind) = (0, (next, passed));
        for part in segment.parts().iter().filter(|part| part.summary.sequence >= next) {
            missed += part.before.saturating_sub(behind.1);
            behind = (part.summary.sequence + 1, part.before + part.stored());
        }
        let frames = PinnedFrames { pinned: segment.pinned_part(next..=u64::MAX), frames: None };
        Followed {
            frames: Some(Box::new(frames)),
            position: Position::Behind { next: behind.0, passed: behind.1 },
            missed,
            complete_from,
        }
    }

    /// The oldest sealed segment that has something for a reader there.
    fn segment_at(&self, position: Position) -> Option<&Arc<Segment>> {
        let sealed = &self.sealed;
        let at = match position {
            // In order, but for frames of several processors that crossed each other by microseconds: then a
            // segment may begin before its predecessor ends.
            Position::From(from) => {
                let at = sealed.partition_point(|segment| segment.last() < from);
                let earlier = sealed.iter().take(at).rev();
                at - earlier.take_while(|segment| segment.last() >= from).count()
            }
            Position::Behind { next, .. } => {
                sealed.partition_point(|segment| segment.sequences().1 < next)
            }
        };
        sealed.get(at)
    }
}
