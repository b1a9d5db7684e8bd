//! Regular moments that do not drift: each is a whole number of intervals after the first, however
//! late the last one was served.
//!
//! ```text
//!   due      0         1         2         3         4         5
//!   ─────────┼─────────┼─────────┼─────────┼─────────┼─────────┼──► monotonic
//!   served   ├work┤    ├─ far too long ────────┤     ├work┤
//!                                ▲─────────▲ skipped: two, and said so
//! ```

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::time::Mono;

/// Times between two rounds. More often a round would be a load of its own: the files of a dozen interfaces take a
/// millisecond to read, a dump of a thousand interfaces ten, and probes would be a load test. More rarely than every
/// hour it tells nothing.
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3_600);

/// Refuses a time between two rounds that `option` cannot have.
///
/// # Errors
/// [`Error::Usage`] if it is below 10 ms or above an hour.
pub(super) fn check_interval(option: &str, interval: Duration) -> Result<()> {
    if INTERVAL.contains(&interval) {
        return Ok(());
    }
    let given = format!("{interval:?}");
    let accepted = "a duration from 10ms to 1h, such as 1s";
    Err(Error::usage(option, given, "the time between two rounds is 10ms to 1h", accepted))
}

/// Monotonic moments one interval apart.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    due: Mono,
    interval: Duration,
}

impl Ticks {
    /// The first tick is at `first`. An interval of zero is taken as one nanosecond.
    pub fn new(first: Mono, interval: Duration) -> Self {
        Self { due: first, interval: interval.max(Duration::from_nanos(1)) }
    }

    /// The next tick.
    pub fn due(&self) -> Mono {
        self.due
    }

    /// The tick due is served; goes on to the first one after `now` and returns how many were skipped
    /// on the way there.
    pub fn served(&mut self, now: Mono) -> u64 {
        let late = now.since(self.due).as_nanos() / self.interval.as_nanos();
        let skipped = u64::try_from(late).unwrap_or(u64::MAX);
        let step = self.interval.as_nanos().saturating_mul(late + 1);
        self.due = self.due.plus(Duration::from_nanos(u64::try_from(step).unwrap_or(u64::MAX)));
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_neither_shifts_nor_piles_up() {
        let mut ticks = Ticks::new(Mono(1_000), Duration::from_nanos(100));
        // served at, skipped, due next
        for (now, skipped, due) in [
            (1_000, 0, 1_100),
            (1_199, 0, 1_200),
            (1_290, 0, 1_300),
            (1_300, 0, 1_400),
            (1_650, 2, 1_700),
            (1_600, 0, 1_800),
            (2_000, 2, 2_100),
        ] {
            assert_eq!((ticks.served(Mono(now)), ticks.due()), (skipped, Mono(due)), "at {now}");
        }
    }
}
