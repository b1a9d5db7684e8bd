//! Which of a lane's segments are to be packed or faded, and how what was made takes their place.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::super::pack::{Job, Outcome, PackOptions, Work};
use super::super::segment::Segment;
use super::{Lane, just_after};
use crate::ring::PAGE_SIZE;
use crate::time::Mono;

/// What a lane knows of its packing and fading.
#[derive(Debug)]
pub(super) struct Saving {
    options: PackOptions,
    /// Sealed segments that were not offered for packing yet, oldest first, and the bytes that are to be
    /// packed.
    unpacked: VecDeque<(Weak<Segment>, usize)>,
    unpacked_bytes: usize,
    /// Jobs to pack that are under way.
    packing: usize,
    /// A job to fade is under way.
    fading: bool,
    /// Segments before this number are faded, or cannot be.
    faded_to: u64,
    /// Bytes of those.
    faded_bytes: usize,
}

impl Saving {
    /// Segments are packed together from so many bytes on: less than this compresses worse, more gains
    /// nearly nothing and makes eviction coarse.
    const PACK_BYTES: usize = 512 << 10;
    /// Jobs to pack under way at a time: the next one waits while one is done.
    const PACKING: usize = 2;
    /// Bytes that fade together: their headers make about one segment that is worth packing.
    const FADE_BYTES: usize = 4 * Self::PACK_BYTES;
    /// A lane begins to fade when it has this part of its quota.
    const FADE_PART: (usize, usize) = (7, 8);

    pub(super) fn new(options: PackOptions) -> Self {
        Self {
            options,
            unpacked: VecDeque::new(),
            unpacked_bytes: 0,
            packing: 0,
            fading: false,
            faded_to: 0,
            faded_bytes: 0,
        }
    }

    /// A segment was sealed.
    pub(super) fn sealed(&mut self, segment: &Arc<Segment>) {
        if self.options.enabled {
            let bytes = segment.image_bytes();
            self.unpacked.push_back((Arc::downgrade(segment), bytes));
            self.unpacked_bytes += bytes;
            self.forget_evicted();
        }
    }

    /// A segment was evicted.
    pub(super) fn evicted(&mut self, segment: &Segment) {
        if segment.sequences().0 < self.faded_to {
            self.faded_bytes = self.faded_bytes.saturating_sub(segment.stored_bytes());
        }
    }

    /// The oldest are evicted first, so they are at the front.
    fn forget_evicted(&mut self) {
        while let Some((segment, bytes)) = self.unpacked.front()
            && segment.strong_count() == 0
        {
            self.unpacked_bytes -= bytes;
            self.unpacked.pop_front();
        }
    }
}

impl Lane {
    /// What a packer should do next for this lane, if anything; its outcome goes to [`Self::take`]. To
    /// be asked now and then.
    pub fn next_job(&mut self, now: Mono) -> Option<Job> {
        if !self.saving.options.enabled || !self.pool.is_half_full() {
            return None;
        }
        self.fade_job(now).or_else(|| self.pack_job())
    }

    /// Nobody could do the job now.
    pub fn decline(&mut self, job: Job) {
        if job.work == Work::Fade {
            self.saving.fading = false;
            return;
        }
        self.saving.packing = self.saving.packing.saturating_sub(1);
        for weak in job.segments {
            let Some(segment) = weak.upgrade() else { continue };
            let bytes = segment.image_bytes();
            self.saving.unpacked.push_back((weak, bytes));
            self.saving.unpacked_bytes += bytes;
        }
    }

    /// Takes what became of a job.
    pub fn take(&mut self, outcome: Outcome) {
        match outcome.work {
            Work::Pack => self.saving.packing = self.saving.packing.saturating_sub(1),
            Work::Fade => self.saving.fading = false,
        }
        if let Some(made) = outcome.made {
            self.replace(outcome.work, outcome.span, made);
        }
        if outcome.work == Work::Fade {
            self.pass(outcome.span.1 + 1);
        }
    }

    /// The newest segments that were not packed yet: the sooner they are packed, the longer it counts.
    fn pack_job(&mut self) -> Option<Job> {
        if self.saving.packing >= Saving::PACKING || self.saving.unpacked_bytes < Saving::PACK_BYTES
        {
            return None;
        }
        let (mut segments, mut span, mut total) = (Vec::new(), None, 0);
        while let Some((weak, bytes)) = self.saving.unpacked.back()
            && total < Saving::PACK_BYTES
        {
            let numbers = weak.upgrade().map(|segment| segment.sequences());
            let joins = |(_, last)| span.is_none_or(|(next, _)| last + 1 == next);
            if !segments.is_empty() && !numbers.is_some_and(joins) {
                break;
            }
            self.saving.unpacked_bytes -= bytes;
            if let Some((first, last)) = numbers {
                span = Some((first, span.map_or(last, |(_, end)| end)));
                total += bytes;
                segments.push(weak.clone());
            }
            self.saving.unpacked.pop_back();
        }
        segments.reverse();
        self.saving.packing += usize::from(span.is_some());
        span.map(|span| Job {
            lane: self.id,
            work: Work::Pack,
            account: self.account.clone(),
            span,
            segments,
            #[cfg(test)]
            breaks: false,
        })
    }

    /// The oldest segments that have more than headers, if memory is scarce and they may lose it.
    fn fade_job(&mut self, now: Mono) -> Option<Job> {
        let (part, of) = Saving::FADE_PART;
        let presses = self.pool.is_scarce() && self.account.pages() >= self.quota * part / of;
        if !self.saving.options.fade || self.saving.fading || !presses {
            return None;
        }
        let full = now.minus(self.saving.options.full);
        let full_bytes = self.counters.ring_bytes as usize - self.saving.faded_bytes;
        let beyond = full_bytes.saturating_sub(self.quota * PAGE_SIZE / 2);
        let held = self.held_from();
        let (mut segments, mut span, mut bytes) = (Vec::new(), None::<(u64, u64)>, 0);
        let (mut images, mut more) = (0, true);
        let begin = self.sealed.partition_point(|s| s.sequences().0 < self.saving.faded_to);
        for segment in self.sealed.range(begin..) {
            let last = segment.last();
            let may = last < full || bytes < beyond;
            if !may || held.is_some_and(|held| last >= held) || images >= Saving::FADE_BYTES {
                break;
            }
            if segment.is_pinned() {
                // Cutting what a slice holds on to would free nothing.
                if segments.is_empty() {
                    self.saving.faded_to = segment.sequences().1 + 1;
                    self.saving.faded_bytes += segment.stored_bytes();
                    continue;
                }
                more = false;
                break;
            }
            let (first, end) = segment.sequences();
            span = Some((span.map_or(first, |(first, _)| first), end));
            bytes += segment.stored_bytes();
            images += segment.image_bytes();
            segments.push(Arc::downgrade(segment));
        }
        if more && images < Saving::PACK_BYTES {
            // There will be more, and few bytes pack badly.
            return None;
        }
        let span = span?;
        self.saving.fading = true;
        Some(Job {
            lane: self.id,
            work: Work::Fade,
            account: self.account.clone(),
            span,
            segments,
            #[cfg(test)]
            breaks: false,
        })
    }

    /// Puts `made` where the segments of `span` were, unless something became of them meanwhile.
    fn replace(&mut self, work: Work, span: (u64, u64), made: Segment) {
        let begin = self.sealed.partition_point(|s| s.sequences().0 < span.0);
        let end = self.sealed.partition_point(|s| s.sequences().0 <= span.1);
        let there = || self.sealed.range(begin..end);
        let numbers = |s: Option<&Arc<Segment>>| s.map(|s| s.sequences());
        let whole = numbers(self.sealed.get(begin)).map(|s| s.0) == Some(span.0)
            && end > begin
            && numbers(self.sealed.get(end - 1)).map(|s| s.1) == Some(span.1);
        let frames = there().map(|s| s.frames()).sum::<u64>();
        let untouched = whole
            && frames == made.frames()
            && there().all(|s| !s.is_pinned() && (work == Work::Fade || !s.is_packed()));
        let held = self.held_from().is_some_and(|from| made.last() >= from);
        if !untouched || (held && work == Work::Fade) {
            return;
        }
        let held: usize = there().map(|s| s.stored_bytes()).sum();
        let stored: usize = there().map(|s| s.stored_bytes()).sum();
        let faded: u64 = there().map(|s| s.faded()).sum();
        self.counters.ring_bytes -= (stored - made.stored_bytes().min(stored)) as u64;
        self.counters.faded += made.faded() - faded;
        if span.0 < self.saving.faded_to {
            self.saving.faded_bytes =
                self.saving.faded_bytes.saturating_sub(held) + made.stored_bytes();
        }
        if made.faded() > 0 {
            self.full_from = self.full_from.max(just_after(&made));
        }
        self.sealed.drain(begin + 1..end);
        self.sealed[begin] = Arc::new(made);
        self.pinned = 0;
    }

    /// Segments before `number` cannot fade any further.
    fn pass(&mut self, number: u64) {
        let begin = self.sealed.partition_point(|s| s.sequences().0 < self.saving.faded_to);
        let end = self.sealed.partition_point(|s| s.sequences().0 < number);
        if number > self.saving.faded_to {
            self.saving.faded_bytes +=
                self.sealed.range(begin..end).map(|s| s.stored_bytes()).sum::<usize>();
            self.saving.faded_to = number;
        }
    }
}
