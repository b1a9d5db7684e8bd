//! From the wire to the ring: sources of frames, and the thread that reads one and appends.
//!
//! A source knows the kernel and nothing of rings; it promises order, stamps, lengths and counters, or
//! says that it cannot know them. Capture never waits for anything but frames.

use std::time::Duration;

use crate::error::Result;
use crate::frame::{Frame, Origin};

/// Takes what a source reads. Called on the packet path: no allocation, lock, log or system call per
/// frame.
pub trait FrameSink {
    /// A batch of frames follows; all of them arrived before now.
    fn batch(&mut self);
    /// One frame, in order of arrival.
    fn frame(&mut self, frame: &Frame<'_>);
}

/// Somewhere frames come from.
pub trait FrameSource {
    /// What every frame of this source has in common.
    fn origin(&self) -> &Origin;

    /// What this source cannot tell, one short sentence each, for the manifest; empty for the packet
    /// ring.
    fn unknowns(&self) -> &'static [&'static str];

    /// Waits for frames until `timeout` has passed or the source's wake-up rings, then hands over what
    /// is ready, at most one kernel block.
    ///
    /// # Errors
    /// When the source is broken for good and must be opened anew.
    fn read(&mut self, timeout: Duration, sink: &mut impl FrameSink) -> Result<Ready>;

    /// Counts since this source was opened.
    fn counters(&mut self) -> SourceCounters;
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// Frames were handed over; there may be more.
    Frames,
    /// Nothing is ready: everything that arrived more than [`RETIRE`] ago was handed over.
    Idle,
    /// The interface is down or gone (ENETDOWN); told once, then `Idle` until frames come again.
    Down,
}

/// A kernel block is handed over when it is full or this old (`tp_retire_blk_tov`). Shorter costs
/// wake-ups on busy links, longer delays what packet witnesses see.
pub const RETIRE: Duration = Duration::from_millis(10);

/// What the kernel and the source counted since the source was opened; none where it cannot know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceCounters {
    /// Frames the kernel had for this source, drops included.
    pub kernel_received: Option<u64>,
    /// Frames the kernel dropped because its ring was full.
    pub kernel_dropped: Option<u64>,
    /// Times its ring was full.
    pub kernel_ring_full: u64,
    /// Frames that a filter in user space refused.
    pub filtered: u64,
}
