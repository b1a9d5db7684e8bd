//! Reports and limits, from the writer's door to the disk.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::layout::{CAPTURE, REPORT, REPORT_TEXT};
use super::*;
use crate::incident::fixture::{MONO, Story, frame, origin};
use crate::incident::store::{Listing, mark, retention};
use crate::incident::writer::{Options, Outcome, Writer};
use crate::lab::{Tmpfs, is_root};
use crate::time::{Clock, Mono, Stamp, Wall};

/// Longest a test waits for something that takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

fn writer(directory: &Path, report: Option<Reporter>, retention: retention::Options) -> Writer {
    let clock = Clock::system();
    let store = Store::open_within(directory, 0, retention, clock.now()).unwrap();
    // A retry that nothing hurries never comes.
    let retry_pause = Duration::from_secs(100_000);
    let options = Options { report, retention, retry_pause, ..Options::default() };
    Writer::start(store, clock, options).unwrap()
}

fn next(writer: &Writer) -> Outcome {
    writer.outcomes().recv_timeout(PATIENCE).unwrap()
}

fn manifest(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join(MANIFEST)).unwrap()).unwrap()
}

fn listed(folder: &Path) -> Vec<String> {
    let files = manifest(folder)["files"].as_array().unwrap().clone();
    files.iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

/// An incident so many seconds after the story, with so many KiB of frames that do not compress.
fn incident(seconds: u64, kilobytes: u64) -> Box<Incident> {
    let origin = Arc::new(origin("eth0", 1));
    let bytes = |n: u64| -> Vec<u8> {
        let seed = |part: u64| Sha256::digest((seconds << 32 | n << 16 | part).to_le_bytes());
        (0..32).flat_map(seed).collect()
    };
    let frames = (0..kilobytes).map(|n| frame(&origin, Mono(MONO + n), &bytes(n))).collect();
    let mut incident = Story::new().track("eth0", 1, frames).incident();
    incident.opened_by.at.wall = Wall(incident.opened_by.at.wall.0 + seconds * 1_000_000_000);
    Box::new(incident)
}

fn made(subject: &ReportSubject<'_>) -> Result<ReportPages> {
    assert_eq!(subject.folder.extension().unwrap(), "partial");
    assert!(subject.folder.join(CAPTURE).is_file() && (subject.in_time)());
    let told = manifest(subject.folder)["report_missing"].as_str().map(str::to_owned);
    assert_eq!(told.as_deref(), Some(NOT_YET));
    let text = format!("the report of {}", subject.name);
    let html = format!("<p>{text}</p>");
    Ok(ReportPages { html, text, json: "{}".to_owned(), ..ReportPages::default() })
}

fn refused(_: &ReportSubject<'_>) -> Result<ReportPages> {
    Err(Error::operation("report on", "it", "nobody knows how"))
}

fn panics(_: &ReportSubject<'_>) -> Result<ReportPages> {
    panic!("a defect, for this test");
}

/// More than the small disk of these tests holds.
fn huge(_: &ReportSubject<'_>) -> Result<ReportPages> {
    Ok(ReportPages { html: "x".repeat(4 << 20), ..ReportPages::default() })
}

#[test]
fn a_report_is_in_the_bundle_or_the_manifest_tells_why_not() {
    for (reporter, missing) in [
        (Some(made as Reporter), None),
        (None, Some(NO_REPORT)),
        (Some(refused as Reporter), Some("nobody knows how")),
        (Some(panics as Reporter), Some("dashcap panicked")),
    ] {
        let parent = tempfile::tempdir().unwrap();
        let writer = writer(parent.path(), reporter, retention::Options::default());
        writer.submit(incident(0, 1)).unwrap();
        let Outcome::Written { bundle, .. } = next(&writer) else { panic!("not written") };
        let told = manifest(&bundle.path)["report_missing"].as_str().map(str::to_owned);
        match missing {
            None => assert_eq!(told, None),
            Some(reason) => assert!(told.unwrap().contains(reason)),
        }
        let mut found: Vec<_> = fs::read_dir(&bundle.path)
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        found.sort();
        let mut files: Vec<_> =
            listed(&bundle.path).into_iter().filter(|name| !name.contains('/')).collect();
        files.push(MANIFEST.to_owned());
        files.sort();
        assert_eq!(found, files);
        assert_eq!(files.iter().any(|name| name == REPORT), missing.is_none());
        if missing.is_none() {
            let name = bundle.path.file_name().unwrap().to_str().unwrap();
            let text = fs::read_to_string(bundle.path.join(REPORT_TEXT)).unwrap();
            assert_eq!(text, format!("the report of {name}"));
        }
        assert_eq!(Listing::read(parent.path()).unwrap().bundles[0].bytes, bundle.bytes);
        assert_eq!((writer.pending(), writer.stop().len()), (0, 0));
    }
}

#[test]
fn frames_leave_the_memory_before_the_report_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let store = Store::open(parent.path(), 0).unwrap();
    let incident = incident(0, 3);
    let evidence = Evidence::write(&store, &incident, Level::default()).unwrap();
    let mut secured = evidence.secured(incident);
    assert_eq!(secured.incident.tracks[0].classes[0].slice.frames().count(), 0);
    let bundle = secured.finish(Some(made), &|| true, false).unwrap();
    assert_eq!(bundle.frames, 3);
    let covered = &manifest(&bundle.path)["window"]["covered"]["seconds"];
    assert_eq!(covered.as_f64(), Some(30.0), "as before");
}

#[test]
fn evidence_of_all_comes_before_any_report() {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    fn counts(subject: &ReportSubject<'_>) -> Result<ReportPages> {
        let parent = subject.folder.parent().unwrap();
        let entries = fs::read_dir(parent).unwrap().flatten();
        let secured = entries.filter(|entry| entry.path().is_dir()).count();
        SEEN.fetch_max(secured as u32, Ordering::Relaxed);
        Ok(ReportPages::default())
    }
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("out");
    let writer = writer(&directory, Some(counts), retention::Options::default());
    // In the way, so that all of them wait; then they are written one after the other.
    fs::remove_dir(&directory).unwrap();
    for second in 0..3 {
        writer.submit(incident(second, 1)).unwrap();
        assert!(matches!(next(&writer), Outcome::Retrying { .. }));
    }
    fs::create_dir(&directory).unwrap();
    let outcomes = writer.stop();
    let written = |outcome: &&Outcome| matches!(outcome, Outcome::Written { .. });
    assert_eq!(outcomes.iter().filter(written).count(), 3, "{outcomes:?}");
    assert_eq!(SEEN.load(Ordering::Relaxed), 3, "the first report saw all of them on the disk");
}

#[test]
fn old_bundles_go_for_new_ones_but_marked_ones_stay() {
    let parent = tempfile::tempdir().unwrap();
    let limits = retention::Options { count: Some(2), ..retention::Options::default() };
    let writer = writer(parent.path(), None, limits);
    let mut removed = Vec::new();
    for second in 0..5 {
        writer.submit(incident(second, 1)).unwrap();
        let Outcome::Written { bundle, .. } = next(&writer) else { panic!("not written") };
        if second == 1 {
            mark(&bundle.path, true).unwrap();
        }
        if second >= 3 {
            let Outcome::Removed(gone) = next(&writer) else { panic!("none went") };
            assert_eq!(gone.why.to_string(), "keep_count is 2");
            removed.push(gone.name);
        }
    }
    let name = |second| incident(second, 0).name();
    // The very first is the first of its kind: it goes last.
    assert_eq!(removed, [name(2), name(3)]);
    let left = Listing::read(parent.path()).unwrap();
    let left: Vec<_> = left.bundles.into_iter().map(|bundle| (bundle.name, bundle.kept)).collect();
    assert_eq!(left, [(name(0), false), (name(1), true), (name(4), false)]);
    assert!(writer.stop().is_empty());
}

#[test]
fn a_full_disk_costs_old_bundles_only_where_limits_allow_it() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let some = retention::Options { count: Some(100), ..retention::Options::default() };
    for (limits, goes) in [(some, true), (retention::Options::default(), false)] {
        let tmpfs = Tmpfs::mount(1 << 20);
        let writer = writer(tmpfs.path(), None, limits);
        let written = |second| {
            writer.submit(incident(second, 240)).unwrap();
            matches!(next(&writer), Outcome::Written { .. })
        };
        assert!(written(0) && written(1) && written(2));
        mark(&tmpfs.path().join(incident(0, 0).name()), true).unwrap();
        writer.submit(incident(3, 240)).unwrap();
        match next(&writer) {
            Outcome::Removed(removed) => {
                assert!(goes, "{removed:?}");
                assert_eq!(removed.name, incident(1, 0).name(), "the oldest that is not marked");
                assert!(matches!(next(&writer), Outcome::Written { .. }));
            }
            Outcome::Retrying { reason, .. } => {
                assert!(!goes && reason.is_disk_full(), "{reason}");
                assert_eq!(writer.pending(), 1, "it waits in memory");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(Listing::read(tmpfs.path()).unwrap().bundles.len(), 3);
    }
}

#[test]
fn a_report_that_does_not_fit_costs_no_evidence() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let tmpfs = Tmpfs::mount(1 << 20);
    let writer = writer(tmpfs.path(), Some(huge), retention::Options::default());
    writer.submit(incident(0, 240)).unwrap();
    let Outcome::Written { bundle, .. } = next(&writer) else { panic!("not written") };
    let missing = manifest(&bundle.path)["report_missing"].as_str().map(str::to_owned).unwrap();
    assert!(missing.contains("No space left"), "{missing}");
    assert!(!bundle.path.join(REPORT).exists() && bundle.path.join(CAPTURE).is_file());
    assert_eq!(bundle.frames, 240);
}

#[test]
fn a_disk_that_is_full_at_the_start_is_cleared_as_limits_allow() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let tmpfs = Tmpfs::mount(1 << 20);
    let none = retention::Options::default();
    drop({
        let writer = writer(tmpfs.path(), None, none);
        for second in 0..3 {
            writer.submit(incident(second, 240)).unwrap();
            assert!(matches!(next(&writer), Outcome::Written { .. }));
        }
        writer.stop()
    });
    fs::write(tmpfs.path().join("fill"), vec![0; 1 << 20]).unwrap_err();
    let full = Store::open(tmpfs.path(), 0).unwrap_err();
    assert!(full.is_disk_full(), "{full}");
    let some = retention::Options { count: Some(100), ..none };
    let mut store = Store::open_within(tmpfs.path(), 0, some, Stamp::default()).unwrap();
    let removed = store.take_removed();
    assert_eq!(removed.len(), 1);
    assert_eq!(
        (&removed[0].name, removed[0].why),
        (&incident(1, 0).name(), retention::RemovalReason::Full)
    );
    assert!(store.take_removed().is_empty());
}

/// F1 of the faults: somebody else's file filled the disk, and one trigger removed every bundle for a new one
/// that did not fit either, and was lost.
#[test]
fn a_disk_that_others_fill_costs_no_bundle() {
    if !is_root("mounting a tmpfs") {
        return;
    }
    let tmpfs = Tmpfs::mount(4 << 20);
    let some = retention::Options { count: Some(100), ..retention::Options::default() };
    let writer = writer(tmpfs.path(), None, some);
    for second in 0..4 {
        writer.submit(incident(second, 64)).unwrap();
        assert!(matches!(next(&writer), Outcome::Written { .. }));
    }
    fs::write(tmpfs.path().join("fill"), vec![0; 3 << 20]).unwrap();
    writer.submit(incident(9, 2_000)).unwrap();
    let Outcome::Retrying { reason, .. } = next(&writer) else { panic!("not refused") };
    assert!(reason.is_disk_full(), "{reason}");
    assert_eq!(Listing::read(tmpfs.path()).unwrap().bundles.len(), 4);
    // With room it comes, without costing any.
    fs::remove_file(tmpfs.path().join("fill")).unwrap();
    let outcomes = writer.stop();
    assert!(matches!(outcomes[..], [Outcome::Written { .. }]), "{outcomes:?}");
    assert_eq!(Listing::read(tmpfs.path()).unwrap().bundles.len(), 5);
}

/// Puts something in the way of the bundle's name, or of its new manifest.
fn blocks_name(subject: &ReportSubject<'_>) -> Result<ReportPages> {
    fs::create_dir_all(subject.folder.with_file_name(subject.name).join("x")).unwrap();
    Ok(ReportPages::default())
}

fn blocks_manifest(subject: &ReportSubject<'_>) -> Result<ReportPages> {
    fs::remove_file(subject.folder.join(MANIFEST)).unwrap();
    fs::create_dir(subject.folder.join(MANIFEST)).unwrap();
    Ok(ReportPages::default())
}

/// F4 of the faults: after one failed rename the incident was lost, and with a failed one of the manifest the
/// bundle appeared with a file that it does not list.
#[test]
fn a_failed_rename_is_tried_again() {
    let name = incident(0, 0).name();
    for (reporter, in_the_way) in [
        (blocks_name as Reporter, name.clone()),
        (blocks_manifest as Reporter, format!("{name}.partial/{MANIFEST}")),
    ] {
        let parent = tempfile::tempdir().unwrap();
        let store = Store::open(parent.path(), 0).unwrap();
        let retry_pause = Duration::from_millis(20);
        let options = Options { report: Some(reporter), retry_pause, ..Options::default() };
        let writer = Writer::start(store, Clock::system(), options).unwrap();
        writer.submit(incident(0, 1)).unwrap();
        for _ in 0..2 {
            let Outcome::Retrying { reason, .. } = next(&writer) else { panic!("not refused") };
            assert!(reason.to_string().contains("dashcap tries again"), "{reason}");
        }
        assert_eq!(writer.pending(), 1);
        fs::remove_dir_all(parent.path().join(in_the_way)).unwrap();
        let bundle = loop {
            match next(&writer) {
                Outcome::Retrying { .. } => {}
                Outcome::Written { bundle, .. } => break bundle,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(bundle.path, parent.path().join(&name));
        assert!(listed(&bundle.path).iter().any(|file| file == REPORT));
        assert!(!bundle.path.join("manifest.json.new").exists());
        assert_eq!((writer.pending(), writer.stop().len()), (0, 0));
    }
}

/// F5 of the faults: a jump of a hundred days for a second emptied the store.
#[test]
fn a_jump_of_the_clock_makes_no_bundle_old() {
    const DAY: u64 = 86_400_000_000_000;
    let parent = tempfile::tempdir().unwrap();
    let limits =
        retention::Options { age: Some(Duration::from_nanos(90 * DAY)), ..Default::default() };
    let begun = incident(0, 0).opened_by.at;
    let mut store = Store::open_within(parent.path(), 0, limits, begun).unwrap();
    for second in 0..3 {
        bundle::write(&store, &incident(second, 1), Level::default()).unwrap();
    }
    let after = |days: u64, stepped: u64| Stamp {
        mono: Mono(begun.mono.0 + days * DAY),
        wall: Wall(begun.wall.0 + (days + stepped) * DAY),
    };
    for (when, synchronised, why) in [
        (after(1, 0), true, "a day old"),
        (after(1, 100), true, "ahead"),
        (after(1, 0), true, "and back"),
        (after(91, 0), false, "nobody keeps it right"),
    ] {
        assert!(store.sweep(when, synchronised).is_empty(), "{why}");
    }
    assert_eq!(store.sweep(after(91, 0), true).len(), 3, "they are old");
}
