//! How time passes in a report: as in the files ([`file_clock`]), and between their frames in ticks.
//!
//! Between frames time passes in ticks, at which detectors look; long pauses in longer ones, so that a file with
//! a stamp of 1970 beside one of today is read as fast as any other.
//!
//! [`file_clock`]: crate::capture_file::file_clock

use std::time::Duration;

use crate::capture_file::file_clock::FileClock;
use crate::time::{Mono, Stamp, Wall};

/// After a pause of so long, ticks are so wide: detectors wait for 90 s at most (LACP), and for some
/// minutes where a protocol's hold time says so (LLDP's is 120 s). A day without a frame costs 240 ticks.
const TICKS: [(Duration, Duration); 4] = [
    (Duration::from_secs(5), Duration::from_millis(100)),
    (Duration::from_secs(125), Duration::from_secs(1)),
    (Duration::from_secs(600), Duration::from_secs(10)),
    (Duration::from_secs(86_400), Duration::from_secs(3_600)),
];

/// A setting of the host's clock, as a bundle's events tell by having both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockSet {
    /// The last moment that is known by the clock as it was.
    pub(super) before: Wall,
    /// Nanoseconds by which it was set ahead, or back.
    pub(super) by: i64,
}

impl ClockSet {
    /// Less is what clocks are slewed by (adjtimex(2)) between two events.
    pub(super) const LEAST: Duration = Duration::from_millis(100);

    /// True if a stamp that follows one of `now` is by the clock as it is since.
    fn explains(&self, now: Wall, next: Wall) -> bool {
        let least = Self::LEAST.as_nanos() as i128;
        let by = i128::from(self.by);
        let passed = i128::from(next.0) - i128::from(now.0) - by;
        // Behind a step ahead any pause may follow; one back stands out of ordinary stamps by half at least.
        let plausible = self.by > 0 || passed < by.abs() / 2;
        plausible
            && passed >= -least
            && i128::from(next.0) >= i128::from(self.before.0) + by - least
    }
}

/// The present.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passage {
    time: FileClock,
    ticked: Mono,
}

impl Passage {
    /// Begins at `first`, with monotonic time equal to the wall's.
    pub(super) fn begin(first: Wall) -> Self {
        let time = FileClock::begin(first);
        Self { time, ticked: time.now().mono }
    }

    /// True if a frame stamped `wall` comes behind that setting of the clock: time passed as if there was none.
    pub(super) fn is_behind(&mut self, set: &ClockSet, wall: Wall) -> bool {
        let behind = set.explains(self.now().wall, wall);
        if behind {
            self.time.clock_set(set.by);
        }
        behind
    }

    /// When a frame stamped `wall` arrived; `tick` is called for each moment at which detectors look
    /// before that.
    #[inline]
    pub(super) fn arrive(&mut self, wall: Wall, mut tick: impl FnMut(Stamp)) -> Stamp {
        let mono = self.time.next(wall);
        if mono.since(self.ticked) >= TICKS[0].1 {
            self.pass(mono, &mut tick);
        }
        self.time.pass(mono);
        Stamp { mono, wall }
    }

    #[cold]
    fn pass(&mut self, until: Mono, tick: &mut impl FnMut(Stamp)) {
        loop {
            let paused = self.ticked.since(self.now().mono);
            let width = TICKS.iter().find(|(pause, _)| paused < *pause);
            // After a day of nothing nobody waits any more.
            let next = width.map_or(until, |(_, width)| self.ticked.plus(*width));
            if next > until || next == self.ticked {
                break;
            }
            self.ticked = next;
            tick(self.time.at(next));
        }
    }

    /// The present on both clocks.
    pub(super) fn now(&self) -> Stamp {
        self.time.now()
    }

    /// How often stamps went back.
    pub(super) fn steps(&self) -> u64 {
        self.time.steps()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn ticks_are_wide_in_long_pauses_and_time_never_goes_back() {
        let mut passage = Passage::begin(Wall(100 * S));
        // wall, monotonic time of it, ticks until then
        for (wall, mono, most) in [
            (100, 100, 0),
            (101, 101, 10),
            (100, 100, 0),
            (50, 101, 0),
            (160, 211, 1_200),
            (1_700_000_000, 1_700_000_051, 400),
        ] {
            let mut ticks = 0;
            let mut last = Mono(0);
            let at = passage.arrive(Wall(wall * S), |tick| {
                ticks += 1;
                assert!(tick.mono > last, "{tick:?}");
                last = tick.mono;
            });
            assert_eq!(at.mono, Mono(mono * S), "{wall}");
            assert!(last <= at.mono && ticks <= most, "{wall}: {ticks}");
        }
        assert_eq!(passage.steps(), 1);
    }

    #[test]
    fn no_time_passes_while_a_clock_is_set() {
        // set by seconds, wall times of frames before and after, seconds that passed
        for (by, before, after, passed) in
            [(3_600, 107, 3_708, 1), (-3_600, 4_000, 401, 1), (5, 107, 113, 1)]
        {
            let mut passage = Passage::begin(Wall(100 * S));
            let start = passage.arrive(Wall(before * S), |_| {}).mono;
            let set = ClockSet { before: Wall(before * S), by: by * S.cast_signed() };
            assert!(!passage.is_behind(&set, Wall(before * S + S / 10)), "{by}: not yet");
            assert!(passage.is_behind(&set, Wall(after * S)), "{by}");
            let at = passage.arrive(Wall(after * S), |_| {});
            assert_eq!(at.mono.since(start), Duration::from_secs(passed), "{by}");
            assert_eq!((at.wall, passage.steps()), (Wall(after * S), 0));
        }
    }

    #[test]
    fn the_ends_of_time_are_moments_too() {
        let mut passage = Passage::begin(Wall(0));
        for wall in [0, u64::MAX, 0, u64::MAX] {
            passage.arrive(Wall(wall), |_| {});
        }
    }
}
