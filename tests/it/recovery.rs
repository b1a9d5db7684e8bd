//! What survives the death of dashcap: with a ring file, every frame that it had.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::{Bundle, Dashcap, Lab, Pace, assert_contiguous, bundles_in, output, until};

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
    recover_to(lab, file, lab.output())
}

fn recover_to(lab: &Lab, file: &str, output: &Path) -> (i32, String) {
    let output = output.to_str().unwrap();
    let words = [env!("CARGO_BIN_EXE_dashcap"), "recover", file, "--output", output];
    let end = Dashcap::start(lab.on_near(&words)).end();
    (end.code(), end.log)
}

fn entries(lab: &Lab) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    bundles_in(lab.output()).iter().map(name).collect()
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
    assert_eq!(ring.files(), ["ring", "ring.traffic"], "what is in a bundle needs no memory");
    assert!(entries(&lab).iter().all(|name| !name.contains("partial")), "{:?}", entries(&lab));
    let bundle = lab.bundle();
    is_exact(&bundle);
    assert!(bundle.path().join("traffic.csv").is_file(), "what passed before is there, too");
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
    let second = lab.record(&ring.options(text, &[]));
    second.wait_for("another dashcap uses it");
    second.finish_well();

    let sent = talker.stop().len() as u64;
    dashcap.finish_well();
    let again = lab.record(&ring.options(text, &[]));
    again.wait_for("had stopped as it should: it is");
    again.finish_well();
    assert_eq!(ring.files(), ["ring", "ring.old", "ring.traffic"]);
    assert!(lab.bundles().is_empty());

    let aside = format!("{text}.old");
    assert_eq!(recover(&lab, &aside).0, 0);
    let bundle = lab.bundle();
    assert_eq!(bundle.numbers("eth0"), (0..sent).collect::<Vec<_>>());
    assert_eq!(bundle.jq(".recovered.stopped"), "true");
    assert!(fs::exists(&aside).unwrap(), "it stays");
}

#[test]
fn h2_a_name_never_ends_a_recording_and_what_is_not_ours_is_untouched() {
    let Some(lab) = Lab::new() else { return };
    let ring = Ring::new();
    let path = ring.path();
    let text = path.to_str().unwrap();
    let precious = ring.0.path().join("precious");
    let squat: [(&dyn Fn(), &str); 5] = [
        (&|| fs::write(&path, "precious").unwrap(), "others may use it"),
        (
            &|| fs::write(&path, "precious").and_then(|()| private(&path)).unwrap(),
            "it is no ring file",
        ),
        (&|| symlink(&precious, &path).unwrap(), "symbolic links"),
        (&|| fs::create_dir(&path).unwrap(), "it is no regular file"),
        (&|| drop(output("mkfifo", &[text])), "it is no regular file"),
    ];
    for (squat, why) in squat {
        squat();
        let found = fs::symlink_metadata(&path).unwrap();
        let dashcap = lab.record(&ring.options(text, &[]));
        dashcap.wait_for(why);
        dashcap.wait_for("recording without ring file");
        dashcap.finish_well();
        assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), found.ino(), "{why}");
        assert!(!precious.exists(), "a link leads anywhere");
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
    }
    assert!(lab.bundles().is_empty(), "nothing was forged");
}

fn private(path: &Path) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

#[test]
fn f3_a_ring_file_cut_in_half_is_recovered_and_said_to_be_damaged() {
    let Some(lab) = Lab::new() else { return };
    let ring = Ring::new();
    let path = ring.path();
    let text = path.to_str().unwrap();
    let dashcap = lab.record(&ring.options(text, &[]));
    let talker = lab.far.talk("far0", LOAD);
    talker.wait_for(5_000);
    kill(&dashcap);
    talker.stop();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let (code, told) = recover(&lab, text);
    assert_eq!(code, 1, "{told}");
    let bundle = lab.bundle();
    assert!(bundle.number("/recovered/counts/absent_pages") > 0, "{told}");
}

/// Security review M1: root's command wrote through a link to any file of root.
#[test]
fn m1_recover_as_root_in_a_directory_of_another_user_writes_through_no_link() {
    const STRANGER: u32 = 65_534;
    let Some(lab) = Lab::new() else { return };
    let ring = Ring::new();
    let path = ring.path();
    let text = path.to_str().unwrap();
    let dashcap = lab.record(&ring.options(text, &[]));
    let talker = lab.far.talk("far0", LOAD);
    talker.wait_for(500);
    kill(&dashcap);
    talker.stop();
    assert_eq!(recover(&lab, text).0, 0);
    let name = lab.bundle().name();

    let place = tempfile::tempdir().unwrap();
    let (store, mine) = (place.path().join("store"), place.path().join("mine"));
    let victim = mine.join("shadow");
    fs::create_dir(&store).unwrap();
    fs::create_dir(&mine).unwrap();
    fs::write(&victim, "root's").unwrap();
    // Who owns both knows what the bundle will be called, and which process will write it.
    for owned in [&path, &store] {
        chown(owned, Some(STRANGER), Some(STRANGER)).unwrap();
    }
    let links = [format!("{name}.partial"), name.clone(), format!("{name}.spool")];
    links.iter().for_each(|link| symlink(&mine, store.join(link)).unwrap());
    let next = dashcap.process();
    (next..next + 400).for_each(|process| {
        symlink(&victim, store.join(format!(".dashcap-{process}.partial"))).unwrap();
    });
    let (code, told) = recover_to(&lab, text, &store);
    assert_eq!(code, 0, "{told}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "root's");
    assert_eq!(fs::read_dir(&mine).unwrap().count(), 1, "nothing was written there");
    let written = fs::read_dir(&store).unwrap().flatten();
    let mut bundles = written.filter(|entry| entry.file_type().unwrap().is_dir());
    let bundle = bundles.next().expect("under a name that was free");
    assert!(bundle.file_name().to_str().unwrap().starts_with(&name), "{bundle:?}");
}

#[test]
fn after_a_clean_restart_the_next_incident_reaches_back_before_it() {
    let Some(lab) = Lab::new() else { return };
    let ring = Ring::new();
    let path = ring.path();
    let text = path.to_str().unwrap();
    let dashcap = lab.record(&ring.options(text, &["--pre", "1m"]));
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(100);
    let before = talker.stop().len() as u64;
    dashcap.finish_well();

    let again = lab.record(&ring.options(text, &["--pre", "1m", "--post", "0s"]));
    again.wait_for("can be reached by the next incident");
    let talker = lab.far.talk("far0", Pace { from: before, ..Pace::GENTLE });
    talker.wait_for(100);
    let all = before + talker.stop().len() as u64;
    again.snapshot();
    again.finish_well();
    let bundle = lab.bundle();
    assert_eq!(bundle.numbers("eth0"), (0..all).collect::<Vec<_>>(), "both, in order, once");
    assert_eq!(bundle.number("/interfaces/0/counts/stored"), all - before);
    assert!(bundle.number("/earlier/process") > 0);
    let reasons = bundle.jq("[.missing[].reason]|tostring");
    assert!(reasons.contains("dashcap was started again"), "{reasons}");
}
