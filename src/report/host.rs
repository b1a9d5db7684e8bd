//! What a bundle tells beside its frames: `events.jsonl`, line by line, and `manifest.json`.
//!
//! Whatever bytes come, and whichever version wrote them, nothing fails but reading itself: a line that
//! has no meaning here is counted and told, a kind that is not known is an event without severity. Runs
//! are passed over, because the frames of the capture say the same, with their copies.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use super::facts::{
    array, begun, direction, is_set_down, is_wrong, judged, moment, parties, string, subject, way,
    word,
};
use super::model::{Entry, HostEvent, Loss, Span, Trigger, seconds_between};
use super::passage::ClockSet;
use super::relations::Relations;
use super::states::Tracks;
use crate::error::{Error, Result};
use crate::finding::{FindingKind, Severity};
use crate::incident::folder::Folder;
use crate::incident::layout;
use crate::incident::manifest;
use crate::time::{Mono, Offset, Stamp, Wall};
use crate::visible;

/// Most events of a report; those beyond are counted.
const EVENTS: usize = 10_000;
/// Most bytes of their sentences: whoever can log must not make a report that no browser opens. What hosts
/// merely mention is no finding beyond that; what is wrong always is.
const SENTENCES: usize = 4 << 20;
/// Longest line in bytes: a log line has 8 KiB (`watch::logs`), a link change 1 KiB.
const LONGEST_LINE: u64 = 64 << 10;

/// Findings that are told again while they go on, each time with what they came to.
const TOLD_AGAIN: [FindingKind; 1] = [FindingKind::LinkFlapping];

/// What bundles tell.
#[derive(Debug, Default)]
pub(super) struct BundleFacts {
    pub(super) entries: Vec<Entry>,
    pub(super) events: Vec<HostEvent>,
    pub(super) events_more: u64,
    /// Bytes of their sentences.
    sentences: usize,
    pub(super) trigger: Option<Trigger>,
    pub(super) losses: Vec<Loss>,
    pub(super) notes: Vec<String>,
    /// What the windows have: frames may have come at any time of it.
    pub(super) covered: Option<Span>,
    /// Which interfaces and addresses belong together.
    pub(super) relations: Relations,
    /// Settings of the host's clock, in order.
    pub(super) clock_sets: VecDeque<ClockSet>,
    /// The last event's time by both clocks.
    clocks: Option<Stamp>,
    /// Names of interfaces by their indexes, and the indexes of their masters.
    links: BTreeMap<u64, (String, Option<u64>)>,
    /// What is as it should not be, by what it is about: the number of its entry.
    wrong: HashMap<String, usize>,
    /// Findings that have not ended, by kind, interface and what exactly.
    standing: HashMap<(String, Option<String>, String), usize>,
    /// Answers of probes: when, who, answered or not.
    probes: Vec<(Wall, String, bool)>,
    /// Lines without a meaning.
    senseless: u64,
}

/// Reads the bundle in `folder`, as far as it is there.
///
/// # Errors
/// When a file that is there cannot be read.
pub(super) fn read(folder: &Path, told: &mut BundleFacts) -> Result<()> {
    let manifest = folder.join(layout::MANIFEST);
    let text = Folder::named(folder).and_then(|folder| manifest::read::text(&folder));
    let text = text.map_err(|e| failed(&manifest, e))?;
    match serde_json::from_slice(&text) {
        Ok(value) => told.manifest(&plain(value)),
        Err(error) => told.notes.push(format!("{} has no meaning: {error}", manifest.display())),
    }
    let events = folder.join(layout::EVENTS);
    if events.is_file() {
        read_events(&events, told)?;
    }
    Ok(())
}

fn read_events(path: &Path, told: &mut BundleFacts) -> Result<()> {
    let mut reader = open(path)?;
    let mut line = Vec::new();
    (told.senseless, told.clocks) = (0, None);
    told.wrong.clear();
    told.standing.clear();
    loop {
        line.clear();
        let limit = LONGEST_LINE;
        let read = reader.by_ref().take(limit).read_until(b'\n', &mut line);
        if read.map_err(|e| failed(path, e))? == 0 {
            break;
        }
        match serde_json::from_slice::<Value>(&line).map(plain) {
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

/// The same with strings that control nothing, as names of interfaces are read from captures.
fn plain(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(visible::plain(&text).into_owned()),
        Value::Array(values) => values.into_iter().map(plain).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, of)| (name, plain(of))).collect(),
        other => other,
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::operation("read", path.display().to_string(), error)
}

impl BundleFacts {
    /// The first trigger, the window, what is missing, and what was lost of each interface.
    fn manifest(&mut self, manifest: &Value) {
        let trigger = &manifest["triggers"][0];
        if let (Some(time), None) = (moment(&trigger["time"]), &self.trigger) {
            let sentence = string(&trigger["sentence"]).unwrap_or_default();
            let (kind, object) = (string(&trigger["kind"]), string(&trigger["object"]));
            self.trigger = Some(Trigger { time, sentence, by: "bundle", kind, object });
        }
        self.covers(&manifest["window"]["covered"]);
        for interface in array(&manifest["interfaces"]) {
            let name = string(&interface["name"]).unwrap_or_default();
            if let Some(relatives) = interface["relatives"].as_array() {
                self.relations.kin(&name, relatives.iter().filter_map(string));
            }
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

    /// A part of the time in which everything was recorded. Its length is the one that passed, whatever the wall
    /// clock was set to meanwhile.
    fn covers(&mut self, covered: &Value) {
        let (from, to) = (moment(&covered["from"]["time"]), moment(&covered["to"]["time"]));
        let (Some(from), Some(to)) = (from, to) else { return };
        let seconds = covered["seconds"].as_f64().unwrap_or_else(|| seconds_between(from, to));
        self.covered = Some(match self.covered {
            None => Span { from, to, seconds },
            Some(known) => Span::new(known.from.min(from), known.to.max(to)),
        });
    }

    /// A line of the events; none if it has no meaning.
    fn line(&mut self, line: &Value) -> Option<()> {
        let time = moment(&line["time"])?;
        if let Some(mono) = line["mono_ns"].as_u64() {
            self.clocks(Stamp { mono: Mono(mono), wall: time });
        }
        let sentence = string(&line["sentence"]).unwrap_or_default();
        match line["kind"].as_str()? {
            "trigger" => {
                let (kind, object) = (string(&line["trigger"]), string(&line["object"]));
                let trigger = Trigger { time, sentence, by: "bundle", kind, object };
                self.trigger.get_or_insert(trigger);
            }
            "observation" => self.observation(time, sentence, line),
            _ => {}
        }
        Some(())
    }

    /// Both clocks at an event: if they are further apart than before, one was set.
    fn clocks(&mut self, now: Stamp) {
        if let Some(before) = self.clocks.replace(now) {
            let by = Offset::of(now).0.saturating_sub(Offset::of(before).0);
            if by.unsigned_abs() >= ClockSet::LEAST.as_nanos() as u64
                && self.clock_sets.len() < EVENTS
            {
                self.clock_sets.push_back(ClockSet { before: before.wall, by });
            }
        }
    }

    fn observation(&mut self, time: Wall, sentence: String, line: &Value) {
        let what = &line["what"];
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
        let interface = string(&line["interface"]).or_else(|| way(what));
        if fact == "finding" {
            self.finding(time, interface, sentence, what);
            return;
        }
        self.learn(fact, what);
        let subject = subject(fact, what);
        if let Some(wrong) = subject.as_ref().and_then(|subject| self.wrong.remove(subject)) {
            let entry = &mut self.entries[wrong];
            (entry.last, entry.lasts) = (time, false);
        }
        let (kind, severity) = judged(fact, what);
        let severity = word(&line["severity"]).unwrap_or(severity);
        let told_bytes = self.sentences + sentence.len();
        let has_room = self.events.len() < EVENTS && told_bytes <= SENTENCES;
        if severity > Severity::Info && (has_room || severity > Severity::Notice) {
            let lasts = subject.filter(|_| is_wrong(fact, what));
            let number = self.entries.len();
            self.entries.push(Entry {
                severity,
                told: Some(time),
                first: begun(time, what),
                last: time,
                lasts: lasts.is_some(),
                interface: interface.clone(),
                count: 1,
                what: string(&what["text"]).unwrap_or_else(|| sentence.clone()),
                sentence: sentence.clone(),
                parties: parties(fact, what),
                by_hand: fact == "link" && is_set_down(what),
                ..Entry::seen(kind)
            });
            self.wrong.extend(lasts.map(|subject| (subject, number)));
        }
        if has_room {
            self.sentences = told_bytes;
            self.events.push(HostEvent { time, kind: kind.to_owned(), interface, sentence });
        } else {
            self.events_more += 1;
        }
    }

    /// Which interfaces lie upon each other, and which addresses the host has.
    fn learn(&mut self, fact: &str, what: &Value) {
        if fact == "address"
            && let Some(address) = what["address"].as_str().and_then(|text| text.parse().ok())
        {
            self.relations.has(address);
        }
        for state in [&what["before"], &what["now"]] {
            let (Some(index), Some(name)) = (state["index"].as_u64(), string(&state["name"]))
            else {
                continue;
            };
            self.links.insert(index, (name, state["master"].as_u64()));
        }
    }

    /// Interfaces and their masters, as far as events told them.
    pub(super) fn masters(&mut self) {
        let links = std::mem::take(&mut self.links);
        for (name, master) in links.values() {
            let master = master.and_then(|master| links.get(&master));
            if let Some((master, _)) = master {
                self.relations.master(name, master);
            }
        }
    }

    /// What was concluded then; it is left out where the frames show it again. Told once more, it goes on.
    fn finding(&mut self, time: Wall, interface: Option<String>, sentence: String, what: &Value) {
        let text = |key: &str| string(&what[key]).unwrap_or_default();
        let (kind, exactly) = (text("kind"), text("what"));
        let key = (kind.clone(), interface.clone(), exactly.clone());
        let count = what["count"].as_u64().unwrap_or_default();
        if what["over"].as_bool() == Some(true) {
            if let Some(number) = self.standing.remove(&key) {
                let entry = &mut self.entries[number];
                (entry.last, entry.lasts) = (time, false);
                entry.count = entry.count.max(count);
            }
            return;
        }
        let goes_on = TOLD_AGAIN.iter().any(|again| again.name() == kind);
        if let Some(number) = self.standing.get(&key).filter(|_| goes_on) {
            let entry = &mut self.entries[*number];
            (entry.last, entry.lasts) = (time, true);
            (entry.count, entry.sentence) = (count, sentence);
            return;
        }
        if self.entries.len() >= EVENTS {
            return;
        }
        self.standing.insert(key, self.entries.len());
        let parties =
            array(&what["parties"]).iter().filter_map(|party| party.as_str()?.parse().ok());
        self.entries.push(Entry {
            severity: word(&what["severity"]).unwrap_or(Severity::Info),
            told: Some(time),
            first: time,
            last: time,
            interface,
            direction: direction(&what["direction"]),
            count,
            rate: what["rate"].as_f64(),
            what: exactly,
            sentence,
            parties: parties.collect(),
            ..Entry::seen(&kind)
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
            (
                r#""what":{"fact":"probe_down","late_ns":1500000000}"#.to_owned(),
                Some(("probe_late", Severity::Warning)),
            ),
            (r#""what":{"fact":"new"}"#.to_owned(), None),
            (
                r#""what":{"fact":"finding","kind":"silence","severity":"warning"}"#.to_owned(),
                Some(("silence", Severity::Warning)),
            ),
        ] {
            let line = format!(
                r#"{{"time":"2026-11-22T14:14:20.811089123Z","kind":"observation","sentence":"x",{what}}}"#
            );
            let mut told = BundleFacts::default();
            told.line(&serde_json::from_str(&line).unwrap()).unwrap();
            let entry = told.entries.first().map(|entry| (entry.kind.as_str(), entry.severity));
            assert_eq!(entry, expected, "{what}");
        }
    }

    #[test]
    fn what_is_wrong_lasts_until_it_is_told_otherwise_and_begins_with_the_first_lost_probe() {
        let line = |second: u32, what: &str| {
            format!(
                r#"{{"time":"2026-11-22T14:14:{second}Z","kind":"observation","sentence":"s","what":{what}}}"#
            )
        };
        let mut told = BundleFacts::default();
        for text in [
            line(20, r#"{"fact":"probe_down","probe":"a","first_lost":"2026-11-22T14:14:17Z"}"#),
            line(25, r#"{"fact":"probe_down","probe":"b","first_lost":"2026-11-22T14:14:22Z"}"#),
            line(30, r#"{"fact":"probe_up","probe":"a"}"#),
        ] {
            told.line(&serde_json::from_str(&text).unwrap()).unwrap();
        }
        let begin = moment(&Value::from("2026-11-22T14:14:00Z")).unwrap().0;
        let spans = told.entries.iter().map(|entry| {
            let second = |wall: Wall| (wall.0 - begin) / 1_000_000_000;
            (second(entry.first), second(entry.last), entry.lasts)
        });
        assert_eq!(spans.collect::<Vec<_>>(), [(17, 30, false), (22, 25, true)]);
    }

    /// Regression: ten falls were "down 3 times", as the finding was told when it began.
    #[test]
    fn what_is_told_again_while_it_goes_on_is_one_entry_with_its_last_count() {
        let flaps = |second: u32, count: u32, over: bool| {
            format!(
                r#"{{"time":"2026-11-22T14:14:{second}Z","kind":"observation","interface":"eth0","sentence":"down {count} times","what":{{"fact":"finding","kind":"link_flapping","severity":"warning","count":{count},"what":"carrier","over":{over}}}}}"#
            )
        };
        for (end, lasts) in [(None, true), (Some(flaps(59, 10, true)), false)] {
            let mut told = BundleFacts::default();
            let lines = [flaps(20, 3, false), flaps(30, 5, false), flaps(50, 10, false)];
            for line in lines.into_iter().chain(end) {
                told.line(&serde_json::from_str(&line).unwrap()).unwrap();
            }
            let [entry] = &told.entries[..] else { panic!("{:?}", told.entries) };
            assert_eq!((entry.count, entry.lasts, &*entry.sentence), (10, lasts, "down 10 times"));
        }
    }

    #[test]
    fn a_step_of_the_clock_is_told_by_both_clocks_of_events() {
        let mut told = BundleFacts::default();
        for (time, mono) in [("10:00:00", 5_u64), ("10:00:01", 6), ("11:00:02", 7), ("11:00:03", 8)]
        {
            let line = format!(
                r#"{{"time":"2026-11-22T{time}Z","mono_ns":{mono}000000000,"kind":"run"}}"#
            );
            told.line(&serde_json::from_str(&line).unwrap()).unwrap();
        }
        let sets: Vec<_> = told.clock_sets.iter().map(|set| set.by / 1_000_000_000).collect();
        assert_eq!(sets, [3_600]);
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
            let mut told = BundleFacts::default();
            if let Ok(value) = serde_json::from_str(&line) {
                told.line(&value);
                told.manifest(&value);
            }
        }
    }
}
