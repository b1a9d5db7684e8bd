//! The conductor: starts every thread, hears every observation, and hands it on to three owners.
//!
//! ```text
//!   watch/* ── observations ──►┌──────────┐── hold, slice ──► cap/* (each with its lanes)
//!   cap/*   ── events ────────►│ recorder │◄── slices ────────┘
//!   api     ── questions ─────►│  (main)  │── incident ──► writer ──► bundle
//!                              └──────────┘◄── outcomes ──────┘
//! ```
//!
//! | owner | has |
//! |---|---|
//! | `Incidents` | rules, gate, windows held and open, the history, the writer |
//! | `Watchers` | the threads that watch this host: added, replaced, restarted; what they cannot tell |
//! | `Audience` | who is told: the log, the status line, clients, exports, hooks, the service manager |
//!
//! All decisions are made on one thread, one after the other, by pure parts (rules, gate, phase) that are
//! told the time. The recorder never touches a frame and never waits for the disk.

mod answers;
mod audience;
mod captures;
mod fleet;
mod frame_store;
mod gone;
mod grants;
mod incidents;
mod options;
mod privileged;
mod reload;
pub mod replay;
mod ring_file;
mod selection;
mod start;
mod stop;
mod traffic;
mod watchers;

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, select};

pub use audience::status_line::{ClassDepth, State, Status};
pub use incidents::phase::WindowOptions;
pub use incidents::summary::Summary;
pub use options::Options;
pub use privileged::Privileged;
pub use reload::Reloader;
pub use selection::{Links, Selection};
pub use watchers::options::{Logs, WatcherOptions};

use self::audience::Audience;
use self::captures::Captures;
use self::fleet::FleetDesk;
use self::frame_store::FrameStore;
use self::incidents::Incidents;
use self::reload::Inbox;
use self::watchers::Watchers;
use crate::api::question::Verdict;
use crate::fleet::exchange::HeardNotice;
use crate::incident::writer::{Outcome, Writer};
use crate::observation::Observation;
use crate::ring::RingFile;
use crate::service::Service;
use crate::time::{Clock, Mono};
use crate::traffic::TrafficMemory;

/// A recording under way, or a replay of one: they differ in who keeps the frames, and whose clock it is.
#[derive(Debug)]
pub struct Recorder<K = Captures> {
    options: Options,
    clock: Clock,
    seen: Receiver<Observation>,
    reloads: Inbox,
    captures: K,
    /// Where frames outlive the process.
    ring_file: Option<RingFile>,
    /// What passed for an hour and for a week.
    traffic: Option<TrafficMemory>,
    incidents: Incidents,
    /// This host in its fleet, if it is in one.
    fleet: Option<Box<FleetDesk>>,
    watchers: Watchers,
    audience: Audience,
}

/// The recorder looks at deadlines at least this often, also when nothing is seen.
const TICK: Duration = Duration::from_millis(500);
/// While slices are under way, it looks for them this often.
const TICK_CLOSING: Duration = Duration::from_millis(2);

impl Recorder {
    /// Records until it is told to stop or the command ends, then finishes what is open. Every second
    /// `show` is told how it stands.
    pub fn run(mut self, mut show: impl FnMut(&Status)) -> Summary {
        while !self.incidents.are_over() {
            self.wait();
            self.judge_time();
            self.attend_fleet();
            self.close_if_due();
            self.collect_slices();
            self.restart_watchers();
            if let Some(status) = self.look_around() {
                show(&status);
            }
        }
        self.stop()
    }

    /// From now on `service` is told how it goes.
    pub fn attended_by(&mut self, service: Service) {
        self.audience.attended_by(service);
    }

    /// Until something happens or is due.
    fn wait(&mut self) {
        let now = self.clock.now().mono;
        let tick = if self.incidents.are_closing() { TICK_CLOSING } else { TICK };
        let due = self.incidents.next_due();
        let due = due.map_or(tick, |due| due.since(now).min(tick));
        select! {
            recv(self.seen) -> seen => if let Ok(seen) = seen {
                self.observe(seen);
            },
            recv(self.reloads.fresh()) -> fresh => if let Ok(fresh) = fresh {
                self.take_up(*fresh);
            },
            recv(self.audience.clients.questions()) -> question => if let Ok(question) = question {
                self.answer(question);
            },
            recv(self.incidents.outcomes()) -> outcome => if let Ok(outcome) = outcome {
                self.settle(outcome);
            },
            default(due) => {}
        }
    }

    /// Puts watchers to work again that panicked.
    fn restart_watchers(&mut self) {
        for found in self.watchers.restart_panicked(&self.options) {
            self.follow(&found);
        }
    }

    /// Tells how the captures stand; the status if it is time for one.
    fn look_around(&mut self) -> Option<Status> {
        let now = self.clock.now().mono;
        if self.audience.status_line.is_depth_due(now) {
            let reports = self.captures.reports();
            self.audience.status_line.tell_depth(now, &reports, self.options.window.pre);
        }
        let status = self.status(now);
        let rounds = self.captures.rounds();
        self.audience.attend(now, self.incidents.are_ending(), rounds, status.as_ref());
        status
    }

    fn status(&mut self, now: Mono) -> Option<Status> {
        if !self.audience.status_line.is_due(now) {
            return None;
        }
        self.watchers.limit(self.captures.mishap());
        let reports = self.captures.reports();
        self.remember_traffic(&reports);
        self.incidents.follow_depth(&reports);
        Some(self.audience.status(now, &reports, self.incidents.state(now)))
    }
}

impl<K: FrameStore> Recorder<K> {
    /// Armed, with nothing seen yet.
    fn around(
        captures: K,
        options: Options,
        clock: Clock,
        writer: Writer,
        (sender, seen): (Sender<Observation>, Receiver<Observation>),
    ) -> Self {
        Self {
            incidents: Incidents::new(&options, clock.clone(), writer),
            fleet: None,
            watchers: Watchers::new(clock.clone(), sender),
            audience: Audience::new(clock.clone()),
            options,
            clock,
            seen,
            reloads: Inbox::new(),
            captures,
            ring_file: None,
            traffic: None,
        }
    }

    /// Takes in what was seen; the verdict is for whoever asked with it.
    fn observe(&mut self, seen: Observation) -> Verdict {
        // First the evidence, then everything else: the trigger's latency is what counts.
        let verdict = self.incidents.judge(&seen, &mut self.captures, &mut self.audience);
        self.follow(&seen);
        self.audience.hear(&seen);
        if let Some(fleet) = &mut self.fleet {
            fleet.meet(&seen.fact);
        }
        let row = self.watchers.row(&seen);
        for seen in row.into_iter().chain([seen]) {
            self.incidents.remember(seen);
        }
        verdict
    }

    /// Another host asks.
    fn hear(&mut self, heard: HeardNotice) {
        let Self { incidents, captures, audience, .. } = self;
        if let Some(fleet) = &mut self.fleet {
            fleet.hear(heard, incidents, captures, audience);
        }
    }

    /// Tells other hosts of what is new, and what became of what they asked.
    fn attend_fleet(&mut self) {
        let announced = self.incidents.take_announced();
        let Some(fleet) = &mut self.fleet else { return };
        let now = self.clock.now().mono;
        for announced in announced {
            let Some(announcement) = fleet.announce(announced, now) else { continue };
            self.incidents.announced_as(&announcement.notice);
            if !self.audience.clients.announce(announcement) {
                tracing::warn!("not announced: too much waits to be");
            }
        }
        fleet.follow(&mut self.incidents, &mut self.captures);
    }

    /// Lets each owner follow what it means for them.
    fn follow(&mut self, seen: &Observation) {
        self.watchers.follow(seen);
        match self.captures.follow(&seen.fact) {
            Ok(false) => {}
            Ok(true) => self.follow_names(),
            Err(error) => tracing::error!("{error}"),
        }
        self.incidents.follow(&seen.fact, &mut self.captures, &mut self.audience);
    }

    /// The set of recorded interfaces may be another.
    fn follow_names(&mut self) {
        self.incidents.watch(self.captures.watched());
        self.watchers.list(self.captures.listed());
    }

    fn judge_time(&mut self) {
        self.incidents.judge_time(&mut self.captures, &mut self.audience);
    }

    fn close_if_due(&mut self) {
        self.incidents.close_if_due(&mut self.captures);
    }

    fn collect_slices(&mut self) {
        let Self { options, watchers, captures, audience, incidents, .. } = self;
        incidents.collect_slices(options, watchers, captures, audience);
    }

    /// Takes in what became of an incident.
    fn settle(&mut self, outcome: Outcome) {
        if let Some(fleet) = &mut self.fleet {
            fleet.settle(&outcome);
        }
        for seen in self.audience.settle(&outcome) {
            self.incidents.remember(seen);
        }
        self.incidents.settle(outcome);
    }
}
