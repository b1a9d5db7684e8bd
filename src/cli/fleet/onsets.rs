//! Which host's onset was the first: by how long ago each was, so that no wall clock needs to be believed.
//!
//! ```text
//!   here    asked ──────────────── arrived
//!   there   onset ◄──── age ──── told, in between
//! ```
//!
//! So it began between `asked` less the age and `arrived` less the age; wider by what the age may be wrong after
//! that time, and by what the report says of its own error. An order is never made up: where these spans overlap, each
//! of them may have been the first.

use std::time::Duration;

use crate::fleet::inquiry::OnsetSince;
use crate::time::{Offset, Stamp, Wall};

/// How much the rates of two clocks may differ: 500 ppm each, what the kernel lets a daemon set (`MAXFREQ`,
/// include/linux/timex.h); one thousandth.
const DRIFT_PART: u32 = 1_000;
/// The clock here was set if it went by so much more or less than time did.
const SET: Duration = Duration::from_millis(1);

/// When something began, by the clock here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OnsetSpan {
    from: Wall,
    to: Wall,
}

impl OnsetSpan {
    /// Of an onset that was asked for and told at these moments; none where nobody knows how long ago it was.
    pub(super) fn of(onset: &OnsetSince, asked: Wall, arrived: Wall) -> Option<Self> {
        let age = Duration::from_nanos(onset.age_ns?);
        // A clock there that was set by less was not noticed.
        let error = onset.onset.error + Offset::STEP + age / DRIFT_PART;
        Some(Self { from: asked.minus(age + error), to: arrived.minus(age).plus(error) })
    }

    /// When the first of them began.
    pub(super) fn earliest(all: &[Self]) -> Option<Self> {
        let from = all.iter().map(|span| span.from).min()?;
        Some(Self { from, to: all.iter().map(|span| span.to).min()? })
    }

    /// The middle of it, and how far the truth may be from there.
    pub(super) fn middle(self) -> (Wall, Duration) {
        let half = Duration::from_nanos((self.to.0 - self.from.0).div_ceil(2));
        (self.from.plus(half), half)
    }

    #[cfg(test)]
    fn seconds(from: u64, to: u64) -> Self {
        let second = |second: u64| Wall(second * 1_000_000_000);
        Self { from: second(from), to: second(to) }
    }
}

/// Those that may have been the first; one of which nobody knows when it was may always have been.
pub(super) fn first<'a>(all: &[(&'a str, Option<OnsetSpan>)]) -> Vec<&'a str> {
    let last_possible = all.iter().filter_map(|(_, span)| span.map(|span| span.to)).min();
    let may_be = |span: Option<OnsetSpan>| {
        let beginning = span.zip(last_possible);
        beginning.is_none_or(|(span, last)| span.from <= last)
    };
    all.iter().filter(|(_, span)| may_be(*span)).map(|(host, _)| *host).collect()
}

/// True if the clock here was set between two moments: then nothing that it showed is compared.
pub(super) fn was_set(before: Stamp, after: Stamp) -> bool {
    let passed = after.mono.since(before.mono);
    let shown = Duration::from_nanos(after.wall.0.saturating_sub(before.wall.0));
    after.wall < before.wall || shown.abs_diff(passed) > SET
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fleet::answer::OnsetThere;
    use crate::time::Mono;

    fn onset(age_ns: Option<u64>, error: Duration) -> OnsetSince {
        let kind = "link_down".to_owned();
        OnsetSince { onset: OnsetThere { at: Wall(0), error, kind, sentence: None }, age_ns }
    }

    #[test]
    fn one_is_the_first_only_if_it_was_over_before_all_others_may_have_begun() {
        let span = |from, to| Some(OnsetSpan::seconds(from, to));
        for (all, expected) in [
            (vec![("a", span(10, 11)), ("b", span(12, 13))], vec!["a"]),
            (vec![("a", span(10, 12)), ("b", span(12, 13))], vec!["a", "b"]),
            (vec![("a", span(14, 30)), ("b", span(12, 13)), ("c", span(1, 20))], vec!["b", "c"]),
            (vec![("a", span(10, 11)), ("b", None)], vec!["a", "b"]),
            (vec![("a", None)], vec!["a"]),
            (vec![], vec![]),
        ] {
            assert_eq!(first(&all), expected, "{all:?}");
        }
    }

    #[test]
    fn a_clock_that_was_set_meanwhile_is_noticed() {
        let at = |mono: u64, wall: u64| Stamp { mono: Mono(mono), wall: Wall(wall) };
        for (after, set) in [
            (at(2_000_000_000, 12_000_000_000), false),
            (at(2_000_000_000, 12_100_000_000), true),
            (at(2_000_000_000, 11_000_000_000), true),
            (at(2_000_000_000, 9_000_000_000), true),
        ] {
            assert_eq!(was_set(at(1_000_000_000, 11_000_000_000), after), set, "{after:?}");
        }
    }

    proptest! {
        #[test]
        fn the_span_contains_the_truth(
            age in 0_u64..86_400_000_000_000,
            rate in -1_000_i64..1_000,
            there in 0_u64..1_000_000_000,
            back in 0_u64..1_000_000_000,
        ) {
            let began = Wall(1 << 60);
            // Its clock is so many ppm faster or slower than ours.
            let shown = age.saturating_add_signed(age as i64 / 1_000_000 * rate);
            let told = began.plus(Duration::from_nanos(age));
            let asked = told.minus(Duration::from_nanos(there));
            let arrived = told.plus(Duration::from_nanos(back));
            let span = OnsetSpan::of(&onset(Some(shown), Duration::ZERO), asked, arrived).unwrap();
            prop_assert!(span.from <= began && began <= span.to, "{span:?}");
            let (middle, half) = span.middle();
            prop_assert!(middle.0.abs_diff(began.0) <= half.as_nanos() as u64);
        }
    }
}
