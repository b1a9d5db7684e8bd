//! The long memory of traffic: what passed each interface and class, a row a second for an hour and a row a minute
//! for a week, beside the ring, which holds frames for minutes.
//!
//! ```text
//!   captures ── totals, once a second ──► LongMemory ── a row a second ─► seconds ─┐
//!                                             └─ sixty together ────────► minutes ─┼─► traffic.csv of a bundle
//!                                                                                  └─► file beside the ring file
//! ```
//!
//! * Memory is fixed: obtained at the start, so large that what is recorded then and a few interfaces more find
//!   room, never larger than the operator allows; where that is less, spans are shorter.
//! * A gap is no row, never a zero: while an interface is gone, while dashcap does not run, and in the second in
//!   which a count began anew.
//! * An interface is known by its index, so a renamed one keeps its rows; by its name where it was created again.
//! * Rows keep the time they were given: the wall clock may be set meanwhile, their order stays.
//! * Capture never waits for it: the recorder asks the captures how they stand once a second anyway.
//!
//! Pure, and told the time; only `file` writes, and only the recorder and the writer of bundles have a hand on it.

mod column;
pub mod csv;
mod file;
mod memory;
mod row;
mod rows;
mod shape;

use std::sync::Arc;

pub use self::file::{Left, TrafficFile};
pub use self::memory::{LongMemory, TrafficMemory};
pub use self::row::TrafficRow;
pub use self::shape::{Options, Shape};

use crate::time::Stamp;
use crate::wire::ServiceName;

/// What one interface counted since its recording began.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InterfaceTotals {
    /// Its name now.
    pub interface: String,
    /// Its index in the kernel.
    pub index: u32,
    /// When it was counted.
    pub at: Stamp,
    /// When counting began, and how often it was interrupted: with another one, it began anew.
    pub since: (Stamp, u64),
    /// False while there is no such interface: what is counted then is no traffic.
    pub is_there: bool,
    /// Each class.
    pub classes: Vec<ClassTotals>,
}

/// What one class of an interface counted since then.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClassTotals {
    /// Its name.
    pub class: Arc<str>,
    /// Frames, those folded and dropped by the lane included.
    pub frames: u64,
    /// Their original length in bytes.
    pub bytes: u64,
    /// Copies counted in runs.
    pub folded: u64,
    /// Dropped by the lane.
    pub dropped: u64,
    /// Dropped by the kernel, of whatever class: told by the first class of an interface only, and where known.
    pub kernel_dropped: Option<u64>,
    /// Estimated bytes of services, each with the number of its lease: with another one it began anew.
    pub services: Vec<(u32, ServiceName, u64)>,
}
