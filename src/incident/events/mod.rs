//! `events.jsonl`: what happened, one JSON object per line, in order of happening.
//!
//! For jq and for programs. A line has `time` (RFC 3339, UTC, nanoseconds), `mono_ns` (CLOCK_MONOTONIC),
//! `kind`, `severity`, then who or what, the `sentence` a person reads, and `what`, the fact with all its fields:
//!
//! ```text
//! {"time":"…","mono_ns":…,"kind":"observation","severity":"critical","watcher":"link","interface":"eth0","sentence":"…","what":{"fact":"link",…}}
//! {"time":"…","mono_ns":…,"kind":"run","severity":"notice","sentence":"…","interface":"eth0","count":…,"per_100ms":[…],…}
//! {"time":"…","mono_ns":…,"kind":"trigger","severity":"warning","trigger":"link-down","object":"eth0","sentence":"…"}
//! ```
//!
//! Every observation is here except samples: `timeline.csv` holds each of them as a row, and here they
//! would be nine lines of ten. Probes answered are here, because the timeline shows only the latest at
//! each row. Lines older than the window are the last known states when it opened. So
//! `jq 'select(.kind=="trigger")'` tells why, and `jq -r '[.time,.sentence]|@tsv'` tells the story.
//! [`read`] reads them back.

pub mod read;

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::finding::Severity;
use crate::observation::{Fact, Observation};
use crate::time::{Mono, Wall};
use crate::trigger::{Trigger, TriggerKind};
use crate::visible;

use super::Incident;
use super::progress::IncidentProgress;
use super::runs::Run;

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: Wall,
    mono_ns: Mono,
    #[serde(flatten)]
    event: Event<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Event<'a> {
    Observation {
        severity: Severity,
        watcher: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        interface: Option<&'a str>,
        sentence: String,
        what: &'a Fact,
    },
    Run {
        severity: Severity,
        sentence: String,
        #[serde(flatten)]
        run: &'a Run,
    },
    Trigger {
        severity: Severity,
        trigger: TriggerKind,
        #[serde(skip_serializing_if = "Option::is_none")]
        object: Option<&'a str>,
        sentence: &'a str,
    },
    Incident {
        sentence: String,
        #[serde(flatten)]
        course: &'a IncidentProgress,
    },
}

/// Writes the lines of an incident in order of happening; of the same moment, the observation stands
/// before the trigger it pulled.
///
/// # Errors
/// When `out` fails.
pub fn write(incident: &Incident, runs: &[Run], out: &mut impl Write) -> io::Result<()> {
    let seen = incident.observations.iter().filter(|o| !matches!(o.fact, Fact::Sample(_)));
    let mut happened: Vec<_> = seen.map(|seen| Happened::Seen(seen)).collect();
    happened.extend(runs.iter().map(Happened::Ran));
    happened.extend(incident.triggers().map(Happened::Pulled));
    happened.sort_by_key(Happened::at);
    happened.iter().try_for_each(|each| line(out, &each.line()))
}

/// What a line is made of, when it is its turn: a flood of sentences need not be in memory at once.
enum Happened<'a> {
    Seen(&'a Observation),
    Ran(&'a Run),
    Pulled(&'a Trigger),
}

impl<'a> Happened<'a> {
    fn at(&self) -> Mono {
        match self {
            Self::Seen(seen) => seen.at.mono,
            Self::Ran(run) => run.first_mono,
            Self::Pulled(trigger) => trigger.at.mono,
        }
    }

    fn line(&self) -> Line<'a> {
        match self {
            Self::Seen(seen) => of_observation(seen),
            Self::Ran(run) => of_run(run),
            Self::Pulled(trigger) => of_trigger(trigger),
        }
    }
}

/// The fields of the line of one observation: what those who listen live are told, too.
pub fn of_seen(observation: &Observation) -> Map<String, Value> {
    fields(&of_observation(observation))
}

/// The fields of the line of one trigger.
pub fn of_pulled(trigger: &Trigger) -> Map<String, Value> {
    fields(&of_trigger(trigger))
}

/// The fields of one step of an incident: only those who listen live are told.
pub fn of_course(course: &IncidentProgress) -> Map<String, Value> {
    let event = Event::Incident { sentence: course.sentence(), course };
    fields(&Line { time: course.at.wall, mono_ns: course.at.mono, event })
}

/// A line is an object, and has no map with keys other than strings, so that it always has fields.
fn fields(line: &Line<'_>) -> Map<String, Value> {
    match serde_json::to_value(line) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn line(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    out.write_all(visible::json(&serde_json::to_string(line)?).as_bytes())?;
    out.write_all(b"\n")
}

fn of_observation(observation: &Observation) -> Line<'_> {
    let fact = &observation.fact;
    Line {
        time: observation.at.wall,
        mono_ns: observation.at.mono,
        event: Event::Observation {
            severity: fact.severity(),
            watcher: fact.watcher(),
            interface: fact.interface(),
            sentence: fact.to_string(),
            what: fact,
        },
    }
}

fn of_run(run: &Run) -> Line<'_> {
    let event = Event::Run { severity: Severity::Notice, sentence: run.sentence(), run };
    Line { time: run.first, mono_ns: run.first_mono, event }
}

fn of_trigger(trigger: &Trigger) -> Line<'_> {
    Line {
        time: trigger.at.wall,
        mono_ns: trigger.at.mono,
        event: Event::Trigger {
            severity: trigger.severity(),
            trigger: trigger.kind,
            object: trigger.object.as_deref(),
            sentence: &trigger.sentence,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::incident::fixture::{Story, answered, at, link, sample};

    #[test]
    fn triggers_stand_behind_what_pulled_them() {
        let seen = [
            answered(1, "a", 412),
            sample(2, "eth0", Some(true), "up", 0, 0),
            link(3, "eth0", (true, "up"), (false, "down")),
            answered(4, "a", 412),
        ];
        let trigger = |s| Trigger {
            kind: TriggerKind::LinkDown,
            object: Some("eth0".to_owned()),
            at: at(s),
            told_after: Duration::ZERO,
            sentence: "eth0: DOWN".to_owned(),
        };
        let mut incident = Story::new().seen(seen.to_vec()).incident();
        (incident.opened_by, incident.extended_by) = (trigger(3), vec![trigger(9)]);
        let mut text = Vec::new();
        write(&incident, &[], &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<&str> = lines
            .iter()
            .map(|line| line["watcher"].as_str().or(line["trigger"].as_str()).unwrap())
            .collect();
        assert_eq!(told, ["probe", "link", "link-down", "probe", "link-down"]);
        assert_eq!(
            text.lines().next().unwrap(),
            "{\"time\":\"2026-11-22T14:14:21.811089123Z\",\"mono_ns\":1001000000000,\
             \"kind\":\"observation\",\"severity\":\"info\",\"watcher\":\"probe\",\
             \"sentence\":\"probe a answered after 0.412 ms\",\
             \"what\":{\"fact\":\"probe_answered\",\"probe\":\"a\",\"address\":\"192.0.2.1\",\
             \"round_trip_ns\":412000}}"
        );
        assert_eq!(lines[2]["object"], "eth0");
    }
}
