//! What stands at the beginning of each chunk, so that the bytes of a pool explain themselves.
//!
//! ```text
//!  vacant ──► open: who, since when ──► commit, commit, ... ──► closed: span, counts, checksum
//!             (plain chunks only)       (a length per record)
//! ```
//!
//! A process can die between any two instructions, and its memory may live on in a file. So a chunk
//! becomes what it is by one word that is stored last: vacant to open by its magic, one record longer by
//! its length, open to closed by its state. Whoever reads it then sees the one or the other, never half.

use super::summary::{LaneId, SegmentSummary};
use crate::frame::{LinkType, Origin, StampClock};
use crate::sys::pages::Chunk;
use crate::time::{Offset, Wall};

/// Writes the layout of a chunk's first bytes, little-endian.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkHeader<'a> {
    pub(super) summary: &'a SegmentSummary,
    pub(super) origin: &'a Origin,
    pub(super) codec: Codec,
    /// What the chunks of one chain have in common, and no others of the pool.
    pub(super) chain: u64,
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

/// How far a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// Closed, and further chunks of its chain follow.
    Continued = 0,
    /// Closed, the last one of its chain.
    Last = 1,
    /// Records are being appended.
    Open = 2,
}

impl ChunkHeader<'_> {
    /// "DCsg", read as a number on a little-endian machine.
    pub(super) const MAGIC: u32 = u32::from_le_bytes(*b"DCsg");
    /// Raised when a reader of the old one would misunderstand.
    pub(super) const VERSION: u8 = 2;
    /// Bytes of a header, a multiple of the cache line.
    pub(super) const SIZE: usize = 128;
    /// `IFNAMSIZ` (linux/if.h).
    const NAME: usize = 16;
    /// Where version, codec, state and clock stand: one word.
    const STATE: usize = 4;
    /// Where the length of the content stands.
    const LENGTH: usize = 16;
    /// Where the checksum of a closed chunk stands: CRC-32 (IEEE 802.3) of the header before and after it
    /// and the content.
    const CHECKSUM: std::ops::Range<usize> = 20..24;
    /// Where the checksum of what never changes stands, which is all that an open chunk has.
    const OPENED: std::ops::Range<usize> = 104..108;
    /// What never changes, before and behind the length.
    const FIXED: [std::ops::Range<usize>; 4] = [8..16, 24..40, 60..84, 96..104];

    /// Makes a vacant chunk an open one without records: number `index` of its chain.
    pub(super) fn open(self, chunk: &mut Chunk, index: usize) {
        let header = self.encode(0, index, State::Open);
        chunk[8..Self::SIZE].copy_from_slice(&header[8..]);
        chunk.publish(Self::STATE, word(&header, Self::STATE));
        chunk.publish(0, Self::MAGIC);
    }

    /// An open chunk has whole records up to `end` now.
    #[inline]
    pub(super) fn commit(chunk: &mut Chunk, end: usize) {
        // A chunk is not longer than a page.
        chunk.publish(Self::LENGTH, (end - Self::SIZE) as u32);
    }

    /// Closes a chunk, open or vacant, whose content ends at `end`: number `index` of its chain.
    pub(super) fn close(self, chunk: &mut Chunk, end: usize, index: usize, last: bool) {
        let state = if last { State::Last } else { State::Continued };
        let header = self.of_content(&[&chunk[Self::SIZE..end]], index, state);
        chunk[8..Self::SIZE].copy_from_slice(&header[8..]);
        chunk.publish(Self::STATE, word(&header, Self::STATE));
        chunk.publish(0, Self::MAGIC);
    }

    /// The header of a closed chunk with this content.
    pub(super) fn of_content(
        self,
        content: &[impl AsRef<[u8]>],
        index: usize,
        state: State,
    ) -> [u8; ChunkHeader::SIZE] {
        let length = content.iter().map(|part| part.as_ref().len()).sum();
        let mut header = self.encode(length, index, state);
        let mut sum = crc32fast::Hasher::new();
        sum.update(&header);
        content.iter().for_each(|part| sum.update(part.as_ref()));
        header[Self::CHECKSUM].copy_from_slice(&sum.finalize().to_le_bytes());
        header
    }

    /// The header of `length` bytes, the checksum of its content zero.
    pub(super) fn encode(
        self,
        length: usize,
        index: usize,
        state: State,
    ) -> [u8; ChunkHeader::SIZE] {
        let SegmentSummary { lane, sequence, offset, first, last, frames, folded, faded } =
            *self.summary;
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
        put(&[Self::VERSION, self.codec as u8, state as u8, origin.clock as u8]);
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
        put(&self.chain.to_le_bytes());
        let opened = fixed_sum(&header).to_le_bytes();
        header[Self::OPENED].copy_from_slice(&opened);
        header
    }
}

/// What a chunk's header says, read back from bytes that may be anything.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) codec: Codec,
    pub(super) state: State,
    pub(super) chain: u64,
    pub(super) index: u32,
    /// Bytes of content behind the header; they are there.
    pub(super) length: usize,
    pub(super) summary: SegmentSummary,
    pub(super) origin: Origin,
}

impl Described {
    /// The header at the beginning of `bytes` if it is one of ours, whole and unharmed, and so is the
    /// content of a closed chunk.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let described = Self::of_image(bytes)?;
        let header = bytes.get(..ChunkHeader::SIZE)?;
        let end = ChunkHeader::SIZE.checked_add(described.length)?;
        let content = bytes.get(ChunkHeader::SIZE..end)?;
        if described.state == State::Open {
            return Some(described);
        }
        let mut sum = crc32fast::Hasher::new();
        sum.update(&header[..ChunkHeader::CHECKSUM.start]);
        sum.update(&[0; 4]);
        sum.update(&header[ChunkHeader::CHECKSUM.end..]);
        sum.update(content);
        (sum.finalize() == word(header, ChunkHeader::CHECKSUM.start)).then_some(described)
    }

    /// The same for a header in a packed segment, whose content the checksum of its chunk covers.
    pub(super) fn of_image(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; ChunkHeader::SIZE] = bytes.first_chunk()?;
        let whole = word(header, 0) == ChunkHeader::MAGIC
            && header[4] == ChunkHeader::VERSION
            && word(header, ChunkHeader::OPENED.start) == fixed_sum(header);
        if !whole {
            return None;
        }
        let number = |at: usize| word(header, at);
        let long = |at: usize| u64::from(number(at)) | u64::from(number(at + 4)) << 32;
        let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let name = header[68..68 + ChunkHeader::NAME].split(|byte| *byte == 0).next()?;
        Some(Self {
            codec: match header[5] {
                0 => Codec::Plain,
                1 => Codec::Zstd,
                _ => return None,
            },
            state: match header[6] {
                0 => State::Continued,
                1 => State::Last,
                2 => State::Open,
                _ => return None,
            },
            chain: long(96),
            index: number(12),
            length: number(ChunkHeader::LENGTH) as usize,
            summary: SegmentSummary {
                lane: LaneId(short(8)),
                sequence: long(24),
                offset: Offset(long(32).cast_signed()),
                first: Wall(long(40)),
                last: Wall(long(48)),
                frames: number(56),
                folded: long(84),
                faded: number(92),
            },
            origin: Origin {
                interface: String::from_utf8_lossy(name).into_owned(),
                index: number(60),
                link_type: LinkType(short(10)),
                snaplen: number(64),
                clock: match header[7] {
                    1 => StampClock::Hardware,
                    2 => StampClock::Reader,
                    _ => StampClock::Software,
                },
            },
        })
    }
}

/// Of what never changes once a chunk is open.
fn fixed_sum(header: &[u8; ChunkHeader::SIZE]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    // The codec and the clock; the state changes.
    sum.update(&[header[4], header[5], header[7]]);
    ChunkHeader::FIXED.into_iter().for_each(|range| sum.update(&header[range]));
    sum.finalize()
}

/// The little-endian number at `at`, zero beyond the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
    u32::from_le_bytes(*word.unwrap_or(&[0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::pages::{PageCount, Pages, Request};

    fn origin() -> Origin {
        Origin {
            interface: "eth0".into(),
            index: 3,
            link_type: LinkType::ETHERNET,
            snaplen: 65535,
            clock: StampClock::Hardware,
        }
    }

    const SUMMARY: SegmentSummary = SegmentSummary {
        lane: LaneId(0x0102),
        sequence: 5,
        offset: Offset(-3),
        first: Wall(10),
        last: Wall(20),
        frames: 2,
        folded: 1,
        faded: 0,
    };

    fn chunk() -> Chunk {
        let request = Request { page_size: 4096, pages: 1, lock: false };
        let mut chunk = Pages::map(request).unwrap().take(&PageCount::default()).unwrap();
        chunk.fill(0xaa);
        chunk
    }

    #[test]
    fn every_chunk_explains_itself() {
        let (mut chunk, origin) = (chunk(), origin());
        let header =
            ChunkHeader { summary: &SUMMARY, origin: &origin, codec: Codec::Plain, chain: 7 };
        header.close(&mut chunk, 200, 4, true);
        assert_eq!(&chunk[..8], b"DCsg\x02\x00\x01\x01");
        assert_eq!(&chunk[8..20], [2, 1, 1, 0, 4, 0, 0, 0, 72, 0, 0, 0]);
        assert_eq!(&chunk[68..72], b"eth0");
        let mut unsigned = chunk[..200].to_vec();
        unsigned[ChunkHeader::CHECKSUM].fill(0);
        assert_eq!(chunk[ChunkHeader::CHECKSUM], crc32fast::hash(&unsigned).to_le_bytes());
        assert!(chunk[200..].iter().all(|byte| *byte == 0xaa), "what is behind is not touched");

        let read = Described::read(&chunk).unwrap();
        assert_eq!((read.codec, read.state, read.chain), (Codec::Plain, State::Last, 7));
        assert_eq!((read.index, read.length, read.summary), (4, 72, SUMMARY));
        assert_eq!(read.origin, origin);
    }

    #[test]
    fn an_open_chunk_is_as_long_as_was_committed() {
        let (mut chunk, origin) = (chunk(), origin());
        let header =
            ChunkHeader { summary: &SUMMARY, origin: &origin, codec: Codec::Plain, chain: 7 };
        assert!(Described::read(&chunk).is_none());
        header.open(&mut chunk, 0);
        let length = |chunk: &Chunk| Described::read(chunk).map(|read| (read.state, read.length));
        assert_eq!(length(&chunk), Some((State::Open, 0)));
        ChunkHeader::commit(&mut chunk, ChunkHeader::SIZE + 30);
        assert_eq!(length(&chunk), Some((State::Open, 30)));
        // Closing writes everything but the state first: a process that dies there leaves it open.
        let closing = ChunkHeader { summary: &SegmentSummary { frames: 9, ..SUMMARY }, ..header };
        let half = closing.encode(90, 0, State::Last);
        chunk[8..ChunkHeader::SIZE].copy_from_slice(&half[8..]);
        assert_eq!(length(&chunk), Some((State::Open, 90)));
        closing.close(&mut chunk, ChunkHeader::SIZE + 90, 0, true);
        assert_eq!(length(&chunk), Some((State::Last, 90)));
    }

    #[test]
    fn no_byte_of_a_closed_chunk_can_change_unseen() {
        let (mut chunk, origin) = (chunk(), origin());
        let header =
            ChunkHeader { summary: &SUMMARY, origin: &origin, codec: Codec::Plain, chain: 7 };
        header.close(&mut chunk, 200, 0, true);
        let whole = chunk[..300].to_vec();
        for (at, flip) in (0..200).flat_map(|at| [(at, 1), (at, 0x80), (at, 0xff)]) {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            assert!(Described::read(&damaged).is_none(), "{at} {flip:#x}");
        }
    }
}
