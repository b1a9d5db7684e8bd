//! The conductor: starts every thread, hears every observation, opens and closes incidents.
//!
//! ```text
//!   watch/* ── observations ──►┌──────────┐── hold, slice ──► cap/* (each with its lanes)
//!   cap/*   ── events ────────►│ recorder │◄── slices ────────┘
//!                              │ (main)   │── incident ──► writer ──► bundle
//!                              └──────────┘◄── outcomes ──────┘
//!   api     ── questions ──────► answered between two observations (see `doors`)
//! ```
//!
//! All decisions are made here, one after the other, by pure parts (rules, gate, phase) that are told
//! the time. The recorder never touches a frame and never waits for the disk.

mod captures;
mod clients;
mod closing;
mod frame_store;
mod grants;
mod history;
mod holds;
mod log;
mod options;
mod phase;
mod privileged;
mod programs;
mod progress;
mod reload;
pub mod replay;
mod restart;
mod ring_file;
mod selection;
mod service;
mod start;
mod status_line;
mod stop;
mod summary;
mod triggering;
mod watchers;

use std::collections::BTreeSet;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, select};

pub use options::Options;
pub use phase::WindowOptions;
pub use privileged::Privileged;
pub use reload::Reloader;
pub use selection::{Links, Selection};
pub use status_line::{ClassDepth, State, Status};
pub use summary::Summary;
pub use watchers::{Logs, WatcherOptions};

use self::captures::Captures;
use self::clients::Doors;
use self::closing::Closing;
use self::frame_store::Keeper;
use self::history::History;
use self::holds::Holds;
use self::log::Log;
use self::phase::Phase;
use self::programs::Programs;
use self::reload::Inbox;
use self::restart::Fallen;
use self::status_line::{DEPTH_AFTER, Depth, Glance};
use crate::api::question::{Fate, Reply, Verdict};
use crate::detect::protocols::Local;
use crate::hook::Pending;
use crate::incident::Host;
use crate::incident::system::Collection;
use crate::incident::writer::Writer;
use crate::observation::capture::CaptureEvent;
use crate::observation::{Fact, Observation, WatcherEnd};
use crate::ring::{HoldId, RingFile};
use crate::service::Service;
use crate::time::Clock;
use crate::trigger::{Gate, Rules};
use crate::watch::table::{Reading, Table};
use crate::watch::{Watch, logs, probe};

/// A recording under way, or a replay of one: they differ in who keeps the frames, and whose clock it is.
#[derive(Debug)]
pub struct Recorder<K = Captures> {
    options: Options,
    clock: Clock,
    captures: K,
    watches: Vec<Watch>,
    /// The probes among them, which come and go with the configuration.
    probes: Vec<(probe::Options, Watch)>,
    /// The logs among them, likewise.
    logs: Vec<(logs::Options, Watch)>,
    /// Observations that watchers which are gone found no room for.
    missed_before: u64,
    /// What they cannot tell here.
    limitations: Vec<String>,
    table: Table,
    /// What detectors are told of this host.
    local: Local,
    /// What a link trigger without a name is about.
    watched: BTreeSet<String>,
    /// What the timeline lists.
    listed: BTreeSet<String>,
    seen: Receiver<Observation>,
    desk: Sender<Observation>,
    history: History,
    rules: Rules,
    gate: Gate,
    /// Triggers that cool down since the last incident was opened.
    refused: u64,
    holds: Holds,
    holds_made: u64,
    phase: Phase,
    open: Option<Open>,
    closing: Vec<Closing>,
    writer: Writer,
    host: Host,
    reloads: Inbox,
    depth: Depth,
    glance: Glance,
    log: Log,
    doors: Doors,
    programs: Option<Programs>,
    service: Option<Service>,
    state_told: Option<std::mem::Discriminant<State>>,
    leaving: bool,
    summary: Summary,
    /// Where frames outlive the process.
    ring_file: Option<RingFile>,
    /// Watchers that panicked, and are to be put to work again.
    fallen: Fallen,
}

/// What belongs to the open incident beside its phase.
#[derive(Debug)]
struct Open {
    hold: HoldId,
    pinned_after: Duration,
    system: Option<Collection>,
    programs: Option<Pending>,
    /// Those who wait for its bundle.
    waiting: Vec<Reply<Fate>>,
}

/// The recorder looks at deadlines at least this often, also when nothing is seen.
const TICK: Duration = Duration::from_millis(500);
/// While slices are under way, it looks for them this often.
const TICK_CLOSING: Duration = Duration::from_millis(2);
impl Recorder {
    /// Records until it is told to stop or the command ends, then finishes what is open. Every second
    /// `show` is told how it stands.
    pub fn run(mut self, mut show: impl FnMut(&Status)) -> Summary {
        while !(self.leaving && !self.phase.is_collecting() && self.closing.is_empty()) {
            self.wait();
            self.judge_time();
            self.close_if_due();
            self.collect_slices();
            self.tell_depth();
            self.revive();
            let status = self.status();
            self.attend(status.as_ref());
            if let Some(status) = status {
                show(&status);
            }
        }
        self.stop()
    }

    /// Until something happens or is due.
    fn wait(&mut self) {
        let now = self.clock.now().mono;
        let tick = if self.closing.is_empty() { TICK } else { TICK_CLOSING };
        let due = self.phase.deadline().into_iter().chain(self.next_judgement()).min();
        let due = due.map_or(tick, |due| due.since(now).min(tick));
        select! {
            recv(self.seen) -> seen => if let Ok(seen) = seen {
                self.observe(seen);
            },
            recv(self.reloads.fresh()) -> fresh => if let Ok(fresh) = fresh {
                self.take_up(*fresh);
            },
            recv(self.doors.questions()) -> question => if let Ok(question) = question {
                self.answer(question);
            },
            recv(self.writer.outcomes()) -> outcome => if let Ok(outcome) = outcome {
                self.doors.settle(&outcome, self.clock.now());
                self.follow_up(&outcome);
                self.summary.note(outcome);
            },
            default(due) => {}
        }
    }
}

impl<K: Keeper> Recorder<K> {
    /// Armed, with nothing seen yet.
    fn around(
        captures: K,
        options: Options,
        clock: Clock,
        writer: Writer,
        (desk, seen): (Sender<Observation>, Receiver<Observation>),
    ) -> Self {
        let begun = clock.now();
        let now = begun.mono;
        let rules = Rules::new(options.rules.clone(), options.usual());
        Self {
            history: History::new(options.span(&rules)),
            rules,
            gate: Gate::new(),
            refused: 0,
            holds: Holds::default(),
            holds_made: 0,
            phase: Phase::new(options.window.limit),
            options,
            clock,
            captures,
            watches: Vec::new(),
            probes: Vec::new(),
            logs: Vec::new(),
            missed_before: 0,
            limitations: Vec::new(),
            table: Table::default(),
            local: Local::default(),
            watched: BTreeSet::new(),
            listed: BTreeSet::new(),
            seen,
            desk,
            open: None,
            closing: Vec::new(),
            writer,
            host: Host::read(),
            reloads: Inbox::new(),
            depth: Depth { look_at: now.plus(DEPTH_AFTER), told: Vec::new() },
            glance: Glance { at: now, ..Glance::default() },
            log: Log::default(),
            doors: Doors::new(begun),
            programs: None,
            service: None,
            state_told: None,
            leaving: false,
            summary: Summary::default(),
            ring_file: None,
            fallen: Fallen::default(),
        }
    }

    /// Takes in what was seen; the verdict is for whoever asked with it.
    fn observe(&mut self, seen: Observation) -> Verdict {
        // First the evidence, then everything else: the trigger's latency is what counts.
        let verdict = self.judge(&seen);
        self.local.learn(&seen);
        match self.captures.follow(&seen.fact) {
            Ok(false) => {}
            Ok(true) => self.watch_names(),
            Err(error) => tracing::error!("{error}"),
        }
        match &seen.fact {
            Fact::StopSignal => {
                self.leaving = true;
                self.cut("a stop signal");
                self.release_holds("the recording ends");
            }
            Fact::CommandEnded { .. } => self.leaving = true,
            Fact::WatcherEnded { watcher, interface: None, why: WatcherEnd::Panicked } => {
                self.fallen.note(watcher);
            }
            Fact::Capture { event: CaptureEvent::Dropping, .. } => self.make_memory(),
            Fact::Arming { armed, who } => self.doors.arm(*armed, who),
            _ => {}
        }
        self.limitations.extend(restart::limitation(&seen.fact, &self.limitations));
        self.log.tell(&seen);
        self.doors.publish(&seen);
        if let Some((interface, reading)) = changed(&seen.fact)
            && self.listed.contains(interface)
        {
            let row = self.table.row(seen.at.mono, interface, reading);
            self.history.add(Observation { at: seen.at, fact: Fact::Sample(row) });
        }
        self.history.add(seen);
        verdict
    }

    fn close_if_due(&mut self) {
        if let Some(closed) = self.phase.close_if_due(self.clock.now().mono) {
            self.begin_closing(closed);
        }
    }

    fn cut(&mut self, by: &str) {
        if let Some(closed) = self.phase.cut(self.clock.now().mono, by) {
            self.begin_closing(closed);
        }
    }

    fn watch_names(&mut self) {
        self.watched = self.captures.watched();
        let listed = self.captures.listed();
        if listed != self.listed {
            self.table.watch(listed.iter().cloned());
            self.listed = listed;
        }
    }
}

/// The row of the timeline that a change gives.
fn changed(fact: &Fact) -> Option<(&str, Reading)> {
    match fact {
        Fact::Link { now, .. } => Some((&now.name, Reading::from(now))),
        Fact::LinkGone { last } => Some((&last.name, Reading::gone())),
        _ => None,
    }
}
