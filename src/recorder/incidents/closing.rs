//! An incident whose window is over and whose last frames are still on their way: first to its spool, as long as
//! the disk takes them, so that a slice pins next to no memory; then into the slice.

use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};

use super::phase::TriggerCount;
use super::{Incidents, OpenedIncident, Spooling, fleet, phase};
use crate::api::question::{Fate, Reply};
use crate::capture::{ClassReport, Sliced};
use crate::hook::{OutputFile, Pending};
use crate::incident::clock_reading::ClockReading;
use crate::incident::fleet::FleetReason;
use crate::incident::name::name_of;
use crate::incident::system::Collection;
use crate::incident::{ClassTrack, Host, Incident, SystemFile, Track};
use crate::observation::kept::Kept;
use crate::recorder::Options;
use crate::recorder::audience::Audience;
use crate::recorder::frame_store::FrameStore;
use crate::recorder::watchers::Watchers;
use crate::time::{Mono, Stamp, Window};
use crate::traffic::TrafficMemory;

/// A capture that has not answered by then is dead: it gives up on late frames after one second.
const SLICES: Duration = Duration::from_secs(3);
/// The rest goes to the spool for so long at most; on a disk that is slower it is pinned until the bundle is written.
const SPOOLED: Duration = Duration::from_secs(30);
/// What the system says was asked at the trigger; an answer later than this after the end of the window
/// is not worth keeping the frames in memory only.
const SYSTEM: Duration = Duration::from_secs(3);

/// Collects slices.
#[derive(Debug)]
pub(super) struct Closing {
    closed: phase::ClosedIncident,
    open: OpenedIncident,
    /// None while the rest goes to the spool.
    expected: Option<Vec<Receiver<Sliced>>>,
    tracks: Vec<Track>,
    begun: Mono,
}

/// What the recorder adds to an incident.
pub(super) struct Circumstances {
    pub(super) closed: Stamp,
    pub(super) observations: Vec<Kept>,
    pub(super) observations_missed: u64,
    pub(super) limitations: Vec<String>,
    pub(super) probes: Vec<String>,
    pub(super) host: Host,
    pub(super) filter: Option<String>,
    pub(super) settings: serde_json::Value,
    pub(super) traffic: Option<TrafficMemory>,
}

impl Closing {
    fn new(closed: phase::ClosedIncident, open: OpenedIncident, begun: Mono) -> Self {
        Self { closed, open, expected: None, tracks: Vec::new(), begun }
    }

    /// Lets the rest go to the spool, where one was begun.
    fn spool<K: FrameStore>(&self, captures: &mut K) {
        if let Some(spooling) = self.spooling() {
            captures.bound(self.open.hold, self.closed.window.to);
            spooling.close();
        }
    }

    fn spooling(&self) -> Option<&Spooling> {
        self.open.spooling.as_ref().filter(|spooling| spooling.is_begun())
    }

    /// Asks for the slices once the rest is in the spool.
    fn slice<K: FrameStore>(&mut self, captures: &mut K, now: Mono) {
        let waits = self.spooling().is_some_and(|spooling| !spooling.is_done());
        if self.expected.is_none() && (!waits || now.since(self.begun) >= SPOOLED) {
            self.expected = Some(captures.slice(self.closed.window, self.open.hold));
            self.begun = now;
        }
    }

    pub(super) fn window(&self) -> Window {
        self.closed.window
    }

    /// The name its bundle will have.
    pub(super) fn name(&self) -> String {
        name_of(&self.closed.opened_by)
    }

    /// From then on every lane was complete.
    pub(super) fn complete_from(&self) -> Mono {
        self.open.complete_from
    }

    /// Another host has asked for it, too.
    pub(super) fn belongs_to(&mut self, reason: &FleetReason) {
        fleet::add(&mut self.open.fleet, reason);
    }

    /// Somebody waits for its bundle.
    pub(super) fn wait(&mut self, fate: Reply<Fate>) {
        self.open.waiting.push(fate);
    }

    /// The interfaces that answered.
    fn tracks_mut(&mut self) -> &mut [Track] {
        &mut self.tracks
    }

    /// Those who wait for its bundle.
    pub(super) fn waiting(&mut self) -> Vec<Reply<Fate>> {
        std::mem::take(&mut self.open.waiting)
    }

    /// True once everything is there that will come.
    pub(super) fn is_complete(&mut self, now: Mono) -> bool {
        let Some(expected) = &mut self.expected else { return false };
        let (tracks, late) = (&mut self.tracks, now.since(self.begun) >= SLICES);
        expected.retain(|expected| match expected.try_recv() {
            Ok(sliced) => {
                tracks.push(track(sliced));
                false
            }
            Err(TryRecvError::Empty) => !late,
            Err(TryRecvError::Disconnected) => {
                tracing::error!("a capture died; its frames are not in the bundle");
                false
            }
        });
        let system = self.open.system.as_ref();
        let answered = system.is_none_or(Collection::is_complete);
        let answered = self.open.programs.as_mut().is_none_or(Pending::is_complete) && answered;
        expected.is_empty() && (answered || now.since(self.begun) >= SYSTEM)
    }

    /// What the bundle says of observations that are no longer known.
    fn forgotten(&self, gap: Window) -> String {
        let offset = self.closed.opened_by.at.offset();
        let [from, to] = [gap.from, gap.to].map(|edge| offset.wall(edge).time_of_day());
        format!(
            "what was seen of the host from {from} to {to} is no longer known, but for the last states before \
             {to}"
        )
    }

    /// The incident, ready to be written.
    pub(super) fn incident(mut self, when: Circumstances) -> Incident {
        let phase::ClosedIncident {
            opened_by,
            extended_by,
            further_triggers,
            counts,
            asked,
            window,
            ending,
        } = self.closed;
        self.tracks.sort_by(|a, b| a.origin.interface.cmp(&b.origin.interface));
        let mut system = self.open.system.map(|s| s.take(Duration::ZERO)).unwrap_or_default();
        add_outputs(&mut system, self.open.programs);
        let again = |_: &ClockReading| ClockReading::read(when.closed);
        let closed = self.open.clock.as_ref().and_then(again);
        let clock = self.open.clock.into_iter().chain(closed).collect();
        for track in &mut self.tracks {
            track.filter.clone_from(&when.filter);
        }
        Incident {
            opened_by,
            extended_by,
            further_triggers,
            trigger_counts: counts.into_iter().map(|count| count.tally).collect(),
            window_asked: asked,
            window,
            ending,
            pinned_after: self.open.pinned_after,
            closed: when.closed,
            tracks: self.tracks,
            observations: when.observations,
            observations_missed: when.observations_missed,
            limitations: when.limitations,
            probes: when.probes,
            system,
            host: when.host,
            clock,
            settings: when.settings,
            traffic: when.traffic,
            recovered: None,
            earlier: None,
            fleet: self.open.fleet,
            spool: self.open.spooling.map(Spooling::finish),
        }
    }
}

/// What programs said, among the files of the system, each under a name of its own.
fn add_outputs(files: &mut Vec<SystemFile>, programs: Option<Pending>) {
    for OutputFile { name, content } in programs.map(Pending::take).unwrap_or_default() {
        let taken = |files: &[SystemFile], name: &str| files.iter().any(|file| file.name == name);
        let numbered = (2..).map(|n| format!("{n}-{name}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken(files, name));
        // There are more numbers than files.
        let name = free.unwrap_or(name);
        files.push(SystemFile { name, content: content.into_bytes() });
    }
}

fn track(sliced: Sliced) -> Track {
    let Sliced { classes, report } = sliced;
    let classes = classes.into_iter().zip(report.classes);
    Track {
        origin: report.origin,
        since: report.since,
        classes: classes
            .map(|((name, slice), ClassReport { counters, quota, .. })| ClassTrack {
                name,
                slice,
                counters,
                quota,
            })
            .collect(),
        stats: report.stats,
        source: report.source.to_owned(),
        unknowns: report.unknowns.iter().map(|&unknown| unknown.to_owned()).collect(),
        filter: None,
        relatives: None,
    }
}

impl Incidents {
    /// Closes the open incident if its window is over.
    pub(in crate::recorder) fn close_if_due<K: FrameStore>(&mut self, captures: &mut K) {
        if let Some(closed) = self.phase.close_if_due(self.clock.now().mono) {
            self.begin_closing(closed, captures);
        }
    }

    /// Closes the open incident now.
    pub(in crate::recorder) fn cut<K: FrameStore>(&mut self, by: &str, captures: &mut K) {
        if let Some(closed) = self.phase.cut(self.clock.now().mono, by) {
            self.begin_closing(closed, captures);
        }
    }

    fn begin_closing<K: FrameStore>(&mut self, closed: phase::ClosedIncident, captures: &mut K) {
        if let Some(open) = self.open.take() {
            self.end(closed, open, captures);
        }
    }

    /// The window of an incident is over: what it is about rests, and its frames are awaited.
    pub(super) fn end<K: FrameStore>(
        &mut self,
        closed: phase::ClosedIncident,
        open: OpenedIncident,
        captures: &mut K,
    ) {
        let now = self.clock.now().mono;
        for TriggerCount { tally, told, cool_down } in &closed.counts {
            if let Some(cool_down) = *cool_down {
                let of = (tally.kind, tally.object.clone());
                self.gate.closed(of, *told, cool_down, now);
            }
        }
        self.recent.closed(&closed.opened_by, closed.window);
        let mut closing = Closing::new(closed, open, now);
        closing.spool(captures);
        closing.slice(captures, now);
        self.closing.push(closing);
    }

    /// Hands incidents over to the writer once all their slices are there.
    pub(in crate::recorder) fn collect_slices<K: FrameStore>(
        &mut self,
        options: &Options,
        watchers: &Watchers,
        captures: &mut K,
        audience: &mut Audience,
    ) {
        let now = self.clock.now();
        for mut closing in std::mem::take(&mut self.closing) {
            closing.slice(captures, now.mono);
            if !closing.is_complete(now.mono) {
                self.closing.push(closing);
                continue;
            }
            let waiting = closing.waiting();
            for track in closing.tracks_mut() {
                track.relatives = captures.relatives(&track.origin.interface);
            }
            let observations = self.history.cut(closing.window());
            let forgotten = self.history.gap(closing.window()).map(|gap| closing.forgotten(gap));
            let mut incident = Box::new(closing.incident(Circumstances {
                closed: now,
                observations,
                observations_missed: watchers.missed()
                    + audience.missed()
                    + self.history.forgotten(),
                limitations: watchers.limitations().iter().cloned().chain(forgotten).collect(),
                probes: options.probes.iter().map(|probe| probe.host.clone()).collect(),
                host: self.host.clone(),
                filter: options.capture.filter(),
                settings: options.settings.clone(),
                traffic: self.traffic.clone(),
            }));
            if let Some(earlier) = &self.earlier {
                earlier.join(&mut incident);
            }
            audience.closed(&incident, waiting);
            self.submit(incident, captures, audience);
        }
        self.part_with_earlier(now.mono);
    }

    /// Frames of the recording before go when no window can reach them any more.
    fn part_with_earlier(&mut self, now: Mono) {
        let is_wanted = self.open.is_some() || !self.closing.is_empty();
        if self.earlier.as_ref().is_some_and(|earlier| now > earlier.until) && !is_wanted {
            self.earlier = None;
        }
    }

    fn submit<K: FrameStore>(
        &mut self,
        incident: Box<Incident>,
        captures: &mut K,
        audience: &mut Audience,
    ) {
        if let Err(incident) = self.writer.submit(incident) {
            self.make_memory(captures, audience);
            if let Err(incident) = self.writer.submit(incident) {
                let (name, reason) = (incident.name(), "too many incidents wait for the disk");
                self.summary.lost += 1;
                tracing::error!("lost {name}: {reason}");
                audience.lost(&name, reason);
            }
        }
    }

    /// New frames are worth more than an incident that nobody can write, or that nobody may want.
    pub(super) fn make_memory<K: FrameStore>(&mut self, captures: &mut K, audience: &mut Audience) {
        let why = "new frames need its memory";
        self.release_holds(why, captures);
        self.release_fleet_holds(why, captures);
        if let Some(lost) = self.writer.abandon() {
            audience.lost(&lost.name, &lost.reason.to_string());
            self.summary.lost(&lost);
        }
    }
}
