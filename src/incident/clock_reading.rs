//! What the kernel knew of the host's wall clock when an incident was written, so that whoever lays bundles of
//! several hosts side by side knows how far each may be wrong.

use serde::{Deserialize, Serialize};

use crate::sys::discipline;
use crate::time::{Mono, Stamp, Wall};

/// Readings of adjtimex(2) at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// When, by both clocks.
    pub time: Wall,
    /// The same.
    pub mono_ns: Mono,
    /// A daemon says that it keeps the clock right (`STA_UNSYNC` is not set). chronyd leaves that unsaid unless told
    /// to (`rtcsync`), so the numbers count, not the flag.
    pub synchronised: bool,
    /// How wrong it may be at most, in microseconds (`maxerror`).
    pub most_wrong_us: u64,
}

impl ClockReading {
    /// Asks the kernel; none where a sandbox forbids it.
    pub fn read(now: Stamp) -> Option<Self> {
        let told = discipline::read().ok()?;
        Some(Self {
            time: now.wall,
            mono_ns: now.mono,
            synchronised: told.synchronised,
            most_wrong_us: u64::try_from(told.most_wrong.as_micros()).unwrap_or(u64::MAX),
        })
    }
}
