//! The report for a terminal: one screen first, then the rest.

use super::model::{Entry, Report, Step, Usual, seconds_between};
use super::rows::{course, rows};
use crate::finding::Severity;
use crate::time::Wall;
use crate::visible;
use crate::words;

/// How the text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns of the terminal.
    pub width: usize,
    /// Colours and bold letters (ECMA-48), for terminals only.
    pub color: bool,
    /// What the local clock was ahead of UTC, in minutes, to be shown.
    pub offset_minutes: Option<i32>,
}

impl Look {
    /// Columns where nobody says, as of old (VT100).
    pub const WIDTH: usize = 80;
    /// Narrower than this nothing can be laid out.
    const NARROWEST: usize = 40;
}

/// Writes the whole report.
pub fn text(report: &Report, look: Look) -> String {
    let mut page = Page::new(look);
    page.head(report);
    page.chain(report);
    page.findings(report);
    page.looked_at(report);
    page.last_heard(report);
    page.usual(report);
    page.interfaces(report);
    page.flows(report);
    page.losses(report);
    page.rest(report);
    page.finish()
}

/// Findings that a terminal shows beside the chain; all are in the JSON.
const FINDINGS: usize = 30;
/// Flows that it shows.
const FLOWS: usize = 8;
/// The column of names: longest name of an interface (IFNAMSIZ, linux/if.h) and two spaces.
const NAMED: usize = 18;
/// ECMA-48 8.3.117, select graphic rendition.
const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";

/// A text in lines of the terminal's width.
pub(crate) struct Page {
    out: String,
    look: Look,
}

impl Page {
    /// An empty one.
    pub(crate) fn new(look: Look) -> Self {
        Self { out: String::new(), look: Look { width: look.width.max(Look::NARROWEST), ..look } }
    }

    /// The whole text. Of what controls a terminal only our own paint stays, which harms nothing, whoever wrote it.
    pub(crate) fn finish(self) -> String {
        let Self { out, look } = self;
        let safe = visible::page(&out).into_owned();
        let paint = |text: String, paint: &str| text.replace(&*visible::plain(paint), paint);
        let severities = [Severity::Critical, Severity::Warning, Severity::Notice].map(self::paint);
        let paints =
            [RESET, BOLD, DIM].into_iter().chain(severities).filter(|paint| !paint.is_empty());
        if look.color { paints.fold(safe, paint) } else { safe }
    }

    /// `text`, in the colour of how bad it is.
    pub(crate) fn coloured(&self, severity: Severity, text: &str) -> String {
        self.painted(paint(severity), text)
    }

    /// One line, however long.
    pub(crate) fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// A title, and an empty line before it.
    pub(crate) fn title(&mut self, text: &str) {
        let title = self.painted(BOLD, text);
        self.line("");
        self.line(&title);
    }

    fn painted(&self, paint: &str, text: &str) -> String {
        if self.look.color { format!("{paint}{text}{RESET}") } else { text.to_owned() }
    }

    /// `text` after `prefix`, broken between words so that it stays in its column.
    pub(crate) fn wrapped(&mut self, prefix: &str, indent: usize, text: &str) {
        let room = self.look.width.saturating_sub(indent).max(20);
        let mut line = String::new();
        let mut lines = Vec::new();
        for word in unbroken(text) {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        lines.push(line);
        for (number, line) in lines.iter().enumerate() {
            let begin = if number == 0 { prefix.to_owned() } else { " ".repeat(indent) };
            self.line(&format!("{begin}{line}"));
        }
    }

    /// `text` beside the name of an interface, or below one that is longer than any of Linux: a file's, Windows'.
    fn of(&mut self, name: &str, text: &str) {
        let prefix = if name.chars().count() < NAMED - 1 {
            format!("{name:NAMED$}")
        } else {
            self.line(name);
            " ".repeat(NAMED)
        };
        self.wrapped(&prefix, NAMED, text);
    }

    fn head(&mut self, report: &Report) {
        let Report { frames, bytes, interfaces, .. } = report;
        let files = report.files.join(", ");
        let title = format!("{} of ", self.painted(BOLD, "dashcap report"));
        self.wrapped(&title, "dashcap report of ".len(), &files);
        self.wrapped("", 0, &report.headline);
        self.line("");
        if let Some(span) = &report.span {
            let local = self.look.offset_minutes.map(words::offset);
            let local = local.map_or_else(String::new, |offset| format!(", local time {offset}"));
            let (from, to) = (span.from.milliseconds(), span.to.milliseconds());
            let told = format!("{from} to {to} (UTC{local}), {:.3} s", span.seconds);
            self.wrapped("", 0, &told);
        }
        let frames = words::counted(*frames, "frame");
        let bytes = words::bytes(*bytes);
        let interfaces = words::counted(interfaces.len() as u64, "interface");
        self.line(&format!("{frames}, {bytes}, {interfaces}"));
        let dropped = report.losses.iter().filter(|loss| loss.name.ends_with("dropped"));
        let dropped: u64 = dropped.filter_map(|loss| loss.count).sum();
        if dropped > 0 {
            let dropped = words::counted(dropped, "frame");
            let told = format!("{dropped} more were dropped before they were recorded, see Losses");
            let told = self.painted(paint(Severity::Warning), &told);
            self.line(&told);
        }
        for damage in &report.damage {
            let begin = if self.look.color { paint(Severity::Critical) } else { "" };
            self.wrapped(begin, 0, damage);
            self.out.push_str(if self.look.color { RESET } else { "" });
        }
    }

    fn chain(&mut self, report: &Report) {
        let (Some(trigger), Some(onset)) = (&report.trigger, &report.onset) else {
            self.line("");
            let told = match &report.trigger {
                Some(trigger) => format!(
                    "{} {}: {}. Nothing at warning or above leads to it.",
                    trigger.word(),
                    trigger.time,
                    trigger.sentence
                ),
                None if report.span.is_none() => "There is no frame in it.".to_owned(),
                None => "Nothing at warning or above was found.".to_owned(),
            };
            self.wrapped("", 0, &told);
            return;
        };
        self.title("What happened");
        let (time, distance) = (onset.time(), words::distance(onset.before_trigger_s));
        let sentence = &onset.finding.sentence;
        if onset.is_symptom || trigger.sentence == *sentence {
            let noticed = match onset.before_trigger_s {
                0.0 => String::new(),
                later => format!("; noticed {} later", words::lasting(later)),
            };
            self.wrapped("", 6, &format!("Onset and symptom {time}: {sentence}{noticed}"));
        } else {
            let word = trigger.word();
            let before = word.to_lowercase();
            self.wrapped("", 6, &format!("Onset {time}, {distance} the {before}: {sentence}"));
            let told = format!("{word} {}: {}", trigger.time, trigger.sentence);
            self.wrapped("", 8, &told);
        }
        self.line("");
        let dated = report.span.is_some_and(|span| date(span.from) != date(span.to));
        for step in &report.chain {
            self.step(step, dated);
        }
        if report.chain_more > 0 {
            self.line(&format!("... and {} more", report.chain_more));
        }
    }

    fn step(&mut self, step: &Step, dated: bool) {
        let time = time_of(step.time, step.about, dated);
        // No minus before a zero.
        let before = 0.0 - step.before_trigger_s;
        let before = if step.about { format!("{before:+.0}") } else { format!("{before:+.3}") };
        let plain = format!("{time} {before:>10} {}  ", mark(step.severity));
        let prefix = self.painted(paint(step.severity), &plain);
        self.wrapped(&prefix, plain.chars().count(), &said(step));
    }

    fn findings(&mut self, report: &Report) {
        let others = rows(report.findings.iter().filter(|entry| !entry.in_incident));
        if others.is_empty() {
            return;
        }
        self.title("Other findings");
        let dated = report.span.is_some_and(|span| date(span.from) != date(span.to));
        let count = others.len();
        let mut shown = others;
        shown.sort_by_key(|row| std::cmp::Reverse(row.entry.severity));
        shown.truncate(FINDINGS);
        shown.sort_by_key(|row| row.entry.first);
        for row in &shown {
            let Entry { first, about, severity, .. } = *row.entry;
            let plain = format!("{} {}  ", time_of(first, about, dated), mark(severity));
            let prefix = self.painted(paint(severity), &plain);
            let said = row.sentence()
                + &course(&row.entry.sentence, (first, row.until), row.lasts, row.times, row.count);
            self.wrapped(&prefix, plain.chars().count(), &said);
        }
        let more = (count - shown.len()) as u64 + report.findings_more;
        if more > 0 {
            self.line(&format!("... and {} more, see --json", words::count(more)));
        }
    }

    /// "Nothing was found" never stands alone: in what, and of what nobody can tell.
    fn last_heard(&mut self, report: &Report) {
        if report.last_heard.is_empty() {
            return;
        }
        self.title("Last heard");
        for heard in &report.last_heard {
            let sent = heard.sent_since.filter(|sent| *sent > 0);
            let sent = sent.map_or_else(String::new, |sent| {
                format!("; {} sent to it since", words::counted(sent.into(), "frame"))
            });
            let before = format!("{:.3} s before the end", heard.before_end_s);
            let told =
                format!("{}: {}, {before}{sent}", heard.who, time_of(heard.time, false, false));
            self.of(&heard.interface, &told);
        }
    }

    fn looked_at(&mut self, report: &Report) {
        let looked = report.looked_at.iter().map(|looked| &looked.sentence);
        let sections = [
            ("Looked at", looked.collect::<Vec<_>>()),
            ("Not judged", report.not_judged.iter().collect()),
        ];
        for (title, lines) in sections.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            self.title(title);
            let begin = self.painted(DIM, "- ");
            lines.into_iter().for_each(|line| self.wrapped(&begin, 2, line));
        }
    }

    fn usual(&mut self, report: &Report) {
        if report.usual.is_empty() {
            return;
        }
        self.title("Usual and now");
        for usual in &report.usual {
            let Usual { interface, class, .. } = usual;
            self.of(&format!("{interface} {class}"), &usual.sentence());
        }
    }

    fn interfaces(&mut self, report: &Report) {
        if report.interfaces.is_empty() {
            return;
        }
        self.title("Interfaces");
        for interface in &report.interfaces {
            let end = report.span.map_or(interface.span.to, |span| span.to);
            let ways = [
                ("in", interface.received, interface.last_received),
                ("out", interface.sent, interface.last_sent),
                ("unknown way", interface.unknown, None),
            ];
            let told = ways.iter().filter(|(_, count, _)| count.frames > 0);
            let told = told.map(|(what, count, last)| {
                let (frames, bytes) =
                    (words::counted(count.frames, "frame"), words::bytes(count.bytes));
                format!("{what} {frames}, {bytes}{}", since(*last, end))
            });
            let told: Vec<_> = told.collect();
            self.of(&interface.name, &told.join("; "));
        }
    }

    fn flows(&mut self, report: &Report) {
        if report.talkers.is_empty() {
            return;
        }
        self.title("Top talkers");
        for talker in report.talkers.iter().take(FLOWS) {
            let bytes = words::bytes(talker.count.bytes);
            let frames = talker.count.frames;
            let noun = if frames == 1 { "frame " } else { "frames" };
            let plain = format!("{bytes:>9} {:>12} {noun}  ", words::count(frames));
            let indent = plain.chars().count();
            let connections = match talker.connections {
                0 | 1 => String::new(),
                several => format!(", {} connections", words::count(several)),
            };
            self.wrapped(&plain, indent, &format!("{}{connections}", talker.flow));
        }
    }

    fn losses(&mut self, report: &Report) {
        if report.losses.is_empty() {
            return;
        }
        self.title("Losses");
        for interface in &report.interfaces {
            let all: Vec<_> = report
                .losses
                .iter()
                .filter(|loss| loss.interface == interface.name)
                .map(|loss| {
                    let count = loss.count.map_or("unknown".to_owned(), words::count);
                    format!("{} {count}", loss.name)
                })
                .collect();
            self.of(&interface.name, &all.join(", "));
        }
    }

    fn rest(&mut self, report: &Report) {
        if report.notes.is_empty() {
            return;
        }
        self.title("Notes");
        for note in &report.notes {
            let begin = self.painted(DIM, "- ");
            self.wrapped(&begin, 2, note);
        }
    }
}

/// Longer without a frame than this is worth a word.
const QUIET: f64 = 1.0;

/// How long there was none at the end, where that is long.
fn since(last: Option<Wall>, end: Wall) -> String {
    let quiet = last.map_or(0.0, |last| seconds_between(last, end));
    if quiet < QUIET {
        return String::new();
    }
    format!(", none in the last {}", words::lasting(quiet))
}

/// The words of a text; a number stays with its unit.
fn unbroken(text: &str) -> Vec<String> {
    const UNITS: [&str; 8] = ["s", "s:", "s,", "min", "h", "MB", "bytes", "frames/s"];
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let ends_in_digit = |last: &String| last.ends_with(|c: char| c.is_ascii_digit());
        match words.last_mut().filter(|last| UNITS.contains(&word) && ends_in_digit(last)) {
            Some(last) => *last += &format!(" {word}"),
            None => words.push(word.to_owned()),
        }
    }
    words
}

/// What a step says, and where and which way, unless the sentence does.
fn said(step: &Step) -> String {
    let place = step.interface.as_deref().unwrap_or("");
    let whose = [place, words::short(step.direction)];
    let whose: Vec<_> = whose.into_iter().filter(|word| !word.is_empty()).collect();
    let Step { time, until, lasts, times, count, sentence, .. } = step;
    let course = course(sentence, (*time, *until), *lasts, *times, *count);
    if whose.is_empty() || step.sentence.contains(place) {
        return step.sentence.clone() + &course;
    }
    format!("{}: {}{course}", whose.join(" "), step.sentence)
}

/// Red, yellow, blue, plain.
fn paint(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "\x1b[1;31m",
        Severity::Warning => "\x1b[33m",
        Severity::Notice => "\x1b[36m",
        Severity::Info => DIM,
    }
}

/// A severity in a narrow column, so that colour is not needed: the worse ones in capitals.
pub(crate) fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "CRIT",
        Severity::Warning => "WARN",
        Severity::Notice => "note",
        Severity::Info => "info",
    }
}

fn date(wall: Wall) -> String {
    wall.to_string().chars().take("2026-11-22".len()).collect()
}

/// Microseconds are enough to find a frame, where one tells the time; the day only where there are several.
fn time_of(wall: Wall, about: bool, dated: bool) -> String {
    let text = wall.to_string();
    let begin = if dated { 0 } else { "2026-11-22T".len() };
    let shown = |end: &str| text.get(begin..end.len()).unwrap_or(&text).to_owned();
    if about {
        format!("about {:9}", shown("2026-11-22T14:14:20"))
    } else {
        shown("2026-11-22T14:14:20.811089")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_stands_above_what_is_said_of_it() {
        let look = Look { width: 60, color: false, offset_minutes: None };
        for (name, expected) in [
            ("eth0", "eth0              in 2 frames\n"),
            ("2026_09_01-22_00_00", "2026_09_01-22_00_00\n                  in 2 frames\n"),
        ] {
            let mut page = Page { out: String::new(), look };
            page.of(name, "in 2 frames");
            assert_eq!(page.out, expected);
        }
    }

    #[test]
    fn numbers_stay_with_their_units() {
        assert_eq!(unbroken("for 31.9 s or 5 min s"), ["for", "31.9 s", "or", "5 min", "s"]);
    }
}
