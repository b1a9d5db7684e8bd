//! Near-duplicate loop: packets that go in a circle between routers, until their time to live is over.
//!
//! The tap proved each of them by comparing bytes; one is enough.

use std::time::Duration;

use super::condition::{Course, Level, Rise};
use super::{Draft, Scene};
use crate::detect::tap::{Circle, Summary};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::words;

/// The loop of one interface: several at once are one finding.
#[derive(Debug)]
pub(super) struct Circling {
    course: Course,
    packets: Rise,
    copies: Rise,
    last: Option<Circle>,
}

impl Circling {
    /// The loop is over when no packet went in a circle for so long.
    const QUIET: Duration = Duration::from_secs(5);

    pub(super) fn new() -> Self {
        Self {
            course: Course::new(Duration::ZERO, Self::QUIET),
            packets: Rise::default(),
            copies: Rise::default(),
            last: None,
        }
    }

    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        findings: &mut Vec<Finding>,
    ) {
        let circles = &summary.circles;
        let (packets, copies) = (self.packets.of(circles.packets), self.copies.of(circles.copies));
        if circles.last.is_some() {
            self.last.clone_from(&circles.last);
        }
        let level = match (packets, copies) {
            (0, 0) => Level::Below,
            (0, _) => Level::Between,
            _ => Level::Beyond,
        };
        let Some(mut span) = self.course.judge(summary.at, level, copies) else { return };
        let (mut direction, mut what) = (Direction::Unknown, "many packets".to_owned());
        if let Some(circle) = &self.last {
            let line = words::frame(summary.link_type, &circle.header, &circle.bytes);
            what = format!("{line}, time to live {} down to {}", circle.ttl_first, circle.ttl_last);
            direction = circle.header.direction;
            if !span.over {
                let clock = summary.at.offset();
                span.first.mono = circle.first.min(span.first.mono);
                span.first.wall = clock.wall(span.first.mono);
            }
        }
        let sentence = format!(
            "routing loop: {} copies, each with less time to live, {}: {what}",
            words::count(span.count),
            words::way(direction, scene.interface)
        );
        let kind = FindingKind::NearDuplicateLoop;
        let severity = Severity::Warning;
        findings.push(scene.finding(span, Draft { kind, severity, direction, what, sentence }));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, summary};
    use super::*;
    use crate::frame::FrameHeader;

    #[test]
    fn a_proven_circle_is_told_and_so_is_its_end() {
        let mut circling = Circling::new();
        // ms, packets proven, copies, told
        for (ms, packets, copies, told) in [
            (0, 0, 0, None),
            (100, 1, 20, Some(false)),
            (200, 1, 30, None),
            (300, 2, 60, None),
            (5_000, 2, 60, None),
            (5_400, 2, 60, Some(true)),
            (9_000, 2, 60, None),
        ] {
            let mut seen = summary(ms);
            seen.circles.packets = packets;
            seen.circles.copies = copies;
            seen.circles.last = (packets > 0).then(|| Circle {
                header: FrameHeader::default(),
                bytes: vec![0; 60],
                first: at(50).mono,
                last: at(90).mono,
                ttl_first: 60,
                ttl_last: 20,
                copies: 20,
            });
            let mut findings = Vec::new();
            circling.judge(Scene { interface: "eth0" }, &seen, &mut findings);
            assert_eq!(findings.first().map(|f| f.over), told, "at {ms}");
            if told == Some(false) {
                assert_eq!(findings[0].first, at(50));
                assert!(findings[0].what.ends_with("time to live 60 down to 20"));
            }
        }
    }
}
