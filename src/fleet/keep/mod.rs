//! What a recorder does for its fleet: which notices of others it follows and how far, and what it tells others of its
//! own incidents.
//!
//! ```text
//!   notice ─► known? ─► accepted from them? ─► when was it here? ─► covered, late │ quota ─► frozen, as a local
//!             answer     how far back?          (age, not clock)                  │ refused   trigger would be
//!             again
//! ```
//!
//! Pure, and told the time: [`receive`] and [`announce`] decide, the recorder does it. Every table has a bound, so
//! that no member can make another one grow. Nothing here waits for the bus, and nothing needs one.

pub mod announce;
pub mod course;
pub mod event;
mod known;
mod quota;
pub mod receive;
