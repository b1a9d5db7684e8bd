//! Evidence is on the disk from the trigger on: an incident may be longer than memory, and outlives dashcap.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::{Bundle, Dashcap, Lab, Pace, SmallDisk, assert_contiguous, bundles_in, until};

/// Three megabytes a second of frames that nobody packs.
const LOAD: Pace = Pace { burst: 3, pause: Duration::from_millis(1), len: 1_000, from: 0 };
/// Memory holds frames as they came.
fn record(lab: &Lab, more: &[&str]) -> Dashcap {
    let plain = ["-i", "eth0", "--pack", "off", "--fade", "off", "--on", "signal", "--pre", "10s"];
    lab.record(&[&plain, more].concat())
}

fn spools(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).unwrap().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "spool")).collect()
}

/// Sends so many frames and a few more, numbered from there on, and tells the next number.
fn send(lab: &Lab, far: &str, from: u64, count: u64) -> u64 {
    let talker = lab.far.talk(far, Pace { from, ..LOAD });
    talker.wait_for(count);
    from + talker.stop().len() as u64
}

/// Waits until the spool in `place` has the frame with this number, the last one that was sent so far: all before it
/// are there, too.
fn wait_for_frame(place: &Path, number: u64) {
    /// More than a talker's last segments and those of others have.
    const END: usize = 3 << 20;
    let frame = [&0x88b5_u16.to_be_bytes()[..], &number.to_be_bytes()].concat();
    until("the frame in a spool", || {
        let bytes = fs::read(spools(place).first()?).unwrap_or_default();
        let end = &bytes[bytes.len().saturating_sub(END)..];
        end.windows(frame.len()).any(|window| window == frame).then_some(())
    });
}

#[test]
fn an_incident_longer_than_memory_has_every_frame_in_order() {
    const ROUNDS: usize = 4;
    let Some(lab) = Lab::new() else { return };
    lab.cable("eth1", "far1");
    let small = ["-i", "eth1", "--memory", "8MiB", "--post", "10m", "--limit", "10m"];
    let dashcap = record(&lab, &small);
    dashcap.snapshot();
    // Two megabytes of each and in turn: less than memory has room for, and in the end more.
    let mut next = [("far0", 0_u64), ("far1", 1_000_000)];
    for number in (0..ROUNDS).flat_map(|_| [0, 1]) {
        let (far, from) = &mut next[number];
        *from = send(&lab, far, *from, 2_000);
        wait_for_frame(lab.output(), *from - 1);
    }
    // The end cuts it short.
    let end = dashcap.finish_well();
    let bundle = lab.bundle();
    let mut evicted = 0;
    for (number, interface) in ["eth0", "eth1"].iter().enumerate() {
        let numbers = bundle.numbers(interface);
        assert_contiguous(&numbers);
        let (first, last) = (number as u64 * 1_000_000, next[number].1 - 1);
        assert_eq!((numbers.first(), numbers.last()), (Some(&first), Some(&last)));
        let count = |name: &str| bundle.number(&format!("/interfaces/{number}/counts/{name}"));
        assert_eq!((count("lane_dropped"), count("faded")), (0, 0));
        evicted += count("evicted");
        let (received, accounted) = end.received(interface);
        assert_eq!(received, accounted);
    }
    assert!(evicted > 0, "memory was used again");
    let missing = bundle.jq("[.missing[].reason]|unique|tostring");
    assert!(!missing.contains("memory"), "{missing}");
    assert_eq!(spools(lab.output()).len(), 0, "its frames are in the bundle");
}

/// Kills dashcap in the post-trigger window, starts it again, and hands out the bundle that comes of it.
fn killed(lab: &Lab, options: &[&str]) -> Bundle {
    let options = [&["--memory", "4MiB", "--post", "10m"][..], options].concat();
    let dashcap = record(lab, &options);
    let mut next = send(lab, "far0", 0, 200);
    dashcap.snapshot();
    // Less than memory has room for, three times.
    for _ in 0..3 {
        next = send(lab, "far0", next, 2_000);
        wait_for_frame(lab.output(), next - 1);
    }
    let last = next - 1;
    dashcap.signal(Signal::SIGKILL);
    dashcap.wait_until_killed();

    let again = record(lab, &options);
    again.wait_for("bundle /");
    again.finish_well();
    assert_eq!(spools(lab.output()).len(), 0, "what is in a bundle needs no room");
    let bundle = lab.bundle();
    let numbers = bundle.numbers("eth0");
    assert_contiguous(&numbers);
    assert_eq!((numbers.first(), numbers.last()), (Some(&0), Some(&last)));
    assert_eq!(bundle.number("/recovered/counts/frames"), numbers.len() as u64);
    assert_eq!(bundle.number("/recovered/counts/missing"), 0);
    bundle
}

#[test]
fn killed_in_the_post_window_what_was_written_is_a_bundle_of_the_incident() {
    let Some(lab) = Lab::new() else { return };
    let bundle = killed(&lab, &[]);
    assert!(bundle.name().ends_with("_signal"), "{}", bundle.name());
    assert_eq!(bundle.triggers(), ["signal", "recovered"]);
    assert!(bundle.length_before() <= Duration::from_secs(10));
    let file = bundle.jq(".recovered.file");
    assert!(file.ends_with("_signal.spool"), "{file}");
    assert_eq!(bundle.jq(".window.ending.by"), "the end of the process");
}

#[test]
fn killed_with_a_ring_file_both_are_one_bundle() {
    let Some(lab) = Lab::new() else { return };
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let ring = memory.path().join("ring");
    let bundle = killed(&lab, &["--ring-file", ring.to_str().unwrap()]);
    assert!(bundle.name().ends_with("_recovered"), "{}", bundle.name());
    assert_eq!(bundle.jq(".window.ending.by"), "the death of the process");
}

/// The only bundle on `disk`, which has all of what was sent up to `last`; no spool is left beside it.
fn whole_bundle_on(disk: &SmallDisk, last: u64) -> Bundle {
    let bundles = bundles_in(disk.path());
    assert_eq!((bundles.len(), spools(disk.path()).len()), (1, 0), "{bundles:?}");
    let bundle = Bundle::open(bundles[0].clone());
    let numbers = bundle.numbers("eth0");
    assert_contiguous(&numbers);
    assert_eq!((numbers.first(), numbers.last()), (Some(&0), Some(&last)));
    bundle
}

#[test]
fn a_disk_that_is_full_in_the_middle_loses_nothing_that_memory_has_room_for() {
    let Some(lab) = Lab::new() else { return };
    let disk = SmallDisk::mount(64 << 20);
    let options = ["--memory", "64MiB", "--post", "10m", "--output", disk.text()];
    let dashcap = record(&lab, &options);
    let talker = lab.far.talk("far0", LOAD);
    talker.wait_for(1_000);
    dashcap.snapshot();
    until("a spool", || spools(disk.path()).pop());
    disk.fill();
    dashcap.wait_for("frames of the open incident stay in memory");
    talker.wait_for_more(1_000);
    disk.make_room();
    talker.wait_for_more(1_000);
    let last = talker.stop().len() as u64 - 1;
    wait_for_frame(disk.path(), last);
    let end = dashcap.finish_well();
    let (received, accounted) = end.received("eth0");
    assert_eq!(received, accounted);
    let bundle = whole_bundle_on(&disk, last);
    assert_eq!(bundle.number("/interfaces/0/counts/lane_dropped"), 0);
}

#[test]
fn an_incident_that_cannot_be_written_at_the_end_is_written_by_the_next_start() {
    let Some(lab) = Lab::new() else { return };
    let disk = SmallDisk::mount(64 << 20);
    let options = ["--memory", "64MiB", "--post", "10m", "--output", disk.text()];
    let dashcap = record(&lab, &options);
    let talker = lab.far.talk("far0", LOAD);
    talker.wait_for(1_000);
    dashcap.snapshot();
    let last = talker.stop().len() as u64 - 1;
    wait_for_frame(disk.path(), last);
    disk.fill();
    let end = dashcap.finish();
    assert_eq!(end.code(), 1, "{end:?}");
    assert!(end.log.contains("the next start makes a bundle of it"), "{end:?}");
    disk.make_room();
    let again = record(&lab, &options);
    again.wait_for("bundle /");
    again.finish_well();
    whole_bundle_on(&disk, last);
}
