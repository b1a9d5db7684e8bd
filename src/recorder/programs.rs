//! The recorder's side of hooks and collectors: when they are asked for, and where what they say goes.
//!
//! They come last in every turn: frames are pinned before anything is asked, and asking never waits.

use crossbeam_channel::{Receiver, Sender};

use super::frame_store::Keeper;
use super::log::Log;
use super::{Open, Recorder};
use crate::error::Result;
use crate::hook::{Hooks, OutputFile, Pending, Runner};
use crate::incident::writer::Outcome;
use crate::incident::{SystemFile, name_of};
use crate::observation::program::ProgramNote;
use crate::observation::{Fact, Observation};
use crate::time::Clock;
use crate::trigger::Trigger;
use crate::watch::{self, Watch};

/// The runner at work, and the watcher of what it does.
#[derive(Debug)]
pub(super) struct Programs {
    hooks: Hooks,
    watch: Watch,
}

impl Programs {
    /// Lets the runner that was started be heard.
    pub(super) fn employ(
        runner: Option<Runner>,
        clock: &Clock,
        desk: &Sender<Observation>,
    ) -> Result<Option<Self>> {
        let Some(runner) = runner else { return Ok(None) };
        let (hooks, watcher) = Hooks::over(runner)?;
        let watch = watch::spawn(watcher, clock.clone(), desk.clone())?;
        Ok(Some(Self { hooks, watch }))
    }

    /// Hooks that wait for a bundle begin when it is whole; those that do not run.
    pub(super) fn follow_up(&mut self, outcome: &Outcome) -> Vec<ProgramNote> {
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

impl<K: Keeper> Recorder<K> {
    /// The frames of the open incident are safe, for these triggers: its programs begin.
    pub(super) fn ask_programs<'a>(&mut self, triggers: impl Iterator<Item = &'a Trigger>) {
        let (Some(programs), Some(open)) = (&mut self.programs, &mut self.open) else { return };
        let Some((opened_by, _)) = self.phase.opened_by() else { return };
        let mut refused = Vec::new();
        if open.programs.is_none() {
            let (pending, notes) = programs.hooks.opened(&name_of(opened_by), opened_by);
            open.programs = Some(pending);
            refused = notes;
        }
        let Some(pending) = &mut open.programs else { return };
        for trigger in triggers {
            refused.extend(programs.hooks.frozen(pending, trigger));
        }
        self.note_refused(refused);
    }

    /// An incident is handed over to the writer: its triggers are kept until the bundle is whole.
    pub(super) fn remember<'a>(
        &mut self,
        incident: &str,
        triggers: impl Iterator<Item = &'a Trigger>,
    ) {
        if let Some(programs) = &mut self.programs {
            programs.hooks.closed(incident, triggers);
        }
    }

    /// The incident called `name` will have no bundle.
    pub(super) fn forget(&mut self, name: &str) {
        if let Some(programs) = &mut self.programs {
            programs.hooks.lost(name);
        }
    }

    /// Hooks that wait for a bundle begin when it is whole.
    pub(super) fn follow_up(&mut self, outcome: &Outcome) {
        if let Some(programs) = &mut self.programs {
            let refused = programs.follow_up(outcome);
            self.note_refused(refused);
        }
    }

    fn note_refused(&mut self, notes: Vec<ProgramNote>) {
        for note in notes {
            let seen = Observation { at: self.clock.now(), fact: Fact::Program(Box::new(note)) };
            self.log.tell(&seen);
            self.doors.publish(&seen);
            self.history.add(seen);
        }
    }
}

/// What is told of a program, now.
pub(super) fn observed(note: ProgramNote, clock: &Clock) -> Observation {
    Observation { at: clock.now(), fact: Fact::Program(Box::new(note)) }
}

/// True once `open` has what its programs say.
pub(super) fn are_complete(open: &mut Open) -> bool {
    open.programs.as_mut().is_none_or(Pending::is_complete)
}

/// What programs said, among the files of the system, each under a name of its own.
pub(super) fn add_outputs(files: &mut Vec<SystemFile>, programs: Option<Pending>) {
    for OutputFile { name, content } in programs.map(Pending::take).unwrap_or_default() {
        let taken = |files: &[SystemFile], name: &str| files.iter().any(|file| file.name == name);
        let numbered = (2..).map(|n| format!("{n}-{name}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken(files, name));
        // There are more numbers than files.
        let name = free.unwrap_or(name);
        files.push(SystemFile { name, content: content.into_bytes() });
    }
}
