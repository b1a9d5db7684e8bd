//! From the symptom back to the onset: which findings belong to the incident, and which was the first.
//!
//! ```text
//!   ──┬──────┬────────┬───────┬──────────┬─────────────────┬──►
//!     │ old  └ onset ─┴───────┴── chain ─┴ symptom (trigger)└ consequence
//!     └ ended long before, or of somebody else: another incident
//! ```
//!
//! Backwards, a finding at warning or above belongs if it is tied ([`relations`](super::relations)) to one that
//! belongs, and lasted, or lasts, until shortly before that began: as long as the protocols involved wait
//! before they give up. Trouble with single hosts is a sign of trouble with all only if they are silent, still are
//! when that begins, and nobody else answers meanwhile. What an administrator did by hand needs no onset, and what happens to conversations
//! while a flood runs comes of the flood. Forwards, from the onset on, everything near belongs that is not in
//! order.
//!
//! The trigger itself always belongs and was known by its own time, whatever is found when the frames are read
//! again, so the onset is never later than the symptom. Where a next hop fell silent together with what lies behind
//! it, the next hop is the onset.

use std::time::Duration;

use super::model::{Entry, Onset, Step, Trigger, seconds_between};
use super::relations::{Relations, Ties, family, is_flood, is_silence};
use super::rows::{FindingRow, rows};
use crate::finding::{FindingKind, Severity};
use crate::frame::Direction;
use crate::time::Wall;

/// Most steps of a chain: what fits a screen. Those beyond are counted, the milder ones first.
const STEPS: usize = 20;
/// Most findings among which the onset is looked for, the latest before the symptom.
const CANDIDATES: usize = 1_000;
/// A finding is noticed by counts of 100 ms, or told by watchers that look once a second: so much earlier or
/// later than another, nobody can tell which was first.
const BLUR: Duration = Duration::from_secs(1);
/// After the symptom, what happens on other interfaces so soon is taken to have come of it: daemons act
/// within seconds.
const FOLLOWS: Duration = Duration::from_secs(5);
/// A symptom noticed so much later than it began is a step of its own.
const NOTICED_LATE: Duration = Duration::from_millis(500);

/// What the report opens with.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) trigger: Option<Trigger>,
    pub(super) onset: Option<Onset>,
    pub(super) steps: Vec<Step>,
    pub(super) more: u64,
}

/// Longest time from the end of a cause to the beginning of what it did, by who waits in between.
fn patience(kind: &str, is_of_hosts: bool) -> Duration {
    let seconds = match family(kind) {
        // The hold time that routers propose unless told otherwise, and what it takes to notice.
        "bgp" => 183,
        // RouterDeadInterval on networks without broadcast (RFC 2328 appendix C.3: four hellos of 30 s).
        "ospf" => 123,
        // Clients, resolvers and users give up within half a minute.
        _ if is_of_hosts => 30,
        // LACP with slow timers gives a partner up after 90 s (IEEE 802.1AX 6.4.4), and tells within 3 s.
        _ => 93,
    };
    Duration::from_secs(seconds)
}

/// Marks the findings that belong to the incident, and tells how it went; `findings` are in order.
pub(super) fn of(
    findings: &mut [Entry],
    told: Option<Trigger>,
    at: Option<Wall>,
    relations: &Relations,
) -> Chain {
    let Some((trigger, symptom)) = symptom(findings, told, at) else { return Chain::default() };
    if let Some(symptom) = symptom {
        let entry = &mut findings[symptom];
        entry.severity = entry.severity.max(Severity::Warning);
        entry.first = entry.first.min(trigger.time);
        entry.in_incident = true;
    }
    let found = Search { findings, relations, trigger: trigger.time, symptom }.mark();
    let before = |time: Wall| seconds_between(time, trigger.time);
    let onset = found.map(|Found { time, cause }| Onset {
        time,
        before_trigger_s: before(time),
        finding: findings[cause].clone(),
        is_symptom: symptom == Some(cause),
    });
    let belonging = findings.iter().filter(|entry| entry.in_incident);
    let mut steps: Vec<Step> = rows(belonging).iter().flat_map(|row| steps(row, before)).collect();
    let told = symptom.map(|symptom| &findings[symptom]);
    steps.extend(trigger_step(&trigger, told));
    steps.sort_by_key(|step| step.time);
    let more = shorten(&mut steps, trigger.time);
    findings.sort_by_key(|entry| (entry.first, entry.last));
    Chain { trigger: Some(trigger), onset, steps, more }
}

/// The symptom as a step, where no finding stands for it or it was noticed late.
fn trigger_step(trigger: &Trigger, entry: Option<&Entry>) -> Option<Step> {
    let sentence = match entry {
        None => trigger.sentence.clone(),
        Some(entry) if apart(entry.first, trigger.time) >= NOTICED_LATE => {
            "noticed: the window is frozen".to_owned()
        }
        Some(_) => return None,
    };
    Some(Step {
        time: trigger.time,
        about: false,
        before_trigger_s: 0.0,
        kind: "trigger".to_owned(),
        severity: entry.map_or(Severity::Critical, |entry| entry.severity),
        interface: None,
        direction: Direction::Unknown,
        sentence,
        times: 1,
        until: None,
        lasts: false,
        count: 0,
    })
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

/// A row of findings, and the frame that proves it.
fn steps(row: &FindingRow<'_>, before: impl Fn(Wall) -> f64) -> Vec<Step> {
    let FindingRow { entry, times, until, lasts, count, .. } = row;
    let mut steps = vec![Step {
        time: entry.first,
        about: entry.about,
        before_trigger_s: before(entry.first),
        kind: entry.kind.clone(),
        severity: entry.severity,
        interface: entry.interface.clone(),
        direction: entry.direction,
        sentence: row.sentence(),
        times: *times,
        until: *until,
        lasts: *lasts,
        count: *count,
    }];
    if let Some(proof) = &entry.proof {
        steps.push(Step {
            time: proof.time,
            about: false,
            before_trigger_s: before(proof.time),
            kind: "still_received".to_owned(),
            severity: Severity::Info,
            direction: Direction::Inbound,
            sentence: format!("still received: {}; receiving works, sending does not", proof.what),
            times: 1,
            until: None,
            lasts: false,
            count: 1,
            ..steps[0].clone()
        });
    }
    steps
}

/// What the report looks back from, and the finding that it is.
fn symptom(
    findings: &[Entry],
    told: Option<Trigger>,
    at: Option<Wall>,
) -> Option<(Trigger, Option<usize>)> {
    if let Some(time) = at {
        let sentence = "the moment that was asked for".to_owned();
        let trigger = Trigger { time, sentence, by: "operator", kind: None, object: None };
        return Some((trigger, None));
    }
    if let Some(trigger) = told {
        let symptom = told_by(findings, &trigger);
        return Some((trigger, symptom));
    }
    let bad = |entry: &Entry| entry.severity >= Severity::Warning;
    let critical = findings.iter().position(|entry| entry.severity == Severity::Critical);
    let symptom = critical.or_else(|| findings.iter().rposition(bad))?;
    let Entry { first: time, sentence, .. } = findings[symptom].clone();
    Some((Trigger { time, sentence, by: "finding", kind: None, object: None }, Some(symptom)))
}

/// The finding that a bundle's trigger is: told by the host at that moment, or of its kind and begun by then.
fn told_by(findings: &[Entry], trigger: &Trigger) -> Option<usize> {
    let told =
        |entry: &Entry| entry.told == Some(trigger.time) && entry.sentence == trigger.sentence;
    if let Some(told) = findings.iter().position(told) {
        return Some(told);
    }
    let kind = trigger.kind.as_deref()?.replace('-', "_");
    let alike = |entry: &Entry| {
        entry.kind == kind
            && entry.first.0 <= trigger.time.0 + nanos(BLUR)
            && (trigger.object.is_none() || trigger.object == entry.interface)
    };
    let exactly = |entry: &Entry| alike(entry) && entry.sentence == trigger.sentence;
    findings.iter().rposition(exactly).or_else(|| findings.iter().rposition(alike))
}

/// Where it began.
struct Found {
    /// The first frame or event of it.
    time: Wall,
    /// The finding that explains it.
    cause: usize,
}

/// The search for what belongs.
struct Search<'a> {
    findings: &'a mut [Entry],
    relations: &'a Relations,
    trigger: Wall,
    /// The finding that the trigger is; where there is none, whatever was wrong at that moment belongs.
    symptom: Option<usize>,
}

impl Search<'_> {
    /// Marks them, and tells which was the first.
    fn mark(self) -> Option<Found> {
        let Self { findings, relations, trigger, symptom } = self;
        let bad = |entry: &Entry| entry.severity >= Severity::Warning;
        let ties: Vec<Ties> = findings.iter().map(|entry| relations.ties(entry)).collect();
        let by_hand = symptom.is_some_and(|symptom| findings[symptom].by_hand);
        let candidates = findings.iter().enumerate().rev();
        let candidates: Vec<usize> = candidates
            .filter(|(at, entry)| {
                bad(entry) && entry.first <= trigger && !by_hand && ties[*at].can_cause(&entry.kind)
            })
            .map(|(at, _)| at)
            .take(CANDIDATES)
            .collect();
        let floods = floods(findings);
        let mut members: Vec<usize> = symptom.into_iter().collect();
        if symptom.is_none() {
            let touches = |at: &&usize| reaches(&findings[**at], trigger, patience("", true));
            members.extend(candidates.iter().filter(touches));
        }
        let mut next = 0;
        while let Some(&member) = members.get(next) {
            next += 1;
            let (tie, effect) = (&ties[member], &findings[member]);
            for &at in &candidates {
                let cause = &findings[at];
                let waits = patience(&effect.kind, tie.is_of_hosts());
                // Of trouble with single hosts only their silence can be the first sign of more.
                let is_sign = !ties[at].is_of_hosts()
                    || tie.is_of_hosts()
                    || is_silence(&cause.kind)
                        && reaches(cause, effect.first, BLUR)
                        && !relations.others_answered(&ties[at], cause.first);
                let belongs = reaches(cause, effect.first, waits)
                    && is_sign
                    && !members.contains(&at)
                    && (relations.tie(&ties[at], tie) || cause.is_the_same_as(effect))
                    && !comes_of_flood(&floods, relations, (cause, &ties[at]), &ties);
                if belongs {
                    members.push(at);
                }
            }
        }
        let onset = members.iter().copied().min_by_key(|at| (findings[*at].first, *at));
        let begun = onset.map_or(trigger, |onset| findings[onset].first.min(trigger));
        members.iter().for_each(|at| findings[*at].in_incident = true);
        let near = |at: usize| {
            members.is_empty()
                || members.iter().any(|member| {
                    relations.tie(&ties[at], &ties[*member])
                        || relations.is_same_place(&ties[at], &ties[*member])
                })
        };
        let hole = FindingKind::CaptureGap.name();
        let mut latest = trigger.0;
        for (at, tie) in ties.iter().enumerate() {
            let entry = &findings[at];
            let waits = nanos(patience(&entry.kind, tie.is_of_hosts()));
            let follows = bad(entry)
                && entry.first >= begun
                && entry.first.0 <= latest.saturating_add(waits)
                && (near(at) || apart(trigger, entry.first) <= FOLLOWS && entry.first >= trigger);
            // What is not in the files is part of what happened, though it explains nothing.
            let is_hole = entry.kind == hole && entry.first > begun && entry.first <= trigger;
            if follows || is_hole {
                latest = latest.max(entry.last.0.min(entry.first.0 + waits));
                findings[at].in_incident = true;
            }
        }
        onset.map(|first| Found {
            time: findings[first].first,
            cause: silent_way(findings, &members, &ties, first).unwrap_or(first),
        })
    }
}

/// The next hop on the way to what failed `first`, if it fell silent then, too: hosts behind it are missed as soon as
/// somebody asks for them, a next hop only after its longest usual pause.
fn silent_way(findings: &[Entry], members: &[usize], ties: &[Ties], first: usize) -> Option<usize> {
    let begun = findings[first].first;
    let is_silent_way = |at: &usize| {
        let entry = &findings[*at];
        entry.kind == FindingKind::NextHopSilent.name()
            && ties[first].is_behind(&ties[*at])
            && apart(begun, entry.first) <= BLUR
    };
    members.iter().copied().filter(is_silent_way).min_by_key(|at| findings[*at].first)
}

/// True if `cause` lasted until at most `waits` before `effect` began; if it has not ended, it lasts.
fn reaches(cause: &Entry, effect: Wall, waits: Duration) -> bool {
    let lasts = if cause.over { cause.last.max(cause.first).0 } else { u64::MAX };
    lasts.saturating_add(nanos(waits)) >= effect.0
}

/// Floods, by their numbers, from when they may have begun until when they were over.
fn floods(findings: &[Entry]) -> Vec<(usize, u64, u64)> {
    let floods = findings.iter().enumerate().filter(|(_, entry)| is_flood(&entry.kind));
    let span = |(at, entry): (usize, &Entry)| {
        let end = if entry.over { entry.last.0.saturating_add(nanos(BLUR)) } else { u64::MAX };
        (at, entry.first.0.saturating_sub(nanos(BLUR)), end)
    };
    floods.map(span).collect()
}

/// True for what happens to conversations, and for figures, while a flood runs in the same place.
fn comes_of_flood(
    floods: &[(usize, u64, u64)],
    relations: &Relations,
    (entry, tie): (&Entry, &Ties),
    ties: &[Ties],
) -> bool {
    let counts = ["tcp", "icmp", "rate", "one"].contains(&family(&entry.kind));
    !is_flood(&entry.kind)
        && (tie.is_of_hosts() || counts)
        && floods.iter().any(|(flood, from, to)| {
            (*from..=*to).contains(&entry.first.0) && relations.is_same_place(&ties[*flood], tie)
        })
}

fn apart(one: Wall, other: Wall) -> Duration {
    Duration::from_nanos(one.0.abs_diff(other.0))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
