//! How many lines a second one matcher may send: a flood of lines is a fact told once, not a thousand
//! facts that push the others out of the way.
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

/// One matcher's.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance {
    /// Since when lines are counted; none while there are none.
    since: Option<Mono>,
    passed: u32,
    held: u64,
}

impl Allowance {
    /// True if a line of `now` passes where `most` may within [`SPAN`]; else it is held and counted.
    /// Call [`Allowance::over`] first.
    pub(super) fn admits(&mut self, now: Mono, most: u32) -> bool {
        self.since.get_or_insert(now);
        if self.passed < most {
            self.passed += 1;
            return true;
        }
        self.held += 1;
        false
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
            assert_eq!((allowance.over(now), allowance.admits(now, 2)), (over, passes), "{at}");
        }
        assert_eq!(allowance.due(), None, "nothing held, nothing to tell");
        allowance.admits(Mono(7_600 * MS), 2);
        allowance.admits(Mono(7_600 * MS), 2);
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
            passed += u64::from(allowance.admits(now, 10));
        }
        assert_eq!((passed, held + allowance.finish()), (100, 9_900));
    }
}
