//! The dashcam's loop: a fixed amount of memory that holds the newest frames of every interface.
//!
//! ```text
//!  Pool   one mapping of equal pages, touched at start
//!  Lane   one interface's history, owned by its capture thread; nobody else ever waits for it
//!
//!         evicted ◄── [sealed][sealed][sealed][sealed] ◄── [ open ] ◄── append
//!                                └────────┬────────┘
//!                                  Slice: references, no copies; pinned pages are never reused
//! ```
//!
//! The ring knows no sockets, no triggers and no files. Frames go in as [`crate::frame::Frame`] and come
//! out as [`crate::frame::StoredFrame`], byte for byte, or are counted as dropped or evicted.

mod fold;
mod lane;
mod pool;
mod segment;
mod slice;

pub use fold::FoldOptions;
pub use lane::{Appended, HoldId, Lane, LaneCounters};
pub use pool::{Pool, PoolOptions};
pub use segment::{LaneId, Segment};
pub use slice::Slice;
