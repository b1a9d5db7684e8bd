//! How many lines a second one matcher, or one source, may send: a flood of lines is a fact told once, not a
//! thousand facts that push the others out of the way.
//!
//! ```text
//!   line       ▌▌▌▌▌▌▌▌▌▌▌▌▌▌▌▌▌▌            ▌
//!   ───────────┼──────────────────┼──────────┼──► monotonic
//!              └ first: opens a   └ told: so └ opens the next second
//!                second; N pass     many held
//! ```

use std::time::Duration;

use crate::time::Mono;

/// The span lines are counted over; what was held is told at its end.
pub(super) const SPAN: Duration = Duration::from_secs(1);

/// How much passes within [`SPAN`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) lines: u32,
    pub(super) bytes: usize,
}

impl Most {
    /// So many lines, however long they are.
    pub(super) fn lines(lines: u32) -> Self {
        Self { lines, bytes: usize::MAX }
    }
}

/// One matcher's, or one source's.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance {
    /// Since when lines are counted; none while there are none.
    since: Option<Mono>,
    passed: u32,
    bytes: usize,
    held: u64,
}

impl Allowance {
    /// True if a line of `now` and of `length` bytes passes where `most` may within [`SPAN`]; else it is held
    /// and counted. Call [`Allowance::over`] first.
    pub(super) fn admits(&mut self, now: Mono, most: Most, length: usize) -> bool {
        self.since.get_or_insert(now);
        let bytes = self.bytes.saturating_add(length);
        if self.passed < most.lines && bytes <= most.bytes {
            self.passed += 1;
            self.bytes = bytes;
            return true;
        }
        self.held += 1;
        false
    }

    /// True if no line has passed within this span.
    pub(super) fn is_fresh(&self) -> bool {
        self.passed == 0
    }

    /// When what was held is to be told.
    pub(super) fn due(&self) -> Option<Mono> {
        self.since.filter(|_| self.held > 0).map(|since| since.plus(SPAN))
    }

    /// Ends the span if it is over; returns how many lines it held.
    pub(super) fn over(&mut self, now: Mono) -> u64 {
        if self.since.is_none_or(|since| now < since.plus(SPAN)) {
            return 0;
        }
        std::mem::take(self).held
    }

    /// Ends the span now; returns how many lines it held.
    pub(super) fn finish(&mut self) -> u64 {
        std::mem::take(self).held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pass_in_a_second_and_the_rest_is_counted() {
        const MS: u64 = 1_000_000;
        let mut allowance = Allowance::default();
        // millisecond, held by the span that is over, passes
        for (at, over, passes) in [
            (5_000, 0, true),
            (5_000, 0, true),
            (5_001, 0, false),
            (5_999, 0, false),
            (6_000, 2, true),
            (6_001, 0, true),
            (7_500, 0, true),
        ] {
            let now = Mono(at * MS);
            assert_eq!(
                (allowance.over(now), allowance.admits(now, Most::lines(2), 80)),
                (over, passes),
                "{at}"
            );
        }
        assert_eq!(allowance.due(), None, "nothing held, nothing to tell");
        allowance.admits(Mono(7_600 * MS), Most::lines(2), 80);
        allowance.admits(Mono(7_600 * MS), Most::lines(2), 80);
        assert_eq!(allowance.due(), Some(Mono(8_500 * MS)));
        assert_eq!(allowance.finish(), 1);
        assert_eq!(allowance.due(), None);
    }

    #[test]
    fn a_thousand_lines_a_second_pass_as_ten() {
        let mut allowance = Allowance::default();
        let (mut passed, mut held) = (0, 0);
        for millisecond in 0..10_000_u64 {
            let now = Mono(millisecond * 1_000_000);
            held += allowance.over(now);
            passed += u64::from(allowance.admits(now, Most::lines(10), 80));
        }
        assert_eq!((passed, held + allowance.finish()), (100, 9_900));
    }
}
