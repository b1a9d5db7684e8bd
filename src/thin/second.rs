//! A second of the files: whose each frame is, and which of how many.
//!
//! ```text
//!   frame ─► folds ── copy ──► bucket of the run         1st, 2nd, ... the first few are kept
//!                 └─ other ─► commented, unstamped ──► kept, whatever it is
//!                          └─► control, by flow          1st, 2nd, ... n-th: many first and many last are kept
//!                          └─► bucket of the flow        1st, 2nd, ... n-th: the first and the last are kept
//! ```
//!
//! Seconds are those of the stamps. A frame that comes late belongs to the second that is being looked at; one
//! that is far from it, before or after, begins another. Memory is bounded: flows beyond
//! [`Limits::flows`] share a bucket, and of runs there are few.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::fold::{Folds, Likeness, Seen};
use super::limits::Limits;
use crate::capture_file::FileFrame;
use crate::capture_file::bisect::LATE;
use crate::frame::{Frame, FrameHeader, LinkType, Origin};
use crate::time::Wall;
use crate::wire::Flow;
use crate::wire::control::is_control;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// The second that is being looked at.
#[derive(Debug)]
pub(super) struct Second {
    limits: Limits,
    folds: Folds,
    pub(super) interfaces: Interfaces,
    flows: HashMap<BucketKey, u32, RandomState>,
    pub(super) buckets: Vec<Bucket>,
    /// Counts seconds, and parts of seconds.
    number: u64,
    begin: u64,
    end: u64,
}

/// Interfaces of all files, by name and link type.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    names: Vec<(String, LinkType)>,
    /// For each file, for each of its origins that was met.
    places: Vec<Vec<Option<u32>>>,
}

/// Whose frames are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BucketKey {
    /// A number of [`Interfaces`].
    pub(super) interface: u32,
    /// None: of all flows that found no place.
    pub(super) flow: Option<Flow>,
    /// Of control traffic its protocol, so that a flood of one takes no place of another.
    pub(super) control: Option<&'static str>,
}

/// What came together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    pub(super) key: BucketKey,
    pub(super) kind: BucketKind,
    /// Frames that are counted, and those that are kept whatever they are.
    pub(super) frames: u64,
    pub(super) exempt: u64,
    /// Original length in bytes of all.
    pub(super) bytes: u64,
    /// Bytes that they would take in the output, the exempt ones apart.
    pub(super) stored: u64,
    pub(super) stored_exempt: u64,
    /// What is set aside.
    pub(super) aside: Aside,
}

/// Why they are in one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BucketKind {
    /// Frames of a flow.
    Flow,
    /// Copies of a frame; if near ones are among them, from the lowest time to live to the highest.
    Run(Option<(u8, u8)>),
}

/// Frames that are not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Aside {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) first: Wall,
    pub(super) last: Wall,
}

/// What is to become of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameVerdict {
    /// It is one copy too many.
    Aside,
    /// Whether it is kept is known when its second is over.
    Hold(HeldPlace),
}

/// Which bucket, and which frame in it; `ordinal` is that of no frame for an exempt one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeldPlace {
    pub(super) bucket: u32,
    pub(super) ordinal: u64,
}

impl HeldPlace {
    /// Of a frame that is kept whatever it is.
    pub(super) const EXEMPT: u64 = u64::MAX;
}

impl Aside {
    pub(super) fn add(&mut self, wall: Wall, bytes: u32) {
        self.join(&Self { frames: 1, bytes: bytes.into(), first: wall, last: wall });
    }

    pub(super) fn join(&mut self, other: &Self) {
        if other.frames == 0 {
            return;
        }
        if self.frames == 0 {
            (self.first, self.last) = (other.first, other.last);
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
}

impl Bucket {
    pub(super) fn new(key: BucketKey, kind: BucketKind) -> Self {
        Self {
            key,
            kind,
            frames: 0,
            exempt: 0,
            bytes: 0,
            stored: 0,
            stored_exempt: 0,
            aside: Aside::default(),
        }
    }

    /// True if the frame of this ordinal is kept, as far as frames came.
    pub(super) fn keeps(&self, ordinal: u64, limits: &Limits) -> bool {
        let keep = self.keep(limits);
        match self.kind {
            _ if ordinal == HeldPlace::EXEMPT => true,
            BucketKind::Run(_) => ordinal < keep,
            BucketKind::Flow => ordinal < keep || ordinal.saturating_add(keep) >= self.frames,
        }
    }

    /// True for the frame behind which others are set aside.
    pub(super) fn is_last_before_hole(&self, ordinal: u64, limits: &Limits) -> bool {
        self.aside.frames > 0 && ordinal == self.keep(limits) - 1
    }

    /// Frames kept from the begin, and of a flow from the end, too.
    fn keep(&self, limits: &Limits) -> u64 {
        let keep = match (self.kind, self.key.control) {
            (BucketKind::Run(_), _) => limits.copies,
            (BucketKind::Flow, Some(_)) => limits.control,
            (BucketKind::Flow, None) => limits.keep,
        };
        keep.into()
    }
}

impl Interfaces {
    /// The number of the interface that is origin number `number` of a file.
    #[inline]
    pub(super) fn number(&mut self, file: usize, number: usize, origin: &Origin) -> u32 {
        match self.places.get(file).and_then(|places| *places.get(number)?) {
            Some(known) => known,
            None => self.meet(file, number, origin),
        }
    }

    #[cold]
    fn meet(&mut self, file: usize, number: usize, origin: &Origin) -> u32 {
        let wanted = self.places.len().max(file + 1);
        self.places.resize(wanted, Vec::new());
        let places = &mut self.places[file];
        places.resize(places.len().max(number + 1), None);
        let Origin { interface, link_type, .. } = origin;
        let known = |(name, kind): &(String, LinkType)| name == interface && kind == link_type;
        let met = self.names.iter().position(known).unwrap_or_else(|| {
            self.names.push((interface.clone(), *link_type));
            self.names.len() - 1
        });
        // As many as files have, 4,096 each.
        places[number] = Some(met as u32);
        met as u32
    }

    /// What it is called.
    pub(super) fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |(name, _)| name)
    }
}

impl Second {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            folds: Folds::new(),
            interfaces: Interfaces::default(),
            flows: HashMap::default(),
            buckets: Vec::new(),
            number: 1,
            begin: 0,
            end: 0,
        }
    }

    /// True if a frame of `wall` belongs to another second.
    #[inline]
    pub(super) fn is_over(&self, wall: Wall) -> bool {
        const LATE_NANOS: u64 = LATE.as_nanos() as u64;
        wall.0 >= self.end || wall.0.saturating_add(LATE_NANOS) < self.begin
    }

    /// Begins the second of `wall`, or another part of it.
    pub(super) fn begin(&mut self, wall: Wall) {
        self.flows.clear();
        self.buckets.clear();
        self.number += 1;
        self.begin = wall.0 - wall.0 % SECOND;
        self.end = self.begin.saturating_add(SECOND);
    }

    /// Judges a frame of `wall` on the interface of this number; it would take `stored` bytes. Per frame: no
    /// allocation but for a new flow.
    #[inline]
    pub(super) fn judge(
        &mut self,
        interface: u32,
        link_type: LinkType,
        frame: &FileFrame<'_>,
        wall: Wall,
        stored: u64,
    ) -> FrameVerdict {
        let bytes = frame.bytes;
        let is_plain = frame.wall.is_some() && !frame.commented;
        if is_plain && bytes.len() >= frame.original_len as usize && !bytes.is_empty() {
            let place = interface << 2 | frame.direction as u32;
            let seen = Seen { place, link_type, bytes, wall, second: self.number };
            let (run, ttl) = match self.folds.look(&seen) {
                Likeness::Copy(run) => (run, None),
                Likeness::Near(run, ttl) => (run, Some(ttl)),
                Likeness::None => return self.other(interface, link_type, frame, stored),
            };
            return self.copy(interface, (run, ttl), frame, wall, stored);
        }
        self.other(interface, link_type, frame, stored)
    }

    #[inline]
    fn copy(
        &mut self,
        interface: u32,
        (run, ttl): (usize, Option<u8>),
        frame: &FileFrame<'_>,
        wall: Wall,
        stored: u64,
    ) -> FrameVerdict {
        let run = self.folds.run(run);
        if run.bucket.0 != self.number {
            // There are fewer buckets than a u32 counts.
            run.bucket = (self.number, self.buckets.len() as u32);
            let key = BucketKey { interface, flow: Some(run.flow), control: None };
            self.buckets.push(Bucket::new(key, BucketKind::Run(None)));
        }
        let number = run.bucket.1;
        let bucket = &mut self.buckets[number as usize];
        if let Some(ttl) = ttl {
            let begun = (run.ttl(), run.ttl());
            let (lowest, highest) = match bucket.kind {
                BucketKind::Run(Some(known)) => known,
                _ => begun,
            };
            bucket.kind = BucketKind::Run(Some((lowest.min(ttl), highest.max(ttl))));
        }
        let ordinal = bucket.frames;
        bucket.frames += 1;
        bucket.bytes += u64::from(frame.original_len);
        bucket.stored += stored;
        if ordinal < self.limits.copies.into() {
            return FrameVerdict::Hold(HeldPlace { bucket: number, ordinal });
        }
        bucket.aside.add(wall, frame.original_len);
        FrameVerdict::Aside
    }

    fn other(
        &mut self,
        interface: u32,
        link_type: LinkType,
        frame: &FileFrame<'_>,
        stored: u64,
    ) -> FrameVerdict {
        let whole = Frame::whole(FrameHeader::default(), frame.bytes);
        let exempt = frame.wall.is_none() || frame.commented;
        let flow = Flow::of(link_type, frame.bytes);
        let control = is_control(link_type, &whole).then(|| flow.protocol());
        let number = self.bucket(BucketKey { interface, flow: Some(flow), control });
        let bucket = &mut self.buckets[number as usize];
        bucket.bytes += u64::from(frame.original_len);
        if exempt {
            bucket.exempt += 1;
            bucket.stored_exempt += stored;
            return FrameVerdict::Hold(HeldPlace { bucket: number, ordinal: HeldPlace::EXEMPT });
        }
        let ordinal = bucket.frames;
        bucket.frames += 1;
        bucket.stored += stored;
        FrameVerdict::Hold(HeldPlace { bucket: number, ordinal })
    }

    /// The bucket of a flow, or where there are too many that of all others.
    fn bucket(&mut self, mut key: BucketKey) -> u32 {
        if let Some(known) = self.flows.get(&key) {
            return *known;
        }
        if self.flows.len() >= self.limits.flows {
            key.flow = None;
            if let Some(known) = self.flows.get(&key) {
                return *known;
            }
        }
        // There are fewer buckets than a u32 counts.
        let number = self.buckets.len() as u32;
        self.buckets.push(Bucket::new(key, BucketKind::Flow));
        self.flows.insert(key, number);
        number
    }
}
