//! The operator's loop, as a watcher: at every interval one look at `carrier`, `operstate` and, where
//! the kernel has them, `opstate_age` and `opstate_changes` of each interface in the [`Table`].
//!
//! It promises regular rounds that do not drift, one stamp for all rows of a round, and rows that
//! agree with those the recorder makes at every change. It never shows another network namespace's
//! interfaces for ours: /sys belongs to the namespace that mounted it, so its interfaces and their
//! indexes are compared with rtnetlink at the start. Where they are not ours, rows come from
//! rtnetlink instead, and [`Sampler::limitation`] says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
use crate::observation::Fact;
use crate::observation::link::LinkState;
use crate::watch::link::links;
use crate::watch::table::{Reading, Table};
use crate::watch::ticks::{Ticks, check_interval};
use crate::watch::{Wake, Watcher, WatcherContext};

/// Where the kernel shows network interfaces (Documentation/ABI/testing/sysfs-class-net).
const ROOT: &str = "/sys/class/net";
/// Interfaces may come and go between the look at /sys and the one at rtnetlink: this many looks must
/// differ before /sys is taken for another namespace's.
const LOOKS: usize = 3;

/// What can be tuned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Time between two rounds.
    pub interval: Duration,
    /// The directory that has one directory for each interface.
    pub root: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), root: PathBuf::from(ROOT) }
    }
}

impl Options {
    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// When the interval is below 10 ms or above an hour.
    pub fn check(&self) -> Result<()> {
        check_interval("--interval", self.interval)
    }
}

/// The watcher that looks at regular intervals.
#[derive(Debug)]
pub struct Sampler {
    interval: Duration,
    table: Table,
    source: Source,
}

/// Where readings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Sysfs(PathBuf),
    Netlink,
}

impl Sampler {
    /// A sampler of the interfaces in `table`, which may change at any time.
    ///
    /// # Errors
    /// When an option has no meaning, or neither /sys nor rtnetlink can be read.
    pub fn open(options: Options, table: Table) -> Result<Self> {
        options.check()?;
        let source = if is_ours(&options.root)? {
            Source::Sysfs(options.root)
        } else {
            tracing::warn!(
                root = %options.root.display(),
                "not this network namespace's interfaces: the timeline is computed from rtnetlink"
            );
            Source::Netlink
        };
        Ok(Self { interval: options.interval, table, source })
    }

    /// What the rows cannot tell, for the manifest; none where /sys can be read.
    pub fn limitation(&self) -> Option<&'static str> {
        (self.source == Source::Netlink).then_some(
            "/sys does not show this network namespace: the timeline is computed from rtnetlink, \
             without the kernel's own opstate_age and opstate_changes",
        )
    }

    fn round(&self, context: &mut WatcherContext) {
        let at = context.now();
        let watched = self.table.watched();
        let readings = match self.source.read(&watched) {
            Ok(readings) => readings,
            Err(error) => {
                return context.report_missed(format!("one round of the timeline: {error}"));
            }
        };
        for (interface, reading) in watched.iter().zip(readings) {
            context.send_at(at, Fact::Sample(self.table.row(at.mono, interface, reading)));
        }
    }
}

impl Watcher for Sampler {
    const NAME: &'static str = "sysfs";

    fn run(self, context: &mut WatcherContext) -> Result<()> {
        let mut ticks = Ticks::new(context.now().mono, self.interval);
        while context.wait(&[], Some(ticks.due()))? != Wake::Stop {
            self.round(context);
            let skipped = ticks.served(context.now().mono);
            if skipped > 0 {
                context.report_missed(format!(
                    "{skipped} rounds of the timeline: the last one took too long"
                ));
            }
        }
        Ok(())
    }
}

impl Source {
    /// One reading for each of `interfaces`.
    fn read(&self, interfaces: &[String]) -> Result<Vec<Reading>> {
        match self {
            Self::Sysfs(root) => Ok(interfaces.iter().map(|name| look(root, name)).collect()),
            Self::Netlink => {
                let links = links()?;
                let by_name: BTreeMap<&str, &LinkState> =
                    links.iter().map(|link| (link.name.as_str(), link)).collect();
                let read =
                    |name: &String| by_name.get(name.as_str()).map(|link| Reading::from(*link));
                Ok(interfaces.iter().map(|n| read(n).unwrap_or_else(Reading::gone)).collect())
            }
        }
    }
}

/// True if the interfaces under `root` are those of our network namespace.
fn is_ours(root: &Path) -> Result<bool> {
    for _ in 0..LOOKS {
        let ours = links()?.into_iter().map(|link| (link.name, link.index)).collect();
        if shown(root) == ours {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Names and indexes of the interfaces under `root`, which also has files that are none, such as
/// `bonding_masters`.
fn shown(root: &Path) -> BTreeMap<String, u32> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let index = attribute(root, &name, "ifindex")?.parse().ok()?;
            Some((name, index))
        })
        .collect()
}

fn look(root: &Path, interface: &str) -> Reading {
    let Some(operstate) = attribute(root, interface, "operstate") else {
        return Reading::gone();
    };
    Reading {
        carrier: attribute(root, interface, "carrier").and_then(|text| read_carrier(&text)),
        operstate,
        age: attribute(root, interface, "opstate_age").and_then(|text| read_age(&text)),
        changes: attribute(root, interface, "opstate_changes").and_then(|text| text.parse().ok()),
    }
}

/// The attribute's line; none if there is no such file or the kernel refuses to tell: EINVAL for the
/// carrier of an interface that is administratively down (`carrier_show()`, net/core/net-sysfs.c).
fn attribute(root: &Path, interface: &str, name: &str) -> Option<String> {
    // No interface has such a name (dev_valid_name(), net/core/dev.c); a typed one must not lead out
    // of the root.
    if matches!(interface, "" | "." | "..") || interface.contains('/') {
        return None;
    }
    let text = fs::read_to_string(root.join(interface).join(name)).ok()?;
    Some(text.trim().to_owned())
}

fn read_carrier(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

/// Seconds with three decimals, as Vyatta's kernel prints them: an operator's log shows `184119.289`
/// and, 70 seconds later, `184189.334`; vyatta-cfg's `opstate_age` is used as seconds too.
fn read_age(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::lab::{Namespace, wait_for};
    use crate::observation::Observation;
    use crate::observation::link::LinkSample;
    use crate::time::Clock;
    use crate::watch::spawn;

    /// A tree like /sys/class/net; interfaces are directories of attributes.
    fn tree(interfaces: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (interface, attributes) in interfaces {
            fs::create_dir(root.path().join(interface)).unwrap();
            for (name, value) in *attributes {
                fs::write(root.path().join(interface).join(name), value).unwrap();
            }
        }
        fs::write(root.path().join("bonding_masters"), "dp0bond0\n").unwrap();
        root
    }

    #[test]
    fn attributes_are_read_where_they_are() {
        let root = tree(&[
            (
                "dp0bond0",
                &[
                    ("carrier", "0\n"),
                    ("operstate", "down\n"),
                    ("opstate_age", "65.227\n"),
                    ("opstate_changes", "2\n"),
                    ("ifindex", "7\n"),
                ],
            ),
            ("eth0", &[("carrier", "1\n"), ("operstate", "up\n"), ("ifindex", "2\n")]),
            ("dark", &[("operstate", "down\n")]),
        ]);
        let reading = |carrier, operstate: &str, age, changes| Reading {
            carrier,
            operstate: operstate.to_owned(),
            age,
            changes,
        };
        let age = Some(Duration::from_millis(65_227));
        for (name, expected) in [
            ("dp0bond0", reading(Some(false), "down", age, Some(2))),
            ("eth0", reading(Some(true), "up", None, None)),
            ("dark", reading(None, "down", None, None)),
            ("none", Reading::gone()),
            ("", Reading::gone()),
            ("../eth0", Reading::gone()),
        ] {
            assert_eq!(look(root.path(), name), expected, "{name:?}");
        }
        let indexes = [("dp0bond0".to_owned(), 7), ("eth0".to_owned(), 2)];
        assert_eq!(shown(root.path()), indexes.into());
    }

    #[test]
    fn ages_are_seconds() {
        for (text, age) in [
            ("184119.289", Some(Duration::from_millis(184_119_289))),
            ("65", Some(Duration::from_secs(65))),
            ("-1", None),
            ("", None),
            ("inf", None),
        ] {
            assert_eq!(read_age(text), age, "{text:?}");
        }
    }

    #[test]
    fn intervals_have_bounds() {
        for (millis, good) in [(0, false), (9, false), (10, true), (3_600_000, true)] {
            let interval = Duration::from_millis(millis);
            assert_eq!(Options { interval, ..Options::default() }.check().is_ok(), good);
        }
    }

    fn sample(seen: &Observation) -> &LinkSample {
        match &seen.fact {
            Fact::Sample(sample) => sample,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rounds_are_regular_and_follow_the_table() {
        const INTERVAL: Duration = Duration::from_millis(20);
        let root = tree(&[
            ("a", &[("carrier", "1\n"), ("operstate", "up\n")]),
            ("b", &[("operstate", "down\n")]),
        ]);
        let table = Table::default();
        table.watch(["a".to_owned(), "b".to_owned()]);
        let source = Source::Sysfs(root.path().to_owned());
        let (outbox, inbox) = bounded(crate::watch::CHANNEL);
        let sampler = Sampler { interval: INTERVAL, table: table.clone(), source };
        let watch = spawn(sampler, Clock::system(), outbox).unwrap();

        let (first, _) = wait_for(&inbox, "a", |_| true);
        let (second, _) = wait_for(&inbox, "b", |_| true);
        assert_eq!((sample(&first).interface.as_str(), first.at), ("a", second.at));
        assert_eq!(sample(&second).interface, "b");
        let (third, _) = wait_for(&inbox, "the next round", |_| true);
        assert!(third.at.mono > first.at.mono, "each round has a stamp of its own");

        fs::write(root.path().join("a/operstate"), "down\n").unwrap();
        let of_a = |seen: &Observation| matches!(&seen.fact, Fact::Sample(s) if s.interface == "a");
        let (down, _) =
            wait_for(&inbox, "down", |seen| of_a(seen) && sample(seen).operstate == "down");
        assert_eq!((sample(&down).changes, sample(&down).age), (1, Duration::ZERO));
        fs::remove_dir_all(root.path().join("a")).unwrap();
        wait_for(&inbox, "gone", |seen| of_a(seen) && sample(seen).operstate == "gone");
        table.watch(["b".to_owned()]);
        wait_for(&inbox, "a round without a", |seen| !of_a(seen));
        watch.join();
    }

    #[test]
    fn sysfs_of_another_namespace_is_recognised() {
        let Some(ns) = Namespace::new() else { return };
        ns.ip("link add s0 type veth peer name s1");
        ns.ip("link set s0 up");
        let table = Table::default();
        table.watch(["s0".to_owned(), "s1".to_owned(), "none".to_owned()]);
        let here = Sampler::open(Options::default(), table.clone()).unwrap();
        assert_eq!(here.limitation(), None, "/sys is ours here");
        let (outbox, inbox) = bounded(crate::watch::CHANNEL);
        let watch = ns.inside(|| {
            let there = Sampler::open(Options::default(), table.clone()).unwrap();
            assert!(there.limitation().is_some());
            spawn(there, Clock::system(), outbox).unwrap()
        });
        for (name, carrier, operstate) in
            [("s0", Some(false), "lowerlayerdown"), ("s1", None, "down"), ("none", None, "gone")]
        {
            let (seen, _) = wait_for(&inbox, name, |_| true);
            let sample = sample(&seen);
            assert_eq!(
                (sample.interface.as_str(), sample.carrier, sample.operstate.as_str()),
                (name, carrier, operstate)
            );
        }
        watch.join();
    }
}
