use proptest::prelude::*;

use super::super::pool::PoolOptions;
use super::*;
use crate::frame::{FrameHeader, LinkType, StampClock};
use crate::ring::PAGE_SIZE;
use crate::time::Wall;

const MIB: u64 = 1 << 20;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const FOREVER: Window = Window { from: Mono(0), to: Mono(u64::MAX) };

fn pool(mebibytes: u64) -> Pool {
    Pool::new(&PoolOptions { memory: mebibytes * MIB, lock: false }).unwrap()
}

fn lane(pool: &Pool, id: u16) -> Lane {
    let origin = Origin {
        interface: format!("eth{id}"),
        index: u32::from(id),
        link_type: LinkType::ETHERNET,
        snaplen: 65535,
        clock: StampClock::Software,
    };
    Lane::new(LaneId(id), pool.clone(), LaneOptions::default(), Arc::new(origin), Mono(0))
}

/// Appends a frame that carries its number and arrives `mono` nanoseconds after boot.
fn append(lane: &mut Lane, number: u64, mono: u64, length: usize) -> Appended {
    let mut bytes = vec![0xee; length.max(8)];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let header = FrameHeader {
        wall: Wall(mono),
        original_len: u32::try_from(bytes.len()).unwrap(),
        ..FrameHeader::default()
    };
    lane.append(&Frame::whole(header, &bytes), Offset(0))
}

fn numbers(slice: &Slice) -> Vec<u64> {
    let number =
        |frame: crate::frame::StoredFrame| u64::from_le_bytes(frame.bytes[..8].try_into().unwrap());
    slice.frames().map(number).collect()
}

#[test]
fn the_newest_frames_survive_and_the_rest_is_counted() {
    let pool = pool(4);
    let mut lane = lane(&pool, 0);
    let total = 20_000;
    for n in 0..total {
        assert_eq!(append(&mut lane, n, n * MS, 1500), Appended::Stored);
    }
    let slice = lane.slice(FOREVER, None);
    let kept = numbers(&slice);
    let counters = lane.counters();
    assert_eq!(counters.stored, total);
    assert_eq!(counters.evicted + kept.len() as u64, total);
    assert_eq!(kept, (total - kept.len() as u64..total).collect::<Vec<_>>());
    assert!(kept.len() > 2_000, "memory is used: {}", kept.len());
    assert_eq!(slice.covered_from().0, (kept[0] - 1) * MS + 1, "from after the last evicted");
}

#[test]
fn a_window_is_cut_to_the_frame() {
    let pool = pool(4);
    let mut lane = lane(&pool, 0);
    for n in 0..5_000 {
        append(&mut lane, n, n * MS, 100);
    }
    let window = Window { from: Mono(1_234 * MS), to: Mono(4_321 * MS) };
    let slice = lane.slice(window, None);
    assert_eq!(numbers(&slice), (1_234..=4_321).collect::<Vec<_>>());
    assert_eq!(slice.covered_from(), window.from);
}

#[test]
fn pinned_evidence_is_never_overwritten() {
    let pool = pool(4);
    let mut lane = lane(&pool, 0);
    for n in 0..2_000 {
        append(&mut lane, n, n * MS, 1500);
    }
    let slice = lane.slice(FOREVER, None);
    let before = numbers(&slice);
    let mut dropped = 0;
    for n in 2_000..10_000 {
        dropped += u64::from(append(&mut lane, n, n * MS, 1500) == Appended::Dropped);
        lane.tick(Mono(n * MS));
    }
    assert_eq!(numbers(&slice), before);
    assert_eq!(lane.counters().dropped, dropped);
    drop(slice);
    lane.tick(Mono(10_000 * MS));
    assert_eq!(append(&mut lane, 10_000, 10_000 * MS, 1500), Appended::Stored);
}

#[test]
fn a_lane_at_rest_makes_way_for_others_keeps_what_is_held_and_begins_again() {
    let pool = pool(4);
    let (mut gone, mut there) = (lane(&pool, 0), lane(&pool, 1));
    for n in 0..2_000 {
        append(&mut gone, n, n * MS, 1500);
    }
    gone.rest();
    gone.hold(HoldId(0), Mono(1_990 * MS), false);
    for n in 2_000..6_000 {
        assert_eq!(append(&mut there, n, n * MS, 1500), Appended::Stored, "frame {n}");
        gone.tick(Mono(n * MS));
        there.tick(Mono(n * MS));
    }
    // Alone it would have room for seven hundred beside the other's two thousand.
    let found = numbers(&there.slice(FOREVER, None)).len();
    assert!(found > 1_400, "{found}");
    let kept = numbers(&gone.slice(FOREVER, Some(HoldId(0))));
    assert!(kept.len() < 800 && kept.ends_with(&(1_990..2_000).collect::<Vec<_>>()), "{kept:?}");
    assert!(!gone.is_empty());
    for n in 6_000..9_000 {
        append(&mut there, n, n * MS, 1500);
        gone.tick(Mono(n * MS));
    }
    assert!(gone.is_empty(), "it was held no longer");
    let origin = Arc::clone(&gone.origin);
    gone.begin(origin);
    (9_000..9_100).for_each(|n| assert_eq!(append(&mut gone, n, n * MS, 60), Appended::Stored));
    assert_eq!(numbers(&gone.slice(FOREVER, None)), (9_000..9_100).collect::<Vec<_>>());
}

#[test]
fn a_hold_leaves_room_for_what_is_to_come() {
    let pool = pool(8);
    let mut lane = lane(&pool, 0);
    for n in 0..10_000 {
        append(&mut lane, n, n * MS, 1500);
    }
    let held = lane.hold(HoldId(0), Mono(0), false);
    assert!(held > lane.complete_from(), "not all of the memory is held");
    for n in 10_000..11_000 {
        assert_eq!(append(&mut lane, n, n * MS, 1500), Appended::Stored, "frame {n}");
    }
    let mut n = 11_000;
    while append(&mut lane, n, n * MS, 1500) == Appended::Stored {
        n += 1;
    }
    let slice = lane.slice(FOREVER, Some(HoldId(0)));
    assert!(slice.covered_from() <= held);
    let first = slice.covered_from().0.div_ceil(MS);
    assert_eq!(numbers(&slice), (first..n).collect::<Vec<_>>(), "nothing held was evicted");
    drop(slice);
    lane.tick(Mono(n * MS));
    assert_eq!(append(&mut lane, n, n * MS, 1500), Appended::Stored, "released");
}

#[test]
fn a_quiet_lane_keeps_its_history_while_another_is_flooded() {
    let pool = pool(8);
    let (mut quiet, mut loud) = (lane(&pool, 0), lane(&pool, 1));
    quiet.set_quota(4 * MIB);
    loud.set_quota(4 * MIB);
    let mut sent = 0;
    for n in 0..100_000 {
        append(&mut loud, n, n * MS, 1500);
        if n % 100 == 0 {
            append(&mut quiet, sent, n * MS, 500);
            sent += 1;
        }
        quiet.tick(Mono(n * MS));
        loud.tick(Mono(n * MS));
    }
    assert_eq!(numbers(&quiet.slice(FOREVER, None)), (0..sent).collect::<Vec<_>>());
    assert!(loud.used_bytes() > 4 * MIB, "and lends what it does not need");
}

#[test]
fn lent_pages_are_repaid_by_a_lane_that_fell_silent() {
    let pool = pool(8);
    let (mut late, mut early) = (lane(&pool, 0), lane(&pool, 1));
    late.set_quota(pool.quota_bytes() / 2);
    early.set_quota(pool.quota_bytes() / 2);
    for n in 0..20_000 {
        append(&mut early, n, n * MS, 1500);
    }
    assert!(early.used_bytes() > 6 * MIB);
    for n in 0..20_000 {
        append(&mut late, n, (20_000 + n) * MS, 1500);
        early.tick(Mono((20_000 + n) * MS));
    }
    assert!(early.used_bytes() >= 3 * MIB, "{} keeps its quota", early.used_bytes());
    assert!(late.used_bytes() >= 3 * MIB, "{} has got its own", late.used_bytes());
}

#[test]
fn quiet_seconds_cost_bytes_not_pages() {
    let pool = pool(4);
    let mut lane = lane(&pool, 0);
    for n in 0..400 {
        append(&mut lane, n, n * 30 * SECOND, 124);
        lane.tick(Mono((n * 30 + 2) * SECOND));
    }
    assert_eq!(numbers(&lane.slice(FOREVER, None)).len(), 400);
    assert!(lane.used_bytes() <= 3 * PAGE_SIZE as u64, "{}", lane.used_bytes());
}

#[test]
fn a_step_of_the_wall_clock_does_not_move_frames_out_of_the_window() {
    let pool = pool(4);
    let mut lane = lane(&pool, 0);
    let hour = 3_600 * SECOND.cast_signed();
    for (n, offset) in [(1, 0), (2, hour), (3, -1)].map(|(n, o)| (n, Offset(o + hour))) {
        let header = FrameHeader { wall: offset.wall(Mono(n)), ..FrameHeader::default() };
        lane.append(&Frame::whole(header, &n.to_le_bytes()), offset);
    }
    let slice = lane.slice(Window { from: Mono(2), to: Mono(3) }, None);
    assert_eq!(numbers(&slice), [2, 3]);
}

proptest! {
    /// Whatever is appended and sliced in whatever order: a slice has, between `covered_from` and
    /// its end, exactly what was stored, and every frame is stored, evicted or dropped by count.
    #[test]
    fn slices_have_all_that_was_stored(
        steps in prop::collection::vec((0_u64..40, 0_usize..6000, 0_u8..100), 1..3000)
    ) {
        let pool = pool(4);
        let mut lane = lane(&pool, 0);
        let mut stored: Vec<(u64, Mono)> = Vec::new();
        let mut pinned: Vec<(Slice, Vec<u64>)> = Vec::new();
        let (mut now, mut offered) = (0, 0);
        for (pause, length, action) in steps {
            now += pause * MS;
            match action {
                0 => {
                    let window = Window { from: Mono(now / 2), to: Mono(now) };
                    let slice = lane.slice(window, Some(HoldId(0)));
                    let from = slice.covered_from();
                    let expected: Vec<_> =
                        stored.iter().filter(|(_, m)| *m >= from).map(|(n, _)| *n).collect();
                    let found = numbers(&slice);
                    prop_assert!(found.ends_with(&expected), "covered part is complete");
                    pinned.push((slice, found));
                }
                1 => { lane.hold(HoldId(0), Mono(now.saturating_sub(500 * MS)), false); }
                2 => { pinned.pop(); }
                3..10 => lane.tick(Mono(now)),
                _ => {
                    offered += 1;
                    if append(&mut lane, offered, now, length) == Appended::Stored {
                        stored.push((offered, Mono(now)));
                    }
                }
            }
        }
        for (slice, found) in &pinned {
            prop_assert_eq!(&numbers(slice), found, "a pinned slice never changes");
        }
        let counters = lane.counters();
        prop_assert_eq!(counters.stored + counters.dropped, offered);
        let left = numbers(&lane.slice(FOREVER, Some(HoldId(0)))).len() as u64;
        prop_assert_eq!(counters.evicted + left, counters.stored);
        drop((lane, pinned));
        prop_assert_eq!(pool.free_pages(), pool.total_pages(), "every page comes back");
    }
}

/// Reads a lane from a position on, as far as it goes: numbers of its frames, and how many were missed.
fn follow(lane: &mut Lane, position: &mut Position) -> (Vec<u64>, u64) {
    let (mut found, mut lost) = (Vec::new(), 0);
    loop {
        let Followed { frames, position: behind, missed, .. } = lane.follow(*position);
        *position = behind;
        lost += missed;
        let Some(frames) = frames else { return (found, lost) };
        found.extend(frames.map(|frame| u64::from_le_bytes(frame.bytes[..8].try_into().unwrap())));
    }
}

#[test]
fn a_reader_behind_a_packed_segment_gets_what_is_new_in_it() {
    let pool = pool(4);
    let mut lane = lane(&pool, 0);
    let mut packer = crate::ring::Packer::new(pool.clone()).unwrap();
    let (mut position, mut found) = (Position::From(Mono(0)), Vec::new());
    for n in 0..3_000 {
        append(&mut lane, n, n * 10 * MS, 1500);
        if n == 1_500 {
            found.extend(follow(&mut lane, &mut position).0);
        }
    }
    while let Some(job) = lane.next_job(Mono(3_000 * 10 * MS)) {
        let outcome = packer.work(&job);
        lane.take(outcome);
    }
    let (rest, missed) = follow(&mut lane, &mut position);
    found.extend(rest);
    assert_eq!(found.len() as u64 + missed, 3_000);
    assert!(found.is_sorted_by(|a, b| a < b), "none twice");
    assert_eq!(found.last(), Some(&2_999));
}

#[test]
fn a_lane_without_anything_new_leaves_its_reader_where_it_is() {
    let pool = pool(4);
    let mut lane = lane(&pool, 0);
    let mut position = Position::From(Mono(500 * MS));
    assert_eq!(follow(&mut lane, &mut position), (Vec::new(), 0));
    assert_eq!(position, Position::From(Mono(500 * MS)));
    append(&mut lane, 7, 600 * MS, 100);
    assert_eq!(follow(&mut lane, &mut position), (vec![7], 0));
    assert_eq!(follow(&mut lane, &mut position), (Vec::new(), 0));
}

proptest! {
    /// Whenever a reader looks, and however slow it is: every frame comes once, or is counted as missed.
    #[test]
    fn a_reader_gets_every_frame_once_or_its_number(
        steps in prop::collection::vec((1_u64..400, 60_usize..3_000, any::<bool>(), any::<bool>()), 1..40),
    ) {
        let pool = pool(4);
        let mut lane = lane(&pool, 0);
        let mut packer = crate::ring::Packer::new(pool.clone()).unwrap();
        let (mut position, mut found, mut missed) = (Position::From(Mono(0)), Vec::new(), 0);
        let mut number = 0;
        let mut pinned = None;
        for (count, length, reads, packs) in steps {
            for _ in 0..count {
                append(&mut lane, number, number * MS, length);
                number += 1;
            }
            if packs && let Some(job) = lane.next_job(Mono(number * MS)) {
                let outcome = packer.work(&job);
                lane.take(outcome);
            }
            if reads {
                let followed = lane.follow(position);
                (position, missed) = (followed.position, missed + followed.missed);
                let frames = followed.frames.into_iter().flatten();
                found.extend(frames.map(|f| u64::from_le_bytes(f.bytes[..8].try_into().unwrap())));
                // A reader that is stopped in the middle of a segment.
                pinned = lane.follow(position).frames;
            }
        }
        drop(pinned);
        let (rest, late) = follow(&mut lane, &mut position);
        found.extend(rest);
        prop_assert!(found.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(found.len() as u64 + missed + late + lane.counters().dropped, number);
    }
}
