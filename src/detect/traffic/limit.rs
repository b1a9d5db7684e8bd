//! Rate limits: a rate above or below what the operator allows.

use std::sync::Arc;
use std::time::Duration;

use super::condition::{Course, Level, Meter};
use super::{Bound, Draft, RateLimit, Scene, Unit};
use crate::detect::tap::{Summary, TrafficCount};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::words::{self, figure};

/// Those of the operator's limits that are about one interface.
#[derive(Debug)]
pub(super) struct Limits(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    limit: RateLimit,
    class: Option<usize>,
    meter: Meter,
    course: Course,
}

impl Limits {
    /// A rate is the mean of a second; right again for another, it is over.
    const QUIET: Duration = Duration::from_secs(1);

    pub(super) fn new(interface: &str, classes: &[Arc<str>], limits: &[RateLimit]) -> Self {
        let here = |limit: &&RateLimit| {
            limit.interface.as_ref().is_none_or(|glob| glob.is_match(interface))
        };
        let watched = limits.iter().filter(here).map(|limit| Watched {
            class: limit.class.as_ref().and_then(|name| classes.iter().position(|c| c == name)),
            meter: Meter::default(),
            course: Course::new(limit.hold, Self::QUIET),
            limit: limit.clone(),
        });
        Self(watched.collect())
    }

    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        findings: &mut Vec<Finding>,
    ) {
        for watched in &mut self.0 {
            findings.extend(watched.judge(scene, summary));
        }
    }
}

impl Watched {
    fn judge(&mut self, scene: Scene<'_>, summary: &Summary) -> Option<Finding> {
        let rate = self.meter.rate(summary.at.mono, self.total(summary))?;
        let (level, wrong, bound) = match self.limit.bound {
            Bound::Above(most) => {
                // The bound itself is allowed.
                let beyond = Level::above(rate, most.next_up(), 1.0 - self.limit.hysteresis);
                (beyond, "above", most)
            }
            Bound::Below(least) => {
                let level = match rate {
                    rate if rate < least => Level::Beyond,
                    rate if rate < least * (1.0 + self.limit.hysteresis) => Level::Between,
                    _ => Level::Below,
                };
                (level, "below", least)
            }
        };
        let span = self.course.judge(summary.at, level, 0)?;
        let unit = self.limit.unit;
        let direction = self.limit.direction.unwrap_or_default();
        let class = self.limit.class.as_ref().map_or(String::new(), |class| format!(" of {class}"));
        let what = format!("{}: {wrong} {} {unit}{class}", self.limit.name, figure(bound));
        let sentence = format!(
            "rate {}: {} {unit}{class} {}, {wrong} {}",
            self.limit.name,
            figure(rate),
            words::way(direction, scene.interface),
            figure(bound)
        );
        let (kind, severity) = (FindingKind::RateLimit, Severity::Warning);
        let draft = Draft { kind, severity, direction, what, sentence };
        Some(Finding { rate: Some(rate), ..scene.finding(span, draft) })
    }

    fn total(&self, summary: &Summary) -> u64 {
        const BITS: u64 = 8;
        let classes = summary.classes.iter().enumerate();
        let wanted = classes.filter(|(number, _)| self.class.is_none_or(|class| class == *number));
        let count = |count: &TrafficCount| match self.limit.unit {
            Unit::Frames => count.frames,
            Unit::Bits => count.bytes * BITS,
        };
        wanted
            .map(|(_, class)| match self.limit.direction {
                Some(direction) => count(&class[direction as usize]),
                None => class.iter().map(count).sum(),
            })
            .sum()
    }
}

/// Every direction that a source tells.
pub(super) const DIRECTIONS: [Direction; 3] =
    [Direction::Unknown, Direction::Inbound, Direction::Outbound];

#[cfg(test)]
mod tests {
    use globset::Glob;

    use super::super::tests::{counts, summary};
    use super::*;

    fn limit(bound: Bound) -> RateLimit {
        RateLimit {
            name: "test".into(),
            interface: None,
            class: Some("data".into()),
            direction: Some(Direction::Inbound),
            unit: Unit::Frames,
            bound,
            hysteresis: 0.2,
            hold: Duration::from_millis(500),
        }
    }

    /// What is told at which millisecond, if frames come at these rates for so many seconds each.
    fn told(limit: RateLimit, story: &[(u64, u64)]) -> Vec<(u64, bool)> {
        let classes = ["control".into(), "data".into()];
        let mut limits = Limits::new("eth0", &classes, &[limit]);
        let (mut ms, mut frames, mut told) = (0, 0, Vec::new());
        for (seconds, rate) in story {
            for _ in 0..seconds * 10 {
                let mut seen = summary(ms);
                seen.classes[1] = counts(frames, 7 * frames);
                let mut findings = Vec::new();
                limits.judge(Scene { interface: "eth0" }, &seen, &mut findings);
                told.extend(findings.iter().map(|f| (ms, f.over)));
                ms += 100;
                frames += rate / 10;
            }
        }
        told
    }

    #[test]
    fn rates_are_judged_with_hysteresis_and_after_a_time() {
        let above = Bound::Above(1_000.0);
        let below = Bound::Below(100.0);
        let here = RateLimit {
            interface: Some(Glob::new("eth*").unwrap().compile_matcher()),
            ..limit(above)
        };
        let elsewhere = RateLimit {
            interface: Some(Glob::new("wlan*").unwrap().compile_matcher()),
            ..limit(above)
        };
        let bits = RateLimit { unit: Unit::Bits, ..limit(Bound::Above(1_000_000.0)) };
        let both = RateLimit { direction: None, ..limit(Bound::Above(9_000.0)) };
        let loud = [(3, 500), (3, 2_000), (3, 900), (4, 100)];
        for (name, limit, story, count) in [
            ("above, and over below 800", limit(above), &loud[..], 2),
            ("here", here, &loud, 2),
            ("elsewhere", elsewhere, &loud, 0),
            ("bits", bits, &loud, 2),
            ("both directions", both, &loud, 2),
            ("a moment", limit(above), &[(3, 1_000), (3, 1_010), (3, 100)], 2),
            ("exactly", limit(above), &[(6, 1_000)], 0),
            ("below", limit(below), &[(3, 500), (3, 50), (3, 110), (3, 500)], 2),
            ("never a second of it", limit(below), &[(3, 500)], 0),
        ] {
            let told = told(limit, story);
            assert_eq!(told.len(), count, "{name}: {told:?}");
            assert!(told.iter().map(|(_, over)| *over).eq([false, true].into_iter().take(count)));
        }
        let times = told(limit(above), &loud);
        // 500 ms after the mean of a second is above; one second after it is below 800.
        assert!((3_400..=4_200).contains(&times[0].0), "{times:?}");
        assert!((10_000..=11_500).contains(&times[1].0), "{times:?}");
    }
}
