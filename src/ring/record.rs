//! One frame or run as it stands in a segment.

use crate::frame::{Direction, FrameHeader, Reception, Tally};
use crate::time::Wall;

/// What stands before each frame's bytes, little-endian. Behind the bytes of a run stands its tally.
pub(super) struct Record;

impl Record {
    /// wall 8, length of what follows 4, original length 4, direction 1, reception 1, kind 1, zero 1.
    pub(super) const SIZE: usize = 20;
    /// A frame.
    pub(super) const FRAME: u8 = 0;
    /// A frame and the [`Tally`] of its copies.
    pub(super) const RUN: u8 = 1;
    /// A frame that was longer in memory once.
    pub(super) const FADED: u8 = 2;
    /// last 8, count 8, bins 4 each.
    pub(super) const TALLY: usize = 16 + 4 * Tally::BINS;

    pub(super) fn encode(header: &FrameHeader, length: u32, kind: u8) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&header.wall.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        bytes[12..16].copy_from_slice(&header.original_len.to_le_bytes());
        bytes[16] = header.direction as u8;
        bytes[17] = header.reception as u8;
        bytes[18] = kind;
        bytes
    }

    pub(super) fn encode_tally(tally: &Tally) -> [u8; Self::TALLY] {
        let mut bytes = [0; Self::TALLY];
        bytes[..8].copy_from_slice(&tally.last.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&tally.count.to_le_bytes());
        for (to, bin) in bytes[16..].chunks_exact_mut(4).zip(tally.bins) {
            to.copy_from_slice(&bin.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode_tally(first: Wall, bytes: &[u8]) -> Option<Tally> {
        let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let mut bins = [0; Tally::BINS];
        for (bin, from) in bins.iter_mut().zip(bytes.get(16..)?.chunks_exact(4)) {
            *bin = u32::from_le_bytes(from.try_into().ok()?);
        }
        let tally = Tally { first, last: Wall(number(0)?), count: number(8)?, bins };
        // Each copy is in its bin: what says otherwise is damaged.
        let counted: u64 = bins.iter().copied().map(u64::from).sum();
        (counted == tally.count && tally.last >= first).then_some(tally)
    }

    /// Header, kind, and length of what follows.
    pub(super) fn decode(bytes: &[u8]) -> Option<(FrameHeader, u8, usize)> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let header = FrameHeader {
            wall: Wall(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)),
            original_len: number(12)?,
            direction: match bytes.get(16)? {
                1 => Direction::Inbound,
                2 => Direction::Outbound,
                _ => Direction::Unknown,
            },
            reception: match bytes.get(17)? {
                1 => Reception::Unicast,
                2 => Reception::Multicast,
                3 => Reception::Broadcast,
                4 => Reception::Promiscuous,
                _ => Reception::Unspecified,
            },
        };
        Some((header, *bytes.get(18)?, number(8)? as usize))
    }
}
