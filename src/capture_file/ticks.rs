//! What the stamps of a pcapng interface count: `if_tsresol` and `if_tsoffset`.

use crate::time::Wall;

/// How the interface's stamps count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticks {
    /// As in the file: 10^-n s, or with the top bit 2^-n s.
    pub(super) resolution: u8,
    /// Seconds to be added.
    pub(super) offset: i64,
}

/// Nanoseconds in a tick of 10^-n s.
const NANOS_PER_TICK: [u64; 10] =
    [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

impl Ticks {
    /// Where the file says nothing.
    pub(super) const MICROSECONDS: Self = Self { resolution: 6, offset: 0 };
    /// Set in [`Ticks::resolution`] where it is a power of two.
    const BINARY: u8 = 0x80;
    const NANOS: u32 = 9;

    /// The stamp that counts so many ticks. Stamps before 1970 and after 2554 become the nearest that can be told.
    pub(super) fn wall(self, ticks: u64) -> Wall {
        // Almost all files, once per frame.
        if let (Some(unit), 0) = (NANOS_PER_TICK.get(usize::from(self.resolution)), self.offset) {
            return Wall(ticks.saturating_mul(*unit));
        }
        let ticks = u128::from(ticks);
        let power = u32::from(self.resolution & !Self::BINARY);
        let nanos = if self.resolution & Self::BINARY != 0 {
            // 64 bits times 30 bits fit 128.
            (ticks * 10_u128.pow(Self::NANOS)) >> power
        } else if power <= Self::NANOS {
            ticks * 10_u128.pow(Self::NANOS - power)
        } else {
            10_u128.checked_pow(power - Self::NANOS).map_or(0, |unit| ticks / unit)
        };
        // At most 94 bits, and an offset of 94 bits.
        let nanos = nanos.cast_signed() + i128::from(self.offset) * 10_i128.pow(Self::NANOS);
        Wall(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_become_nanoseconds_whatever_they_count() {
        for (resolution, offset, ticks, nanos) in [
            (6, 0, 1_500_000, 1_500_000_000),
            (9, 0, 7, 7),
            (0, 0, 3, 3_000_000_000),
            (12, 0, 5_999, 5),
            (127, 0, u64::MAX, 0),
            (0x88, 0, 0x180, 1_500_000_000),
            (0xff, 0, u64::MAX, 0),
            (6, 10, 1, 10_000_001_000),
            (6, -10, 11_000_000, 1_000_000_000),
            (6, -10, 1, 0),
            (0, i64::MAX, u64::MAX, u64::MAX),
            (0, i64::MIN, u64::MAX, u64::MAX),
        ] {
            let clock = Ticks { resolution, offset };
            assert_eq!(clock.wall(ticks), Wall(nanos), "{clock:?} at {ticks}");
        }
    }
}
