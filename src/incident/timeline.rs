//! `timeline.csv`: the operator's table, one row per interface per sample and one at every change.
//!
//! ```text
//! date,if,carr,state,age,chngs,ping 192.0.2.1
//! 2026-11-22T14:14:19.811Z,dp0bond0,1,up,86400.000,3,0.412
//! 2026-11-22T14:14:20.811Z,dp0bond0,0,down,0.000,4,0.412
//! 2026-11-22T14:14:20.812Z,dp0bond0,0,down,0.001,4,lost
//! ```
//!
//! * `date` UTC with milliseconds, finer than any watcher is exact; sorts as text. Rows are in order of
//!   happening, so after a backward step of the wall clock the dates go back.
//! * `carr` 1, 0, or empty where the kernel does not tell (administratively down, gone).
//! * `state` as sysfs words it, `gone` where the interface does not exist.
//! * `age` seconds in this state, `chngs` changes of state.
//! * `ping HOST` the latest round trip in milliseconds known at that moment, or `lost`; empty before the
//!   first.
//!
//! A row is a [`Fact::Sample`]: the sampler makes one at every interval, the recorder one at every change.
//! Each interface's first row is its state when the window opens, carried forward from the last
//! observation before it. A pure function of observations: it asks nothing and reads no clock.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use crate::observation::link::LinkSample;
use crate::observation::{Fact, Observation};
use crate::time::{Mono, Stamp, Wall, Window};
use crate::visible;

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// When.
    pub date: Wall,
    /// What was known of the interface then.
    pub sample: LinkSample,
    /// The latest answer of each probe, in the order of [`Timeline::probes`].
    pub pings: Vec<Option<Ping>>,
}

/// The latest that is known of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ping {
    /// Answered after this time.
    Answered(Duration),
    /// Not answered.
    Lost,
}

/// The whole table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    /// The probes, one column each.
    pub probes: Vec<String>,
    /// The rows, in order of happening.
    pub rows: Vec<Row>,
}

impl Timeline {
    /// The table of `observations`, which are in order; those before `window` only tell how it began.
    /// `probes` are the columns in the operator's order; a probe that is not among them is put behind.
    pub fn of(
        observations: &[impl Borrow<Observation>],
        window: Window,
        probes: &[String],
    ) -> Self {
        let observations: Vec<&Observation> = observations.iter().map(Borrow::borrow).collect();
        let before = observations.partition_point(|o| o.at.mono < window.from);
        let (before, inside) = observations.split_at(before);
        let mut table = Table {
            probes: columns(&observations, probes),
            pings: Vec::new(),
            interfaces: BTreeMap::new(),
        };
        table.pings = vec![None; table.probes.len()];
        for observation in before {
            table.learn(observation);
        }
        let mut rows = before.last().map_or_else(Vec::new, |last| {
            let wall = last.at.offset().wall(window.from);
            table.all(Stamp { mono: window.from, wall })
        });
        for observation in inside {
            if let Some(interface) = table.learn(observation) {
                rows.push(table.row(interface, observation.at));
            }
        }
        Self { probes: table.probes, rows }
    }

    /// Writes the table as RFC 4180 has it, but with lines ending as on Unix.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "date,if,carr,state,age,chngs")?;
        for probe in &self.probes {
            write!(out, ",{}", visible::field(&format!("ping {probe}")))?;
        }
        writeln!(out)?;
        self.rows.iter().try_for_each(|row| row.write(out))
    }
}

impl Row {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        write!(
            out,
            "{},{},{},{},{},{}",
            self.date.milliseconds(),
            visible::field(&self.sample.interface),
            self.sample.carrier.map_or("", |on| if on { "1" } else { "0" }),
            visible::field(&self.sample.operstate),
            format_args!("{:.3}", self.sample.age.as_secs_f64()),
            self.sample.changes
        )?;
        for ping in &self.pings {
            match ping {
                None => write!(out, ",")?,
                Some(Ping::Lost) => write!(out, ",lost")?,
                Some(Ping::Answered(after)) => write!(out, ",{:.3}", after.as_secs_f64() * 1e3)?,
            }
        }
        writeln!(out)
    }
}

fn columns(observations: &[&Observation], configured: &[String]) -> Vec<String> {
    let mut probes = configured.to_vec();
    for observation in observations {
        if let Fact::ProbeAnswered { probe, .. } | Fact::ProbeLost { probe, .. } = &observation.fact
            && !probes.contains(probe)
        {
            probes.push(probe.clone());
        }
    }
    probes
}

struct Table<'a> {
    probes: Vec<String>,
    pings: Vec<Option<Ping>>,
    /// The latest sample of each interface, and when it was taken.
    interfaces: BTreeMap<&'a str, (Mono, &'a LinkSample)>,
}

impl<'a> Table<'a> {
    /// Takes in one observation; tells the interface whose row it makes, if any.
    fn learn(&mut self, observation: &'a Observation) -> Option<&'a str> {
        match &observation.fact {
            Fact::Sample(sample) => {
                self.interfaces.insert(&sample.interface, (observation.at.mono, sample));
                return Some(&sample.interface);
            }
            Fact::ProbeAnswered { probe, round_trip, .. } => {
                self.pinged(probe, Ping::Answered(*round_trip));
            }
            Fact::ProbeLost { probe, .. } => self.pinged(probe, Ping::Lost),
            _ => {}
        }
        None
    }

    fn pinged(&mut self, probe: &str, ping: Ping) {
        if let Some(column) = self.probes.iter().position(|known| known == probe) {
            self.pings[column] = Some(ping);
        }
    }

    fn all(&self, at: Stamp) -> Vec<Row> {
        self.interfaces.keys().map(|interface| self.row(interface, at)).collect()
    }

    /// The interface's latest sample, as old as it is by now.
    fn row(&self, interface: &str, at: Stamp) -> Row {
        let (taken, latest) = self.interfaces[interface];
        let sample = LinkSample { age: latest.age + at.mono.since(taken), ..latest.clone() };
        Row { date: at.wall, sample, pings: self.pings.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::fixture::{MONO, answered, lost, sample};

    const S: u64 = 1_000_000_000;

    fn table(observations: &[Observation]) -> String {
        let window = Window { from: Mono(MONO + 10 * S), to: Mono(MONO + 20 * S) };
        let probes = ["a".to_owned()];
        let mut text = Vec::new();
        Timeline::of(observations, window, &probes).write(&mut text).unwrap();
        String::from_utf8(text).unwrap().replace("2026-11-22T14:14:", "")
    }

    #[test]
    fn rows_follow_samples() {
        for (name, observations, expected) in [
            ("nothing known", vec![], vec![]),
            (
                "a sample is a row",
                vec![sample(10, "eth0", Some(true), "up", 5_000, 2)],
                vec!["30.811Z,eth0,1,up,5.000,2,"],
            ),
            (
                "the state before is carried to the window's edge",
                vec![
                    answered(7, "a", 412),
                    sample(8, "eth1", None, "down", 0, 0),
                    sample(8, "eth0", Some(true), "up", 5_000, 2),
                    sample(11, "eth0", Some(true), "up", 8_000, 2),
                ],
                vec![
                    "30.811Z,eth0,1,up,7.000,2,0.412",
                    "30.811Z,eth1,,down,2.000,0,0.412",
                    "31.811Z,eth0,1,up,8.000,2,0.412",
                ],
            ),
            (
                "probes show what is known of them at that moment",
                vec![
                    sample(10, "eth0", Some(true), "up", 5_000, 2),
                    sample(12, "eth0", Some(false), "down", 0, 3),
                    lost(13, "a", 1),
                    sample(14, "eth0", Some(false), "down", 2_000, 3),
                ],
                vec![
                    "30.811Z,eth0,1,up,5.000,2,",
                    "32.811Z,eth0,0,down,0.000,3,",
                    "34.811Z,eth0,0,down,2.000,3,lost",
                ],
            ),
        ] {
            let mut lines = vec!["date,if,carr,state,age,chngs,ping a"];
            lines.extend(expected);
            assert_eq!(table(&observations), format!("{}\n", lines.join("\n")), "{name}");
        }
    }

    #[test]
    fn columns_keep_the_operators_order_and_take_in_strangers() {
        let probes = ["b".to_owned(), "a,\"x\"".to_owned()];
        let seen = [answered(1, "z", 1), answered(2, "b", 1)];
        let window = Window { from: Mono(0), to: Mono(u64::MAX) };
        let mut text = Vec::new();
        Timeline::of(&seen, window, &probes).write(&mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "date,if,carr,state,age,chngs,ping b,\"ping a,\"\"x\"\"\",ping z\n"
        );
    }
}
