//! How time passes while files are read: by the stamps of frames and events, never by a clock.
//!
//! Time never goes back. A stamp a little before the present is a frame that came late, as frames of
//! several processors do; one far before it means that the recorder's wall clock was stepped, and is
//! the present by another clock:
//!
//! ```text
//!   wall  10:00:00 ... 10:00:07   09:00:08 ... 09:00:20        stamps in the file
//!   mono         0 ...        7          7 ...       19        time passes
//!                       offset a │ offset b
//! ```

use std::time::Duration;

use crate::time::{Mono, Offset, Stamp, Wall};

/// Longest delay of a frame on its way into a file: programs that read several interfaces hand them over
/// by turns, up to a second each (libpcap's default read timeout is up to 1 s), and merging keeps that.
const LATE: Duration = Duration::from_secs(2);

/// The present in the files.
#[derive(Debug, Clone, Copy)]
pub struct FileClock {
    now: Mono,
    offset: Offset,
    steps: u64,
}

impl FileClock {
    /// Begins at `first`, with monotonic time equal to the wall's.
    pub fn begin(first: Wall) -> Self {
        let offset = Offset::default();
        Self { now: offset.mono(first), offset, steps: 0 }
    }

    /// The present.
    pub fn now(&self) -> Stamp {
        self.at(self.now)
    }

    /// A moment on both clocks, as they stand.
    pub fn at(&self, mono: Mono) -> Stamp {
        Stamp { mono, wall: self.offset.wall(mono) }
    }

    /// When a frame that comes next arrived, by its stamp. Time passes only by [`Self::pass`].
    #[inline]
    pub fn next(&mut self, wall: Wall) -> Mono {
        let mono = self.offset.mono(wall);
        if mono.plus(LATE) < self.now {
            self.offset = Offset::of(Stamp { mono: self.now, wall });
            self.steps += 1;
            return self.now;
        }
        mono
    }

    /// The wall clock was set ahead by so many nanoseconds, or back: stamps from now on are by the new one.
    pub fn clock_set(&mut self, by: i64) {
        self.offset = Offset(self.offset.0.saturating_add(by));
    }

    /// When something happened that is stamped `wall` and is told now: never before the present.
    pub fn of(&self, wall: Wall) -> Mono {
        self.offset.mono(wall).max(self.now)
    }

    /// It is `mono` now, unless it is later already.
    #[inline]
    pub fn pass(&mut self, mono: Mono) {
        self.now = self.now.max(mono);
    }

    /// Between the stamps and monotonic time.
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// How often the stamps went back.
    pub fn steps(&self) -> u64 {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back() {
        const S: u64 = 1_000_000_000;
        let mut clock = FileClock::begin(Wall(100 * S));
        // wall, mono of it, the present then, steps; seconds
        for (wall, mono, now, steps) in [
            (100, 100, 100, 0),
            (105, 105, 105, 0),
            (104, 104, 105, 0),
            (50, 105, 105, 1),
            (52, 107, 107, 1),
            (500, 555, 555, 1),
            (52, 555, 555, 2),
        ] {
            let next = clock.next(Wall(wall * S));
            clock.pass(next);
            assert_eq!((next, clock.now().mono), (Mono(mono * S), Mono(now * S)), "{wall}");
            assert_eq!(clock.steps(), steps);
        }
        assert_eq!(clock.now().wall, Wall(52 * S));
    }

    #[test]
    fn the_ends_of_time_are_moments_too() {
        let mut clock = FileClock::begin(Wall(0));
        for wall in [0, u64::MAX, 0, u64::MAX] {
            let next = clock.next(Wall(wall));
            clock.pass(next);
        }
        assert!(clock.now().mono >= Mono(i64::MAX as u64));
    }
}
