//! Whether everything that must move does, judged from the rounds the capture threads count. Pure: it is
//! told the rounds and the time.
//!
//! Time in which we did not look ourselves counts for little: after the machine slept, or the process
//! stood still as a whole, every thread looks as if it had, and a moment later none does.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Mono;

/// A capture thread that does no round for longer stands still. It does ten a second without frames; the
/// longest it may take on purpose is a second, for the last frames of an interface that goes, and then a
/// new packet ring, for which a kernel short of memory may take a few more.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// As much counts between two looks, however long it was: the recorder looks twice a second.
const LOOK: Duration = Duration::from_secs(1);

/// What is known of all parts.
#[derive(Debug)]
pub struct Vitals {
    patience: Duration,
    looked: Mono,
    parts: BTreeMap<String, PartVitals>,
}

/// What is known of one.
#[derive(Debug)]
struct PartVitals {
    rounds: u64,
    /// For how long there was no further one.
    stood: Duration,
    /// It stood for longer than the patience, and that was told.
    told: bool,
}

/// What changed for a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It has done nothing for so long.
    Stands {
        /// Its name.
        part: String,
        /// Since then.
        stood: Duration,
    },
    /// It moves again, after so long.
    Moves {
        /// Its name.
        part: String,
        /// How long it stood.
        stood: Duration,
    },
}

impl Vitals {
    /// Nothing is known at `now`; a part that stands for longer than `patience` stands still.
    pub fn new(patience: Duration, now: Mono) -> Self {
        Self { patience, looked: now, parts: BTreeMap::new() }
    }

    /// Looks at the rounds of all parts there are now. Parts that are no longer named are forgotten.
    pub fn look<'a>(
        &mut self,
        now: Mono,
        rounds: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Vec<Change> {
        let passed = now.since(self.looked).min(LOOK);
        self.looked = now;
        let mut changes = Vec::new();
        let mut before = std::mem::take(&mut self.parts);
        for (name, rounds) in rounds {
            let known = before.remove(name);
            let part = match known {
                Some(part) if part.rounds == rounds => {
                    let stood = part.stood + passed;
                    let stands = stood >= self.patience;
                    if stands && !part.told {
                        changes.push(Change::Stands { part: name.to_owned(), stood });
                    }
                    PartVitals { rounds, stood, told: stands }
                }
                Some(PartVitals { told: true, stood, .. }) => {
                    changes.push(Change::Moves { part: name.to_owned(), stood });
                    PartVitals { rounds, stood: Duration::ZERO, told: false }
                }
                _ => PartVitals { rounds, stood: Duration::ZERO, told: false },
            };
            self.parts.insert(name.to_owned(), part);
        }
        changes
    }

    /// True once every part has done a round.
    pub fn all_began(&self) -> bool {
        self.parts.values().all(|part| part.rounds > 0)
    }

    /// The parts that stand still.
    pub fn standing(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter(|(_, part)| part.told).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_part_stands_once_its_patience_is_over_and_moves_again() {
        let mut vitals = Vitals::new(Duration::from_secs(2), Mono(0));
        assert!(vitals.all_began(), "nothing there is nothing to wait for");
        let stands = |stood| vec![Change::Stands { part: "b".into(), stood }];
        let moves = |stood| vec![Change::Moves { part: "b".into(), stood }];
        // at half seconds, rounds of a and b, all began, what changed
        for (at, a, b, began, expected) in [
            (0, 0, 0, false, vec![]),
            (1, 4, 0, false, vec![]),
            (2, 9, 1, true, vec![]),
            (3, 14, 1, true, vec![]),
            (5, 24, 1, true, vec![]),
            (6, 29, 1, true, stands(Duration::from_secs(2))),
            (8, 34, 1, true, vec![]),
            (9, 40, 2, true, moves(Duration::from_secs(3))),
            (10, 45, 7, true, vec![]),
        ] {
            let changes = vitals.look(Mono(at * S / 2), [("a", a), ("b", b)]);
            assert_eq!(changes, expected, "at {at}");
            assert_eq!(vitals.all_began(), began, "at {at}");
            assert_eq!(vitals.standing().count(), usize::from((6..9).contains(&at)), "at {at}");
        }
    }

    #[test]
    fn time_in_which_nobody_looked_counts_for_little() {
        let mut vitals = Vitals::new(PATIENCE, Mono(0));
        vitals.look(Mono(0), [("a", 1)]);
        assert_eq!(vitals.look(Mono(3_600 * S), [("a", 1)]), [], "the machine slept for an hour");
        assert_eq!(vitals.look(Mono(3_601 * S), [("a", 2)]), []);
    }

    #[test]
    fn a_part_that_is_gone_is_forgotten() {
        let mut vitals = Vitals::new(Duration::from_secs(1), Mono(0));
        vitals.look(Mono(0), [("a", 1)]);
        assert_eq!(vitals.look(Mono(S), [("a", 1)]).len(), 1);
        assert_eq!(vitals.look(Mono(2 * S), []), []);
        assert_eq!(vitals.standing().count(), 0);
        assert_eq!(vitals.look(Mono(3 * S), [("a", 1)]), [], "and begins anew");
    }
}
