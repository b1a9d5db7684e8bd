//! One sentence for whoever is called at night: what, since when, who is silent, what still works.
//!
//! It says nothing that the rows below it do not: who is silent follows from findings of silence that name one
//! host, what still works from answers that came after the onset.

use super::model::{Entry, Onset, Report, Trigger};
use super::relations::{Relations, is_silence};
use crate::finding::Party;
use crate::frame::Direction;
use crate::time::Wall;
use crate::words;

/// Longest part in letters: what a pager shows in a few lines.
const LONGEST: usize = 160;
/// Silent hosts named.
const SILENT: usize = 3;
/// What was in order, named where nothing else was found.
const IN_ORDER: usize = 3;

/// The sentence; `works` says what was still answered after the onset.
pub(super) fn of(report: &Report, relations: &Relations, works: &[String]) -> String {
    let mut parts = match (&report.trigger, &report.onset) {
        (Some(trigger), Some(onset)) => what_happened(report, trigger, onset),
        (Some(trigger), None) => vec![
            format!("{}, at {}", short(&trigger.sentence), moment(trigger.time)),
            "nothing at warning or above leads to it".to_owned(),
        ],
        (None, _) => return nothing(report),
    };
    let silent = silent(report, relations);
    if !silent.is_empty() {
        parts.push(format!("silent: {}", silent.join(", ")));
    }
    let works: Vec<String> = receiving(report).chain(works.iter().cloned()).collect();
    if !works.is_empty() {
        parts.push(format!("still works: {}", works.join(", ")));
    }
    parts.join("; ")
}

/// Interfaces on which a frame proves that receiving works while sending does not.
fn receiving(report: &Report) -> impl Iterator<Item = String> {
    let proved = report.findings.iter().filter(|entry| entry.in_incident && entry.proof.is_some());
    let places = proved.filter_map(|entry| entry.interface.as_deref());
    places.map(|place| format!("{place} receives"))
}

fn what_happened(report: &Report, trigger: &Trigger, onset: &Onset) -> Vec<String> {
    let about = if onset.finding.about { "about " } else { "" };
    let since = format!("since {about}{}", moment(onset.time));
    let mut parts = vec![format!("{}, {since}", short(&placed(&onset.finding)))];
    if !onset.is_symptom && trigger.by != "operator" {
        let later = words::lasting(onset.before_trigger_s);
        parts.push(format!("{later} later: {}", short(&trigger.sentence)));
    }
    let all = || report.findings.iter().filter(|entry| entry.in_incident);
    if all().any(|entry| !entry.over) {
        parts.push("not over at the end".to_owned());
    }
    parts
}

/// What it says, with its place unless it says that, too.
fn placed(entry: &Entry) -> String {
    match entry.interface.as_deref() {
        Some(place) if !entry.sentence.contains(place) => format!("{place}: {}", entry.sentence),
        _ => entry.sentence.clone(),
    }
}

fn nothing(report: &Report) -> String {
    if report.frames == 0 {
        return "no frame came".to_owned();
    }
    let frames = words::counted(report.frames, "frame");
    let mut parts = vec![format!(
        "nothing at warning or above in {frames} of {}",
        words::lasting(report.seconds())
    )];
    let in_order = report.looked_at.iter().filter(|looked| looked.in_order);
    parts.extend(in_order.take(IN_ORDER).map(|looked| looked.sentence.clone()));
    // Of those that no report without directions can judge a pager need not tell.
    let frames = |line: &&String| line.starts_with(|c: char| c.is_ascii_digit());
    let not_judged = report.not_judged.iter().find(frames);
    parts.extend(not_judged.map(|line| format!("not judged: {line}")));
    parts.join("; ")
}

/// Hosts of which a finding says that they are silent until the end, and which names no other beside the host that
/// recorded.
fn silent(report: &Report, relations: &Relations) -> Vec<String> {
    let is_silence = |entry: &&Entry| {
        // What went out and is missing now, the host itself said.
        let own = entry.kind.ends_with("silence") && entry.direction == Direction::Outbound;
        !entry.over && is_silence(&entry.kind) && !own
    };
    let mut hosts = Vec::new();
    for entry in report.findings.iter().filter(|entry| entry.in_incident).filter(is_silence) {
        let others = entry
            .parties
            .iter()
            .filter(|party| matches!(party, Party::Host(_)) && !relations.is_own(**party));
        let others: Vec<_> = others.collect();
        if let [host] = others[..]
            && !hosts.contains(&host.to_string())
        {
            hosts.push(host.to_string());
        }
    }
    let more = hosts.len().saturating_sub(SILENT);
    hosts.truncate(SILENT);
    if more > 0 {
        hosts.push(format!("{more} more"));
    }
    hosts
}

/// To the millisecond, with the day.
fn moment(wall: Wall) -> String {
    wall.milliseconds().to_string()
}

/// Cut between words where it is too long for a pager.
fn short(sentence: &str) -> String {
    if sentence.chars().count() <= LONGEST {
        return sentence.to_owned();
    }
    let cut: String = sentence.chars().take(LONGEST).collect();
    let whole = cut.rsplit_once(' ').map_or(&*cut, |(whole, _)| whole);
    format!("{} ...", whole.trim_end_matches([',', ':', ';']))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::tests::{found, reported, stormy};
    use super::*;

    #[test]
    fn it_says_what_since_when_who_is_silent_and_what_still_works() {
        let folder = tempfile::tempdir().unwrap();
        let mut report = reported(vec![stormy().save(folder.path())]);
        let said = report.onset.as_ref().unwrap().finding.sentence.clone();
        assert!(said.starts_with("duplicate storm: 4,000 identical frames sent out of router"));
        let storm = format!("{said}, since 2026-11-22T14:14:50.000Z");
        let relations = Relations::default();
        assert_eq!(of(&report, &relations, &[]), storm);
        let about = |hosts: &[u8], over, direction| Entry {
            parties: hosts.iter().map(|n| Party::Host(IpAddr::from([192, 0, 2, *n]))).collect(),
            in_incident: true,
            over,
            direction,
            ..found("vrrp_silence", 30, 40)
        };
        let inbound = Direction::Inbound;
        report.findings.extend([
            about(&[7], false, inbound),
            // It is heard again, nobody knows which of two, and the host itself.
            about(&[8], true, inbound),
            about(&[9, 10], false, inbound),
            about(&[11], false, Direction::Outbound),
        ]);
        let works = ["192.0.2.53 answers DNS".to_owned()];
        let rest = "; not over at the end; silent: 192.0.2.7; still works: 192.0.2.53 answers DNS";
        assert_eq!(of(&report, &relations, &works), format!("{storm}{rest}"));
    }

    #[test]
    fn a_long_sentence_is_cut_between_words() {
        let long = "word, ".repeat(100);
        let cut = short(&long);
        assert!(cut.ends_with("word ...") && cut.len() <= LONGEST + 4, "{cut}");
        assert_eq!(short("eth0: DOWN"), "eth0: DOWN");
    }
}
