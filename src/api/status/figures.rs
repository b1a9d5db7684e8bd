//! Figures that a table of one screen has no room for: traffic by class and direction, how often and how
//! fast incidents were frozen and written. Metrics and `dashcap top` show them.

use serde::{Deserialize, Serialize};

/// One class of traffic on one interface.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Class {
    /// `control`, one of the operator's, or `data`.
    pub name: String,
    /// Received by this host.
    pub inbound: Traffic,
    /// Sent by this host.
    pub outbound: Traffic,
    /// The source cannot tell.
    pub unknown: Traffic,
    /// Frames appended to the lane.
    pub stored: u64,
    /// Copies counted in runs.
    pub folded: u64,
    /// Dropped for want of memory.
    pub dropped: u64,
    /// Stored, and since cut to their headers.
    pub faded: u64,
    /// Stored or folded, and since forgotten.
    pub evicted: u64,
    /// Memory that no other class can take from it, in bytes.
    pub quota_bytes: u64,
    /// How far back memory reaches with frames at full length; zero without traffic.
    pub full_seconds: f64,
    /// How far in all: before, frames have their headers only.
    pub seconds: f64,
    /// False while both are drawn out from too little traffic to be counted on.
    #[serde(default)]
    pub is_known: bool,
    /// How far back it reaches now: what is drawn out is not there yet.
    #[serde(default)]
    pub held_seconds: f64,
    /// Nothing was forgotten since the recording began.
    #[serde(default)]
    pub is_everything: bool,
}

/// Frames that were read, those folded and dropped for want of memory included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// How many.
    pub frames: u64,
    /// Their original length in bytes.
    pub bytes: u64,
}

impl Traffic {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { frames: self.frames + other.frames, bytes: self.bytes + other.bytes }
    }
}

impl Class {
    /// All directions together.
    pub fn traffic(&self) -> Traffic {
        self.inbound.and(self.outbound).and(self.unknown)
    }
}

/// What triggers and incidents came to since the start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Triggers that counted, by kind.
    pub triggers: Vec<TriggerFigures>,
    /// Triggers that opened nothing because the same had just opened an incident.
    pub cooling: u64,
    /// Triggers that opened nothing because an hour had brought as many incidents as it may.
    pub over_budget: u64,
    /// Windows that were held, and released because nothing confirmed them.
    pub holds_released: u64,
    /// Windows that were not held because too many were.
    pub holds_refused: u64,
    /// From a trigger's observation until its frames were pinned.
    pub freezing: Timing,
    /// From the beginning of writing until the bundle was whole.
    pub writing: Timing,
    /// From when the evidence was safe until the bundle had its report and was whole.
    pub reporting: Timing,
    /// Frames in bundles.
    pub frames: u64,
    /// Bytes of bundles as they were written.
    pub bytes: u64,
    /// How often a bundle had how many bytes.
    pub sizes: Vec<Bucket>,
    /// Attempts to write that failed and were repeated.
    pub retries: u64,
}

/// Triggers of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TriggerFigures {
    /// The kind.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// How long something took, each time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// Times.
    pub count: u64,
    /// All together.
    pub sum_seconds: f64,
    /// The last time.
    pub last_seconds: f64,
    /// The longest.
    pub most_seconds: f64,
    /// How often it took how many seconds.
    pub buckets: Vec<Bucket>,
}

/// How often something came to as much as a bound, and to more than the bound before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bucket {
    /// The most that counts here; none where all counts that is beyond the last bound.
    pub up_to: Option<f64>,
    /// How often.
    pub count: u64,
    /// The latest that counted here.
    pub latest: Option<Exemplar>,
}

/// One of those that were counted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Exemplar {
    /// The name of its bundle.
    pub incident: String,
    /// What it came to.
    pub value: f64,
    /// When that was known, in seconds since 1970.
    pub at_seconds: f64,
}

impl Bucket {
    /// Nothing counted yet, between `bounds` from the smallest to the largest, and beyond.
    pub fn between(bounds: &[f64]) -> Vec<Self> {
        let bounds = bounds.iter().copied().map(Some).chain([None]);
        bounds.map(|up_to| Self { up_to, ..Self::default() }).collect()
    }
}
