//! From the symptom back to the onset: which findings belong to the incident, and which was the first.
//!
//! ```text
//!   ──┬──────┬────────┬───────┬──────────┬─────────────────┬──►
//!     │ old  └ onset ─┴───────┴── chain ─┴ symptom (trigger)└ consequence
//!     └ ended long before the next one began: another story
//! ```
//!
//! A finding belongs if it is at warning or above and touches the chain: it lasted, or lasts, until at
//! most [`APART`] before the next one of the chain begins. Nothing else is guessed: files do not tell
//! which interfaces belong together.

use std::time::Duration;

use super::model::{Entry, Onset, Step, Trigger, seconds_between};
use crate::finding::{FindingKind, Severity};
use crate::frame::Direction;
use crate::time::Wall;

/// Longest pause within one incident: LACP with slow timers gives a partner up after 90 s
/// (IEEE 802.1AX 6.4.4), the longest wait of any protocol watched, and tells within 3 s more.
const APART: Duration = Duration::from_secs(93);
/// Most steps of a chain: what fits a screen. Those beyond are counted, the milder ones first.
const STEPS: usize = 20;

/// What the report opens with.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) trigger: Option<Trigger>,
    pub(super) onset: Option<Onset>,
    pub(super) steps: Vec<Step>,
    pub(super) more: u64,
}

/// Marks the findings that belong to the incident, and tells how it went; `findings` are in order.
pub(super) fn of(findings: &mut [Entry], told: Option<Trigger>, at: Option<Wall>) -> Chain {
    let Some(trigger) = symptom(findings, told, at) else { return Chain::default() };
    mark(findings, trigger.time);
    let first = findings.iter().find(|entry| entry.in_incident).cloned();
    let before = |time: Wall| seconds_between(time, trigger.time);
    let onset = first.map(|finding| Onset {
        time: finding.first,
        before_trigger_s: before(finding.first),
        finding,
    });
    let mut steps: Vec<Step> = findings
        .iter()
        .filter(|entry| entry.in_incident)
        .flat_map(|entry| steps(entry, before))
        .collect();
    // A finding that is the trigger stands for it.
    if trigger.by != "finding" && !steps.iter().any(|step| step.time == trigger.time) {
        steps.push(Step {
            time: trigger.time,
            before_trigger_s: 0.0,
            kind: "trigger".to_owned(),
            severity: Severity::Critical,
            interface: None,
            direction: Direction::Unknown,
            sentence: trigger.sentence.clone(),
        });
    }
    steps.sort_by_key(|step| step.time);
    let more = shorten(&mut steps, trigger.time);
    Chain { trigger: Some(trigger), onset, steps, more }
}

/// Keeps the onset, the symptom, and of the others the worst and earliest; tells how many are left out.
fn shorten(steps: &mut Vec<Step>, symptom: Wall) -> u64 {
    let more = steps.len().saturating_sub(STEPS) as u64;
    let onset = steps.first().map(|step| step.time);
    // Sorting is stable: of the same rank, the earlier stays before the later.
    steps.sort_by_key(|step| {
        let stays = Some(step.time) == onset || step.time == symptom;
        (!stays, std::cmp::Reverse(step.severity))
    });
    steps.truncate(STEPS);
    steps.sort_by_key(|step| step.time);
    more
}

/// A finding, and the frame that proves it.
fn steps(entry: &Entry, before: impl Fn(Wall) -> f64) -> Vec<Step> {
    let step = |time: Wall, kind: &str, severity, direction, sentence| Step {
        time,
        before_trigger_s: before(time),
        kind: kind.to_owned(),
        severity,
        interface: entry.interface.clone(),
        direction,
        sentence,
    };
    let sentence = entry.sentence.clone();
    let mut steps = vec![step(entry.first, &entry.kind, entry.severity, entry.direction, sentence)];
    if let Some(proof) = &entry.proof {
        let sentence = format!("still received: {}; receiving works, sending does not", proof.what);
        let kind = "still_received";
        steps.push(step(proof.time, kind, Severity::Info, Direction::Inbound, sentence));
    }
    steps
}

/// What the report looks back from.
fn symptom(findings: &[Entry], told: Option<Trigger>, at: Option<Wall>) -> Option<Trigger> {
    if let Some(time) = at {
        let sentence = "the moment that was asked for".to_owned();
        return Some(Trigger { time, sentence, by: "operator" });
    }
    if told.is_some() {
        return told;
    }
    let mut bad = findings.iter().filter(|entry| entry.severity >= Severity::Warning);
    let critical = bad.clone().find(|entry| entry.severity == Severity::Critical);
    let entry = critical.or_else(|| bad.next_back())?;
    Some(Trigger { time: entry.first, sentence: entry.sentence.clone(), by: "finding" })
}

/// Back from the trigger, then forward to what followed from it.
fn mark(findings: &mut [Entry], trigger: Wall) {
    let apart = APART.as_nanos() as u64;
    let mut earliest = trigger.0;
    for entry in findings.iter_mut().rev() {
        let bad = entry.severity >= Severity::Warning;
        let lasts = if entry.over { entry.last.0 } else { entry.last.0.max(entry.first.0) };
        if bad && entry.first <= trigger && lasts.saturating_add(apart) >= earliest {
            entry.in_incident = true;
            earliest = earliest.min(entry.first.0);
        }
    }
    // What is not in the files is part of the story, though it explains nothing.
    let hole = FindingKind::CaptureGap.name();
    let within = |entry: &Entry| entry.first.0 > earliest && entry.first <= trigger;
    for entry in findings.iter_mut().filter(|entry| entry.kind == hole && within(entry)) {
        entry.in_incident = true;
    }
    let mut latest = trigger.0;
    for entry in findings.iter_mut().filter(|entry| entry.first > trigger) {
        let bad = entry.severity >= Severity::Warning;
        if bad && entry.first.0 <= latest.saturating_add(apart) {
            entry.in_incident = true;
            latest = latest.max(entry.last.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first: u64, last: u64, severity: Severity) -> Entry {
        let second = |s| Wall(s * 1_000_000_000);
        Entry {
            kind: format!("at_{first}"),
            severity,
            first: second(first),
            last: second(last),
            interface: None,
            direction: Direction::Unknown,
            count: 0,
            rate: None,
            what: String::new(),
            sentence: format!("since {first}"),
            over: true,
            from: "frames",
            in_incident: false,
            proof: None,
        }
    }

    #[test]
    fn the_onset_is_the_first_that_touches_the_chain() {
        use Severity::{Critical, Notice, Warning};
        // name, findings (first, last, severity), trigger given, onset, in the incident
        type Story = (&'static str, Vec<(u64, u64, Severity)>, Option<u64>, Option<u64>, usize);
        let stories: [Story; 6] = [
            ("nothing", vec![], None, None, 0),
            ("notices", vec![(10, 20, Notice)], None, None, 0),
            ("a storm before", vec![(100, 190, Warning), (200, 200, Critical)], None, Some(100), 2),
            ("an old story", vec![(100, 100, Warning), (500, 500, Critical)], None, Some(500), 1),
            (
                "step by step, and what followed",
                vec![
                    (100, 100, Warning),
                    (150, 150, Warning),
                    (240, 240, Critical),
                    (300, 300, Warning),
                ],
                None,
                Some(100),
                4,
            ),
            (
                "the operator knows",
                vec![(100, 100, Warning), (900, 900, Critical)],
                Some(120),
                Some(100),
                1,
            ),
        ];
        for (name, told, at, onset, count) in stories {
            let mut findings: Vec<_> = told.into_iter().map(|(f, l, s)| entry(f, l, s)).collect();
            let chain = of(&mut findings, None, at.map(|s| Wall(s * 1_000_000_000)));
            let first = chain.onset.map(|onset| onset.time.0 / 1_000_000_000);
            assert_eq!(first, onset, "{name}");
            assert_eq!(findings.iter().filter(|e| e.in_incident).count(), count, "{name}");
        }
    }

    #[test]
    fn a_long_chain_keeps_onset_symptom_and_the_worst() {
        let mut findings: Vec<_> = (0..100).map(|s| entry(s, s, Severity::Warning)).collect();
        findings.push(entry(100, 100, Severity::Critical));
        let chain = of(&mut findings, None, None);
        let seconds: Vec<_> = chain.steps.iter().map(|step| step.time.0 / 1_000_000_000).collect();
        let expected: Vec<_> = (0..19).chain([100]).collect();
        assert_eq!((seconds, chain.more), (expected, 81));
    }
}
