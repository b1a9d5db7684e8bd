//! Who keeps the frames of a recording: captures at work, or the reels of a replay. The recorder asks
//! both the same, so that it decides the same.

use std::collections::BTreeSet;
use std::fmt::Debug;

use crossbeam_channel::Receiver;

use crate::capture::{CaptureReport, Follower, Sliced};
use crate::error::Result;
use crate::observation::Fact;
use crate::ring::HoldId;
use crate::time::{Mono, Window};

/// Keeps frames, by interface.
pub trait FrameStore: Debug {
    /// True if this is about the present, and the host can be asked.
    const LIVE: bool;

    /// Follows what was told about interfaces; true if the set of names to watch may have changed.
    ///
    /// # Errors
    /// When an interface that appeared cannot be recorded.
    fn follow(&mut self, fact: &Fact) -> Result<bool>;

    /// Names of the recorded interfaces.
    fn names(&self) -> Vec<String>;

    /// Recorded interfaces, their masters, and the masters of these.
    fn watched(&self) -> BTreeSet<String>;

    /// What is watched, and the VLANs on top of it: the interfaces of the operator's table.
    fn listed(&self) -> BTreeSet<String>;

    /// Interfaces that lie upon this one, and upon which it lies; none where nobody knows.
    fn relatives(&self, _interface: &str) -> Option<Vec<String>> {
        None
    }

    /// Hands for somebody who reads frames; none where memory need not be used again.
    fn followers(&self) -> Vec<Follower> {
        Vec::new()
    }

    /// Holds everything since `from` in every lane, as [`Lane::hold`](crate::ring::Lane::hold).
    fn hold(&mut self, hold: HoldId, from: Mono, yields: bool) -> Held;

    /// The window of a hold is over at `to`. Where nobody spools it, nothing comes between that and its slice.
    fn bound(&mut self, _hold: HoldId, _to: Mono) {}

    /// Asks for `window` to be pinned and then for `release` to be given up; the answers come by themselves.
    fn slice(&mut self, window: Window, release: HoldId) -> Vec<Receiver<Sliced>>;

    /// How all interfaces stand; those that do not answer are left out.
    fn reports(&mut self) -> Vec<CaptureReport>;

    /// What went wrong in keeping them and was not told yet.
    fn mishap(&mut self) -> Option<String> {
        None
    }

    /// Stops after the last frame.
    fn stop(self) -> Vec<CaptureReport>;
}

/// What holding came to.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// From then on every lane that answered is complete.
    pub complete_from: Mono,
    /// Captures that did not answer.
    pub silent: usize,
}
