//! The lanes of one interface, one per class.

use std::sync::Arc;

use super::classes::{self, Classifier};
use super::packing::Packing;
use crate::error::Result;
use crate::frame::{Frame, Origin};
use crate::ring::{
    Appended, Followed, HoldId, Lane, LaneCounters, LaneId, LaneOptions, Pinned, Pool, Position,
    Segment, Slice, Storm,
};
use crate::stats::CaptureStats;
use crate::time::{Mono, Offset, Window};

/// How one class of an interface stands.
#[derive(Debug, Clone)]
pub struct ClassReport {
    /// Its name.
    pub name: Arc<str>,
    /// What its lane counted.
    pub counters: LaneCounters,
    /// From then on nothing stored was evicted.
    pub complete_from: Mono,
    /// From then on nothing stored was cut to its headers, either.
    pub full_from: Mono,
    /// Memory it may hold when that is scarce, in bytes.
    pub quota: u64,
}

/// Appends each frame to the lane of its class.
pub(super) struct Lanes {
    options: classes::Options,
    names: Vec<Arc<str>>,
    classifier: Classifier,
    first: LaneId,
    lanes: Vec<Lane>,
    quotas: Vec<u64>,
    packing: Packing,
}

impl Lanes {
    /// Empty lanes that record from `now` on; their numbers begin with `first`.
    ///
    /// # Errors
    /// When a class's filter does not suit the origin's link type.
    pub(super) fn new(
        first: LaneId,
        pool: &Pool,
        packing: Packing,
        options: classes::Options,
        lane: LaneOptions,
        origin: &Arc<Origin>,
        now: Mono,
    ) -> Result<Self> {
        let names = options.names();
        let lanes = (first.0..)
            .zip(&names)
            .map(|(id, name)| {
                let mut lane = lane;
                // Control frames are few, and what they say is in their payload.
                lane.pack.fade &= **name != *classes::Options::CONTROL;
                Lane::new(LaneId(id), pool.clone(), lane, Arc::clone(origin), now)
            })
            .collect();
        let classifier = options.classifier(origin.link_type)?;
        let quotas = vec![pool.quota_bytes(); names.len()];
        Ok(Self { options, names, classifier, first, lanes, quotas, packing })
    }

    /// Frames come from `origin` from now on.
    ///
    /// # Errors
    /// When a class's filter does not suit its link type.
    pub(super) fn begin(&mut self, origin: &Arc<Origin>) -> Result<()> {
        self.classifier = self.options.classifier(origin.link_type)?;
        self.rename(origin);
        Ok(())
    }

    /// Frames come from the same interface, which is called otherwise.
    pub(super) fn rename(&mut self, origin: &Arc<Origin>) {
        self.lanes.iter_mut().for_each(|lane| lane.begin(Arc::clone(origin)));
    }

    /// Appends a frame, and says of which class it is and what became of it; one that is dropped was
    /// counted by its lane.
    #[inline]
    pub(super) fn append(&mut self, frame: &Frame<'_>, offset: Offset) -> (usize, Appended) {
        let class = self.classifier.class(frame);
        let lane = self.lanes.get_mut(class);
        // There is a lane for every class that the classifier knows.
        (class, lane.map_or(Appended::Dropped, |lane| lane.append(frame, offset)))
    }

    /// The frames that are being folded, with the number of their class.
    pub(super) fn storms(&self) -> impl Iterator<Item = (usize, Storm<'_>)> {
        let each = self.lanes.iter().enumerate();
        each.flat_map(|(class, lane)| lane.storms().map(move |storm| (class, storm)))
    }

    /// Names of the classes, in the order of their numbers.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.names.clone()
    }

    /// Bytes that all lanes together may hold when memory is scarce.
    pub(super) fn set_quota(&mut self, bytes: u64) {
        self.quotas = self.options.share(bytes);
        for (lane, quota) in self.lanes.iter_mut().zip(&self.quotas) {
            lane.set_quota(*quota);
        }
    }

    /// No frames are to come for long: what only they need goes.
    pub(super) fn rest(&mut self) {
        self.lanes.iter_mut().for_each(Lane::rest);
    }

    /// True if nothing is left of what was appended, and nobody holds any of it.
    pub(super) fn are_empty(&self) -> bool {
        self.lanes.iter().all(Lane::is_empty)
    }

    /// To be called now and then also when no frames come.
    pub(super) fn tick(&mut self, now: Mono) {
        self.lanes.iter_mut().for_each(|lane| lane.tick(now));
        self.packing.tick(&mut self.lanes, self.first, now);
    }

    /// Keeps everything from `from` on in every lane; returns from when on all are complete.
    pub(super) fn hold(&mut self, hold: HoldId, from: Mono, yields: bool) -> Mono {
        self.lanes.iter_mut().map(|lane| lane.hold(hold, from, yields)).max().unwrap_or(from)
    }

    /// The window of a hold is over: nothing that comes after `to` is kept for it.
    pub(super) fn bound(&mut self, hold: HoldId, to: Mono) {
        self.lanes.iter_mut().for_each(|lane| lane.bound(hold, to));
    }

    /// The oldest of what is held and not on the disk yet, class by class, `room` bytes of each.
    pub(super) fn unspooled(&self, hold: HoldId, room: usize) -> Vec<Vec<Pinned>> {
        self.lanes.iter().map(|lane| lane.unspooled(hold, room)).collect()
    }

    /// Copies that are safe on the disk, class by class.
    pub(super) fn spooled(&mut self, hold: HoldId, copies: Vec<Vec<Arc<Segment>>>) {
        for (lane, copies) in self.lanes.iter_mut().zip(copies) {
            lane.spooled(hold, copies);
        }
    }

    /// References to everything in `window`, class by class; then the hold `release` ends.
    pub(super) fn slice(
        &mut self,
        window: Window,
        release: Option<HoldId>,
    ) -> Vec<(Arc<str>, Slice)> {
        let slices = self.lanes.iter_mut().map(|lane| lane.slice(window, release));
        self.names.iter().cloned().zip(slices).collect()
    }

    /// What comes next in a class for a reader who stands there; none where there is no such class.
    pub(super) fn follow(&mut self, class: usize, position: Position) -> Option<Followed> {
        self.lanes.get_mut(class).map(|lane| lane.follow(position))
    }

    /// The recording ends: what the lanes hold stays readable where it outlives the process.
    pub(super) fn keep(&self) {
        self.lanes.iter().for_each(Lane::keep);
    }

    /// After a panic: whole frames stay, everything half done begins anew.
    pub(super) fn salvage(&mut self) {
        self.lanes.iter_mut().for_each(Lane::salvage);
    }

    /// Frames dropped so far for want of memory.
    pub(super) fn dropped(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.counters().dropped).sum()
    }

    /// What all lanes together counted; what a source counts beside is zero or unknown here.
    pub(super) fn stats(&self) -> CaptureStats {
        let mut stats = CaptureStats::default();
        for lane in &self.lanes {
            let LaneCounters {
                stored,
                stored_bytes,
                truncated,
                folded,
                dropped,
                faded,
                evicted,
                ..
            } = lane.counters();
            stats.stored += stored;
            stats.stored_bytes += stored_bytes;
            stats.truncated += truncated;
            stats.folded += folded;
            stats.lane_dropped += dropped;
            stats.faded += faded;
            stats.evicted += evicted;
        }
        stats
    }

    /// How each class stands.
    pub(super) fn report(&self) -> Vec<ClassReport> {
        let each = self.names.iter().zip(&self.lanes).zip(&self.quotas);
        each.map(|((name, lane), quota)| ClassReport {
            name: Arc::clone(name),
            counters: lane.counters(),
            complete_from: lane.complete_from(),
            full_from: lane.full_from(),
            quota: *quota,
        })
        .collect()
    }
}
