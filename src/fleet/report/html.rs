//! The report of several hosts as one page for browsers: a lane for each host, error bars as whiskers, and lines
//! between the ends of a link where it stopped to carry. No script: what is drawn is in the page.

use minijinja::context;
use serde::Serialize;

use super::link::delays;
use super::model::{FleetReport, LinkSummary, TimelineRow, bar};
use super::text::counts;
use crate::error::Result;
use crate::report::rendered;
use crate::time::Wall;
use crate::words;

/// Where the axis of time begins and ends in the drawing, and what it keeps free beside the first and last row.
const AXIS: (f64, f64) = (160.0, 990.0);
const MARGIN: f64 = 10.0;
/// Height of a lane, and of what is above the first.
const LANE: usize = 34;
const ABOVE: usize = 44;
/// Rows that are drawn, and seconds of losses that are listed.
const DRAWN: usize = 400;
const SECONDS: usize = 60;

#[derive(Serialize)]
struct Lane<'a> {
    name: &'a str,
    y: usize,
    marks: Vec<Mark>,
}

#[derive(Serialize)]
struct Mark {
    x: f64,
    left: f64,
    right: f64,
    unknown: bool,
    severity: String,
    title: String,
}

/// Where a link stopped to carry.
#[derive(Serialize)]
struct Crossing {
    x: f64,
    from: usize,
    to: usize,
    title: String,
}

#[derive(Serialize)]
struct RowShown<'a> {
    #[serde(flatten)]
    row: &'a TimelineRow,
    bar: String,
}

#[derive(Serialize)]
struct LinkShown<'a> {
    ends: String,
    routed: bool,
    matches: u64,
    delays: Option<String>,
    ways: Vec<String>,
    differences: &'a [String],
    seconds: String,
}

/// The page.
///
/// # Errors
/// Never with the template as it is: its own errors are found by a test.
pub fn html(report: &FleetReport) -> Result<String> {
    let axis = Axis::of(&report.rows);
    let lanes: Vec<Lane<'_>> = report
        .hosts
        .iter()
        .enumerate()
        .map(|(n, host)| Lane {
            name: &host.name,
            y: ABOVE + n * LANE,
            marks: report
                .rows
                .iter()
                .filter(|row| row.host == host.name)
                .take(DRAWN)
                .map(|row| axis.mark(row))
                .collect(),
        })
        .collect();
    let y = |host: &str| lanes.iter().find(|lane| lane.name == host).map_or(0, |lane| lane.y);
    let drawn: Vec<Crossing> =
        report.links.iter().flat_map(|link| crossings(link, &axis, y)).collect();
    rendered(
        include_str!("page.html"),
        "",
        context! {
            report => report,
            height => ABOVE + report.hosts.len() * LANE,
            from => axis.from.milliseconds(),
            to => axis.to.milliseconds(),
            lanes => lanes,
            drawn => drawn,
            rows => report.rows.iter().map(|row| RowShown { row, bar: bar(row.bar_ns) }).collect::<Vec<_>>(),
            links => report.links.iter().map(shown).collect::<Vec<_>>(),
        },
    )
}

fn crossings(link: &LinkSummary, axis: &Axis, y: impl Fn(&str) -> usize) -> Vec<Crossing> {
    let dead = link.ways.iter().filter_map(|way| way.dead);
    let title = link.differences.join("; ");
    let [from, to] = [0, 1].map(|end| y(&link.ends[end].host));
    dead.map(|dead| Crossing { x: axis.x(dead.from.0), from, to, title: title.clone() }).collect()
}

fn shown(link: &LinkSummary) -> LinkShown<'_> {
    let [one, other] = &link.ends;
    let named = [(one, other), (other, one)].into_iter().zip(&link.ways);
    let ways =
        named.map(|((from, to), way)| format!("{} → {}: {}", from.host, to.host, counts(way)));
    let lost = link.ways.iter().flat_map(|way| &way.lost_by_second).take(SECONDS);
    let lost =
        lost.map(|(second, lost)| format!("{} {}", second.time_of_day(), words::count(*lost)));
    LinkShown {
        ends: format!("{one} – {other}"),
        routed: link.routed,
        matches: link.matches,
        delays: link.least_delay_sum_ns.map(|sum| delays(&link.ends, sum)),
        ways: if link.routed { Vec::new() } else { ways.collect() },
        differences: &link.differences,
        seconds: lost.collect::<Vec<_>>().join(", "),
    }
}

/// From times to places.
struct Axis {
    from: Wall,
    to: Wall,
}

impl Axis {
    fn of(rows: &[TimelineRow]) -> Self {
        let times = rows.iter().map(|row| row.time);
        let (from, to) = (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default());
        Self { from, to }
    }

    fn x(&self, time: u64) -> f64 {
        let whole = self.to.0.saturating_sub(self.from.0).max(1) as f64;
        let part = (time as f64 - self.from.0 as f64) / whole;
        let place = AXIS.0 + MARGIN + part * (AXIS.1 - AXIS.0 - 2.0 * MARGIN);
        (place.clamp(AXIS.0, AXIS.1) * 10.0).round() / 10.0
    }

    fn mark(&self, row: &TimelineRow) -> Mark {
        let (left, right) = match row.bar_ns {
            Some(bar) => (row.time.0.saturating_sub(bar), row.time.0.saturating_add(bar)),
            None => (0, u64::MAX),
        };
        Mark {
            x: self.x(row.time.0),
            left: self.x(left),
            right: self.x(right),
            unknown: row.bar_ns.is_none(),
            severity: row.severity.name().to_owned(),
            title: format!("{} {}: {}", row.time, bar(row.bar_ns), row.sentence),
        }
    }
}
