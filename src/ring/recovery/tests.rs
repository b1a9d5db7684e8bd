//! Rings as a dead process leaves them: the file is read while the lane that writes it lives.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::super::left;
use super::super::{
    Lane, LaneOptions, LeftRing, Packer, Pool, PoolOptions, Recovery, RingFile, Slice, Whose,
};
use super::*;
use crate::frame::{Frame, FrameHeader, LinkType, StampClock, StoredFrame};
use crate::time::{Offset, Wall};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// A lane that writes into a ring file.
struct Ring {
    lane: Lane,
    pool: Pool,
    path: PathBuf,
    _directory: tempfile::TempDir,
    _file: RingFile,
    appended: u64,
}

impl Ring {
    fn new(memory: u64, options: LaneOptions) -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = directory.path().join("ring");
        let file = RingFile::create(&path, RecordingMetadata::unknown()).unwrap();
        let pool = Pool::in_file(&PoolOptions { memory, lock: false }, &file).unwrap();
        let lane = Lane::new(LaneId(4), pool.clone(), options, Arc::new(origin()), Mono(0));
        Self { lane, pool, path, _directory: directory, _file: file, appended: 0 }
    }

    /// Appends a numbered frame, a millisecond after the one before.
    fn append(&mut self, length: usize) {
        let bytes = payload(self.appended, length);
        let header = FrameHeader {
            wall: Wall(self.appended * MS),
            original_len: u32::try_from(bytes.len()).unwrap(),
            ..FrameHeader::default()
        };
        self.lane.append(&Frame::whole(header, &bytes), Offset(0));
        self.appended += 1;
    }

    fn bytes(&self) -> Bytes {
        Bytes::from(fs::read(&self.path).unwrap())
    }

    fn recovered(&self) -> Recovery {
        recover(&self.bytes()).unwrap()
    }
}

/// Everything that these bytes of a ring file hold.
fn recover(bytes: &[u8]) -> Result<Recovery, String> {
    left::read(&bytes, bytes.len() as u64, &[], WantedFrames::ALL)
}

/// A number, and what no compressor makes smaller.
fn payload(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while bytes.len() < length {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length.max(8));
    bytes
}

fn origin() -> Origin {
    Origin {
        interface: "eth0".into(),
        index: 3,
        link_type: LinkType::ETHERNET,
        snaplen: 65535,
        clock: StampClock::Software,
    }
}

fn slice_of(recovery: &Recovery) -> &Slice {
    assert_eq!(recovery.lanes.len(), 1);
    assert_eq!(recovery.lanes[0].lane, LaneId(4));
    assert_eq!(*recovery.lanes[0].origin, origin());
    &recovery.lanes[0].slice
}

fn number(frame: &StoredFrame) -> u64 {
    u64::from_le_bytes(frame.bytes[..8].try_into().unwrap())
}

fn numbers(recovery: &Recovery) -> Vec<u64> {
    slice_of(recovery).frames().map(|frame| number(&frame)).collect()
}

#[test]
fn a_ring_that_was_never_written_to_holds_nothing() {
    let ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::AS_IS);
    let recovery = ring.recovered();
    assert!(recovery.lanes.is_empty() && recovery.window.is_none());
    assert_eq!(recovery.counts, RecoveryCounts::default());
    assert!(recover(&[]).unwrap().lanes.is_empty());
}

#[test]
fn every_appended_frame_is_there_at_any_moment() {
    let mut ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::AS_IS);
    for round in 0..60 {
        // Sizes that end in all places of a page, and beyond it.
        ring.append([60, 1514, 9000, 8, 65_549][round % 5]);
        let recovery = ring.recovered();
        assert_eq!(numbers(&recovery), (0..ring.appended).collect::<Vec<_>>());
        let counts = recovery.counts;
        assert_eq!((counts.frames, counts.torn_records), (ring.appended, 0));
        assert_eq!((counts.left_out, counts.missing, counts.damaged_pages), (0, 0, 0));
    }
    for (n, frame) in slice_of(&ring.recovered()).frames().enumerate() {
        assert_eq!(frame.mono, Mono(n as u64 * MS));
        assert_eq!(frame.bytes, payload(n as u64, [60, 1514, 9000, 8, 65_549][n % 5]));
    }
}

#[test]
fn a_recording_that_ended_leaves_what_it_held() {
    let mut ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::AS_IS);
    (0..2_500).for_each(|_| ring.append(60));
    let Ring { lane, pool, path, _directory, .. } = ring;
    lane.keep();
    drop((lane, pool));
    let recovery = recover(&fs::read(path).unwrap()).unwrap();
    assert_eq!(numbers(&recovery), (0..2_500).collect::<Vec<_>>());
    assert_eq!(slice_of(&recovery).covered_from(), Mono(0));
}

#[test]
fn sealed_and_open_segments_are_told_apart() {
    let mut ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::AS_IS);
    // A second each is a segment.
    (0..3_500).for_each(|_| ring.append(60));
    let counts = ring.recovered().counts;
    assert_eq!((counts.sealed, counts.open, counts.packed), (3, 1, 0));
    ring.lane.tick(Mono(10 * SECOND));
    let counts = ring.recovered().counts;
    assert_eq!((counts.sealed, counts.open, counts.frames), (4, 0, 3_500));
}

#[test]
fn a_lane_that_was_left_in_the_middle_of_an_append_keeps_its_whole_frames() {
    let mut ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::AS_IS);
    (0..300).for_each(|_| ring.append(1_000));
    // A part that cannot be read is what a defect in a source looks like: the record's head is there.
    let header = FrameHeader { wall: Wall(300 * MS), original_len: 9, ..FrameHeader::default() };
    ring.lane.begin_record(&Frame::whole(header, b"cut short"));
    let before = ring.recovered();
    assert_eq!(numbers(&before), (0..300).collect::<Vec<_>>());
    ring.lane.salvage();
    (0..50).for_each(|_| ring.append(1_000));
    assert_eq!(numbers(&ring.recovered()), (0..350).collect::<Vec<_>>());
    let everything = Window { from: Mono(0), to: Mono(u64::MAX) };
    let slice = ring.lane.slice(everything, None);
    assert_eq!(slice.frames().map(|frame| number(&frame)).collect::<Vec<_>>().len(), 350);
}

#[test]
fn what_was_evicted_does_not_come_back() {
    let mut ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::AS_IS);
    (0..9_000).for_each(|_| ring.append(1_514));
    assert!(ring.lane.counters().evicted > 0);
    let recovery = ring.recovered();
    let first = ring.lane.counters().evicted;
    assert_eq!(numbers(&recovery), (first..9_000).collect::<Vec<_>>());
    assert_eq!(recovery.counts.missing, 0);
    assert_eq!(slice_of(&recovery).covered_from(), Mono(first * MS));
}

#[test]
fn packed_and_faded_segments_are_read_once() {
    let mut ring = Ring::new(8 << 20, LaneOptions::default());
    let mut packer = Packer::new(ring.pool.clone()).unwrap();
    let mut seen = RecoveryCounts::default();
    for n in 0..20_000_u64 {
        ring.append(600);
        let now = Mono(n * MS);
        if n % 100 == 0 {
            ring.lane.tick(now);
            while let Some(job) = ring.lane.next_job(now) {
                let outcome = packer.work(&job);
                // Packed and plain, or full and faded, are both in memory here.
                if n % 1_500 == 0 {
                    let expected = ring.lane.counters().evicted..n + 1;
                    assert_eq!(numbers(&ring.recovered()), expected.collect::<Vec<_>>());
                }
                ring.lane.take(outcome);
            }
        }
        if n % 1_000 == 0 {
            let recovery = ring.recovered();
            let expected = ring.lane.counters().evicted..n + 1;
            assert_eq!(numbers(&recovery), expected.collect::<Vec<_>>(), "{:?}", recovery.counts);
            seen.packed += recovery.counts.packed;
            seen.faded += recovery.counts.faded;
            let cut = slice_of(&recovery).frames().filter(|frame| frame.faded).count();
            assert_eq!(recovery.counts.faded, cut as u64);
        }
    }
    assert!(seen.packed > 0 && seen.faded > 0, "{seen:?}");
}

#[test]
fn runs_are_told_as_far_as_they_were_sealed() {
    let mut ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::default());
    for _ in 0..2_500 {
        ring.appended = 0;
        ring.append(60);
    }
    ring.lane.tick(Mono(5 * SECOND));
    let recovery = ring.recovered();
    let told: u64 = slice_of(&recovery).frames().filter_map(|f| f.tally).map(|t| t.count).sum();
    assert_eq!(told, recovery.counts.folded);
    assert_eq!(recovery.counts.frames + told, 2_500);
}

#[test]
fn a_record_cut_in_the_middle_is_left_out_and_counted() {
    let mut ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::AS_IS);
    (0..10).for_each(|_| ring.append(60));
    let mut bytes = ring.bytes().to_vec();
    // As if the length had been committed in the middle of a record, which no release store does.
    let at = usize::try_from(RingFile::HEAD).unwrap() + 16;
    let committed = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    bytes[at..at + 4].copy_from_slice(&(committed - 30).to_le_bytes());
    let recovery = recover(&bytes).unwrap();
    assert_eq!(numbers(&recovery), (0..9).collect::<Vec<_>>());
    assert_eq!((recovery.counts.torn_records, recovery.counts.open), (1, 1));
}

#[test]
fn a_file_in_use_foreign_or_of_another_version_is_refused() {
    let mut ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::AS_IS);
    ring.append(60);
    let used = LeftRing::open(&ring.path, Whose::Ours).unwrap_err().to_string();
    assert!(used.contains("another dashcap uses it"), "{used}");
    let there = RingFile::create(&ring.path, RecordingMetadata::unknown()).unwrap_err().to_string();
    assert!(there.contains("File exists"), "{there}");

    let other = ring.path.with_file_name("other");
    let mut bytes = ring.bytes().to_vec();
    let open = || LeftRing::open(&other, Whose::Anybodys);
    assert!(open().unwrap().is_none());
    fs::write(&other, b"root:x:0:0\n").unwrap();
    let foreign = open().unwrap_err().to_string();
    assert!(foreign.contains("it is no ring file"), "{foreign}");
    bytes[8] = 9;
    let sum = crc32fast::hash(&bytes[..24]).to_le_bytes();
    bytes[24..28].copy_from_slice(&sum);
    fs::write(&other, &bytes).unwrap();
    let version = open().unwrap().unwrap();
    let refused = version.recover(WantedFrames::ALL).unwrap_err().to_string();
    assert!(refused.contains("its version is 9"), "{refused}");
    let aside = version.move_aside().unwrap();
    assert!(aside.ends_with("other.old") && aside.exists() && !other.exists());

    std::os::unix::fs::symlink(&aside, &other).unwrap();
    assert!(open().is_err(), "a link leads anywhere");
    fs::remove_file(&other).unwrap();
    fs::write(&other, b"").unwrap();
    let empty = open().unwrap().unwrap();
    assert!(empty.recover(WantedFrames::ALL).unwrap().lanes.is_empty());
    empty.remove().unwrap();
}

#[test]
fn the_newest_frames_alone_are_read_where_only_they_are_wanted() {
    let mut ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::AS_IS);
    // A second each is a segment of ten pages.
    (0..3_500).for_each(|_| ring.append(600));
    let bytes = ring.bytes();
    let read = |since, pages| {
        let bytes = &bytes[..];
        left::read(&bytes, bytes.len() as u64, &[], WantedFrames { since, pages }).unwrap()
    };
    assert_eq!(numbers(&read(Mono(2_500 * MS), 1_000)), (2_000..3_500).collect::<Vec<_>>());
    assert_eq!(numbers(&read(Mono(0), 20)), (2_000..3_500).collect::<Vec<_>>());
    let nothing = read(Mono(0), 0);
    assert!(nothing.lanes.is_empty() && !nothing.is_blank);
}

/// A ring with everything: sealed, packed, faded, open, vacant.
fn full() -> Vec<u8> {
    let mut ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::default());
    let mut packer = Packer::new(ring.pool.clone()).unwrap();
    for n in 0..8_000_u64 {
        ring.append(600);
        if n % 100 == 0 {
            ring.lane.tick(Mono(n * MS));
            while let Some(job) = ring.lane.next_job(Mono(n * MS)) {
                ring.lane.take(packer.work(&job));
            }
        }
    }
    ring.bytes().to_vec()
}

/// Reads all that can be read; whatever it is, no frame is one that was never there.
fn judge(bytes: &[u8]) {
    let Ok(recovery) = recover(bytes) else { return };
    for frame in recovery.lanes.iter().flat_map(|lane| lane.slice.frames()) {
        assert!(frame.bytes.len() <= 5 << 20);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn damaged_rings_never_panic(
        damage in prop::collection::vec((0.0_f64..1.0, any::<u8>()), 1..200),
        cut in 0.0_f64..2.0,
    ) {
        static FULL: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let full = FULL.get_or_init(full);
        let mut bytes = full.clone();
        let head = usize::try_from(RingFile::HEAD).unwrap();
        for (place, byte) in damage {
            // Headers of chunks most of all: every second one hits the first bytes of a page.
            let at = (place * (bytes.len() - head) as f64) as usize;
            let at = head + if byte & 1 == 0 { at / (64 << 10) * (64 << 10) + at % 128 } else { at };
            bytes[at] ^= byte;
        }
        let length = (cut * bytes.len() as f64) as usize;
        bytes.truncate(length.max(64));
        judge(&bytes);
    }

    #[test]
    fn random_pages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
        let (length, bytes) = (bytes.len() as u64, &bytes[..]);
        read(RecordingMetadata::unknown(), &Image::new(&bytes, length, 0, u64::MAX), &[], WantedFrames::ALL);
    }
}

#[test]
fn no_flipped_bit_of_a_sealed_segment_gives_a_changed_frame() {
    let mut ring = Ring::new(PoolOptions::MIN_MEMORY, LaneOptions::AS_IS);
    (0..500).for_each(|_| ring.append(100));
    ring.lane.tick(Mono(10 * SECOND));
    let whole = ring.bytes().to_vec();
    let head = usize::try_from(RingFile::HEAD).unwrap();
    for at in (head..head + 62_000).step_by(101) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        let recovery = recover(&bytes).unwrap();
        assert!(recovery.counts.frames == 0 || recovery.counts.frames == 500, "{at}");
    }
}
