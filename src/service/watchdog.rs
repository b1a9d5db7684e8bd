//! The watchdog of the service manager: how often it is fed. A recorder that is not well lets it starve, and is
//! restarted.

use std::time::Duration;

use crate::time::Mono;

/// A watchdog that bites when it was not fed for a time.
#[derive(Debug)]
pub(super) struct Watchdog {
    within: Duration,
    feed_at: Mono,
}

impl Watchdog {
    /// One that wants to be fed within so long; it gets its first at `now`.
    pub(super) fn new(within: Duration, now: Mono) -> Self {
        Self { within, feed_at: now }
    }

    /// How long it waits.
    pub(super) fn within(&self) -> Duration {
        self.within
    }

    /// Twice as often as it must be (sd_watchdog_enabled(3)).
    pub(super) fn every(&self) -> Duration {
        self.within / 2
    }

    /// True if it is to be fed.
    pub(super) fn is_hungry(&self, now: Mono) -> bool {
        now >= self.feed_at
    }

    /// It was.
    pub(super) fn fed(&mut self, now: Mono) {
        self.feed_at = now.plus(self.every());
    }
}
