//! What the recording itself lost: frames that were dropped, times in which nothing was recorded.
//!
//! Evidence that is missing is worth a finding of its own: who reads the bundle must not take a hole for
//! a silence.

use std::time::Duration;

use super::condition::{Course, Level, Rise};
use super::{Draft, Scene};
use crate::detect::tap::{Health, Summary};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::words;

/// Of one interface.
#[derive(Debug)]
pub(super) struct Losses {
    drops: [Drops; 2],
    gaps: Rise,
    gap: Course,
}

#[derive(Debug)]
struct Drops {
    what: &'static str,
    count: fn(&Health) -> u64,
    rise: Rise,
    course: Course,
}

impl Losses {
    /// Drops come in waves; they are over when there were none for so long.
    const QUIET: Duration = Duration::from_secs(5);

    pub(super) fn new() -> Self {
        let drops = |what, count| Drops {
            what,
            count,
            rise: Rise::default(),
            course: Course::new(Duration::ZERO, Self::QUIET),
        };
        Self {
            drops: [
                drops("kernel drops: its ring was full", |health: &Health| health.kernel_dropped),
                drops("lane drops: incidents had all the memory", |health: &Health| {
                    health.lane_dropped
                }),
            ],
            gaps: Rise::default(),
            gap: Course::new(Duration::ZERO, Duration::ZERO),
        }
    }

    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        findings: &mut Vec<Finding>,
    ) {
        for drops in &mut self.drops {
            findings.extend(drops.judge(scene, summary));
        }
        // A gap between two summaries shows in the count only.
        let gaps = self.gaps.of(summary.health.gaps);
        let level = Level::of(!summary.health.recording || gaps > 0);
        let Some(span) = self.gap.judge(summary.at, level, 0) else { return };
        let what = "nothing is recorded".to_owned();
        let sentence = match (span.over, summary.at.mono.since(span.first.mono)) {
            (false, _) => format!("capture gap on {}: {what}", scene.interface),
            (true, gap) => format!(
                "capture gap on {}: nothing was recorded for {:.1} s",
                scene.interface,
                gap.as_secs_f64()
            ),
        };
        let (kind, severity) = (FindingKind::CaptureGap, Severity::Warning);
        let direction = Direction::Unknown;
        findings.push(scene.finding(span, Draft { kind, severity, direction, what, sentence }));
    }
}

impl Drops {
    fn judge(&mut self, scene: Scene<'_>, summary: &Summary) -> Option<Finding> {
        let dropped = self.rise.of((self.count)(&summary.health));
        let span = self.course.judge(summary.at, Level::of(dropped > 0), dropped)?;
        let sentence = format!(
            "{} frames on {} were not recorded, {}",
            words::count(span.count),
            scene.interface,
            self.what
        );
        let (kind, severity) = (FindingKind::Drops, Severity::Warning);
        let (direction, what) = (Direction::Unknown, self.what.to_owned());
        Some(scene.finding(span, Draft { kind, severity, direction, what, sentence }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::summary;
    use super::*;

    #[test]
    fn drops_and_gaps_are_told_twice_each() {
        let mut losses = Losses::new();
        let mut told = Vec::new();
        for second in 0..30_u64 {
            let mut seen = summary(second * 1_000);
            seen.health.kernel_dropped = 7 + second.clamp(5, 8);
            seen.health.recording = !(15..18).contains(&second);
            seen.health.gaps = u64::from(second >= 15) + u64::from(second >= 25);
            let mut findings = Vec::new();
            losses.judge(Scene { interface: "eth0" }, &seen, &mut findings);
            told.extend(findings.into_iter().map(|f| (second, f.kind, f.over, f.count)));
        }
        use FindingKind::{CaptureGap, Drops};
        assert_eq!(
            told,
            [
                (6, Drops, false, 1),
                (13, Drops, true, 3),
                (15, CaptureGap, false, 0),
                (18, CaptureGap, true, 0),
                (25, CaptureGap, false, 0),
                (26, CaptureGap, true, 0),
            ]
        );
    }
}
