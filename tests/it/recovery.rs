//! What survives the death of dashcap: with a ring file, every frame that it had.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::{Bundle, Dashcap, Lab, Pace, assert_contiguous, until};

/// Load, and frames that no two are alike.
const LOAD: Pace = Pace { burst: 50, pause: Duration::from_millis(1), len: 200, from: 0 };
/// Room for every frame of a story.
const AMPLE: [&str; 2] = ["--memory", "64MiB"];

/// Where a story keeps its ring file; removed when dropped.
struct Ring(tempfile::TempDir);

impl Ring {
    fn new() -> Self {
        Self(tempfile::tempdir_in("/dev/shm").unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("ring")
    }

    fn options<'a>(&self, text: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["-i", "eth0", "--on", "signal", "--ring-file", text][..], &AMPLE, more].concat()
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn kill(dashcap: &Dashcap) {
    dashcap.signal(Signal::SIGKILL);
    dashcap.wait_until_killed();
}

/// Exit status and words of `dashcap recover FILE`, bundles in the lab's directory.
fn recover(lab: &Lab, file: &str) -> (i32, String) {
    let output = lab.output().to_str().unwrap();
    let words = [env!("CARGO_BIN_EXE_dashcap"), "recover", file, "--output", output];
    let end = Dashcap::start(lab.on_near(&words)).end();
    (end.code(), end.log)
}

fn entries(lab: &Lab) -> Vec<String> {
    let entries = fs::read_dir(lab.output()).unwrap().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// Everything from the first frame on, once, and at least what was counted a second before the death.
fn is_exact(bundle: &Bundle) {
    assert!(bundle.name().ends_with("_recovered"), "{}", bundle.name());
    assert_eq!(bundle.triggers(), ["recovered"]);
    let numbers = bundle.numbers("eth0");
    assert_contiguous(&numbers);
    assert_eq!(numbers.first(), Some(&0));
    let frames = numbers.len() as u64;
    assert_eq!(bundle.packets.len() as u64, frames, "nothing was invented");
    assert!(frames >= bundle.number("/interfaces/0/counts/stored"));
    assert_eq!(bundle.number("/recovered/counts/frames"), frames);
    for zero in ["left_out", "missing", "damaged_pages", "faded", "folded"] {
        assert_eq!(bundle.number(&format!("/recovered/counts/{zero}")), 0, "{zero}");
    }
    assert!(bundle.number("/recovered/counts/torn_records") <= 1);
    assert_eq!(bundle.jq(".window.ending.by"), "the death of the process");
    assert_eq!(bundle.jq("[.interfaces[].classes[].name]|unique|tostring"), "[\"data\"]");
}

/// Lets dashcap die as `die` says, starts it again, and judges what comes of it: frames that were
/// sent a second and more before the death must be there, and hardly any later ones are missing.
fn dies(options: &[&str], die: impl Fn(&Lab, &Dashcap)) {
    let Some(lab) = Lab::new() else { return };
    let ring = Ring::new();
    let path = ring.path();
    let text = path.to_str().unwrap();
    let dashcap = lab.record(&ring.options(text, options));
    let talker = lab.far.talk("far0", LOAD);
    talker.wait_for(20_000);
    die(&lab, &dashcap);
    let sent = talker.stop();

    let again = lab.record(&ring.options(text, &[]));
    again.wait_for("ended without stopping");
    again.wait_for("recovered in");
    again.finish_well();
    assert_eq!(ring.files(), ["ring"], "what is in a bundle needs no memory");
    assert!(entries(&lab).iter().all(|name| !name.contains("partial")), "{:?}", entries(&lab));
    let bundle = lab.bundle();
    is_exact(&bundle);
    let ended = bundle.mono("/recovered/ended/mono_ns");
    let numbers = bundle.numbers("eth0");
    let last = *numbers.last().unwrap();
    let due = sent.iter().filter(|frame| frame.after <= ended.minus(Duration::from_secs(1)));
    let due = due.map(|frame| frame.number).max();
    assert!(due.is_none_or(|due| due <= last), "{due:?} was sent in time, {last} is the last");
}

#[test]
fn killed_before_any_trigger_its_history_becomes_a_bundle() {
    dies(&[], |_, dashcap| kill(dashcap));
}

#[test]
fn killed_while_an_incident_is_open_its_frames_become_a_bundle() {
    dies(&["--pre", "1m", "--post", "10m"], |_, dashcap| {
        dashcap.snapshot();
        kill(dashcap);
    });
}

#[test]
fn killed_while_a_bundle_is_written_nothing_half_written_stays_and_nothing_is_lost() {
    // The slowest compression, so that writing takes long enough to be met.
    dies(&["--pre", "1m", "--post", "0s", "--compression", "22"], |lab, dashcap| {
        dashcap.signal(Signal::SIGUSR1);
        until("a bundle being written", || {
            entries(lab).iter().any(|name| name.ends_with(".partial")).then_some(())
        });
        kill(dashcap);
    });
}

#[test]
fn killed_when_memory_was_full_what_is_left_is_read_in_order_and_once() {
    let Some(lab) = Lab::new() else { return };
    let ring = Ring::new();
    let path = ring.path();
    let text = path.to_str().unwrap();
    let small = ["-i", "eth0", "--on", "signal", "--ring-file", text, "--memory", "8MiB"];
    let dashcap = lab.record(&small);
    let pace = Pace { len: 1_000, burst: 10, ..LOAD };
    let talker = lab.far.talk("far0", pace);
    // Zeros pack to nearly nothing: enough of them that some are forgotten.
    talker.wait_for(30_000);
    kill(&dashcap);
    talker.stop();

    assert_eq!(recover(&lab, text).0, 0);
    let bundle = lab.bundle();
    let numbers = bundle.numbers("eth0");
    assert!(numbers.is_sorted_by(|a, b| a < b), "nothing twice, in order");
    let counts = |name: &str| bundle.number(&format!("/recovered/counts/{name}"));
    assert_eq!(counts("frames"), bundle.packets.len() as u64);
    assert_eq!((counts("missing"), counts("damaged_pages")), (0, 0));
    // A busy machine may have made the kernel drop some, which then are in no segment.
    if bundle.jq(".interfaces[0].counts.kernel_dropped") == "0" {
        let holes = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert!(holes <= 1, "{holes} holes");
    }
    assert!(counts("packed") > 0, "{:#}", bundle.manifest["recovered"]);
}

#[test]
fn a_recording_that_stopped_is_kept_aside_and_can_be_asked_for() {
    let Some(lab) = Lab::new() else { return };
    let ring = Ring::new();
    let path = ring.path();
    let text = path.to_str().unwrap();
    let dashcap = lab.record(&ring.options(text, &[]));
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(100);

    let (code, used) = recover(&lab, text);
    assert!(code == 1 && used.contains("another dashcap uses it"), "{used}");
    let second = lab.dashcap("run", &ring.options(text, &[])).end();
    assert_eq!(second.code(), 1, "{second:?}");
    assert!(second.log.contains("another dashcap uses it"), "{second:?}");

    let sent = talker.stop().len() as u64;
    dashcap.finish_well();
    let again = lab.record(&ring.options(text, &[]));
    again.wait_for("had stopped as it should: it is");
    again.finish_well();
    assert_eq!(ring.files(), ["ring", "ring.old"]);
    assert!(lab.bundles().is_empty());

    let aside = format!("{text}.old");
    assert_eq!(recover(&lab, &aside).0, 0);
    let bundle = lab.bundle();
    assert_eq!(bundle.numbers("eth0"), (0..sent).collect::<Vec<_>>());
    assert_eq!(bundle.jq(".recovered.stopped"), "true");
    assert!(fs::exists(&aside).unwrap(), "it stays");
}

#[test]
fn what_is_no_ring_file_is_refused_and_untouched() {
    let Some(lab) = Lab::new() else { return };
    let ring = Ring::new();
    fs::write(ring.path(), "precious").unwrap();
    let path = ring.path();
    let end = lab.dashcap("run", &ring.options(path.to_str().unwrap(), &[])).end();
    assert_eq!(end.code(), 1, "{end:?}");
    assert!(end.log.contains("it is no ring file"), "{end:?}");
    assert_eq!(fs::read_to_string(path).unwrap(), "precious");
}
