//! Packing and fading: what makes a fixed memory hold more.
//!
//! ```text
//!   newest ────────────────────────────────────────────────────────────► oldest
//!   [open] [sealed] [sealed] │ [packed] [packed] [packed] │ [faded] [faded] ──► evicted
//!                            zstd, byte for byte          headers only, zstd
//! ```
//!
//! A [`Lane`](super::Lane) says what is to be done ([`Job`]), a [`Packer`] does it on another thread, and
//! the lane takes the [`Outcome`] in the place of what was there. In between the lane goes on as if
//! nothing happened: the segments stay readable, can be pinned by slices, and may be evicted, in which
//! case the outcome is thrown away. So capture never waits for packing, and when packing cannot keep up,
//! memory just holds less.
//!
//! Packing changes nothing that can be asked of a segment. Fading cuts each frame behind its transport
//! header; its original length, stamps and direction stay, and so does every count.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::chunk::{ChunkHeader, Codec, State};
use super::open::{Chain, Closed};
use super::pool::Pool;
use super::record::Record;
use super::segment::{Part, Segment};
use super::summary::{LaneId, SegmentSummary};
use crate::error::{Error, Result};
use crate::ring::PAGE_SIZE;
use crate::sys::pages::{Chunk, PageCount};
use crate::wire::headers;

/// What the operator decides about packing and fading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackOptions {
    /// Pack at all; without it nothing fades either.
    pub enabled: bool,
    /// Cut old frames to their headers before they are evicted.
    pub fade: bool,
    /// The newest so much time is not cut, as far as half of a lane's memory holds it.
    pub full: Duration,
}

impl PackOptions {
    /// Every segment stays as it was sealed until it is evicted.
    pub const OFF: Self = Self { enabled: false, fade: false, full: Duration::ZERO };
    /// Longest time that can be asked for: beyond any memory.
    const MAX_FULL: Duration = Duration::from_secs(86_400);

    /// Accepts only what can be meant.
    ///
    /// # Errors
    /// When [`Self::full`] is longer than a day, or frames are to fade without packing.
    pub fn check(&self) -> Result<()> {
        if self.fade && !self.enabled {
            return Err(Error::usage(
                "fade",
                "headers",
                "frames fade only where they are packed, and pack is off",
                "off together with pack = off",
            ));
        }
        if self.full <= Self::MAX_FULL {
            return Ok(());
        }
        Err(Error::usage(
            "full",
            format!("{:?}", self.full),
            "the time is at most a day",
            "a time up to 24h, such as 30s",
        ))
    }
}

impl Default for PackOptions {
    fn default() -> Self {
        Self { enabled: true, fade: true, full: Duration::from_secs(30) }
    }
}

/// What is to be made of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// Fewer bytes, nothing lost.
    Pack,
    /// Headers only.
    Fade,
}

/// Neighbouring segments of one lane, and what is to be made of them. It does not keep them in memory.
#[derive(Debug)]
pub struct Job {
    pub(super) lane: LaneId,
    pub(super) work: Work,
    /// Who pays for the pages.
    pub(super) account: PageCount,
    /// Numbers of the first and last segment.
    pub(super) span: (u64, u64),
    /// In their order.
    pub(super) segments: Vec<Weak<Segment>>,
    /// Doing it panics.
    #[cfg(test)]
    pub(super) breaks: bool,
}

/// What became of a job.
#[derive(Debug)]
pub struct Outcome {
    pub(super) lane: LaneId,
    pub(super) work: Work,
    pub(super) span: (u64, u64),
    /// None when the segments are to stay as they are: they were evicted meanwhile, nothing would be
    /// gained, or there was no page.
    pub(super) made: Option<Segment>,
}

impl Outcome {
    /// The lane it is for.
    pub fn lane(&self) -> LaneId {
        self.lane
    }
}

impl Job {
    /// Bytes that are to be packed, of segments that still exist.
    pub fn bytes(&self) -> usize {
        let there = self.segments.iter().filter_map(Weak::upgrade);
        there.map(|segment| segment.image_bytes()).sum()
    }

    pub(super) fn done(&self, made: Option<Segment>) -> Outcome {
        Outcome { lane: self.lane, work: self.work, span: self.span, made }
    }
}

/// Does the jobs: a compressor and its buffers, kept from job to job.
pub struct Packer {
    pool: Pool,
    compressor: zstd::bulk::Compressor<'static>,
    unpacked: Vec<u8>,
    content: Vec<u8>,
    packed: Vec<u8>,
    /// The rest of each lane's last page, for its next packed segment.
    rests: HashMap<(LaneId, Work), Chunk>,
}

impl Packer {
    /// zstd's fastest usual level: what is evicted a minute later is not worth more time, and fading
    /// gains more than any level does.
    const LEVEL: i32 = 1;

    /// A packer that takes its pages from `pool`.
    ///
    /// # Errors
    /// When there is no memory for the compressor.
    pub fn new(pool: Pool) -> Result<Self> {
        let failed = |e| Error::operation("prepare", "the compressor", e);
        Ok(Self {
            pool,
            compressor: zstd::bulk::Compressor::new(Self::LEVEL).map_err(failed)?,
            unpacked: Vec::new(),
            content: Vec::new(),
            packed: Vec::new(),
            rests: HashMap::new(),
        })
    }

    /// Does a job.
    pub fn work(&mut self, job: &Job) -> Outcome {
        #[cfg(test)]
        assert!(!job.breaks, "on purpose, for a test");
        let segments: Option<Vec<_>> = job.segments.iter().map(Weak::upgrade).collect();
        let made = segments.and_then(|segments| self.make(job, &segments));
        job.done(made)
    }

    fn make(&mut self, job: &Job, segments: &[Arc<Segment>]) -> Option<Segment> {
        self.content.clear();
        let mut parts = Vec::new();
        let mut cut = false;
        for segment in segments {
            if let Err(error) = segment.unpack(&mut self.unpacked) {
                tracing::error!("segment {:?} is damaged: {error}", segment.sequences());
                return None;
            }
            for (part, at) in segment.images() {
                let records = &self.unpacked[at];
                let part = match job.work {
                    Work::Pack => copy(part, records, &mut self.content),
                    Work::Fade => fade(part, records, &mut self.content),
                };
                cut |= part.summary.faded > 0;
                parts.push(part);
            }
        }
        if job.work == Work::Fade && !cut && segments.iter().all(|segment| segment.is_packed()) {
            return None;
        }
        self.compress()?;
        let stored: usize = segments.iter().map(|segment| segment.stored_bytes()).sum();
        if self.packed.len() >= stored {
            return None;
        }
        self.store(job, parts)
    }

    fn compress(&mut self) -> Option<()> {
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.content.len()));
        let compressed = self.compressor.compress_to_buffer(&self.content, &mut self.packed);
        compressed.inspect_err(|e| tracing::error!("cannot pack a segment: {e}")).ok().map(|_| ())
    }

    /// Puts what was compressed on pages of the pool.
    fn store(&mut self, job: &Job, parts: Vec<Part>) -> Option<Segment> {
        let rest = self.rests.remove(&(job.lane, job.work));
        let room = rest.as_ref().map_or(0, Chain::room_in);
        let needed = Chain::pages_needed(room, self.packed.len(), PAGE_SIZE);
        let mut spare = self.pool.take_to_pack(needed, &job.account)?;
        let chain = Chain::new(rest.or_else(|| spare.pop())?, self.pool.next_chain());
        self.fill(chain, &mut spare, job, parts)
    }

    fn fill(
        &mut self,
        mut chain: Chain,
        spare: &mut Vec<Chunk>,
        job: &Job,
        parts: Vec<Part>,
    ) -> Option<Segment> {
        let summary = SegmentSummary::joined(parts.iter().map(|part| part.summary))?;
        let origin = Arc::clone(&parts.last()?.origin);
        let (number, codec) = (chain.number(), Codec::Zstd);
        let header = ChunkHeader { summary: &summary, origin: &origin, codec, chain: number };
        chain.write(&self.packed, spare, header);
        let Closed { chunks, rest } = chain.close(header);
        if let Some(rest) = rest {
            self.rests.insert((job.lane, job.work), rest);
        }
        Some(Segment::packed(parts, chunks))
    }
}

/// Puts the part's image into `content`: a header and the records.
fn copy(part: &Part, records: &[u8], content: &mut Vec<u8>) -> Part {
    content.extend_from_slice(&image(part, records.len()));
    content.extend_from_slice(records);
    part.clone()
}

/// The same with its frames cut behind their headers. Runs stay as they are: each is one frame for many.
fn fade(part: &Part, records: &[u8], content: &mut Vec<u8>) -> Part {
    let begin = content.len();
    content.extend_from_slice(&[0; ChunkHeader::SIZE]);
    let mut part = part.clone();
    part.summary.faded = 0;
    let mut rest = records;
    while let Some((record, after)) = rest.split_first_chunk::<{ Record::SIZE }>()
        && let Some((header, kind, length)) = Record::decode(record)
        && let Some((bytes, after)) = after.split_at_checked(length)
    {
        rest = after;
        let keep = match kind {
            Record::RUN => length,
            _ => headers::end(part.origin.link_type, bytes),
        };
        let cut = keep < length;
        let kind = if cut { Record::FADED } else { kind };
        part.summary.faded += u32::from(kind == Record::FADED);
        // What is kept is not longer than what there was, whose length is 32 bits.
        content.extend_from_slice(&Record::encode(&header, keep as u32, kind));
        content.extend_from_slice(&bytes[..keep]);
    }
    part.length = content.len() - begin - ChunkHeader::SIZE;
    let image = image(&part, part.length);
    content[begin..begin + ChunkHeader::SIZE].copy_from_slice(&image);
    part
}

/// The header of a part within a packed segment.
fn image(part: &Part, length: usize) -> [u8; ChunkHeader::SIZE] {
    let Part { summary, origin, .. } = part;
    ChunkHeader { summary, origin, codec: Codec::Plain, chain: 0 }.encode(length, 0, State::Last)
}
