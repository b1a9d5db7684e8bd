//! Folding: frames that are identical byte for byte, many times a second, are counted instead of kept.
//!
//! A storm of one frame, 372,000 times a second, would flood any memory with a thousand copies of the
//! same thing. What matters of it is the frame, when it began and ended, and how many there were: a
//! [`Tally`], a few hundred bytes a second.
//!
//! ```text
//!   frames   A A A A ... A A A A A A A A A ...                 ... A     A    A
//!            └ the first copies are kept ┘└ counted: first, last, per 100 ms ┘└ kept again, since they
//!              (64 within a second)          in every sealed segment             no longer come fast
//! ```
//!
//! What it promises: nothing is folded on a digest alone, all bytes are compared, and a frame that was
//! cut by a snaplen is never folded. Rate decides, not
//! content: a hello that equals the one before is kept every time. Interleaved storms are told apart.
//! The tables are bounded; when more storms rage at once than there are places, further ones are kept
//! frame by frame. Nothing is allocated per frame.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::error::{Error, Result};
use crate::frame::{Frame, FrameHeader, Tally};
use crate::time::{Mono, Offset};

/// What the operator decides about folding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldOptions {
    /// Fold at all.
    pub enabled: bool,
    /// Copies of a frame kept within a second; further ones are counted.
    pub keep: u32,
}

impl FoldOptions {
    /// Every copy is kept.
    pub const OFF: Self = Self { enabled: false, keep: 64 };
    /// Most copies a second that may be kept: beyond, folding would never save anything.
    const MAX_KEEP: u32 = 1_000_000;

    /// Accepts only what can be meant.
    ///
    /// # Errors
    /// When fewer copies would be kept than tell a storm from a hello.
    pub fn check(&self) -> Result<()> {
        if (Folder::CANDIDATE..=Self::MAX_KEEP).contains(&self.keep) {
            return Ok(());
        }
        Err(Error::usage(
            "fold_keep",
            self.keep.to_string(),
            "the number of copies kept within a second has bounds",
            format!("a number from {} to {}, such as 64", Folder::CANDIDATE, Self::MAX_KEEP),
        ))
    }
}

impl Default for FoldOptions {
    fn default() -> Self {
        Self { enabled: true, keep: 64 }
    }
}

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Keep it.
    Keep,
    /// It was counted.
    Folded,
    /// It belongs to a run whose tally has to be told first; then ask again.
    Tell,
}

/// A frame, and how many copies of it were counted.
#[derive(Debug)]
pub(super) struct FoldedRun {
    pub(super) header: FrameHeader,
    pub(super) bytes: Vec<u8>,
    pub(super) tally: Tally,
}

/// A frame that comes so fast that its copies are counted instead of kept.
#[derive(Debug, Clone, Copy)]
pub struct Storm<'a> {
    /// Of the copy by which it was noticed.
    pub header: FrameHeader,
    /// All its bytes.
    pub bytes: &'a [u8],
    /// When it began to come fast: the first copy of the second in which it did, less the few copies
    /// before it was noticed.
    pub first: Mono,
    /// The newest copy.
    pub last: Mono,
    /// Copies since `first`, those that were kept included.
    pub copies: u64,
}

/// Watches the frames of one lane for runs.
#[derive(Debug)]
pub(super) struct Folder {
    options: FoldOptions,
    hash: FixedState,
    /// How often digests were seen lately, by their low bits: most frames only ever come here.
    candidates: Box<[Candidate]>,
    /// Frames that come fast.
    runs: Vec<OpenRun>,
    /// When the oldest copy that was counted and not told yet arrived, and on which clock.
    untold: Option<(Mono, Offset)>,
}

/// A digest that was seen; in its pair of places it makes room for others unless it has a run.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    digest: u64,
    second: u32,
    seen: u16,
    run: u16,
}

/// A frame that comes fast, with all its bytes.
#[derive(Debug)]
struct OpenRun {
    header: FrameHeader,
    bytes: Vec<u8>,
    /// Where its candidate is; none while the place is free.
    candidate: Option<usize>,
    second: u32,
    seen: u32,
    folding: bool,
    /// When it began to come fast, and its copies since.
    first: Mono,
    copies: u64,
    last: Mono,
    tally: Option<Tally>,
}

impl Candidate {
    const NO_RUN: u16 = u16::MAX;
    const NONE: Self = Self { digest: 0, second: 0, seen: 0, run: Self::NO_RUN };
}

impl Folder {
    /// Places for candidates, a power of two: 8 KiB, which stays in the first-level cache.
    const CANDIDATES: usize = 512;
    /// Runs at a time.
    const RUNS: usize = 64;
    /// Longer frames are never folded, so that the tables are bounded; a storm of them is rare.
    const LONGEST: usize = 2048;
    /// Seen so often within a second, a frame gets a place among the runs.
    const CANDIDATE: u32 = 8;
    /// A run slower than this is kept frame by frame again.
    const CALM: u32 = 16;
    /// A run that was not seen for this long has ended.
    const END: Duration = Duration::from_secs(1);
    /// The digest covers so many bytes from either end of a part: headers with their counters, and the
    /// end, where a payload's own counter or checksum is. Frames that differ only in between cost a
    /// comparison each.
    const HEAD: usize = 64;
    const TAIL: usize = 32;

    pub(super) fn new(options: FoldOptions) -> Self {
        let place = || OpenRun {
            header: FrameHeader::default(),
            bytes: Vec::with_capacity(Self::LONGEST),
            candidate: None,
            second: 0,
            seen: 0,
            folding: false,
            first: Mono(0),
            copies: 0,
            last: Mono(0),
            tally: None,
        };
        let places = if options.enabled { Self::RUNS } else { 0 };
        Self {
            options,
            hash: FixedState::with_seed(0),
            candidates: vec![Candidate::NONE; Self::CANDIDATES].into(),
            runs: (0..places).map(|_| place()).collect(),
            untold: None,
        }
    }

    /// When the oldest copy that was counted and not told yet arrived, and its clock's offset.
    pub(super) fn untold(&self) -> Option<(Mono, Offset)> {
        self.untold
    }

    /// The frames that are being folded, or were when they last came.
    pub(super) fn storms(&self) -> impl Iterator<Item = Storm<'_>> {
        self.runs.iter().filter(|run| run.folding && run.candidate.is_some()).map(|run| Storm {
            header: run.header,
            bytes: &run.bytes,
            first: run.first,
            last: run.last,
            copies: run.copies,
        })
    }

    /// Keeps or counts a frame that arrived at `arrival` on the clock with `offset`.
    #[inline]
    pub(super) fn judge(&mut self, frame: &Frame<'_>, arrival: Mono, offset: Offset) -> Verdict {
        // Frames that were cut may differ in what is not here.
        if self.runs.is_empty() || frame.captured_len() < frame.header.original_len as usize {
            return Verdict::Keep;
        }
        let digest = self.digest(frame);
        let place = digest as usize & (Self::CANDIDATES - 1);
        let second = coarse_second(arrival);
        let found = if self.candidates[place].digest == digest {
            place
        } else if self.candidates[place ^ 1].digest == digest {
            place ^ 1
        } else {
            self.notice(place, digest, second, arrival);
            return Verdict::Keep;
        };
        let run = self.candidates[found].run;
        if run != Candidate::NO_RUN {
            return self.judge_run(run, frame, arrival, offset);
        }
        let candidate = &mut self.candidates[found];
        if candidate.second != second {
            (candidate.second, candidate.seen) = (second, 0);
        }
        candidate.seen = candidate.seen.saturating_add(1);
        if u32::from(candidate.seen) >= Self::CANDIDATE {
            self.promote(found, frame, arrival);
        }
        Verdict::Keep
    }

    /// A digest that was not seen lately takes a place of its pair, unless both have runs that go on.
    #[inline]
    fn notice(&mut self, place: usize, digest: u64, second: u32, arrival: Mono) {
        let free = |candidate: &Candidate| candidate.run == Candidate::NO_RUN;
        let place = if free(&self.candidates[place]) {
            place
        } else if free(&self.candidates[place ^ 1]) {
            place ^ 1
        } else if self.ended(place, arrival) {
            place
        } else {
            return;
        };
        self.candidates[place] = Candidate { digest, second, seen: 1, run: Candidate::NO_RUN };
    }

    /// True if the run of this place has ended, and then the place is free.
    #[cold]
    fn ended(&mut self, place: usize, arrival: Mono) -> bool {
        let run = &mut self.runs[usize::from(self.candidates[place].run)];
        let ended = run.is_over(arrival);
        if ended {
            run.candidate = None;
            self.candidates[place] = Candidate::NONE;
        }
        ended
    }

    fn judge_run(&mut self, run: u16, frame: &Frame<'_>, arrival: Mono, offset: Offset) -> Verdict {
        let run = &mut self.runs[usize::from(run)];
        if !run.equals(frame) {
            return Verdict::Keep;
        }
        let second = coarse_second(arrival);
        if run.second != second {
            run.folding &= run.seen >= Self::CALM && second == run.second + 1;
            (run.second, run.seen) = (second, 0);
            if !run.folding {
                (run.first, run.copies) = (arrival, 0);
            }
        }
        if !run.folding && run.seen < self.options.keep {
            run.seen += 1;
            run.copies += 1;
            run.last = arrival;
            return Verdict::Keep;
        }
        if self.untold.is_some_and(|(_, told)| offset.stepped_from(told)) {
            return Verdict::Tell;
        }
        let wall = frame.header.wall;
        if !run.tally.get_or_insert_with(|| Tally::beginning(wall)).add(wall) {
            return Verdict::Tell;
        }
        run.folding = true;
        run.seen += 1;
        run.copies += 1;
        run.last = arrival;
        self.untold.get_or_insert((arrival, offset));
        Verdict::Folded
    }

    /// Gives the frame a place among the runs, if one is free or its run has ended.
    #[cold]
    fn promote(&mut self, candidate: usize, frame: &Frame<'_>, arrival: Mono) {
        let length = frame.captured_len();
        let free = |run: &OpenRun| run.candidate.is_none() && run.tally.is_none();
        let place = self.runs.iter().position(|run| free(run) || run.is_over(arrival));
        let Some(place) = place.filter(|_| length <= Self::LONGEST) else { return };
        let run = &mut self.runs[place];
        if let Some(before) = run.candidate.replace(candidate) {
            self.candidates[before] = Candidate::NONE;
        }
        run.header = frame.header;
        run.bytes.clear();
        frame.parts.iter().for_each(|part| run.bytes.extend_from_slice(part));
        run.second = coarse_second(arrival);
        run.seen = Self::CANDIDATE;
        run.folding = false;
        (run.first, run.copies) = (arrival, Self::CANDIDATE.into());
        run.last = arrival;
        // There are fewer runs than a u16 counts.
        self.candidates[candidate].run = place as u16;
    }

    /// Forgets everything, and tells how many copies were counted and never told.
    pub(super) fn forget(&mut self) -> u64 {
        let untold = self.tell().iter().map(|run| run.tally.count).sum();
        *self = Self::new(self.options);
        untold
    }

    /// Takes every tally that was not told yet; counting begins anew.
    pub(super) fn tell(&mut self) -> Vec<FoldedRun> {
        if self.untold.take().is_none() {
            return Vec::new();
        }
        let told = |run: &mut OpenRun| {
            let tally = run.tally.take().filter(|tally| tally.count > 0)?;
            let header = FrameHeader { wall: tally.first, ..run.header };
            Some(FoldedRun { header, bytes: run.bytes.clone(), tally })
        };
        self.runs.iter_mut().filter_map(told).collect()
    }

    /// A number that is the same for identical frames, and rarely for others.
    #[inline]
    fn digest(&self, frame: &Frame<'_>) -> u64 {
        let mut hasher = self.hash.build_hasher();
        let header = &frame.header;
        hasher.write_u64(u64::from(header.original_len) << 8 | header.direction as u64);
        for part in frame.parts {
            if !part.is_empty() {
                hasher.write(&part[..part.len().min(Self::HEAD)]);
                if part.len() > Self::HEAD {
                    let tail = Self::TAIL.min(part.len() - Self::HEAD);
                    hasher.write(&part[part.len() - tail..]);
                }
            }
        }
        hasher.finish()
    }
}

impl OpenRun {
    /// All bytes, the direction and the lengths.
    #[inline]
    fn equals(&self, frame: &Frame<'_>) -> bool {
        let (a, b) = (&self.header, &frame.header);
        let same = a.direction == b.direction && a.original_len == b.original_len;
        let mut rest = &self.bytes[..];
        // Empty parts point nowhere, and comparing nothing there takes a vector unit 150 ns.
        let mut parts = frame.parts.iter().filter(|part| !part.is_empty());
        same && parts.all(|part| match rest.split_at_checked(part.len()) {
            Some((begin, end)) => {
                rest = end;
                begin == *part
            }
            None => false,
        }) && rest.is_empty()
    }

    fn is_over(&self, now: Mono) -> bool {
        self.tally.is_none() && now.since(self.last) >= Folder::END
    }
}

/// Seconds of 2^30 ns: one shift instead of a division.
#[inline]
fn coarse_second(arrival: Mono) -> u32 {
    (arrival.0 >> 30) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Direction;
    use crate::time::Wall;

    const MS: u64 = 1_000_000;
    /// A moment at which a coarse second begins.
    const START: u64 = 100 << 30;

    fn folder() -> Folder {
        Folder::new(FoldOptions::default())
    }

    fn judge(folder: &mut Folder, bytes: &[u8], at: u64) -> Verdict {
        judge_as(folder, bytes, at, Direction::Outbound)
    }

    fn judge_as(folder: &mut Folder, bytes: &[u8], at: u64, direction: Direction) -> Verdict {
        let header = FrameHeader {
            wall: Wall(at),
            original_len: u32::try_from(bytes.len()).unwrap(),
            direction,
            ..FrameHeader::default()
        };
        let cut = bytes.len() / 3;
        let parts = [&bytes[..cut], &[], &bytes[cut..]];
        let split = folder.judge(&Frame { header, parts }, Mono(at), Offset(0));
        if split == Verdict::Tell {
            folder.tell();
            return folder.judge(&Frame { header, parts }, Mono(at), Offset(0));
        }
        split
    }

    #[test]
    fn a_storm_keeps_its_first_copies_and_counts_the_rest() {
        let mut folder = folder();
        let storm = [7; 60];
        let verdicts: Vec<_> =
            (0..10_000).map(|n| judge(&mut folder, &storm, START + n * 2_700)).collect();
        let kept = verdicts.iter().take_while(|v| **v == Verdict::Keep).count();
        assert_eq!(kept, 64);
        assert!(verdicts[64..].iter().all(|v| *v == Verdict::Folded));
        let told = folder.tell();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].bytes, storm);
        let tally = told[0].tally;
        assert_eq!(tally.count, 10_000 - 64);
        assert_eq!((tally.first.0, tally.last.0), (START + 64 * 2_700, START + 9_999 * 2_700));
        assert_eq!(u64::from(tally.bins.iter().sum::<u32>()), tally.count);
        assert!(folder.tell().is_empty(), "told once");
    }

    #[test]
    fn a_storm_can_be_looked_at_while_it_rages() {
        let mut folder = folder();
        for n in 0..40 {
            judge(&mut folder, &[6; 60], START - 10_000 * MS + n * 200 * MS);
        }
        assert_eq!(folder.storms().count(), 0, "a hello is none");
        for n in 0..10_000 {
            judge(&mut folder, &[7; 60], START + n * 2_700);
        }
        let storms: Vec<_> = folder.storms().collect();
        assert_eq!(storms.len(), 1);
        assert_eq!((storms[0].bytes, storms[0].copies), (&[7; 60][..], 10_000));
        assert_eq!(
            (storms[0].first.0, storms[0].last.0),
            (START + 7 * 2_700, START + 9_999 * 2_700)
        );
        for n in 0..2 {
            judge(&mut folder, &[7; 60], START + ((4 + 2 * n) << 30));
        }
        assert_eq!(folder.storms().count(), 0, "it is over");
    }

    #[test]
    fn interleaved_storms_are_told_apart_by_bytes_and_direction() {
        let mut folder = folder();
        let (a, b) = ([1; 60], [2; 1514]);
        for n in 0..1_000 {
            judge(&mut folder, &a, START + n * 9_000);
            judge(&mut folder, &b, START + n * 9_000 + 3_000);
            judge_as(&mut folder, &a, START + n * 9_000 + 6_000, Direction::Inbound);
        }
        let mut counts: Vec<_> =
            folder.tell().iter().map(|t| (t.bytes[0], t.header.direction, t.tally.count)).collect();
        counts.sort_by_key(|(byte, direction, _)| (*byte, *direction as u8));
        let rest = 1_000 - 64;
        let expected = [
            (1, Direction::Inbound, rest),
            (1, Direction::Outbound, rest),
            (2, Direction::Outbound, rest),
        ];
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_hello_is_kept_every_time() {
        for pause in [1_000, 200, 40, 20] {
            let mut folder = folder();
            for n in 0..2_000 {
                assert_eq!(judge(&mut folder, &[9; 80], START + n * pause * MS), Verdict::Keep);
            }
        }
    }

    #[test]
    fn after_the_storm_the_same_frame_is_kept_again() {
        let mut folder = folder();
        for n in 0..5_000 {
            judge(&mut folder, &[3; 60], START + n * 10_000);
        }
        assert_eq!(folder.tell().len(), 1);
        let calm = START + (4 << 30);
        for n in 0..20 {
            assert_eq!(judge(&mut folder, &[3; 60], calm + n * 100 * MS), Verdict::Keep);
        }
    }

    #[test]
    fn frames_that_differ_in_any_byte_are_never_folded() {
        let mut folder = folder();
        let mut frame = [5_u8; 400];
        for n in 0..100_000_u64 {
            // Between head and tail: the digest does not see it.
            frame[200..208].copy_from_slice(&n.to_le_bytes());
            assert_eq!(judge(&mut folder, &frame, START + n * 1_000), Verdict::Keep, "{n}");
        }
    }

    #[test]
    fn frames_that_were_cut_are_never_folded() {
        let mut folder = folder();
        for n in 0..1_000 {
            let header = FrameHeader { original_len: 61, ..FrameHeader::default() };
            let frame = Frame::whole(header, &[1; 60]);
            assert_eq!(folder.judge(&frame, Mono(START + n), Offset(0)), Verdict::Keep);
        }
    }

    #[test]
    fn frames_too_long_for_the_tables_are_kept_however_many() {
        let mut folder = folder();
        let jumbo = [8; Folder::LONGEST + 1];
        for n in 0..100_000 {
            assert_eq!(judge(&mut folder, &jumbo, START + n), Verdict::Keep);
        }
    }

    #[test]
    fn nothing_is_folded_when_it_is_off() {
        let mut folder = Folder::new(FoldOptions::OFF);
        for n in 0..1_000 {
            assert_eq!(judge(&mut folder, &[1; 60], START + n), Verdict::Keep);
        }
        assert!(FoldOptions { enabled: true, keep: 1 }.check().is_err());
        assert!(FoldOptions::default().check().is_ok());
    }

    #[test]
    fn more_storms_than_places_are_kept_or_counted_never_lost() {
        let mut folder = folder();
        let (mut kept, mut folded) = (0_u64, 0_u64);
        for n in 0..200_000_u64 {
            let storm = (n % 200).to_le_bytes().repeat(8);
            match judge(&mut folder, &storm, START + n * 1_000) {
                Verdict::Keep => kept += 1,
                Verdict::Folded => folded += 1,
                Verdict::Tell => unreachable!("told and asked again"),
            }
        }
        let told: u64 = folder.tell().iter().map(|told| told.tally.count).sum();
        assert_eq!(told, folded);
        assert_eq!(kept + folded, 200_000);
        assert!(folded > 0);
    }
}
