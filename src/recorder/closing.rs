//! An incident whose window is over and whose last frames are still on their way.

use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};

use super::frame_store::Keeper;
use super::phase::Count;
use super::programs::Programs;
use super::{Open, Recorder, phase, programs};
use crate::api::question::{Fate, Reply};
use crate::capture::{ClassReport, Sliced};
use crate::incident::{ClassTrack, Host, Incident, Track};
use crate::observation::Observation;
use crate::time::{Mono, Stamp, Window};
use crate::watch::Watch;

/// A capture that has not answered by then is dead: it gives up on late frames after one second.
const SLICES: Duration = Duration::from_secs(3);
/// What the system says was asked at the trigger; an answer later than this after the end of the window
/// is not worth keeping the frames in memory only.
const SYSTEM: Duration = Duration::from_secs(3);

/// Collects slices.
#[derive(Debug)]
pub(super) struct Closing {
    closed: phase::Closed,
    open: Open,
    expected: Vec<Receiver<Sliced>>,
    tracks: Vec<Track>,
    begun: Mono,
}

/// What the recorder adds to an incident.
pub(super) struct Circumstances {
    pub(super) closed: Stamp,
    pub(super) observations: Vec<Observation>,
    pub(super) observations_missed: u64,
    pub(super) limitations: Vec<String>,
    pub(super) probes: Vec<String>,
    pub(super) host: Host,
    pub(super) filter: Option<String>,
    pub(super) settings: serde_json::Value,
}

impl Closing {
    pub(super) fn new(
        closed: phase::Closed,
        open: Open,
        expected: Vec<Receiver<Sliced>>,
        begun: Mono,
    ) -> Self {
        Self { closed, open, expected, tracks: Vec::new(), begun }
    }

    pub(super) fn window(&self) -> Window {
        self.closed.window
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
        let (tracks, late) = (&mut self.tracks, now.since(self.begun) >= SLICES);
        self.expected.retain(|expected| match expected.try_recv() {
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
        let answered = system.is_none_or(crate::incident::system::Collection::is_complete);
        let answered = programs::are_complete(&mut self.open) && answered;
        self.expected.is_empty() && (answered || now.since(self.begun) >= SYSTEM)
    }

    /// The incident, ready to be written.
    pub(super) fn incident(mut self, when: Circumstances) -> Incident {
        let phase::Closed {
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
        programs::add_outputs(&mut system, self.open.programs);
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
            settings: when.settings,
            recovered: None,
        }
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

impl<K: Keeper> Recorder<K> {
    pub(super) fn begin_closing(&mut self, closed: phase::Closed) {
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
    pub(super) fn collect_slices(&mut self) {
        let now = self.clock.now();
        for mut closing in std::mem::take(&mut self.closing) {
            if closing.is_complete(now.mono) {
                let missed = self.missed();
                let observations = self.history.cut(closing.window());
                let waiting = closing.waiting();
                for track in closing.tracks_mut() {
                    track.relatives = self.captures.relatives(&track.origin.interface);
                }
                let incident = closing.incident(Circumstances {
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
    pub(super) fn missed(&self) -> u64 {
        let probes = self.probes.iter().map(|(_, watch)| watch);
        let logs = self.logs.iter().map(|(_, watch)| watch);
        self.missed_before
            + self.programs.as_ref().map_or(0, Programs::missed)
            + self.watches.iter().chain(probes).chain(logs).map(Watch::missed).sum::<u64>()
    }

    pub(super) fn submit(&mut self, incident: Box<Incident>) {
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
    pub(super) fn make_memory(&mut self) {
        self.release_holds("new frames need its memory");
        if let Some(lost) = self.writer.abandon() {
            self.doors.lost(&lost.name, &lost.reason.to_string(), self.clock.now());
            self.forget(&lost.name);
            self.summary.lost(&lost);
        }
    }
}
