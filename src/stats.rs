//! What one interface's capture counted: every way to lose a frame has its own name and is shown even
//! when it is zero.
//!
//! The identity that must hold at any time, and to the frame once the kernel is drained:
//!
//! `kernel_received = stored + folded + filtered + damaged + lane_dropped + kernel_dropped +
//! waiting_in_kernel`

use serde::{Deserialize, Serialize};

/// Counts since the recording of this interface began; they survive the interface's re-creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CaptureStats {
    /// Frames the kernel had for us, its drops included (`tp_packets`, packet(7)); none where the
    /// source cannot tell.
    pub kernel_received: Option<u64>,
    /// Frames the kernel dropped because its ring was full (`tp_drops`); none where unknown.
    pub kernel_dropped: Option<u64>,
    /// Frames in the kernel's ring that were not read yet; none where unknown.
    pub waiting_in_kernel: Option<u64>,
    /// Frames appended to the lane.
    pub stored: u64,
    /// Their captured bytes.
    pub stored_bytes: u64,
    /// Copies of frames that came fast, counted in runs instead of stored.
    pub folded: u64,
    /// Frames a filter in user space refused; a filter in the kernel is not counted anywhere.
    pub filtered: u64,
    /// Frames that a kernel block announced and did not hold: its ring was damaged.
    pub damaged: u64,
    /// Frames dropped because every page of memory was pinned by incidents.
    pub lane_dropped: u64,
    /// Stored frames whose captured length is below their original length.
    pub truncated: u64,
    /// Times the kernel's ring was full and froze (`tp_freeze_q_cnt`).
    pub kernel_ring_full: u64,
    /// Times capture was interrupted: interface removed, socket re-opened.
    pub gaps: u64,
    /// Stored frames since cut to their headers because newer ones needed the memory; some of them may
    /// have been evicted after that.
    pub faded: u64,
    /// Stored and folded frames since forgotten because newer ones needed the memory.
    pub evicted: u64,
}

impl CaptureStats {
    /// Frames that a reader of the bundle might miss: dropped by the kernel or by the lane.
    pub fn dropped(&self) -> u64 {
        self.lane_dropped + self.kernel_dropped.unwrap_or(0)
    }

    /// Sets [`Self::waiting_in_kernel`] to what the identity leaves over.
    pub fn settle(&mut self) {
        self.waiting_in_kernel = self.kernel_received.map(|received| {
            received.saturating_sub(
                self.stored
                    + self.folded
                    + self.filtered
                    + self.damaged
                    + self.lane_dropped
                    + self.kernel_dropped.unwrap_or_default(),
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_leaves_over_what_waits_in_the_kernel() {
        let mut stats = CaptureStats {
            kernel_received: Some(100),
            kernel_dropped: Some(5),
            stored: 80,
            filtered: 3,
            lane_dropped: 2,
            ..Default::default()
        };
        stats.settle();
        assert_eq!(stats.waiting_in_kernel, Some(10));
        assert_eq!(stats.dropped(), 7);
        stats.kernel_received = None;
        stats.settle();
        assert_eq!(stats.waiting_in_kernel, None);
    }
}
