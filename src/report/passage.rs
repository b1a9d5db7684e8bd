//! How time passes in a report: by the stamps of frames, never by a clock.
//!
//! Time never goes back: a stamp a little before the present is a frame that came late; one far before
//! it means that the recorder's wall clock was stepped, and is the present by another clock. Between
//! frames time passes in ticks, at which detectors look; long pauses in longer ones, so that a file with
//! a stamp of 1970 beside one of today is read as fast as any other.

use std::time::Duration;

use crate::time::{Mono, Offset, Stamp, Wall};

/// Longest delay of a frame on its way into a file: programs that read several interfaces hand them over
/// by turns, up to a second each (libpcap's default read timeout), and merging keeps that.
const LATE: Duration = Duration::from_secs(2);
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
    now: Mono,
    offset: Offset,
    ticked: Mono,
    /// How often stamps went back.
    pub(super) steps: u64,
}

impl Passage {
    /// Begins at `first`, with monotonic time equal to the wall's.
    pub(super) fn begin(first: Wall) -> Self {
        let offset = Offset::default();
        let now = offset.mono(first);
        Self { now, offset, ticked: now, steps: 0 }
    }

    /// When a frame stamped `wall` arrived; `tick` is called for each moment at which detectors look
    /// before that.
    #[inline]
    pub(super) fn arrive(&mut self, wall: Wall, mut tick: impl FnMut(Stamp)) -> Stamp {
        let mut mono = self.offset.mono(wall);
        if mono.plus(LATE) < self.now {
            self.offset = Offset::of(Stamp { mono: self.now, wall });
            self.steps += 1;
            mono = self.now;
        }
        if mono.since(self.ticked) >= TICKS[0].1 {
            self.pass(mono, &mut tick);
        }
        self.now = self.now.max(mono);
        Stamp { mono, wall }
    }

    #[cold]
    fn pass(&mut self, until: Mono, tick: &mut impl FnMut(Stamp)) {
        loop {
            let paused = self.ticked.since(self.now);
            let width = TICKS.iter().find(|(pause, _)| paused < *pause);
            // After a day of nothing nobody waits any more.
            let next = width.map_or(until, |(_, width)| self.ticked.plus(*width));
            if next > until || next == self.ticked {
                break;
            }
            self.ticked = next;
            tick(self.at(next));
        }
    }

    /// The present on both clocks.
    pub(super) fn now(&self) -> Stamp {
        self.at(self.now)
    }

    fn at(&self, mono: Mono) -> Stamp {
        Stamp { mono, wall: self.offset.wall(mono) }
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
        assert_eq!(passage.steps, 1);
    }

    #[test]
    fn the_ends_of_time_are_moments_too() {
        let mut passage = Passage::begin(Wall(0));
        for wall in [0, u64::MAX, 0, u64::MAX] {
            passage.arrive(Wall(wall), |_| {});
        }
    }
}
