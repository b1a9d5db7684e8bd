//! `manifest.json`: what the bundle is, what it covers, what it lacks.
//!
//! A public format, versioned: within a version fields are added, never renamed or removed, and their
//! order stays. Times are RFC 3339 in UTC with nine digits (`time`) beside CLOCK_MONOTONIC nanoseconds
//! (`mono_ns`); spans are in seconds; every other unit is in the field's name. Monotonic edges of the
//! window are translated to wall time by the clocks' distance at the trigger (`host.clock_offset_ns`).
//!
//! Every way to lose something is here under its own name, also when it is zero. Written last, so that
//! a bundle with a manifest has all its files.

pub mod read;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::clock_reading::ClockReading;
use super::earlier;
use super::fleet::FleetReason;
use super::moment::{Moment, Span};
use super::pcapng::{Contents, Written};
use super::recovered::Recovered;
use super::store::record::Recorded;
use super::{ClassTrack, Ending, Host, Incident, Track};
use crate::APPLICATION;
use crate::frame::Origin;
use crate::observation::Fact;
use crate::observation::kept::Kept;
use crate::ring::LaneCounters;
use crate::stats::CaptureStats;
use crate::time::{Stamp, Wall, Window, nanos};
use crate::trigger::{Tally, Trigger, TriggerKind};

/// Value of `format`: what tells this file from any other JSON.
pub const FORMAT: &str = "dashcap-bundle";
/// Value of `version`; raised when a reader of the old one would misunderstand.
pub const VERSION: u32 = 1;

/// The whole file.
#[derive(Debug, Serialize)]
pub struct Manifest<'a> {
    /// [`FORMAT`].
    pub format: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// Program and version.
    pub written_by: &'static str,
    /// Why the bundle exists: the first opened it, the others extended it.
    pub triggers: Vec<TriggerEntry<'a>>,
    /// Triggers beyond those, too many to keep each.
    pub further_triggers: u64,
    /// How often each kind and object triggered, those beyond included.
    pub trigger_counts: Vec<TallyEntry<'a>>,
    /// From when the first trigger was told until its frames were pinned, in nanoseconds.
    pub pinned_after_ns: u64,
    /// Asked for, closed with, covered.
    pub window: WindowEntry<'a>,
    /// What is not in the bundle though it was asked for; empty if nothing is missing.
    pub missing: Vec<Missing>,
    /// The machine.
    pub host: HostEntry<'a>,
    /// One per captured interface.
    pub interfaces: Vec<InterfaceEntry<'a>>,
    /// Frames cut in the capture file because readers refuse longer ones.
    pub frames_shortened: u64,
    /// What watchers saw.
    pub observations: Observations<'a>,
    /// Why there is no `report.html`, or what it lacks; null if it is whole.
    pub report_missing: Option<&'a str>,
    /// The settings in force.
    pub settings: &'a serde_json::Value,
    /// Every other file of the bundle.
    pub files: &'a [FileEntry],
    /// The manifest that was written before it in this directory, and its sum; null for the first.
    pub previous: Option<&'a Recorded>,
    /// Where it comes from if no recorder closed it: a ring file, what it held, and when its recording
    /// began and ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<&'a Recovered>,
    /// The recording before, from which the window's first frames are: its program and process, when it
    /// began and ended, and when this one began. Nothing was recorded in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<&'a earlier::EarlierRecording>,
    /// Other hosts that asked for it; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetEntry<'a>>,
}

/// The hosts that asked for a bundle.
#[derive(Debug, Serialize)]
pub struct FleetEntry<'a> {
    /// Identifiers of their notices, by which the bundles of one failure are found on every host.
    pub ids: Vec<&'a str>,
    /// What they said, in the same order.
    pub reasons: &'a [FleetReason],
}

impl<'a> FleetEntry<'a> {
    fn of(incident: &'a Incident) -> Option<Self> {
        let reasons = incident.fleet.as_slice();
        let ids = reasons.iter().map(|reason| reason.id.as_str()).collect();
        (!reasons.is_empty()).then_some(Self { ids, reasons })
    }
}

/// One trigger.
#[derive(Debug, Serialize)]
pub struct TriggerEntry<'a> {
    /// `link-down`, `link-up`, `probe-lost`, `signal`, `command-failed`, `snapshot`, `file`, `http`, or
    /// the kind of a finding with `-` for `_`: `lacp-expired`.
    pub kind: TriggerKind,
    /// The interface, host or command; null where there is none.
    pub object: Option<&'a str>,
    /// What happened, for a person.
    pub sentence: &'a str,
    /// When it was observed, or the moment that was asked for.
    #[serde(flatten)]
    pub at: Moment,
    /// How long after that the recorder was told, in nanoseconds; absent where it was told as it happened. Of the
    /// first trigger also: how long after it the system was asked.
    #[serde(skip_serializing_if = "is_zero")]
    pub told_after_ns: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How often something triggered.
#[derive(Debug, Serialize)]
pub struct TallyEntry<'a> {
    /// As in [`TriggerEntry`].
    pub kind: TriggerKind,
    /// As in [`TriggerEntry`].
    pub object: Option<&'a str>,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Moment,
    /// The last time.
    pub last: Moment,
}

/// The window in three stages.
#[derive(Debug, Serialize)]
pub struct WindowEntry<'a> {
    /// Around the first trigger, as set by `--pre` and `--post`.
    pub asked: Span,
    /// As the incident was closed.
    pub closed: Span,
    /// What every interface has in full.
    pub covered: Span,
    /// Why it ends there: `{"how":"on_time"}`, `{"how":"limit"}`, `{"how":"cut","by":"a stop signal"}`.
    pub ending: &'a Ending,
}

/// A part of the window that is not in the bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    /// The interface; null where it is all of them.
    pub interface: Option<String>,
    /// The class; null where it is all of them.
    pub class: Option<String>,
    /// Why.
    pub reason: String,
    /// Which part.
    #[serde(flatten)]
    pub span: Span,
}

/// The machine and its clocks.
#[derive(Debug, Serialize)]
pub struct HostEntry<'a> {
    /// `name`, `kernel`, `architecture`, `boot_id`.
    #[serde(flatten)]
    pub host: &'a Host,
    /// CLOCK_REALTIME less CLOCK_MONOTONIC at the trigger, in nanoseconds.
    pub clock_offset_ns: i64,
    /// True if the wall clock was stepped in the window or before the close.
    pub clock_stepped: bool,
    /// What the kernel knew of the wall clock at the trigger and at the close: how wrong it may be.
    pub clock: &'a [ClockReading],
}

/// One captured interface.
#[derive(Debug, Serialize)]
pub struct InterfaceEntry<'a> {
    /// Its name.
    pub name: &'a str,
    /// What frames in the bundle it has.
    pub in_bundle: InBundle,
    /// From here on everything stored is in the bundle.
    pub covered_from: Moment,
    /// When its recording began: `counts` count from here.
    pub recorded_since: Moment,
    /// When `counts` were read.
    pub counted_at: Moment,
    /// `kernel_received = stored + folded + filtered + damaged + lane_dropped + kernel_dropped +
    /// waiting_in_kernel`; null
    /// is not known.
    pub counts: CaptureStats,
    /// One per class: its own coverage and counts.
    pub classes: Vec<ClassEntry<'a>>,
    /// "packet ring" or "pnet".
    pub source: &'a str,
    /// What that source cannot know.
    pub unknowns: &'a [String],
    /// The filter in libpcap's syntax; null: everything.
    pub filter: Option<&'a str>,
    /// Interfaces that lie upon it, and upon which it lies: its bond or bridge, VLANs; null is not known.
    pub relatives: Option<&'a [String]>,
    /// Its name later: these are frames from before, and they are counted there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_to: Option<&'a str>,
    /// Its bindings that have frames here, and the last one: index, link type (`LINKTYPE_*`), snaplen
    /// in bytes, clock that stamps.
    pub origins: Vec<&'a Origin>,
}

/// Frames of one interface in the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct InBundle {
    /// How many; a run counts as one.
    pub frames: u64,
    /// Copies that runs stand for.
    pub folded: u64,
    /// Frames of which memory kept the headers only.
    pub faded: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Stamp of the first; null if there is none.
    pub first: Option<Wall>,
    /// Stamp of the last.
    pub last: Option<Wall>,
}

/// One class of traffic on one interface.
#[derive(Debug, Serialize)]
pub struct ClassEntry<'a> {
    /// `control`, one of the operator's, or `data`.
    pub name: &'a str,
    /// From here on everything stored is in the bundle.
    pub covered_from: Moment,
    /// From here on every frame has its payload, too; before, frames faded to their headers.
    pub full_from: Moment,
    /// From [`Self::covered_from`] to the end of the window, in seconds.
    pub covered_seconds: f64,
    /// Of these, seconds with frames at full length.
    pub full_seconds: f64,
    /// The others, in which memory kept the headers only.
    pub faded_seconds: f64,
    /// Memory that no other class can take from it, in bytes.
    pub quota: u64,
    /// Frames stored since recording began.
    pub stored: u64,
    /// Copies counted in runs.
    pub folded: u64,
    /// Dropped for want of memory.
    pub dropped: u64,
    /// Stored, and since cut to their headers.
    pub faded: u64,
    /// Stored or folded, and since forgotten.
    pub evicted: u64,
}

/// What watchers saw.
#[derive(Debug, Serialize)]
pub struct Observations<'a> {
    /// Known to the bundle, with the last states from before the window.
    pub seen: u64,
    /// Dropped because somebody was too slow to take them.
    pub missed: u64,
    /// What watchers cannot tell here, a sentence each; empty where they can tell all.
    pub limitations: &'a [String],
}

/// One file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path inside the bundle.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

impl<'a> Manifest<'a> {
    /// Describes `incident`, whose capture file has `contents`, and the files written so far.
    pub fn of(incident: &'a Incident, contents: &'a Contents, files: &'a [FileEntry]) -> Self {
        let offset = incident.offset();
        Self {
            format: FORMAT,
            version: VERSION,
            written_by: APPLICATION,
            triggers: incident.triggers().map(TriggerEntry::of).collect(),
            further_triggers: incident.further_triggers,
            trigger_counts: incident.trigger_counts.iter().map(TallyEntry::of).collect(),
            pinned_after_ns: nanos(incident.pinned_after),
            window: WindowEntry::of(incident),
            missing: missing(incident),
            host: HostEntry {
                host: &incident.host,
                clock_offset_ns: offset.0,
                clock_stepped: clock_stepped(incident),
                clock: &incident.clock,
            },
            interfaces: incident
                .tracks
                .iter()
                .flat_map(|track| InterfaceEntry::of_each_name(incident, track, contents))
                .collect(),
            frames_shortened: contents.shortened,
            observations: Observations {
                seen: incident.observations.len() as u64,
                missed: incident.observations_missed,
                limitations: &incident.limitations,
            },
            report_missing: None,
            settings: &incident.settings,
            files,
            previous: None,
            recovered: incident.recovered.as_ref(),
            earlier: incident.earlier.as_ref(),
            fleet: FleetEntry::of(incident),
        }
    }
}

impl<'a> TriggerEntry<'a> {
    fn of(trigger: &'a Trigger) -> Self {
        Self {
            kind: trigger.kind,
            object: trigger.object.as_deref(),
            sentence: &trigger.sentence,
            at: trigger.at.into(),
            told_after_ns: nanos(trigger.told_after),
        }
    }
}

impl<'a> TallyEntry<'a> {
    fn of(tally: &'a Tally) -> Self {
        Self {
            kind: tally.kind,
            object: tally.object.as_deref(),
            count: tally.count,
            first: tally.first.into(),
            last: tally.last.into(),
        }
    }
}

impl<'a> WindowEntry<'a> {
    fn of(incident: &'a Incident) -> Self {
        let (asked, closed) = (incident.window_asked, incident.window);
        let reach = incident.tracks.iter().filter_map(Track::covered_from).max();
        let covered_from = reach.unwrap_or(closed.from).clamp(closed.from, closed.to);
        Self {
            asked: Span::of(incident, asked.from, asked.to),
            closed: Span::of(incident, closed.from, closed.to),
            covered: Span::of(incident, covered_from, closed.to),
            ending: &incident.ending,
        }
    }
}

/// By every reading of both clocks at once that was made in the window: samples of the interfaces come every
/// second. Stamps of frames say less, since their monotonic time is reckoned from the others.
fn clock_stepped(incident: &Incident) -> bool {
    let is_sample = |seen: &&Kept| matches!(seen.fact, Fact::Sample(_));
    let samples = incident.observations.iter().filter(is_sample).map(|seen| seen.at);
    let readings = samples.filter(|at| incident.window.contains(at.mono));
    let stepped = |at: Stamp| at.offset().stepped_from(incident.offset());
    readings.chain([incident.closed]).any(stepped)
}

/// Before the coverage of each interface, and after a cut.
///
/// ```text
///   asked.from      since          covered_from                  closed.to    asked.to
///   ────┬─────────────┬─────────────────┬───────────────────────────┬────────────┬───
///       └ not recorded┘└ memory too short┘ headers │ in the bundle └─ cut short ┘
/// ```
fn missing(incident: &Incident) -> Vec<Missing> {
    let (asked, closed) = (incident.window_asked, incident.window);
    let mut parts = Vec::new();
    let mut part = |interface: Option<&str>, class: Option<&str>, reason, from, to| {
        if from < to {
            let span = Span::of(incident, from, to);
            let [interface, class] = [interface, class].map(|name| name.map(str::to_owned));
            parts.push(Missing { interface, class, reason, span });
        }
    };
    for track in &incident.tracks {
        let name = Some(track.origin.interface.as_str());
        let recorded = track.since.mono.clamp(closed.from, closed.to);
        let reached = incident.earlier.as_ref().map(|earlier| earlier.frames);
        let reached = reached.unwrap_or(Window { from: recorded, to: recorded });
        part(name, None, "not recorded yet".to_owned(), closed.from, reached.from.min(recorded));
        part(name, None, "dashcap was started again".to_owned(), reached.to, recorded);
        for class in &track.classes {
            let reach = class.slice.covered_from().min(closed.to);
            let reason = "memory did not reach further back".to_owned();
            part(name, Some(&class.name), reason, recorded, reach);
            let full = class.slice.full_from().min(closed.to);
            let reason = "memory kept the headers only".to_owned();
            part(name, Some(&class.name), reason, reach, full);
        }
    }
    let reason = match &incident.ending {
        Ending::Cut { by } => format!("cut short by {by}"),
        Ending::OnTime | Ending::Limit => "ended early".to_owned(),
    };
    part(None, None, reason, closed.to, asked.to);
    parts
}

impl<'a> ClassEntry<'a> {
    fn of(incident: &Incident, class: &'a ClassTrack) -> Self {
        let covered_from = class.slice.covered_from();
        let full_from = class.slice.full_from();
        let to = incident.window.to;
        let LaneCounters { stored, folded, dropped, faded, evicted, .. } = class.counters;
        Self {
            name: &class.name,
            covered_from: incident.stamp(covered_from).into(),
            full_from: incident.stamp(full_from).into(),
            covered_seconds: to.since(covered_from).as_secs_f64(),
            full_seconds: to.since(full_from).as_secs_f64(),
            faded_seconds: full_from.min(to).since(covered_from).as_secs_f64(),
            quota: class.quota,
            stored,
            folded,
            dropped,
            faded,
            evicted,
        }
    }
}

impl<'a> InterfaceEntry<'a> {
    /// One, and one more for each name that the interface had while frames of the bundle were recorded.
    fn of_each_name(incident: &'a Incident, track: &'a Track, contents: &'a Contents) -> Vec<Self> {
        let now = track.origin.interface.as_str();
        let has_track = |name: &str| incident.tracks.iter().any(|t| t.origin.interface == name);
        let mut names = vec![now];
        for (origin, _) in &contents.origins {
            let name = origin.interface.as_str();
            let is_former = origin.index == track.origin.index && !has_track(name);
            if is_former && !names.contains(&name) {
                names.push(name);
            }
        }
        let mut each: Vec<_> =
            names.iter().map(|name| Self::of(name, incident, track, contents)).collect();
        for former in each.iter_mut().skip(1) {
            former.renamed_to = Some(now);
            (former.counts, former.classes) = (CaptureStats::default(), Vec::new());
        }
        each
    }

    fn of(name: &'a str, incident: &Incident, track: &'a Track, contents: &'a Contents) -> Self {
        let covered_from = track.covered_from().unwrap_or(incident.window.from);
        let origins: Vec<&(Arc<Origin>, Written)> =
            contents.origins.iter().filter(|(origin, _)| origin.interface == name).collect();
        let written = origins.iter().fold(Written::default(), |sum, (_, w)| sum.and(*w));
        Self {
            name,
            in_bundle: InBundle {
                frames: written.frames,
                folded: written.folded,
                faded: written.faded,
                bytes: written.bytes,
                first: written.first,
                last: written.last,
            },
            covered_from: incident.stamp(covered_from).into(),
            recorded_since: track.since.into(),
            counted_at: incident.closed.into(),
            counts: track.stats,
            classes: track.classes.iter().map(|class| ClassEntry::of(incident, class)).collect(),
            source: &track.source,
            unknowns: &track.unknowns,
            filter: track.filter.as_deref(),
            relatives: track.relatives.as_deref(),
            renamed_to: None,
            origins: origins.into_iter().map(|(origin, _)| origin.as_ref()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::fixture::{MONO, S, Story, sample};
    use crate::time::Mono;
    use crate::time::Window;

    /// F6 of the faults: forth and back before the trigger, and "not stepped" beside frames two hours apart.
    #[test]
    fn a_step_that_was_undone_before_the_trigger_is_told() {
        for (second, ahead, stepped) in [(2, 0, false), (2, 3_600, true), (100, 3_600, false)] {
            let mut seen = sample(second, "eth0", Some(true), "up", 0, 0);
            seen.at.wall = Wall(seen.at.wall.0 + ahead * S);
            let incident = Story::new().seen(vec![seen]).incident();
            assert_eq!(clock_stepped(&incident), stepped, "{second} s, {ahead} s ahead");
        }
    }

    #[test]
    fn missing_parts_are_told_with_their_reason() {
        // name, since, covered from, closed to, ending, [(reason, from, to)]; seconds, asked is 0 to 20
        let cut = || Ending::Cut { by: "SIGTERM".to_owned() };
        for (name, since, covered, closed, ending, expected) in [
            ("all there", -100_i64, 0_u64, 20_u64, Ending::OnTime, vec![]),
            ("extended", -100, 0, 30, Ending::Limit, vec![]),
            ("late start", 3, 3, 20, Ending::OnTime, vec![("not recorded yet", 0, 3)]),
            (
                "short memory",
                -100,
                8,
                20,
                Ending::OnTime,
                vec![("memory did not reach further back", 0, 8)],
            ),
            (
                "both, and cut",
                3,
                8,
                12,
                cut(),
                vec![
                    ("not recorded yet", 0, 3),
                    ("memory did not reach further back", 3, 8),
                    ("cut short by SIGTERM", 12, 20),
                ],
            ),
        ] {
            let mut story = Story::new();
            story.covered_from = Mono(MONO + covered * S);
            let mut incident = story.track("eth0", 1, vec![]).incident();
            incident.window_asked = Window { from: Mono(MONO), to: Mono(MONO + 20 * S) };
            incident.window = Window { from: Mono(MONO), to: Mono(MONO + closed * S) };
            incident.ending = ending;
            incident.tracks[0].since =
                incident.stamp(Mono(MONO.saturating_add_signed(since * S.cast_signed())));
            let told: Vec<(String, u64, u64)> = missing(&incident)
                .into_iter()
                .map(|part| {
                    let second = |moment: Moment| (moment.mono_ns.0 - MONO) / S;
                    assert!(
                        (part.span.seconds
                            - (second(part.span.to) - second(part.span.from)) as f64)
                            .abs()
                            < 1e-9
                    );
                    (part.reason, second(part.span.from), second(part.span.to))
                })
                .collect();
            let expected: Vec<(String, u64, u64)> =
                expected.into_iter().map(|(r, from, to)| (r.to_owned(), from, to)).collect();
            assert_eq!(told, expected, "{name}");
        }
    }
}
