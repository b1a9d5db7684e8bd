//! Tables of the kernel that can be full: neighbours and tracked connections. When one is, new neighbours are
//! not resolved and new connections are dropped, while everything that was there before goes on: a failure that
//! is hard to see from outside.
//!
//! | table | entries | limit | refused |
//! |---|---|---|---|
//! | neighbours | rtnetlink | `gc_thresh3` | rtnetlink, `table_fulls` |
//! | connections | `nf_conntrack_count` | `nf_conntrack_max` | |
//!
//! Neighbours of all network namespaces share one table: when somebody fills it, it is full for all. What is not
//! there is looked for again in the next round, because modules are loaded late.

mod neighbours;

use std::fs;
use std::time::Duration;

use crate::error::Result;
use crate::finding::{Finding, FindingKind, Severity};
use crate::observation::Fact;
use crate::time::Stamp;
use crate::watch::ticks::Ticks;
use crate::watch::{Desk, Wake, Watcher};

/// Time between two rounds: one netlink dump and two small files.
const INTERVAL: Duration = Duration::from_secs(1);
/// A table is no longer full below this share of its limit: the kernel makes room for a few entries at a
/// time, and it would be full again at once.
const ROOM: f64 = 0.9;

/// A table, and the limit of it as sysctl(8) spells it.
#[derive(Debug)]
struct Table {
    name: &'static str,
    limit: &'static str,
}

/// How the kernel calls the tables of neighbours.
const NEIGHBOURS: [(&str, Table); 2] = [
    ("arp_cache", Table { name: "IPv4 neighbours", limit: "net.ipv4.neigh.default.gc_thresh3" }),
    ("ndisc_cache", Table { name: "IPv6 neighbours", limit: "net.ipv6.neigh.default.gc_thresh3" }),
];
const CONNECTIONS: Table =
    Table { name: "tracked connections", limit: "net.netfilter.nf_conntrack_max" };

/// The watcher of tables that can be full.
#[derive(Debug, Default)]
pub struct CapacityWatcher {
    neighbours: [Course; NEIGHBOURS.len()],
    connections: Course,
    /// Why tables of neighbours cannot be read, if that was said.
    trouble: Option<String>,
}

impl CapacityWatcher {
    fn round(&mut self, desk: &mut Desk) {
        let readings = neighbours::readings();
        let at = desk.now();
        let trouble = readings.as_ref().err().map(ToString::to_string);
        if let Some(why) = trouble.as_ref().filter(|_| trouble != self.trouble) {
            desk.confess(format!("how full the tables of neighbours are: {why}"));
        }
        self.trouble = trouble;
        let readings = readings.unwrap_or_default();
        let of = |name: &str| readings.iter().find(|(table, _)| table == name).map(|(_, now)| *now);
        let each = NEIGHBOURS.iter().zip(&mut self.neighbours);
        let each = each.map(|((name, table), course)| (table, course, of(name)));
        let all = each.chain([(&CONNECTIONS, &mut self.connections, connections())]);
        for (table, course, now) in all {
            if let Some(finding) = now.and_then(|now| course.judge(table, now, at)) {
                desk.send_at(at, Fact::Finding(Box::new(finding)));
            }
        }
    }
}

impl Watcher for CapacityWatcher {
    const NAME: &'static str = "capacity";

    fn run(mut self, desk: &mut Desk) -> Result<()> {
        let mut ticks = Ticks::new(desk.now().mono, INTERVAL);
        while desk.wait(&[], Some(ticks.due()))? != Wake::Stop {
            self.round(desk);
            ticks.served(desk.now().mono);
        }
        Ok(())
    }
}

/// How full a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    entries: u64,
    limit: u64,
    /// Entries that found no room since boot; none where nobody counts them.
    refused: Option<u64>,
}

/// Connections of this network namespace; none where they are not tracked.
fn connections() -> Option<Reading> {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
    let entries = number("/proc/sys/net/netfilter/nf_conntrack_count")?;
    let limit = number("/proc/sys/net/netfilter/nf_conntrack_max")?;
    Some(Reading { entries, limit, refused: None })
}

/// What is known of a table over time. Pure, and told the time.
#[derive(Debug, Default)]
struct Course {
    before: Option<Reading>,
    /// Since when it is full, and how many were refused by then.
    full: Option<(Stamp, u64)>,
}

impl Course {
    /// What a reading adds: that it is full, or has room again.
    fn judge(&mut self, table: &Table, now: Reading, at: Stamp) -> Option<Finding> {
        let before = self.before.replace(now);
        let refused = now.refused.unwrap_or_default();
        let refused_before = before.and_then(|before| before.refused).unwrap_or(refused);
        let is_full = match now.refused {
            Some(_) => refused > refused_before,
            None => now.entries >= now.limit,
        };
        match self.full {
            None if is_full => {
                self.full = Some((at, refused_before));
                Some(finding(table, now, (at, at), refused - refused_before, false))
            }
            Some((since, refused_then))
                if !is_full && (now.entries as f64) < now.limit as f64 * ROOM =>
            {
                self.full = None;
                let refused = refused.saturating_sub(refused_then);
                Some(finding(table, now, (since, at), refused, true))
            }
            _ => None,
        }
    }
}

fn finding(
    table: &Table,
    Reading { entries, limit, refused: told }: Reading,
    (first, last): (Stamp, Stamp),
    refused: u64,
    over: bool,
) -> Finding {
    let Table { name, limit: sysctl } = table;
    let is = if over { "has room again" } else { "is full" };
    let mut sentence = format!("the table of {name} {is}: {entries} of at most {limit} ({sysctl})");
    if told.is_some() {
        sentence.push_str(&format!(", {refused} new ones found no room"));
    }
    let finding =
        Finding::of_host(FindingKind::TableFull, Severity::Critical, last, *name, sentence);
    Finding { first, count: refused, over, ..finding }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Mono, Wall};

    #[test]
    fn a_full_table_is_told_once_and_again_when_there_is_room() {
        let reading = |entries, refused| Reading { entries, limit: 1_000, refused };
        for (table, course) in [
            (
                &NEIGHBOURS[0].1,
                vec![
                    // What was refused before is history.
                    (reading(1_000, Some(7)), ""),
                    (reading(1_000, Some(7)), ""),
                    (
                        reading(999, Some(10)),
                        "the table of IPv4 neighbours is full: 999 of at most 1000 \
                         (net.ipv4.neigh.default.gc_thresh3), 3 new ones found no room",
                    ),
                    (reading(1_000, Some(15)), ""),
                    (reading(950, Some(15)), ""),
                    (reading(899, Some(16)), ""),
                    (
                        reading(899, Some(16)),
                        "the table of IPv4 neighbours has room again: 899 of at most 1000 \
                         (net.ipv4.neigh.default.gc_thresh3), 9 new ones found no room (over)",
                    ),
                    (reading(10, Some(16)), ""),
                ],
            ),
            (
                &CONNECTIONS,
                vec![
                    (reading(999, None), ""),
                    (
                        reading(1_000, None),
                        "the table of tracked connections is full: 1000 of at most 1000 \
                         (net.netfilter.nf_conntrack_max)",
                    ),
                    (reading(950, None), ""),
                    (
                        reading(5, None),
                        "the table of tracked connections has room again: 5 of at most 1000 \
                         (net.netfilter.nf_conntrack_max) (over)",
                    ),
                ],
            ),
        ] {
            let mut known = Course::default();
            for (second, (now, expected)) in (1..).zip(course) {
                let at = Stamp { mono: Mono(second), wall: Wall(second) };
                let told = known.judge(table, now, at).map(|finding| finding.to_string());
                assert_eq!(told.unwrap_or_default(), expected, "{now:?}");
            }
        }
    }
}
