//! One class of one interface: where frames are appended, and what is evicted when memory runs out.
//!
//! A lane is owned by its capture thread. Whoever wants something of it (hold, slice) asks that thread,
//! so the lane needs no lock and an append waits for nobody. Appending allocates per page and per
//! segment, never per frame.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::counters::LaneCounters;
use super::fold::{FoldOptions, Folder, Storm, Verdict};
use super::open::{Chain, OpenSegment};
use super::pack::PackOptions;
use super::pool::Pool;
use super::segment::Segment;
use super::slice::Slice;
use super::summary::LaneId;
use crate::error::Result;
use crate::frame::{Frame, Origin};
use crate::ring::PAGE_SIZE;
use crate::sys::pages::{Chunk, PageCount};
use crate::time::{Mono, Offset, Window};

mod follow;
mod hold;
mod saving;

pub use self::follow::{Followed, Position};
pub use self::hold::HoldId;
use self::hold::{EndedHold, Hold};
use self::saving::Saving;

/// How a lane saves memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneOptions {
    /// How frames that come fast are counted instead of kept.
    pub fold: FoldOptions,
    /// What is made of sealed segments.
    pub pack: PackOptions,
}

impl LaneOptions {
    /// Every frame is kept as it came until it is evicted.
    pub const AS_IS: Self = Self { fold: FoldOptions::OFF, pack: PackOptions::OFF };

    /// Accepts only what can be meant.
    ///
    /// # Errors
    /// Wrong usage, naming the accepted form.
    pub fn check(&self) -> Result<()> {
        self.fold.check()?;
        self.pack.check()
    }
}

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
    account: PageCount,
    next_sequence: u64,
    /// Frames and copies in all segments that were sealed so far.
    sealed_frames: u64,
    /// Nothing stored since then was evicted.
    complete_from: Mono,
    /// Nothing stored since then was cut to its headers.
    full_from: Mono,
    holds: Vec<Hold>,
    /// No frames come, so that new ones of other lanes are worth more than what is here.
    resting: bool,
    options: LaneOptions,
    folder: Folder,
    saving: Saving,
    counters: LaneCounters,
}

impl Lane {
    /// An open segment is sealed when it is this old, so that evidence in memory stays intact if the
    /// process dies, and eviction stays fine-grained.
    pub const SEAL_AGE: Duration = Duration::from_secs(1);
    /// Bounds the bookkeeping of a quiet lane, whose segments are a few hundred bytes each: at one
    /// segment a second and 256 MiB this is nine hours.
    const SEGMENTS_PER_PAGE: usize = 8;

    /// An empty lane that records from `now` on and may hold all of the pool.
    pub fn new(
        id: LaneId,
        pool: Pool,
        options: LaneOptions,
        origin: Arc<Origin>,
        now: Mono,
    ) -> Self {
        Self {
            id,
            quota: usize::try_from(pool.quota_bytes()).unwrap_or(usize::MAX) / PAGE_SIZE,
            pool,
            origin,
            open: None,
            rest: None,
            spare: Vec::new(),
            sealed: VecDeque::new(),
            pinned: 0,
            account: PageCount::default(),
            next_sequence: 0,
            sealed_frames: 0,
            complete_from: now,
            full_from: now,
            holds: Vec::new(),
            resting: false,
            options,
            folder: Folder::new(options.fold),
            saving: Saving::new(options.pack),
            counters: LaneCounters::default(),
        }
    }

    /// Frames come from `origin` from now on.
    pub fn begin(&mut self, origin: Arc<Origin>) {
        self.seal();
        self.origin = origin;
        if std::mem::take(&mut self.resting) {
            self.folder = Folder::new(self.options.fold);
        }
    }

    /// No frames are to come until it begins again: what only they need goes, and what was recorded goes as other
    /// lanes want its memory.
    pub fn rest(&mut self) {
        self.seal();
        self.resting = true;
        self.folder = Folder::new(FoldOptions::OFF);
        (self.rest, self.spare) = (None, Vec::new());
    }

    /// True if nothing is left of what was appended, and nobody holds any of it.
    pub fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.open.is_none() && self.holds.is_empty()
    }

    /// Bytes this lane may hold when memory is scarce.
    pub fn set_quota(&mut self, bytes: u64) {
        self.quota = usize::try_from(bytes).unwrap_or(usize::MAX) / PAGE_SIZE;
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

    /// The recording ends: what all lanes of the pool hold stays readable in its file.
    pub fn keep(&self) {
        self.pool.keep();
    }

    /// After a panic in the middle of an append nobody knows what is half done: whole records stay, and
    /// everything else begins anew. Copies that were counted and not told yet are counted as dropped.
    pub fn salvage(&mut self) {
        self.spare.clear();
        self.rest = None;
        let untold = self.folder.forget();
        self.counters.folded = self.counters.folded.saturating_sub(untold);
        self.counters.dropped += untold;
        if let Some(segment) = self.open.take().and_then(OpenSegment::salvage) {
            self.keep_sealed(segment);
        }
        let stored = |segment: &Arc<Segment>| segment.stored_bytes() as u64;
        self.counters.ring_bytes = self.sealed.iter().map(stored).sum();
    }

    /// What a panic in the middle of an append leaves: the head of a record, and nothing behind it.
    #[cfg(test)]
    pub(super) fn begin_record(&mut self, frame: &Frame<'_>) {
        if let Some(open) = &mut self.open {
            open.begin_record(frame);
        }
    }

    /// To be called now and then also when no frames come: seals what is old, repays lent pages.
    pub fn tick(&mut self, now: Mono) {
        let untold = self.folder.untold().map(|(first, _)| first);
        let oldest = self.open.as_ref().map(OpenSegment::first).into_iter().chain(untold).min();
        if oldest.is_some_and(|oldest| now.since(oldest) >= Self::SEAL_AGE) {
            self.seal();
        }
        self.pinned = 0;
        if self.resting {
            return self.make_way();
        }
        let pages = self.account.pages();
        if pages > self.quota {
            let keep = pages - self.pool.settle_debt().min(pages - self.quota);
            while self.account.pages() > keep && self.evict() {}
        }
    }

    /// Gives what other lanes want of their quotas, the oldest first.
    fn make_way(&mut self) {
        while self.pool.is_wanted() {
            let pages = self.account.pages();
            if !self.evict() {
                return;
            }
            self.pool.repay(pages - self.account.pages().min(pages));
        }
    }

    /// References to everything in `window`, and to what the hold `release` has on the disk; then that hold ends.
    pub fn slice(&mut self, window: Window, release: Option<HoldId>) -> Slice {
        self.seal();
        let hold = release.and_then(|release| self.end_hold(release));
        let hold = hold.unwrap_or_else(|| EndedHold::none(self.complete_from));
        let covered_from = hold.from.min(self.complete_from).max(hold.in_memory_from);
        // Frames of several processors may be out of order by microseconds, so segments may overlap:
        // each is looked at, none is searched for.
        let segments = hold::each_once(&hold, &self.sealed, window);
        Slice::new(window, window.from.max(covered_from), segments)
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

    /// The moment from which on nothing stored was cut to its headers.
    pub fn full_from(&self) -> Mono {
        self.full_from.max(self.complete_from)
    }

    /// Bytes of pages in use.
    #[cfg(test)]
    fn used_bytes(&self) -> u64 {
        (self.account.pages() * PAGE_SIZE) as u64
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
            (None, Some(rest)) => Chain::room_in(rest),
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
        let chunk = self.rest.take().or_else(|| self.spare.pop())?;
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let origin = Arc::clone(&self.origin);
        let chain = Chain::new(chunk, self.pool.next_chain());
        Some(OpenSegment::new(self.id, sequence, origin, offset, chain, self.sealed_frames))
    }

    fn keep_sealed(&mut self, segment: Segment) {
        self.sealed_frames += segment.frames() + segment.folded();
        let segment = Arc::new(segment);
        self.saving.sealed(&segment);
        self.sealed.push_back(segment);
    }

    /// A page, at the cost of this lane's own oldest segments where memory is scarce.
    fn take_page(&mut self) -> Option<Chunk> {
        if !self.pool.has_spare() {
            if self.account.pages() < self.quota {
                self.pool.want();
            }
            while self.account.pages() >= self.quota && !self.pool.has_spare() {
                if !self.evict() {
                    return None;
                }
            }
        }
        loop {
            if let Some(page) = self.pool.take(&self.account) {
                return Some(page);
            }
            if !self.evict() {
                return None;
            }
        }
    }

    /// Forgets the oldest segment that nobody pinned or holds, or that only holds which yield need; false if
    /// there is none.
    fn evict(&mut self) -> bool {
        // Only this thread makes slices, so what is not pinned cannot become so behind our back. A
        // packer may be reading it: then its pages come back a moment later.
        while let Some(segment) = self.sealed.get(self.pinned)
            && (segment.is_pinned() || self.is_held(segment))
        {
            self.pinned += 1;
        }
        let there = (self.pinned < self.sealed.len()).then_some(self.pinned);
        let Some(at) = there.or_else(|| self.yielded()) else { return false };
        let Some(segment) = self.sealed.remove(at) else { return false };
        self.pinned = self.pinned.min(self.sealed.len());
        self.saving.evicted(&segment);
        self.counters.ring_bytes -= segment.stored_bytes() as u64;
        self.counters.evicted += segment.frames() + segment.folded();
        self.complete_from = self.complete_from.max(just_after(&segment));
        true
    }

    /// Seals the open segment, with everything that was counted and not told yet.
    fn seal(&mut self) {
        self.tell_runs();
        let Some(open) = self.open.take() else { return };
        let (segment, rest) = open.seal();
        self.rest = rest;
        self.keep_sealed(segment);
        if self.sealed.len() > self.pool.total_pages() * Self::SEGMENTS_PER_PAGE {
            self.evict();
        }
    }
}

fn pages_needed(room: usize, captured: usize) -> usize {
    OpenSegment::pages_needed(room, captured, PAGE_SIZE)
}

/// The first moment that the segment does not cover.
fn just_after(segment: &Segment) -> Mono {
    segment.last().plus(Duration::from_nanos(1))
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
