//! What the pages of a ring file hold when their process is gone: every whole record, in order, once.
//!
//! ```text
//!   pages ─► chunks that are whole ─► chains ─► segments ─► lanes
//!            magic, checksum           all their  of several copies the best:
//!            or committed length       pieces     packed, plain, faded
//! ```
//!
//! A process dies between any two instructions, so what is found may be any of:
//!
//! * sealed or packed, whole: its checksums say so, and all of it is taken;
//! * open: taken up to the last record that was committed, a record cut in the middle is left out and
//!   counted;
//! * twice, plain and packed, because packing had just ended, or in memory and in a spool file: taken once;
//! * in pieces, because it was being forgotten or packed: left out, and counted unless a copy is whole.
//!
//! It promises never to panic and never to tell of a frame that no segment had, whatever the bytes, and
//! also if they change while they are read.

mod image;
mod spool;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

pub(super) use self::image::{Image, ReadAt, bytes};

use super::chunk::{ChunkHeader, Codec, Described, State};
use super::metadata::RecordingMetadata;
use super::open::Chain;
use super::segment::{Part, Segment};
use super::slice::Slice;
use super::summary::{LaneId, SegmentSummary};
use crate::frame::Origin;
use crate::ring::PAGE_SIZE;
use crate::sys::locked_file::LockedFile;
use crate::sys::pages::Chunk;
use crate::time::{Mono, Window};

/// What a ring file held.
#[derive(Debug)]
pub struct Recovery {
    /// What it says of its recording.
    pub standing: RecordingMetadata,
    /// From its first frame to its last; none without frames.
    pub window: Option<Window>,
    /// Its lanes that have frames, by number.
    pub lanes: Vec<RecoveredLane>,
    /// What was found and what was not.
    pub counts: RecoveryCounts,
    /// True if nothing was ever written to it.
    pub is_blank: bool,
}

/// What a lane held.
#[derive(Debug, Clone)]
pub struct RecoveredLane {
    /// Its number.
    pub lane: LaneId,
    /// Where its newest frames come from.
    pub origin: Arc<Origin>,
    /// Its frames.
    pub slice: Slice,
}

/// What became of the segments of a ring file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct RecoveryCounts {
    /// Segments that were sealed, and are whole.
    pub sealed: u64,
    /// Segments that were sealed, packed since, and are whole.
    pub packed: u64,
    /// Segments that were being written: taken up to their last whole record.
    pub open: u64,
    /// Records that were being written, and are left out.
    pub torn_records: u64,
    /// Segments of which pieces are missing or damaged, and that are left out: they were being forgotten
    /// or packed.
    pub left_out: u64,
    /// Segments between the first and the last one of their lane of which nothing is there.
    pub missing: u64,
    /// Pages that held what is no chunk: damaged; and one more if what the file says of its recording is.
    pub damaged_pages: u64,
    /// Pages that the file says it has and that are not there, or cannot be read.
    pub absent_pages: u64,
    /// Frames recovered.
    pub frames: u64,
    /// Copies that were counted in runs. What was counted since the last seal, a second before the end at
    /// most, is not among them.
    pub folded: u64,
    /// Of the frames, those of which memory kept the headers only.
    pub faded: u64,
}

impl RecoveryCounts {
    /// True if not everything is there that the recording had: a record, a segment, a page.
    pub fn is_damaged(&self) -> bool {
        let Self { torn_records, left_out, missing, damaged_pages, absent_pages, .. } = *self;
        [torn_records, left_out, missing, damaged_pages, absent_pages].iter().any(|lost| *lost > 0)
    }
}

/// Which of the frames are wanted.
#[derive(Debug, Clone, Copy)]
pub struct WantedFrames {
    /// Frames from then on, and what stands in one segment with them.
    pub since: Mono,
    /// Pages that are kept in memory, the newest first.
    pub pages: usize,
}

impl WantedFrames {
    /// Everything there is.
    pub const ALL: Self = Self { since: Mono(0), pages: usize::MAX };
}

/// A packed segment expands to no more bytes, and parts, than this: what a packer makes is far less, and
/// a hostile file must not take all memory.
const LARGEST: u64 = 64 << 20;
const MOST_PARTS: usize = 1 << 16;

/// A chunk that is whole, in few bytes: there can be hundreds in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    chain: u64,
    index: u32,
    at: usize,
    /// When its newest frame arrived; of an open one nobody knows yet.
    last: Mono,
}

/// A segment that could be recovered; others may hold the same frames.
struct Candidate {
    lane: LaneId,
    segment: Segment,
    /// Its numbers.
    sequences: Vec<u64>,
    kind: ChunkKind,
    torn_records: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkKind {
    Sealed,
    Packed,
    Open,
}

/// A spool file, and its length in bytes.
pub(super) type Spooled = (Arc<LockedFile>, u64);

/// Reads what is `wanted` of the pages behind the head of a ring file, and all that spool files of the same
/// recording hold. Pages are looked at one by one; only those that hold what is wanted are kept in memory.
pub(super) fn read(
    standing: RecordingMetadata,
    image: &Image<'_>,
    spools: &[Spooled],
    wanted: WantedFrames,
) -> Recovery {
    let absent_pages = image.absent();
    let mut counts = RecoveryCounts { absent_pages, ..RecoveryCounts::default() };
    let mut chunks = Vec::new();
    for number in 0..image.pages() {
        let page = image.page(number);
        counts.absent_pages += u64::from(page.len() < PAGE_SIZE);
        if walk(&page, number * PAGE_SIZE, &mut chunks).is_none() {
            counts.damaged_pages += 1;
        }
    }
    chunks.sort_unstable();
    let chains = wanted.of(chunks.chunk_by(|a, b| a.chain == b.chain).collect());
    let mut reader = Reader { image, pages: HashMap::new(), origins: Origins::default() };
    let (mut candidates, mut broken) = (Vec::new(), Vec::new());
    for chain in chains {
        match reader.segment(chain) {
            Ok(candidate) => candidates.extend(candidate),
            Err(numbers) => broken.extend(numbers),
        }
    }
    for (file, length) in spools {
        let (spooled, torn) = spool::segments(file, *length, &mut reader.origins);
        candidates.extend(spooled);
        broken.extend(torn);
    }
    let is_blank = chunks.is_empty() && candidates.is_empty() && !counts.is_damaged();
    let lanes = choose(candidates, &broken, &mut counts);
    Recovery { is_blank, ..finish(standing, lanes, counts) }
}

impl WantedFrames {
    /// Those chains that are wanted, the newest first as far as there is room.
    fn of(self, mut chains: Vec<&[Found]>) -> Vec<&[Found]> {
        let last = |chain: &[Found]| chain.iter().map(|found| found.last).max();
        chains.retain(|chain| last(chain) >= Some(self.since));
        if self.pages == usize::MAX {
            return chains;
        }
        chains.sort_by_key(|chain| std::cmp::Reverse(last(chain)));
        let mut pages = HashSet::new();
        let fits = |chain: &&[Found]| {
            pages.extend(chain.iter().map(|found| found.at / PAGE_SIZE));
            pages.len() <= self.pages
        };
        chains.into_iter().take_while(fits).collect()
    }
}

/// The chunks of one page, whose first byte is number `base`; none if something else is among them.
fn walk(page: &[u8], base: usize, found: &mut Vec<Found>) -> Option<()> {
    let mut at = 0;
    while let Some(begin) = page.get(at..).filter(|rest| rest.len() >= size_of::<u64>()) {
        let word = |n: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| begin[n + byte]));
        let length = match word(0) {
            0 => return Some(()),
            Chunk::VACANT => word(4) as usize,
            _ => {
                let chunk = Described::read(begin)?;
                let is_open = chunk.state == State::Open;
                let last = if is_open { Mono(u64::MAX) } else { chunk.summary.last() };
                let Described { chain, index, .. } = chunk;
                found.push(Found { chain, index, at: base + at, last });
                if is_open {
                    return Some(());
                }
                (ChunkHeader::SIZE + chunk.length).next_multiple_of(Chain::ALIGN)
            }
        };
        if length == 0 || length % Chain::ALIGN != 0 || length > begin.len() {
            return None;
        }
        at += length;
    }
    Some(())
}

/// Makes segments of chains.
struct Reader<'a> {
    image: &'a Image<'a>,
    /// Those that hold what was wanted so far.
    pages: HashMap<usize, Bytes>,
    origins: Origins,
}

/// Each origin once, so that frames of one binding share it.
#[derive(Default)]
struct Origins(HashMap<Origin, Arc<Origin>>);

impl Reader<'_> {
    /// What a chain holds: none if it has no record yet; an error with lane and number if pieces of it
    /// are missing or damaged.
    fn segment(&mut self, chain: &[Found]) -> Result<Option<Candidate>, Option<(LaneId, u64)>> {
        let (first, _) = chain.first().and_then(|found| self.described(found)).ok_or(None)?;
        let SegmentSummary { lane, sequence, .. } = first.summary;
        let broken = Some((lane, sequence));
        let (mut chunks, mut last) = (Vec::with_capacity(chain.len()), first.clone());
        for (found, expected) in chain.iter().zip(0..) {
            let (chunk, content) = self.described(found).ok_or(broken)?;
            let alike = (chunk.codec, chunk.summary.lane, chunk.summary.sequence)
                == (first.codec, lane, sequence)
                && chunk.origin == first.origin
                && chunk.summary.offset == first.summary.offset;
            let follows = expected == 0 || last.state == State::Continued;
            if !alike || !follows || found.index != expected {
                return Err(broken);
            }
            chunks.push(content);
            last = chunk;
        }
        let origin = self.origins.shared(first.origin.clone());
        match (first.codec, last.state) {
            (Codec::Plain, State::Last) => {
                let length = chunks.iter().map(Bytes::len).sum();
                let segment = Segment::plain(
                    Part { origin, summary: last.summary, length, before: 0 },
                    chunks,
                );
                Ok(Some(Candidate::new(lane, segment, vec![sequence], ChunkKind::Sealed)))
            }
            (Codec::Plain, _) => Ok(open(origin, &first.summary, chunks)),
            (Codec::Zstd, State::Last) => {
                let parts = self.origins.parts(lane, &chunks).ok_or(broken)?;
                let sequences = parts.iter().map(|part| part.summary.sequence).collect();
                let segment = Segment::packed(parts, chunks);
                Ok(Some(Candidate::new(lane, segment, sequences, ChunkKind::Packed)))
            }
            (Codec::Zstd, _) => Err(broken),
        }
    }

    /// A chunk and its content, judged again: it was read again.
    fn described(&mut self, found: &Found) -> Option<(Described, Bytes)> {
        let (number, at) = (found.at / PAGE_SIZE, found.at % PAGE_SIZE);
        let page = self.pages.entry(number).or_insert_with(|| self.image.page(number));
        let chunk = Described::read(page.get(at..)?)?;
        let begin = at + ChunkHeader::SIZE;
        let content = page.slice(begin..begin + chunk.length);
        Some((chunk, content))
    }
}

impl Origins {
    fn shared(&mut self, origin: Origin) -> Arc<Origin> {
        let known = self.0.entry(origin);
        let made = |origin: &Origin| Arc::new(origin.clone());
        Arc::clone(known.or_insert_with_key(made))
    }

    /// What was packed together; none if that is damaged.
    fn parts(&mut self, lane: LaneId, chunks: &[Bytes]) -> Option<Vec<Part>> {
        let packed = chunks.concat();
        let length = zstd::zstd_safe::get_frame_content_size(&packed).ok()??;
        if length > LARGEST {
            return None;
        }
        let content = zstd::bulk::decompress(&packed, usize::try_from(length).ok()?).ok()?;
        let (mut parts, mut rest) = (Vec::<Part>::new(), &content[..]);
        while !rest.is_empty() && parts.len() < MOST_PARTS {
            let image = Described::of_image(rest)?;
            rest = rest.get(ChunkHeader::SIZE + image.length..)?;
            let grows = parts.last().is_none_or(|p| p.summary.sequence < image.summary.sequence);
            if image.summary.lane != lane || !grows {
                return None;
            }
            let origin = self.shared(image.origin);
            parts.push(Part { origin, summary: image.summary, length: image.length, before: 0 });
        }
        (rest.is_empty() && !parts.is_empty()).then_some(parts)
    }
}

/// A segment that was being written, up to its last whole record; none if it has none.
fn open(origin: Arc<Origin>, begun: &SegmentSummary, chunks: Vec<Bytes>) -> Option<Candidate> {
    let SegmentSummary { lane, sequence, offset, .. } = *begun;
    let length = chunks.iter().map(Bytes::len).sum();
    let mut part =
        Part { origin, summary: SegmentSummary::empty(lane, sequence, offset), length, before: 0 };
    let (summary, whole) = part.summed_up(chunks.clone());
    if whole == 0 {
        return None;
    }
    part.summary = summary;
    let torn_records = u64::from(whole < length);
    let segment = Segment::plain(part, chunks);
    let candidate = Candidate::new(lane, segment, vec![sequence], ChunkKind::Open);
    Some(Candidate { torn_records, ..candidate })
}

impl Candidate {
    fn new(lane: LaneId, segment: Segment, sequences: Vec<u64>, kind: ChunkKind) -> Self {
        Self { lane, segment, sequences, kind, torn_records: 0 }
    }

    /// Of several copies the first in this order is taken: nothing cut, in one piece, the most at a time.
    fn rank(&self) -> (bool, bool, usize) {
        let (cut, packed) = (self.segment.faded() > 0, self.kind == ChunkKind::Packed);
        (cut, !packed, usize::MAX - self.sequences.len())
    }
}

/// The segments of each lane in their order, every number once.
fn choose(
    mut candidates: Vec<Candidate>,
    broken: &[(LaneId, u64)],
    counts: &mut RecoveryCounts,
) -> BTreeMap<LaneId, Vec<Candidate>> {
    candidates.sort_by_key(Candidate::rank);
    let mut taken: HashSet<(LaneId, u64)> = HashSet::new();
    let mut lanes: BTreeMap<LaneId, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        let lane = candidate.lane;
        let is_taken = |number: &u64| taken.contains(&(lane, *number));
        let known = candidate.sequences.iter().filter(|number| is_taken(number)).count();
        if known == candidate.sequences.len() {
            continue;
        }
        if known > 0 {
            // The others of its numbers are only here, cut to their headers: whole copies that are left
            // of what was just replaced by it go.
            let span = candidate.sequences.clone();
            if let Some(there) = lanes.get_mut(&lane) {
                there.retain(|other| !other.sequences.iter().any(|n| span.contains(n)));
            }
        }
        taken.extend(candidate.sequences.iter().map(|number| (lane, *number)));
        lanes.entry(lane).or_default().push(candidate);
    }
    for segments in lanes.values_mut() {
        segments.sort_by_key(|candidate| candidate.sequences.first().copied());
        let mut next = None;
        for number in segments.iter().flat_map(|segment| &segment.sequences) {
            let gap = next.map_or(0, |next: u64| number.saturating_sub(next));
            counts.missing = counts.missing.saturating_add(gap);
            next = Some(number.saturating_add(1));
        }
    }
    let lost: HashSet<_> = broken.iter().filter(|numbers| !taken.contains(*numbers)).collect();
    counts.left_out += lost.len() as u64;
    lanes
}

/// Counts, and makes a slice of each lane.
fn finish(
    standing: RecordingMetadata,
    lanes: BTreeMap<LaneId, Vec<Candidate>>,
    mut counts: RecoveryCounts,
) -> Recovery {
    for candidate in lanes.values().flatten() {
        let segment = &candidate.segment;
        let of_kind = match candidate.kind {
            ChunkKind::Sealed => &mut counts.sealed,
            ChunkKind::Packed => &mut counts.packed,
            ChunkKind::Open => &mut counts.open,
        };
        *of_kind += candidate.sequences.len() as u64;
        counts.torn_records += candidate.torn_records;
        counts.frames = counts.frames.saturating_add(segment.frames());
        counts.folded = counts.folded.saturating_add(segment.folded());
        counts.faded = counts.faded.saturating_add(segment.faded());
    }
    let spans = || lanes.values().flatten().map(|candidate| &candidate.segment);
    let window = spans().map(Segment::first).min().zip(spans().map(Segment::last).max());
    let window = window.map(|(from, to)| Window { from, to });
    let lanes = lanes.into_iter().filter_map(|(lane, candidates)| {
        let covered_from = covered_from(&candidates).max(window?.from);
        let segments: Vec<_> = candidates.into_iter().map(|c| Arc::new(c.segment)).collect();
        let origin = segments.last()?.origin()?;
        let pinned = segments.iter().map(Segment::pinned).collect();
        let slice = Slice::new(window?, covered_from, pinned);
        Some(RecoveredLane { lane, origin, slice })
    });
    Recovery { lanes: lanes.collect(), standing, window, counts, is_blank: false }
}

/// From then on no segment of the lane is missing.
fn covered_from(segments: &[Candidate]) -> Mono {
    let mut from = Mono(u64::MAX);
    let mut next: Option<u64> = None;
    for candidate in segments.iter().rev() {
        let after = candidate.sequences.last().and_then(|last| last.checked_add(1));
        let joins = |next: u64| after == Some(next);
        if !next.is_none_or(joins) {
            break;
        }
        from = from.min(candidate.segment.first());
        next = candidate.sequences.first().copied();
    }
    // From the lane's very first segment on: then nothing was ever forgotten.
    if next == Some(0) { Mono(0) } else { from }
}

#[cfg(test)]
mod tests;
