//! Tables of the kernel that can be full: neighbours and tracked connections. When one is, new neighbours are
//! not resolved and new connections are dropped, while everything that was there before goes on: a failure that
//! is hard to see from outside.
//!
//! | table | entries | limit | refused |
//! |---|---|---|---|
//! | neighbours | `/proc/net/stat/arp_cache`, `ndisc_cache` | `gc_thresh3` | `table_fulls` there |
//! | connections | `nf_conntrack_count` | `nf_conntrack_max` | |
//!
//! Neighbours of all network namespaces share one table, and only the first namespace is told how full it is
//! (net/core/neighbour.c, neigh_table_init()); in another one the kernel's log tells. What is not there is
//! looked for again in the next round, because modules are loaded late.

use std::fs;
use std::time::Duration;

use crate::error::Result;
use crate::finding::{Finding, FindingKind, Severity};
use crate::observation::Fact;
use crate::time::Stamp;
use crate::watch::ticks::Ticks;
use crate::watch::{Wake, Watcher, WatcherContext};

/// Time between two rounds: four small files.
const INTERVAL: Duration = Duration::from_secs(1);
/// A table is no longer full below this share of its limit: the kernel makes room for a few entries at a
/// time, and it would be full again at once.
const ROOM: f64 = 0.9;

/// A table, and where it is told how full it is.
#[derive(Debug)]
struct Table {
    name: &'static str,
    /// Its statistics, with a row for each processor; else the file with the number of entries.
    entries: &'static str,
    has_statistics: bool,
    limit: &'static str,
}

const TABLES: [Table; 3] = [
    Table {
        name: "IPv4 neighbours",
        entries: "/proc/net/stat/arp_cache",
        has_statistics: true,
        limit: "/proc/sys/net/ipv4/neigh/default/gc_thresh3",
    },
    Table {
        name: "IPv6 neighbours",
        entries: "/proc/net/stat/ndisc_cache",
        has_statistics: true,
        limit: "/proc/sys/net/ipv6/neigh/default/gc_thresh3",
    },
    Table {
        name: "tracked connections",
        entries: "/proc/sys/net/netfilter/nf_conntrack_count",
        has_statistics: false,
        limit: "/proc/sys/net/netfilter/nf_conntrack_max",
    },
];

/// The watcher of tables that can be full.
#[derive(Debug, Default)]
pub struct CapacityWatcher {
    courses: [Fullness; TABLES.len()],
}

impl Watcher for CapacityWatcher {
    const NAME: &'static str = "capacity";

    fn run(mut self, context: &mut WatcherContext) -> Result<()> {
        let mut ticks = Ticks::new(context.now().mono, INTERVAL);
        while context.wait(&[], Some(ticks.due()))? != Wake::Stop {
            let at = context.now();
            for (table, course) in TABLES.iter().zip(&mut self.courses) {
                let reading = table.read();
                if let Some(finding) = reading.and_then(|now| course.judge(table, now, at)) {
                    context.send_at(at, Fact::Finding(Box::new(finding)));
                }
            }
            ticks.served(context.now().mono);
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

impl Table {
    /// None where this is not told.
    fn read(&self) -> Option<Reading> {
        let text = fs::read_to_string(self.entries).ok()?;
        let limit = fs::read_to_string(self.limit).ok()?.trim().parse().ok()?;
        let (entries, refused) = match self.has_statistics {
            true => (*column(&text, "entries")?.first()?, Some(column(&text, "table_fulls")?)),
            false => (text.trim().parse().ok()?, None),
        };
        Some(Reading { entries, limit, refused: refused.map(|each| each.iter().sum()) })
    }

    /// The limit as sysctl(8) spells it.
    fn sysctl(&self) -> String {
        self.limit.trim_start_matches("/proc/sys/").replace('/', ".")
    }
}

/// A column of a statistics file, a value for each processor: hexadecimal below a line of names.
fn column(text: &str, name: &str) -> Option<Vec<u64>> {
    let mut lines = text.lines();
    let at = lines.next()?.split_whitespace().position(|column| column == name)?;
    lines.map(|line| u64::from_str_radix(line.split_whitespace().nth(at)?, 16).ok()).collect()
}

/// What is known of a table over time. Pure, and told the time.
#[derive(Debug, Default)]
struct Fullness {
    before: Option<Reading>,
    /// Since when it is full, and how many were refused by then.
    full: Option<(Stamp, u64)>,
}

impl Fullness {
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
    let (name, sysctl) = (table.name, table.sysctl());
    let is = if over { "has room again" } else { "is full" };
    let mut sentence = format!("the table of {name} {is}: {entries} of at most {limit} ({sysctl})");
    if told.is_some() {
        sentence.push_str(&format!(", {refused} new ones found no room"));
    }
    let finding =
        Finding::of_host(FindingKind::TableFull, Severity::Critical, last, name, sentence);
    Finding { first, count: refused, over, ..finding }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Mono, Wall};

    #[test]
    fn statistics_are_read_by_the_names_of_their_columns() {
        let text =
            "entries  allocs table_fulls\n00000400 00000014 0000000a\n00000400 00000026 00000001\n";
        assert_eq!(column(text, "entries"), Some(vec![1_024, 1_024]));
        assert_eq!(column(text, "table_fulls"), Some(vec![10, 1]));
        assert_eq!(column(text, "hits"), None);
        assert_eq!(column("entries x\nzz 1\n", "entries"), None);
        assert_eq!(column("", "entries"), None);
    }

    #[test]
    fn a_full_table_is_told_once_and_again_when_there_is_room() {
        let reading = |entries, refused| Reading { entries, limit: 1_000, refused };
        for (table, course) in [
            (
                &TABLES[0],
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
                &TABLES[2],
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
            let mut known = Fullness::default();
            for (second, (now, expected)) in (1..).zip(course) {
                let at = Stamp { mono: Mono(second), wall: Wall(second) };
                let told = known.judge(table, now, at).map(|finding| finding.to_string());
                assert_eq!(told.unwrap_or_default(), expected, "{now:?}");
            }
        }
    }

    #[test]
    fn what_this_kernel_tells_is_understood() {
        for table in &TABLES {
            let is_told = fs::exists(table.entries).unwrap() && fs::exists(table.limit).unwrap();
            assert_eq!(table.read().is_some(), is_told, "{table:?}");
        }
    }
}
