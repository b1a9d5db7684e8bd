//! The report as one page for browsers: it needs no network, no other file, and for its tables no script.
//!
//! The plots are drawn by the page's own script from the JSON inside it, so that they can be zoomed. What
//! comes from captures and logs is escaped by the template, and by the script put in as text only; a
//! content security policy forbids everything from elsewhere.

use minijinja::value::Value;
use minijinja::{Environment, ErrorKind, context};
use serde::Serialize;

use super::model::{Entry, Report};
use super::words;
use crate::error::{Error, Result};

/// `.html`: the template engine escapes by that.
const PAGE: &str = "page.html";
/// Findings in the page: what a browser lays out at once. All of them are in the JSON.
const SHOWN: usize = 500;
/// Most events in the page.
const EVENTS: usize = 2_000;

/// What the script draws from.
#[derive(Serialize)]
struct Drawn<'a> {
    span: &'a Option<super::model::Span>,
    offset_minutes: Option<i32>,
    trigger: &'a Option<super::model::Trigger>,
    onset: &'a Option<super::model::Onset>,
    findings: &'a [Entry],
    interfaces: &'a [super::model::Interface],
    series: &'a [super::model::Series],
    tracks: &'a [super::model::Track],
    events: &'a [super::model::Event],
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
    let data = data.replace('<', "\\u003c");
    let more = report.findings.len().saturating_sub(SHOWN) as u64 + report.findings_more;
    let mut environment = Environment::new();
    filters(&mut environment);
    let page = environment
        .render_named_str(
            PAGE,
            include_str!("page.html"),
            context! {
                report => report,
                offset => offset_minutes.map(words::offset),
                shown => SHOWN,
                more => more,
                data => data,
                style => include_str!("page.css"),
                script => include_str!("page.js"),
            },
        )
        .map_err(|e| failed(format!("{e:#}")))?;
    Ok(page)
}

fn filters(environment: &mut Environment<'_>) {
    environment.add_filter("grouped", words::count);
    environment.add_filter("figure", words::figure);
    environment.add_filter("bytes", words::bytes);
    environment.add_filter("distance", words::distance);
    environment.add_filter("bar", bar);
    environment.add_filter("lasted", lasted);
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

/// From the first to the last frame of an entry, in seconds.
fn lasted(entry: &Value) -> Result<String, minijinja::Error> {
    let moment = |name: &str| -> Result<jiff::Timestamp, minijinja::Error> {
        let text = entry.get_attr(name)?.to_string();
        text.parse().map_err(|e: jiff::Error| {
            minijinja::Error::new(ErrorKind::InvalidOperation, e.to_string())
        })
    };
    let (first, last) = (moment("first")?, moment("last")?);
    let seconds = last.duration_since(first).as_secs_f64();
    Ok(if seconds == 0.0 { String::new() } else { format!("{seconds:.3} s") })
}
