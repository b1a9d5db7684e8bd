//! A ring file that somebody changed: a real one with bytes put elsewhere, or what is no ring file at all.
#![no_main]

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use dashcap::frame::{Frame, FrameHeader, LinkType, Origin, StampClock};
use dashcap::ring::metadata::RecordingMetadata;
use dashcap::ring::{
    Lane, LaneId, LaneOptions, LeftRing, Pool, PoolOptions, RingFile, WantedFrames, Whose,
};
use dashcap::time::{Mono, Offset, Wall};
use libfuzzer_sys::fuzz_target;

/// Memory of the ring: few pages, so that most bytes mean something.
const MEMORY: u64 = 4 << 20;
/// Frames in it: several segments, some of them sealed.
const FRAMES: u64 = 600;
const MILLISECOND: u64 = 1_000_000;
/// A change: where, in four bytes, and which byte.
const CHANGE: usize = 5;

thread_local! {
    static RING: RefCell<Option<(PathBuf, Vec<u8>)>> = const { RefCell::new(None) };
}

/// The bytes of a ring file as a dead recording leaves it.
fn ring(path: &PathBuf) -> Vec<u8> {
    let origin = Arc::new(Origin {
        interface: "eth0".into(),
        index: 3,
        link_type: LinkType::ETHERNET,
        snaplen: 65_535,
        clock: StampClock::Software,
    });
    let _ = std::fs::remove_file(path);
    let file = RingFile::create(path, RecordingMetadata::unknown()).expect("a ring file");
    let pool = Pool::in_file(&PoolOptions { memory: MEMORY, lock: false }, &file).expect("memory");
    let mut lane = Lane::new(LaneId(1), pool, LaneOptions::default(), origin, Mono(0));
    for number in 0..FRAMES {
        let bytes = [&number.to_le_bytes()[..], &[number as u8; 200]].concat();
        let wall = Wall(number * MILLISECOND);
        let header =
            FrameHeader { wall, original_len: bytes.len() as u32, ..FrameHeader::default() };
        lane.append(&Frame::whole(header, &bytes), Offset(0));
    }
    let bytes = std::fs::read(path).expect("it is there");
    drop(lane);
    bytes
}

fuzz_target!(|input: &[u8]| {
    RING.with_borrow_mut(|ring_there| {
        let (path, whole) = ring_there.get_or_insert_with(|| {
            let path = PathBuf::from(format!("/dev/shm/dashcap-fuzz-{}", std::process::id()));
            let bytes = ring(&path);
            (path, bytes)
        });
        let bytes = match input.split_first() {
            Some((0, rest)) => rest.to_vec(),
            Some((_, changes)) => {
                let mut bytes = whole.clone();
                for change in changes.chunks_exact(CHANGE) {
                    let at =
                        u32::from_le_bytes([change[0], change[1], change[2], change[3]]) as usize;
                    let length = bytes.len();
                    bytes[at % length] = change[4];
                }
                bytes
            }
            None => return,
        };
        std::fs::write(&*path, bytes).expect("it can be written");
        let Ok(Some(left)) = LeftRing::open(path, Whose::Anybodys) else { return };
        let Ok(recovery) = left.recover(WantedFrames::ALL) else { return };
        for lane in &recovery.lanes {
            for frame in lane.slice.frames() {
                assert!(frame.bytes.len() <= frame.header.original_len as usize);
            }
        }
    });
});
