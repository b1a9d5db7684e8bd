//! How a condition runs: it begins, lasts, and is over; and how fast something is counted.
//!
//! ```text
//!   beyond      ┌───hold───┐   ┌──┐      ┌─┐
//!   between  ───┘          │   │  └──┐   │ │
//!   below                  │ ──┘     └───┘ └────────────
//!                          ▲ told: began     └─quiet──▲ told: over
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::{Mono, Stamp};

/// How a figure stands to its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// It begins here.
    Beyond,
    /// What began lasts here, and nothing begins: hysteresis.
    Between,
    /// It ends here.
    Below,
}

impl Level {
    /// Of a figure that is wrong from `threshold` on and right again below this part of it.
    pub(super) fn above(figure: f64, threshold: f64, right_again: f64) -> Self {
        match figure {
            figure if figure >= threshold => Self::Beyond,
            figure if figure >= threshold * right_again => Self::Between,
            _ => Self::Below,
        }
    }

    /// Beyond or below.
    pub(super) fn of(beyond: bool) -> Self {
        if beyond { Self::Beyond } else { Self::Below }
    }
}

/// What has come of it so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConditionSpan {
    pub(super) first: Stamp,
    pub(super) last: Stamp,
    pub(super) count: u64,
    pub(super) over: bool,
}

impl ConditionSpan {
    /// Of something that is told at once.
    pub(super) fn moment(at: Stamp) -> Self {
        Self { first: at, last: at, count: 0, over: false }
    }

    /// Counted per second.
    pub(super) fn rate(&self) -> Option<f64> {
        let lasted = self.last.mono.since(self.first.mono).as_secs_f64();
        (lasted > 0.0 && self.count > 0).then(|| self.count as f64 / lasted)
    }
}

/// A condition that is told twice: when it has held long enough, and when it is over.
#[derive(Debug)]
pub(super) struct Course {
    hold: Duration,
    quiet: Duration,
    span: Option<ConditionSpan>,
    told: bool,
}

impl Course {
    /// Begins after `hold` without a break, is over after `quiet` without it.
    pub(super) fn new(hold: Duration, quiet: Duration) -> Self {
        Self { hold, quiet, span: None, told: false }
    }

    /// True between the two times it is told.
    pub(super) fn is_on(&self) -> bool {
        self.told
    }

    /// `count` more were counted until `at`; returns what is to be told now.
    pub(super) fn judge(&mut self, at: Stamp, level: Level, count: u64) -> Option<ConditionSpan> {
        let lasts = level == Level::Beyond || level == Level::Between && self.told;
        if lasts {
            let begun = ConditionSpan { first: at, last: at, count: 0, over: false };
            let span = self.span.get_or_insert(begun);
            span.last = at;
            span.count += count;
            let begins = !self.told && at.mono.since(span.first.mono) >= self.hold;
            self.told |= begins;
            return begins.then_some(*span);
        }
        let span = self.span?;
        if self.told && at.mono.since(span.last.mono) < self.quiet {
            return None;
        }
        self.span = None;
        std::mem::take(&mut self.told).then_some(ConditionSpan { over: true, ..span })
    }
}

/// Counts per second, over the last second, of something that is counted cumulatively.
#[derive(Debug, Default)]
pub(super) struct Meter(VecDeque<(Mono, u64)>);

impl Meter {
    /// What it looks back upon.
    const SPAN: Duration = Duration::from_secs(1);

    /// `total` were counted until `at`; none until a whole second was seen. Remembers as many readings
    /// as come in a second, and one.
    pub(super) fn rate(&mut self, at: Mono, total: u64) -> Option<f64> {
        while self.0.get(1).is_some_and(|(then, _)| at.since(*then) >= Self::SPAN) {
            self.0.pop_front();
        }
        self.0.push_back((at, total));
        let (then, before) = self.0.front()?;
        let passed = at.since(*then);
        (passed >= Self::SPAN).then(|| total.saturating_sub(*before) as f64 / passed.as_secs_f64())
    }

    /// The last reading before the count began to rise; none if it did not.
    pub(super) fn rises_since(&self) -> Option<Mono> {
        let begin = self.0.front()?.1;
        let risen = self.0.iter().position(|(_, total)| *total > begin)?;
        self.0.get(risen.checked_sub(1)?).map(|(then, _)| *then)
    }
}

/// How much a cumulative count rose since the last look.
#[derive(Debug, Default)]
pub(super) struct Rise(Option<u64>);

impl Rise {
    /// Zero at the first look: what was before is not news.
    pub(super) fn of(&mut self, total: u64) -> u64 {
        let before = self.0.replace(total).unwrap_or(total);
        total.saturating_sub(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    pub(super) fn at(ms: u64) -> Stamp {
        Stamp { mono: Mono(ms * 1_000_000), wall: Wall(ms * 1_000_000) }
    }

    #[test]
    fn it_begins_after_hold_and_is_over_after_quiet() {
        use Level::{Below, Between, Beyond};
        let mut course = Course::new(Duration::from_millis(200), Duration::from_millis(300));
        // ms, level, told: none, began with count, over with count
        for (ms, level, told) in [
            (0, Beyond, None),
            (100, Below, None),
            (200, Beyond, None),
            (300, Between, None),
            (400, Beyond, None),
            (500, Beyond, None),
            (600, Beyond, Some((false, 3))),
            (700, Beyond, None),
            (800, Between, None),
            (900, Below, None),
            (1_000, Between, None),
            (1_200, Below, None),
            (1_300, Below, Some((true, 6))),
            (1_400, Between, None),
            (1_500, Below, None),
        ] {
            let span = course.judge(at(ms), level, 1);
            assert_eq!(span.map(|span| (span.over, span.count)), told, "at {ms}");
        }
    }

    #[test]
    fn a_meter_needs_a_second_and_forgets_what_is_older() {
        let mut meter = Meter::default();
        for (ms, total, rate) in [
            (0, 1_000, None),
            (500, 1_100, None),
            (1_000, 1_200, Some(200.0)),
            (1_500, 1_200, Some(100.0)),
            (2_000, 1_200, Some(0.0)),
        ] {
            assert_eq!(meter.rate(at(ms).mono, total), rate, "at {ms}");
        }
        assert_eq!(meter.rises_since(), None);
        meter.rate(at(2_100).mono, 1_201);
        assert_eq!(meter.rises_since(), Some(at(2_000).mono));
    }
}
