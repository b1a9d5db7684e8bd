//! The operator's table: one row per interface with carrier, operational state, the age of that state
//! and how often it changed.
//!
//! Two watchers fill it, the sampler at every interval and the recorder at every change that
//! rtnetlink tells, and they must not contradict each other. So both share one [`Table`], which
//! remembers since when each state holds. A kernel that counts by itself (Vyatta's `opstate_age` and
//! `opstate_changes`) is believed; elsewhere ages begin when we began to look, and changes are those
//! either watcher saw. The lock is held for a few comparisons and never on the packet path.
//!
//! ```text
//!   before          since                    at
//!   ──┼───────────────┼───────────────────────┼──► monotonic
//!     └─ "up" ────────┴─ "down", age ─────────┘
//!          ▲ a reading stamped here that says "up" is late, not a change
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::observation::link::{LinkSample, LinkState};
use crate::time::Mono;

/// What sysfs says of an interface that does not exist: nothing; so the word is ours.
pub const GONE: &str = "gone";

/// One look at one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Carrier; none where the kernel does not tell.
    pub carrier: Option<bool>,
    /// Operational state as sysfs words it, or [`GONE`].
    pub operstate: String,
    /// Time in this state by the kernel's own clock, where it has one.
    pub age: Option<Duration>,
    /// Changes by the kernel's own count, where it has one.
    pub changes: Option<u64>,
}

impl Reading {
    /// The interface does not exist.
    pub fn gone() -> Self {
        Self { carrier: None, operstate: GONE.to_owned(), age: None, changes: None }
    }
}

impl From<&LinkState> for Reading {
    fn from(state: &LinkState) -> Self {
        let (carrier, operstate) = (state.carrier, state.operstate.to_string());
        Self { carrier, operstate, age: None, changes: None }
    }
}

/// The rows of the interfaces that are watched. Cloning gives a second hand on the same table.
#[derive(Debug, Clone, Default)]
pub struct Table(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    watched: Vec<String>,
    rows: BTreeMap<String, Row>,
}

/// What is remembered of one interface.
#[derive(Debug)]
struct Row {
    operstate: String,
    since: Mono,
    /// Since when the state before this one held.
    before: Mono,
    changes: u64,
}

impl Table {
    /// The interfaces that have rows from now on, in the order given; the others are forgotten.
    pub fn watch(&self, interfaces: impl IntoIterator<Item = String>) {
        let mut table = self.lock();
        table.watched = interfaces.into_iter().collect();
        let Rows { watched, rows } = &mut *table;
        rows.retain(|name, _| watched.contains(name));
    }

    /// The interfaces that have rows.
    pub fn watched(&self) -> Vec<String> {
        self.lock().watched.clone()
    }

    /// The row of `interface` at `at`, when `reading` was taken. Of an interface that is not watched
    /// nothing is remembered: its state begins with the reading.
    pub fn row(&self, at: Mono, interface: &str, reading: Reading) -> LinkSample {
        let mut table = self.lock();
        let Rows { watched, rows } = &mut *table;
        let (age, changes) = if let Some(row) = rows.get_mut(interface) {
            row.take(at, &reading)
        } else {
            let mut row = Row::new(at, &reading);
            let first = row.take(at, &reading);
            if watched.iter().any(|name| name == interface) {
                rows.insert(interface.to_owned(), row);
            }
            first
        };
        LinkSample {
            interface: interface.to_owned(),
            carrier: reading.carrier,
            operstate: reading.operstate,
            age,
            changes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        // Every change is complete before anything that could panic, so a poisoned table is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn new(at: Mono, reading: &Reading) -> Self {
        Self { operstate: reading.operstate.clone(), since: at, before: at, changes: 0 }
    }

    /// Age and changes at `at`, with what `reading` adds to the memory.
    fn take(&mut self, at: Mono, reading: &Reading) -> (Duration, u64) {
        let differs = self.operstate != reading.operstate;
        if differs && at < self.since {
            return (at.since(self.before), self.changes.saturating_sub(1));
        }
        if differs {
            self.operstate.clone_from(&reading.operstate);
            self.before = self.since;
            self.since = at;
            self.changes += 1;
        }
        if let Some(age) = reading.age {
            self.since = at.minus(age);
        }
        if let Some(changes) = reading.changes {
            self.changes = changes;
        }
        (at.since(self.since), self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(operstate: &str) -> Reading {
        Reading { carrier: Some(true), operstate: operstate.to_owned(), age: None, changes: None }
    }

    fn told_by_kernel(operstate: &str, age_s: u64, changes: u64) -> Reading {
        Reading {
            age: Some(Duration::from_secs(age_s)),
            changes: Some(changes),
            ..reading(operstate)
        }
    }

    #[test]
    fn age_and_changes_are_ours_unless_the_kernel_has_its_own() {
        let table = Table::default();
        table.watch(["dp0bond0".to_owned()]);
        // second, reading, age in seconds, changes
        for (at, reading, age, changes) in [
            (100, reading("up"), 0, 0),
            (101, reading("up"), 1, 0),
            (105, reading("down"), 0, 1),
            (107, reading("down"), 2, 1),
            (104, reading("up"), 4, 0), // late: taken before the change was seen
            (103, reading("down"), 0, 1), // stamped before, read after
            (108, reading("up"), 0, 2),
            (110, told_by_kernel("up", 50, 7), 50, 7),
            (111, reading("up"), 51, 7), // rtnetlink goes on from what the kernel said
            (112, reading("down"), 0, 8),
            (113, told_by_kernel("down", 1, 8), 1, 8),
            (114, Reading::gone(), 0, 9),
        ] {
            let what = format!("{at} {reading:?}");
            let row = table.row(Mono(at * 1_000_000_000), "dp0bond0", reading);
            assert_eq!((row.age.as_secs(), row.changes), (age, changes), "{what}");
        }
    }

    #[test]
    fn only_what_is_watched_is_remembered() {
        let table = Table::default();
        table.watch(["a".to_owned(), "b".to_owned()]);
        assert_eq!(table.watched(), ["a", "b"]);
        table.row(Mono(1), "a", reading("up"));
        table.row(Mono(1), "other", reading("up"));
        table.watch(["b".to_owned()]);
        for name in ["a", "other"] {
            assert_eq!(table.row(Mono(9), name, reading("down")).changes, 0, "{name}");
        }
    }

    #[test]
    fn a_link_state_reads_like_sysfs() {
        let state = LinkState { carrier: None, ..LinkState::default() };
        assert_eq!(Reading::from(&state).operstate, "unknown");
        assert_eq!(Reading::from(&state).carrier, None);
    }
}
