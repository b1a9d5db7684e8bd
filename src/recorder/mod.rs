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

mod attending;
mod captures;
mod closing;
mod course;
mod doors;
mod grants;
mod history;
mod holds;
mod judging;
mod keeper;
mod log;
mod mishap;
mod phase;
mod privileged;
mod programs;
mod reload;
pub mod replay;
mod selection;
mod status;
mod summary;
mod survival;
mod witnesses;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

pub use phase::WindowOptions;
pub use privileged::Privileged;
pub use reload::Reloader;
pub use selection::{Links, Selection};
pub use status::{ClassDepth, State, Status};
pub use summary::Summary;
pub use witnesses::{Logs, Witnesses};

use self::captures::Captures;
use self::closing::Closing;
use self::doors::Doors;
use self::history::History;
use self::holds::Holds;
use self::keeper::Keeper;
use self::log::Log;
use self::mishap::Fallen;
use self::phase::{Count, Phase};
use self::programs::Programs;
use self::reload::Inbox;
use self::status::{depths, in_words};
use self::survival::Memory;
use crate::api;
use crate::api::directory::DirectoryWatcher;
use crate::api::question::{Fate, Reply, Verdict};
use crate::capture;
use crate::capture::Wanted;
use crate::detect::watcher::{self, DetectWatcher};
use crate::error::Result;
use crate::hook::{self, Pending};
use crate::incident::store::Store;
use crate::incident::system::Collection;
use crate::incident::writer::{self, Writer};
use crate::incident::{Host, Incident};
use crate::privilege;
use crate::ring::{HoldId, PoolOptions, RingFile};
use crate::service::Service;
use crate::stats::CaptureStats;
use crate::time::{Clock, Mono};
use crate::trigger::{Gate, Rule, Rules, Terms};
use crate::watch::logs;
use crate::watch::probe::{self, Probe};
use crate::watch::sysfs::{self, Sampler};
use crate::watch::table::{Reading, Table};
use crate::watch::{self, CaptureEvent, Fact, Observation, Watch, Watcher};

/// Everything the operator decides, each part checked by its owner.
#[derive(Debug, Clone)]
pub struct Options {
    /// Interfaces by name; none = those that matter (see [`Selection`]).
    pub interfaces: Vec<String>,
    /// The memory.
    pub pool: PoolOptions,
    /// The file that holds it, so that frames outlive the process; none = memory of the process alone.
    pub ring_file: Option<PathBuf>,
    /// How to capture.
    pub capture: capture::Options,
    /// How long a window is.
    pub window: WindowOptions,
    /// How long the same trigger must wait after its incident was closed.
    pub cool_down: Duration,
    /// What opens incidents.
    pub rules: Vec<Rule>,
    /// Hosts to ping.
    pub probes: Vec<probe::Options>,
    /// What else of the host is watched.
    pub witnesses: Witnesses,
    /// What is looked for by counting frames.
    pub detect: watcher::Options,
    /// Frames that are waited for.
    pub wanted: Vec<Wanted>,
    /// The operator's table.
    pub timeline: sysfs::Options,
    /// Where bundles appear.
    pub output: PathBuf,
    /// How bundles are written.
    pub writer: writer::Options,
    /// Where people and scripts may ask.
    pub api: api::Options,
    /// What the process gives up.
    pub privilege: privilege::Options,
    /// The operator's own programs.
    pub programs: hook::Options,
    /// All of this as the operator would write it, for the manifest.
    pub settings: serde_json::Value,
}

impl Options {
    /// What a rule that says nothing of it asks for.
    fn usual(&self) -> Terms {
        let WindowOptions { pre, post, .. } = self.window;
        Terms { pre, post, cool_down: self.cool_down }
    }

    /// How long an observation may be wanted by an incident.
    fn span(&self, rules: &Rules) -> Duration {
        self.window.pre.max(rules.reach()) + self.window.limit + self.cool_down
    }
}

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
    /// Witnesses that panicked, and are to be put to work again.
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

/// What was last shown of the traffic.
#[derive(Debug, Default)]
struct Glance {
    at: Mono,
    frames: u64,
    per_second: f64,
}

/// When the depth of the history was last told.
#[derive(Debug, Default)]
struct Depth {
    look_at: Mono,
    told: Vec<ClassDepth>,
}

/// The recorder looks at deadlines at least this often, also when nothing is seen.
const TICK: Duration = Duration::from_millis(500);
/// While slices are under way, it looks for them this often.
const TICK_CLOSING: Duration = Duration::from_millis(2);
/// The depth of the history is known once there was traffic for this long, and looked at this often.
const DEPTH_AFTER: Duration = Duration::from_secs(10);

/// How often the status is shown.
const STATUS: Duration = Duration::from_secs(1);

impl Recorder {
    /// Obtains everything that can be refused: memory, sockets, names, the output directory. When this
    /// returns, frames are being recorded.
    ///
    /// # Errors
    /// When anything is refused; nothing is left running then.
    pub fn start(options: Options, clock: Clock) -> Result<Self> {
        let privileged = Privileged::open(&options)?;
        Self::start_with(privileged, options, clock)
    }

    /// The same with sockets that were opened before, when the process had privileges that it gave up.
    ///
    /// # Errors
    /// As [`Recorder::start`].
    pub fn start_with(privileged: Privileged, options: Options, clock: Clock) -> Result<Self> {
        let Privileged { links, witnesses, runner } = privileged;
        options.window.check()?;
        Rule::check_all(&options.rules)?;
        let (desk, seen) = bounded(watch::CHANNEL);
        let selection = Selection::new(&options.interfaces, &links.links())?;
        let table = Table::default();
        let sampler = Sampler::open(options.timeline.clone(), table.clone())?;
        let open = |probe: &probe::Options| Ok((probe.clone(), Probe::open(probe.clone())?));
        let probes = options.probes.iter().map(open).collect::<Result<Vec<_>>>()?;
        let detectors = DetectWatcher::open(options.detect.clone(), options.detect.roster())?;
        let tapping = capture::Tapping::new(detectors.taps(), options.wanted.clone())?;
        options.witnesses.check()?;
        let witnesses = options.witnesses.open(witnesses)?;
        let (retention, now) = (options.writer.retention, clock.now().wall);
        let store = Store::open_within(&options.output, options.pool.memory, retention, now)?;
        let doors = api::Doors::open(&options.api, &Host::read().name)?;
        let directory = options.api.directory.as_ref();
        let directory = directory.map(|o| DirectoryWatcher::open(o, &clock)).transpose()?;
        let Memory { pool, file, recovered } = Memory::obtain(&options, &store, &clock)?;
        tracing::info!("{} bytes of memory obtained for frames", pool.obtained_bytes());

        let words = selection.in_words();
        let mut captures = Captures::new(
            selection,
            options.capture.clone(),
            pool,
            clock.clone(),
            desk.clone(),
            tapping,
        )?;
        captures.keep_in(file.clone());
        captures.begin(&links.links())?;
        let names = captures.names();
        if names.is_empty() {
            tracing::warn!("no interface is up yet; those that come up are recorded ({words})");
        } else {
            tracing::info!("recording {} ({words})", names.join(", "));
        }
        tracing::info!(
            "armed: {}; bundles appear in {}",
            Rule::in_a_row(&options.rules),
            store.directory().display()
        );
        let writer = Writer::start(store, clock.clone(), options.writer.clone())?;
        let mut recorder = Self::around(captures, options, clock, writer, (desk, seen));
        recorder.programs = Programs::employ(runner, &recorder.clock, &recorder.desk)?;
        recorder.limitations.extend(sampler.limitation().map(str::to_owned));
        recorder.table = table;
        recorder.ring_file = file;
        recorder.summary.bundles.extend(recovered);
        recorder.watch_names();
        recorder.employ(links)?;
        recorder.employ(sampler)?;
        recorder.employ(detectors)?;
        for (options, probe) in probes {
            recorder.employ_probe(options, probe)?;
        }
        recorder.employ_all(witnesses)?;
        if let Some(directory) = directory {
            recorder.employ(directory)?;
        }
        if let Some(doors) = doors {
            recorder.doors.serve(doors, recorder.clock.clone())?;
        }
        Ok(recorder)
    }

    /// What was done with the privileges, for `dashcap status` and every bundle.
    pub fn confined(&mut self, account: privilege::Account) {
        self.limitations.extend(account.limitations);
    }

    /// Puts a further watcher to work.
    ///
    /// # Errors
    /// When the process is out of threads or descriptors.
    pub fn employ(&mut self, watcher: impl Watcher) -> Result<()> {
        let watch = self.spawn(watcher)?;
        self.watches.push(watch);
        Ok(())
    }

    fn spawn(&self, watcher: impl Watcher) -> Result<Watch> {
        watch::spawn(watcher, self.clock.clone(), self.desk.clone())
    }

    fn employ_probe(&mut self, options: probe::Options, probe: Probe) -> Result<()> {
        let watch = self.spawn(probe)?;
        self.probes.push((options, watch));
        Ok(())
    }

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
            Fact::Missed { watcher, what } => self.fallen.note(watcher, what),
            Fact::Capture { event: CaptureEvent::Dropping, .. } => self.make_memory(),
            Fact::Arming { armed, who } => self.doors.arm(*armed, who),
            _ => {}
        }
        self.limitations.extend(mishap::limitation(&seen.fact, &self.limitations));
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

    fn begin_closing(&mut self, closed: phase::Closed) {
        let Some(open) = self.open.take() else { return };
        let now = self.clock.now().mono;
        for Count { tally, cool_down } in &closed.counts {
            let of = (tally.kind, tally.object.clone());
            self.gate.closed(of, tally.first.mono, *cool_down, now);
        }
        let slices = self.captures.slice(closed.window, open.hold);
        self.closing.push(Closing::new(closed, open, slices, now));
    }

    /// Hands incidents over to the writer once all their slices are there.
    fn collect_slices(&mut self) {
        let now = self.clock.now();
        for mut closing in std::mem::take(&mut self.closing) {
            if closing.is_complete(now.mono) {
                let missed = self.missed();
                let observations = self.history.cut(closing.window());
                let waiting = closing.waiting();
                let incident = closing.incident(closing::Circumstances {
                    closed: now,
                    observations,
                    observations_missed: missed + self.history.forgotten(),
                    limitations: self.limitations.clone(),
                    probes: self.options.probes.iter().map(|probe| probe.host.clone()).collect(),
                    host: self.host.clone(),
                    filter: self.options.capture.filter(),
                    settings: self.options.settings.clone(),
                });
                self.doors.wait_for(&incident.name(), waiting);
                self.remember(&incident.name(), incident.triggers());
                self.doors.closed(&incident);
                self.submit(Box::new(incident));
            } else {
                self.closing.push(closing);
            }
        }
    }

    /// Observations that found no room, of all watchers there are and were.
    fn missed(&self) -> u64 {
        let probes = self.probes.iter().map(|(_, watch)| watch);
        let logs = self.logs.iter().map(|(_, watch)| watch);
        self.missed_before
            + self.programs.as_ref().map_or(0, Programs::missed)
            + self.watches.iter().chain(probes).chain(logs).map(Watch::missed).sum::<u64>()
    }

    fn submit(&mut self, incident: Box<Incident>) {
        if let Err(incident) = self.writer.submit(incident) {
            self.make_memory();
            if let Err(incident) = self.writer.submit(incident) {
                let (name, reason) = (incident.name(), "too many incidents wait for the disk");
                self.summary.lost += 1;
                tracing::error!("lost {name}: {reason}");
                self.doors.lost(&name, reason, self.clock.now());
                self.forget(&name);
            }
        }
    }

    /// New frames are worth more than an incident that nobody can write, or that nobody may want.
    fn make_memory(&mut self) {
        self.release_holds("new frames need its memory");
        if let Some(lost) = self.writer.abandon() {
            self.doors.lost(&lost.name, &lost.reason.to_string(), self.clock.now());
            self.forget(&lost.name);
            self.summary.lost(&lost);
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

    /// Says how many seconds the memory holds, when that is known and when it changes much.
    fn tell_depth(&mut self) {
        let now = self.clock.now().mono;
        if now < self.depth.look_at {
            return;
        }
        self.depth.look_at = now.plus(DEPTH_AFTER);
        let depths = depths(&self.captures.reports(), now);
        let told = &self.depth.told;
        let differs = |a: Duration, b: Duration| a > 2 * b || b > 2 * a;
        let changed = |depth: &ClassDepth| {
            told.iter()
                .find(|told| told.class == depth.class)
                .is_none_or(|told| differs(depth.all, told.all) || differs(depth.full, told.full))
        };
        if !depths.iter().any(changed) {
            return;
        }
        tracing::info!("at this traffic the memory holds about: {}", in_words(&depths));
        let pre = self.options.window.pre;
        if depths.iter().any(|depth| depth.all < pre) {
            tracing::warn!(
                "that is less than the {pre:?} before a trigger that were asked for; give more \
                 --memory, or a --filter"
            );
        }
        self.depth.told = depths;
    }

    /// How it stands, once every [`STATUS`].
    fn status(&mut self) -> Option<Status> {
        let now = self.clock.now().mono;
        let passed = now.since(self.glance.at);
        if passed < STATUS {
            return None;
        }
        self.limitations.extend(self.captures.mishap());
        let reports = self.captures.reports();
        let (frames, before) = (status::frames(&reports), self.glance.frames);
        let per_second = frames.saturating_sub(before) as f64 / passed.as_secs_f64();
        self.glance = Glance { at: now, frames, per_second };
        let state = match (self.phase.deadline(), self.closing.len() + self.writer.pending()) {
            (Some(deadline), _) => State::Collecting(deadline.since(now)),
            (None, 0) if self.doors.is_armed() => State::Armed,
            (None, 0) => State::Disarmed,
            (None, incidents) => State::Writing(incidents),
        };
        Some(Status {
            frames_per_second: per_second,
            depths: depths(&reports, now),
            dropped: reports.iter().map(|report| report.stats.dropped()).sum(),
            state,
        })
    }

    /// Watchers first, then the captures to the last frame, then the disk.
    fn stop(mut self) -> Summary {
        let leaving = self.service.take().and_then(Service::leave);
        self.release_holds("the recording ends");
        let probes = std::mem::take(&mut self.probes).into_iter().map(|(_, watch)| watch);
        let logs = std::mem::take(&mut self.logs).into_iter().map(|(_, watch)| watch);
        for watch in std::mem::take(&mut self.watches).into_iter().chain(probes).chain(logs) {
            let (name, missed) = (watch.name(), watch.join());
            if missed > 0 {
                tracing::warn!("{missed} observations of watcher {name} found no room");
            }
        }
        let reports = self.captures.stop();
        if let Some(file) = &self.ring_file {
            survival::note(file, self.clock.now(), &reports);
        }
        for report in reports {
            self.summary.interfaces.push((report.origin.interface.clone(), report.stats));
            if !K::LIVE {
                // Its own account tells what was read.
                continue;
            }
            let CaptureStats { stored, folded, filtered, lane_dropped, .. } = report.stats;
            let known = |count: Option<u64>| count.map_or("unknown".to_owned(), |n| n.to_string());
            tracing::info!(
                "{}: {} received = {stored} stored + {folded} folded + {filtered} filtered + {lane_dropped} dropped by \
                 the lane + {} dropped by the kernel + {} waiting",
                report.origin.interface,
                known(report.stats.kernel_received),
                known(report.stats.kernel_dropped),
                known(report.stats.waiting_in_kernel),
            );
        }
        self.log.end();
        self.summary.tell_unwritten();
        let mut programs = self.programs.take();
        for outcome in self.writer.stop() {
            self.doors.settle(&outcome, self.clock.now());
            for note in programs.as_mut().map(|p| p.follow_up(&outcome)).unwrap_or_default() {
                self.log.tell(&programs::observed(note, &self.clock));
            }
            self.summary.note(outcome);
        }
        if let Some(programs) = programs {
            programs.finish(&self.seen, &mut self.log);
        }
        if self.summary.removed > 0 {
            tracing::info!("{} old bundles were removed", self.summary.removed);
        }
        self.doors.close();
        // An incident that is not on the disk is only there: then the next start recovers it.
        if let Some(file) = self.ring_file.filter(|_| self.summary.lost == 0) {
            survival::stopped(&file, self.clock.now());
        }
        drop(leaving);
        self.summary
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
