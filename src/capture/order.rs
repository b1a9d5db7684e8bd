//! What the recorder and a capture thread say to each other.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::lanes::ClassReport;
use super::pulse::Pulse;
use super::services::ServiceCount;
use super::tapping::Tapping;
use super::{Interface, afpacket};
use crate::detect::tap::ClassCount;
use crate::frame::Origin;
use crate::observation::Observation;
use crate::ring::{Followed, HoldId, Pinned, Position, Segment, Slice};
use crate::stats::CaptureStats;
use crate::sys::wakeup::Wakeup;
use crate::time::{Clock, Mono, Stamp, Window};

/// What the recorder asks of a capture thread.
pub(super) enum Order {
    Bind(Interface),
    Unbind,
    /// It will not be back soon.
    Rest,
    /// How large the kernel's ring is to be when a source is opened.
    Ring(afpacket::Options),
    Quota(u64),
    Hold {
        hold: HoldId,
        from: Mono,
        yields: bool,
        reply: Sender<Mono>,
    },
    Bound {
        hold: HoldId,
        to: Mono,
    },
    Slice(SliceOrder),
    Report {
        reply: Sender<CaptureReport>,
    },
}

/// A window to pin, and the hold to give up then.
pub(super) struct SliceOrder {
    pub(super) window: Window,
    pub(super) release: Option<HoldId>,
    pub(super) reply: Sender<Sliced>,
}

/// What others than the recorder ask of a capture thread.
pub(super) enum ReaderOrder {
    Follow(FollowOrder),
    Spool(SpoolOrder),
}

/// What is on the disk of a hold, and the question what is not.
pub(super) struct SpoolOrder {
    pub(super) hold: HoldId,
    /// Copies that are safe on the disk, class by class.
    pub(super) spooled: Vec<Vec<Arc<Segment>>>,
    /// Bytes that are wanted of each class.
    pub(super) room: usize,
    pub(super) reply: Sender<Unspooled>,
}

/// What of a hold is not on the disk.
#[derive(Debug)]
pub struct Unspooled {
    /// The oldest of it, class by class.
    pub classes: Vec<Vec<Pinned>>,
    /// How the capture stands.
    pub report: CaptureReport,
}

/// What a reader of frames asks of a capture thread: what comes next in some of its classes.
pub(super) struct FollowOrder {
    /// Numbers of the classes, and where the reader stands in each.
    pub(super) classes: Vec<(usize, Position)>,
    pub(super) reply: Sender<NextFrames>,
}

/// What comes next in some classes of an interface.
pub struct NextFrames {
    /// Each class asked about, in the order of the question.
    pub classes: Vec<Followed>,
    /// Every frame that arrived before then was in its lane when this was answered.
    pub done_until: Mono,
}

/// The pinned window of one interface.
#[derive(Debug)]
pub struct Sliced {
    /// Its frames, class by class.
    pub classes: Vec<(Arc<str>, Slice)>,
    /// How the capture stood then.
    pub report: CaptureReport,
}

/// What a capture thread says of itself.
#[derive(Debug, Clone)]
pub struct CaptureReport {
    /// The binding in force, or the last one.
    pub origin: Arc<Origin>,
    /// Kind of source in a word or two.
    pub source: &'static str,
    /// What that source cannot know.
    pub unknowns: &'static [&'static str],
    /// When this report was made.
    pub at: Stamp,
    /// When the recording of this interface began.
    pub since: Stamp,
    /// Counts since then.
    pub stats: CaptureStats,
    /// How each class stands.
    pub classes: Vec<ClassReport>,
    /// Frames read, folded and dropped ones included, by direction; each class in the same order.
    pub traffic: Vec<ClassCount>,
    /// Services with most bytes, estimated from samples; none of a capture file.
    pub services: Vec<ServiceCount>,
    /// The interface is gone, and nothing of it is left in memory.
    pub spent: bool,
}

/// What a capture thread reaches the rest of the program with.
pub(super) struct Hands {
    pub(super) wakeup: Wakeup,
    pub(super) clock: Clock,
    pub(super) inbox: Receiver<Order>,
    pub(super) readers: Receiver<ReaderOrder>,
    pub(super) events: Sender<Observation>,
    pub(super) tapping: Tapping,
    pub(super) pulse: Pulse,
    /// Where it says how it ended.
    pub(super) ended: Sender<CaptureReport>,
}
