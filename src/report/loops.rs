//! Loops between ports of a bridge, told from the frames that go around in them.
//!
//! ```text
//!        ┌──────── t1 ──► in, out, in, out ...     the same frame circulates on both: a loop between them
//!   frame┤ bridge
//!        ├──────── t2 ──► in, out, in, out ...
//!        └──────── p3 ──► out, out, out ...        it only hears the storm
//! ```
//!
//! Interfaces that lie upon each other have the same storm, too, but each has it one way. So nothing is said of files
//! that do not tell directions, nor of a single port.

use super::model::{Entry, seconds_between};
use crate::finding::{FindingKind, Party, Severity};
use crate::frame::Direction;
use crate::words;

/// Storms of one loop are no further apart than this, in nanoseconds: they come in waves.
const TOGETHER: u64 = 1_000_000_000;
/// Ports that a sentence names.
const NAMED: usize = 4;

/// A finding for each loop that the storms among `entries` show.
pub(super) fn of(entries: &[Entry]) -> Vec<Entry> {
    let storms = entries.iter().filter(|entry| entry.circulates && entry.interface.is_some());
    let mut loops: Vec<Loop<'_>> = Vec::new();
    for storm in storms {
        match loops.iter_mut().find(|known| known.is_of(storm)) {
            Some(known) => known.storms.push(storm),
            None => loops.push(Loop { storms: vec![storm] }),
        }
    }
    let mut told: Vec<Entry> = Vec::new();
    for entry in loops.iter().filter_map(Loop::told) {
        // Each broadcast goes around in the same loop.
        let same = |known: &&mut Entry| known.what == entry.what && meet(known, &entry);
        match told.iter_mut().find(same) {
            Some(known) => known.add(&entry),
            None => told.push(entry),
        }
    }
    told
}

/// One frame that goes around: its storms.
struct Loop<'a> {
    storms: Vec<&'a Entry>,
}

impl Loop<'_> {
    fn is_of(&self, storm: &Entry) -> bool {
        self.storms[0].what == storm.what && meet(self.storms[0], storm)
    }

    fn told(&self) -> Option<Entry> {
        let mut ports: Vec<&str> =
            self.storms.iter().filter_map(|storm| storm.interface.as_deref()).collect();
        ports.sort_unstable();
        ports.dedup();
        let (last, others) = ports.split_last().filter(|(_, others)| !others.is_empty())?;
        let others = &others[..others.len().min(NAMED - 1)];
        let what = format!("loop between {} and {last}", others.join(", "));
        let first = self.storms.iter().map(|storm| storm.first).min()?;
        let end = self.storms.iter().map(|storm| storm.last).max()?;
        let count: u64 = self.storms.iter().map(|storm| storm.count).sum();
        let sentence = format!(
            "{what}: the same frame comes in and goes out of each again and again, {} copies in {:.1} s: {}",
            words::count(count),
            seconds_between(first, end),
            self.storms[0].what
        );
        let stations = self.storms.iter().flat_map(|storm| &storm.parties).copied();
        let mut parties: Vec<Party> = stations.collect();
        parties.sort_unstable();
        parties.dedup();
        Some(Entry {
            severity: Severity::Critical,
            first,
            last: end,
            interface: Some((*last).to_owned()),
            direction: Direction::Inbound,
            count,
            what,
            sentence,
            parties,
            lasts: self.storms.iter().any(|storm| storm.lasts),
            from: "frames",
            ..Entry::seen(FindingKind::MacFlapping.name())
        })
    }
}

impl Entry {
    /// Another frame went around there, too.
    fn add(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.count += other.count;
        self.lasts |= other.lasts;
    }
}

/// True if both lasted at the same time.
fn meet(one: &Entry, other: &Entry) -> bool {
    let begins_by =
        |one: &Entry, other: &Entry| one.first.0 <= other.last.0.saturating_add(TOGETHER);
    begins_by(one, other) && begins_by(other, one)
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    fn storm(interface: &str, what: &str, first: u64, circulates: bool) -> Entry {
        Entry {
            interface: Some(interface.to_owned()),
            what: what.to_owned(),
            count: 1_000,
            circulates,
            ..found("duplicate_storm", first, first + 4)
        }
    }

    #[test]
    fn a_frame_that_comes_and_goes_on_two_ports_is_a_loop_between_them() {
        let (arp, other) = ("ARP Who has 10.6.0.1?", "ARP Who has 10.6.0.2?");
        for (name, storms, expected) in [
            (
                "a switch",
                vec![
                    storm("t1", arp, 10, true),
                    storm("t2", arp, 10, true),
                    storm("p3", arp, 10, false),
                ],
                &["loop between t1 and t2"][..],
            ),
            (
                "two broadcasts in one loop",
                vec![
                    storm("t2", arp, 10, true),
                    storm("t1", arp, 10, true),
                    storm("t1", other, 12, true),
                    storm("t2", other, 12, true),
                ],
                &["loop between t1 and t2"],
            ),
            (
                "a bond and its port",
                vec![storm("bond0", arp, 10, false), storm("eth0", arp, 10, false)],
                &[],
            ),
            ("one port", vec![storm("t1", arp, 10, true)], &[]),
            ("other frames", vec![storm("t1", arp, 10, true), storm("t2", other, 10, true)], &[]),
            ("at other times", vec![storm("t1", arp, 10, true), storm("t2", arp, 60, true)], &[]),
        ] {
            let told = of(&storms);
            let what: Vec<_> = told.iter().map(|entry| entry.what.as_str()).collect();
            assert_eq!(what, expected, "{name}");
        }
    }
}
