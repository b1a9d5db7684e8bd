//! One class of one interface: where frames are appended, and what is evicted when memory runs out.
//!
//! A lane is owned by its capture thread. Whoever wants something of it (hold, slice) asks that thread,
//! so the lane needs no lock and an append waits for nobody. Appending allocates per page and per
//! segment, never per frame.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::fold::{FoldOptions, Folder, Storm, Verdict};
use super::pool::Pool;
use super::segment::{LaneId, OpenSegment, Segment};
use super::slice::Slice;
use crate::frame::{Frame, Origin};
use crate::sys::pages::Chunk;
use crate::time::{Mono, Offset, Window};

/// Names a hold, so that one incident cannot release another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldId(pub u64);

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is in the lane.
    Stored,
    /// It is a copy of a frame that comes fast, and was counted.
    Folded,
    /// There was no page that could be had without overwriting pinned evidence.
    Dropped,
}

/// What a lane counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneCounters {
    /// Frames appended.
    pub stored: u64,
    /// Their captured bytes.
    pub stored_bytes: u64,
    /// Bytes they took in the ring, with what is stored beside each.
    pub ring_bytes: u64,
    /// Of those, frames captured shorter than they were.
    pub truncated: u64,
    /// Copies of frames that were counted instead of kept.
    pub folded: u64,
    /// Frames for which no page could be had.
    pub dropped: u64,
    /// Stored and folded frames that were forgotten since.
    pub evicted: u64,
}

/// The history of one class on one interface.
#[derive(Debug)]
pub struct Lane {
    id: LaneId,
    pool: Pool,
    /// Pages this lane may hold when memory is scarce.
    quota: usize,
    origin: Arc<Origin>,
    open: Option<OpenSegment>,
    /// The rest of the last sealed segment's page.
    rest: Option<Chunk>,
    /// Pages for the frame being appended, empty in between.
    spare: Vec<Chunk>,
    sealed: VecDeque<Arc<Segment>>,
    /// Segments before this place were pinned when last looked at.
    pinned: usize,
    pages: usize,
    next_sequence: u64,
    /// Nothing stored since then was evicted.
    complete_from: Mono,
    holds: Vec<(HoldId, Mono)>,
    folder: Folder,
    counters: LaneCounters,
}

impl Lane {
    /// An open segment is sealed when it is this old, so that evidence in memory stays intact if the
    /// process dies, and eviction stays fine-grained.
    pub const SEAL_AGE: Duration = Duration::from_secs(1);
    /// Bounds the bookkeeping of a quiet lane, whose segments are a few hundred bytes each: at one
    /// segment a second and 256 MiB this is nine hours.
    const SEGMENTS_PER_PAGE: usize = 8;
    /// Of the pages a lane may fill, this part is kept for what comes after a trigger: evidence that is
    /// held cannot be overwritten, so a hold must leave room.
    const HOLD_PART: (usize, usize) = (3, 4);

    /// An empty lane that records from `now` on and may hold all of the pool.
    pub fn new(id: LaneId, pool: Pool, fold: FoldOptions, origin: Arc<Origin>, now: Mono) -> Self {
        Self {
            id,
            quota: pool.total_pages(),
            pool,
            origin,
            open: None,
            rest: None,
            spare: Vec::new(),
            sealed: VecDeque::new(),
            pinned: 0,
            pages: 0,
            next_sequence: 0,
            complete_from: now,
            holds: Vec::new(),
            folder: Folder::new(fold),
            counters: LaneCounters::default(),
        }
    }

    /// Frames come from `origin` from now on.
    pub fn begin(&mut self, origin: Arc<Origin>) {
        self.seal();
        self.origin = origin;
    }

    /// Bytes this lane may hold when memory is scarce.
    pub fn set_quota(&mut self, bytes: u64) {
        self.quota = usize::try_from(bytes).unwrap_or(usize::MAX) / Pool::PAGE_SIZE;
    }

    /// Appends a frame whose stamp has `offset` to the monotonic clock.
    #[inline]
    pub fn append(&mut self, frame: &Frame<'_>, offset: Offset) -> Appended {
        let captured = frame.captured_len();
        let arrival = offset.mono(frame.header.wall);
        if self.is_due(offset, arrival) {
            self.seal();
        }
        match self.folder.judge(frame, arrival, offset) {
            Verdict::Keep => {}
            Verdict::Folded => {
                self.counters.folded += 1;
                return Appended::Folded;
            }
            Verdict::Tell => {
                self.seal();
                return self.append(frame, offset);
            }
        }
        if !self.make_room(captured, offset) {
            self.counters.dropped += 1;
            return Appended::Dropped;
        }
        if let Some(open) = &mut self.open {
            open.append(frame, captured, &mut self.spare);
        }
        self.counters.stored += 1;
        self.counters.stored_bytes += captured as u64;
        self.counters.ring_bytes += (captured + OpenSegment::OVERHEAD) as u64;
        self.counters.truncated += u64::from(captured < frame.header.original_len as usize);
        Appended::Stored
    }

    /// To be called now and then also when no frames come: seals what is old, repays lent pages.
    pub fn tick(&mut self, now: Mono) {
        let untold = self.folder.untold().map(|(first, _)| first);
        let oldest = self.open.as_ref().map(OpenSegment::first).into_iter().chain(untold).min();
        if oldest.is_some_and(|oldest| now.since(oldest) >= Self::SEAL_AGE) {
            self.seal();
        }
        self.pinned = 0;
        if self.pages > self.quota {
            let surplus = self.pages - self.quota;
            let keep = self.pages - self.pool.settle_debt().min(surplus);
            while self.pages > keep && self.evict() {}
        }
    }

    /// Keeps everything from `from` on until the hold is released by [`Lane::slice`], as far as memory
    /// reaches and leaving room for what is still to come. Returns from when on that is.
    pub fn hold(&mut self, hold: HoldId, from: Mono) -> Mono {
        let (part, of) = Self::HOLD_PART;
        let open = self.open.as_ref().map_or(0, OpenSegment::pages);
        let mut room = (self.pages.max(self.quota) * part / of).saturating_sub(open);
        let mut from = from.max(self.complete_from);
        for segment in self.sealed.iter().rev().take_while(|s| s.last() >= from) {
            let Some(left) = room.checked_sub(segment.pages()) else {
                from = just_after(segment);
                break;
            };
            room = left;
        }
        self.holds.push((hold, from));
        from
    }

    /// References to everything in `window`; then the hold `release` ends.
    pub fn slice(&mut self, window: Window, release: Option<HoldId>) -> Slice {
        self.seal();
        // Frames of several processors may be out of order by microseconds, so segments may overlap:
        // each is looked at, none is searched for.
        let segments = self.sealed.iter().filter(|s| window.overlaps(s.first(), s.last()));
        let slice =
            Slice::new(window, window.from.max(self.complete_from), segments.cloned().collect());
        self.holds.retain(|(hold, _)| Some(*hold) != release);
        slice
    }

    /// The frames that are being folded, or were when they last came.
    pub fn storms(&self) -> impl Iterator<Item = Storm<'_>> {
        self.folder.storms()
    }

    /// What was counted so far.
    pub fn counters(&self) -> LaneCounters {
        self.counters
    }

    /// The moment from which on nothing stored was evicted.
    pub fn complete_from(&self) -> Mono {
        self.complete_from
    }

    /// Bytes of pages in use.
    #[cfg(test)]
    fn used_bytes(&self) -> u64 {
        ((self.pages + self.open.as_ref().map_or(0, OpenSegment::pages)) * Pool::PAGE_SIZE) as u64
    }

    /// Writes the tallies of all runs into the open segment, or a new one.
    #[cold]
    fn tell_runs(&mut self) {
        let Some((_, offset)) = self.folder.untold() else { return };
        for run in self.folder.tell() {
            let length = run.bytes.len() + OpenSegment::TALLY;
            if self.make_room(length, offset) {
                if let Some(open) = &mut self.open {
                    open.append_run(&run, &mut self.spare);
                }
                self.counters.ring_bytes += (length + OpenSegment::OVERHEAD) as u64;
            } else {
                self.counters.folded -= run.tally.count;
                self.counters.dropped += run.tally.count;
            }
        }
    }

    /// True if the open segment cannot take a frame that arrived at `arrival` on that clock.
    fn is_due(&self, offset: Offset, arrival: Mono) -> bool {
        self.open.as_ref().is_some_and(|open| {
            offset.stepped_from(open.offset()) || arrival.since(open.first()) >= Self::SEAL_AGE
        })
    }

    /// Makes sure that there is an open segment and all pages for `captured` bytes.
    #[inline]
    fn make_room(&mut self, captured: usize, offset: Offset) -> bool {
        match &self.open {
            Some(open) if pages_needed(open.room(), captured) == 0 => true,
            _ => self.make_room_anew(captured, offset),
        }
    }

    #[cold]
    fn make_room_anew(&mut self, captured: usize, offset: Offset) -> bool {
        if self.open.as_ref().is_some_and(OpenSegment::is_full) {
            self.seal();
        }
        let room = match (&self.open, &self.rest) {
            (Some(open), _) => open.room(),
            (None, Some(rest)) => OpenSegment::room_in(rest),
            (None, None) => 0,
        };
        for _ in 0..pages_needed(room, captured) {
            let Some(page) = self.take_page() else {
                self.spare.clear();
                return false;
            };
            self.spare.push(page);
        }
        if self.open.is_none() {
            self.open = self.begin_segment(offset);
        }
        self.open.is_some()
    }

    fn begin_segment(&mut self, offset: Offset) -> Option<OpenSegment> {
        let (chunk, fresh) = match self.rest.take() {
            Some(rest) => (rest, false),
            None => (self.spare.pop()?, true),
        };
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        Some(OpenSegment::new(self.id, sequence, Arc::clone(&self.origin), offset, chunk, fresh))
    }

    /// A page, at the cost of this lane's own oldest segments where memory is scarce.
    fn take_page(&mut self) -> Option<Chunk> {
        if !self.pool.has_spare() {
            if self.pages < self.quota {
                self.pool.want();
            }
            while self.pages >= self.quota && !self.pool.has_spare() {
                if !self.evict() {
                    return None;
                }
            }
        }
        loop {
            if let Some(page) = self.pool.take() {
                return Some(page);
            }
            if !self.evict() {
                return None;
            }
        }
    }

    /// Forgets the oldest segment that nobody pinned or holds; false if there is none.
    fn evict(&mut self) -> bool {
        while let Some(segment) = self.sealed.get(self.pinned) {
            if self.holds.iter().any(|(_, held)| segment.last() >= *held) {
                return false;
            }
            // A slice is the only other owner, and only this thread makes slices: a count of one cannot
            // rise behind our back.
            if Arc::strong_count(segment) > 1 {
                self.pinned += 1;
                continue;
            }
            self.pages = self.pages.saturating_sub(segment.pages());
            self.counters.evicted += u64::from(segment.frames()) + segment.folded();
            self.complete_from = self.complete_from.max(just_after(segment));
            self.sealed.remove(self.pinned);
            return true;
        }
        false
    }

    /// Seals the open segment, with everything that was counted and not told yet.
    fn seal(&mut self) {
        self.tell_runs();
        let Some(open) = self.open.take() else { return };
        let (segment, rest) = open.seal();
        self.rest = rest;
        self.pages += segment.pages();
        self.sealed.push_back(Arc::new(segment));
        if self.sealed.len() > self.pool.total_pages() * Self::SEGMENTS_PER_PAGE {
            self.evict();
        }
    }
}

fn pages_needed(room: usize, captured: usize) -> usize {
    OpenSegment::pages_needed(room, captured, Pool::PAGE_SIZE)
}

/// The first moment that the segment does not cover.
fn just_after(segment: &Segment) -> Mono {
    segment.last().plus(Duration::from_nanos(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pool::PoolOptions;
    use super::*;
    use crate::frame::{FrameHeader, LinkType, StampClock};
    use crate::time::Wall;

    const MIB: u64 = 1 << 20;
    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000_000_000;
    const FOREVER: Window = Window { from: Mono(0), to: Mono(u64::MAX) };

    fn pool(mebibytes: u64) -> Pool {
        Pool::new(&PoolOptions { memory: mebibytes * MIB, lock: false }).unwrap()
    }

    fn lane(pool: &Pool, id: u16) -> Lane {
        let origin = Origin {
            interface: format!("eth{id}"),
            index: u32::from(id),
            link_type: LinkType::ETHERNET,
            snaplen: 65535,
            clock: StampClock::Software,
        };
        Lane::new(LaneId(id), pool.clone(), FoldOptions::default(), Arc::new(origin), Mono(0))
    }

    /// Appends a frame that carries its number and arrives `mono` nanoseconds after boot.
    fn append(lane: &mut Lane, number: u64, mono: u64, length: usize) -> Appended {
        let mut bytes = vec![0xee; length.max(8)];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let header = FrameHeader {
            wall: Wall(mono),
            original_len: u32::try_from(bytes.len()).unwrap(),
            ..FrameHeader::default()
        };
        lane.append(&Frame::whole(header, &bytes), Offset(0))
    }

    fn numbers(slice: &Slice) -> Vec<u64> {
        let number = |frame: crate::frame::StoredFrame| {
            u64::from_le_bytes(frame.bytes[..8].try_into().unwrap())
        };
        slice.frames().map(number).collect()
    }

    #[test]
    fn the_newest_frames_survive_and_the_rest_is_counted() {
        let pool = pool(4);
        let mut lane = lane(&pool, 0);
        let total = 20_000;
        for n in 0..total {
            assert_eq!(append(&mut lane, n, n * MS, 1500), Appended::Stored);
        }
        let slice = lane.slice(FOREVER, None);
        let kept = numbers(&slice);
        let counters = lane.counters();
        assert_eq!(counters.stored, total);
        assert_eq!(counters.evicted + kept.len() as u64, total);
        assert_eq!(kept, (total - kept.len() as u64..total).collect::<Vec<_>>());
        assert!(kept.len() > 2_000, "memory is used: {}", kept.len());
        assert_eq!(slice.covered_from().0, (kept[0] - 1) * MS + 1, "from after the last evicted");
    }

    #[test]
    fn a_window_is_cut_to_the_frame() {
        let pool = pool(4);
        let mut lane = lane(&pool, 0);
        for n in 0..5_000 {
            append(&mut lane, n, n * MS, 100);
        }
        let window = Window { from: Mono(1_234 * MS), to: Mono(4_321 * MS) };
        let slice = lane.slice(window, None);
        assert_eq!(numbers(&slice), (1_234..=4_321).collect::<Vec<_>>());
        assert_eq!(slice.covered_from(), window.from);
    }

    #[test]
    fn pinned_evidence_is_never_overwritten() {
        let pool = pool(4);
        let mut lane = lane(&pool, 0);
        for n in 0..2_000 {
            append(&mut lane, n, n * MS, 1500);
        }
        let slice = lane.slice(FOREVER, None);
        let before = numbers(&slice);
        let mut dropped = 0;
        for n in 2_000..10_000 {
            dropped += u64::from(append(&mut lane, n, n * MS, 1500) == Appended::Dropped);
            lane.tick(Mono(n * MS));
        }
        assert_eq!(numbers(&slice), before);
        assert_eq!(lane.counters().dropped, dropped);
        drop(slice);
        lane.tick(Mono(10_000 * MS));
        assert_eq!(append(&mut lane, 10_000, 10_000 * MS, 1500), Appended::Stored);
    }

    #[test]
    fn a_hold_leaves_room_for_what_is_to_come() {
        let pool = pool(8);
        let mut lane = lane(&pool, 0);
        for n in 0..10_000 {
            append(&mut lane, n, n * MS, 1500);
        }
        let held = lane.hold(HoldId(0), Mono(0));
        assert!(held > lane.complete_from(), "not all of the memory is held");
        for n in 10_000..11_000 {
            assert_eq!(append(&mut lane, n, n * MS, 1500), Appended::Stored, "frame {n}");
        }
        let mut n = 11_000;
        while append(&mut lane, n, n * MS, 1500) == Appended::Stored {
            n += 1;
        }
        let slice = lane.slice(FOREVER, Some(HoldId(0)));
        assert!(slice.covered_from() <= held);
        let first = slice.covered_from().0.div_ceil(MS);
        assert_eq!(numbers(&slice), (first..n).collect::<Vec<_>>(), "nothing held was evicted");
        drop(slice);
        lane.tick(Mono(n * MS));
        assert_eq!(append(&mut lane, n, n * MS, 1500), Appended::Stored, "released");
    }

    #[test]
    fn a_quiet_lane_keeps_its_history_while_another_is_flooded() {
        let pool = pool(8);
        let (mut quiet, mut loud) = (lane(&pool, 0), lane(&pool, 1));
        quiet.set_quota(4 * MIB);
        loud.set_quota(4 * MIB);
        let mut sent = 0;
        for n in 0..100_000 {
            append(&mut loud, n, n * MS, 1500);
            if n % 100 == 0 {
                append(&mut quiet, sent, n * MS, 500);
                sent += 1;
            }
            quiet.tick(Mono(n * MS));
            loud.tick(Mono(n * MS));
        }
        assert_eq!(numbers(&quiet.slice(FOREVER, None)), (0..sent).collect::<Vec<_>>());
        assert!(loud.used_bytes() > 4 * MIB, "and lends what it does not need");
    }

    #[test]
    fn lent_pages_are_repaid_by_a_lane_that_fell_silent() {
        let pool = pool(8);
        let (mut late, mut early) = (lane(&pool, 0), lane(&pool, 1));
        late.set_quota(4 * MIB);
        early.set_quota(4 * MIB);
        for n in 0..20_000 {
            append(&mut early, n, n * MS, 1500);
        }
        assert!(early.used_bytes() > 7 * MIB);
        for n in 0..20_000 {
            append(&mut late, n, (20_000 + n) * MS, 1500);
            early.tick(Mono((20_000 + n) * MS));
        }
        assert!(early.used_bytes() >= 3 * MIB, "{} keeps its quota", early.used_bytes());
        assert!(late.used_bytes() >= 3 * MIB, "{} has got its own", late.used_bytes());
    }

    #[test]
    fn quiet_seconds_cost_bytes_not_pages() {
        let pool = pool(4);
        let mut lane = lane(&pool, 0);
        for n in 0..400 {
            append(&mut lane, n, n * 30 * SECOND, 124);
            lane.tick(Mono((n * 30 + 2) * SECOND));
        }
        assert_eq!(numbers(&lane.slice(FOREVER, None)).len(), 400);
        assert!(lane.used_bytes() <= 3 * Pool::PAGE_SIZE as u64, "{}", lane.used_bytes());
    }

    #[test]
    fn a_step_of_the_wall_clock_does_not_move_frames_out_of_the_window() {
        let pool = pool(4);
        let mut lane = lane(&pool, 0);
        let hour = 3_600 * SECOND.cast_signed();
        for (n, offset) in [(1, 0), (2, hour), (3, -1)].map(|(n, o)| (n, Offset(o + hour))) {
            let header = FrameHeader { wall: offset.wall(Mono(n)), ..FrameHeader::default() };
            lane.append(&Frame::whole(header, &n.to_le_bytes()), offset);
        }
        let slice = lane.slice(Window { from: Mono(2), to: Mono(3) }, None);
        assert_eq!(numbers(&slice), [2, 3]);
    }

    proptest! {
        /// Whatever is appended and sliced in whatever order: a slice has, between `covered_from` and
        /// its end, exactly what was stored, and every frame is stored, evicted or dropped by count.
        #[test]
        fn slices_have_all_that_was_stored(
            steps in prop::collection::vec((0_u64..40, 0_usize..6000, 0_u8..100), 1..3000)
        ) {
            let pool = pool(4);
            let mut lane = lane(&pool, 0);
            let mut stored: Vec<(u64, Mono)> = Vec::new();
            let mut pinned: Vec<(Slice, Vec<u64>)> = Vec::new();
            let (mut now, mut offered) = (0, 0);
            for (pause, length, action) in steps {
                now += pause * MS;
                match action {
                    0 => {
                        let window = Window { from: Mono(now / 2), to: Mono(now) };
                        let slice = lane.slice(window, Some(HoldId(0)));
                        let from = slice.covered_from();
                        let expected: Vec<_> =
                            stored.iter().filter(|(_, m)| *m >= from).map(|(n, _)| *n).collect();
                        let found = numbers(&slice);
                        prop_assert!(found.ends_with(&expected), "covered part is complete");
                        pinned.push((slice, found));
                    }
                    1 => { lane.hold(HoldId(0), Mono(now.saturating_sub(500 * MS))); }
                    2 => { pinned.pop(); }
                    3..10 => lane.tick(Mono(now)),
                    _ => {
                        offered += 1;
                        if append(&mut lane, offered, now, length) == Appended::Stored {
                            stored.push((offered, Mono(now)));
                        }
                    }
                }
            }
            for (slice, found) in &pinned {
                prop_assert_eq!(&numbers(slice), found, "a pinned slice never changes");
            }
            let counters = lane.counters();
            prop_assert_eq!(counters.stored + counters.dropped, offered);
            let left = numbers(&lane.slice(FOREVER, Some(HoldId(0)))).len() as u64;
            prop_assert_eq!(counters.evicted + left, counters.stored);
            drop((lane, pinned));
            prop_assert_eq!(pool.free_pages(), pool.total_pages(), "every page comes back");
        }
    }
}
