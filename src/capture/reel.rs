//! One interface of a replayed file: its lanes, without thread, source or clock.
//!
//! What the thread `cap/IF` is to a live interface, and the same lanes, classes, folding and filter;
//! but whoever reads the file appends the frames and tells the time, and every question is answered at
//! once.

use std::fmt;
use std::sync::Arc;

use super::Options;
use super::filter::UserFilter;
use super::lanes::Lanes;
use super::order::{CaptureReport, Sliced};
use super::packing::Packing;
use super::tapping::{Tapped, Tapping};
use crate::detect::tap::Health;
use crate::error::Result;
use crate::frame::{Frame, Origin};
use crate::ring::{Appended, HoldId, LaneId, Packer, Pool};
use crate::stats::CaptureStats;
use crate::time::{Mono, Offset, Stamp, Window};

/// How the manifest calls this source.
const SOURCE: &str = "capture file";
/// What a file does not tell.
const UNKNOWNS: &[&str] = &[
    "what the kernel received and dropped while the file was recorded",
    "which clock stamped the frames",
];

/// The lanes of one interface, and what went into them.
pub struct Reel {
    lanes: Lanes,
    tapped: Tapped,
    filter: Option<UserFilter>,
    origin: Arc<Origin>,
    since: Stamp,
    read: u64,
    filtered: u64,
}

impl Reel {
    /// Empty lanes of `pool`, numbered from `first_lane` on, for what `origin` recorded since `since`.
    ///
    /// # Errors
    /// When the filter, or that of a class, does not suit the origin's link type, or there is no memory
    /// to pack with.
    pub fn new(
        first_lane: LaneId,
        origin: Arc<Origin>,
        options: &Options,
        pool: &Pool,
        tapping: &Tapping,
        since: Stamp,
    ) -> Result<Self> {
        let classes = options.classes.clone();
        let packing = Packing::Here(Box::new(Packer::new(pool.clone())?));
        let lanes =
            Lanes::new(first_lane, pool, packing, classes, options.lane, &origin, since.mono)?;
        let filter = options.ring.filter.as_ref();
        let filter = filter.map(|filter| filter.for_user_space(origin.link_type)).transpose()?;
        let mut tapped = tapping.tap(&origin.interface, lanes.names())?;
        tapped.begin(origin.link_type)?;
        let mut reel = Self { lanes, tapped, filter, origin, since, read: 0, filtered: 0 };
        // Detectors count from the first summary on.
        reel.tick(since);
        Ok(reel)
    }

    /// Appends a frame unless the filter refuses it; either way, and if it is dropped, it is counted.
    pub fn append(&mut self, frame: &Frame<'_>, offset: Offset) {
        self.read += 1;
        if self.filter.as_mut().is_none_or(|filter| filter.accepts(frame)) {
            let (class, appended) = self.lanes.append(frame, offset);
            self.tapped.frame(frame, class, appended == Appended::Folded, offset);
        } else {
            self.filtered += 1;
        }
    }

    /// To be called now and then as time passes.
    pub fn tick(&mut self, now: Stamp) {
        self.lanes.tick(now.mono);
        if self.tapped.is_due(now) {
            let health =
                Health { recording: true, lane_dropped: self.lanes.dropped(), ..Health::default() };
            self.tapped.tell(now, health, &self.lanes);
        }
    }

    /// True, once, if the detectors have something to hear.
    pub fn has_news(&mut self) -> bool {
        self.tapped.has_news()
    }

    /// Bytes it may hold when memory is scarce.
    pub fn set_quota(&mut self, bytes: u64) {
        self.lanes.set_quota(bytes);
    }

    /// Keeps everything from `from` on, as [`Lane::hold`](crate::ring::Lane::hold); returns from when on that is.
    pub fn hold(&mut self, hold: HoldId, from: Mono, yields: bool) -> Mono {
        self.lanes.hold(hold, from, yields)
    }

    /// Pins the frames of `window` and gives up the hold `release`.
    pub fn slice(&mut self, window: Window, release: Option<HoldId>, now: Stamp) -> Sliced {
        let classes = self.lanes.slice(window, release);
        Sliced { classes, report: self.report(now) }
    }

    /// How it stands.
    pub fn report(&self, now: Stamp) -> CaptureReport {
        CaptureReport {
            origin: Arc::clone(&self.origin),
            source: SOURCE,
            unknowns: UNKNOWNS,
            at: now,
            since: self.since,
            stats: CaptureStats { filtered: self.filtered, ..self.lanes.stats() },
            classes: self.lanes.report(),
            services: Vec::new(),
            traffic: self.tapped.counts(),
            spent: false,
        }
    }

    /// What it holds frames of.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Frames appended or refused: equal to stored, folded, filtered and dropped ones together.
    pub fn read(&self) -> u64 {
        self.read
    }
}

impl fmt::Debug for Reel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reel").field("origin", &self.origin).finish_non_exhaustive()
    }
}
