//! Lanes whose held frames go to the disk while they record on.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use super::super::{
    HoldId, Lane, LaneId, LaneOptions, LeftRing, Packer, Pool, PoolOptions, Slice, WantedFrames,
    Whose,
};
use super::*;
use crate::frame::{Frame, FrameHeader, LinkType, Origin, StampClock};
use crate::ring::Appended;
use crate::time::{Mono, Offset, Wall, Window};

const MS: u64 = 1_000_000;
const HOLD: HoldId = HoldId(1);
/// Bytes that are spooled at a time, in these tests.
const ROOM: usize = 1 << 20;

/// A lane with a spool beside it.
struct Trial {
    lane: Lane,
    pool: Pool,
    spool: SpoolFile,
    path: PathBuf,
    _directory: tempfile::TempDir,
    appended: u64,
}

impl Trial {
    fn new(options: LaneOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.spool");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        let spool = SpoolFile::begin(file, RecordingMetadata::unknown()).unwrap();
        let memory = PoolOptions::MIN_MEMORY;
        let pool = Pool::new(&PoolOptions { memory, lock: false }).unwrap();
        let origin = Origin {
            interface: "eth0".into(),
            index: 3,
            link_type: LinkType::ETHERNET,
            snaplen: 65535,
            clock: StampClock::Software,
        };
        let lane = Lane::new(LaneId(4), pool.clone(), options, Arc::new(origin), Mono(0));
        Self { lane, pool, spool, path, _directory: directory, appended: 0 }
    }

    /// Appends numbered frames of 1,000 bytes, a millisecond apart, half of which packs; tells how many were dropped.
    fn append(&mut self, frames: u64) -> u64 {
        let mut dropped = 0;
        for _ in 0..frames {
            let mut bytes = vec![0xee; 1_000];
            bytes[..8].copy_from_slice(&self.appended.to_le_bytes());
            let mut noise = self.appended | 1;
            for word in bytes[8..].chunks_exact_mut(8).take(62) {
                // Marsaglia's xorshift.
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                word.copy_from_slice(&noise.to_le_bytes());
            }
            let header = FrameHeader {
                wall: Wall(self.appended * MS),
                original_len: 1_000,
                ..FrameHeader::default()
            };
            let appended = self.lane.append(&Frame::whole(header, &bytes), Offset(0));
            dropped += u64::from(appended == Appended::Dropped);
            self.appended += 1;
        }
        dropped
    }

    /// Some of what is held, and sealed because it is old.
    fn spool(&mut self) -> usize {
        self.lane.tick(Mono(self.appended * MS + Lane::SEAL_AGE.as_nanos() as u64));
        let held = self.lane.unspooled(HOLD, ROOM);
        let copies = self.spool.write(&held).unwrap();
        drop(held);
        let count = copies.len();
        self.lane.spooled(HOLD, copies);
        count
    }

    fn spool_all(&mut self) {
        while self.spool() > 0 {}
    }

    fn pack(&mut self) {
        let mut packer = Packer::new(self.pool.clone()).unwrap();
        while let Some(job) = self.lane.next_job(Mono(self.appended * MS)) {
            let outcome = packer.work(&job);
            self.lane.take(outcome);
        }
    }

    fn slice(&mut self, from: u64) -> Slice {
        let window = Window { from: Mono(from * MS), to: Mono(u64::MAX) };
        self.lane.slice(window, Some(HOLD))
    }
}

fn numbers(slice: &Slice) -> Vec<u64> {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
    slice.frames().map(|frame| number(&frame.bytes)).collect()
}

#[test]
fn what_is_held_may_be_longer_than_memory_and_is_there_once_and_in_order() {
    for options in [LaneOptions::AS_IS, LaneOptions::default()] {
        let mut trial = Trial::new(options);
        trial.append(500);
        trial.lane.hold(HOLD, Mono(100 * MS), false);
        // Five times what memory has room for, packed more than twice.
        for _ in 0..20 {
            assert_eq!(trial.append(1_000), 0);
            trial.spool();
            trial.pack();
            trial.spool_all();
        }
        let evicted = trial.lane.counters().evicted;
        assert!(evicted > 5_000, "{evicted}");
        trial.append(100);
        let slice = trial.slice(100);
        assert_eq!(numbers(&slice), (100..20_600).collect::<Vec<_>>());
        assert_eq!(slice.covered_from(), Mono(100 * MS));
        assert_eq!(slice.full_from(), Mono(100 * MS), "nothing that is held fades");
        assert!(slice.is_in_memory(), "its end");
        assert_eq!(trial.append(10_000), 0, "the hold is over");
    }
}

#[test]
fn a_hold_that_reaches_further_back_later_has_the_front_as_well() {
    let mut trial = Trial::new(LaneOptions::default());
    trial.append(2_000);
    trial.lane.hold(HoldId(2), Mono(300 * MS), false);
    trial.lane.hold(HOLD, Mono(1_500 * MS), false);
    trial.append(300);
    trial.spool_all();
    trial.pack();
    assert_eq!(trial.lane.hold(HOLD, Mono(300 * MS), false), Mono(300 * MS));
    drop(trial.lane.slice(Window { from: Mono(0), to: Mono(0) }, Some(HoldId(2))));
    for round in 0..10 {
        assert_eq!(trial.append(1_000), 0, "{round}");
        trial.spool_all();
    }
    let slice = trial.slice(300);
    assert_eq!(numbers(&slice), (300..12_300).collect::<Vec<_>>());
    assert_eq!(slice.covered_from(), Mono(300 * MS));
}

#[test]
fn a_hold_that_yields_drops_nothing_and_tells_what_it_lost() {
    let mut trial = Trial::new(LaneOptions::AS_IS);
    trial.append(1_000);
    trial.lane.hold(HOLD, Mono(0), true);
    assert_eq!(trial.append(20_000), 0);
    let slice = trial.slice(0);
    assert_newest(&slice, 21_000);

    // Firm from now on, because somebody else needs it.
    drop(slice);
    trial.lane.hold(HOLD, Mono(20_500 * MS), true);
    trial.lane.hold(HOLD, Mono(20_500 * MS), false);
    assert!(trial.append(20_000) > 0);
    assert_eq!(numbers(&trial.slice(20_500)).first(), Some(&20_500));
}

/// The slice has the frames before `end` without a gap, and tells from which on.
fn assert_newest(slice: &Slice, end: u64) {
    let held = numbers(slice);
    let first = *held.first().unwrap();
    assert!(first > 1_000);
    assert_eq!(held, (first..end).collect::<Vec<_>>());
    assert!(slice.covered_from() > Mono((first - 1) * MS));
    assert!(slice.covered_from() <= Mono(first * MS));
}

#[test]
fn a_hold_that_yields_drops_nothing_while_its_bundle_is_written_either() {
    for (yields, spools) in [(true, false), (true, true), (false, false)] {
        let mut trial = Trial::new(LaneOptions::AS_IS);
        trial.append(1_000);
        trial.lane.hold(HOLD, Mono(0), yields);
        if spools {
            trial.spool_all();
        }
        let dropped = trial.append(20_000);
        // Whoever writes the bundle has it until it is written.
        let slice = trial.slice(0);
        let dropped = dropped + trial.append(20_000);
        assert_eq!(dropped > 0, !yields, "{dropped}");
        if spools {
            let held = numbers(&slice);
            assert_eq!(held[..1_000], (0..1_000).collect::<Vec<_>>(), "it is on the disk");
            assert!(slice.covered_from() > Mono(1_000 * MS), "but not what came next");
        } else if yields {
            assert_newest(&slice, 21_000);
        }
    }
}

#[test]
fn what_is_left_of_a_dead_process_is_read_once_and_without_taking_memory() {
    let mut trial = Trial::new(LaneOptions::default());
    trial.lane.hold(HOLD, Mono(0), false);
    for _ in 0..8 {
        trial.append(1_000);
        trial.pack();
        trial.spool_all();
    }
    // Once more, as after a question whose answer was lost.
    let again = trial.lane.slice(Window { from: Mono(0), to: Mono(u64::MAX) }, None);
    drop(again);
    trial.lane.hold(HoldId(9), Mono(7_000 * MS), false);
    trial.spool.write(&trial.lane.unspooled(HoldId(9), ROOM)).unwrap();
    let Trial { lane, spool, path, _directory, .. } = trial;
    let bytes = spool.bytes();
    drop((lane, spool));
    // A segment of which the disk took a part only.
    let whole = fs::metadata(&path).unwrap().len();
    let half = fs::read(&path).unwrap()[RingFile::HEAD as usize..][..700].to_vec();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&half, whole).unwrap();

    let left = LeftRing::open(&path, Whose::Anybodys).unwrap().unwrap();
    let recovery = left.recover(WantedFrames::ALL).unwrap();
    let [lane] = &recovery.lanes[..] else { panic!("one lane") };
    assert_eq!(numbers(&lane.slice), (0..8_000).collect::<Vec<_>>());
    assert!(!lane.slice.is_in_memory() && bytes > 0);
    assert_eq!(recovery.counts.frames, 8_000);
    assert_eq!(recovery.counts.left_out, 0, "a whole copy of it is there");
    assert!(recovery.counts.packed > 0 && !recovery.is_blank);
}

#[test]
fn a_copy_that_is_not_what_was_written_is_no_frame() {
    let mut trial = Trial::new(LaneOptions::AS_IS);
    trial.append(100);
    trial.lane.hold(HOLD, Mono(0), false);
    trial.spool_all();
    let slice = trial.slice(0);
    assert_eq!(numbers(&slice).len(), 100);
    let file = OpenOptions::new().write(true).open(&trial.path).unwrap();
    file.write_all_at(b"?", RingFile::HEAD + 5_000).unwrap();
    assert_eq!(numbers(&slice), [0; 0], "told in the log");
    drop((slice, trial.lane, trial.spool));
    let left = LeftRing::open(&trial.path, Whose::Anybodys).unwrap().unwrap();
    let recovery = left.recover(WantedFrames::ALL).unwrap();
    assert_eq!((recovery.lanes.len(), recovery.counts.left_out), (0, 1));
    assert!(recovery.counts.is_damaged());
}
