//! Moments and spans as the manifest tells them: on both clocks.

use serde::{Deserialize, Serialize};

use super::Incident;
use crate::time::{Mono, Stamp, Wall};

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// RFC 3339, UTC, nanoseconds.
    pub time: Wall,
    /// CLOCK_MONOTONIC in nanoseconds.
    pub mono_ns: Mono,
}

/// A span between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// First moment.
    pub from: Moment,
    /// Last moment.
    pub to: Moment,
    /// Length in seconds, on the monotonic clock.
    pub seconds: f64,
}

impl From<Stamp> for Moment {
    fn from(stamp: Stamp) -> Self {
        Self { time: stamp.wall, mono_ns: stamp.mono }
    }
}

impl Span {
    pub(super) fn of(incident: &Incident, from: Mono, to: Mono) -> Self {
        let (from, to) = (incident.stamp(from), incident.stamp(to));
        let seconds = to.mono.since(from.mono).as_secs_f64();
        Self { from: from.into(), to: to.into(), seconds }
    }
}
