//! The report of several hosts for a terminal.

use super::link::delays;
use super::model::{FleetReport, HostSummary, LinkSummary, TimelineRow, WaySummary, bar};
use crate::finding::Severity;
use crate::report::{Look, Page, mark};
use crate::time::Wall;
use crate::words;

/// Rows that a terminal shows; all are in the JSON.
const ROWS: usize = 60;
/// Links that it shows.
const LINKS: usize = 16;

/// Writes the whole report.
pub fn text(report: &FleetReport, look: Look) -> String {
    let mut page = Page::new(look);
    let names: Vec<&str> = report.hosts.iter().map(|host| host.name.as_str()).collect();
    page.wrapped("dashcap fleet report of ", 24, &names.join(", "));
    page.wrapped("", 0, &report.headline);
    for damage in &report.damage {
        let damage = page.coloured(Severity::Critical, damage);
        page.wrapped("", 0, &damage);
    }
    for contradiction in &report.contradictions {
        let told = page.coloured(Severity::Warning, contradiction);
        page.wrapped("", 0, &told);
    }
    page.title(&format!("Clocks, by that of {}", report.reference));
    report.hosts.iter().for_each(|told| host(&mut page, told));
    page.title("Onset");
    page.wrapped("", 2, &report.onset.sentence);
    timeline(&mut page, report);
    if !report.links.is_empty() {
        page.title("Links");
    }
    report.links.iter().take(LINKS).for_each(|told| link(&mut page, told));
    if report.links.len() > LINKS {
        page.line(&format!("... and {} more, see --json", report.links.len() - LINKS));
    }
    if !report.notes.is_empty() {
        page.title("Notes");
    }
    report.notes.iter().for_each(|note| page.wrapped("- ", 2, note));
    page.finish()
}

fn host(page: &mut Page, told: &HostSummary) {
    let HostSummary { name, sentence, headline, .. } = told;
    page.wrapped(&format!("{name}: "), name.chars().count().min(30) + 2, sentence);
    page.wrapped("    ", 4, headline);
}

fn timeline(page: &mut Page, report: &FleetReport) {
    if report.rows.is_empty() {
        return;
    }
    page.title("What happened (≈ nobody knows whether before or after a row above)");
    let widest =
        report.rows.iter().map(|row| place(row).chars().count()).max().unwrap_or(0).min(24);
    for row in report.rows.iter().take(ROWS) {
        let order = if row.order_unknown { '≈' } else { ' ' };
        let (time, bar, place) = (time_of(row.time), bar(row.bar_ns), place(row));
        let plain = format!("{order} {time} {bar:>11} {} {place:widest$}  ", mark(row.severity));
        let prefix = page.coloured(row.severity, &plain);
        page.wrapped(&prefix, plain.chars().count().min(58), &row.sentence);
    }
    let more = report.rows.len().saturating_sub(ROWS) as u64 + report.rows_more;
    if more > 0 {
        page.line(&format!("... and {} more, see --json", words::count(more)));
    }
}

fn place(row: &TimelineRow) -> String {
    match &row.interface {
        Some(interface) => format!("{}/{interface}", row.host),
        None => row.host.clone(),
    }
}

/// UTC with microseconds, without the day.
fn time_of(time: Wall) -> String {
    time.to_string().get(11..26).unwrap_or_default().to_owned()
}

fn link(page: &mut Page, told: &LinkSummary) {
    let [one, other] = &told.ends;
    let matches = words::counted(told.matches, "frame");
    let way = if told.routed { " (a router lies in between)" } else { "" };
    page.wrapped("", 2, &format!("{one} – {other}{way}: proven by {matches} seen at both"));
    if let Some(sum) = told.least_delay_sum_ns {
        page.wrapped("    ", 4, &delays(&told.ends, sum));
    }
    if told.routed {
        page.wrapped(
            "    ",
            4,
            "what a router should have passed on is not known, so nothing is called lost",
        );
        return;
    }
    for ((from, to), way) in [(one, other), (other, one)].into_iter().zip(&told.ways) {
        page.wrapped(&format!("    {} → {}: ", from.host, to.host), 6, &counts(way));
    }
    for difference in &told.differences {
        let said = page.coloured(Severity::Critical, difference);
        page.wrapped("    ", 4, &said);
    }
}

/// `1,204 frames at both, 3 lost, 0 at the receiver only; unknown: 12 sent when ...`.
pub(super) fn counts(way: &WaySummary) -> String {
    let count = |of: Option<u64>| of.map_or_else(|| "?".to_owned(), words::count);
    let (both, lost, only) = (count(way.both), count(way.lost), count(way.receiver_only));
    let mut text = format!("{both} at both ends, {lost} lost, {only} at the receiver only");
    if !way.unknown.is_empty() {
        let unknown =
            way.unknown.iter().map(|of| format!("{} {}", words::count(of.frames), of.reason));
        text += &format!("; unknown: {}", unknown.collect::<Vec<_>>().join(", "));
    }
    text
}
