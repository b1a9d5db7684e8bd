//! Rate change: the rate is another than it was, for good, and nobody set a limit.
//!
//! ```text
//!   usual: 60 seconds          recent: 10 seconds
//!   ─────────────────────────┼────────────────────►
//!   the 95th of 100           the 20th of 100 is four times that: up
//!   the 5th of 100            the 80th of 100 is a quarter of that: down
//! ```
//!
//! Quantiles, not means: a burst that comes now and then is in the usual's upper part, and one that is
//! new must last for 8 of 10 seconds. A notice, since changes are ordinary; it is over when the new rate
//! is the usual one.

use std::collections::VecDeque;
use std::time::Duration;

use super::condition::ConditionSpan;
use super::limit::DIRECTIONS;
use super::{Draft, Scene};
use crate::detect::tap::Summary;
use crate::finding::{Finding, FindingKind, Severity};
use crate::time::Stamp;
use crate::words::{self, figure};

/// Each direction of one interface.
#[derive(Debug)]
pub(super) struct Changes {
    factor: f64,
    directions: [Seconds; DIRECTIONS.len()],
}

/// Frames of each of the last seconds.
#[derive(Debug, Default)]
struct Seconds {
    begun: Option<(Stamp, u64)>,
    rates: VecDeque<f64>,
    told: Option<(ConditionSpan, String)>,
}

/// Seconds that are usual, and that are recent.
const USUAL: usize = 60;
const RECENT: usize = 10;
const SECOND: Duration = Duration::from_secs(1);
/// Frames a second below which no rate matters.
const LEAST: f64 = 100.0;

impl Changes {
    pub(super) fn new(factor: f64) -> Self {
        Self { factor, directions: Default::default() }
    }

    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        findings: &mut Vec<Finding>,
    ) {
        for (direction, seconds) in DIRECTIONS.into_iter().zip(&mut self.directions) {
            let total = summary.total(direction).frames;
            let Some((span, what)) = seconds.look(summary.at, total, self.factor) else {
                continue;
            };
            let way = words::way(direction, scene.interface);
            let sentence = format!("the rate of frames {way} changed: {what}");
            let (kind, severity) = (FindingKind::RateChange, Severity::Notice);
            findings.push(scene.finding(span, Draft { kind, severity, direction, what, sentence }));
        }
    }
}

impl Seconds {
    fn look(&mut self, at: Stamp, total: u64, factor: f64) -> Option<(ConditionSpan, String)> {
        let (begun, before) = *self.begun.get_or_insert((at, total));
        let passed = at.mono.since(begun.mono);
        if passed < SECOND {
            return None;
        }
        self.begun = Some((at, total));
        self.rates.push_back(total.saturating_sub(before) as f64 / passed.as_secs_f64());
        if self.rates.len() < USUAL + RECENT {
            return None;
        }
        if let Some((span, what)) = self.told.take() {
            return Some((ConditionSpan { last: at, over: true, ..span }, what));
        }
        self.rates.truncate(USUAL + RECENT);
        let usual: Vec<f64> = self.rates.iter().take(USUAL).copied().collect();
        let recent: Vec<f64> = self.rates.iter().skip(USUAL).copied().collect();
        let up = quantile(&recent, 0.2) > factor * quantile(&usual, 0.95).max(LEAST / factor);
        let down = quantile(&usual, 0.05) > factor * quantile(&recent, 0.8).max(LEAST / factor);
        if !up && !down {
            self.rates.pop_front();
            return None;
        }
        self.rates.drain(..USUAL);
        let (was, is) = (quantile(&usual, 0.5), quantile(&recent, 0.5));
        let what = format!("from {} to {} frames/s", figure(was), figure(is));
        // The first of the recent seconds that was like the rest of them.
        let like = |rate: f64| if up { rate > factor * was } else { was > factor * rate };
        let unlike = recent.iter().take_while(|rate| !like(**rate)).count();
        let changed = at.mono.minus(SECOND * (RECENT - unlike) as u32);
        let changed = Stamp { mono: changed, wall: at.offset().wall(changed) };
        let span = ConditionSpan { first: changed, last: at, ..ConditionSpan::moment(at) };
        self.told = Some((span, what.clone()));
        Some((span, what))
    }
}

/// The value that this part of them does not exceed.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (part * (sorted.len().saturating_sub(1)) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{counts, summary};
    use super::*;

    /// The seconds at which a change is told, and whether as over.
    fn told(rate: impl Fn(u64) -> u64) -> Vec<(u64, bool)> {
        let mut changes = Changes::new(4.0);
        let (mut total, mut told) = (0, Vec::new());
        for second in 0..400 {
            let mut seen = summary(second * 1_000);
            seen.classes[1] = counts(total, 0);
            let mut findings = Vec::new();
            changes.judge(Scene { interface: "eth0" }, &seen, &mut findings);
            told.extend(findings.iter().map(|f| (second, f.over)));
            total += rate(second);
        }
        told
    }

    /// Regression: it was said to begin before the rate changed.
    #[test]
    fn a_change_begins_with_the_first_second_that_differs() {
        let (mut changes, mut total, mut findings) = (Changes::new(4.0), 0, Vec::new());
        for second in 0..260 {
            let mut seen = summary(second * 1_000);
            seen.classes[1] = counts(total, 0);
            changes.judge(Scene { interface: "eth0" }, &seen, &mut findings);
            total += if second < 200 { 500 } else { 5_000 };
        }
        assert_eq!(findings[0].first.mono.0, 200_000_000_000);
    }

    #[test]
    fn only_what_lasts_is_a_change() {
        assert_eq!(told(|s| if s < 200 { 500 } else { 5_000 }), [(208, false), (268, true)]);
        assert_eq!(told(|s| if s < 200 { 5_000 } else { 500 }), [(208, false), (268, true)]);
        assert_eq!(told(|s| if s < 200 { 0 } else { 5_000 }), [(208, false), (268, true)]);
        type Rate = Box<dyn Fn(u64) -> u64>;
        let ordinary: [(&str, Rate); 6] = [
            ("steady", Box::new(|_| 500)),
            ("a burst of 5 s", Box::new(|s| if (200..205).contains(&s) { 50_000 } else { 500 })),
            ("bursts", Box::new(|s| if s % 7 < 2 { 20_000 } else { 300 })),
            ("without a pattern", Box::new(|s| (s * 7_919 + 13) % 997 * ((s * 31) % 17))),
            ("three times", Box::new(|s| if s < 200 { 500 } else { 1_500 })),
            ("small", Box::new(|s| if s < 200 { 1 } else { 50 })),
        ];
        for (name, rate) in ordinary {
            assert_eq!(told(rate), [], "{name}");
        }
    }
}
