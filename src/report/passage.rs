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
    fn the_ends_of_time_are_moments_too() {
        let mut passage = Passage::begin(Wall(0));
        for wall in [0, u64::MAX, 0, u64::MAX] {
            passage.arrive(Wall(wall), |_| {});
        }
    }
}
