//! Events for a person who reads along: those that are bad enough, what repeats itself once.
//!
//! A probe that answers every second would be thirty lines of thirty-two: answers are counted and told
//! together, when something else is to be told or after `PATIENCE`. A trigger whose observation stands just
//! above it does not repeat its sentence. Pure: time is what the events say.

use std::time::Duration;

use serde_json::Value;

use crate::finding::Severity;

/// Answers are told together after so much time at the latest.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was told, and what is held back.
#[derive(Debug, Default)]
pub struct Digest {
    /// Milder events are left out.
    least: Option<Severity>,
    answers: Vec<Answers>,
    /// The sentence that was told last.
    last: String,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestLine {
    /// RFC 3339.
    pub time: String,
    /// Who saw it: a watcher, or what it is: TRIGGER, INCIDENT, FINDING.
    pub who: String,
    /// What.
    pub sentence: String,
}

/// Answers of one probe that were not told yet.
#[derive(Debug)]
struct Answers {
    probe: String,
    count: u32,
    /// Of the round trips.
    sum: Duration,
    since: String,
    time: String,
}

impl Digest {
    /// Tells what is at least as bad as that, or everything.
    pub fn new(least: Option<Severity>) -> Self {
        Self { least, ..Self::default() }
    }

    /// True if an event is bad enough to be told.
    pub fn admits(&self, event: &Value) -> bool {
        self.least.is_none_or(|least| severity(event) >= least)
    }

    /// The lines that an event gives; none while it is held back or too mild.
    pub fn lines(&mut self, event: &Value) -> Vec<DigestLine> {
        if !self.admits(event) {
            return Vec::new();
        }
        if let Some((probe, round_trip)) = answer(event) {
            return self.answered(probe, round_trip, text(event, "time"));
        }
        let mut lines = self.rest();
        lines.push(self.line(event));
        lines
    }

    /// What is held back.
    pub fn rest(&mut self) -> Vec<DigestLine> {
        self.answers.drain(..).map(Answers::line).collect()
    }

    fn answered(&mut self, probe: &str, round_trip: Duration, time: &str) -> Vec<DigestLine> {
        match self.answers.iter_mut().find(|answers| answers.probe == probe) {
            Some(answers) => {
                answers.count += 1;
                answers.sum += round_trip;
                time.clone_into(&mut answers.time);
            }
            None => self.answers.push(Answers {
                probe: probe.to_owned(),
                count: 1,
                sum: round_trip,
                since: time.to_owned(),
                time: time.to_owned(),
            }),
        }
        let is_due = |answers: &mut Answers| passed(&answers.since, time) >= PATIENCE;
        self.answers.extract_if(.., is_due).map(Answers::line).collect()
    }

    fn line(&mut self, event: &Value) -> DigestLine {
        let sentence = text(event, "sentence");
        let (who, sentence) = match text(event, "kind") {
            "trigger" => {
                let kind = text(event, "trigger");
                let repeats = sentence == self.last;
                let sentence = if repeats { "for the line above" } else { sentence };
                ("TRIGGER", format!("{kind}: {sentence}"))
            }
            "incident" => ("INCIDENT", sentence.to_owned()),
            _ if event["what"]["fact"] == "finding" => ("FINDING", sentence.to_owned()),
            _ => (text(event, "watcher"), sentence.to_owned()),
        };
        text(event, "sentence").clone_into(&mut self.last);
        DigestLine { time: text(event, "time").to_owned(), who: who.to_owned(), sentence }
    }
}

impl Answers {
    fn line(self) -> DigestLine {
        let Self { probe, count, sum, time, .. } = self;
        let milliseconds = sum.as_secs_f64() * 1e3 / f64::from(count);
        let sentence = match count {
            1 => format!("probe {probe} answered after {milliseconds:.3} ms"),
            _ => {
                format!("probe {probe}: {count} × answered, after {milliseconds:.3} ms on average")
            }
        };
        DigestLine { time, who: "probe".to_owned(), sentence }
    }
}

/// The probe that answered, and after what time.
fn answer(event: &Value) -> Option<(&str, Duration)> {
    let what = &event["what"];
    let nanos = what["round_trip_ns"].as_u64()?;
    (what["fact"] == "probe_answered").then(|| {
        let probe = what["probe"].as_str().unwrap_or_default();
        (probe, Duration::from_nanos(nanos))
    })
}

/// How bad an event says it is; one that says nothing is good to know.
fn severity(event: &Value) -> Severity {
    serde_json::from_value(event["severity"].clone()).unwrap_or(Severity::Info)
}

fn passed(from: &str, to: &str) -> Duration {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let passed = time(from).zip(time(to)).map(|(from, to)| to.duration_since(from));
    passed.and_then(|passed| Duration::try_from(passed).ok()).unwrap_or_default()
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: u32) -> String {
        format!("2026-11-22T14:14:{second:02}.811089123Z")
    }

    fn answered(second: u32, probe: &str, millis: u64) -> Value {
        let nanos = millis * 1_000_000;
        json!({
            "time": at(second), "kind": "observation", "watcher": "probe", "severity": "info",
            "sentence": "it answered",
            "what": { "fact": "probe_answered", "probe": probe, "round_trip_ns": nanos },
        })
    }

    fn down(kind: &str) -> Value {
        json!({
            "time": at(30), "kind": kind, "watcher": "link", "trigger": "link-down",
            "severity": "critical", "sentence": "eth0: DOWN",
        })
    }

    fn told(lines: Vec<DigestLine>) -> Vec<String> {
        let told =
            |line: DigestLine| format!("{} {} {}", &line.time[17..19], line.who, line.sentence);
        lines.into_iter().map(told).collect()
    }

    /// Regression: 30 of 32 lines were answers, and the finding among them was not seen.
    #[test]
    fn answers_are_told_together_when_something_else_is_or_after_a_while() {
        let mut digest = Digest::new(None);
        assert!(digest.lines(&answered(20, "gw", 1)).is_empty());
        assert!(digest.lines(&answered(20, "dns", 5)).is_empty());
        assert!(digest.lines(&answered(21, "gw", 3)).is_empty());
        assert_eq!(
            told(digest.lines(&down("observation"))),
            [
                "21 probe probe gw: 2 × answered, after 2.000 ms on average",
                "20 probe probe dns answered after 5.000 ms",
                "30 link eth0: DOWN",
            ]
        );
        let all: Vec<_> = (31..55).flat_map(|s| digest.lines(&answered(s, "gw", 1))).collect();
        assert_eq!(
            told(all),
            [
                "41 probe probe gw: 11 × answered, after 1.000 ms on average",
                "52 probe probe gw: 11 × answered, after 1.000 ms on average",
            ]
        );
        let rest = told(digest.rest());
        assert_eq!(rest, ["54 probe probe gw: 2 × answered, after 1.000 ms on average"]);
    }

    #[test]
    fn a_trigger_does_not_repeat_the_line_above() {
        let mut digest = Digest::new(None);
        let pulled = |digest: &mut Digest| told(digest.lines(&down("trigger")));
        assert_eq!(pulled(&mut digest), ["30 TRIGGER link-down: eth0: DOWN"]);
        let mut digest = Digest::new(None);
        digest.lines(&down("observation"));
        assert_eq!(pulled(&mut digest), ["30 TRIGGER link-down: for the line above"]);
        let finding =
            json!({ "time": at(1), "sentence": "a storm", "what": { "fact": "finding" } });
        assert_eq!(told(digest.lines(&finding)), ["01 FINDING a storm"]);
    }

    #[test]
    fn what_is_too_mild_is_left_out() {
        let mut digest = Digest::new(Some(Severity::Warning));
        assert!(digest.lines(&answered(20, "gw", 1)).is_empty() && digest.rest().is_empty());
        assert!(!digest.admits(&json!({ "sentence": "of no severity" })));
        assert_eq!(digest.lines(&down("observation")).len(), 1);
    }
}
