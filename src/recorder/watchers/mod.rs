//! The watchers of this host: a thread each, added, replaced when the configuration is read again,
//! restarted after a panic, and joined at the end.

pub(super) mod options;
mod restart;

use std::collections::BTreeSet;
use std::mem;

use crossbeam_channel::Sender;

use self::options::Opened;
use self::restart::Panicked;
use super::Options;
use crate::detect::protocols::Local;
use crate::error::Result;
use crate::observation::{Fact, Observation};
use crate::time::Clock;
use crate::watch::capacity::CapacityWatcher;
use crate::watch::clock::ClockWatcher;
use crate::watch::logs::{self, LogWatcher, Place};
use crate::watch::probe::{self, Probe};
use crate::watch::table::{Reading, Table};
use crate::watch::{self, RunningWatcher, Watcher};

/// The watchers at work, what they cannot tell, and what is known of this host.
#[derive(Debug)]
pub(super) struct Watchers {
    clock: Clock,
    sender: Sender<Observation>,
    running: Vec<RunningWatcher>,
    /// The probes, which come and go with the configuration.
    probes: Vec<(probe::Options, RunningWatcher)>,
    /// The logs, likewise.
    logs: Vec<(logs::Options, RunningWatcher)>,
    /// Observations that watchers which are gone found no room for.
    missed_before: u64,
    panicked: Panicked,
    /// What cannot be told here.
    limitations: Vec<String>,
    table: Table,
    /// What the timeline lists.
    listed: BTreeSet<String>,
    /// What detectors are told of this host.
    local: Local,
}

impl Watchers {
    /// None yet.
    pub(super) fn new(clock: Clock, sender: Sender<Observation>) -> Self {
        Self {
            clock,
            sender,
            running: Vec::new(),
            probes: Vec::new(),
            logs: Vec::new(),
            missed_before: 0,
            panicked: Panicked::default(),
            limitations: Vec::new(),
            table: Table::default(),
            listed: BTreeSet::new(),
            local: Local::default(),
        }
    }

    /// They watch a host of which this is known, and fill this table.
    pub(super) fn of_host(&mut self, local: Local, table: Table) {
        (self.local, self.table) = (local, table);
    }

    /// Where they send what they see.
    pub(super) fn sender(&self) -> &Sender<Observation> {
        &self.sender
    }

    /// Puts a watcher to work.
    pub(super) fn add(&mut self, watcher: impl Watcher) -> Result<()> {
        let watch = self.spawn(watcher)?;
        self.running.push(watch);
        Ok(())
    }

    fn spawn(&self, watcher: impl Watcher) -> Result<RunningWatcher> {
        watch::spawn(watcher, self.clock.clone(), self.sender.clone())
    }

    /// Puts a probe to work.
    pub(super) fn add_probe(&mut self, options: probe::Options, probe: Probe) -> Result<()> {
        let watch = self.spawn(probe)?;
        self.probes.push((options, watch));
        Ok(())
    }

    fn add_log(&mut self, options: logs::Options, log: LogWatcher) -> Result<()> {
        let watch = self.spawn(log)?;
        self.logs.push((options, watch));
        Ok(())
    }

    /// Puts those to work that are always there.
    pub(super) fn add_all(&mut self, opened: Opened) -> Result<()> {
        for limitation in &opened.limitations {
            tracing::info!("{limitation}");
        }
        self.limit(opened.limitations);
        let logs: Vec<_> = opened.logs.iter().map(|(log, _)| log.place.to_string()).collect();
        if !logs.is_empty() {
            tracing::info!("logs: {}", logs.join(", "));
        }
        for (options, log) in opened.logs {
            self.add_log(options, log)?;
        }
        self.add(opened.attributes)?;
        self.add(opened.ip)?;
        self.add(opened.routes)?;
        self.add(opened.counters)?;
        self.add(opened.fdb)?;
        self.add(CapacityWatcher::default())?;
        self.add(ClockWatcher)
    }

    /// All that are at work or were.
    pub(super) fn iter(&self) -> impl Iterator<Item = &RunningWatcher> {
        let logs = self.logs.iter().map(|(_, watch)| watch);
        let probes = self.probes.iter().map(|(_, watch)| watch);
        self.running.iter().chain(logs).chain(probes)
    }

    /// Observations that found no room, of all there are and were.
    pub(super) fn missed(&self) -> u64 {
        self.missed_before + self.iter().map(RunningWatcher::missed).sum::<u64>()
    }

    /// What cannot be told here.
    pub(super) fn limitations(&self) -> &[String] {
        &self.limitations
    }

    /// This cannot be told here, either.
    pub(super) fn limit(&mut self, limitations: impl IntoIterator<Item = String>) {
        self.limitations.extend(limitations);
    }

    /// The timeline lists these from now on.
    pub(super) fn list(&mut self, names: BTreeSet<String>) {
        if names != self.listed {
            self.table.watch(names.iter().cloned());
            self.listed = names;
        }
    }

    /// The row of the timeline that a change of a listed interface gives.
    pub(super) fn row(&self, seen: &Observation) -> Option<Observation> {
        let (interface, reading) = match &seen.fact {
            Fact::Link { now, .. } => (&now.name, Reading::from(now)),
            Fact::LinkGone { last } => (&last.name, Reading::gone()),
            _ => return None,
        };
        let row = || self.table.row(seen.at.mono, interface, reading);
        self.listed
            .contains(interface)
            .then(|| Observation { at: seen.at, fact: Fact::Sample(row()) })
    }

    /// What was seen, for detectors, and for watchers themselves.
    pub(super) fn follow(&mut self, seen: &Observation) {
        self.local.learn(seen);
        self.panicked.follow(&seen.fact);
        self.limitations.extend(restart::limitation(&seen.fact, &self.limitations));
    }

    /// Joins all of them.
    pub(super) fn stop(&mut self) {
        let probes = mem::take(&mut self.probes).into_iter().map(|(_, watch)| watch);
        let logs = mem::take(&mut self.logs).into_iter().map(|(_, watch)| watch);
        for watch in mem::take(&mut self.running).into_iter().chain(probes).chain(logs) {
            let (name, missed) = (watch.name(), watch.join());
            if missed > 0 {
                tracing::warn!("{missed} observations of watcher {name} found no room");
            }
            self.missed_before += missed;
        }
    }
}

/// The configuration was read again.
impl Watchers {
    /// Ends probes and logs that are no longer wanted, then begins the new ones; those that stay go on
    /// undisturbed. What is sent to a listener between the two, some milliseconds, is lost.
    pub(super) fn replace(
        &mut self,
        options: &Options,
        probes: Vec<(probe::Options, Probe)>,
        logs: Vec<(logs::Options, LogWatcher)>,
    ) {
        self.missed_before += end_unwanted(&mut self.probes, &options.probes);
        for (probe, opened) in probes {
            if is_new(&probe, &self.probes, &options.probes) {
                tell(self.add_probe(probe, opened));
            }
        }
        let wanted = options.watchers.logs.each();
        self.missed_before += end_unwanted(&mut self.logs, &wanted);
        for (log, opened) in logs {
            if is_new(&log, &self.logs, &wanted) {
                tell(self.add_log(log, opened));
            }
        }
        for log in &wanted {
            if matches!(log.place, Place::Syslog { .. }) && is_new(log, &self.logs, &wanted) {
                tell(LogWatcher::open(log).and_then(|opened| self.add_log(log.clone(), opened)));
            }
        }
    }
}

/// Joins those that are not wanted; returns what found no room with them.
fn end_unwanted<O: PartialEq>(running: &mut Vec<(O, RunningWatcher)>, wanted: &[O]) -> u64 {
    let ended = running.extract_if(.., |(options, _)| !wanted.contains(options));
    ended.map(|(_, watch)| watch.join()).sum()
}

fn is_new<O: PartialEq>(options: &O, running: &[(O, RunningWatcher)], wanted: &[O]) -> bool {
    wanted.contains(options) && !running.iter().any(|(other, _)| other == options)
}

fn tell(result: Result<()>) {
    if let Err(error) = result {
        tracing::error!("{error}");
    }
}
