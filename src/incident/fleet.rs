//! What a bundle tells of the hosts that asked for it.

use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// Another host's reason for this bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetReason {
    /// The identifier of its notice.
    pub id: String,
    /// That of the first notice which came of the same failure.
    pub root: String,
    /// Who asked.
    pub from: String,
    /// What happened there: a kind of trigger.
    pub kind: String,
    /// What it happened to, if that was told.
    pub object: Option<String>,
    /// When it happened, by the wall clock there.
    pub at: Wall,
    /// How long after that its notice arrived, in nanoseconds.
    pub arrived_after_ns: u64,
    /// How far the clock there is ahead of ours (or behind, below zero), in nanoseconds; null while they agree.
    pub clock_disagrees_ns: Option<i64>,
}

impl FleetReason {
    /// Reasons that a bundle tells: 200 hosts may have one, and what they say is alike.
    pub const MOST: usize = 64;
}
