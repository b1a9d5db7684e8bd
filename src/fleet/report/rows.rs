//! One timeline of all hosts, and where it began.
//!
//! Each host's own report tells what happened there; here its moments are laid on one clock, each with its bar. An
//! order is never made up: rows whose bars overlap are marked, and the onset is the one row whose bar lies before
//! all others, else all that may have been.

use std::cmp::Reverse;

use super::clocks::{Clocks, Placed};
use super::member::Member;
use super::model::{FleetOnset, LinkSummary, TimelineRow, bar};
use crate::finding::Severity;
use crate::incident::onset::BundleOnset;
use crate::report::model::{Entry, Report, Step};
use crate::time::{Wall, nanos};
use crate::words;

/// Rows at most, the worst of them: what a page of a browser lays out at once.
pub(super) const MOST_ROWS: usize = 1_000;
/// The kind of a row that tells of a way that died.
const DEAD: &str = "way_dead";
/// The kind of a row that tells why a window was frozen: that is no beginning where anything else is told.
const TRIGGER: &str = "trigger";
/// Candidates that are named in the sentence.
const NAMED: usize = 4;
/// Whoever misses an answer is told from when he asked: so much before a way died, that may be of it. An answer over
/// a link takes less.
const ANSWER: u64 = 1_000_000_000;

/// One host with its report.
pub(super) struct Story<'a> {
    pub(super) number: usize,
    pub(super) member: &'a Member,
    pub(super) report: &'a Report,
}

/// All rows in order of time, and how many had no room.
pub(super) fn rows(
    stories: &[Story<'_>],
    links: &[LinkSummary],
    clocks: &Clocks,
) -> (Vec<TimelineRow>, u64) {
    let mut rows: Vec<TimelineRow> = stories
        .iter()
        .flat_map(|story| story.rows(clocks))
        .chain(links.iter().flat_map(dead))
        .collect();
    let more = rows.len().saturating_sub(MOST_ROWS) as u64;
    rows.sort_by_key(|row| (Reverse(row.severity), row.time));
    rows.truncate(MOST_ROWS);
    rows.sort_by(|one, other| (one.time, &one.host).cmp(&(other.time, &other.host)));
    for number in 1..rows.len() {
        let (before, row) = (&rows[..number], &rows[number]);
        rows[number].order_unknown = before.iter().any(|earlier| !is_before(earlier, row));
    }
    (rows, more)
}

/// True if a row is known to be before another: its bar ends before the other's begins. Of one host, whose stamps are
/// off by the same, only what their bars differ by counts.
fn is_before(one: &TimelineRow, other: &TimelineRow) -> bool {
    let (first, second) = (one.time.0, other.time.0);
    match (one.bar_ns, other.bar_ns) {
        _ if one.host == other.host => {
            let apart = one.bar_ns.unwrap_or_default().abs_diff(other.bar_ns.unwrap_or_default());
            first.saturating_add(apart) <= second
        }
        (Some(a), Some(b)) => first.saturating_add(a) < second.saturating_sub(b),
        _ => false,
    }
}

/// True if a row cannot come of the other: it was before, and of a way that died, by longer than answers take.
fn is_earlier(one: &TimelineRow, other: &TimelineRow) -> bool {
    let is_answer = other.kind == DEAD && other.time.0.saturating_sub(one.time.0) < ANSWER;
    is_before(one, other) && !is_answer
}

impl Story<'_> {
    /// What its report tells: the way from the onset to the symptom and beyond, else what was found at all.
    fn rows(&self, clocks: &Clocks) -> Vec<TimelineRow> {
        if self.report.chain.is_empty() {
            let worth = |entry: &&Entry| entry.severity > Severity::Info;
            let found = self.report.findings.iter().filter(worth).take(MOST_ROWS);
            return found.map(|entry| self.of_entry(entry, clocks)).collect();
        }
        self.report.chain.iter().map(|step| self.of_step(step, clocks)).collect()
    }

    fn of_step(&self, step: &Step, clocks: &Clocks) -> TimelineRow {
        let Step { time, about, until, lasts, interface, sentence, times, .. } = step;
        let sentence = match times {
            0 | 1 => sentence.clone(),
            times => format!("{sentence} ({} times)", words::count(*times)),
        };
        TimelineRow {
            until: until.map(|until| self.wall(until, clocks)),
            lasts: *lasts,
            kind: step.kind.clone(),
            severity: step.severity,
            interface: interface.clone(),
            sentence,
            ..self.at(*time, *about, clocks)
        }
    }

    fn of_entry(&self, entry: &Entry, clocks: &Clocks) -> TimelineRow {
        let lasted = (entry.last > entry.first).then_some(entry.last);
        TimelineRow {
            until: lasted.map(|until| self.wall(until, clocks)),
            lasts: !entry.over,
            kind: entry.kind.clone(),
            severity: entry.severity,
            interface: entry.interface.clone(),
            sentence: entry.sentence.clone(),
            ..self.at(entry.first, entry.about, clocks)
        }
    }

    fn wall(&self, time: Wall, clocks: &Clocks) -> Wall {
        wall(place(clocks, self.number, &self.member.settings.meanings(time)).time)
    }

    fn at(&self, time: Wall, about: bool, clocks: &Clocks) -> TimelineRow {
        let Placed { time: placed, bar } =
            place(clocks, self.number, &self.member.settings.meanings(time));
        let blur = if about { nanos(BundleOnset::ABOUT) } else { 0 };
        TimelineRow {
            time: wall(placed),
            bar_ns: bar.map(|bar| bar.unsigned_abs() + blur),
            until: None,
            lasts: false,
            order_unknown: false,
            host: self.member.name.clone(),
            by_own_clock: time,
            kind: String::new(),
            severity: Severity::Info,
            interface: None,
            sentence: String::new(),
        }
    }
}

/// A moment that a stamp may mean; where it means several, all of them.
fn place(clocks: &Clocks, host: usize, meanings: &[i64]) -> Placed {
    let placed = meanings.iter().map(|time| clocks.place(host, *time));
    let join = |one: Placed, other: Placed| match (one.bar, other.bar) {
        (Some(a), Some(b)) => {
            let from = one.time.saturating_sub(a).min(other.time.saturating_sub(b));
            let to = one.time.saturating_add(a).max(other.time.saturating_add(b));
            let half = to.saturating_sub(from) / 2;
            Placed { time: from.saturating_add(half), bar: Some(half.saturating_add(1)) }
        }
        _ => Placed { bar: None, ..one },
    };
    placed.reduce(join).unwrap_or(Placed { time: 0, bar: None })
}

fn wall(time: i64) -> Wall {
    Wall(time.max(0).unsigned_abs())
}

/// What a link did not carry from a moment on, as a row of the host that sends.
fn dead(link: &LinkSummary) -> impl Iterator<Item = TimelineRow> {
    link.ways.iter().zip([(0, 1), (1, 0)]).filter_map(|(way, (from, to))| {
        let dead = way.dead?;
        let (from, to) = (&link.ends[from], &link.ends[to]);
        let frames = words::counted(dead.frames, "frame");
        Some(TimelineRow {
            time: dead.from,
            bar_ns: dead.bar_ns,
            until: dead.until,
            lasts: dead.until.is_none(),
            order_unknown: false,
            host: from.host.clone(),
            by_own_clock: dead.from_by_sender,
            kind: DEAD.to_owned(),
            severity: Severity::Critical,
            interface: Some(from.interface.clone()),
            sentence: format!("what it sends does not arrive at {to} ({frames})"),
        })
    })
}

/// The earliest row at warning or above, if its bar lies before all others; else all that may have been the first.
pub(super) fn onset(rows: &[TimelineRow], stories: &[Story<'_>]) -> FleetOnset {
    let onset_of = |story: &Story<'_>| story.report.onset.as_ref().map(|onset| onset.time);
    let is_candidate = |row: &TimelineRow| {
        // A host's own report names its onset: what was found there before that is another matter.
        let own = stories.iter().find(|story| story.member.name == row.host).and_then(onset_of);
        let counts = row.severity >= Severity::Warning || own == Some(row.by_own_clock);
        counts && (row.kind == DEAD || own.is_none_or(|own| own <= row.by_own_clock))
    };
    let mut worth: Vec<usize> = (0..rows.len()).filter(|n| is_candidate(&rows[*n])).collect();
    let is_found = |n: &usize| rows[*n].kind != TRIGGER;
    if worth.iter().any(is_found) {
        worth.retain(is_found);
    }
    let is_later =
        |n: &usize| worth.iter().any(|other| other < n && is_earlier(&rows[*other], &rows[*n]));
    let candidates: Vec<usize> = worth.iter().filter(|n| !is_later(n)).copied().collect();
    let told = |row: &TimelineRow| {
        let place = row.interface.as_ref().map_or_else(String::new, |name| format!("/{name}"));
        format!("{}{place}: {}", row.host, row.sentence)
    };
    let sentence = match &candidates[..] {
        [] => "nothing at warning or above was found on any host".to_owned(),
        frozen if !frozen.iter().any(is_found) => {
            let named: Vec<_> = frozen.iter().take(NAMED).map(|n| told(&rows[*n])).collect();
            format!("nothing that was found tells where it began: {}", named.join("; "))
        }
        [only] => {
            let row = &rows[*only];
            format!("it began {} {}, {}", row.time, bar(row.bar_ns), told(row))
        }
        several => {
            let more = several.len().saturating_sub(NAMED);
            let more = if more > 0 { format!("; or one of {more} more") } else { String::new() };
            let named: Vec<String> = several.iter().take(NAMED).map(|n| told(&rows[*n])).collect();
            format!(
                "nobody knows which of {} was first: {}{more}",
                several.len(),
                named.join("; or ")
            )
        }
    };
    FleetOnset { candidates, sentence }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(second: u64, bar: Option<u64>, host: &str) -> TimelineRow {
        TimelineRow {
            time: Wall(second * 1_000),
            bar_ns: bar,
            until: None,
            lasts: false,
            order_unknown: false,
            host: host.to_owned(),
            by_own_clock: Wall(0),
            kind: "link_down".to_owned(),
            severity: Severity::Critical,
            interface: None,
            sentence: "down".to_owned(),
        }
    }

    /// Regression: a ping that missed its answer was the onset, 58 µs before the way died on which that was sent.
    #[test]
    fn who_misses_an_answer_asked_before_the_way_died() {
        let asked = row(10, Some(100), "a");
        for (after, candidates) in [(58_000, vec![0, 1]), (2_000_000_000, vec![0])] {
            let time = Wall(asked.time.0 + after);
            let dead = TimelineRow { time, kind: DEAD.to_owned(), ..row(0, Some(0), "b") };
            assert_eq!(onset(&[asked.clone(), dead], &[]).candidates, candidates, "{after}");
        }
    }

    /// Regression: a host whose clock is unknown, and that was only asked to freeze, might have been the first.
    #[test]
    fn a_frozen_window_is_no_onset_beside_what_was_found() {
        let frozen = |host| TimelineRow { kind: TRIGGER.to_owned(), ..row(20, None, host) };
        let found = row(10, Some(100), "a");
        assert_eq!(onset(&[found, frozen("b")], &[]).candidates, [0]);
        let onset = onset(&[frozen("b"), frozen("c")], &[]);
        assert_eq!(onset.candidates, [0, 1]);
        assert_eq!(onset.sentence, "nothing that was found tells where it began: b: down; c: down");
    }

    #[test]
    fn the_onset_is_one_row_only_if_its_bar_is_before_all_others() {
        for (what, rows, candidates) in [
            ("apart", vec![row(10, Some(100), "a"), row(20, Some(100), "b")], vec![0]),
            ("overlapping", vec![row(10, Some(6_000), "a"), row(20, Some(6_000), "b")], vec![0, 1]),
            ("not known", vec![row(10, Some(1), "a"), row(90, None, "b")], vec![0, 1]),
            ("of one host", vec![row(10, None, "a"), row(20, None, "a")], vec![0]),
            ("none", vec![], vec![]),
        ] {
            assert_eq!(onset(&rows, &[]).candidates, candidates, "{what}");
        }
        let told = onset(&[row(10, Some(100), "a"), row(20, Some(100), "b")], &[]).sentence;
        assert_eq!(told, "it began 1970-01-01T00:00:00.000010000Z ± 100 ns, a: down");
    }
}
