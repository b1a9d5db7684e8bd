//! One road: what was recorded gives the same bundle when it is replayed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::lab::{BINARY, Bundle, Lab, Pace, bundles_in, output};

const WINDOW: [&str; 4] = ["--pre", "400ms", "--post", "400ms"];

/// Runs `dashcap replay` with modest memory; bundles appear in `place`.
fn replay(place: &Path, input: Stdio, options: &[&str]) -> Output {
    Command::new(BINARY)
        .args(["replay", "--memory", "16MiB", "--output", place.to_str().expect("text")])
        .args(options)
        .stdin(input)
        .output()
        .expect("it can be started")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn bundles(place: &Path) -> Vec<Bundle> {
    bundles_in(place).into_iter().map(Bundle::open).collect()
}

#[test]
fn a_bundle_that_is_replayed_gives_itself() {
    let Some(lab) = Lab::new() else { return };
    let options = ["-i", "eth0", "--interval", "100ms", "--on", "link-down"];
    let dashcap = lab.record(&[&options[..], &WINDOW].concat());
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(200);
    lab.far.ip("link set far0 down");
    dashcap.wait_for("link-down: eth0: DOWN");
    lab.far.ip("link set far0 up");
    dashcap.wait_for("bundle /");
    talker.stop();
    dashcap.finish_well();
    let recorded = lab.bundle();

    let place = TempDir::new().expect("a directory can be made");
    let source = lab.output().join(recorded.name());
    let options = [&WINDOW[..], &[text(&source)]].concat();
    let output = replay(place.path(), Stdio::null(), &options);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let replayed = bundles(place.path());
    let [replayed] = &replayed[..] else { panic!("{replayed:?}") };
    assert_eq!(replayed.name(), recorded.name());
    assert_eq!(replayed.triggers(), recorded.triggers());
    assert_eq!(replayed.trigger_at(0), recorded.trigger_at(0));
    assert_eq!(replayed.numbers("eth0"), recorded.numbers("eth0"));
    let rows = |bundle: &Bundle| -> Vec<_> {
        let rows = bundle.timeline.iter();
        rows.map(|row| (row.at, row.interface.clone(), row.state.clone())).collect()
    };
    // The replay ends with its last frame, the recording ended with its window.
    assert!(rows(&recorded).starts_with(&rows(replayed)) && rows(replayed).len() > 4);
    assert_eq!(replayed.jq(".interfaces[0].source"), "capture file");
    assert!(replayed.jq(".observations.limitations[0]").starts_with("replayed from /"));
}

#[test]
fn a_damaged_file_on_a_pipe_gives_what_it_has_and_status_1() {
    let place = TempDir::new().expect("a directory can be made");
    let capture =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/capture-files/zeek-linux_dlt_sll2.pcap");
    let whole = fs::read(capture).expect("it is there");
    let cut = place.path().join("cut.pcap");
    fs::write(&cut, &whole[..whole.len() - 5]).expect("it can be written");
    output("gzip", &[text(&cut)]);
    // It falls eleven seconds after the first frame.
    let table = place.path().join("table.csv");
    fs::write(
        &table,
        "date,if,state\n2022-08-15 03:30:55,ppp0,up\n2022-08-15 03:31:00,ppp0,down\n",
    )
    .expect("it can be written");
    let input = fs::File::open(place.path().join("cut.pcap.gz")).expect("it is there");
    let bundles_at = place.path().join("bundles");
    let options = ["-", "--events", text(&table), "--post", "1h"];
    let output = replay(&bundles_at, input.into(), &options);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("- is damaged at byte") && told.contains("after decompression"),
        "{told}"
    );
    assert!(told.contains("capture: 5 read = 5 stored"), "{told}");
    let bundles = bundles(&bundles_at);
    let [bundle] = &bundles[..] else { panic!("{told}") };
    assert_eq!(bundle.triggers(), ["link-down ppp0"]);
    assert_eq!(bundle.packets.len(), 5);
    assert_eq!(bundle.jq(".window.ending.by"), "the end of the files");
    assert!(
        bundle.journal().iter().any(|line| line.contains("is damaged")),
        "{:?}",
        bundle.journal()
    );
}

#[test]
fn what_cannot_be_replayed_is_refused() {
    let place = TempDir::new().expect("a directory can be made");
    let script = place.path().join("router.pcap");
    fs::write(&script, "#!/bin/sh\n").expect("it can be written");
    let wrong = place.path().join("wrong.jsonl");
    fs::write(&wrong, "{}\n").expect("it can be written");
    let good =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/capture-files/arkime-bigendian.pcap");
    for (options, code, expected) in [
        (&[][..], 2, "<FILE>"),
        (&["-", "-"], 2, "accepted: one or more capture files"),
        (&["/does/not/exist.pcap"], 1, "cannot read /does/not/exist.pcap"),
        (&[text(&script)], 1, "accepted: pcap and pcapng"),
        (&[good, "--events", text(&wrong)], 1, "line 1"),
        (&[good, "--filter", "inbound"], 2, "only the kernel knows"),
    ] {
        let bundles = place.path().join("bundles");
        let output = replay(&bundles, Stdio::null(), options);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(code), "{options:?}: {told}");
        assert!(told.contains(expected), "{options:?}: {told}");
    }
}
