//! Findings from frames: what an engineer would see in the capture, seen while it happens.
//!
//! Detectors are pure: they are shown frames and told the time, and conclude. The same ones judge a
//! live interface, a replayed file and a bundle.

mod detectors;
pub mod protocols;
pub mod tap;
pub mod traffic;
pub mod watcher;

pub use detectors::{Detectors, Heard, Roster, Subject};

use self::tap::{Noticed, Summary};
use crate::finding::Finding;
use crate::frame::{FrameHeader, LinkType};
use crate::time::Stamp;

/// A frame as a detector sees it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The interface.
    pub interface: &'a str,
    /// What the bytes begin with.
    pub link_type: LinkType,
    /// Original length, direction.
    pub header: FrameHeader,
    /// When it arrived, on both clocks.
    pub at: Stamp,
    /// The captured bytes, VLAN tags in place; may be fewer than there were.
    pub bytes: &'a [u8],
    /// What the tap noticed, if it is a segment of TCP.
    pub noticed: Option<Noticed>,
}

/// Somebody who concludes one kind of thing from the frames of one interface.
pub trait Detector: Send {
    /// Shows a frame, in order of arrival.
    fn frame(&mut self, seen: &Seen<'_>, findings: &mut Vec<Finding>);

    /// Shows what was counted until now, before the tick of the same moment.
    fn counts(&mut self, _summary: &Summary) {}

    /// Tells the time also when no frame comes, a few times a second: silence is a finding, too.
    fn tick(&mut self, now: Stamp, findings: &mut Vec<Finding>);

    /// Tells once more what was told to begin and has not ended, as it stands: for who looks at the end of a
    /// recording.
    fn standing(&self, _findings: &mut Vec<Finding>) {}
}
