//! What keeps frames of a lane in memory until they are in a slice, or on the disk.
//!
//! ```text
//!   sealed   [5][6][7][8][9]         held from 6 on; of these 6 and 7 are in a spool file:
//!               └ may go ┘ └ stay    their memory may be used again, a slice has them all the same
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::segment::{Pinned, Segment};
use super::Lane;
use crate::time::{Mono, Window};

/// Names a hold, so that one incident cannot release another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldId(pub u64);

/// Everything from a moment on, until its window is over.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) id: HoldId,
    /// Nothing stored since then is lost while the hold lives: it is in memory or on the disk.
    pub(super) from: Mono,
    /// It keeps nothing that began later.
    to: Mono,
    /// New frames are worth more: where memory ends, the oldest of what it holds goes for them.
    yields: bool,
    /// Copies of segments on the disk, by number: some hundred bytes each, for up to 2 MiB there.
    spooled: Vec<Arc<Segment>>,
    /// The numbers of those, first to last, as few spans as there can be.
    spans: Vec<(u64, u64)>,
}

/// What a hold leaves to the slice that ends it.
pub(super) struct EndedHold {
    /// Nothing stored since then was lost until now.
    pub(super) from: Mono,
    /// What memory has from before that is given up.
    pub(super) in_memory_from: Mono,
    /// What is on the disk.
    pub(super) spooled: Vec<Arc<Segment>>,
}

impl EndedHold {
    /// Of nothing that was held, in a lane that is complete since then.
    pub(super) fn none(complete_from: Mono) -> Self {
        Self { from: complete_from, in_memory_from: Mono(0), spooled: Vec::new() }
    }
}

impl Hold {
    fn new(id: HoldId, from: Mono, yields: bool) -> Self {
        Self { id, from, to: Mono(u64::MAX), yields, spooled: Vec::new(), spans: Vec::new() }
    }

    /// True if the segment must stay in memory for it.
    fn needs(&self, segment: &Segment) -> bool {
        let is_in_window = segment.last() >= self.from && segment.first() <= self.to;
        is_in_window && !self.has(segment.sequences())
    }

    /// True if segments with these numbers are on the disk.
    fn has(&self, (first, last): (u64, u64)) -> bool {
        self.spans.iter().any(|(begin, end)| *begin <= first && last <= *end)
    }

    fn add(&mut self, copy: Arc<Segment>) {
        self.spans.push(copy.sequences());
        self.spans.sort_unstable();
        self.spans.dedup_by(|next, span| {
            let joins = next.0 <= span.1.saturating_add(1);
            span.1 = if joins { span.1.max(next.1) } else { span.1 };
            joins
        });
        self.spooled.push(copy);
    }
}

impl Lane {
    /// Of the pages a lane may fill, this part is kept for what comes after a trigger: evidence that is
    /// held cannot be overwritten, so a hold must leave room.
    const HOLD_PART: (usize, usize) = (3, 4);
    /// Of them this part stays pinned of a hold that yields, until its bundle is written.
    const YIELDING_PART: (usize, usize) = (1, 4);

    /// Keeps everything from `from` on until the hold is released by [`Lane::slice`], as far as memory
    /// reaches and leaving room for what is still to come; one that `yields` also loses its oldest frames where
    /// there is no other memory for new ones. Returns from when on that is. A hold can be asked for again, to reach
    /// further back, or to yield no longer.
    pub fn hold(&mut self, id: HoldId, from: Mono, yields: bool) -> Mono {
        let from = from.max(self.complete_from);
        let from = self.within(Self::HOLD_PART, from, |segment| segment.last() >= from);
        if let Some(hold) = self.holds.iter_mut().find(|hold| hold.id == id) {
            hold.from = hold.from.min(from);
            hold.yields &= yields;
            return hold.from;
        }
        self.holds.push(Hold::new(id, from, yields));
        from
    }

    /// The window of a hold is over: what comes after `to` it does not keep.
    pub fn bound(&mut self, id: HoldId, to: Mono) {
        self.seal();
        if let Some(hold) = self.holds.iter_mut().find(|hold| hold.id == id) {
            hold.to = to;
            self.pinned = 0;
        }
    }

    /// From when on the newest of those that are `wanted` leave room, `from` if all of them do.
    fn within(
        &self,
        (part, of): (usize, usize),
        from: Mono,
        wanted: impl Fn(&Segment) -> bool,
    ) -> Mono {
        let mut room = self.account.pages().max(self.quota) * super::PAGE_SIZE / of * part;
        for segment in self.sealed.iter().rev().filter(|segment| wanted(segment)) {
            let Some(left) = room.checked_sub(segment.held_bytes()) else {
                return super::just_after(segment);
            };
            room = left;
        }
        from
    }

    /// True if a hold needs the segment in memory.
    pub(super) fn is_held(&self, segment: &Segment) -> bool {
        self.holds.iter().any(|hold| hold.needs(segment))
    }

    /// From when on everything is held.
    pub(super) fn held_from(&self) -> Option<Mono> {
        self.holds.iter().map(|hold| hold.from).min()
    }

    /// The oldest of what is held, sealed, and not on the disk yet: `room` bytes, or one segment more than fits.
    pub fn unspooled(&self, id: HoldId, room: usize) -> Vec<Pinned> {
        let Some(hold) = self.holds.iter().find(|hold| hold.id == id) else { return Vec::new() };
        let mut bytes = 0;
        let needed = self.sealed.iter().filter(|segment| hold.needs(segment));
        let fitting = needed.take_while(|segment| {
            let fits = bytes < room;
            bytes += segment.stored_bytes();
            fits
        });
        fitting.map(Segment::pinned).collect()
    }

    /// These copies are safe on the disk: what the hold has of them in memory may go.
    pub fn spooled(&mut self, id: HoldId, copies: Vec<Arc<Segment>>) {
        if let Some(hold) = self.holds.iter_mut().find(|hold| hold.id == id) {
            copies.into_iter().for_each(|copy| hold.add(copy));
            self.pinned = 0;
        }
    }

    /// Where the oldest segment is that only holds which yield need; they need it no longer.
    pub(super) fn yielded(&mut self) -> Option<usize> {
        if !self.holds.iter().any(|hold| hold.yields) {
            return None;
        }
        let firm = |segment: &Segment| self.holds.iter().any(|h| !h.yields && h.needs(segment));
        let at = self.sealed.iter().position(|s| !s.is_pinned() && !firm(s))?;
        let after = super::just_after(&self.sealed[at]);
        for hold in self.holds.iter_mut().filter(|hold| hold.yields) {
            hold.from = hold.from.max(after);
        }
        Some(at)
    }

    /// Ends a hold. What one that yields has in memory and not on the disk is given up but for its newest: whoever
    /// reads it pins it, and new frames would be dropped for it.
    pub(super) fn end_hold(&mut self, id: HoldId) -> Option<EndedHold> {
        let at = self.holds.iter().position(|hold| hold.id == id)?;
        let hold = self.holds.swap_remove(at);
        let needed = |segment: &Segment| hold.yields && hold.needs(segment);
        let in_memory_from = self.within(Self::YIELDING_PART, Mono(0), needed);
        Some(EndedHold { from: hold.from, in_memory_from, spooled: hold.spooled })
    }
}

/// Every part in `window` of what was held and of these segments once, in order: from the disk where it is on the disk.
pub(super) fn each_once(
    hold: &EndedHold,
    sealed: &VecDeque<Arc<Segment>>,
    window: Window,
) -> Vec<Pinned> {
    let overlaps = |s: &&Arc<Segment>| window.overlaps(s.first(), s.last());
    let sealed = sealed.iter().filter(|segment| segment.last() >= hold.in_memory_from);
    let mut all: Vec<_> = hold.spooled.iter().chain(sealed).filter(overlaps).collect();
    // Stable: of two that begin alike the copy on the disk stays first.
    all.sort_by_key(|segment| segment.sequences().0);
    let mut next = 0;
    let parts = all.into_iter().filter_map(|segment| {
        let (first, last) = segment.sequences();
        let wanted = first.max(next)..=last;
        next = next.max(last.saturating_add(1));
        (!wanted.is_empty()).then(|| segment.pinned_part(wanted))
    });
    parts.collect()
}
