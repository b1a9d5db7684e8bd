//! Whoever is told: the log, the status line, clients and exports, the operator's programs, the service
//! manager. They hear of every observation and of the course of every incident; nobody here is waited for.

pub(super) mod clients;
pub(super) mod log;
mod programs;
pub(super) mod progress;
mod service;
pub(super) mod status_line;

use crossbeam_channel::{Receiver, Sender};

use self::clients::Clients;
use self::log::Log;
use self::programs::Programs;
use self::service::ServiceManager;
use self::status_line::{State, Status, StatusLine};
use crate::api::question::{Fate, Reply};
use crate::capture::CaptureReport;
use crate::error::Result;
use crate::hook::{Pending, Runner};
use crate::incident::Incident;
use crate::incident::writer::Outcome;
use crate::observation::program::ProgramNote;
use crate::observation::{Fact, Observation};
use crate::service::{Leaving, Service};
use crate::time::{Clock, Mono};
use crate::trigger::Trigger;

/// Whoever is told.
#[derive(Debug)]
pub(super) struct Audience {
    clock: Clock,
    pub(super) log: Log,
    pub(super) status_line: StatusLine,
    pub(super) clients: Clients,
    programs: Option<Programs>,
    service: Option<ServiceManager>,
}

impl Audience {
    /// The log, and nobody else yet.
    pub(super) fn new(clock: Clock) -> Self {
        let begun = clock.now();
        Self {
            log: Log::default(),
            status_line: StatusLine::new(begun.mono),
            clients: Clients::new(begun),
            programs: None,
            service: None,
            clock,
        }
    }

    /// The operator's programs are run by `runner` from now on.
    pub(super) fn run_programs(
        &mut self,
        runner: Option<Runner>,
        sender: &Sender<Observation>,
    ) -> Result<()> {
        self.programs = runner.map(|r| Programs::start(r, &self.clock, sender)).transpose()?;
        Ok(())
    }

    /// From now on `service` is told how it goes.
    pub(super) fn attended_by(&mut self, service: Service) {
        self.service = Some(ServiceManager::new(service));
    }

    /// Tells the log and clients of an observation.
    pub(super) fn hear(&mut self, seen: &Observation) {
        if let Fact::Arming { armed, who } = &seen.fact {
            self.clients.arm(*armed, who);
        }
        self.log.tell(seen);
        self.clients.publish(seen);
    }

    /// The frames of the open incident are safe, for these triggers: its programs begin. Returns what was
    /// seen of them.
    pub(super) fn ask_programs<'a>(
        &mut self,
        pending: &mut Option<Pending>,
        opened_by: &Trigger,
        triggers: impl Iterator<Item = &'a Trigger>,
    ) -> Vec<Observation> {
        let programs = self.programs.as_mut();
        let notes = programs.map(|p| p.frozen(pending, opened_by, triggers)).unwrap_or_default();
        self.tell_programs(notes)
    }

    /// The window of an incident is closed; those wait for its bundle.
    pub(super) fn closed(&mut self, incident: &Incident, waiting: Vec<Reply<Fate>>) {
        let name = incident.name();
        self.clients.closed(incident, waiting);
        if let Some(programs) = &mut self.programs {
            programs.closed(&name, incident.triggers());
        }
    }

    /// Tells what became of an incident. Returns what was seen of programs.
    pub(super) fn settle(&mut self, outcome: &Outcome) -> Vec<Observation> {
        self.clients.settle(outcome, self.clock.now());
        let notes = self.programs.as_mut().map(|p| p.settle(outcome)).unwrap_or_default();
        self.tell_programs(notes)
    }

    /// The incident called `name` will have no bundle.
    pub(super) fn lost(&mut self, name: &str, reason: &str) {
        self.clients.lost(name, reason, self.clock.now());
        if let Some(programs) = &mut self.programs {
            programs.lost(name);
        }
    }

    fn tell_programs(&mut self, notes: Vec<ProgramNote>) -> Vec<Observation> {
        let at = self.clock.now();
        let seen = notes.into_iter().map(|note| Fact::Program(Box::new(note)));
        let seen: Vec<_> = seen.map(|fact| Observation { at, fact }).collect();
        for seen in &seen {
            self.log.tell(seen);
            self.clients.publish(seen);
        }
        seen
    }

    /// How it stands; nothing is under way if there is no `state`.
    pub(super) fn status(
        &mut self,
        now: Mono,
        reports: &[CaptureReport],
        state: Option<State>,
    ) -> Status {
        let idle = if self.clients.are_armed() { State::Armed } else { State::Disarmed };
        self.status_line.status(now, reports, state.unwrap_or(idle))
    }

    /// Tells the service manager what it has to know.
    pub(super) fn attend<'a>(
        &mut self,
        now: Mono,
        is_ending: bool,
        rounds: impl Iterator<Item = (&'a str, u64)>,
        status: Option<&Status>,
    ) {
        if let Some(service) = &mut self.service {
            service.attend(now, is_ending, rounds, status);
        }
    }

    /// The service manager is told that what was read again holds.
    pub(super) fn reloaded(&mut self) {
        if let Some(service) = &mut self.service {
            service.reloaded();
        }
    }

    /// The recording ends: the service manager is asked for time while what this gives is kept.
    pub(super) fn leave(&mut self) -> Option<Leaving> {
        self.service.take().and_then(ServiceManager::leave)
    }

    /// Observations of programs that found no room.
    pub(super) fn missed(&self) -> u64 {
        self.programs.as_ref().map_or(0, Programs::missed)
    }

    /// Lets programs and clients come to their end; what is told of programs meanwhile is in `seen`.
    pub(super) fn stop(mut self, seen: &Receiver<Observation>) {
        if let Some(programs) = self.programs.take() {
            programs.finish(seen, &mut self.log);
        }
        self.clients.close();
    }
}
