//! The lane against a plain model: whatever is done in whatever order, a slice says what a list would.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::super::pack::{Job, Outcome, Packer};
use super::super::pool::{Pool, PoolOptions};
use super::super::{FoldOptions, LaneId, PackOptions, Slice};
use super::{Appended, HoldId, Lane, LaneOptions};
use crate::frame::{Frame, FrameHeader, LinkType, Origin, StampClock, StoredFrame};
use crate::time::{Mono, Offset, Wall, Window};

const MS: u64 = 1_000_000;
const FOREVER: Window = Window { from: Mono(0), to: Mono(u64::MAX) };
/// Frames below this number are few and come again and again, so that they fold.
const STORMS: u64 = 3;

#[derive(Debug, Clone)]
enum ModelStep {
    /// Frames of a number of their own.
    Append {
        length: usize,
    },
    /// So many copies of one of a few frames, one every 10 microseconds.
    Storm {
        which: u64,
        copies: u16,
    },
    Pause {
        milliseconds: u16,
    },
    /// The packer does one job that it was given, the oldest or the newest.
    Work {
        newest: bool,
    },
    Slice,
    LetGo,
    Hold,
}

fn steps() -> impl Strategy<Value = Vec<ModelStep>> {
    let step = prop_oneof![
        60 => (0_usize..9_000).prop_map(|length| ModelStep::Append { length }),
        3 => (0..STORMS, 1_u16..2_000).prop_map(|(which, copies)| ModelStep::Storm { which, copies }),
        10 => (0_u16..700).prop_map(|milliseconds| ModelStep::Pause { milliseconds }),
        20 => any::<bool>().prop_map(|newest| ModelStep::Work { newest }),
        1 => Just(ModelStep::Slice),
        1 => Just(ModelStep::LetGo),
        1 => Just(ModelStep::Hold),
    ];
    prop::collection::vec(step, 500..3_000)
}

/// The bytes of a frame, made from its number: about half of what zstd can do nothing with.
fn content(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    let mut state = number | 1 << 40;
    while bytes.len() < length {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
        bytes.extend_from_slice(&[0x5a; 8]);
    }
    bytes.truncate(length.max(8));
    bytes
}

/// What the lane was given, as a plain list.
#[derive(Default)]
struct Model {
    /// Number, arrival and length of every frame the lane said it stored.
    stored: Vec<(u64, Mono, usize)>,
    /// Copies it said it folded, and when.
    folded: Vec<(u64, Mono)>,
    offered: u64,
    dropped: u64,
}

impl Model {
    /// Checks that the slice is what the list says, as far as it claims to reach.
    fn check(&self, slice: &Slice, faded: bool) {
        let from = slice.covered_from();
        let within = |at: Mono| at >= from && at <= slice.window().to;
        let expected: Vec<_> = self.stored.iter().filter(|(_, at, _)| within(*at)).collect();
        let frames: Vec<_> = slice.frames().collect();
        let kept: Vec<_> = frames.iter().filter(|f| f.tally.is_none() && within(f.mono)).collect();
        assert_eq!(kept.len(), expected.len(), "frames kept since {from:?}");
        for (frame, (number, at, length)) in kept.iter().zip(&expected) {
            assert_eq!((number_of(frame), frame.mono), (*number, *at));
            assert_eq!(frame.header.original_len as usize, (*length).max(8));
            let whole = content(*number, *length);
            if frame.faded {
                assert!(faded && frame.mono < slice.full_from());
                assert!(frame.bytes.len() >= 96 && whole.starts_with(&frame.bytes));
            } else {
                assert_eq!(frame.bytes, whole);
            }
        }
        let in_order = frames.windows(2).all(|pair| pair[0].mono <= pair[1].mono);
        assert!(in_order || frames.iter().any(|f| f.tally.is_some()), "in order of arrival");
    }

    /// Checks that every copy is in a tally with a span that covers it.
    fn check_runs(&self, slice: &Slice) {
        let mut told: BTreeMap<u64, u64> = BTreeMap::new();
        for frame in slice.frames() {
            if let Some(tally) = frame.tally {
                *told.entry(number_of(&frame)).or_default() += tally.count;
                assert_eq!(tally.bins.iter().map(|n| u64::from(*n)).sum::<u64>(), tally.count);
                let inside = |at: Mono| at >= frame.mono && at <= frame.last();
                let ends = [frame.mono, frame.last()];
                let number = number_of(&frame);
                let copies = self.folded.iter().filter(|(n, at)| *n == number && inside(*at));
                assert_eq!(copies.count() as u64, tally.count, "between {ends:?}");
            }
        }
        let mut counted: BTreeMap<u64, u64> = BTreeMap::new();
        self.folded.iter().for_each(|(number, _)| *counted.entry(*number).or_default() += 1);
        assert_eq!(told, counted, "copies by frame");
    }
}

fn number_of(frame: &StoredFrame) -> u64 {
    u64::from_le_bytes(frame.bytes[..8].try_into().unwrap())
}

/// What a slice says, in full: arrival, original length, bytes, copies.
type Story = Vec<(Mono, u32, Vec<u8>, u64)>;

fn story(slice: &Slice) -> Story {
    let tell = |f: StoredFrame| {
        (f.mono, f.header.original_len, f.bytes.to_vec(), f.tally.map_or(0, |t| t.count))
    };
    slice.frames().map(tell).collect()
}

/// A lane, its model, and a packer that is as late as the steps say.
struct Trial {
    pool: Pool,
    lane: Lane,
    packer: Packer,
    jobs: Vec<Job>,
    model: Model,
    /// With what each said at first.
    pinned: Vec<(Slice, Story)>,
    now: u64,
    next: u64,
}

impl Trial {
    fn new(memory: u64, pack: PackOptions) -> Self {
        let pool = Pool::new(&PoolOptions { memory, lock: false }).unwrap();
        let origin = Origin {
            interface: "eth0".into(),
            index: 7,
            link_type: LinkType::ETHERNET,
            snaplen: 65535,
            clock: StampClock::Software,
        };
        let options = LaneOptions { fold: FoldOptions::default(), pack };
        let lane = Lane::new(LaneId(0), pool.clone(), options, origin.into(), Mono(0));
        let packer = Packer::new(pool.clone()).unwrap();
        let (jobs, pinned, model) = (Vec::new(), Vec::new(), Model::default());
        Self { pool, lane, packer, jobs, model, pinned, now: 0, next: STORMS }
    }

    fn append(&mut self, number: u64, length: usize) {
        let bytes = content(number, length);
        let header = FrameHeader {
            wall: Wall(self.now),
            original_len: u32::try_from(bytes.len()).unwrap(),
            ..FrameHeader::default()
        };
        self.model.offered += 1;
        match self.lane.append(&Frame::whole(header, &bytes), Offset(0)) {
            Appended::Stored => self.model.stored.push((number, Mono(self.now), length)),
            Appended::Folded => self.model.folded.push((number, Mono(self.now))),
            Appended::Dropped => self.model.dropped += 1,
        }
    }

    fn step(&mut self, step: &ModelStep) {
        match *step {
            ModelStep::Append { length } => {
                self.next += 1;
                self.append(self.next, length);
                self.now += MS;
            }
            ModelStep::Storm { which, copies } => {
                for _ in 0..copies {
                    self.append(which, 60);
                    self.now += 10_000;
                }
            }
            ModelStep::Pause { milliseconds } => {
                self.now += u64::from(milliseconds) * MS;
                self.lane.tick(Mono(self.now));
            }
            ModelStep::Work { newest } => {
                self.jobs.extend(self.lane.next_job(Mono(self.now)));
                let job = if newest { self.jobs.pop() } else { self.jobs.drain(..).next() };
                if let Some(job) = job {
                    self.work(&job);
                }
                self.jobs.drain(..).for_each(|job| self.lane.decline(job));
            }
            ModelStep::Slice => {
                let window = Window { from: Mono(self.now / 3), to: Mono(self.now) };
                let slice = self.lane.slice(window, Some(HoldId(0)));
                let told = story(&slice);
                self.pinned.push((slice, told));
            }
            ModelStep::LetGo => drop(self.pinned.pop()),
            ModelStep::Hold => {
                self.lane.hold(HoldId(0), Mono(self.now.saturating_sub(300 * MS)), false);
            }
        }
    }

    fn work(&mut self, job: &Job) {
        let outcome: Outcome = self.packer.work(job);
        self.lane.take(outcome);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel("tests/regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_slice_says_what_a_plain_list_says(
        steps in steps(), fade in any::<bool>(), full in 0_u64..3_000, tight in any::<bool>()
    ) {
        let full = std::time::Duration::from_millis(full);
        let pack = PackOptions { enabled: true, fade, full };
        let mut trial = Trial::new(if tight { 4 << 20 } else { 16 << 20 }, pack);
        for step in &steps {
            trial.step(step);
            if matches!(step, ModelStep::Slice) {
                let (slice, _) = trial.pinned.last().unwrap();
                trial.model.check(slice, fade);
            }
        }
        for (slice, told) in &trial.pinned {
            prop_assert_eq!(&story(slice), told, "a pinned slice never changes");
        }
        let slice = trial.lane.slice(FOREVER, Some(HoldId(0)));
        trial.model.check(&slice, fade);
        let counters = trial.lane.counters();
        let (stored, folded) = (counters.stored, counters.folded);
        prop_assert_eq!(stored + folded + counters.dropped, trial.model.offered);
        let left: u64 = slice.frames().map(|f| f.tally.map_or(1, |tally| tally.count)).sum();
        prop_assert_eq!(counters.evicted + left, stored + folded);
        let faded_left = slice.frames().filter(|f| f.faded).count() as u64;
        prop_assert!(counters.faded >= faded_left);
        if counters.evicted == 0 && counters.dropped == 0 {
            prop_assert_eq!(counters.faded, faded_left);
            trial.model.check_runs(&slice);
        }
        drop((slice, trial.lane, trial.packer, trial.pinned));
        prop_assert_eq!(trial.pool.free_pages(), trial.pool.total_pages(), "all pages come back");
    }
}

#[test]
fn a_slice_before_packing_equals_one_after() {
    let mut trial = Trial::new(8 << 20, PackOptions { fade: false, ..PackOptions::default() });
    for n in 0..3_500 {
        trial.step(&ModelStep::Append { length: (n * 37) % 3_000 });
        trial.step(&ModelStep::Storm { which: n as u64 % STORMS, copies: 20 });
    }
    let before = trial.lane.slice(FOREVER, None);
    let told = story(&before);
    drop(before);
    let used = trial.lane.used_bytes();
    while let Some(job) = trial.lane.next_job(Mono(trial.now)) {
        trial.work(&job);
    }
    assert!(trial.lane.used_bytes() < used * 3 / 4, "{} of {used}", trial.lane.used_bytes());
    assert_eq!(story(&trial.lane.slice(FOREVER, None)), told);
    assert!(trial.model.folded.len() > 10_000, "storms were folded");
    trial.model.check_runs(&trial.lane.slice(FOREVER, None));
}

#[test]
fn old_frames_lose_their_payload_before_they_are_forgotten() {
    let full = std::time::Duration::from_secs(1);
    let mut trial = Trial::new(8 << 20, PackOptions { full, ..PackOptions::default() });
    for _ in 0..40_000 {
        trial.step(&ModelStep::Append { length: 1_500 });
        while let Some(job) = trial.lane.next_job(Mono(trial.now)) {
            trial.work(&job);
        }
    }
    let slice = trial.lane.slice(FOREVER, None);
    trial.model.check(&slice, true);
    let now = Mono(trial.now);
    assert!(now.since(slice.full_from()) >= full, "{:?}", now.since(slice.full_from()));
    let all = now.since(slice.covered_from());
    assert!(all.as_secs() > 20, "8 MiB hold 5 s of these frames as they come, now {all:?}");
    let counters = trial.lane.counters();
    let faded = slice.frames().filter(|frame| frame.faded).count() as u64;
    assert!(faded > 10_000 && counters.faded >= faded);
}

#[test]
fn what_is_held_does_not_fade() {
    let mut trial = Trial::new(
        8 << 20,
        PackOptions { full: std::time::Duration::ZERO, ..PackOptions::default() },
    );
    for _ in 0..4_900 {
        trial.step(&ModelStep::Append { length: 1_500 });
    }
    let held = trial.lane.hold(HoldId(0), Mono(trial.now - 2_000 * MS), false);
    while let Some(job) = trial.lane.next_job(Mono(trial.now)) {
        trial.work(&job);
    }
    assert!(trial.lane.counters().faded > 0, "the rest does");
    let window = Window { from: held, to: Mono(u64::MAX) };
    let slice = trial.lane.slice(window, Some(HoldId(0)));
    assert!(slice.frames().all(|frame| !frame.faded));
    assert_eq!(slice.full_from(), held);
}
