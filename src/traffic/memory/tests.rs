//! Seconds and weeks in microseconds: interfaces that come, go and are renamed, gaps, clock steps, restarts.

use super::*;
use crate::time::Wall;
use crate::traffic::shape::Options;
use crate::wire::ServiceName;

const S: u64 = 1_000_000_000;
const WALL: u64 = 1_795_356_860 * S;

fn at(second: u64) -> Stamp {
    Stamp { mono: Mono(second * S), wall: Wall(WALL + second * S) }
}

/// An interface with one class that had so many frames of a hundred bytes by then.
fn eth(name: &str, index: u32, second: u64, frames: u64) -> InterfaceTotals {
    let service = ServiceName::from_bytes([6, 80, 0]);
    let class = ClassTotals {
        class: "data".into(),
        frames,
        bytes: frames * 100,
        kernel_dropped: Some(frames / 10),
        services: vec![(1, service, frames * 90)],
        ..ClassTotals::default()
    };
    let since = (at(0), 0);
    let (interface, at) = (name.to_owned(), at(second));
    InterfaceTotals { interface, index, at, since, is_there: true, classes: vec![class] }
}

fn gone(of: InterfaceTotals) -> InterfaceTotals {
    InterfaceTotals { is_there: false, ..of }
}

fn memory(interfaces: usize) -> TrafficMemory {
    let shape = Shape::within(Options::default(), interfaces, 1).unwrap();
    TrafficMemory::new(LongMemory::new(shape))
}

/// Interface, second, span and frames of every row.
fn rows(memory: &TrafficMemory, grain: Grain) -> Vec<(String, u64, u64, u64)> {
    let mut found = Vec::new();
    let told = memory.rows(grain, Mono(u64::MAX), |interface, _, at, row| {
        let second = (at.wall.0 - WALL) / S;
        found.push((interface.to_owned(), second, row.span.as_secs(), row.frames));
        Ok::<_, ()>(())
    });
    told.unwrap();
    found
}

fn row(name: &str, second: u64, span: u64, frames: u64) -> (String, u64, u64, u64) {
    (name.to_owned(), second, span, frames)
}

#[test]
fn a_row_a_second_and_one_a_minute() {
    let memory = memory(1);
    for second in 0..=120 {
        memory.take(at(second), &[eth("eth0", 2, second, second * 7)]);
    }
    let seconds = rows(&memory, Grain::Second);
    assert_eq!((seconds.len(), &seconds[0]), (120, &row("eth0", 1, 1, 7)));
    let minutes = rows(&memory, Grain::Minute);
    assert_eq!(minutes, [row("eth0", 60, 60, 420), row("eth0", 120, 60, 420)]);
    let until = memory.rows(Grain::Second, Mono(10 * S), |_, _, _, row| {
        assert_eq!((row.bytes, row.kernel_dropped.is_some()), (700, true));
        assert_eq!(row.services[0].1, 630);
        Err(())
    });
    assert_eq!(until, Err(()), "rows of then are there");
}

#[test]
fn a_week_takes_no_more_memory_than_the_first_second() {
    let memory = memory(1);
    for minute in 0..8 * 24 * 60 {
        memory.take(at(minute * 60), &[eth("eth0", 2, minute * 60, minute)]);
    }
    assert_eq!(rows(&memory, Grain::Minute).len(), 7 * 24 * 60);
    for second in 0..4_000 {
        memory.take(at(1_000_000 + second), &[eth("eth0", 2, 1_000_000 + second, 12_000 + second)]);
    }
    let seconds = rows(&memory, Grain::Second);
    assert_eq!(seconds.len(), 3_600);
    assert_eq!(seconds.last(), Some(&row("eth0", 1_003_999, 1, 1)));
}

#[test]
fn a_gap_is_no_row_and_never_a_zero() {
    let memory = memory(1);
    for (second, frames) in [(0, 10), (1, 20)] {
        memory.take(at(second), &[eth("eth0", 2, second, frames)]);
    }
    for second in 2..9 {
        memory.take(at(second), &[gone(eth("eth0", 2, second, 20))]);
    }
    // Created again: another index, the same name, and the same counts go on.
    for (second, frames) in [(9, 25), (10, 25), (11, 31)] {
        memory.take(at(second), &[eth("eth0", 7, second, frames)]);
    }
    let expected = [row("eth0", 1, 1, 10), row("eth0", 10, 1, 0), row("eth0", 11, 1, 6)];
    assert_eq!(rows(&memory, Grain::Second), expected, "a second without a frame is a zero");
}

#[test]
fn a_capture_that_does_not_answer_in_time_has_the_time_in_its_next_row() {
    let memory = memory(1);
    memory.take(at(0), &[eth("eth0", 2, 0, 10)]);
    memory.take(at(1), &[]);
    memory.take(at(2), &[eth("eth0", 2, 2, 30)]);
    assert_eq!(rows(&memory, Grain::Second), [row("eth0", 2, 2, 20)]);
    memory.take(at(8), &[]);
    memory.take(at(9), &[eth("eth0", 2, 9, 40)]);
    assert_eq!(rows(&memory, Grain::Second).len(), 1, "after five seconds it is a gap");
}

#[test]
fn a_renamed_interface_keeps_its_rows_and_another_by_its_old_name_has_none_of_them() {
    let memory = memory(2);
    memory.take(at(0), &[eth("eth0", 2, 0, 10)]);
    memory.take(at(1), &[eth("eth0", 2, 1, 20)]);
    // Its tap is another now, and counts from zero.
    for (second, wan, eth0) in [(2, 3, 0), (3, 5, 9)] {
        let both = [eth("eth0", 3, second, eth0), eth("wan", 2, second, wan)];
        memory.take(at(second), &both);
    }
    let mut found = rows(&memory, Grain::Second);
    found.sort();
    assert_eq!(found, [row("eth0", 3, 1, 9), row("wan", 1, 1, 10), row("wan", 3, 1, 2)]);
}

#[test]
fn counting_that_begins_anew_is_a_gap_even_if_it_has_more_by_now() {
    let memory = memory(1);
    memory.take(at(0), &[eth("eth0", 2, 0, 10)]);
    let panicked = InterfaceTotals { since: (at(0), 1), ..eth("eth0", 2, 1, 50) };
    memory.take(at(1), &[panicked]);
    assert_eq!(rows(&memory, Grain::Second), []);
}

#[test]
fn a_step_of_the_wall_clock_changes_dates_and_no_row() {
    let memory = memory(1);
    let stepped = |second: u64, wall: u64| Stamp { wall: Wall(WALL + wall * S), ..at(second) };
    for (second, wall) in [(0, 100), (1, 101), (2, 40), (3, 41)] {
        memory.take(stepped(second, wall), &[eth("eth0", 2, second, second * 5)]);
    }
    let expected = [row("eth0", 101, 1, 5), row("eth0", 40, 1, 5), row("eth0", 41, 1, 5)];
    assert_eq!(rows(&memory, Grain::Second), expected);
}

#[test]
fn who_is_gone_the_longest_makes_room_and_who_finds_none_is_told() {
    let shape = Shape { columns: 2, seconds: 100, minutes: 60 };
    let memory = TrafficMemory::new(LongMemory::new(shape));
    for second in 0..2 {
        let both = [eth("a", 1, second, second), eth("b", 2, second, second)];
        memory.take(at(second), &both);
    }
    let three = [eth("b", 2, 2, 2), eth("c", 3, 2, 0), gone(eth("a", 1, 2, 1))];
    let told = memory.take(at(2), &three).expect("c finds no room while a may come back");
    assert!(told.contains("--traffic-memory"), "{told}");
    for second in 3..5 {
        let two = [eth("b", 2, second, 5), eth("c", 3, second, second)];
        assert_eq!(memory.take(at(second), &two), None);
    }
    let found = rows(&memory, Grain::Second);
    assert!(found.contains(&row("c", 4, 1, 1)), "{found:?}");
    assert!(found.iter().all(|(name, ..)| name != "a"), "its rows are not somebody else's");
    assert!(found.contains(&row("b", 1, 1, 1)), "{found:?}");
}

#[test]
fn it_survives_a_restart_and_the_time_in_between_is_a_gap() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("ring.traffic");
    let begin = |interfaces, boot: &str| {
        let left = std::fs::File::open(&path).ok().and_then(|file| Left::read(file).unwrap());
        let shape = Shape::within(Options::default(), interfaces, 1).unwrap();
        let mut memory = LongMemory::new(shape);
        if let Some(left) = left {
            let is_same_boot = left.boot == boot;
            memory.inherit(left, is_same_boot);
        }
        memory.keep_in(TrafficFile::create(&path, shape, boot).unwrap());
        TrafficMemory::new(memory)
    };
    let memory = begin(1, "a");
    for second in 0..=60 {
        memory.take(at(second), &[eth("eth0", 2, second, second)]);
    }
    drop(memory);
    // Renamed in the meantime, and there is room for more: it is the same by its index.
    let memory = begin(3, "a");
    for second in 100..102 {
        memory.take(at(second), &[eth("lan", 2, second, second - 90)]);
    }
    let found = rows(&memory, Grain::Second);
    assert_eq!(found.len(), 61);
    assert_eq!(found[59..], [row("lan", 60, 1, 1), row("lan", 101, 1, 1)]);
    assert_eq!(rows(&memory, Grain::Minute), [row("lan", 60, 60, 60)]);
    drop(memory);
    // After a boot an index is another's: only the name counts.
    let memory = begin(2, "b");
    memory.take(at(3), &[eth("eth5", 2, 3, 1), eth("lan", 9, 3, 1)]);
    memory.take(at(4), &[eth("eth5", 2, 4, 2), eth("lan", 9, 4, 4)]);
    let found = rows(&memory, Grain::Second);
    assert_eq!(found.iter().filter(|(name, ..)| name == "lan").count(), 62);
    assert_eq!(found.iter().filter(|(name, ..)| name == "eth5").count(), 1);
}

#[test]
fn of_a_file_that_was_being_written_only_the_last_row_is_lost() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("ring.traffic");
    let shape = Shape { columns: 1, seconds: 100, minutes: 60 };
    let mut memory = LongMemory::new(shape);
    memory.keep_in(TrafficFile::create(&path, shape, "a").unwrap());
    for second in 0..5 {
        memory.take(at(second), &[eth("eth0", 2, second, second)]);
    }
    drop(memory);
    let mut bytes = std::fs::read(&path).unwrap();
    let newest = bytes.windows(8).rposition(|bytes| bytes == (4 * S).to_le_bytes()).unwrap();
    bytes[newest] ^= 1;
    let mut memory = LongMemory::new(shape);
    memory.inherit(Left::read(&*bytes).unwrap().expect("it is understood"), true);
    assert_eq!(rows(&TrafficMemory::new(memory), Grain::Second).len(), 3);
}
