//! Files that were cut, as tshark, capinfos, tcpdump and zstd read them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::lab::{BINARY, output};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/capture-files");

/// Runs `dashcap cut` in the time zone of Berlin.
fn cut(input: Stdio, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .arg("cut")
        .args(arguments)
        .env("TZ", "CET-1")
        .stdin(input)
        .output()
        .expect("it can be started")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn cut_well(arguments: &[&str]) -> String {
    let output = cut(Stdio::null(), arguments);
    let told = told(&output);
    let nothing = told.contains("nothing found");
    assert_eq!(output.status.code(), Some(i32::from(nothing)), "{arguments:?}: {told}");
    told
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn data(name: &str) -> String {
    format!("{FILES}/{name}")
}

/// tshark's fields, tab separated, one line per frame.
fn fields(file: &str, fields: &[&str]) -> Vec<String> {
    let mut arguments = vec!["-n", "-r", file, "-Y", "not systemd_journal", "-T", "fields"];
    for field in fields {
        arguments.extend(["-e", field]);
    }
    output("tshark", &arguments).lines().map(str::to_owned).collect()
}

const FRAME: [&str; 5] =
    ["frame.time_epoch", "frame.len", "frame.cap_len", "frame.comment", "frame.packet_flags"];

#[test]
fn others_read_what_was_cut_as_they_read_the_original() {
    let place = TempDir::new().expect("a directory can be made");
    for name in [
        "arkime-bigendian.pcap",
        "gopacket-le-test902.pcapng",
        "hadrielk-be-test010.pcapng",
        "hadrielk-le-test005.pcapng",
        "hadrielk-le-test011.pcapng",
        "hadrielk-le-test100.pcapng",
        "tcpdump-empty.pcapng",
        "tcpdump-tcp-handshake-nano.pcap",
        "tcpdump-time_2106_overflow.pcapng",
        "zeek-linux_dlt_sll2.pcap",
        "zeek-pcapng-multi-interface.pcapng",
    ] {
        for ending in ["pcapng", "pcapng.zst"] {
            let out = place.path().join(format!("out.{ending}"));
            cut_well(&[&data(name), "-o", text(&out)]);
            // Frames of pcap files get flags, where cooked headers tell the direction.
            let asked = if name.ends_with(".pcap") { &FRAME[..4] } else { &FRAME[..] };
            assert_eq!(fields(text(&out), asked), fields(&data(name), asked), "{name} {ending}");
        }
        output("zstd", &["-q", "-t", text(&place.path().join("out.pcapng.zst"))]);
    }
    assert_eq!(fs::read_dir(place.path()).expect("it is there").count(), 2);
}

#[test]
fn comments_and_interfaces_survive() {
    let place = TempDir::new().expect("a directory can be made");
    let out = place.path().join("out.pcapng");
    let name = "hadrielk-le-test100.pcapng";
    cut_well(&[&data(name), "-o", text(&out)]);
    let about = |file: &str| -> Vec<String> {
        let told = output("capinfos", &["-F", "-k", "-I", "-H", file]);
        let kept = |line: &&str| {
            !line.starts_with("File ") && !line.contains("SHA") && !line.contains("RIPEMD")
        };
        told.lines().filter(kept).map(str::to_owned).collect()
    };
    let (before, after) = (about(&data(name)), about(text(&out)));
    for line in &before {
        assert!(after.contains(line), "{line} is not in {after:#?}");
    }
    assert!(
        after.iter().any(|line| line.contains("cut from hadrielk-le-test100.pcapng")),
        "{after:#?}"
    );
}

#[test]
fn windows_filters_and_formats() {
    let place = TempDir::new().expect("a directory can be made");
    let out = place.path().join("out.pcap");
    let file = data("tcpdump-tcp-handshake-nano.pcap");
    // Three frames: 1418145369.924505488, 370.052027262, 370.052115157; 2014-12-09T17:16:09Z.
    for (window, expected) in [
        (&["--from", "2014-12-09T17:16:10Z"][..], 2),
        (&["--from", "2014-12-09 18:16:10"], 2),
        (&["--to", "18:16:10"], 1),
        (&["--from", "1418145370.052115157"], 1),
        (&["--from", "1418145370.052115158"], 0),
        (&["--from", "-1ms"], 2),
        (&["--to", "+1ms"], 1),
        (&["--around", "+0s", "--pre", "1ms", "--post", "1s"], 3),
        (&["--filter", "tcp[tcpflags] & tcp-syn != 0"], 2),
        (&["--filter", "udp"], 0),
        (&["--interface", "tcpdump-tcp-handshake-nano"], 3),
    ] {
        let done = cut(Stdio::null(), &[&[&file, "-o", text(&out)], window].concat());
        let told = told(&done);
        assert_eq!(done.status.code(), Some(i32::from(expected == 0)), "{window:?}: {told}");
        assert!(told.contains(&format!("{expected} frames")), "{window:?}: {told}");
        assert_eq!(told.contains("nothing found"), expected == 0, "{window:?}: {told}");
        // Only what was asked for is said to have been.
        assert!(!told.contains("1970-01-01") && !told.contains("2554"), "{window:?}: {told}");
        let lines = output("tcpdump", &["-n", "-r", text(&out)]);
        assert_eq!(lines.lines().count(), expected, "{window:?}");
    }
    cut_well(&[&file, "-o", text(&out)]);
    assert_eq!(fields(text(&out), &FRAME), fields(&file, &FRAME), "nanoseconds survive");
}

#[test]
fn pipes_files_and_damage() {
    let place = TempDir::new().expect("a directory can be made");
    let good = data("zeek-linux_dlt_sll2.pcap");
    let whole = fs::read(&good).expect("it is there");
    let short: PathBuf = place.path().join("short.pcap");
    fs::write(&short, &whole[..whole.len() - 5]).expect("it can be written");
    output("gzip", &[text(&short)]);
    let input = || fs::File::open(place.path().join("short.pcap.gz")).expect("it is there");
    let done = cut(input().into(), &["-", "-o", "-", "--from", "+1s"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("- is damaged at byte") && said.contains("5 frames before it"), "{said}");
    let out = place.path().join("out.pcapng");
    fs::write(&out, &done.stdout).expect("it can be written");
    let expected = fields(&good, &["frame.time_epoch"]);
    assert_eq!(fields(text(&out), &["frame.time_epoch"]), expected[2..5]);

    let refused = place.path().join("refused.pcapng");
    // Cooked headers tell the direction, Ethernet does not.
    let ethernet = data("arkime-bigendian.pcap");
    let script = place.path().join("router.pcap");
    fs::write(&script, "#!/bin/sh\n").expect("it can be written");
    for (arguments, code, expected) in [
        (&["-o", text(&refused)][..], 2, "<FILE>"),
        (&[&good], 2, "--output"),
        (&["-", "-", "-o", text(&refused)], 2, "accepted: one or more capture files"),
        (&["-", "-o", text(&refused), "--from", "-1s"], 2, "can be read twice"),
        (&["/does/not/exist.pcap", "-o", text(&refused)], 1, "cannot read /does/not/exist.pcap"),
        (&[text(&script), "-o", text(&refused)], 1, "accepted: pcap and pcapng"),
        (&[&good, "-o", "/tmp/out.txt"], 2, "ends in .pcapng.zst, .pcapng or .pcap"),
        (&[&good, "-o", text(&refused), "--from", "soon"], 2, "accepted: RFC 3339"),
        (&[&ethernet, "-o", text(&refused), "--filter", "inbound"], 2, "only the kernel knows"),
        (&[&good, "-o", text(&refused), "--pre", "1s"], 2, "--around"),
        (&[&good, "-o", "/dev/full", "--format", "pcapng"], 1, "cannot write /dev/full"),
    ] {
        let done = cut(input().into(), arguments);
        let told = told(&done);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(expected), "{arguments:?}: {told}");
        assert!(!refused.exists(), "{arguments:?}");
    }
}
