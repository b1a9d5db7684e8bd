//! Two that lead one group: a second speaks up beside the one that leads, and neither gives way.
//!
//! ```text
//!  leader ──●─────●─────●─────●──      the leader speaks after the rival did, and must have been heard:
//!  rival       ●     ●                 a rival that goes on does not hear it
//! ```
//!
//! One announcement is no second leader: both may speak at once for a moment, and then one gives way
//! (RFC 9568 §6.4.3, RFC 2281 §5.3).

use std::net::IpAddr;
use std::time::Duration;

use crate::time::Stamp;

/// Longest that an announcement is on its way, or waits to be judged by its receiver.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// Somebody who claims to lead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rival {
    pub(super) router: IpAddr,
    pub(super) first: Stamp,
    pub(super) last: Stamp,
    /// When the leader spoke first after it.
    answered: Option<Stamp>,
}

impl Rival {
    pub(super) fn new(router: IpAddr, first: Stamp) -> Self {
        Self { router, first, last: first, answered: None }
    }

    /// The leader speaks.
    pub(super) fn hears(&mut self, at: Stamp) {
        self.answered.get_or_insert(at);
    }

    /// It speaks again; true once it goes on although it must have heard the leader.
    pub(super) fn insists(&mut self, at: Stamp) -> bool {
        self.last = at;
        self.answered.is_some_and(|answered| at.mono.since(answered.mono) >= ON_ITS_WAY)
    }
}
