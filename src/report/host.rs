//! What a bundle tells beside its frames: `events.jsonl`, line by line, and `manifest.json`.
//!
//! Whatever bytes come, and whichever version wrote them, nothing fails but reading itself: a line that
//! has no meaning here is counted and told, a kind that is not known is an event without severity. Runs
//! are passed over, because the frames of the capture say the same, with their copies.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use super::model::{Entry, Event, Loss, Trigger};
use super::states::Tracks;
use crate::error::{Error, Result};
use crate::finding::Severity;
use crate::frame::Direction;
use crate::incident::layout;
use crate::time::Wall;

/// Most events of a report; those beyond are counted.
const EVENTS: usize = 10_000;
/// Longest line in bytes: a log line has 8 KiB (`watch::logs`), a link change 1 KiB.
const LONGEST_LINE: u64 = 64 << 10;
/// Longest manifest in bytes; one of a thousand interfaces has about 2 MiB.
const LONGEST_MANIFEST: u64 = 64 << 20;

/// What bundles tell.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) entries: Vec<Entry>,
    pub(super) events: Vec<Event>,
    pub(super) events_more: u64,
    pub(super) trigger: Option<Trigger>,
    pub(super) losses: Vec<Loss>,
    pub(super) notes: Vec<String>,
    /// Answers of probes: when, who, answered or not.
    probes: Vec<(Wall, String, bool)>,
    /// Lines without a meaning.
    senseless: u64,
}

/// Reads the bundle in `folder`, as far as it is there.
///
/// # Errors
/// When a file that is there cannot be read.
pub(super) fn read(folder: &Path, told: &mut Told) -> Result<()> {
    let manifest = folder.join(layout::MANIFEST);
    let mut text = Vec::new();
    open(&manifest)?
        .take(LONGEST_MANIFEST)
        .read_to_end(&mut text)
        .map_err(|e| failed(&manifest, e))?;
    match serde_json::from_slice(&text) {
        Ok(value) => told.manifest(&value),
        Err(error) => told.notes.push(format!("{} has no meaning: {error}", manifest.display())),
    }
    let events = folder.join(layout::EVENTS);
    if events.is_file() {
        read_events(&events, told)?;
    }
    Ok(())
}

fn read_events(path: &Path, told: &mut Told) -> Result<()> {
    let mut reader = open(path)?;
    let mut line = Vec::new();
    told.senseless = 0;
    loop {
        line.clear();
        let limit = LONGEST_LINE;
        let read = reader.by_ref().take(limit).read_until(b'\n', &mut line);
        if read.map_err(|e| failed(path, e))? == 0 {
            break;
        }
        match serde_json::from_slice::<Value>(&line) {
            Ok(value) if told.line(&value).is_some() => {}
            _ => told.senseless += 1,
        }
    }
    if told.senseless > 0 {
        told.notes.push(format!("{} lines of {} have no meaning", told.senseless, path.display()));
    }
    Ok(())
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|e| failed(path, e))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::operation("read", path.display().to_string(), error)
}

impl Told {
    /// The first trigger, what is missing, and what was lost of each interface.
    fn manifest(&mut self, manifest: &Value) {
        let trigger = &manifest["triggers"][0];
        if let (Some(time), None) = (moment(&trigger["time"]), &self.trigger) {
            let sentence = string(&trigger["sentence"]).unwrap_or_default();
            self.trigger = Some(Trigger { time, sentence, by: "bundle" });
        }
        for interface in array(&manifest["interfaces"]) {
            let name = string(&interface["name"]).unwrap_or_default();
            for count in [
                "kernel_dropped",
                "lane_dropped",
                "filtered",
                "damaged",
                "truncated",
                "faded",
                "evicted",
                "gaps",
            ] {
                let value = &interface["counts"][count];
                if !value.is_null() || interface["counts"].get(count).is_some() {
                    let count_of = value.as_u64();
                    self.losses.push(Loss {
                        interface: name.clone(),
                        name: count.to_owned(),
                        count: count_of,
                    });
                }
            }
        }
        for missing in array(&manifest["missing"]) {
            let part = |key: &str| string(&missing[key]);
            let whose = match (part("interface"), part("class")) {
                (Some(interface), Some(class)) => format!("{class} of {interface}"),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => "everything".to_owned(),
            };
            let reason = part("reason").unwrap_or_default();
            let seconds = missing["seconds"].as_f64().unwrap_or_default();
            self.notes.push(format!("missing: {seconds:.3} s of {whose}: {reason}"));
        }
    }

    /// A line of the events; none if it has no meaning.
    fn line(&mut self, line: &Value) -> Option<()> {
        let time = moment(&line["time"])?;
        let sentence = string(&line["sentence"]).unwrap_or_default();
        match line["kind"].as_str()? {
            "trigger" => {
                let trigger = Trigger { time, sentence, by: "bundle" };
                self.trigger.get_or_insert(trigger);
            }
            "observation" => {
                let interface = string(&line["interface"]);
                self.observation(time, interface, sentence, &line["what"]);
            }
            _ => {}
        }
        Some(())
    }

    fn observation(
        &mut self,
        time: Wall,
        interface: Option<String>,
        sentence: String,
        what: &Value,
    ) {
        let fact = what["fact"].as_str().unwrap_or("unknown");
        let answered = match fact {
            "probe_answered" | "probe_late" => Some(true),
            "probe_lost" => Some(false),
            _ => None,
        };
        if let (Some(answered), Some(probe)) = (answered, string(&what["probe"])) {
            if self.probes.len() < EVENTS {
                self.probes.push((time, probe, answered));
            }
            return;
        }
        if fact == "finding" {
            self.finding(time, interface, sentence, what);
            return;
        }
        let (kind, severity) = judged(fact, what);
        if severity > Severity::Info {
            self.entries.push(Entry {
                kind: kind.to_owned(),
                severity,
                first: time,
                last: time,
                interface: interface.clone(),
                direction: Direction::Unknown,
                count: 1,
                rate: None,
                what: string(&what["text"]).unwrap_or_else(|| sentence.clone()),
                sentence: sentence.clone(),
                over: true,
                from: "host",
                in_incident: false,
                proof: None,
            });
        }
        if self.events.len() < EVENTS {
            self.events.push(Event { time, kind: kind.to_owned(), interface, sentence });
        } else {
            self.events_more += 1;
        }
    }

    /// What a detector concluded then; it is left out where the frames show it again.
    fn finding(&mut self, time: Wall, interface: Option<String>, sentence: String, what: &Value) {
        let severity = match what["severity"].as_str() {
            Some("critical") => Severity::Critical,
            Some("warning") => Severity::Warning,
            Some("notice") => Severity::Notice,
            _ => Severity::Info,
        };
        if what["over"].as_bool() == Some(true) || self.entries.len() >= EVENTS {
            return;
        }
        self.entries.push(Entry {
            kind: string(&what["kind"]).unwrap_or_default(),
            severity,
            first: time,
            last: time,
            interface,
            direction: direction(&what["direction"]),
            count: what["count"].as_u64().unwrap_or_default(),
            rate: what["rate"].as_f64(),
            what: string(&what["what"]).unwrap_or_default(),
            sentence,
            over: false,
            from: "host",
            in_incident: false,
            proof: None,
        });
    }

    /// Probes are tracks, too.
    pub(super) fn probes(&mut self, tracks: &mut Tracks) {
        for (time, probe, answered) in std::mem::take(&mut self.probes) {
            let state = if answered { "answered" } else { "lost" };
            tracks.tell("probe", format!("probe {probe}"), time, state, answered, None);
        }
    }
}

/// How bad a fact is by itself, and what findings call it.
fn judged<'a>(fact: &'a str, what: &Value) -> (&'a str, Severity) {
    let is_up = |state: &Value| {
        let up = matches!(state["operstate"].as_str(), Some("up" | "unknown"));
        up && state["carrier"].as_bool() != Some(false)
    };
    let over = what["over"].as_bool() == Some(true);
    match fact {
        "link" if what["before"].is_null() => ("link", Severity::Info),
        "link" => match (is_up(&what["before"]), is_up(&what["now"])) {
            (true, false) => ("link_down", Severity::Critical),
            (false, true) => ("link_up", Severity::Info),
            _ => ("link", Severity::Info),
        },
        "link_gone" => ("link_gone", Severity::Critical),
        "probe_down" => ("probe_down", Severity::Warning),
        "probe_slow" | "probe_lossy" if !over => (fact, Severity::Notice),
        "log" | "attribute" | "counter" | "address" | "route" | "neighbour" => {
            (fact, Severity::Notice)
        }
        "capture" => match what["event"]["event"].as_str() {
            Some("gap" | "failed" | "dropping") => ("capture_gap", Severity::Warning),
            _ => ("capture", Severity::Info),
        },
        "missed" => ("missed", Severity::Notice),
        "command_ended" if what["success"].as_bool() == Some(false) => {
            ("command_failed", Severity::Critical)
        }
        other => (other, Severity::Info),
    }
}

fn direction(value: &Value) -> Direction {
    match value.as_str() {
        Some("inbound") => Direction::Inbound,
        Some("outbound") => Direction::Outbound,
        _ => Direction::Unknown,
    }
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn moment(value: &Value) -> Option<Wall> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_become_findings_by_what_they_mean() {
        let link = |before: &str, now: &str| {
            format!(
                r#""what":{{"fact":"link","before":{{"operstate":"{before}"}},"now":{{"operstate":"{now}"}}}}"#
            )
        };
        for (what, expected) in [
            (link("up", "down"), Some(("link_down", Severity::Critical))),
            (link("up", "lower_layer_down"), Some(("link_down", Severity::Critical))),
            (link("down", "up"), None),
            (r#""what":{"fact":"probe_down"}"#.to_owned(), Some(("probe_down", Severity::Warning))),
            (r#""what":{"fact":"new"}"#.to_owned(), None),
            (
                r#""what":{"fact":"finding","kind":"silence","severity":"warning"}"#.to_owned(),
                Some(("silence", Severity::Warning)),
            ),
        ] {
            let line = format!(
                r#"{{"time":"2026-11-22T14:14:20.811089123Z","kind":"observation","sentence":"x",{what}}}"#
            );
            let mut told = Told::default();
            told.line(&serde_json::from_str(&line).unwrap()).unwrap();
            let entry = told.entries.first().map(|entry| (entry.kind.as_str(), entry.severity));
            assert_eq!(entry, expected, "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_json_is_read(
            key in "(time|kind|what|fact|event|over|sentence)",
            value in "(null|1|\"link\"|\"observation\"|\\{\\}|\\[\\]|\"2026-11-22T14:14:20Z\")",
        ) {
            let line = format!(
                r#"{{"time":"2026-11-22T14:14:20Z","kind":"observation","{key}":{value},"what":{{"{key}":{value}}}}}"#
            );
            let mut told = Told::default();
            if let Ok(value) = serde_json::from_str(&line) {
                told.line(&value);
                told.manifest(&value);
            }
        }
    }
}
