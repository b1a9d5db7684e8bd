//! Bursts of what TCP complains about: resets, segments sent again, windows that are closed.
//!
//! Each by number and by share of all segments, see [`Burst`]: a busy link has many resets and a
//! quiet one has a high share of them, both are ordinary; both at once are not. Segments are sent again in a
//! burst also where a queue overflows once, so that must last; and what is sent again during a storm is the
//! storm's doing. Losses that are fewer, and more than usual, are told beside it (`tcp_loss`).

use std::time::Duration;

use super::condition::{Course, Level, Meter};
use super::{Burst, Draft, Options, Scene};
use crate::detect::tap::{Summary, TcpCounts};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::Mono;
use crate::words::figure;

/// Of one interface, both directions together: a reset says the same whoever sends it.
#[derive(Debug)]
pub(super) struct Bursts([Complaint; 3]);

#[derive(Debug)]
struct Complaint {
    kind: FindingKind,
    words: &'static str,
    burst: Burst,
    /// Segments that complain, and those they are a share of.
    counts: fn(&TcpCounts) -> (u64, u64),
    complaints: Meter,
    segments: Meter,
    before: Option<u64>,
    /// The last reading before it rose to what may become a burst.
    rose: Option<Mono>,
    course: Course,
}

/// Half of the burst's rate and share is still part of it.
const CALM: f64 = 0.5;
/// So long segments must be sent again: TCP repairs what one overflow lost within a few round trips.
const REPAIRED: Duration = Duration::from_secs(2);
/// So long it must be calm.
const QUIET: Duration = Duration::from_secs(2);

impl Bursts {
    pub(super) fn new(options: &Options) -> Self {
        let complaint = |kind, words, burst, counts: fn(&TcpCounts) -> (u64, u64)| {
            let sent_again = kind == FindingKind::TcpRetransmissionBurst;
            let hold = if sent_again { REPAIRED } else { Duration::ZERO };
            Complaint {
                kind,
                words,
                burst,
                counts,
                complaints: Meter::default(),
                segments: Meter::default(),
                before: None,
                rose: None,
                course: Course::new(hold, QUIET),
            }
        };
        Self([
            complaint(FindingKind::TcpResetBurst, "TCP resets", options.tcp_resets, |tcp| {
                (tcp.resets, tcp.segments)
            }),
            complaint(
                FindingKind::TcpRetransmissionBurst,
                "TCP segments sent again",
                options.tcp_retransmissions,
                |tcp| (tcp.retransmissions, tcp.followed),
            ),
            complaint(
                FindingKind::TcpZeroWindow,
                "TCP segments with a closed window",
                options.tcp_zero_windows,
                |tcp| (tcp.zero_windows, tcp.segments),
            ),
        ])
    }

    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        findings: &mut Vec<Finding>,
    ) {
        for complaint in &mut self.0 {
            findings.extend(complaint.judge(scene, summary));
        }
    }
}

impl Complaint {
    fn judge(&mut self, scene: Scene<'_>, summary: &Summary) -> Option<Finding> {
        let at = summary.at;
        let (complaints, segments) = (self.counts)(&summary.tcp);
        let more = complaints.saturating_sub(self.before.replace(complaints).unwrap_or(complaints));
        let rate = self.complaints.rate(at.mono, complaints);
        let segments = self.segments.rate(at.mono, segments);
        let (rate, segments) = (rate?, segments?);
        let share = if segments > 0.0 { rate / segments } else { 0.0 };
        let levels = [
            Level::above(rate, self.burst.per_second, CALM),
            Level::above(share, self.burst.share, CALM),
        ];
        let storms = !summary.storms.is_empty();
        let level = match levels {
            _ if storms && self.kind == FindingKind::TcpRetransmissionBurst => Level::Below,
            [Level::Beyond, Level::Beyond] => Level::Beyond,
            [Level::Below, _] | [_, Level::Below] => Level::Below,
            _ => Level::Between,
        };
        if level != Level::Beyond {
            self.rose = self.rose.filter(|_| self.course.is_on());
        } else {
            // What makes it a burst came in the second before, and began in it or before it.
            let second = at.mono.minus(Duration::from_secs(1));
            self.rose.get_or_insert(self.complaints.rises_since().unwrap_or(second));
        }
        let mut span = self.course.judge(at, level, more)?;
        if !span.over {
            span.first.mono = self.rose.unwrap_or(at.mono);
            span.first.wall = at.offset().wall(span.first.mono);
            span.count = rate as u64;
        }
        let what = format!("{} {}/s, {:.0} % of all", self.words, figure(rate), share * 100.0);
        let sentence = if span.over {
            format!("burst of {} on {}: {}", self.words, scene.interface, span.count)
        } else {
            format!("burst on {}: {what}", scene.interface)
        };
        let (kind, severity) = (self.kind, Severity::Warning);
        let direction = Direction::Unknown;
        Some(scene.finding(span, Draft { kind, severity, direction, what, sentence }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::summary;
    use super::*;

    /// What is told when, if so many segments and resets come a second.
    fn told(rates: impl Fn(u64) -> (u64, u64)) -> Vec<(u64, FindingKind, bool)> {
        let mut bursts = Bursts::new(&Options::default());
        let (mut tcp, mut told) = (TcpCounts::default(), Vec::new());
        for second in 0..60 {
            let mut seen = summary(second * 1_000);
            seen.tcp = tcp;
            let mut findings = Vec::new();
            bursts.judge(Scene { interface: "eth0" }, &seen, &mut findings);
            told.extend(findings.into_iter().map(|f| (second, f.kind, f.over)));
            let (segments, resets) = rates(second);
            tcp.segments += segments;
            tcp.resets += resets;
        }
        told
    }

    #[test]
    fn a_burst_is_many_and_a_high_share() {
        let kind = FindingKind::TcpResetBurst;
        let story = |s| if (10..20).contains(&s) { (1_000, 500) } else { (1_000, 1) };
        assert_eq!(told(story), [(11, kind, false), (22, kind, true)]);
        for (name, rates) in [
            ("many of very many", (100_000, 900)),
            ("all of a few", (20, 20)),
            ("none", (1_000, 0)),
        ] {
            assert_eq!(told(|_| rates), [], "{name}");
        }
    }
}
