//! A segment that is still being written, and the chain of chunks under it.

use std::sync::Arc;

use bytes::Bytes;

use super::chunk::{ChunkHeader, Codec};
use super::fold::FoldedRun;
use super::record::Record;
use super::segment::{Part, Segment};
use super::summary::{LaneId, SegmentSummary};
use crate::frame::{Frame, Origin};
use crate::sys::pages::Chunk;
use crate::time::{Mono, Offset, Wall};

/// Chunks that are filled one after the other.
#[derive(Debug)]
pub(super) struct Chain {
    full: Vec<Bytes>,
    chunk: Chunk,
    /// Where the next byte goes in `chunk`.
    at: usize,
    /// Up to here the records in `chunk` are whole.
    whole: usize,
    /// What tells its chunks from all others of the pool.
    number: u64,
    /// Whether anybody can read it when the process has died; anonymous memory explains itself to nobody, and
    /// headers and checksums cost a frame of 1,500 bytes some 50 ns.
    outlives: bool,
}

/// What a chain came to.
pub(super) struct Closed {
    /// The content of its chunks, without their headers.
    pub(super) chunks: Vec<Bytes>,
    /// The rest of the last page, if it is worth a header.
    pub(super) rest: Option<Chunk>,
}

impl Chain {
    /// A chunk with less room than this is not worth a header of its own.
    const LEAST_CHUNK: usize = 1 << 10;
    /// Chunks begin at multiples of a cache line.
    pub(super) const ALIGN: usize = 64;

    /// Begins with `chunk`: a page, or the rest of the predecessor's last one. No other chain of the pool
    /// has this `number`.
    pub(super) fn new(chunk: Chunk, number: u64) -> Self {
        let full = Vec::with_capacity(OpenSegment::FULL);
        let (at, outlives) = (ChunkHeader::SIZE, chunk.is_in_file());
        Self { full, chunk, at, whole: at, number, outlives }
    }

    /// What tells its chunks from all others of the pool.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whole records end here: they survive the process from now on.
    #[inline]
    fn commit(&mut self) {
        self.whole = self.at;
        if self.outlives {
            ChunkHeader::commit(&mut self.chunk, self.at);
        }
    }

    /// Bytes that are left in the chunk being written.
    fn room(&self) -> usize {
        self.chunk.len() - self.at
    }

    /// Bytes that fit into a chunk that nothing was written to.
    pub(super) fn room_in(chunk: &Chunk) -> usize {
        chunk.len() - ChunkHeader::SIZE
    }

    /// Whole pages needed for `bytes` where `room` bytes are left.
    pub(super) fn pages_needed(room: usize, bytes: usize, page_size: usize) -> usize {
        bytes.saturating_sub(room).div_ceil(page_size - ChunkHeader::SIZE)
    }

    /// `spare` holds as many whole pages as [`Self::pages_needed`] says.
    #[inline]
    pub(super) fn write(
        &mut self,
        mut bytes: &[u8],
        spare: &mut Vec<Chunk>,
        header: ChunkHeader<'_>,
    ) {
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
            self.turn_over(next, header);
        }
    }

    /// Closes the full chunk and goes on in `next`.
    #[cold]
    fn turn_over(&mut self, next: Chunk, header: ChunkHeader<'_>) {
        if self.outlives {
            header.close(&mut self.chunk, self.at, self.full.len(), false);
        }
        let full = std::mem::replace(&mut self.chunk, next);
        self.full.push(Bytes::from_owner(full).slice(ChunkHeader::SIZE..self.at));
        (self.at, self.whole) = (ChunkHeader::SIZE, ChunkHeader::SIZE);
        // Of what is packed nothing is worth anything before all of it is there.
        if self.outlives && header.codec == Codec::Plain {
            header.open(&mut self.chunk, self.full.len());
        }
    }

    /// Closes the last chunk.
    pub(super) fn close(mut self, header: ChunkHeader<'_>) -> Closed {
        // First, so that what stands behind a closed chunk is always one of ours.
        let rest = self.chunk.split_off(self.at.next_multiple_of(Self::ALIGN));
        if self.outlives {
            header.close(&mut self.chunk, self.at, self.full.len(), true);
        }
        self.full.push(Bytes::from_owner(self.chunk).slice(ChunkHeader::SIZE..self.at));
        let rest = Some(rest).filter(|rest| rest.len() >= Self::LEAST_CHUNK);
        Closed { chunks: self.full, rest }
    }
}

/// A segment that is still being written.
#[derive(Debug)]
pub(super) struct OpenSegment {
    origin: Arc<Origin>,
    summary: SegmentSummary,
    chain: Chain,
    /// Frames and copies that its lane stored before it.
    before: u64,
}

impl OpenSegment {
    /// Bytes stored beside each frame's own.
    pub(super) const OVERHEAD: usize = Record::SIZE;
    /// Bytes that the tally of a run takes beside the frame's own.
    pub(super) const TALLY: usize = Record::TALLY;
    /// Chunks after which a segment is full: about 1 MiB.
    pub(super) const FULL: usize = 16;

    /// An empty one on `chain`.
    pub(super) fn new(
        lane: LaneId,
        sequence: u64,
        origin: Arc<Origin>,
        offset: Offset,
        mut chain: Chain,
        before: u64,
    ) -> Self {
        let summary = SegmentSummary::empty(lane, sequence, offset);
        let (number, codec) = (chain.number, Codec::Plain);
        let header = ChunkHeader { summary: &summary, origin: &origin, codec, chain: number };
        if chain.outlives {
            header.open(&mut chain.chunk, 0);
        }
        Self { origin, summary, chain, before }
    }

    pub(super) fn offset(&self) -> Offset {
        self.summary.offset
    }

    /// When the first frame arrived; the end of time when there is none.
    pub(super) fn first(&self) -> Mono {
        self.summary.offset.mono(self.summary.first)
    }

    pub(super) fn is_full(&self) -> bool {
        self.chain.full.len() + 1 >= Self::FULL
    }

    /// Bytes for records that are left in the chunk being written.
    pub(super) fn room(&self) -> usize {
        self.chain.room()
    }

    /// Whole pages needed for a frame of `captured` bytes where `room` bytes are left.
    pub(super) fn pages_needed(room: usize, captured: usize, page_size: usize) -> usize {
        Chain::pages_needed(room, Record::SIZE + captured, page_size)
    }

    /// Appends a run: a frame and the tally of its copies. Room is needed for [`Self::TALLY`] more.
    pub(super) fn append_run(&mut self, run: &FoldedRun, spare: &mut Vec<Chunk>) {
        let FoldedRun { header, bytes, tally } = run;
        let length = u32::try_from(bytes.len() + Record::TALLY).unwrap_or(u32::MAX);
        let record = Record::encode(header, length, Record::RUN);
        for part in [&record[..], bytes, &Record::encode_tally(tally)] {
            self.write(part, spare);
        }
        self.chain.commit();
        self.extend_span(tally.first, tally.last);
        self.summary.folded += tally.count;
    }

    /// Appends a frame; `spare` holds as many whole pages as [`Self::pages_needed`] says.
    pub(super) fn append(&mut self, frame: &Frame<'_>, captured: usize, spare: &mut Vec<Chunk>) {
        let length = u32::try_from(captured).unwrap_or(u32::MAX);
        let record = Record::encode(&frame.header, length, Record::FRAME);
        for part in [&record[..], frame.parts[0], frame.parts[1], frame.parts[2]] {
            self.write(part, spare);
        }
        self.chain.commit();
        self.extend_span(frame.header.wall, frame.header.wall);
        self.summary.frames += 1;
    }

    /// See [`Lane::begin_record`](super::Lane::begin_record).
    #[cfg(test)]
    pub(super) fn begin_record(&mut self, frame: &Frame<'_>) {
        self.write(&Record::encode(&frame.header, 9, Record::FRAME), &mut Vec::new());
    }

    fn extend_span(&mut self, first: Wall, last: Wall) {
        self.summary.first = self.summary.first.min(first);
        self.summary.last = self.summary.last.max(last);
    }

    #[inline]
    fn write(&mut self, bytes: &[u8], spare: &mut Vec<Chunk>) {
        let Self { origin, summary, chain, .. } = self;
        let number = chain.number;
        let header = ChunkHeader { summary, origin, codec: Codec::Plain, chain: number };
        chain.write(bytes, spare, header);
    }

    /// Seals a segment that nobody knows the state of, with what it has of whole records; none if it has
    /// none.
    pub(super) fn salvage(mut self) -> Option<Segment> {
        self.chain.at = self.chain.whole;
        let chunks = self.chain.full.iter().cloned();
        let last = Bytes::copy_from_slice(&self.chain.chunk[ChunkHeader::SIZE..self.chain.at]);
        let chunks: Vec<_> = chunks.chain([last]).collect();
        let length = chunks.iter().map(Bytes::len).sum();
        let (origin, summary, before) = (Arc::clone(&self.origin), self.summary, self.before);
        let part = Part { origin, summary, length, before };
        let (summary, whole) = part.summed_up(chunks);
        self.summary = summary;
        (whole > 0).then(|| self.seal().0)
    }

    /// Seals the segment, and gives back the rest of its last page if that is worth it.
    pub(super) fn seal(self) -> (Segment, Option<Chunk>) {
        let Self { origin, summary, chain, before } = self;
        let (number, codec) = (chain.number, Codec::Plain);
        let header = ChunkHeader { summary: &summary, origin: &origin, codec, chain: number };
        let Closed { chunks, rest } = chain.close(header);
        let length = chunks.iter().map(Bytes::len).sum();
        (Segment::plain(Part { origin, summary, length, before }, chunks), rest)
    }
}
