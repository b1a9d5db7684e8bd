//! Frames that come many times a second, byte for byte the same, with the stamp of the very first one.
//!
//! The ring folds such frames, too, but it may forget a few of the first ones; a report names the onset,
//! so here the first copy counts. Exact: from the moment a frame is known to come fast all its bytes are
//! compared, and before that a digest of all its bytes is. Frames that were cut by a snaplen may differ
//! in what is not there, so they are never taken for copies.
//!
//! ```text
//!   table   digest ─► first, last, how often; forgotten after a pause, or for a newer digest
//!   runs    64 at most: all bytes, first, last, copies; over after [`Copies::END`] without one
//! ```
//!
//! Where there is a storm, nearly all frames are copies. Those of the first few runs are gathered without a
//! digest ([`Copies::gather`]), and told together when another frame comes, or time passes.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::detect::tap::{Shown, Storm};
use crate::frame::{Direction, Frame, FrameHeader};
use crate::time::{Mono, Offset, Stamp, Wall};
use crate::wire::Flow;

/// What is known of frames that come again.
#[derive(Debug)]
pub(super) struct Copies {
    hash: FixedState,
    places: Box<[Sighting]>,
    runs: Vec<FastFrame>,
    /// Copies of frames for which there was no room among the runs.
    refused: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sighting {
    digest: u64,
    first: Mono,
    last: Mono,
    count: u32,
}

/// A frame that comes fast.
#[derive(Debug, Clone)]
pub(super) struct FastFrame {
    digest: u64,
    /// Number of its class.
    pub(super) class: usize,
    /// Of the copy by which it was noticed.
    pub(super) header: FrameHeader,
    /// All its bytes.
    pub(super) bytes: Box<[u8]>,
    /// The first copy.
    pub(super) first: Mono,
    /// The newest one.
    pub(super) last: Mono,
    /// How many.
    pub(super) copies: u64,
    /// Of these, those since it was noticed, by the numbers of [`Direction`].
    pub(super) ways: [u64; 3],
    /// Between the clocks at the first copy.
    pub(super) offset: Offset,
    /// Whose it is, once somebody asked.
    pub(super) flow: Option<Flow>,
    /// Copies that the talkers were not told of.
    pub(super) untold: u64,
    /// Copies that nobody else was told of, by the numbers of [`Direction`].
    gathered: [Gathered; 3],
}

/// Copies that came since others were told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gathered {
    pub(super) count: u64,
    /// The earliest and the latest; anything where there is none.
    pub(super) walls: (Wall, Wall),
    pub(super) monos: (Mono, Mono),
}

impl FastFrame {
    /// The frame is received and sent again and again, as on a port that is part of a loop: whoever only hears a
    /// storm, or only sends one, has it one way.
    pub(super) fn circulates(&self) -> bool {
        [Direction::Inbound, Direction::Outbound]
            .iter()
            .all(|way| self.ways[*way as usize] >= u64::from(Copies::FAST))
    }
}

const DIRECTIONS: [Direction; 3] = [Direction::Unknown, Direction::Inbound, Direction::Outbound];
const NONE: Gathered =
    Gathered { count: 0, walls: (Wall(u64::MAX), Wall(0)), monos: (Mono(u64::MAX), Mono(0)) };
const EMPTY: Sighting = Sighting { digest: 0, first: Mono(0), last: Mono(0), count: 0 };

impl Copies {
    /// Places in the table, a power of two: 128 KiB.
    const PLACES: usize = 4_096;
    /// So many copies make a run, as the ring keeps 64 before it folds (`ring::FoldOptions`).
    const FAST: u32 = 64;
    /// Copies further apart than this come slower than 10 a second, and are hellos.
    const PAUSE: Duration = Duration::from_millis(100);
    /// A run without a copy for so long is over; storms come in waves (`detect::traffic`).
    const END: Duration = Duration::from_secs(5);
    /// Runs at a time.
    const RUNS: usize = 64;
    /// Runs whose copies are looked for by their bytes alone: a storm is of a few frames, and comparing more would
    /// cost what a digest does.
    const GATHERED: usize = 4;
    /// Longest frame in bytes that may have a run, a jumbo frame of 9,216 bytes, to bound memory.
    const LONGEST: usize = 9_216;

    pub(super) fn new() -> Self {
        Self {
            hash: FixedState::with_seed(0),
            places: vec![EMPTY; Self::PLACES].into(),
            runs: Vec::new(),
            refused: 0,
        }
    }

    /// Counts a frame if it is a copy that comes fast, and keeps for later that others are told of it; false if
    /// it may be anything.
    #[inline]
    pub(super) fn gather(&mut self, frame: &Frame<'_>, at: Stamp) -> bool {
        let (bytes, header) = (frame.parts[0], &frame.header);
        let mut known = self.runs.iter_mut().take(Self::GATHERED);
        let Some(run) = known.find(|run| *run.bytes == *bytes) else { return false };
        if bytes.len() < header.original_len as usize {
            return false;
        }
        run.copies += 1;
        run.untold += 1;
        run.ways[header.direction as usize] += 1;
        run.last = run.last.max(at.mono);
        let gathered = &mut run.gathered[header.direction as usize];
        let Gathered { count, walls, monos } = gathered;
        *count += 1;
        *walls = (walls.0.min(at.wall), walls.1.max(at.wall));
        *monos = (monos.0.min(at.mono), monos.1.max(at.mono));
        true
    }

    /// What was gathered since the last time: each run, its flow, and its copies that went one way.
    pub(super) fn gathered(&mut self, mut tell: impl FnMut(Frame<'_>, usize, Flow, Gathered)) {
        for run in self.runs.iter_mut().take(Self::GATHERED) {
            let Some(flow) = run.flow else { continue };
            for direction in DIRECTIONS {
                let gathered = std::mem::replace(&mut run.gathered[direction as usize], NONE);
                if gathered.count > 0 {
                    let header = FrameHeader { direction, ..run.header };
                    tell(Frame::whole(header, &run.bytes), run.class, flow, gathered);
                }
            }
        }
    }

    /// Looks at `count` copies that arrived from `first` to `last`; its run if the frame comes fast.
    #[inline]
    pub(super) fn frame(
        &mut self,
        frame: &Frame<'_>,
        class: usize,
        (first, last): (Mono, Mono),
        count: u64,
    ) -> Option<&mut FastFrame> {
        let bytes = frame.parts[0];
        if bytes.len() < frame.header.original_len as usize || bytes.is_empty() {
            return None;
        }
        let mut hasher = self.hash.build_hasher();
        hasher.write(bytes);
        let digest = hasher.finish();
        // Storms are few and come often: a look at each is faster than the table.
        let same = |run: &FastFrame| run.digest == digest && *run.bytes == *bytes;
        if let Some(known) = self.runs.iter().position(same) {
            let run = &mut self.runs[known];
            run.copies += count;
            run.ways[frame.header.direction as usize] += count;
            run.last = run.last.max(last);
            return Some(run);
        }
        self.notice(digest, frame, class, (first, last), count)
    }

    fn notice(
        &mut self,
        digest: u64,
        frame: &Frame<'_>,
        class: usize,
        (first, last): (Mono, Mono),
        count: u64,
    ) -> Option<&mut FastFrame> {
        let at = digest as usize & (Self::PLACES - 1);
        let place = match [at, at ^ 1] {
            [one, _] if self.places[one].digest == digest => one,
            [_, other] if self.places[other].digest == digest => other,
            // The one that was not seen for longer makes room.
            [one, other] if self.places[one].last <= self.places[other].last => one,
            [_, other] => other,
        };
        let place = &mut self.places[place];
        let again = place.digest == digest && first.since(place.last) < Self::PAUSE;
        if !again {
            *place = Sighting { digest, first, last, count: 0 };
        }
        place.last = last;
        place.count = place.count.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        // Somebody counted copies of it: it came fast.
        if place.count < Self::FAST && count == 1 {
            return None;
        }
        let (begun, copies) = (place.first, u64::from(place.count).max(count));
        let offset = Offset::of(Stamp { mono: first, wall: frame.header.wall });
        self.begin(FastFrame {
            digest,
            class,
            header: frame.header,
            bytes: frame.parts[0].into(),
            first: begun,
            last,
            copies,
            ways: [0; 3],
            offset,
            flow: None,
            untold: 0,
            gathered: [NONE; 3],
        })
    }

    #[cold]
    fn begin(&mut self, run: FastFrame) -> Option<&mut FastFrame> {
        if self.runs.len() >= Self::RUNS || run.bytes.len() > Self::LONGEST {
            self.refused += 1;
            return None;
        }
        self.runs.push(run);
        self.runs.last_mut()
    }

    /// All runs, as the detectors want to see them.
    pub(super) fn storms(&self) -> Vec<Storm> {
        let storm = |run: &FastFrame| Storm {
            class: run.class,
            header: run.header,
            bytes: run.bytes[..run.bytes.len().min(Shown::LONGEST)].to_vec(),
            first: run.first,
            last: run.last,
            copies: run.copies,
        };
        self.runs.iter().map(storm).collect()
    }

    /// What the talkers were not told of since the last time: flow, length and copies of each run.
    pub(super) fn tell(&mut self, mut tell: impl FnMut(&Flow, u32, u64)) {
        for run in &mut self.runs {
            let untold = std::mem::take(&mut run.untold);
            if let Some(flow) = run.flow.as_ref().filter(|_| untold > 0) {
                tell(flow, run.header.original_len, untold);
            }
        }
    }

    /// Forgets the runs that are over at `now`, and gives them back.
    pub(super) fn over(&mut self, now: Mono) -> Vec<FastFrame> {
        self.runs.extract_if(.., |run| now.since(run.last) > Self::END).collect()
    }

    /// The runs that still go on.
    pub(super) fn rest(&self) -> &[FastFrame] {
        &self.runs
    }

    /// Copies that were not counted because so many other frames came fast, too.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::LinkType;

    const MS: u64 = 1_000_000;

    fn frame(bytes: &[u8]) -> Frame<'_> {
        let original_len = bytes.len() as u32;
        Frame::whole(FrameHeader { original_len, ..FrameHeader::default() }, bytes)
    }

    fn at(ms: u64) -> (Mono, Mono) {
        (Mono(ms * MS), Mono(ms * MS))
    }

    #[test]
    fn a_run_begins_with_its_very_first_copy_and_misses_none() {
        let mut copies = Copies::new();
        for n in 0..1_000_u64 {
            let other = n.to_be_bytes();
            copies.frame(&frame(&[7; 60]), 1, at(500 + n), 1);
            copies.frame(&frame(&other), 1, at(500 + n), 1);
        }
        let [run] = copies.rest() else { panic!("{:?}", copies.rest()) };
        assert_eq!((run.first, run.last, run.copies), (at(500).0, at(1_499).0, 1_000));
        assert_eq!(copies.over(at(6_000).0).len(), 0);
        assert_eq!(copies.over(at(6_600).0).len(), 1);
    }

    #[test]
    fn hellos_and_cut_frames_are_no_runs_and_counted_copies_are() {
        let mut copies = Copies::new();
        for n in 0..1_000 {
            assert!(
                copies.frame(&frame(&[7; 60]), 0, at(n * 200), 1).is_none(),
                "five hellos a second"
            );
            let mut cut = frame(&[8; 60]);
            cut.header.original_len = 61;
            assert!(copies.frame(&cut, 0, at(n), 1).is_none(), "cut");
        }
        assert!(copies.frame(&frame(&[9; 60]), 0, (Mono(5), Mono(MS)), 372_000).is_some());
        assert_eq!(copies.rest()[0].copies, 372_000);
    }

    #[test]
    fn there_is_room_for_so_many_and_the_others_are_counted() {
        let mut copies = Copies::new();
        for n in 0..=255_u8 {
            copies.frame(&frame(&[n; 60]), 0, at(1), 100);
        }
        assert_eq!((copies.rest().len(), copies.refused()), (64, 192));
    }

    #[test]
    fn what_is_gathered_is_told_once_and_each_way() {
        let (mut copies, known) = (Copies::new(), frame(&[7; 60]));
        let moment = |ms| Stamp { mono: Mono(ms * MS), wall: Wall(ms * MS + 5) };
        assert!(!copies.gather(&known, moment(0)), "nobody knows it");
        for n in 0..u64::from(Copies::FAST) {
            if let Some(run) = copies.frame(&known, 1, at(n), 1) {
                run.flow = Some(Flow::of(LinkType::ETHERNET, known.parts[0]));
            }
        }
        let header =
            |direction, original_len| FrameHeader { direction, original_len, ..known.header };
        let sent = Frame::whole(header(Direction::Outbound, 60), known.parts[0]);
        for (copy, ms) in [(&known, 100), (&sent, 150), (&known, 120)] {
            assert!(copies.gather(copy, moment(ms)));
        }
        let cut = Frame::whole(header(Direction::Unknown, 61), known.parts[0]);
        assert!(!copies.gather(&cut, moment(130)), "what is not there may differ");
        assert!(!copies.gather(&frame(&[8; 60]), moment(130)));
        let mut told = Vec::new();
        copies.gathered(|frame, class, _, Gathered { count, walls, monos }| {
            told.push((frame.header.direction, class, count, walls, monos));
        });
        let span = |from: u64, to: u64| (moment(from), moment(to));
        let row = |direction, count, (from, to): (Stamp, Stamp)| {
            (direction, 1, count, (from.wall, to.wall), (from.mono, to.mono))
        };
        let rows = [
            row(Direction::Unknown, 2, span(100, 120)),
            row(Direction::Outbound, 1, span(150, 150)),
        ];
        assert_eq!(told, rows);
        copies.gathered(|_, _, _, again| panic!("{again:?} was told"));
        assert_eq!(copies.rest()[0].copies, u64::from(Copies::FAST) + 3);
    }
}
