//! The recording before this one: it had stopped as it should, another began soon after it, and an incident
//! of the new one reaches back to the frames of the old one, which its ring file still has.
//!
//! ```text
//!   ──── frames of the process before ────┤ gap ├──── frames of this one ────►
//!                      └──── pre-trigger window ───────────┤ trigger
//! ```
//!
//! Frames are joined, counts are not: those of an interface begin with this recording, as ever. The gap is
//! named among what is missing.

use std::fmt;

use serde::Serialize;

use super::moment::Moment;
use super::{ClassTrack, Incident, Track, recovered};
use crate::ring::metadata::RecordingMetadata;
use crate::ring::{LaneCounters, RecoveredLane, Recovery};
use crate::time::{Mono, Stamp, Window};

/// The newest frames of the recording before.
#[derive(Debug)]
pub struct Earlier {
    standing: RecordingMetadata,
    lanes: Vec<RecoveredLane>,
    frames: Window,
    resumed: Stamp,
    /// From then on no window reaches back to it.
    pub until: Mono,
}

/// What a bundle tells of the recording before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EarlierRecording {
    /// The program that had made it.
    pub program: String,
    /// Its process id.
    pub process: u32,
    /// When it began.
    pub started: Moment,
    /// When it ended.
    pub ended: Moment,
    /// When this recording began: nothing was recorded in between.
    pub resumed: Moment,
    /// From its first frame that was kept to its end.
    #[serde(skip)]
    pub frames: Window,
}

impl Earlier {
    /// What `recovery` held, which no window reaches after `until`; none if it holds no frame.
    pub fn of(recovery: Recovery, resumed: Stamp, until: Mono) -> Option<Self> {
        let Recovery { standing, window, lanes, .. } = recovery;
        let frames = Window { to: Mono(standing.at.mono).max(window?.to), ..window? };
        Some(Self { standing, lanes, frames, resumed, until })
    }

    /// From its first frame to its end.
    pub fn frames(&self) -> Window {
        self.frames
    }

    /// Adds its frames to an incident whose window reaches back to them.
    pub fn join(&self, incident: &mut Incident) {
        if self.frames.to < incident.window.from {
            return;
        }
        for mut track in recovered::tracks(&self.standing, self.lanes.clone()) {
            track.classes.iter_mut().for_each(|class| class.slice.narrow(incident.window));
            let name = &track.origin.interface;
            let known = incident.tracks.iter_mut().find(|known| known.origin.interface == *name);
            match known {
                Some(known) => track.classes.into_iter().for_each(|class| add(known, class)),
                None => incident.tracks.push(track),
            }
        }
        incident.tracks.sort_by(|a, b| a.origin.interface.cmp(&b.origin.interface));
        incident.earlier = Some(self.account());
    }

    fn account(&self) -> EarlierRecording {
        EarlierRecording {
            program: self.standing.program.clone(),
            process: self.standing.process,
            started: Stamp::from(self.standing.started).into(),
            ended: Stamp::from(self.standing.at).into(),
            resumed: self.resumed.into(),
            frames: self.frames,
        }
    }
}

impl fmt::Display for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RecordingMetadata { program, process, .. } = &self.standing;
        let reach = self.frames.to.since(self.frames.from).as_secs_f64();
        let gap = self.resumed.mono.since(self.frames.to).as_secs_f64();
        write!(
            f,
            "the last {reach:.1} s of {program}, process {process}, which stopped {gap:.1} s ago, can be \
             reached by the next incident"
        )
    }
}

/// Puts the frames of an earlier class before those of the same name; its counts were told by its own process.
fn add(track: &mut Track, earlier: ClassTrack) {
    match track.classes.iter_mut().find(|class| class.name == earlier.name) {
        Some(class) => class.slice.preceded_by(&earlier.slice),
        None => track.classes.push(ClassTrack { counters: LaneCounters::default(), ..earlier }),
    }
}
