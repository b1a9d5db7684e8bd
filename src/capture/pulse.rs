//! Whether a capture thread moves, seen from outside without asking it: it counts its rounds.
//!
//! A thread that is stuck answers no question, and one that asks would have to wait for it. A counter is
//! read at any time and costs the thread one store per kernel block.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The rounds of one capture thread. Cloning gives a second hand on the same count.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// One more round is done. Only the thread itself may say so: there is one writer, so that a load
    /// and a store lose nothing, and neither locks the bus.
    pub(super) fn beat(&self) {
        self.0.store(self.rounds().wrapping_add(1), Ordering::Relaxed);
    }

    /// Rounds done: each has read the source once. A thread without frames does ten a second.
    pub fn rounds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_hand_sees_the_beats() {
        let pulse = Pulse::default();
        let seen = pulse.clone();
        pulse.beat();
        pulse.beat();
        assert_eq!(seen.rounds(), 2);
    }
}
