//! What stands at the beginning of each chunk, so that the bytes of a pool explain themselves.

use super::segment::Summary;
use crate::frame::Origin;

/// Writes the layout of a chunk's first bytes, little-endian. Never read back while the process lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkHeader<'a> {
    pub(super) summary: &'a Summary,
    pub(super) origin: &'a Origin,
    pub(super) codec: Codec,
}

/// What stands behind a chunk's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Codec {
    /// Records as they were appended.
    Plain = 0,
    /// A piece of one zstd frame (RFC 8878). In it stands, for each segment that was packed, a header as
    /// if it were one plain chunk without a checksum, and its records.
    Zstd = 1,
}

impl ChunkHeader<'_> {
    /// "DCsg", read as a number on a little-endian machine.
    const MAGIC: u32 = u32::from_le_bytes(*b"DCsg");
    const VERSION: u8 = 1;
    /// Bytes of a header, a multiple of the cache line.
    pub(super) const SIZE: usize = 128;
    /// `IFNAMSIZ` (linux/if.h).
    const NAME: usize = 16;
    /// Where the checksum stands: CRC-32 (IEEE 802.3) of the header before and after it and the records.
    const CHECKSUM: std::ops::Range<usize> = 20..24;

    /// Fills in the header of `chunk`, whose content ends at `end`: number `index` of its segment.
    pub(super) fn write(self, chunk: &mut [u8], end: usize, index: usize, last: bool) {
        chunk[..Self::SIZE].copy_from_slice(&self.encode(end - Self::SIZE, index, last));
        let checksum = crc32fast::hash(&chunk[..end]).to_le_bytes();
        chunk[Self::CHECKSUM].copy_from_slice(&checksum);
    }

    /// The header of `length` bytes, its checksum zero.
    pub(super) fn encode(
        self,
        length: usize,
        index: usize,
        closes: bool,
    ) -> [u8; ChunkHeader::SIZE] {
        let Summary { lane, sequence, offset, first, last, frames, folded, faded } = *self.summary;
        let origin = self.origin;
        let mut name = [0; Self::NAME];
        let bytes = origin.interface.as_bytes();
        let named = bytes.len().min(Self::NAME);
        name[..named].copy_from_slice(&bytes[..named]);

        let mut header = [0; ChunkHeader::SIZE];
        let mut at = 0;
        let mut put = |field: &[u8]| {
            header[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&Self::MAGIC.to_le_bytes());
        put(&[Self::VERSION, self.codec as u8, u8::from(closes), origin.clock as u8]);
        put(&lane.0.to_le_bytes());
        put(&origin.link_type.0.to_le_bytes());
        put(&u32::try_from(index).unwrap_or(u32::MAX).to_le_bytes());
        put(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        put(&[0; 4]);
        put(&sequence.to_le_bytes());
        put(&offset.0.to_le_bytes());
        put(&first.0.to_le_bytes());
        put(&last.0.to_le_bytes());
        put(&frames.to_le_bytes());
        put(&origin.index.to_le_bytes());
        put(&origin.snaplen.to_le_bytes());
        put(&name);
        put(&folded.to_le_bytes());
        put(&faded.to_le_bytes());
        header
    }
}

#[cfg(test)]
mod tests {
    use super::super::segment::LaneId;
    use super::*;
    use crate::frame::{LinkType, StampClock};
    use crate::time::{Offset, Wall};

    fn origin() -> Origin {
        Origin {
            interface: "eth0".into(),
            index: 3,
            link_type: LinkType::ETHERNET,
            snaplen: 65535,
            clock: StampClock::Software,
        }
    }

    #[test]
    fn every_chunk_explains_itself() {
        let mut chunk = vec![0xaa; 300];
        let summary = Summary {
            lane: LaneId(0x0102),
            sequence: 5,
            offset: Offset(-3),
            first: Wall(10),
            last: Wall(20),
            frames: 2,
            folded: 0,
            faded: 0,
        };
        let header = ChunkHeader { summary: &summary, origin: &origin(), codec: Codec::Plain };
        header.write(&mut chunk, 200, 4, true);
        assert_eq!(&chunk[..8], b"DCsg\x01\x00\x01\x00");
        assert_eq!(&chunk[8..20], [2, 1, 1, 0, 4, 0, 0, 0, 72, 0, 0, 0]);
        assert_eq!(&chunk[68..72], b"eth0");
        let mut unsigned = chunk[..200].to_vec();
        unsigned[ChunkHeader::CHECKSUM].fill(0);
        assert_eq!(chunk[ChunkHeader::CHECKSUM], crc32fast::hash(&unsigned).to_le_bytes());
        assert_eq!(chunk[200..], vec![0xaa; 100], "bytes behind the records are not touched");
    }
}
