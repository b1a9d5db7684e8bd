//! From the wire to the ring: sources of frames, and the thread that reads one and appends.
//!
//! A source knows the kernel and nothing of rings; it promises order, stamps, lengths and counters, or
//! says that it cannot know them. Capture never waits for anything but frames.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::frame::MAX_SNAPLEN;
use crate::frame::{Frame, Origin};

pub mod afpacket;
pub mod classes;
mod event_queue;
pub mod filter;
mod follower;
mod interface;
mod kernel_room;
mod lanes;
mod order;
mod packing;
pub mod pnet;
mod pulse;
mod recording;
mod reel;
mod services;
mod shortage;
mod source;
mod tapping;
mod thread;
mod vlan;
mod waiting;

#[cfg(test)]
mod tests;

pub use follower::Follower;
pub use interface::Interface;
pub use kernel_room::KernelRoom;
pub use lanes::ClassReport;
pub use order::{CaptureReport, NextFrames, Sliced, Unspooled};
pub use packing::Memory;
pub use pulse::Pulse;
pub use reel::Reel;
pub use services::ServiceCount;
pub use source::{Options, SourceChoice};
pub use tapping::{Tapping, Wanted};
pub use thread::{Capture, Surroundings};
pub use waiting::{CaptureThreads, Confine, WaitingRoom};

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

    /// Makes the kernel take no new frames for this source. What it already took is still read: once
    /// [`SETTLED`] has passed and a read found nothing, every frame was handed over and the identity
    /// `kernel_received = handed over + filtered + damaged + kernel_dropped` is exact.
    ///
    /// # Errors
    /// When the kernel refuses; capture then goes on.
    fn stop(&mut self) -> Result<()>;
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// Frames were handed over; there may be more.
    Frames,
    /// Nothing is ready: everything that arrived more than [`SETTLED`] ago was handed over.
    Idle,
    /// The interface is down or gone (ENETDOWN); told once, then `Idle` until frames come again.
    Down,
}

/// How long a frame can wait in the kernel before its block is handed over. The kernel's timer looks
/// every [`RETIRE`](afpacket::RETIRE) and, before Linux 6.18, hands a block over at the second look only
/// (`prb_retire_rx_blk_timer_expired`, net/packet/af_packet.c); a tick of up to 10 ms comes on top.
pub const SETTLED: Duration = Duration::from_millis(30);

/// Shortest snaplen in bytes: the shortest Ethernet frame with its checksum (IEEE 802.3 3.2.8), enough
/// for the headers that tell what a frame is.
pub const MIN_SNAPLEN: u32 = 64;

/// Refuses a snaplen outside [`MIN_SNAPLEN`] to [`MAX_SNAPLEN`].
fn check_snaplen(snaplen: u32) -> Result<()> {
    if (MIN_SNAPLEN..=MAX_SNAPLEN).contains(&snaplen) {
        return Ok(());
    }
    Err(Error::usage(
        "--snaplen",
        snaplen.to_string(),
        "a frame is cut where its headers are kept and readers of the bundle take it",
        format!("{MIN_SNAPLEN} to {MAX_SNAPLEN} bytes"),
    ))
}

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
    /// Frames that a block announced and did not hold: the kernel's ring was damaged.
    pub damaged: u64,
}

impl SourceCounters {
    /// Both together; what one of them cannot know, they do not know together.
    fn and(self, other: Self) -> Self {
        Self {
            kernel_received: sum(self.kernel_received, other.kernel_received),
            kernel_dropped: sum(self.kernel_dropped, other.kernel_dropped),
            kernel_ring_full: self.kernel_ring_full + other.kernel_ring_full,
            filtered: self.filtered + other.filtered,
            damaged: self.damaged + other.damaged,
        }
    }
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one? + other?)
}
