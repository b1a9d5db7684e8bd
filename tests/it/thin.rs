//! Files that were thinned, as tshark, capinfos and zstd read them.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::lab::{BINARY, output};
use crate::story::{self, Plan};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/capture-files");

fn thin(input: Stdio, arguments: &[&str]) -> Output {
    let command = Command::new(BINARY).arg("thin").args(arguments).stdin(input).output();
    command.expect("it can be started")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn thin_well(arguments: &[&str]) -> String {
    let output = thin(Stdio::null(), arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", told(&output));
    told(&output)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// tshark's fields, one line per frame.
fn fields(file: &str, fields: &[&str]) -> Vec<String> {
    let mut arguments = vec!["-n", "-r", file, "-Y", "not systemd_journal", "-T", "fields"];
    fields.iter().for_each(|field| arguments.extend(["-e", field]));
    output("tshark", &arguments).lines().map(str::to_owned).collect()
}

/// A storm of the incident in small: 20 s before it, 90 s of it.
fn incident(path: &Path) -> story::Counts {
    let plan = Plan { quiet: Duration::from_secs(20), ordinary: 50_000, rate: 400 };
    let mut file = BufWriter::new(File::create(path).expect("it can be made"));
    story::write(plan, &mut file).expect("it can be written")
}

#[test]
fn what_comes_slowly_stays_as_it_was() {
    let place = TempDir::new().expect("a directory can be made");
    let asked = ["frame.time_epoch", "frame.len", "frame.cap_len", "frame.comment"];
    for name in [
        "arkime-bigendian.pcap",
        "hadrielk-be-test010.pcapng",
        "hadrielk-le-test011.pcapng",
        "hadrielk-le-test100.pcapng",
        "tcpdump-empty.pcapng",
        "tcpdump-tcp-handshake-nano.pcap",
        "zeek-pcapng-multi-interface.pcapng",
    ] {
        let file = format!("{FILES}/{name}");
        for ending in ["pcapng", "pcapng.zst"] {
            let out = place.path().join(format!("out.{ending}"));
            let said = thin_well(&[&file, "-o", text(&out)]);
            assert!(said.contains("nothing is set aside"), "{name}: {said}");
            assert_eq!(fields(text(&out), &asked), fields(&file, &asked), "{name} {ending}");
        }
        output("zstd", &["-q", "-t", text(&place.path().join("out.pcapng.zst"))]);
    }
    assert_eq!(fs::read_dir(place.path()).expect("it is there").count(), 2);
}

#[test]
fn a_storm_is_thinned_and_others_read_what_is_missing() {
    let place = TempDir::new().expect("a directory can be made");
    let (input, out) = (place.path().join("in.pcapng"), place.path().join("out.pcapng.zst"));
    let counts = incident(&input);
    let said = thin_well(&[text(&input), "-o", text(&out), "--json"]);
    let account: Value = serde_json::from_str(&said).expect("JSON");
    let number = |path: &str| account.pointer(path).and_then(Value::as_u64).expect(path);
    let aside = number("/total/folded/frames") + number("/total/thinned/frames");
    let storm: u64 = counts.storm.iter().sum();
    assert!(aside > storm / 2, "{aside} of {storm}");
    assert_eq!(number("/total/read/frames"), number("/total/kept/frames") + aside);
    let of_flows = account["flows"].as_array().expect("flows").iter();
    let of_flows = of_flows.map(|flow| flow["kept"]["frames"].as_u64().expect("a number"));
    let others = number("/others/kept/frames");
    assert_eq!(of_flows.sum::<u64>() + others, number("/total/kept/frames"));

    let comments = fields(text(&out), &["frame.comment"]);
    assert_eq!(comments.len() as u64, number("/total/kept/frames"));
    let copies: u64 = comments
        .iter()
        .filter_map(|line| line.split_once("folded; this frame came ")?.1.split(' ').next())
        .map(|count| count.parse::<u64>().expect("a number") - 1)
        .sum();
    assert_eq!(copies, number("/total/folded/frames"), "comments tell every copy");
    let about = output("capinfos", &["-k", "-c", "-M", text(&out)]);
    let total = format!("{} frames were read", number("/total/read/frames"));
    assert!(about.contains("thinned from in.pcapng") && about.contains(&total), "{about}");
    output("zstd", &["-q", "-t", text(&out)]);

    let control = "slow or hsrp or vrrp";
    let kept =
        |file: &Path| output("tshark", &["-n", "-r", text(file), "-Y", control]).lines().count();
    assert_eq!(kept(&out), kept(&input), "all control traffic");

    // A report counts by the comments, and so has the same onset.
    let onset = |file: &Path| {
        let done = Command::new(BINARY).args(["report", "--json", text(file)]).output();
        let report: Value =
            serde_json::from_slice(&done.expect("it can be started").stdout).expect("JSON");
        (report["frames"].clone(), report["onset"]["time"].clone())
    };
    assert_eq!(onset(&out), onset(&input));
}

#[test]
fn targets_pipes_damage_and_mistakes() {
    let place = TempDir::new().expect("a directory can be made");
    let (input, out) = (place.path().join("in.pcapng"), place.path().join("out.pcapng"));
    incident(&input);
    thin_well(&[text(&input), "-o", text(&out), "--target", "300kB"]);
    let size = fs::metadata(&out).expect("it is there").len();
    assert!((75_000..=300_000).contains(&size), "{size}");
    fs::remove_file(&out).expect("it can be removed");

    // From a pipe to a pipe, and damaged at its end.
    let whole = fs::read(&input).expect("it is there");
    let cut = place.path().join("cut.pcapng");
    fs::write(&cut, &whole[..whole.len() - 5]).expect("it can be written");
    let piped = || File::open(&cut).expect("it is there");
    let done = thin(piped().into(), &["-", "-o", "-", "--keep", "5"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("- is damaged at byte") && said.contains("in all: "), "{said}");
    let piped_out = place.path().join("piped.pcapng");
    fs::write(&piped_out, &done.stdout).expect("it can be written");
    assert!(output("capinfos", &["-c", text(&piped_out)]).contains("Number of packets"));
    // pcap has no comments; the summary tells.
    let pcap = place.path().join("out.pcap");
    assert!(thin_well(&[text(&input), "-o", text(&pcap)]).contains("dp0bond0"));
    assert!(!fields(text(&pcap), &["frame.number"]).is_empty());

    for (arguments, code, expected) in [
        (&[text(&input)][..], 2, "--output"),
        (&["-", "-o", text(&out), "--target", "1MB"], 2, "reads its input twice"),
        (&[text(&input), "-o", text(&out), "--keep", "0"], 2, "from 1 to 1000000"),
        (&[text(&input), "-o", text(&out), "--target", "1MB", "--keep", "5"], 2, "cannot be used"),
        (&["/does/not/exist.pcap", "-o", text(&out)], 1, "cannot read /does/not/exist.pcap"),
        (&[text(&input), "-o", "/dev/full", "--format", "pcapng"], 1, "cannot write /dev/full"),
    ] {
        let done = thin(piped().into(), arguments);
        let told = told(&done);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(expected), "{arguments:?}: {told}");
        assert!(!out.exists(), "{arguments:?}");
    }
    let done = thin(Stdio::null(), &[text(&input), "-o", text(&out), "--target", "5kB"]);
    assert_eq!(done.status.code(), Some(1), "{}", told(&done));
    assert!(told(&done).contains("is not reached"), "{}", told(&done));
}
