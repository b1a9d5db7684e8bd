//! The recorder's side of hooks and collectors: when they are asked for, and what is told of them.
//!
//! They come last in every turn: frames are pinned before anything is asked, and asking never waits.

use crossbeam_channel::{Receiver, Sender};

use super::log::Log;
use crate::error::Result;
use crate::hook::{Hooks, Pending, Runner};
use crate::incident::name::name_of;
use crate::incident::writer::Outcome;
use crate::observation::program::ProgramNote;
use crate::observation::{Fact, Observation};
use crate::time::Clock;
use crate::trigger::Trigger;
use crate::watch::{self, RunningWatcher};

/// The runner at work, and the watcher of what it does.
#[derive(Debug)]
pub(super) struct Programs {
    hooks: Hooks,
    watch: RunningWatcher,
}

impl Programs {
    /// Lets the runner that was started be heard.
    pub(super) fn start(
        runner: Runner,
        clock: &Clock,
        sender: &Sender<Observation>,
    ) -> Result<Self> {
        let (hooks, watcher) = Hooks::over(runner)?;
        let watch = watch::spawn(watcher, clock.clone(), sender.clone())?;
        Ok(Self { hooks, watch })
    }

    /// The frames of an incident are safe, for these triggers: its programs begin. Tells of those that do
    /// not run.
    pub(super) fn frozen<'a>(
        &mut self,
        pending: &mut Option<Pending>,
        opened_by: &Trigger,
        triggers: impl Iterator<Item = &'a Trigger>,
    ) -> Vec<ProgramNote> {
        let mut refused = Vec::new();
        let hooks = &mut self.hooks;
        let pending = pending.get_or_insert_with(|| {
            let (pending, notes) = hooks.opened(&name_of(opened_by), opened_by);
            refused = notes;
            pending
        });
        for trigger in triggers {
            refused.extend(self.hooks.frozen(pending, trigger));
        }
        refused
    }

    /// An incident is handed over to the writer: its triggers are kept until the bundle is whole.
    pub(super) fn closed<'a>(&mut self, name: &str, triggers: impl Iterator<Item = &'a Trigger>) {
        self.hooks.closed(name, triggers);
    }

    /// The incident called `name` will have no bundle.
    pub(super) fn lost(&mut self, name: &str) {
        self.hooks.lost(name);
    }

    /// Hooks that wait for a bundle begin when it is whole. Tells of those that do not run.
    pub(super) fn settle(&mut self, outcome: &Outcome) -> Vec<ProgramNote> {
        match outcome {
            Outcome::Written { bundle, .. } => return self.hooks.written(&bundle.path),
            Outcome::Retrying { .. } | Outcome::Removed(_) => {}
            Outcome::Lost(lost) => self.hooks.lost(&lost.name),
        }
        Vec::new()
    }

    /// Lets programs that are running have their time; what is told of them meanwhile is in `seen`, which
    /// nobody else takes any more.
    pub(super) fn finish(self, seen: &Receiver<Observation>, log: &mut Log) {
        self.hooks.finish();
        let missed = self.watch.join();
        if missed > 0 {
            tracing::warn!("{missed} observations of watcher hook found no room");
        }
        let told = seen.try_iter().filter(|seen| matches!(seen.fact, Fact::Program(_)));
        told.for_each(|seen| log.tell(&seen));
    }

    /// Observations that found no room.
    pub(super) fn missed(&self) -> u64 {
        self.watch.missed()
    }
}
