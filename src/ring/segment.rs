//! A segment: frames of one lane in order of arrival, on a chain of chunks. Open while its lane appends,
//! then sealed and immutable.
//!
//! ```text
//!  chunk 0 (a whole page)          chunk 1                     chunk 2 (the last one)
//!  ┌────────┬──────┬──────┬─────┐  ┌────────┬────┬──────┬───┐  ┌────────┬─────┬ ─ ─ ─ ─ ─ ─ ─ ┐
//!  │ header │ rec  │ rec  │ rec │  │ header │ rd │ rec  │ r │  │ header │ ec  │  next segment    │
//!  └────────┴──────┴──────┴─────┘  └────────┴────┴──────┴───┘  └────────┴─────┴ ─ ─ ─ ─ ─ ─ ─ ┘
//!                            └─ a record may straddle ──┘
//! ```
//!
//! Every chunk begins with a [`ChunkHeader`] that names its lane, segment and place in the chain and
//! carries a checksum, so that the bytes of a pool explain themselves to a reader who has nothing else.
//! The last chunk's header also sums up the segment: origin, clocks, first and last stamp, frames.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::fold::Told;
use crate::frame::{Direction, Frame, FrameHeader, Origin, Reception, StoredFrame, Tally};
use crate::sys::pages::Chunk;
use crate::time::{Mono, Offset, Wall};

/// Number of a lane within a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u16);

/// A sealed segment.
#[derive(Debug)]
pub struct Segment {
    origin: Arc<Origin>,
    summary: Summary,
    /// The chunks' records, without their headers.
    chunks: Vec<Bytes>,
    /// Pages that were taken from the pool for this segment; it may also use the rest of the last one
    /// of its predecessor.
    pages: usize,
}

/// What a segment says of itself without being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Summary {
    lane: LaneId,
    sequence: u64,
    offset: Offset,
    first: Wall,
    last: Wall,
    frames: u32,
    folded: u64,
}

/// Writes the layout of a chunk's first bytes, little-endian. Never read back while the process lives.
struct ChunkHeader<'a> {
    summary: &'a Summary,
    origin: &'a Origin,
    index: u32,
    last: bool,
}

impl ChunkHeader<'_> {
    /// "DCsg", read as a number on a little-endian machine.
    const MAGIC: u32 = u32::from_le_bytes(*b"DCsg");
    const VERSION: u8 = 1;
    /// Records as they were appended; other codecs are for compressed segments.
    const CODEC_PLAIN: u8 = 0;
    /// Bytes of a header, a multiple of the cache line.
    const SIZE: usize = 128;
    /// `IFNAMSIZ` (linux/if.h).
    const NAME: usize = 16;
    /// Where the checksum stands: CRC-32 (IEEE 802.3) of the header before and after it and the records.
    const CHECKSUM: std::ops::Range<usize> = 20..24;

    /// Fills in the header of `chunk`, whose records end at `end`.
    fn write(&self, chunk: &mut [u8], end: usize) {
        let Summary { lane, sequence, offset, first, last, frames, folded } = *self.summary;
        let origin = self.origin;
        let mut name = [0; Self::NAME];
        let bytes = origin.interface.as_bytes();
        let length = bytes.len().min(Self::NAME);
        name[..length].copy_from_slice(&bytes[..length]);

        let mut at = 0;
        let mut put = |field: &[u8]| {
            chunk[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&Self::MAGIC.to_le_bytes());
        put(&[Self::VERSION, Self::CODEC_PLAIN, u8::from(self.last), origin.clock as u8]);
        put(&lane.0.to_le_bytes());
        put(&origin.link_type.0.to_le_bytes());
        put(&self.index.to_le_bytes());
        put(&u32::try_from(end - Self::SIZE).unwrap_or(u32::MAX).to_le_bytes());
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
        chunk[at..Self::SIZE].fill(0);
        let checksum = crc32fast::hash(&chunk[..end]).to_le_bytes();
        chunk[Self::CHECKSUM].copy_from_slice(&checksum);
    }
}

/// What stands before each frame's bytes, little-endian. Behind the bytes of a run stands its tally.
struct Record;

impl Record {
    /// wall 8, length of what follows 4, original length 4, direction 1, reception 1, kind 1, zero 1.
    const SIZE: usize = 20;
    /// A frame.
    const FRAME: u8 = 0;
    /// A frame and the [`Tally`] of its copies.
    const RUN: u8 = 1;
    /// last 8, count 8, bins 4 each.
    const TALLY: usize = 16 + 4 * Tally::BINS;

    fn encode(header: &FrameHeader, length: u32, kind: u8) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&header.wall.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        bytes[12..16].copy_from_slice(&header.original_len.to_le_bytes());
        bytes[16] = header.direction as u8;
        bytes[17] = header.reception as u8;
        bytes[18] = kind;
        bytes
    }

    fn encode_tally(tally: &Tally) -> [u8; Self::TALLY] {
        let mut bytes = [0; Self::TALLY];
        bytes[..8].copy_from_slice(&tally.last.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&tally.count.to_le_bytes());
        for (to, bin) in bytes[16..].chunks_exact_mut(4).zip(tally.bins) {
            to.copy_from_slice(&bin.to_le_bytes());
        }
        bytes
    }

    fn decode_tally(first: Wall, bytes: &[u8]) -> Option<Tally> {
        let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let mut bins = [0; Tally::BINS];
        for (bin, from) in bins.iter_mut().zip(bytes.get(16..)?.chunks_exact(4)) {
            *bin = u32::from_le_bytes(from.try_into().ok()?);
        }
        Some(Tally { first, last: Wall(number(0)?), count: number(8)?, bins })
    }

    /// Header, kind, and length of what follows.
    fn decode(bytes: &[u8]) -> Option<(FrameHeader, u8, usize)> {
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

/// A segment that is still being written.
#[derive(Debug)]
pub(super) struct OpenSegment {
    origin: Arc<Origin>,
    summary: Summary,
    full: Vec<Bytes>,
    chunk: Chunk,
    /// Where the next byte goes in `chunk`.
    at: usize,
    pages: usize,
}

impl OpenSegment {
    /// A chunk with less room than this is not worth a header of its own.
    pub(super) const LEAST_CHUNK: usize = 1 << 10;
    /// Bytes stored beside each frame's own.
    pub(super) const OVERHEAD: usize = Record::SIZE;
    /// Chunks after which a segment is full: about 1 MiB.
    pub(super) const FULL: usize = 16;

    /// Begins with `chunk`, which has at least [`Self::LEAST_CHUNK`] bytes; `fresh` if it is a page that
    /// was just taken, not the rest of the predecessor's.
    pub(super) fn new(
        lane: LaneId,
        sequence: u64,
        origin: Arc<Origin>,
        offset: Offset,
        chunk: Chunk,
        fresh: bool,
    ) -> Self {
        let (first, last) = (Wall(u64::MAX), Wall(0));
        Self {
            origin,
            summary: Summary { lane, sequence, offset, first, last, frames: 0, folded: 0 },
            full: Vec::with_capacity(Self::FULL),
            chunk,
            at: ChunkHeader::SIZE,
            pages: usize::from(fresh),
        }
    }

    pub(super) fn offset(&self) -> Offset {
        self.summary.offset
    }

    /// When the first frame arrived; the end of time when there is none.
    pub(super) fn first(&self) -> Mono {
        self.summary.offset.mono(self.summary.first)
    }

    pub(super) fn pages(&self) -> usize {
        self.pages
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.len() + 1 >= Self::FULL
    }

    /// Bytes for records that are left in the chunk being written.
    pub(super) fn room(&self) -> usize {
        self.chunk.len() - self.at
    }

    /// Bytes for records in a chunk that nothing was written to.
    pub(super) fn room_in(chunk: &Chunk) -> usize {
        chunk.len() - ChunkHeader::SIZE
    }

    /// Whole pages needed for a frame of `captured` bytes where `room` bytes are left.
    pub(super) fn pages_needed(room: usize, captured: usize, page_size: usize) -> usize {
        (Record::SIZE + captured).saturating_sub(room).div_ceil(page_size - ChunkHeader::SIZE)
    }

    /// Bytes that the tally of a run takes beside the frame's own.
    pub(super) const TALLY: usize = Record::TALLY;

    /// Appends a run: a frame and the tally of its copies. Room is needed for [`Self::TALLY`] more.
    pub(super) fn append_run(&mut self, run: &Told, spare: &mut Vec<Chunk>) {
        let Told { header, bytes, tally } = run;
        let length = u32::try_from(bytes.len() + Record::TALLY).unwrap_or(u32::MAX);
        let record = Record::encode(header, length, Record::RUN);
        for part in [&record[..], bytes, &Record::encode_tally(tally)] {
            self.write(part, spare);
        }
        self.summary.first = self.summary.first.min(tally.first);
        self.summary.last = self.summary.last.max(tally.last);
        self.summary.folded += tally.count;
    }

    /// Appends a frame; `spare` holds as many whole pages as [`Self::pages_needed`] says.
    pub(super) fn append(&mut self, frame: &Frame<'_>, captured: usize, spare: &mut Vec<Chunk>) {
        let length = u32::try_from(captured).unwrap_or(u32::MAX);
        let record = Record::encode(&frame.header, length, Record::FRAME);
        for part in [&record[..], frame.parts[0], frame.parts[1], frame.parts[2]] {
            self.write(part, spare);
        }
        let wall = frame.header.wall;
        self.summary.first = self.summary.first.min(wall);
        self.summary.last = self.summary.last.max(wall);
        self.summary.frames += 1;
    }

    #[inline]
    fn write(&mut self, mut bytes: &[u8], spare: &mut Vec<Chunk>) {
        loop {
            let room = self.room();
            if bytes.len() <= room {
                self.chunk[self.at..self.at + bytes.len()].copy_from_slice(bytes);
                self.at += bytes.len();
                return;
            }
            let (now, later) = bytes.split_at(room);
            self.chunk[self.at..self.at + room].copy_from_slice(now);
            self.at += room;
            bytes = later;
            let Some(next) = spare.pop() else { return };
            self.turn_over(next);
        }
    }

    /// Closes the full chunk and goes on in `next`.
    #[cold]
    fn turn_over(&mut self, next: Chunk) {
        self.finish_chunk(false);
        let full = std::mem::replace(&mut self.chunk, next);
        self.full.push(Bytes::from_owner(full).slice(ChunkHeader::SIZE..self.at));
        self.at = ChunkHeader::SIZE;
        self.pages += 1;
    }

    fn finish_chunk(&mut self, last: bool) {
        let index = u32::try_from(self.full.len()).unwrap_or(u32::MAX);
        let header = ChunkHeader { summary: &self.summary, origin: &self.origin, index, last };
        header.write(&mut self.chunk, self.at);
    }

    /// Seals the segment, and gives back the rest of its last page if that is worth it.
    pub(super) fn seal(mut self) -> (Segment, Option<Chunk>) {
        const ALIGN: usize = 64;
        self.finish_chunk(true);
        let rest = self.chunk.split_off(self.at.next_multiple_of(ALIGN));
        self.full.push(Bytes::from_owner(self.chunk).slice(ChunkHeader::SIZE..self.at));
        let Self { origin, summary, full: chunks, pages, .. } = self;
        (
            Segment { origin, summary, chunks, pages },
            Some(rest).filter(|r| r.len() >= Self::LEAST_CHUNK),
        )
    }
}

impl Segment {
    /// Frames in it.
    pub fn frames(&self) -> u32 {
        self.summary.frames
    }

    /// Copies of frames that its runs stand for.
    pub fn folded(&self) -> u64 {
        self.summary.folded
    }

    /// When the earliest frame arrived.
    pub fn first(&self) -> Mono {
        self.summary.offset.mono(self.summary.first)
    }

    /// When the latest frame arrived.
    pub fn last(&self) -> Mono {
        self.summary.offset.mono(self.summary.last)
    }

    /// Number of the segment in its lane, from 0, without gaps.
    pub fn sequence(&self) -> u64 {
        self.summary.sequence
    }

    pub(super) fn pages(&self) -> usize {
        self.pages
    }

    /// Its frames and runs, in order of arrival, runs by their first copy.
    pub fn read_in_order(&self) -> Box<dyn Iterator<Item = StoredFrame> + '_> {
        if self.summary.folded == 0 {
            return Box::new(self.read());
        }
        // Runs are told when the segment is sealed, so they stand at its end.
        let mut frames: Vec<_> = self.read().collect();
        frames.sort_by_key(|frame| frame.mono);
        Box::new(frames.into_iter())
    }

    fn read(&self) -> impl Iterator<Item = StoredFrame> + '_ {
        let mut cursor = Cursor { chunks: &self.chunks, at: 0 };
        std::iter::from_fn(move || {
            let (header, kind, length) = Record::decode(&cursor.take(Record::SIZE)?)?;
            let mut bytes = cursor.take(length)?;
            let tally = match kind {
                Record::RUN => {
                    let tally = bytes.split_off(bytes.len().checked_sub(Record::TALLY)?);
                    Some(Record::decode_tally(header.wall, &tally)?)
                }
                _ => None,
            };
            Some(StoredFrame {
                origin: Arc::clone(&self.origin),
                header,
                mono: self.summary.offset.mono(header.wall),
                bytes,
                tally,
            })
        })
    }
}

/// Walks the records of a chain.
struct Cursor<'a> {
    chunks: &'a [Bytes],
    at: usize,
}

impl Cursor<'_> {
    /// The next `length` bytes: without a copy where they lie in one chunk; none at the end.
    fn take(&mut self, length: usize) -> Option<Bytes> {
        let (chunk, rest) = self.chunks.split_first()?;
        if self.at == chunk.len() && !rest.is_empty() {
            *self = Self { chunks: rest, at: 0 };
            return self.take(length);
        }
        if let Some(end) = self.at.checked_add(length).filter(|end| *end <= chunk.len()) {
            let bytes = chunk.slice(self.at..end);
            self.at = end;
            return Some(bytes);
        }
        self.join(length)
    }

    #[cold]
    fn join(&mut self, length: usize) -> Option<Bytes> {
        let left: usize = self.chunks.iter().map(Bytes::len).sum::<usize>() - self.at;
        if length > left {
            return None;
        }
        let mut joined = BytesMut::with_capacity(length);
        while joined.len() < length {
            let (chunk, rest) = self.chunks.split_first()?;
            let end = chunk.len().min(self.at + length - joined.len());
            joined.extend_from_slice(&chunk[self.at..end]);
            *self = if end == chunk.len() && !rest.is_empty() {
                Self { chunks: rest, at: 0 }
            } else {
                Self { chunks: self.chunks, at: end }
            };
        }
        Some(joined.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{LinkType, StampClock};
    use crate::sys::pages::{Pages, Request};

    const PAGE: usize = 4096;

    fn origin() -> Arc<Origin> {
        Arc::new(Origin {
            interface: "eth0".into(),
            index: 3,
            link_type: LinkType::ETHERNET,
            snaplen: 65535,
            clock: StampClock::Software,
        })
    }

    fn header(wall: u64, length: usize) -> FrameHeader {
        FrameHeader {
            wall: Wall(wall),
            original_len: u32::try_from(length).unwrap(),
            direction: Direction::Outbound,
            reception: Reception::Multicast,
        }
    }

    /// Appends one frame of each length and returns the sealed segment.
    fn filled(lengths: &[usize]) -> (Segment, Option<Chunk>) {
        let pages = Pages::map(Request { page_size: PAGE, pages: 64, lock: false }).unwrap();
        let mut open =
            OpenSegment::new(LaneId(9), 77, origin(), Offset(1_000), pages.take().unwrap(), true);
        for (n, length) in lengths.iter().enumerate() {
            let bytes = vec![n as u8; *length];
            let cut = length / 3;
            let parts = [&bytes[..cut], &bytes[cut..2 * cut], &bytes[2 * cut..]];
            let frame = Frame { header: header(5_000 + n as u64, *length), parts };
            let needed = OpenSegment::pages_needed(open.room(), *length, PAGE);
            let mut spare: Vec<_> = (0..needed).map(|_| pages.take().unwrap()).collect();
            open.append(&frame, *length, &mut spare);
            assert!(spare.is_empty(), "all pages that were said to be needed are used");
        }
        open.seal()
    }

    #[test]
    fn frames_come_back_as_they_went_in_wherever_pages_end() {
        for lengths in [
            vec![],
            vec![0],
            vec![60, 1514, 1514, 1514, 9000, 0, 1],
            vec![65_549, 64, 20_000],
            vec![PAGE - ChunkHeader::SIZE - Record::SIZE, 5],
            vec![PAGE - ChunkHeader::SIZE - Record::SIZE - 7, 5, 100],
            vec![PAGE - ChunkHeader::SIZE - Record::SIZE - 20, 0, 0, 3],
        ] {
            let (segment, _) = filled(&lengths);
            let frames: Vec<_> = segment.read().collect();
            assert_eq!(frames.len(), lengths.len(), "{lengths:?}");
            assert_eq!(segment.frames() as usize, lengths.len());
            for (n, (frame, length)) in frames.iter().zip(&lengths).enumerate() {
                assert_eq!(frame.bytes, vec![n as u8; *length], "{lengths:?} frame {n}");
                assert_eq!(frame.header, header(5_000 + n as u64, *length));
                assert_eq!(frame.mono, Mono(4_000 + n as u64));
            }
        }
    }

    #[test]
    fn a_sealed_segment_knows_its_span_and_leaves_the_rest_of_its_page() {
        let (segment, rest) = filled(&[100, 100, 100]);
        assert_eq!((segment.first(), segment.last()), (Mono(4_000), Mono(4_002)));
        assert_eq!((segment.sequence(), segment.pages()), (77, 1));
        let used = (ChunkHeader::SIZE + 3 * (Record::SIZE + 100)).next_multiple_of(64);
        assert_eq!(rest.unwrap().len(), PAGE - used);
        let (_, none) = filled(&[PAGE - ChunkHeader::SIZE - Record::SIZE - 500]);
        assert!(none.is_none(), "500 bytes are not worth a header");
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
        };
        let header = ChunkHeader { summary: &summary, origin: &origin(), index: 4, last: true };
        header.write(&mut chunk, 200);
        assert_eq!(&chunk[..8], b"DCsg\x01\x00\x01\x00");
        assert_eq!(&chunk[8..20], [2, 1, 1, 0, 4, 0, 0, 0, 72, 0, 0, 0]);
        assert_eq!(&chunk[68..72], b"eth0");
        let mut unsigned = chunk[..200].to_vec();
        unsigned[ChunkHeader::CHECKSUM].fill(0);
        assert_eq!(chunk[ChunkHeader::CHECKSUM], crc32fast::hash(&unsigned).to_le_bytes());
        assert_eq!(chunk[200..], vec![0xaa; 100], "bytes behind the records are not touched");
    }
}
