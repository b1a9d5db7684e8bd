//! How much of the machine's memory the kernel's packet rings may take together. It is never swapped, and comes
//! on top of the memory for frames: with 64 MiB for each of 200 interfaces it would be 12 GiB that nobody
//! asked for. So it is counted before it is taken, scaled down where it would be too much, and refused where
//! not even the least is left.
//!
//! ```text
//!   room:  a quarter of what was available at the start
//!   ├── at the start: equal shares, one of them left over ──┤ later ones: half of what is left
//! ```

use super::afpacket;
use crate::error::{Error, Result};

/// What the rings may take, and what they have.
#[derive(Debug, Clone, Copy)]
pub struct KernelRoom {
    room: u64,
    taken: u64,
    interfaces: u64,
}

impl KernelRoom {
    /// Of the memory that is available at the start, this part.
    const PART: u64 = 4;
    /// Interfaces that are recorded at most: each has a thread, a ring and lanes.
    pub const MOST: u64 = 1_024;
    /// Blocks of a ring that is scaled down, and their size: a megabyte, which bridges a millisecond at
    /// 10 Gbit/s and a second at 8 Mbit/s.
    const LEAST_BLOCKS: u32 = 4;
    const LEAST_BLOCK_SIZE: u32 = 256 << 10;

    /// On a machine that has so many bytes available; none where nobody knows, which bounds only the number.
    pub fn new(available: Option<u64>) -> Self {
        let room = available.map_or(u64::MAX, |available| available / Self::PART);
        Self { room, taken: 0, interfaces: 0 }
    }

    /// Bytes that all rings have.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Bytes that all rings may have.
    pub fn room(&self) -> u64 {
        self.room
    }

    /// A ring that was not opened after all.
    pub fn give_back(&mut self, ring: &afpacket::Options) {
        self.taken = self.taken.saturating_sub(size(ring));
        self.interfaces = self.interfaces.saturating_sub(1);
    }

    /// The ring for the interface called `name`: what was asked for, or an equal share of what is left `among` so
    /// many, this one included.
    ///
    /// # Errors
    /// When there is not even room for the least ring, or there are too many interfaces.
    pub fn take(
        &mut self,
        name: &str,
        asked: &afpacket::Options,
        among: u64,
    ) -> Result<afpacket::Options> {
        let refused = |reason: String| {
            Error::operation("record", name, reason)
                .hint("fewer interfaces (-i), or a smaller --kernel-memory")
        };
        if self.interfaces >= Self::MOST {
            return Err(refused(format!("{} interfaces are recorded already", Self::MOST)));
        }
        let left = self.room.saturating_sub(self.taken);
        let options = scaled(asked, left / among.max(1));
        let size = size(&options);
        if size > left {
            return Err(refused(format!(
                "the kernel's rings of {} interfaces have {} MiB, as much as this machine can spare",
                self.interfaces,
                self.taken >> 20
            )));
        }
        self.taken += size;
        self.interfaces += 1;
        Ok(options)
    }
}

/// Bytes of a ring.
fn size(options: &afpacket::Options) -> u64 {
    u64::from(options.blocks) * u64::from(options.block_size)
}

/// What was asked for, or as many blocks as `share` has room for, smaller ones where that is few; the least ring
/// where it is less.
fn scaled(asked: &afpacket::Options, share: u64) -> afpacket::Options {
    let (few, small) = (KernelRoom::LEAST_BLOCKS, KernelRoom::LEAST_BLOCK_SIZE);
    if size(asked) <= share.max(u64::from(few) * u64::from(small)) {
        return asked.clone();
    }
    let is_few = share < u64::from(few) * u64::from(asked.block_size);
    let block_size = if is_few { asked.block_size.min(small) } else { asked.block_size };
    let blocks = share / u64::from(block_size);
    let blocks = u32::try_from(blocks).unwrap_or(u32::MAX).max(few);
    afpacket::Options { blocks, block_size, ..asked.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// The sizes in MiB of the rings of so many interfaces that are there at the start; none if refused.
    fn shares(available: u64, interfaces: u64) -> Vec<Option<u64>> {
        let mut room = KernelRoom::new(Some(available * MIB));
        let take = |n| room.take("eth0", &afpacket::Options::default(), interfaces - n + 1).ok();
        let rings = (0..interfaces).map(take).collect::<Vec<_>>();
        rings.into_iter().map(|ring| ring.map(|ring| size(&ring) / MIB)).collect()
    }

    #[test]
    fn f8_two_hundred_interfaces_never_take_more_than_their_part_of_the_machine() {
        for (available, interfaces, each) in [
            (22_000, 1, Some(64)),
            (22_000, 80, Some(64)),
            (22_000, 200, Some(27)),
            (1_000, 200, Some(1)),
            (400, 200, None),
        ] {
            let shares = shares(available, interfaces);
            let sum: u64 = shares.iter().flatten().sum();
            assert!(sum <= available / 4, "{available} {interfaces}: {sum}");
            match each {
                Some(each) => assert!(shares.iter().all(|share| share.is_some_and(|s| s >= each))),
                None => assert!(shares.contains(&None) && shares[0] == Some(1)),
            }
        }
    }

    #[test]
    fn those_that_come_later_leave_room_for_the_next_and_are_refused_in_words() {
        let mut room = KernelRoom::new(Some(4 * 300 * MIB));
        let mut sizes = Vec::new();
        let refused = loop {
            match room.take("eth9", &afpacket::Options::default(), 2) {
                Ok(ring) => sizes.push(size(&ring) / MIB),
                Err(refused) => break refused.to_string(),
            }
        };
        assert_eq!(sizes[..4], [64, 64, 64, 54]);
        assert!(sizes.is_sorted_by(|a, b| a >= b) && room.taken() <= room.room());
        assert!(refused.contains("as much as this machine can spare"), "{refused}");
        let mut unknown = KernelRoom::new(None);
        assert_eq!(size(&unknown.take("a", &afpacket::Options::default(), 1).unwrap()), 64 * MIB);
    }

    #[test]
    fn a_small_ring_that_was_asked_for_stays_as_it_is() {
        let asked =
            afpacket::Options { blocks: 2, block_size: 1 << 16, ..afpacket::Options::default() };
        let mut room = KernelRoom::new(Some(40 * MIB));
        for _ in 0..50 {
            let ring = room.take("a", &asked, 2).unwrap();
            assert_eq!((ring.blocks, ring.block_size), (2, 1 << 16));
        }
    }
}
