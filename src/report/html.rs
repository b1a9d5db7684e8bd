//! The report as one page for browsers: it needs no network, no other file, and for its tables no script.
//!
//! The plots are drawn by the page's own script from the JSON inside it, so that they can be zoomed. What
//! comes from captures and logs is escaped by the template, and by the script put in as text only; a
//! content security policy forbids everything from elsewhere.

use minijinja::value::Value;
use minijinja::{Environment, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::model::{Entry, Onset, Report, Step, Trigger, Usual, seconds_between};
use super::rows::{FindingRow, course, rows};
use crate::error::{Error, Result};
use crate::visible;
use crate::words;

/// `.html`: the template engine escapes by that.
const PAGE: &str = "page.html";
/// Findings in the page: what a browser lays out at once. All of them are in the JSON.
const SHOWN: usize = 500;
/// Most events in the page.
const EVENTS: usize = 2_000;

/// Draws the plots. No other script runs on the page: it is allowed by its sum.
const SCRIPT: &str = concat!(include_str!("plot.js"), include_str!("page.js"));

/// What the script draws from.
#[derive(Serialize)]
struct Drawn<'a> {
    span: &'a Option<super::model::Span>,
    offset_minutes: Option<i32>,
    trigger: &'a Option<Trigger>,
    onset: &'a Option<Onset>,
    findings: &'a [Entry],
    interfaces: &'a [super::model::InterfaceReport],
    series: &'a [super::model::Series],
    tracks: &'a [super::model::Track],
    events: &'a [super::model::HostEvent],
}

/// A row of the table of findings: one of them, or several that say the same.
#[derive(Serialize)]
struct Shown<'a> {
    /// Its first finding's place.
    number: usize,
    #[serde(flatten)]
    entry: &'a Entry,
    said: String,
    lasted: String,
    frames: u64,
}

impl<'a> Shown<'a> {
    fn of(row: &FindingRow<'a>) -> Self {
        let FindingRow { entry, at, until, lasts, count, .. } = row;
        let seconds = until.map_or(0.0, |until| seconds_between(entry.first, until));
        let lasted = match (seconds > 0.0, lasts) {
            (true, true) => format!("{}, until the end", words::lasting(seconds)),
            (true, false) => words::lasting(seconds),
            (false, true) => "until the end".to_owned(),
            (false, false) => String::new(),
        };
        let (number, said, frames) = (*at, row.sentence(), *count);
        Self { number, entry, said, lasted, frames }
    }
}

/// A step with how it went on.
fn said(step: &Step) -> String {
    let Step { time, until, lasts, times, count, sentence, .. } = step;
    sentence.clone() + &course(sentence, (*time, *until), *lasts, *times, *count)
}

/// The page; `offset_minutes` is what the local clock was ahead of UTC, to be shown.
///
/// # Errors
/// Never with the template as it is: its own errors are found by a test.
pub fn html(report: &Report, offset_minutes: Option<i32>) -> Result<String> {
    let failed = |reason: String| Error::operation("write", "the page of the report", reason);
    let drawn = Drawn {
        span: &report.span,
        offset_minutes,
        trigger: &report.trigger,
        onset: &report.onset,
        findings: &report.findings[..report.findings.len().min(SHOWN)],
        interfaces: &report.interfaces,
        series: &report.series,
        tracks: &report.tracks,
        events: &report.events[..report.events.len().min(EVENTS)],
    };
    let data = serde_json::to_string(&drawn).map_err(|e| failed(e.to_string()))?;
    // No tag can begin in it, and it is the same JSON (RFC 8259 §7).
    let data = visible::json(&data).replace('<', "\\u003c");
    let more = report.findings.len().saturating_sub(SHOWN) as u64 + report.findings_more;
    let findings: Vec<Shown<'_>> = rows(drawn.findings.iter()).iter().map(Shown::of).collect();
    let said: Vec<String> = report.chain.iter().map(said).collect();
    rendered(
        include_str!("page.html"),
        SCRIPT,
        context! {
            report => report,
            offset => offset_minutes.map(words::offset),
            findings => findings,
            said => said,
            word => report.trigger.as_ref().map(Trigger::word),
            onset => report.onset.as_ref().map(Onset::time),
            more => more,
            usual => report.usual.iter().map(Usual::sentence).collect::<Vec<_>>(),
            data => data,
        },
    )
}

/// A page of this look: what comes from outside is escaped, and no script but its own may run.
///
/// # Errors
/// What is wrong with the template.
pub(crate) fn rendered(page: &str, script: &str, told: Value) -> Result<String> {
    let mut environment = Environment::new();
    filters(&mut environment);
    let frame = context! {
        style => include_str!("page.css"),
        script => script,
        script_sum => base64(&Sha256::digest(script)),
        ..told
    };
    let page = environment
        .render_named_str(PAGE, page, frame)
        .map_err(|e| Error::operation("write", "the page of the report", format!("{e:#}")))?;
    Ok(visible::page(&page).into_owned())
}

/// RFC 4648, 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits: usize, byte| bits << 8 | usize::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        let letter = |at: usize| char::from(LETTERS[bits >> (18 - 6 * at) & 63]);
        text.extend((0..4).map(|at| if at <= three.len() { letter(at) } else { '=' }));
    }
    text
}

fn filters(environment: &mut Environment<'_>) {
    environment.add_filter("grouped", words::count);
    environment.add_filter("figure", words::figure);
    environment.add_filter("bytes", words::bytes);
    environment.add_filter("distance", words::distance);
    environment.add_filter("lasting", words::lasting);
    environment.add_filter("bar", bar);
    environment.add_filter("counted", |number: u64, noun: &str| words::counted(number, noun));
    environment.add_filter("seconds", |seconds: f64| format!("{seconds:.3}"));
    environment.add_filter("way", |direction: &str| match direction {
        "inbound" => "in",
        "outbound" => "out",
        _ => "",
    });
}

/// A bar as long as the part is of the whole; its figure beside it.
fn bar(part: u64, whole: u64) -> Value {
    let percent = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    // Numbers only: nothing from outside.
    Value::from_safe_string(format!(
        "<span class=\"bar\" style=\"width:{:.1}%\"></span> {percent:.1}%",
        percent * 0.7
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::stormy;
    use super::super::{Options, report};
    use super::*;

    /// Security review L5: any script would have run on the page.
    #[test]
    fn only_the_script_of_the_page_may_run() {
        for (text, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("fooba", "Zm9vYmE=")]
        {
            assert_eq!(base64(text.as_bytes()), encoded, "RFC 4648, 10");
        }
        let folder = tempfile::tempdir().unwrap();
        let options = Options { files: vec![stormy().save(folder.path())], ..Options::default() };
        let page = html(&report(&options, |_| {}).unwrap(), None).unwrap();
        let (_, rest) = page.split_once("<script>").unwrap();
        let (script, _) = rest.split_once("</script>").unwrap();
        assert_eq!(script, SCRIPT);
        let allowed = format!("script-src 'sha256-{}'", base64(&Sha256::digest(script)));
        for rule in [&*allowed, "base-uri 'none'", "form-action 'none'"] {
            assert!(page.contains(rule), "{rule}");
        }
    }
}
