//! A sealed segment: frames of one lane in order of arrival, on a chain of chunks, immutable.
//!
//! ```text
//!  chunk 0 (a whole page)          chunk 1                     chunk 2 (the last one)
//!  ┌────────┬──────┬──────┬─────┐  ┌────────┬────┬──────┬───┐  ┌────────┬─────┬ ─ ─ ─ ─ ─ ─ ─ ┐
//!  │ header │ rec  │ rec  │ rec │  │ header │ rd │ rec  │ r │  │ header │ ec  │  next segment    │
//!  └────────┴──────┴──────┴─────┘  └────────┴────┴──────┴───┘  └────────┴─────┴ ─ ─ ─ ─ ─ ─ ─ ┘
//!                            └─ a record may straddle ──┘
//! ```
//!
//! Every chunk begins with a header that names its lane, segment and place in the chain and carries a
//! checksum, so that the bytes of a pool explain themselves to a reader who has nothing else. The last
//! chunk's header also sums up the segment: origin, clocks, first and last stamp, frames.
//!
//! Packed, the chunks hold one zstd frame instead of records, made of one or several segments, its
//! *parts*. Each part keeps its own summary, so nothing that can be asked of it changes by packing.
//!
//! A copy of a segment may lie in a spool file instead of memory: it is read when its frames are.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::chunk::{ChunkHeader, Codec};
use super::record::Record;
use super::spool::place::SpoolPlace;
use super::summary::SegmentSummary;
use crate::frame::{Origin, StoredFrame};
use crate::time::Mono;

/// A sealed segment, plain or packed.
#[derive(Debug)]
pub struct Segment {
    parts: Box<[Part]>,
    codec: Codec,
    content: Content,
    /// Shared by the slices that pin the segment.
    pin: Arc<()>,
}

/// Where what a segment holds is.
#[derive(Debug)]
enum Content {
    /// On these chunks, without their headers.
    Memory(Vec<Bytes>),
    /// On the disk, in one piece.
    Spool(SpoolPlace),
}

/// A segment as it was sealed, now perhaps one of several in a packed one.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) origin: Arc<Origin>,
    pub(super) summary: SegmentSummary,
    /// Bytes of its records.
    pub(super) length: usize,
    /// Frames and copies that its lane had stored before it; zero where nobody follows a lane, in what was
    /// recovered.
    pub(super) before: u64,
}

/// Frames that were read, whatever becomes of the segment they came from.
pub type Frames = Box<dyn Iterator<Item = StoredFrame> + Send>;

/// A segment that somebody holds on to, so that its pages cannot be used again.
#[derive(Debug, Clone)]
pub struct Pinned {
    pub(super) segment: Arc<Segment>,
    /// Numbers of the parts that he wants.
    wanted: RangeInclusive<u64>,
    _pin: Arc<()>,
}

impl Pinned {
    /// The frames of what is wanted of it. Unpacked, and read from the disk, when the first one is asked for.
    pub(super) fn frames(&self) -> Frames {
        self.segment.read(self.wanted.clone())
    }

    /// True while it takes memory.
    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.segment.content, Content::Memory(_))
    }

    /// Holds on to `copy` instead, which has the same.
    pub(super) fn replaced_by(&mut self, copy: &Arc<Segment>) {
        *self = copy.pinned_part(self.wanted.clone());
    }

    /// Bytes of its content.
    pub fn bytes(&self) -> usize {
        self.segment.stored_bytes()
    }
}

impl Segment {
    /// A segment of records.
    pub(super) fn plain(part: Part, chunks: Vec<Bytes>) -> Self {
        let content = Content::Memory(chunks);
        Self { parts: Box::new([part]), codec: Codec::Plain, content, pin: Arc::default() }
    }

    /// A segment whose chunks hold its parts as one zstd frame.
    pub(super) fn packed(parts: Vec<Part>, chunks: Vec<Bytes>) -> Self {
        let content = Content::Memory(chunks);
        Self { parts: parts.into(), codec: Codec::Zstd, content, pin: Arc::default() }
    }

    /// The copy of a segment that lies in a spool file.
    pub(super) fn spooled(parts: Box<[Part]>, codec: Codec, place: SpoolPlace) -> Self {
        Self { parts, codec, content: Content::Spool(place), pin: Arc::default() }
    }

    /// Frames in it.
    pub fn frames(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.summary.frames)).sum()
    }

    /// Of these, frames that were cut to their headers.
    pub fn faded(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.summary.faded)).sum()
    }

    /// Copies of frames that its runs stand for.
    pub fn folded(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.summary.folded))
    }

    /// When the earliest frame arrived.
    pub fn first(&self) -> Mono {
        self.parts.iter().map(|part| part.summary.first()).min().unwrap_or(Mono(0))
    }

    /// When the latest frame arrived.
    pub fn last(&self) -> Mono {
        self.parts.iter().map(|part| part.summary.last()).max().unwrap_or(Mono(0))
    }

    /// What it is made of, oldest first.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Numbers of the first and last segment in it, in their lane, from 0, without gaps.
    pub(super) fn sequences(&self) -> (u64, u64) {
        let number = |part: Option<&Part>| part.map_or(0, |part| part.summary.sequence);
        (number(self.parts.first()), number(self.parts.last()))
    }

    /// Where its newest frames come from.
    pub(super) fn origin(&self) -> Option<Arc<Origin>> {
        self.parts.last().map(|part| Arc::clone(&part.origin))
    }

    /// All of its parts together, as if they were one.
    pub(super) fn summary(&self) -> Option<SegmentSummary> {
        SegmentSummary::joined(self.parts.iter().map(|part| part.summary))
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    pub(super) fn is_packed(&self) -> bool {
        self.codec == Codec::Zstd
    }

    /// Bytes of its content, in the ring or in a spool file, without the headers of its chunks.
    pub(super) fn stored_bytes(&self) -> usize {
        match &self.content {
            Content::Memory(chunks) => chunks.iter().map(Bytes::len).sum(),
            Content::Spool(place) => place.length(),
        }
    }

    /// Bytes it takes in the ring with the headers of its chunks.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.content {
            Content::Memory(chunks) => self.stored_bytes() + chunks.len() * ChunkHeader::SIZE,
            Content::Spool(_) => 0,
        }
    }

    /// Its content, from the disk if it is there.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written.
    pub(super) fn chunks(&self) -> io::Result<Cow<'_, [Bytes]>> {
        match &self.content {
            Content::Memory(chunks) => Ok(Cow::Borrowed(chunks)),
            Content::Spool(place) => Ok(Cow::Owned(vec![place.read()?])),
        }
    }

    /// Bytes of what is packed of it: its records, and a header for each of its parts.
    pub(super) fn image_bytes(&self) -> usize {
        self.parts.iter().map(|part| ChunkHeader::SIZE + part.length).sum()
    }

    /// Holds on to all of it.
    pub(super) fn pinned(self: &Arc<Self>) -> Pinned {
        self.pinned_part(0..=u64::MAX)
    }

    /// Holds on to it for those of its parts that have these numbers.
    pub(super) fn pinned_part(self: &Arc<Self>, wanted: RangeInclusive<u64>) -> Pinned {
        Pinned { segment: Arc::clone(self), wanted, _pin: Arc::clone(&self.pin) }
    }

    /// True while somebody holds on to it.
    pub(super) fn is_pinned(&self) -> bool {
        Arc::strong_count(&self.pin) > 1
    }

    /// Its frames and runs, in order of arrival, runs by their first copy. What cannot be read or unpacked,
    /// which only damaged memory or a damaged disk explains, is told in the log.
    pub fn read_in_order(&self) -> Frames {
        self.read(0..=u64::MAX)
    }

    /// The same, of its parts with these numbers.
    pub(super) fn read(&self, wanted: RangeInclusive<u64>) -> Frames {
        let is_wanted = |part: &&Part| wanted.contains(&part.summary.sequence);
        match self.chains() {
            Ok(chains) => {
                let chains: Vec<_> =
                    chains.into_iter().filter(|(part, _)| is_wanted(&part)).collect();
                Box::new(chains.into_iter().flat_map(|(part, chain)| part.read_in_order(chain)))
            }
            Err(error) => {
                let ((first, _), frames) = (self.sequences(), self.frames());
                tracing::error!("segment {first} is damaged, {frames} frames are lost: {error}");
                Box::new(std::iter::empty())
            }
        }
    }

    /// Each part with the bytes its records are in.
    fn chains(&self) -> io::Result<Vec<(Part, Vec<Bytes>)>> {
        if self.codec == Codec::Plain {
            let chunks = self.chunks()?;
            return Ok(self.parts.iter().map(|part| (part.clone(), chunks.to_vec())).collect());
        }
        let mut content = Vec::new();
        self.unpack(&mut content)?;
        let content = Bytes::from(content);
        Ok(self.images().map(|(part, at)| (part.clone(), vec![content.slice(at)])).collect())
    }

    /// Puts the content of the zstd frame, or the records as they are, into `content`.
    ///
    /// # Errors
    /// When it cannot be read, or the frame is damaged.
    pub(super) fn unpack(&self, content: &mut Vec<u8>) -> io::Result<()> {
        content.clear();
        let chunks = self.chunks()?;
        match self.codec {
            Codec::Plain => chunks.iter().for_each(|chunk| content.extend_from_slice(chunk)),
            Codec::Zstd => {
                content.reserve(self.image_bytes());
                let packed = chunks.concat();
                zstd::bulk::Decompressor::new()?.decompress_to_buffer(&packed, content)?;
            }
        }
        Ok(())
    }

    /// Where in the unpacked content the records of each part are.
    pub(super) fn images(&self) -> impl Iterator<Item = (&Part, std::ops::Range<usize>)> {
        let header = if self.is_packed() { ChunkHeader::SIZE } else { 0 };
        let mut end = 0;
        self.parts.iter().map(move |part| {
            let begin = end + header;
            end = begin + part.length;
            (part, begin..end)
        })
    }
}

impl Part {
    /// Frames in it, and copies that its runs stand for.
    pub(super) fn stored(&self) -> u64 {
        u64::from(self.summary.frames).saturating_add(self.summary.folded)
    }

    fn read_in_order(&self, chain: Vec<Bytes>) -> Frames {
        let frames = self.read(chain);
        if self.summary.folded == 0 {
            return Box::new(frames);
        }
        // Runs are told when the segment is sealed, so they stand at its end.
        let mut frames: Vec<_> = frames.collect();
        frames.sort_by_key(|frame| frame.mono);
        Box::new(frames.into_iter())
    }

    /// What its whole records come to, and their bytes in `chain`.
    pub(super) fn summed_up(&self, chain: Vec<Bytes>) -> (SegmentSummary, usize) {
        let SegmentSummary { lane, sequence, offset, .. } = self.summary;
        let (mut summary, mut whole) = (SegmentSummary::empty(lane, sequence, offset), 0);
        for frame in self.read(chain) {
            let tally = frame.tally.map_or(0, |_| Record::TALLY);
            whole += Record::SIZE + frame.bytes.len() + tally;
            let wall = frame.header.wall;
            summary.first = summary.first.min(wall);
            summary.last = summary.last.max(frame.tally.map_or(wall, |tally| tally.last));
            match frame.tally {
                Some(tally) => summary.folded = summary.folded.saturating_add(tally.count),
                None => summary.frames += 1,
            }
        }
        (summary, whole)
    }

    /// Its whole records in the order in which they stand in `chain`.
    pub(super) fn read(&self, chain: Vec<Bytes>) -> impl Iterator<Item = StoredFrame> + use<> {
        let mut cursor = Cursor { chunks: chain.into(), at: 0 };
        let (origin, offset) = (Arc::clone(&self.origin), self.summary.offset);
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
                origin: Arc::clone(&origin),
                header,
                mono: offset.mono(header.wall),
                bytes,
                tally,
                faded: kind == Record::FADED,
            })
        })
    }
}

/// Walks the records of a chain.
struct Cursor {
    chunks: VecDeque<Bytes>,
    at: usize,
}

impl Cursor {
    /// The next `length` bytes: without a copy where they lie in one chunk; none at the end.
    fn take(&mut self, length: usize) -> Option<Bytes> {
        while self.chunks.len() > 1 && self.at == self.chunks.front()?.len() {
            self.chunks.pop_front();
            self.at = 0;
        }
        let chunk = self.chunks.front()?;
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
            let chunk = self.chunks.front()?;
            let end = chunk.len().min(self.at + length - joined.len());
            joined.extend_from_slice(&chunk[self.at..end]);
            self.at = end;
            if end == chunk.len() && self.chunks.len() > 1 {
                self.chunks.pop_front();
                self.at = 0;
            }
        }
        Some(joined.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::super::open::{Chain, OpenSegment};
    use super::*;
    use crate::frame::{Direction, Frame, FrameHeader, LinkType, Reception, StampClock};
    use crate::ring::LaneId;
    use crate::sys::pages::Chunk;
    use crate::sys::pages::{PageCount, Pages, Request};
    use crate::time::{Offset, Wall};

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
        let account = PageCount::default();
        let pages = Pages::map(Request { page_size: PAGE, pages: 64, lock: false }).unwrap();
        let chain = Chain::new(pages.take(&account).unwrap(), 1);
        let mut open = OpenSegment::new(LaneId(9), 77, origin(), Offset(1_000), chain, 0);
        for (n, length) in lengths.iter().enumerate() {
            let bytes = vec![n as u8; *length];
            let cut = length / 3;
            let parts = [&bytes[..cut], &bytes[cut..2 * cut], &bytes[2 * cut..]];
            let frame = Frame { header: header(5_000 + n as u64, *length), parts };
            let needed = OpenSegment::pages_needed(open.room(), *length, PAGE);
            let mut spare: Vec<_> = (0..needed).map(|_| pages.take(&account).unwrap()).collect();
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
            let frames: Vec<_> = segment.read_in_order().collect();
            assert_eq!(frames.len(), lengths.len(), "{lengths:?}");
            assert_eq!(segment.frames(), lengths.len() as u64);
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
        assert_eq!(segment.sequences(), (77, 77));
        let used = (ChunkHeader::SIZE + 3 * (Record::SIZE + 100)).next_multiple_of(64);
        assert_eq!(rest.unwrap().len(), PAGE - used);
        let (_, none) = filled(&[PAGE - ChunkHeader::SIZE - Record::SIZE - 500]);
        assert!(none.is_none(), "500 bytes are not worth a header");
    }
}
