//! Duplicate storm: one frame, many times a second.
//!
//! The ring knows which frames come so fast that it folds them; of these, the ones that come much faster
//! are storms. Hellos never are: they equal one another and come a few times a second. Copies on
//! different interfaces are different storms: who captures a bond and its ports sees each frame twice.

use std::time::Duration;

use super::condition::{Course, Level, Meter};
use super::{Draft, Scene};
use crate::detect::tap::{Storm, Summary, Tap};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::LinkType;
use crate::time::{Mono, Stamp};
use crate::words::{self, figure};

/// The storms of one interface that were seen lately.
#[derive(Debug)]
pub(super) struct Storms {
    rate: f64,
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    storm: Storm,
    link_type: LinkType,
    first: Stamp,
    copies: Meter,
    course: Course,
}

impl Storms {
    /// Slower than this part of the threshold, a storm is over.
    const CALM: f64 = 0.5;
    /// So long it must be slower: storms come in waves.
    const QUIET: Duration = Duration::from_secs(2);

    pub(super) fn new(rate: f64) -> Self {
        Self { rate, known: Vec::new() }
    }

    /// One was told and is not over.
    pub(super) fn are_on(&self) -> bool {
        self.known.iter().any(|known| known.course.is_on())
    }

    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        findings: &mut Vec<Finding>,
    ) {
        for storm in &summary.storms {
            match self.known.iter_mut().find(|known| known.is(storm)) {
                Some(known) => known.storm = storm.clone(),
                None => self.known.push(Known {
                    storm: storm.clone(),
                    link_type: summary.link_type,
                    first: stamp(summary.at, storm.first),
                    copies: Meter::default(),
                    course: Course::new(Duration::ZERO, Self::QUIET),
                }),
            }
        }
        let (rate, at) = (self.rate, summary.at);
        // As many are known as the ring folds, and those that ended in the last seconds.
        self.known.retain_mut(|known| {
            known.judge(rate, scene, at, findings);
            known.course.is_on() || summary.storms.iter().any(|storm| known.is(storm))
        });
    }
}

impl Known {
    fn is(&self, storm: &Storm) -> bool {
        self.storm.class == storm.class
            && self.storm.first == storm.first
            && self.storm.bytes == storm.bytes
    }

    fn judge(&mut self, most: f64, scene: Scene<'_>, at: Stamp, findings: &mut Vec<Finding>) {
        let copies = self.storm.copies;
        let recent = self.copies.rate(at.mono, copies);
        // In its first second the mean, of enough copies that their jitter does not matter.
        let mean = || {
            let lasted = self.storm.last.since(self.storm.first).max(Tap::INTERVAL);
            if copies as f64 >= most / 2.0 { copies as f64 / lasted.as_secs_f64() } else { 0.0 }
        };
        let level = Level::above(recent.unwrap_or_else(mean), most, Storms::CALM);
        let Some(mut span) = self.course.judge(at, level, 0) else { return };
        (span.first, span.last) = (self.first, stamp(at, self.storm.last));
        span.count = copies;
        let what = words::frame(self.link_type, &self.storm.header, &self.storm.bytes);
        let rate = span.rate().unwrap_or(copies as f64);
        let sentence = format!(
            "duplicate storm: {} identical frames a second {}: {what}",
            figure(rate),
            words::way(self.storm.header.direction, scene.interface)
        );
        let direction = self.storm.header.direction;
        findings.push(scene.finding(
            span,
            Draft {
                kind: FindingKind::DuplicateStorm,
                severity: Severity::Warning,
                direction,
                what,
                sentence,
            },
        ));
    }
}

/// The moment `mono` on both clocks, as they stand at `now`.
fn stamp(now: Stamp, mono: Mono) -> Stamp {
    Stamp { mono, wall: now.offset().wall(mono) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, summary};
    use super::*;

    fn storm(first: u64, last: u64, copies: u64) -> Storm {
        Storm {
            class: 1,
            header: crate::frame::FrameHeader::default(),
            bytes: vec![2; 60],
            first: at(first).mono,
            last: at(last).mono,
            copies,
        }
    }

    #[test]
    fn a_storm_is_told_when_it_begins_and_when_it_is_over() {
        let mut storms = Storms::new(1_000.0);
        let scene = Scene { interface: "eth0" };
        // ms, storm in the summary: last ms and copies; what is told
        for (ms, told_of, expected) in [
            (100, None, None),
            (200, Some((200, 65)), None),
            (300, Some((300, 37_000)), Some(false)),
            (400, Some((400, 74_000)), None),
            (500, Some((450, 90_000)), None),
            (1_000, Some((450, 90_000)), None),
            (2_000, None, None),
            (2_900, None, None),
            (3_000, None, Some(true)),
            (3_100, None, None),
        ] {
            let mut seen = summary(ms);
            seen.storms.extend(told_of.map(|(last, copies)| storm(150, last, copies)));
            let mut findings = Vec::new();
            storms.judge(scene, &seen, &mut findings);
            assert_eq!(findings.first().map(|f| f.over), expected, "at {ms}");
            if let Some(finding) = findings.first() {
                assert_eq!(finding.first, at(150));
                assert!(finding.rate.unwrap() > 240_000.0, "{finding:?}");
            }
        }
        assert!(storms.known.is_empty());
    }

    #[test]
    fn what_is_folded_but_slow_is_no_storm() {
        let mut storms = Storms::new(1_000.0);
        for tick in 1..100 {
            let mut seen = summary(tick * 100);
            seen.storms.push(storm(0, tick * 100, tick * 20));
            let mut findings = Vec::new();
            storms.judge(Scene { interface: "eth0" }, &seen, &mut findings);
            assert_eq!(findings, []);
        }
    }
}
