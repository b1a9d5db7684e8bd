//! The configuration read again: what can change while frames are recorded does, between two
//! observations; what cannot is named and waits for a restart.
//!
//! ```text
//!   watch/config ── reads, checks, resolves ──► Reloader ──► recorder ── other rules, windows, probes, logs
//!                   (may take seconds)           newest wins  (microseconds)
//! ```
//!
//! The recorder never waits for a file or a resolver, and captures do not notice at all.

use std::mem;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use serde_json::Value;

use super::grants::unlisted;
use super::start::tell_armed;
use super::{Logs, Options, Recorder};
use crate::error::Result;
use crate::observation::{Fact, Observation};
use crate::trigger::Rule;
use crate::watch::logs::{self, LogWatcher, Place};
use crate::watch::probe::{self, Probe};

/// Keys that change while recording. Everything else belongs to memory, sockets or files that are open.
const LIVE: [&str; 11] = [
    "on",
    "trigger",
    "probe",
    "probe_interval",
    "probe_timeout",
    "probe_fall",
    "log",
    "pre",
    "post",
    "limit",
    "cool_down",
];

/// A configuration that was checked, with what it newly needs.
#[derive(Debug)]
pub(super) struct Fresh {
    file: String,
    options: Options,
    probes: Vec<(probe::Options, Probe)>,
    logs: Vec<(logs::Options, LogWatcher)>,
}

/// Where the recorder finds the newest configuration: one, because only the newest counts.
#[derive(Debug)]
pub(super) struct Inbox {
    sender: Sender<Box<Fresh>>,
    receiver: Receiver<Box<Fresh>>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        let (sender, receiver) = bounded(1);
        Self { sender, receiver }
    }

    pub(super) fn fresh(&self) -> &Receiver<Box<Fresh>> {
        &self.receiver
    }
}

/// Prepares new configurations for a recorder, on another thread.
#[derive(Debug)]
pub struct Reloader {
    /// The probes that the recorder has, or will have.
    known: Vec<probe::Options>,
    /// The logs, likewise.
    known_logs: Vec<logs::Options>,
    sender: Sender<Box<Fresh>>,
    receiver: Receiver<Box<Fresh>>,
}

impl Reloader {
    /// Checks `options`, which `file` says, and opens what they newly need; the recorder takes them up
    /// at once. May take as long as the system's resolver does.
    ///
    /// # Errors
    /// When anything is refused; nothing changes then.
    pub fn reload(&mut self, file: &str, options: Options) -> Result<()> {
        options.window.check()?;
        Rule::check_all(&options.rules)?;
        options.watchers.check()?;
        let new = options.probes.iter().filter(|probe| !self.known.contains(probe));
        let open = |probe: &probe::Options| Ok((probe.clone(), Probe::open(probe.clone())?));
        let probes = new.map(open).collect::<Result<Vec<_>>>()?;
        let logs = self.open_logs(&options.watchers.logs)?;
        self.known.clone_from(&options.probes);
        self.known_logs = options.watchers.logs.each();
        self.hand_over(Box::new(Fresh { file: file.to_owned(), options, probes, logs }));
        Ok(())
    }

    /// Opens the logs that are new. An address where syslog is listened already has one listener only,
    /// so there the recorder opens the new one when it has closed the old one.
    fn open_logs(&self, logs: &Logs) -> Result<Vec<(logs::Options, LogWatcher)>> {
        let mut opened = Vec::new();
        for options in logs.each() {
            if self.known_logs.contains(&options) || is_taken(&options, &self.known_logs) {
                continue;
            }
            if let Some(directory) = unlisted(&options.place) {
                tracing::warn!(
                    "{}: nothing is found, because {} may not be listed; if the user may, restart dashcap",
                    options.place,
                    directory.display()
                );
            }
            match LogWatcher::open(&options) {
                Ok(watcher) => opened.push((options, watcher)),
                Err(error) if *logs == Logs::Usual => tracing::info!("{error}"),
                Err(error) => return Err(error),
            }
        }
        Ok(opened)
    }

    /// The one that was not taken yet is replaced; what was opened for it is still needed.
    fn hand_over(&self, mut fresh: Box<Fresh>) {
        while let Err(TrySendError::Full(refused)) = self.sender.try_send(fresh) {
            fresh = refused;
            if let Ok(older) = self.receiver.try_recv() {
                fresh.probes.extend(older.probes);
                fresh.logs.extend(older.logs);
            }
        }
    }
}

impl Recorder {
    /// Prepares new configurations for this recorder.
    pub fn reloader(&self) -> Reloader {
        Reloader {
            known: self.options.probes.clone(),
            known_logs: self.options.watchers.logs.each(),
            sender: self.reloads.sender.clone(),
            receiver: self.reloads.receiver.clone(),
        }
    }

    /// Other rules, windows and probes hold from now on; the open incident keeps its own.
    pub(super) fn take_up(&mut self, fresh: Fresh) {
        let Fresh { file, options, probes, logs } = fresh;
        let settings = mem::take(&mut self.options.settings);
        let (settings, changed, needs_restart) = merged(settings, options.settings);
        self.options.settings = settings;
        self.options.window = options.window;
        self.options.cool_down = options.cool_down;
        self.options.rules = options.rules;
        self.options.probes = options.probes;
        self.options.watchers.logs = options.watchers.logs;
        self.incidents.take_up(&self.options);
        self.watchers.replace(&self.options, probes, logs);
        self.observe(Observation {
            at: self.clock.now(),
            fact: Fact::Reloaded { file, changed, needs_restart },
        });
        tell_armed(&self.options.rules);
        self.audience.reloaded();
    }
}

/// True if syslog is listened to where `options` say, for others.
fn is_taken(options: &logs::Options, known: &[logs::Options]) -> bool {
    let here = |other: &logs::Options| other.place == options.place;
    matches!(options.place, Place::Syslog { .. }) && known.iter().any(here)
}

/// The settings in force from now on, the keys that changed, and those that need a restart.
fn merged(before: Value, new: Value) -> (Value, Vec<String>, Vec<String>) {
    let (Value::Object(mut settings), Value::Object(mut new)) = (before, new) else {
        return (Value::Null, Vec::new(), Vec::new());
    };
    let mut keys: Vec<String> = settings.keys().chain(new.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    keys.retain(|key| settings.get(key) != new.get(key));
    let (changed, needs_restart): (Vec<_>, Vec<_>) =
        keys.into_iter().partition(|key| LIVE.contains(&key.as_str()));
    for key in &changed {
        match new.remove(key) {
            Some(value) => settings.insert(key.clone(), value),
            None => settings.remove(key),
        };
    }
    (Value::Object(settings), changed, needs_restart)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::incident::writer;
    use crate::recorder::{WatcherOptions, WindowOptions};
    use crate::ring::PoolOptions;
    use crate::watch::sysfs;
    use crate::{capture, detect};

    fn options(pre: u64) -> Options {
        Options {
            interfaces: Vec::new(),
            api: crate::api::Options::default(),
            programs: crate::hook::Options::default(),
            pool: PoolOptions::default(),
            ring_file: None,
            traffic: crate::traffic::Options::default(),
            capture: capture::Options::default(),
            window: WindowOptions::new(Duration::from_secs(pre), Duration::from_secs(1)),
            cool_down: Duration::ZERO,
            rules: Rule::defaults(false),
            probes: Vec::new(),
            watchers: WatcherOptions::default(),
            detect: detect::watcher::Options::default(),
            wanted: Vec::new(),
            timeline: sysfs::Options::default(),
            output: PathBuf::new(),
            writer: writer::Options::default(),
            budget: crate::trigger::budget::Options::default(),
            privilege: crate::privilege::Options::default(),
            settings: Value::Null,
        }
    }

    #[test]
    fn only_the_newest_configuration_counts_and_a_bad_one_does_not() {
        let Inbox { sender, receiver } = Inbox::new();
        let known_logs = Logs::default().each();
        let receiving = receiver.clone();
        let mut reloader = Reloader { known: Vec::new(), known_logs, sender, receiver: receiving };
        for pre in [1, 2, 3] {
            reloader.reload("it", options(pre)).unwrap();
        }
        let confirm = crate::trigger::Hold { confirm: "nobody".into(), within: Duration::MAX };
        let mut bad = options(4);
        bad.rules[0].hold = Some(confirm);
        assert_eq!(reloader.reload("it", bad).unwrap_err().exit_status(), 2);
        let taken: Vec<_> = receiver.try_iter().map(|f| f.options.window.pre.as_secs()).collect();
        assert_eq!(taken, [3]);
    }

    #[test]
    fn what_cannot_change_while_recording_is_named_and_stays() {
        let before = json!({"pre": "2m", "memory": "1GiB", "probe": ["a"], "filter": "tcp"});
        let new = json!({"pre": "1m", "memory": "2GiB", "on": ["signal"], "snaplen": 64});
        let (settings, changed, needs_restart) = merged(before.clone(), new);
        assert_eq!(changed, ["on", "pre", "probe"]);
        assert_eq!(needs_restart, ["filter", "memory", "snaplen"]);
        let expected = json!({"pre": "1m", "memory": "1GiB", "on": ["signal"], "filter": "tcp"});
        assert_eq!(settings, expected);
        assert_eq!(merged(before.clone(), before.clone()), (before, vec![], vec![]));
    }
}
