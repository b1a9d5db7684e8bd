//! Frames of several tracks in one order.
//!
//! Merged by **monotonic** time, because the wall clock may step inside an incident and would then
//! shuffle interfaces into each other; what is printed stays the wall stamp the kernel gave, so after a
//! backward step the times in the file go back, at the place where it happened. The order of a track is
//! never changed, even where its stamps are not in order: frames leave as they arrived.
//!
//! ```text
//!   eth0   1 ──── 4 ─ 5 ─────── 9          heads: the next frame of each track
//!   eth1   ── 2 ─────── 6 ─ 7 ───          the earliest head leaves, its track moves up
//!   merged 1  2   4   5 6   7   9
//! ```
//!
//! Holds one frame per track, whatever their number of frames. Equal times leave in the order of the
//! tracks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::frame::StoredFrame;
use crate::time::Mono;

/// Yields the frames of all tracks, each with the number of its track.
#[derive(Debug)]
pub struct Merge<I> {
    tracks: Vec<I>,
    heads: Vec<Option<StoredFrame>>,
    order: BinaryHeap<Reverse<(Mono, usize)>>,
}

impl<I: Iterator<Item = StoredFrame>> Merge<I> {
    /// Merges these tracks.
    pub fn new(mut tracks: Vec<I>) -> Self {
        let heads: Vec<_> = tracks.iter_mut().map(Iterator::next).collect();
        let order = heads
            .iter()
            .enumerate()
            .filter_map(|(track, head)| Some(Reverse((head.as_ref()?.mono, track))))
            .collect();
        Self { tracks, heads, order }
    }
}

impl<I: Iterator<Item = StoredFrame>> Iterator for Merge<I> {
    type Item = (usize, StoredFrame);

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((_, track)) = self.order.pop()?;
        let next = self.tracks[track].next();
        if let Some(frame) = &next {
            self.order.push(Reverse((frame.mono, track)));
        }
        let frame = std::mem::replace(&mut self.heads[track], next)?;
        Some((track, frame))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::incident::fixture;

    /// What leaves: (track, mono), for tracks given by their frames' monotonic times.
    fn merged(tracks: &[&[u64]]) -> Vec<(usize, u64)> {
        let origin = Arc::new(fixture::origin("eth0", 1));
        let frames = |times: &[u64]| -> Vec<StoredFrame> {
            times.iter().map(|&at| fixture::frame(&origin, Mono(at), b"x")).collect()
        };
        let tracks = tracks.iter().map(|times| frames(times).into_iter()).collect();
        Merge::new(tracks).map(|(track, frame)| (track, frame.mono.0)).collect()
    }

    #[test]
    fn the_earliest_leaves_and_each_track_keeps_its_order() {
        assert_eq!(merged(&[]), []);
        assert_eq!(merged(&[&[], &[]]), []);
        assert_eq!(merged(&[&[1, 4, 5], &[2, 6]]), [(0, 1), (1, 2), (0, 4), (0, 5), (1, 6)]);
        assert_eq!(merged(&[&[3], &[3], &[3]]), [(0, 3), (1, 3), (2, 3)], "ties by track");
        assert_eq!(merged(&[&[1, 9, 2], &[5]]), [(0, 1), (1, 5), (0, 9), (0, 2)], "out of order");
    }
}
