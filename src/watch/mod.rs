//! Witnesses of the host: each watcher runs on a thread of its own, sees one kind of thing and sends
//! [`Observation`]s. A watcher judges nothing and knows neither ring nor incident.
//!
//! The channel is bounded; when it is full a watcher drops the observation, counts it, and tells the
//! count in a [`Fact::Missed`] as soon as there is room.

pub mod observation;

pub use observation::{CaptureEvent, Fact, LinkSample, LinkState, Observation, OperState};
