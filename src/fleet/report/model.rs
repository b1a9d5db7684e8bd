//! The one model of a report of several hosts, from which text, JSON and HTML are made. Its JSON is the public format
//! of `docs/fleet-report.md`: within a version fields are added, never renamed or removed.
//!
//! All times are by the clock of the reference host; `bar_ns` says how far one may be off to either side, null where
//! nobody knows.

use serde::Serialize;

use crate::finding::Severity;
use crate::time::Wall;
use crate::words;

/// Value of `format`: what tells this file from any other JSON.
pub const FORMAT: &str = "dashcap-fleet-report";
/// Value of `version`; raised when a reader of the old one would misunderstand.
pub const VERSION: u32 = 1;

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub struct FleetReport {
    /// [`FORMAT`].
    pub format: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// Program and version.
    pub written_by: &'static str,
    /// The whole of it in one sentence.
    pub headline: String,
    /// The host whose clock all times are by.
    pub reference: String,
    /// All hosts, in the order in which they were named.
    pub hosts: Vec<HostSummary>,
    /// Where it began.
    pub onset: FleetOnset,
    /// What happened, in order of time; of rows whose bars overlap nobody knows the order.
    pub rows: Vec<TimelineRow>,
    /// Rows beyond those.
    pub rows_more: u64,
    /// Links between hosts, found by the frames that both ends saw.
    pub links: Vec<LinkSummary>,
    /// What contradicts what, a sentence each.
    pub contradictions: Vec<String>,
    /// What was not in order with the files, a sentence each.
    pub damage: Vec<String>,
    /// What one must know to read this, a sentence each.
    pub notes: Vec<String>,
}

/// One host.
#[derive(Debug, Clone, Serialize)]
pub struct HostSummary {
    /// Its name.
    pub name: String,
    /// What was read of it.
    pub files: Vec<String>,
    /// What its own report says in one sentence.
    pub headline: String,
    /// Its frames.
    pub frames: u64,
    /// First and last moment that it covers, by the reference; null where it has none.
    pub covers: Option<(Wall, Wall)>,
    /// Its clock less the reference, in the middle of everything; null where nobody knows.
    pub offset_ns: Option<i64>,
    /// How far that may be off.
    pub bar_ns: Option<u64>,
    /// `reference`, `frames`, `claimed`, `assumed` or `unknown`.
    pub found_by: &'static str,
    /// The same for a person.
    pub sentence: String,
    /// How often its clock was set while it recorded.
    pub clock_set: u64,
}

/// Where it began.
#[derive(Debug, Clone, Serialize)]
pub struct FleetOnset {
    /// The one row that was before all others, or all that may have been; numbers of `rows`.
    pub candidates: Vec<usize>,
    /// For a person.
    pub sentence: String,
}

/// One row of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimelineRow {
    /// When, by the reference.
    pub time: Wall,
    /// How far that may be off.
    pub bar_ns: Option<u64>,
    /// Until when; null for a moment.
    pub until: Option<Wall>,
    /// It had not ended then.
    pub lasts: bool,
    /// Nobody knows whether it was before the row above, or behind.
    pub order_unknown: bool,
    /// The host; of what is about a link, the one that sends.
    pub host: String,
    /// When, by the host's own clock.
    pub by_own_clock: Wall,
    /// As in `docs/findings.md`; `trigger`; `way_dead` for what a link does not carry.
    pub kind: String,
    /// How bad.
    pub severity: Severity,
    /// Where on the host.
    pub interface: Option<String>,
    /// For a person.
    pub sentence: String,
}

/// Two observation points that saw the same frames.
#[derive(Debug, Clone, Serialize)]
pub struct LinkSummary {
    /// Its ends.
    pub ends: [LinkEnd; 2],
    /// A router lies in between: then nobody knows what should arrive.
    pub routed: bool,
    /// Frames that prove it.
    pub matches: u64,
    /// The smallest sum of the delays of both ways, in nanoseconds; each of them is between zero and it.
    pub least_delay_sum_ns: Option<u64>,
    /// From the first end to the second, and back.
    pub ways: [WaySummary; 2],
    /// For a person: what differs.
    pub differences: Vec<String>,
}

/// One end of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkEnd {
    /// The host.
    pub host: String,
    /// Its interface.
    pub interface: String,
}

/// One way of a link. Counts are of frames as the sender's host saw them; null where a router lies in between.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct WaySummary {
    /// Seen at both ends.
    pub both: Option<u64>,
    /// Seen by the sender only: lost.
    pub lost: Option<u64>,
    /// Seen by the receiver only.
    pub receiver_only: Option<u64>,
    /// Of which nobody knows, by reason.
    pub unknown: Vec<UnknownFrames>,
    /// Lost frames in each second, by the reference, where there are any.
    pub lost_by_second: Vec<(Wall, u64)>,
    /// From when on nothing came; null where that did not happen.
    pub dead: Option<DeadTime>,
}

/// Frames of which nobody knows whether they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnknownFrames {
    /// Why.
    pub reason: String,
    /// How many.
    pub frames: u64,
}

/// A time in which nothing came of what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DeadTime {
    /// The first frame that did not come.
    pub from: Wall,
    /// How far that may be off.
    pub bar_ns: Option<u64>,
    /// The same by the sender's own clock.
    pub from_by_sender: Wall,
    /// The first one that came again; null where none did.
    pub until: Option<Wall>,
    /// Frames that did not come.
    pub frames: u64,
    /// Frames of the other way that came meanwhile.
    pub other_way: u64,
    /// Frames of the other way that did not.
    pub other_way_lost: u64,
}

impl std::fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.host, self.interface)
    }
}

/// A span of nanoseconds with three digits at most, in the unit that people take: `38 µs`, `1.20 ms`, `3.00 s`.
pub(super) fn span(nanos: u64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
    let value = nanos as f64;
    let (size, unit) = UNITS.into_iter().find(|(size, _)| value >= *size).unwrap_or((1.0, "ns"));
    let figure = value / size;
    match figure {
        f if f >= 1_000.0 => format!("{} {unit}", words::count(f.round() as u64)),
        f if f >= 100.0 || unit == "ns" => format!("{f:.0} {unit}"),
        f if f >= 10.0 => format!("{f:.1} {unit}"),
        f => format!("{f:.2} {unit}"),
    }
}

/// How far something may be off: `± 38.0 µs`, `± ?` where nobody knows. Never less than it is.
pub(super) fn bar(nanos: Option<u64>) -> String {
    nanos.map_or_else(|| "± ?".to_owned(), |nanos| format!("± {}", span(nanos + nanos / 200)))
}

/// With a sign: `+1.20 ms`.
pub(super) fn signed(nanos: i64) -> String {
    format!("{}{}", if nanos < 0 { '-' } else { '+' }, span(nanos.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_three_digits_and_bars_are_never_too_small() {
        for (nanos, told) in [
            (0, "0 ns"),
            (38, "38 ns"),
            (38_400, "38.4 µs"),
            (1_203_000, "1.20 ms"),
            (412_000_000, "412 ms"),
            (3_600_000_000_000, "3,600 s"),
        ] {
            assert_eq!(span(nanos), told);
        }
        assert_eq!(bar(None), "± ?");
        assert_eq!(bar(Some(38_440)), "± 38.6 µs");
        assert_eq!(signed(-1_500), "-1.50 µs");
    }
}
