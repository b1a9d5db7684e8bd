//! How a recording stands, in full: what `dashcap status` asks for, and words in its own way.

mod figures;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::figures::{Bucket, Class, Exemplar, Figures, Timing, Traffic, TriggerFigures};
use crate::export;
use crate::fleet::status::BusStatus;
use crate::stats::CaptureStats;
use crate::words::rough;

/// Everything an operator asks about a running dashcap. Spans are in seconds, sizes in bytes, counts
/// since the start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RecorderStatus {
    /// Program and version.
    pub program: String,
    /// Host name.
    pub host: String,
    /// Its process id.
    pub process: u32,
    /// When it started, RFC 3339.
    pub since: String,
    /// For how long it has run.
    pub uptime_seconds: f64,
    /// True unless triggers are disarmed.
    pub armed: bool,
    /// Who disarmed them.
    pub disarmed_by: Option<String>,
    /// Triggers that did not count for that.
    pub ignored_triggers: u64,
    /// What is armed, as after `--on`.
    pub rules: Vec<String>,
    /// The same in a few lines, for people.
    pub rules_in_lines: Vec<String>,
    /// Kinds that are detected, and open nothing.
    pub unarmed: Vec<String>,
    /// The open incident.
    pub incident: Option<OpenIncident>,
    /// Triggers that wait for their cool-down, then windows that wait to be confirmed; some, if they are many.
    pub waiting: Vec<WaitingTrigger>,
    /// Frames received a second, over the last second, on all interfaces.
    pub frames_per_second: f64,
    /// Memory for frames.
    pub memory_bytes: u64,
    /// Time before a trigger that is asked for.
    pub pre_seconds: f64,
    /// How far back memory reaches, by class, on the interface where that is shortest.
    pub depths: Vec<Depth>,
    /// What is recorded.
    pub interfaces: Vec<Interface>,
    /// What became of incidents.
    pub bundles: Bundles,
    /// Who watches.
    pub watchers: Vec<Watcher>,
    /// Observations that had to be forgotten before their time.
    pub forgotten_observations: u64,
    /// What watchers cannot tell here.
    pub limitations: Vec<String>,
    /// What triggers and incidents came to.
    pub figures: Figures,
    /// Who is told of it elsewhere.
    pub exports: Vec<export::DestinationStatus>,
    /// How this host stands in its fleet; none where it is in none.
    pub fleet: Option<BusStatus>,
}

/// An incident that is still collecting.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OpenIncident {
    /// Kind of the trigger that opened it.
    pub kind: String,
    /// What happened.
    pub sentence: String,
    /// When, RFC 3339.
    pub since: String,
    /// Triggers in it.
    pub triggers: u64,
    /// Time until it closes, unless another trigger comes.
    pub left_seconds: f64,
}

/// A trigger that opens nothing for a while.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WaitingTrigger {
    /// Its kind.
    pub kind: String,
    /// What it is about.
    pub object: Option<String>,
    /// The rule that may confirm it, if its window is held; none while it cools down.
    pub confirm: Option<String>,
    /// For how much longer.
    pub left_seconds: f64,
}

/// How far back one class reaches.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Depth {
    /// The class.
    pub class: String,
    /// How far with frames at full length.
    pub full_seconds: f64,
    /// How far in all: before, frames have their headers only.
    pub seconds: f64,
    /// False while both are drawn out from too little traffic to be counted on.
    pub is_known: bool,
    /// How far back it reaches now: what is drawn out is not there yet.
    pub held_seconds: f64,
    /// Nothing was forgotten since the recording began.
    pub is_everything: bool,
}

/// One recorded interface.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Able to carry frames; none where that is not known.
    pub up: Option<bool>,
    /// "packet ring" or "pnet".
    pub source: String,
    /// Counts since the recording of it began.
    pub counts: CaptureStats,
    /// Each class: traffic, counts and depth of its own.
    #[serde(default)]
    pub classes: Vec<Class>,
}

/// What became of incidents.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Bundles {
    /// Where they appear.
    pub directory: String,
    /// Whole and on the disk.
    pub written: u64,
    /// On their way to the disk.
    pub pending: u64,
    /// Could not be written.
    pub lost: u64,
    /// Old ones that went, because the limits of the store say so.
    pub removed: u64,
    /// The latest.
    pub last: Option<String>,
}

/// One watcher.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Watcher {
    /// Its name.
    pub name: String,
    /// Its observations that found no room.
    pub missed: u64,
    /// True while it watches; false once it has ended or died.
    #[serde(default)]
    pub running: bool,
}

/// Beyond thirty days the traffic so far says little.
const LONG: f64 = 30.0 * 86_400.0;

impl Depth {
    /// `41 s (12 s in full)`, or, while nothing had to be forgotten, `everything so far (110 s), about 15 min at this
    /// traffic`.
    pub fn words(&self) -> String {
        let held = span(self.held_seconds);
        let full = self.full_seconds.min(self.held_seconds);
        let full = (full < self.held_seconds).then(|| span(full));
        if !self.is_everything {
            return held + &full.map_or_else(String::new, |full| format!(" ({full} in full)"));
        }
        let full = full.map_or_else(String::new, |full| format!(", {full} of it in full"));
        let expected = match self.seconds {
            _ if !self.is_known || self.seconds <= self.held_seconds => String::new(),
            seconds if seconds > LONG => ", over 30 d at this traffic".to_owned(),
            seconds => format!(", about {} at this traffic", span(seconds)),
        };
        format!("everything so far ({held}{full}){expected}")
    }

    /// How far back it reaches, in seconds: while nothing had to be forgotten, how far it will at this traffic; without
    /// end while nobody can know.
    pub fn reach(&self) -> f64 {
        match (self.is_everything, self.is_known) {
            (true, false) => f64::INFINITY,
            (true, true) => self.seconds,
            (false, _) => self.held_seconds,
        }
    }

    /// How much of `wanted` seconds that is, from 0 to 1.
    pub fn part_of(&self, wanted: f64) -> f64 {
        let reach = self.reach();
        if reach >= wanted { 1.0 } else { reach / wanted }
    }
}

/// Seconds as people say them.
fn span(seconds: f64) -> String {
    rough(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

impl fmt::Display for OpenIncident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.triggers == 1 { "trigger" } else { "triggers" };
        write!(f, "{}: {}; {} {more}, ", self.kind, self.sentence, self.triggers)?;
        write!(f, "collecting for another {:.0} s", self.left_seconds)
    }
}

impl fmt::Display for WaitingTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, object, confirm, left_seconds } = self;
        f.write_str(kind)?;
        if let Some(object) = object {
            write!(f, " {object}")?;
        }
        match confirm {
            None => write!(f, " cools down for another {left_seconds:.0} s"),
            Some(rule) => {
                write!(f, " is held for another {left_seconds:.0} s, for {rule} to confirm it")
            }
        }
    }
}

impl fmt::Display for Bundles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, written, pending, lost, removed, last } = self;
        write!(f, "{written} written, {pending} pending, {lost} lost, {removed} removed")?;
        write!(f, "; in {directory}")?;
        match last.as_ref().and_then(|last| Path::new(last).file_name()) {
            Some(name) => write!(f, "; last {}", name.display()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_apart_from_what_is_expected() {
        let depth = |held_seconds, full_seconds, seconds, is_known, is_everything| Depth {
            class: "data".into(),
            full_seconds,
            seconds,
            is_known,
            held_seconds,
            is_everything,
        };
        for (depth, words, part) in [
            (depth(41.0, 41.0, 41.0, true, false), "41 s", 41.0 / 120.0),
            (depth(41.0, 12.0, 41.0, true, false), "41 s (12 s in full)", 41.0 / 120.0),
            (depth(100.0, 900.0, 900.0, false, true), "everything so far (100 s)", 1.0),
            (
                depth(100.0, 900.0, 900.0, true, true),
                "everything so far (100 s), about 15 min at this traffic",
                1.0,
            ),
            (
                depth(100.0, 42.0, 60.0, true, true),
                "everything so far (100 s, 42 s of it in full)",
                0.5,
            ),
            (
                depth(100.0, 4e7, 4e7, true, true),
                "everything so far (100 s), over 30 d at this traffic",
                1.0,
            ),
        ] {
            assert_eq!((depth.words(), depth.part_of(120.0)), (words.to_owned(), part));
        }
    }

    #[test]
    fn fields_added_later_do_not_confuse_older_clients() {
        let status = RecorderStatus { process: 4_711, ..RecorderStatus::default() };
        let mut json = serde_json::to_value(&status).unwrap();
        json["weather"] = "fine".into();
        json.as_object_mut().unwrap().remove("limitations");
        assert_eq!(serde_json::from_value::<RecorderStatus>(json).unwrap(), status);
    }
}
