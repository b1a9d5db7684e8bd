//! What becomes of incidents when the disk does what it wants.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::*;
use crate::incident::fixture::{MONO, Story, frame, origin};
use crate::lab::{Tmpfs, is_root};

/// Longest a test waits for something that takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any test: a retry that is not hurried never comes.
const NEVER: Duration = Duration::from_secs(100_000);

fn writer(directory: &Path, retry_pause: Duration) -> Writer {
    let store = Store::open(directory, 0).unwrap();
    let options = Options { retry_pause, ..Options::default() };
    Writer::start(store, Clock::system(), options).unwrap()
}

fn incident() -> Box<Incident> {
    Box::new(Story::new().track("eth0", 1, vec![]).incident())
}

fn bundles(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap().flatten();
    entries.filter(|entry| entry.path().is_dir()).count()
}

fn next(writer: &Writer) -> Outcome {
    writer.outcomes().recv_timeout(PATIENCE).unwrap()
}

/// Makes every attempt fail, whoever runs the test: the directory is a file.
fn block(directory: &Path) {
    fs::remove_dir(directory).unwrap();
    fs::write(directory, b"in the way").unwrap();
}

fn unblock(directory: &Path) {
    fs::remove_file(directory).unwrap();
    fs::create_dir(directory).unwrap();
}

#[test]
fn incidents_are_written_in_the_order_they_come() {
    let parent = tempfile::tempdir().unwrap();
    let writer = writer(parent.path(), NEVER);
    for suffix in ["", "-2", "-3"] {
        writer.submit(incident()).unwrap();
        let Outcome::Written { bundle, .. } = next(&writer) else { panic!("not written") };
        let name = bundle.path.file_name().unwrap().to_str().unwrap();
        assert_eq!(name, format!("2026-11-22T14-14-20.811Z_link-down_dp0bond0{suffix}"));
    }
    assert_eq!(writer.pending(), 0);
    assert!(writer.stop().is_empty());
}

#[test]
fn a_failed_incident_is_tried_again_until_it_succeeds() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("out");
    let writer = writer(&directory, Duration::from_millis(20));
    block(&directory);
    writer.submit(incident()).unwrap();
    for expected in 1..=3 {
        let Outcome::Retrying { attempts, reason, .. } = next(&writer) else { panic!() };
        assert_eq!(attempts, expected);
        assert!(reason.to_string().contains("Not a directory"), "{reason}");
    }
    assert_eq!(writer.pending(), 1);
    unblock(&directory);
    loop {
        match next(&writer) {
            Outcome::Retrying { .. } => {}
            Outcome::Written { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bundles(&directory), 1);
}

#[test]
fn one_success_hurries_those_that_wait() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("out");
    let writer = writer(&directory, NEVER);
    block(&directory);
    writer.submit(incident()).unwrap();
    assert!(matches!(next(&writer), Outcome::Retrying { .. }));
    unblock(&directory);
    writer.submit(incident()).unwrap();
    assert!(matches!(next(&writer), Outcome::Written { .. }));
    assert!(matches!(next(&writer), Outcome::Written { .. }));
    assert_eq!(bundles(&directory), 2);
}

#[test]
fn stop_tries_once_more_and_tells_what_was_lost() {
    for (works_at_last, lost_at_last) in [(true, 0), (false, 2)] {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("out");
        let writer = writer(&directory, NEVER);
        block(&directory);
        for _ in 0..2 {
            writer.submit(incident()).unwrap();
            assert!(matches!(next(&writer), Outcome::Retrying { attempts: 1, .. }));
        }
        if works_at_last {
            unblock(&directory);
        }
        let outcomes = writer.stop();
        let lost = outcomes.iter().filter(|o| matches!(o, Outcome::Lost(l) if l.attempts == 2));
        assert_eq!((outcomes.len(), lost.count()), (2, lost_at_last), "{outcomes:?}");
    }
}

#[test]
fn an_incident_that_failed_can_be_abandoned() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("out");
    let writer = writer(&directory, NEVER);
    assert!(writer.abandon().is_none());
    block(&directory);
    writer.submit(incident()).unwrap();
    assert!(matches!(next(&writer), Outcome::Retrying { .. }));
    let lost = writer.abandon().unwrap();
    assert_eq!((lost.name.as_str(), lost.attempts), (incident().name().as_str(), 1));
    assert_eq!(writer.pending(), 0);
    assert!(writer.abandon().is_none() && writer.stop().is_empty());
}

#[test]
fn a_full_shelf_gives_the_incident_back() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("out");
    let writer = writer(&directory, NEVER);
    block(&directory);
    for _ in 0..SHELF {
        writer.submit(incident()).unwrap();
        assert!(matches!(next(&writer), Outcome::Retrying { .. }));
    }
    assert!(writer.submit(incident()).is_err());
    assert!(writer.abandon().is_some());
    writer.submit(incident()).unwrap();
}

#[test]
fn an_unknown_level_is_refused() {
    let options = Options { level: Level(99), ..Options::default() };
    let refused = options.check().unwrap_err().to_string();
    assert!(refused.contains("--compression \"99\"") && refused.contains("1 (fastest) to 22"));
}

#[test]
fn space_freed_or_a_mount_made_writable_brings_the_bundle() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let tmpfs = Tmpfs::mount(256 * 1024);
    let writer = writer(tmpfs.path(), Duration::from_millis(20));
    let fill = tmpfs.path().join("fill");
    fs::write(&fill, vec![0; 1 << 20]).unwrap_err();
    writer.submit(incident()).unwrap();
    let Outcome::Retrying { reason, .. } = next(&writer) else { panic!("not full") };
    assert!(reason.to_string().contains("No space left on device"), "{reason}");
    tmpfs.remount("ro");
    let told = |outcome: &Outcome| matches!(outcome, Outcome::Retrying { reason, .. } if reason.to_string().contains("Read-only"));
    assert!((0..1_000).any(|_| told(&next(&writer))));
    tmpfs.remount("rw");
    fs::remove_file(&fill).unwrap();
    assert!((0..1_000).any(|_| matches!(next(&writer), Outcome::Written { .. })));
    assert_eq!(bundles(tmpfs.path()), 1, "only the bundle is left");
    writer.stop();
}

#[test]
fn a_disk_that_fills_while_writing_keeps_nothing_half_written() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let tmpfs = Tmpfs::mount(256 * 1024);
    let writer = writer(tmpfs.path(), NEVER);
    let origin = Arc::new(origin("eth0", 1));
    // Bytes that do not compress: SHA-256 of the frame's number, over and over.
    let bytes = |n: u64| -> Vec<u8> {
        (0..32_u64).flat_map(|part| Sha256::digest((n * 32 + part).to_le_bytes())).collect()
    };
    let frames = (0..1_000).map(|n| frame(&origin, Mono(MONO + n), &bytes(n))).collect();
    let large = Story::new().track("eth0", 1, frames).incident();
    writer.submit(Box::new(large)).unwrap();
    let Outcome::Retrying { reason, .. } = next(&writer) else { panic!("it fitted") };
    assert!(reason.to_string().contains("capture.pcapng.zst: No space left"), "{reason}");
    assert_eq!(bundles(tmpfs.path()), 0);
    tmpfs.remount("size=4m");
    writer.submit(incident()).unwrap();
    let frames = [next(&writer), next(&writer)].map(|outcome| match outcome {
        Outcome::Written { bundle, .. } => bundle.frames,
        other => panic!("{other:?}"),
    });
    assert_eq!(frames, [0, 1_000], "the new one was due, its success hurries the other");
}
