//! The way to the other hosts of a fleet: a NATS server that all of them reach, and this host's place there.
//!
//! It promises that the recorder never waits for it: notices come and go over channels with a bound, and what finds
//! no room is counted. A server that is away costs an attempt a minute; a hostile one, or a hostile member, costs
//! what the recorder's own quotas allow.
//!
//! Talking to a server is a feature of the build, and cut off here.

#[cfg_attr(not(feature = "fleet"), path = "absent.rs")]
mod client;

pub use self::client::{Bus, BusAccount, Person, Promised, Pull};
