//! Incidents, from the trigger to the bundle.
//!
//! ```text
//!   observation ─► rules ─► gate ─┬► hold: frozen, waits to be confirmed ─┐
//!                  (triggering)   └► phase: the open incident ◄───────────┘
//!                                        │ its window is over
//!                                        ▼
//!                                     closing: its last frames ─► writer ─► outcome
//! ```

mod asked;
mod clock_steps;
mod closing;
pub(super) mod fleet;
mod history;
mod holds;
pub(super) mod phase;
mod reach;
mod recent;
mod spooler;
pub(super) mod summary;
mod triggering;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::Receiver;

use self::clock_steps::ClockSteps;
use self::closing::Closing;
use self::fleet::FleetHold;
use self::history::History;
use self::holds::Holds;
use self::phase::Phase;
use self::reach::Reach;
use self::recent::RecentWindows;
use self::spooler::{Spooler, Spooling};
use self::summary::Summary;
use super::Options;
use super::audience::Audience;
use super::audience::status_line::State;
use super::frame_store::FrameStore;
use crate::api::question::{Fate, Reply};
use crate::api::status::{OpenIncident, WaitingTrigger};
use crate::capture::CaptureReport;
use crate::error::Result;
use crate::fleet::keep::announce::OwnIncident;
use crate::fleet::notice::NoticeKey;
use crate::hook::Pending;
use crate::incident::Host;
use crate::incident::clock_reading::ClockReading;
use crate::incident::earlier::Earlier;
use crate::incident::fleet::FleetReason;
use crate::incident::spool;
use crate::incident::system::Collection;
use crate::incident::writer::{Outcome, Writer};
use crate::observation::capture::CaptureEvent;
use crate::observation::kept::Kept;
use crate::observation::{Fact, Observation};
use crate::ring::{HoldId, LeftRing};
use crate::time::{Clock, Mono, Stamp, Window};
use crate::traffic::TrafficMemory;
use crate::trigger::{Announce, Budget, Gate, Rules, Terms, TriggerKind};

/// What opens incidents, those that are under way, and what belongs into them.
#[derive(Debug)]
pub(super) struct Incidents {
    clock: Clock,
    /// When the recording began.
    started: Stamp,
    rules: Rules,
    /// The window and cool-down of a rule that names none.
    usual: Terms,
    /// What a link trigger without a name is about.
    watched: BTreeSet<String>,
    gate: Gate,
    budget: Budget,
    /// Triggers that cool down since the last incident was opened.
    refused: u64,
    holds: Holds,
    holds_made: u64,
    /// Windows that other hosts may want.
    fleet_holds: Vec<FleetHold>,
    /// Of those, what was given up and not told, and why.
    fleet_released: Vec<(NoticeKey, &'static str)>,
    /// What other hosts are to be told, and were not yet.
    announced: Vec<Announced>,
    phase: Phase,
    open: Option<OpenedIncident>,
    closing: Vec<Closing>,
    /// Windows that bundles have, or will have.
    recent: RecentWindows,
    /// What the wall clock showed when.
    clock_steps: ClockSteps,
    history: History,
    /// What the recording before had, as long as a window may reach it.
    earlier: Option<Earlier>,
    /// What passed for an hour and for a week.
    traffic: Option<TrafficMemory>,
    writer: Writer,
    /// Brings the open one to the disk; none where that is not worth it.
    spooler: Option<Spooler>,
    host: Host,
    /// No further one is opened.
    ending: bool,
    summary: Summary,
}

/// What belongs to the open incident beside its phase.
#[derive(Debug)]
struct OpenedIncident {
    hold: HoldId,
    /// New frames are worth more than it.
    yields: bool,
    /// From then on every lane was complete when it was pinned.
    complete_from: Mono,
    pinned_after: Duration,
    /// What the kernel knew of the clock then; none where the host is not the one that recorded.
    clock: Option<ClockReading>,
    spooling: Option<Spooling>,
    system: Option<Collection>,
    programs: Option<Pending>,
    /// Why other hosts want it.
    fleet: Vec<FleetReason>,
    /// Other hosts were told of it.
    is_announced: bool,
    /// Those who wait for its bundle.
    waiting: Vec<Reply<Fate>>,
}

/// What other hosts are to be told.
#[derive(Debug)]
pub(super) enum Announced {
    /// An incident was opened.
    Opened {
        /// It.
        incident: OwnIncident,
        /// Whom.
        to: Announce,
        /// When it happened.
        event: Mono,
    },
    /// A window is held.
    Held {
        /// By this.
        hold: HoldId,
        /// What it is held for.
        incident: OwnIncident,
        /// Whom.
        to: Announce,
        /// When it happened.
        event: Mono,
    },
    /// What was held is kept.
    Confirmed(HoldId),
    /// What was held is given up.
    Released(HoldId),
}

impl Announced {
    /// What waits to be told at most: one observation brings a few, and a replay tells nobody.
    const MOST: usize = 64;
}

impl Incidents {
    /// None yet.
    pub(super) fn new(options: &Options, clock: Clock, writer: Writer) -> Self {
        let rules = Rules::new(options.rules.clone(), options.usual());
        Self {
            history: History::new(options.span(&rules), History::budget(options.pool.memory)),
            earlier: None,
            traffic: None,
            rules,
            usual: options.usual(),
            watched: BTreeSet::new(),
            gate: Gate::new(),
            budget: Budget::new(options.budget),
            refused: 0,
            holds: Holds::default(),
            holds_made: 0,
            fleet_holds: Vec::new(),
            fleet_released: Vec::new(),
            announced: Vec::new(),
            phase: Phase::new(options.window.limit),
            open: None,
            closing: Vec::new(),
            recent: RecentWindows::default(),
            clock_steps: ClockSteps::default(),
            writer,
            spooler: None,
            host: Host::read(),
            ending: false,
            summary: Summary::default(),
            started: clock.now(),
            clock,
        }
    }

    /// The clock of the recording.
    pub(super) fn now(&self) -> Stamp {
        self.clock.now()
    }

    /// Other hosts are to be told, as soon as somebody does.
    fn tell_others(&mut self, announced: Announced) {
        if self.announced.len() < Announced::MOST {
            self.announced.push(announced);
        }
    }

    /// What other hosts are to be told.
    pub(super) fn take_announced(&mut self) -> Vec<Announced> {
        std::mem::take(&mut self.announced)
    }

    /// What was seen in a window, and the last states before it.
    pub(super) fn seen(&self, window: Window) -> Vec<Kept> {
        self.history.cut(window)
    }

    /// They happened on this host, not here.
    pub(super) fn of_host(&mut self, host: Host) {
        self.host = host;
    }

    /// Brings the frames of open ones to `directory` from now on.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn spool_to(&mut self, directory: PathBuf) -> Result<()> {
        self.spooler = Some(Spooler::start(directory, self.clock.clone())?);
        Ok(())
    }

    /// Writes the bundles of incidents that were open when their recordings died.
    pub(super) fn take_over(&mut self, spools: Vec<LeftRing>) {
        for spool in spools {
            let path = spool.path().display().to_string();
            let left = spool::incident(spool).inspect_err(|error| tracing::error!("{error}"));
            let Ok(Some(incident)) = left else { continue };
            incident.triggers().for_each(|trigger| tracing::warn!("{}", trigger.sentence));
            if self.writer.submit(Box::new(incident)).is_err() {
                tracing::warn!("{path} stays for the next start: too many incidents wait");
            }
        }
    }

    /// What the recording before left: a bundle, or frames that the next ones may reach back to.
    pub(super) fn inherit(&mut self, recovered: Option<PathBuf>, earlier: Option<Earlier>) {
        self.summary.bundles.extend(recovered);
        self.earlier = earlier;
    }

    /// Bundles have what passed before, from now on.
    pub(super) fn tell_traffic(&mut self, memory: Option<TrafficMemory>) {
        self.traffic = memory;
    }

    /// Bytes of observations that are kept at most, by this and by those that wait for the disk.
    pub(super) fn observations(memory: u64) -> u64 {
        2 * History::budget(memory)
    }

    /// Other rules and windows hold from now on; the open incident keeps its own.
    pub(super) fn take_up(&mut self, options: &Options) {
        self.usual = options.usual();
        self.rules.replace(options.rules.clone(), self.usual);
        self.history.set_span(options.span(&self.rules));
        self.phase.set_limit(options.window.limit);
    }

    /// A link trigger without a name is about these from now on.
    pub(super) fn watch(&mut self, names: BTreeSet<String>) {
        self.watched = names;
    }

    /// Keeps what was seen for the windows that may want it.
    pub(super) fn remember(&mut self, seen: Observation) {
        self.history.add(seen);
    }

    /// Keeps what was seen as far back as the captures have frames.
    pub(super) fn follow_depth(&mut self, reports: &[CaptureReport]) {
        self.history.reach(Reach::oldest(reports, self.earlier.as_ref().map(Earlier::frames)));
    }

    /// What a fact means beside the triggers it pulled.
    pub(super) fn follow<K: FrameStore>(
        &mut self,
        fact: &Fact,
        captures: &mut K,
        audience: &mut Audience,
    ) {
        match fact {
            Fact::StopSignal => {
                self.ending = true;
                self.cut("a stop signal", captures);
                self.release_holds("the recording ends", captures);
                self.release_fleet_holds("the recording ends", captures);
            }
            Fact::CommandEnded { .. } => self.ending = true,
            Fact::Capture { event: CaptureEvent::Dropping, .. } => {
                self.make_memory(captures, audience);
            }
            _ => {}
        }
    }

    /// True if no further one is opened.
    pub(super) fn are_ending(&self) -> bool {
        self.ending
    }

    /// True if none is under way, and none will be.
    pub(super) fn are_over(&self) -> bool {
        self.ending && !self.phase.is_collecting() && self.closing.is_empty()
    }

    /// True while last frames are awaited.
    pub(super) fn are_closing(&self) -> bool {
        !self.closing.is_empty()
    }

    /// When something is due by itself.
    pub(super) fn next_due(&self) -> Option<Mono> {
        let judged = self.rules.next_due().into_iter().chain(self.holds.next_expiry());
        self.phase.deadline().into_iter().chain(judged).min()
    }

    /// What the writer says.
    pub(super) fn outcomes(&self) -> &Receiver<Outcome> {
        self.writer.outcomes()
    }

    /// Takes in what became of an incident.
    pub(super) fn settle(&mut self, outcome: Outcome) {
        self.recent.settle(&outcome);
        if let Outcome::Written { bundle, .. } = &outcome
            && !bundle.trigger.is_asked_for()
        {
            self.budget.written(self.clock.now().mono, bundle.bytes);
        }
        self.summary.note(outcome);
    }

    /// Waits until what was closed is on the disk; what could not be written is given up, since nothing is
    /// gained by waiting with it in memory.
    pub(super) fn write_all(&mut self) {
        while self.writer.pending() > 0 {
            let Ok(outcome) = self.writer.outcomes().recv() else { return };
            let failed = matches!(outcome, Outcome::Retrying { .. });
            self.summary.note(outcome);
            if let Some(lost) = failed.then(|| self.writer.abandon()).flatten() {
                self.summary.lost(&lost);
            }
        }
    }

    /// Writes what waits, and tells what all came to.
    pub(super) fn stop(self, audience: &mut Audience) -> Summary {
        let mut summary = self.summary;
        summary.tell_unwritten();
        if let Some(spooler) = self.spooler {
            spooler.stop();
        }
        for outcome in self.writer.stop() {
            audience.settle(&outcome);
            summary.note(outcome);
        }
        if summary.removed > 0 {
            tracing::info!("{} old bundles were removed", summary.removed);
        }
        summary
    }
}

/// What is shown of them.
impl Incidents {
    /// Triggers that cool down and are told; of a storm's, thousands may.
    const COOLING_TOLD: usize = 16;

    /// What is under way; none while nothing is.
    pub(super) fn state(&self, now: Mono) -> Option<State> {
        match (self.phase.deadline(), self.pending()) {
            (Some(deadline), _) => Some(State::Collecting(deadline.since(now))),
            (None, 0) => None,
            (None, incidents) => Some(State::Writing(incidents)),
        }
    }

    /// How many are on their way to the disk.
    pub(super) fn pending(&self) -> usize {
        self.closing.len() + self.writer.pending()
    }

    /// The open one.
    pub(super) fn open(&self, now: Mono) -> Option<OpenIncident> {
        let (trigger, more) = self.phase.opened_by()?;
        let left = self.phase.deadline().map(|deadline| deadline.since(now));
        Some(OpenIncident {
            kind: trigger.kind.to_string(),
            sentence: trigger.sentence.clone(),
            since: trigger.at.wall.to_string(),
            triggers: 1 + more,
            left_seconds: left.unwrap_or_default().as_secs_f64(),
        })
    }

    /// Triggers that open nothing for a while, those first that wait longest.
    pub(super) fn waiting(&self, now: Mono) -> Vec<WaitingTrigger> {
        let cooling =
            |(kind, object, left): (TriggerKind, Option<&str>, Duration)| WaitingTrigger {
                kind: kind.to_string(),
                object: object.map(str::to_owned),
                confirm: None,
                left_seconds: left.as_secs_f64(),
            };
        let mut waiting: Vec<_> = self.gate.waiting(now).map(cooling).collect();
        waiting.sort_by(|a, b| b.left_seconds.total_cmp(&a.left_seconds));
        waiting.truncate(Self::COOLING_TOLD);
        waiting.extend(self.holds.waiting(now));
        waiting
    }

    /// Where they happen.
    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// What they came to so far.
    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Observations that had to be forgotten before their time.
    pub(super) fn forgotten(&self) -> u64 {
        self.history.forgotten()
    }

    /// Somebody waits for the bundle of the open one.
    fn wait_for_open(&mut self, fate: Reply<Fate>) {
        if let Some(open) = &mut self.open {
            open.waiting.retain(|reply| !reply.is_closed());
            open.waiting.push(fate);
        }
    }
}
