//! One-way traffic: this host sends and nobody answers, or receives and answers nobody, where both went
//! on before. A transmit path that is dead looks like this, with a carrier that is up.
//!
//! ```text
//!   parts of the time it must last     B B B B t B B B B B t t t t t t ─► told
//!   B both ways, t sent only, r received only, pauses left out
//!                                      └── 9 of 10 B ───┘ └── 6 t ──┘
//! ```
//!
//! Only frames to single stations count: multicast and broadcast are one-sided by nature, and hellos are
//! still heard where no answer is. Of the ordinary one-sided flows (logs sent, video received), those
//! that were there before are part of the picture, and for new ones see [`Options::default`].
//!
//! [`Options::default`]: super::Options

use std::collections::VecDeque;
use std::time::Duration;

use super::condition::{Course, Level};
use super::{Draft, Scene};
use crate::detect::tap::Summary;
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::{Mono, Stamp};
use crate::words;

/// Both ways of one interface.
#[derive(Debug)]
pub(super) struct OneWay {
    part: Duration,
    begun: Option<(Stamp, [u64; 2])>,
    sides: [Side; 2],
}

/// One way: frames go there, and none come back.
#[derive(Debug)]
struct Side {
    direction: Direction,
    severity: Severity,
    /// Parts in which frames went there: true where some came back.
    usual: VecDeque<bool>,
    /// Parts in a row in which none came back, and frames in them.
    alone: usize,
    frames: u64,
    since: Stamp,
    /// Mean time between two that came back, of the last part in which some did.
    between: Duration,
    course: Course,
}

/// Parts that it must last.
const PARTS: u32 = 6;
/// Parts by which is judged what is usual; five times as many.
const USUAL: usize = 30;
/// Fewest of them.
const LEAST_USUAL: usize = 6;
/// Part of them in which it went both ways.
const BOTH: f64 = 0.9;
/// Frames a second without which nothing is concluded.
const LEAST: f64 = 10.0;

impl OneWay {
    pub(super) fn new(after: Duration) -> Self {
        let side = |direction, severity| Side {
            direction,
            severity,
            usual: VecDeque::new(),
            alone: 0,
            frames: 0,
            since: Stamp::default(),
            between: Duration::ZERO,
            course: Course::new(Duration::ZERO, Duration::ZERO),
        };
        // Who receives a flow may have nothing to say; who sends one is asked back, see above.
        let sides = [
            side(Direction::Outbound, Severity::Warning),
            side(Direction::Inbound, Severity::Notice),
        ];
        Self { part: after / PARTS, begun: None, sides }
    }

    pub(super) fn judge(
        &mut self,
        scene: Scene<'_>,
        summary: &Summary,
        findings: &mut Vec<Finding>,
    ) {
        let [sent, received] = [Direction::Outbound, Direction::Inbound];
        let now = [sent, received].map(|direction| summary.total(direction).addressed);
        let (begun, before) = *self.begun.get_or_insert((summary.at, now));
        let passed = summary.at.mono.since(begun.mono);
        if passed < self.part {
            return;
        }
        self.begun = Some((summary.at, now));
        let [out, back] = [now[0].saturating_sub(before[0]), now[1].saturating_sub(before[1])];
        let busy = |frames: u64| frames as f64 >= LEAST * passed.as_secs_f64();
        let lasts = [received, sent].map(|way| summary.stations.addressed[way as usize]);
        let sides = self.sides.iter_mut().zip([[out, back], [back, out]]).zip(lasts);
        for ((side, [there, back]), last) in sides {
            if busy(there) || back > 0 {
                side.between = u32::try_from(back)
                    .ok()
                    .filter(|back| *back > 0)
                    .map_or(side.between, |back| passed / back);
                // When the frame after the last one that came back was due.
                let since = if last == Mono(0) { begun.mono } else { last.plus(side.between) };
                let since = since.min(summary.at.mono);
                let since = Stamp { mono: since, wall: summary.at.offset().wall(since) };
                findings.extend(side.part(scene, (since, summary.at), there, back, busy(there)));
            }
        }
    }
}

impl Side {
    fn part(
        &mut self,
        scene: Scene<'_>,
        (begun, at): (Stamp, Stamp),
        there: u64,
        back: u64,
        busy: bool,
    ) -> Option<Finding> {
        if back > 0 {
            let alone = std::mem::take(&mut self.alone);
            (0..alone.min(USUAL)).for_each(|_| self.remember(false));
            if busy {
                self.remember(true);
            }
            self.frames = 0;
        } else {
            if self.alone == 0 {
                self.since = begun;
            }
            self.alone += 1;
            self.frames += there;
        }
        let both = self.usual.iter().filter(|both| **both).count();
        let was_both =
            self.usual.len() >= LEAST_USUAL && both as f64 >= BOTH * self.usual.len() as f64;
        let level = match self.alone {
            0 => Level::Below,
            alone if alone >= PARTS as usize && was_both => Level::Beyond,
            _ => Level::Between,
        };
        let mut span = self.course.judge(at, level, there)?;
        if !span.over {
            (span.first, span.count) = (self.since, self.frames);
        }
        let (does, not) = match self.direction {
            Direction::Outbound => ("sent", "received"),
            _ => ("received", "sent"),
        };
        let what = format!("frames to single stations are {does}, none are {not}");
        let sentence = format!(
            "one-way traffic on {}: {} {what}, where both went on before",
            scene.interface,
            words::count(span.count),
        );
        let (kind, direction, severity) = (FindingKind::OneWay, self.direction, self.severity);
        Some(scene.finding(span, Draft { kind, severity, direction, what, sentence }))
    }

    fn remember(&mut self, both: bool) {
        if self.usual.len() == USUAL {
            self.usual.pop_front();
        }
        self.usual.push_back(both);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, counts, summary};
    use super::*;

    /// What is told when, if so many frames a second are received and sent.
    fn told(rates: impl Fn(u64) -> (u64, u64)) -> Vec<(u64, Direction, bool)> {
        let mut one_way = OneWay::new(Duration::from_secs(60));
        let (mut received, mut sent, mut told) = (0, 0, Vec::new());
        for second in 0..2_000 {
            let mut seen = summary(second * 1_000);
            seen.classes[1] = counts(received, sent);
            let mut findings = Vec::new();
            one_way.judge(Scene { interface: "eth0" }, &seen, &mut findings);
            told.extend(findings.into_iter().map(|f| (second, f.direction, f.over)));
            let (more_received, more_sent) = rates(second);
            received += more_received;
            sent += more_sent;
        }
        told
    }

    #[test]
    fn both_ways_before_and_one_way_now_is_told() {
        use Direction::{Inbound, Outbound};
        assert_eq!(
            told(|s| if (600..800).contains(&s) { (0, 500) } else { (100, 50) }),
            [(660, Outbound, false), (810, Outbound, true)]
        );
        assert_eq!(told(|s| if s < 600 { (100, 50) } else { (500, 0) }), [(660, Inbound, false)]);
    }

    /// Regression: it was said to begin where a part of the time does, up to ten seconds off.
    #[test]
    fn it_begins_when_the_next_frame_that_comes_back_was_due() {
        let (mut one_way, mut findings) = (OneWay::new(Duration::from_secs(60)), Vec::new());
        for ms in (0..400_000).step_by(100) {
            let mut seen = summary(ms);
            let last = ms.min(207_300);
            seen.classes[1] = counts(last / 100, ms / 10);
            seen.stations.addressed[Direction::Inbound as usize] = at(last).mono;
            one_way.judge(Scene { interface: "eth0" }, &seen, &mut findings);
        }
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        let begun = finding.first.mono.0 / 1_000_000;
        assert!((207_390..207_450).contains(&begun), "the last at 207.3 s, ten a second: {begun}");
    }

    #[test]
    fn ordinary_asymmetry_is_no_finding() {
        type Rates = Box<dyn Fn(u64) -> (u64, u64)>;
        let ordinary: [(&str, Rates); 7] = [
            ("download", Box::new(|_| (5_000, 40))),
            (
                "logs sent, neighbour asked once a minute",
                Box::new(|s| (u64::from(s % 45 == 0), 50)),
            ),
            ("only ever received", Box::new(|_| (1_000, 0))),
            ("only ever sent", Box::new(|_| (0, 1_000))),
            ("then nothing at all", Box::new(|s| if s < 600 { (100, 50) } else { (0, 0) })),
            ("then a trickle", Box::new(|s| if s < 600 { (100, 50) } else { (0, s % 2) })),
            ("half a minute", Box::new(|s| if s % 100 < 30 { (0, 50) } else { (100, 50) })),
        ];
        for (name, rates) in ordinary {
            assert_eq!(told(rates), [], "{name}");
        }
    }
}
