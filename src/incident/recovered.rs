//! What a ring file held, as an incident: a recording ended without stopping, and its last minutes become
//! a bundle like any other, which says so. What a spool held is the incident that was open, with the trigger that
//! had opened it.
//!
//! What died with the process is named: observations, the kernel's counts of the last second, and copies
//! of frames that were counted and not yet sealed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::moment::Moment;
use super::{ClassTrack, Ending, Host, Incident, Track};
use crate::ring::metadata::{IncidentMetadata, InterfaceMetadata, RecordingMetadata};
use crate::ring::{LaneCounters, RecoveredLane, Recovery, RecoveryCounts};
use crate::time::{Mono, Offset, Stamp, Window};
use crate::trigger::{Trigger, TriggerKind};

/// Where a recovered incident comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// The ring file, or the spool.
    pub file: String,
    /// The program that had written it.
    pub program: String,
    /// Its process id.
    pub process: u32,
    /// When its recording began.
    pub started: Moment,
    /// The last sign of life: its last standing, or its last frame.
    pub ended: Moment,
    /// True if it had stopped as it should.
    pub stopped: bool,
    /// What was found in the file and what was not.
    pub counts: RecoveryCounts,
}

/// What nobody can tell of a recording that died.
const LIMITATIONS: [&str; 3] = [
    "observations, triggers and the host's answers died with the process",
    "counts were told once a second: those of the last second are not known",
    "copies of a storm counted after its last sealed segment, a second at most, are not known",
];

/// The incident that `recovery`, read from `file`, amounts to; none if it holds no frame.
pub fn incident(file: &Path, recovery: Recovery) -> Option<Incident> {
    let Recovery { standing, window, lanes, counts, .. } = recovery;
    let frames = window?;
    let ended = last_sign(&standing, frames, &lanes);
    let recovered = Recovered {
        file: file.display().to_string(),
        program: standing.program.clone(),
        process: standing.process,
        started: Stamp::from(standing.started).into(),
        ended: ended.into(),
        stopped: standing.stopped,
        counts,
    };
    let died = Trigger {
        kind: TriggerKind::Recovered,
        object: None,
        at: ended,
        told_after: Duration::ZERO,
        sentence: sentence(&recovered, standing.incident.is_some()),
    };
    let seen = Window { from: frames.from, to: frames.to.max(ended.mono) };
    let Opened { by: opened_by, asked, pinned_after } =
        Opened::of(&standing).unwrap_or(Opened::by(died.clone(), seen));
    let extended_by = Vec::from_iter((opened_by != died).then_some(died));
    let window = Window { from: asked.from, to: seen.to };
    let mut tracks = tracks(&standing, lanes);
    let classes = tracks.iter_mut().flat_map(|track| &mut track.classes);
    classes.for_each(|class| class.slice.narrow(window));
    Some(Incident {
        opened_by,
        extended_by,
        further_triggers: 0,
        trigger_counts: Vec::new(),
        window_asked: asked,
        window,
        ending: Ending::Cut { by: by(&standing).to_owned() },
        pinned_after,
        closed: ended,
        host: Host {
            name: standing.machine.name.clone(),
            kernel: standing.machine.kernel.clone(),
            architecture: standing.machine.architecture.clone(),
            boot_id: standing.machine.boot_id.clone(),
        },
        clock: Vec::new(),
        tracks,
        observations: Vec::new(),
        observations_missed: 0,
        limitations: LIMITATIONS.map(str::to_owned).to_vec(),
        probes: Vec::new(),
        system: Vec::new(),
        settings: serde_json::Value::Null,
        traffic: None,
        recovered: Some(recovered),
        earlier: None,
        fleet: Vec::new(),
        spool: None,
    })
}

/// What opened an incident, and the window it asked for.
struct Opened {
    by: Trigger,
    asked: Window,
    pinned_after: Duration,
}

impl Opened {
    fn by(by: Trigger, asked: Window) -> Self {
        Self { by, asked, pinned_after: Duration::ZERO }
    }

    /// What a spool says; none of a ring file, or if no dashcap of this version wrote it.
    fn of(standing: &RecordingMetadata) -> Option<Self> {
        let IncidentMetadata { kind, object, sentence, at, told_after, pinned_after, from, to } =
            standing.incident.clone()?;
        let (kind, told_after) = (TriggerKind::named(&kind)?, Duration::from_nanos(told_after));
        let by = Trigger { kind, object, at: at.into(), told_after, sentence };
        let asked = Window { from: Mono(from), to: Mono(to) };
        Some(Self { by, asked, pinned_after: Duration::from_nanos(pinned_after) })
    }
}

fn by(standing: &RecordingMetadata) -> &'static str {
    match (&standing.incident, standing.stopped) {
        (Some(_), _) => "the end of the process",
        (None, true) => "a stop signal",
        (None, false) => "the death of the process",
    }
}

fn sentence(recovered: &Recovered, is_spool: bool) -> String {
    let Recovered { file, program, process, counts, .. } = recovered;
    let ended = match (is_spool, recovered.stopped) {
        (true, _) => "ended before the bundle of this incident was written",
        (false, true) => "had stopped",
        (false, false) => "ended without stopping",
    };
    let RecoveryCounts { sealed, packed, open, torn_records, left_out, .. } = counts;
    let RecoveryCounts { missing, damaged_pages, absent_pages, .. } = counts;
    format!(
        "{program}, process {process}, {ended}; {} frames recovered from {file}: {sealed} segments \
         sealed, {packed} packed, {open} open, {torn_records} records torn, {left_out} segments left out, {missing} missing, \
         {damaged_pages} pages damaged, {absent_pages} absent",
        counts.frames
    )
}

/// The last moment at which the recording lived, as far as is known: its standing tells the time, its
/// last frame may be later.
fn last_sign(standing: &RecordingMetadata, frames: Window, lanes: &[RecoveredLane]) -> Stamp {
    let told = Stamp::from(standing.at);
    if told.mono >= frames.to && told.wall.0 > 0 {
        return told;
    }
    let newest = lanes.iter().filter_map(|lane| lane.slice.frames().last());
    let offset = newest.max_by_key(|frame| frame.mono).map(|frame| {
        let Stamp { mono, wall } = Stamp { mono: frame.mono, wall: frame.header.wall };
        Offset::of(Stamp { mono, wall })
    });
    Stamp { mono: frames.to, wall: offset.unwrap_or_default().wall(frames.to) }
}

/// One per interface, in order of name, with the classes whose lanes have frames.
pub(super) fn tracks(standing: &RecordingMetadata, lanes: Vec<RecoveredLane>) -> Vec<Track> {
    let mut tracks: Vec<Track> = Vec::new();
    for RecoveredLane { lane, origin, slice } in lanes {
        let name = standing.lanes.iter().find(|name| name.lane == lane.0);
        let interface = name.map_or(&origin.interface, |name| &name.interface).clone();
        let class = name.map_or_else(|| format!("lane {}", lane.0), |name| name.class.clone());
        let stood = standing.interfaces.iter().find(|stood| stood.name == interface);
        let counted = stood.and_then(|s| s.classes.iter().find(|stood| stood.name == class));
        let track = ClassTrack {
            name: class.into(),
            counters: counted.map_or_else(LaneCounters::default, |stood| stood.counters),
            quota: counted.map_or(0, |stood| stood.quota),
            slice,
        };
        match tracks.iter_mut().find(|track| track.origin.interface == interface) {
            Some(known) => known.classes.push(track),
            None => tracks.push(begun(interface, &origin, standing, stood, track)),
        }
    }
    tracks.sort_by(|a, b| a.origin.interface.cmp(&b.origin.interface));
    tracks
}

fn begun(
    interface: String,
    origin: &Arc<crate::frame::Origin>,
    standing: &RecordingMetadata,
    stood: Option<&InterfaceMetadata>,
    class: ClassTrack,
) -> Track {
    let mut unknowns = vec!["what was counted after the last standing".to_owned()];
    if stood.is_none() {
        unknowns.push("every count: none had been told yet".to_owned());
    }
    let origin = match origin.interface == interface {
        true => Arc::clone(origin),
        false => Arc::new(crate::frame::Origin { interface, ..(**origin).clone() }),
    };
    Track {
        origin,
        since: stood.map_or(standing.started, |stood| stood.since).into(),
        classes: vec![class],
        stats: stood.map(|stood| stood.stats).unwrap_or_default(),
        source: stood.map_or_else(|| "unknown".to_owned(), |stood| stood.source.clone()),
        unknowns,
        filter: None,
        relatives: None,
    }
}
