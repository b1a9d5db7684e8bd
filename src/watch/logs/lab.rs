//! What the tests of all sources share.

use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::{Counters, LogWatcher, Options};
use crate::lab::{Namespace, wait_for};
use crate::observation::log_line::LogLine;
use crate::observation::{Fact, Observation};
use crate::time::{Clock, Stamp};
use crate::watch::{RunningWatcher, spawn};

/// A watcher at work and what it sends.
pub(super) struct Watching {
    pub(super) watch: RunningWatcher,
    pub(super) inbox: Receiver<Observation>,
    pub(super) counters: Counters,
}

impl Watching {
    pub(super) fn employ(watcher: LogWatcher) -> Self {
        let (outbox, inbox) = bounded(crate::watch::CHANNEL);
        let counters = watcher.counters();
        Self { watch: spawn(watcher, Clock::system(), outbox).unwrap(), inbox, counters }
    }

    pub(super) fn of(options: &Options) -> Self {
        Self::employ(LogWatcher::open(options).unwrap())
    }

    /// The next line that matches; what else is told before it is passed over.
    pub(super) fn line(&self) -> (Stamp, LogLine) {
        let (seen, _) = wait_for(&self.inbox, "a line", |seen| matches!(seen.fact, Fact::Log(_)));
        match seen.fact {
            Fact::Log(line) => (seen.at, *line),
            other => panic!("{other}"),
        }
    }

    /// The texts of the next `count` lines.
    pub(super) fn texts(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.line().1.text).collect()
    }

    /// Waits until something missed is told that says `word`.
    pub(super) fn missed(&self, word: &str) -> String {
        let says = |seen: &Observation| matches!(&seen.fact, Fact::Missed { what, .. } if what.contains(word));
        wait_for(&self.inbox, word, says).0.fact.to_string()
    }

    /// What is still to be read when the watcher has stopped: nothing that a test did not expect.
    pub(super) fn stop(self) -> Vec<String> {
        self.watch.join();
        self.inbox.try_iter().map(|seen| seen.fact.to_string()).collect()
    }
}

/// A namespace whose loopback is up; none, with the reason told, where it cannot be made.
pub(super) fn namespace() -> Option<Namespace> {
    let namespace = Namespace::new()?;
    namespace.ip("link set lo up");
    Some(namespace)
}

/// Prints the distribution of some latencies, for whoever runs the tests with `--nocapture`.
pub(super) fn show(what: &str, mut latencies: Vec<Duration>) {
    latencies.sort();
    let at = |part: usize| latencies.get(latencies.len() * part / 100);
    eprintln!("{what}: median {:?}, p99 {:?} of {}", at(50), at(99), latencies.len());
}
