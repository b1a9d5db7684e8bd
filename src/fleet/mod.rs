//! One failure freezes every recorder that saw it, and one person reads what all of them kept.
//!
//! What hosts say to each other are a [`notice::Notice`], which asks for the seconds around a moment, and a
//! [`answer::HostAnswer`], which tells what became of that. Neither carries frames. They go over a [`bus`], a server that all members reach.
//!
//! ```text
//!   host A                            NATS server                           hosts B, C, ...
//!   trigger ─► recorder ─► outbox ──► freeze.A.id.MAC, .group.G ─────────► recorder: event = arrival − age
//!                                      └─ stream (15 min) ◄─── a look at each connection and every minute
//!   person ──► freeze, ask, fetch ──►                        ──────────────► answer.B.ID, data.B.person.TOKEN
//! ```

pub mod answer;
pub mod bus;
pub mod exchange;
pub mod fetch;
mod fields;
pub mod inquiry;
pub mod keep;
#[cfg(test)]
mod lab;
pub mod notice;
mod options;
pub mod permissions;
pub mod report;
pub mod status;
pub mod subject;
pub mod token;

pub use options::{AcceptRule, Options, ServerAddress, check_name};
