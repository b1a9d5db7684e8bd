//! What a lane counts: a recording that is gone tells it from its file.

use serde::{Deserialize, Serialize};

/// What a lane counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LaneCounters {
    /// Frames appended.
    pub stored: u64,
    /// Their captured bytes.
    pub stored_bytes: u64,
    /// Bytes that what is left of them takes in the ring now, with what is stored beside each.
    pub ring_bytes: u64,
    /// Of those, frames captured shorter than they were.
    pub truncated: u64,
    /// Copies of frames that were counted instead of kept.
    pub folded: u64,
    /// Stored frames that were cut to their headers since.
    pub faded: u64,
    /// Frames for which no page could be had.
    pub dropped: u64,
    /// Stored and folded frames that were forgotten since.
    pub evicted: u64,
}
