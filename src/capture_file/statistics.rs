//! What the recorder of a pcapng file counted: its interface statistics blocks (draft-ietf-opsawg-pcapng 4.6).
//!
//! The only place where anybody's file tells what it does not have. Counts go from the beginning of a capture,
//! so of each interface the last block of a file counts.

use pcap_file::Endianness;

use super::fields::{Options, i64_at, u32_at};
use super::ticks::Ticks;
use crate::time::Wall;

/// Interface, and the stamp in two words.
const OPTIONS: usize = 12;
/// `isb_starttime`, `isb_endtime`: two words, the high one first.
const START: u16 = 2;
const END: u16 = 3;
/// `isb_ifrecv`, `isb_ifdrop`, `isb_osdrop`.
const RECEIVED: u16 = 4;
const DROPPED: u16 = 5;
const OS_DROPPED: u16 = 7;

/// Counts of one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// A number for [`super::FileSource::origins`].
    pub origin: usize,
    /// When counting began.
    pub from: Option<Wall>,
    /// When it ended.
    pub to: Option<Wall>,
    /// Frames that reached the interface.
    pub received: Option<u64>,
    /// Of these, frames that were dropped for want of room: `isb_ifdrop`.
    pub dropped: Option<u64>,
    /// Frames that the operating system dropped: `isb_osdrop`.
    pub os_dropped: Option<u64>,
}

/// The interface number that the body of a block names.
pub(super) fn interface(order: Endianness, body: &[u8]) -> Option<u32> {
    u32_at(order, body, 0)
}

/// Reads the body of a block about `origin`, whose stamps count as `clock` says.
pub(super) fn read(order: Endianness, body: &[u8], origin: usize, clock: Ticks) -> Statistics {
    let mut told = Statistics {
        origin,
        from: None,
        to: None,
        received: None,
        dropped: None,
        os_dropped: None,
    };
    let moment = |value| {
        let (high, low) = (u32_at(order, value, 0)?, u32_at(order, value, 4)?);
        Some(clock.wall(u64::from(high) << 32 | u64::from(low)))
    };
    let count = |value| i64_at(order, value, 0).map(i64::cast_unsigned);
    for (code, value) in Options::of(order, body, OPTIONS) {
        match code {
            START => told.from = moment(value),
            END => told.to = moment(value),
            RECEIVED => told.received = count(value),
            DROPPED => told.dropped = count(value),
            OS_DROPPED => told.os_dropped = count(value),
            _ => {}
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_and_times_are_read_in_both_orders() {
        let big = b"\0\0\0\x07\0\0\0\0\0\0\0\0\0\x02\0\x08\0\0\0\x01\0\0\0\x02\0\x04\0\x08\0\0\0\0\0\0\x01\0\
            \0\x05\0\x08\0\0\0\0\0\0\0\x03\0\x07\0\x02xx";
        let told = read(Endianness::Big, big, 4, Ticks { resolution: 9, offset: 0 });
        assert_eq!(interface(Endianness::Big, big), Some(7));
        let expected = Statistics {
            origin: 4,
            from: Some(Wall((1 << 32) + 2)),
            to: None,
            received: Some(256),
            dropped: Some(3),
            os_dropped: None,
        };
        assert_eq!(told, expected);
        let little = b"\0\0\0\0\0\0\0\0\0\0\0\0\x03\0\x08\0\x01\0\0\0\x02\0\0\0\x07\0\x08\0\x05\0\0\0\0\0\0\0";
        let told = read(Endianness::Little, little, 0, Ticks { resolution: 9, offset: 0 });
        assert_eq!((told.to, told.os_dropped), (Some(Wall((1 << 32) + 2)), Some(5)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(body in prop::collection::vec(any::<u8>(), 0..120)) {
            read(Endianness::Big, &body, 0, Ticks::MICROSECONDS);
            interface(Endianness::Little, &body);
        }
    }
}
