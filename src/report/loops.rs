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
//!
//! A frame that goes around one way only is told by its beginning: it left by one port of a bridge before it came
//! in by another. A storm that somebody sends came in first.

use super::model::{Entry, seconds_between};
use super::relations::Relations;
use crate::finding::{FindingKind, Party, Severity};
use crate::frame::Direction;
use crate::words;

/// Storms of one loop are no further apart than this, in nanoseconds: they come in waves.
const TOGETHER: u64 = 1_000_000_000;
/// Ports that a sentence names.
const NAMED: usize = 4;

/// A finding for each loop that the storms among `entries` show.
pub(super) fn of(entries: &[Entry], relations: &Relations) -> Vec<Entry> {
    let storm = FindingKind::DuplicateStorm.name();
    let mut loops: Vec<Loop<'_>> = Vec::new();
    for storm in entries.iter().filter(|entry| entry.kind == storm && entry.interface.is_some()) {
        match loops.iter_mut().find(|known| known.is_of(storm)) {
            Some(known) => known.storms.push(storm),
            None => loops.push(Loop { storms: vec![storm] }),
        }
    }
    let mut told: Vec<Entry> = Vec::new();
    for entry in loops.iter().filter_map(|one| one.told(relations)) {
        // Each broadcast goes around in the same loop.
        let same = |known: &&mut Entry| known.what == entry.what && meet(known, &entry);
        match told.iter_mut().find(same) {
            Some(known) => known.add(&entry),
            None => told.push(entry),
        }
    }
    told
}

/// One frame that comes again and again: its storms.
struct Loop<'a> {
    storms: Vec<&'a Entry>,
}

impl Loop<'_> {
    fn is_of(&self, storm: &Entry) -> bool {
        self.storms[0].what == storm.what && meet(self.storms[0], storm)
    }

    /// Storms of ports on which the frame comes in and goes out; else of two of which one sent it before the other
    /// received it.
    fn circulation(&self, relations: &Relations) -> Option<(Vec<&Entry>, &'static str)> {
        let both: Vec<_> = self.storms.iter().copied().filter(|storm| storm.circulates).collect();
        if both.iter().any(|storm| storm.interface != both[0].interface) {
            return Some((both, "comes in and goes out of each again and again"));
        }
        let way = |way| self.storms.iter().copied().filter(move |storm| storm.direction == way);
        let sent = way(Direction::Outbound).min_by_key(|storm| storm.first)?;
        let returns = |storm: &&Entry| {
            let ports = (sent.interface.as_deref(), storm.interface.as_deref());
            matches!(ports, (Some(one), Some(other)) if relations.is_bridged(one, other))
        };
        let received = way(Direction::Inbound).min_by_key(|storm| storm.first).filter(returns)?;
        let comes_back = sent.first < received.first;
        comes_back.then(|| (vec![sent, received], "leaves by one and comes back by the other"))
    }

    fn told(&self, relations: &Relations) -> Option<Entry> {
        let (storms, how) = self.circulation(relations)?;
        let mut ports: Vec<&str> =
            storms.iter().filter_map(|storm| storm.interface.as_deref()).collect();
        ports.sort_unstable();
        ports.dedup();
        let (last, others) = ports.split_last().filter(|(_, others)| !others.is_empty())?;
        let others = &others[..others.len().min(NAMED - 1)];
        let what = format!("loop between {} and {last}", others.join(", "));
        let first = storms.iter().map(|storm| storm.first).min()?;
        let end = storms.iter().map(|storm| storm.last).max()?;
        let count: u64 = storms.iter().map(|storm| storm.count).sum();
        let sentence = format!(
            "{what}: the same frame {how}, {} copies in {:.1} s: {}",
            words::count(count),
            seconds_between(first, end),
            storms[0].what
        );
        let stations = storms.iter().flat_map(|storm| &storm.parties).copied();
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
            lasts: storms.iter().any(|storm| storm.lasts),
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
            let told = of(&storms, &Relations::default());
            let what: Vec<_> = told.iter().map(|entry| entry.what.as_str()).collect();
            assert_eq!(what, expected, "{name}");
        }
    }

    /// Regression: a frame of the bridge itself went around one way only, and no loop was told.
    #[test]
    fn a_frame_that_leaves_by_a_port_before_it_comes_in_by_another_is_a_loop() {
        use Direction::{Inbound, Outbound};
        let mut bridge = Relations::default();
        bridge.bridged("t1".to_owned(), 3);
        bridge.bridged("t2".to_owned(), 3);
        let flood = |interface: &str, direction, first| Entry {
            direction,
            ..storm(interface, "MLD report", first, false)
        };
        for (name, relations, storms, expected) in [
            ("sent, then received", &bridge, [("t2", Outbound, 10), ("t1", Inbound, 11)], true),
            ("a storm that passes", &bridge, [("t1", Inbound, 10), ("t2", Outbound, 11)], false),
            ("one port", &bridge, [("t1", Outbound, 10), ("t1", Inbound, 11)], false),
            (
                "two cards of a host",
                &Relations::default(),
                [("t2", Outbound, 10), ("t1", Inbound, 11)],
                false,
            ),
        ] {
            let storms = storms.map(|(interface, way, first)| flood(interface, way, first));
            let told = of(&storms, relations);
            let what: Vec<_> = told.iter().map(|entry| entry.what.as_str()).collect();
            let expected = if expected { vec!["loop between t1 and t2"] } else { vec![] };
            assert_eq!(what, expected, "{name}");
        }
    }
}
