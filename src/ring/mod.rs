//! The dashcam's loop: a fixed amount of memory that holds the newest frames of every interface.
//!
//! ```text
//!  Pool   one mapping of equal pages, touched at start
//!  Lane   the history of one class on one interface, owned by its capture thread, with a quota
//!
//!         evicted ◄── [sealed][sealed][sealed][sealed] ◄── [ open ] ◄── fold ◄── append
//!                                └────────┬────────┘
//!                                  Slice: references, no copies; pinned pages are never reused
//! ```
//!
//! The ring knows no sockets, no triggers and no files. Frames go in as [`crate::frame::Frame`] and come
//! out as [`crate::frame::StoredFrame`], byte for byte, or are counted as folded, dropped or evicted.

mod chunk;
mod counters;
mod file;
mod fold;
mod lane;
mod left;
pub mod metadata;
mod open;
mod pack;
mod pack_thread;
mod pool;
mod record;
mod recovery;
mod segment;
mod slice;
mod spool;
mod summary;

pub use counters::LaneCounters;
pub use file::RingFile;
pub use fold::{FoldOptions, Storm};
pub use lane::{Appended, Followed, HoldId, Lane, LaneOptions, Position};
pub use left::{LeftRing, Whose};
pub use pack::{Job, Outcome, PackOptions, Packer};
pub use pack_thread::{PackRequest, PackThread};
pub use pool::{Pool, PoolOptions, memory_available};
pub use recovery::{RecoveredLane, Recovery, RecoveryCounts, WantedFrames};
pub use segment::{Frames, Pinned, Segment};
pub use slice::Slice;
pub use spool::SpoolFile;
pub use summary::LaneId;

/// Bytes of a page: small enough that a quiet lane wastes little, large enough that taking one is
/// rare (every 43 full-size frames).
pub const PAGE_SIZE: usize = 64 << 10;
