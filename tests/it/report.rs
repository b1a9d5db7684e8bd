//! What a report says: DESIGN's incident row by row, files of others, and what is damaged or meant to harm.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use dashcap::time::Wall;
use serde_json::Value;
use tempfile::TempDir;

use crate::lab::BINARY;
use crate::story::{DEFAULTED, EXPIRED, FAULT, INTERFACES, PHASES_BEGIN, Plan, which, write};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
/// Five minutes, then the storm, at a fraction of the incident's rate at which the third frame, one in eight, is a
/// storm, too.
const PLAN: Plan = Plan { quiet: Duration::from_secs(300), ordinary: 200_000, rate: 3_000 };

fn dashcap(arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).stdin(Stdio::null());
    command.output().expect("it can be started")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The report as JSON, and the exit status.
fn report(files: &[&str]) -> (Value, Option<i32>) {
    let output = dashcap(&[&["report", "--json"], files].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout);
    (json.unwrap_or_else(|e| panic!("{files:?}: {e}: {told}")), output.status.code())
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn bad(finding: &&Value) -> bool {
    ["warning", "critical"].contains(&word(finding, "severity"))
}

/// When the first copy of each of the three leaves.
fn first_copies() -> [u64; 3] {
    let at = |number: u64| number * 1_000_000_000 / PLAN.rate;
    [0, 1, 2].map(|wanted| {
        let mut numbers = 0..;
        let number = numbers.find(|&n| which(n, Duration::from_nanos(at(n))) == wanted);
        FAULT + at(number.expect("it comes"))
    })
}

#[test]
fn the_incident_is_told_row_by_row_with_exact_stamps() {
    let place = TempDir::new().expect("a directory can be made");
    let story = place.path().join("story.pcapng");
    let file = fs::File::create(&story).expect("it can be made");
    let counts = write(PLAN, &mut BufWriter::new(file)).expect("it can be written");
    // As a recorder that tells directions has it, and as tcpdump writes each interface: without.
    let parts = INTERFACES.map(|interface| {
        let part = place.path().join(format!("{interface}.pcap"));
        let output = dashcap(&["cut", text(&story), "-i", interface, "-o", text(&part)]);
        assert!(output.status.success(), "{output:?}");
        part
    });
    for files in [vec![text(&story)], parts.iter().map(|part| text(part)).collect()] {
        let (report, status) = report(&files);
        assert_eq!((status, report["frames"].as_u64()), (Some(0), Some(counts.all())), "{files:?}");
        is_the_incident(&report, counts.storm);
    }
}

fn is_the_incident(report: &Value, storm: [u64; 3]) {
    let at = |since: Duration| FAULT + since.as_nanos() as u64;
    let trigger = at(DEFAULTED);
    let firsts = first_copies();
    // The table of the incident: kind, interface, direction, when, how many.
    let rows = [
        ("duplicate_storm", "dp0bond0", "outbound", firsts[0], Some(storm[0])),
        ("duplicate_storm", "dp0bond0", "outbound", firsts[1], Some(storm[1])),
        ("arp_unanswered", "dp0bond0", "outbound", firsts[1], None),
        ("duplicate_storm", "dp0bond0", "outbound", firsts[2], Some(storm[2])),
        ("lacp_expired", "dp0s0", "inbound", at(EXPIRED), Some(1)),
        ("lacp_defaulted", "dp0s0", "inbound", trigger, None),
    ];
    assert!(firsts.iter().zip(PHASES_BEGIN).all(|(first, begin)| *first >= at(begin)));
    for (kind, interface, direction, first, count) in rows {
        let is_it = |finding: &&Value| {
            word(finding, "kind") == kind
                && word(finding, "interface") == interface
                && word(finding, "direction") == direction
                && word(finding, "first") == Wall(first).to_string()
                && count.is_none_or(|count| finding["count"].as_u64() == Some(count))
                && finding["in_incident"] == true
        };
        let found = list(report, "findings").iter().filter(is_it).count();
        assert_eq!(found, 1, "{kind} at {}: {:#}", Wall(first), report["findings"]);
        let steps = list(report, "chain").iter();
        let steps = steps.filter(|step| {
            word(step, "kind") == kind && word(step, "time") == Wall(first).to_string()
        });
        assert_eq!(steps.count(), 1, "{kind} is in the chain");
    }
    // The cause, and its distance; the switch gave up, and receiving works.
    let onset = &report["onset"];
    assert_eq!(word(onset, "time"), Wall(FAULT).to_string());
    assert_eq!(onset["before_trigger_s"].as_f64(), Some(DEFAULTED.as_secs_f64()));
    assert_eq!(word(&report["trigger"], "time"), Wall(trigger).to_string());
    // Its own advertisements ended with the fault; nothing else is wrong.
    let others = list(report, "findings").iter().filter(bad).map(|finding| word(finding, "kind"));
    let known = rows.map(|(kind, ..)| kind);
    let others: Vec<_> = others.filter(|kind| !known.contains(kind)).collect();
    let expected = ["vrrp_silence"];
    assert_eq!(others, expected, "{:#}", report["findings"]);
}

#[test]
fn files_of_others_are_counted_dated_and_their_damage_is_named() {
    let folder = format!("{DATA}/capture-files");
    let expected = fs::read_to_string(format!("{folder}/expected.tsv")).expect("it is there");
    for line in expected.lines() {
        let columns: Vec<_> = line.split('\t').collect();
        let [name, frames, first, last, bytes, verdict] = columns[..] else { panic!("{line}") };
        let path = format!("{folder}/{name}");
        if verdict == "refused" {
            let output = dashcap(&["report", "--json", &path]);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{name}: {told}");
            assert!(
                told.contains("cannot read") && told.contains("accepted: pcap"),
                "{name}: {told}"
            );
            continue;
        }
        let (report, status) = report(&[&path]);
        assert_eq!(report["frames"].to_string(), frames, "{name}");
        assert_eq!(report["bytes"].to_string(), bytes, "{name}");
        for (key, stamp) in [("from", first), ("to", last)] {
            if let Some((seconds, nanos)) = stamp.split_once('.') {
                let number = |digits: &str| digits.parse::<u64>().expect("a number");
                let wall = Wall(number(seconds) * 1_000_000_000 + number(nanos));
                assert_eq!(word(&report["span"], key), wall.to_string(), "{name} {key}");
            }
        }
        let damage: Vec<_> = list(&report, "damage").iter().filter_map(Value::as_str).collect();
        match verdict.strip_prefix("damaged ") {
            Some(offset) => {
                assert_eq!((status, damage.len()), (Some(1), 1), "{name}");
                assert!(damage[0].contains(&format!("damaged at byte {offset}:")), "{damage:?}");
            }
            None => assert_eq!((status, damage.len()), (Some(0), 0), "{name}: {damage:?}"),
        }
        assert_eq!(list(&report, "findings").iter().filter(bad).count(), 0, "{name}");
    }
}

#[test]
fn what_happened_in_real_captures_is_found_and_nothing_else() {
    for folder in ["control", "protocols"] {
        for entry in fs::read_dir(format!("{DATA}/{folder}")).expect("it is there") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|ending| ending != "pcap") {
                continue;
            }
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let (report, _) = report(&[text(&path)]);
            let kinds = list(&report, "findings").iter().filter(bad).map(|f| word(f, "kind"));
            let kinds: Vec<_> = kinds.collect();
            let expected: &[&str] = match name.as_str() {
                "tcpdump-HSRP_failover.pcap" => &["hsrp_silence", "hsrp_state_changed"],
                _ => &[],
            };
            assert_eq!(kinds, expected, "{name}");
        }
    }
}

/// Blocks of pcapng, little-endian.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, &body, &length].concat()
}

fn section() -> Vec<u8> {
    block(0x0a0d_0d0a, &[&b"\x4d\x3c\x2b\x1a\x01\0\0\0"[..], &[0xff; 8]].concat())
}

/// An Ethernet interface with this name, nanoseconds.
fn interface(name: &[u8]) -> Vec<u8> {
    let mut body = vec![1, 0, 0, 0, 0, 0, 4, 0, 2, 0];
    body.extend((name.len() as u16).to_le_bytes());
    body.extend(name);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend([9, 0, 1, 0, 9, 0, 0, 0]);
    block(1, &body)
}

/// A frame of 60 bytes; the options may be anything.
fn packet(interface: u32, nanos: u64, options: &[u8]) -> Vec<u8> {
    let words = [interface, (nanos >> 32) as u32, nanos as u32, 60, 60];
    let words: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    block(6, &[&words, &[7; 60][..], options].concat())
}

/// 300 MiB of blocks that nobody knows, compressed to next to nothing.
fn bomb(mut out: impl Write) {
    const MIB: usize = 1 << 20;
    out.write_all(&[section(), interface(b"eth0")].concat()).expect("it can be written");
    let zeros = block(77, &vec![0; 15 * MIB]);
    (0..20).for_each(|_| out.write_all(&zeros).expect("it can be written"));
}

/// Runs `dashcap` with no more than two minutes, and no more address space than this: what it uses, the
/// program itself, its threads' stacks, and room that an allocator takes at once.
fn bounded(arguments: &[&str]) -> Output {
    const KIB: usize = 640 << 10;
    let limited = format!("ulimit -v {KIB}; exec timeout 120 \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &limited, "bash", BINARY]).args(arguments).stdin(Stdio::null());
    command.output().expect("it can be started")
}

#[test]
fn a_page_never_replaces_what_it_is_made_of() {
    let place = TempDir::new().expect("a directory can be made");
    let capture = place.path().join("a.pcap");
    fs::copy(format!("{DATA}/protocols/tcpdump-HSRP_failover.pcap"), &capture).expect("a copy");
    let before = fs::read(&capture).expect("it can be read");
    let link = place.path().join("b.html");
    std::os::unix::fs::symlink(&capture, &link).expect("a link can be made");
    for page in [&capture, &link] {
        let output = dashcap(&["report", text(&capture), "--html", text(page)]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("the output must not be one of the files"), "{told}");
        assert_eq!(fs::read(&capture).expect("it can be read"), before, "{page:?}");
    }
    let page = place.path().join("page.html");
    let output = dashcap(&["report", text(&capture), "--html", text(&page)]);
    assert!(output.status.success() && page.is_file(), "{output:?}");
}

#[test]
fn why_says_in_one_sentence_what_each_report_begins_with() {
    let file = format!("{DATA}/protocols/tcpdump-HSRP_failover.pcap");
    let (report, _) = report(&[&file]);
    let headline = word(&report, "headline");
    let why = dashcap(&["why", &file]);
    assert_eq!(String::from_utf8_lossy(&why.stdout).trim_end(), headline);
    let told: Value =
        serde_json::from_slice(&dashcap(&["why", "--json", &file]).stdout).expect("JSON");
    assert_eq!((&told["headline"], &told["onset"]), (&report["headline"], &report["onset"]));
    assert!(headline.contains("since 20") && headline.len() < 600, "{headline}");
    // Of a bundle that is not there it says which there are.
    let empty = TempDir::new().expect("a directory can be made");
    let none = dashcap(&["why", "-o", text(empty.path())]);
    let told = String::from_utf8_lossy(&none.stderr);
    assert!(none.status.code() == Some(2) && told.contains("there is no bundle"), "{told}");
}

#[test]
fn the_moment_may_be_typed_as_clocks_show_it_and_must_be_in_the_files() {
    let file = format!("{DATA}/protocols/tcpdump-HSRP_failover.pcap");
    let at = |moment: &str| dashcap(&["report", "--json", "--at", moment, &file]);
    for moment in ["+1s", "-1s"] {
        let report: Value = serde_json::from_slice(&at(moment).stdout).expect("JSON");
        assert_eq!(word(&report["trigger"], "by"), "operator", "{moment}");
    }
    for moment in ["2031-01-01T00:00:00Z", "soon"] {
        assert_eq!(at(moment).status.code(), Some(2), "{moment}");
    }
}

#[test]
fn what_is_meant_to_harm_is_refused_or_read_in_bounded_memory() {
    let place = TempDir::new().expect("a directory can be made");
    let begin = || [section(), interface(b"eth0")].concat();
    let huge = [&begin()[..], &[6, 0, 0, 0, 0xf0, 0xff, 0xff, 0xff], &[0; 100]].concat();
    let endless = [begin(), packet(0, FAULT, &[1, 0, 0xff, 0xff, 1, 2, 3, 4])].concat();
    let long: Vec<u8> = (0..2_000).flat_map(|_| interface(&[b'n'; 16_000])).collect();
    let names = [section(), long, packet(0, FAULT, &[])].concat();
    let mut many = section();
    (0..4_000).for_each(|n| many.extend(interface(format!("eth{n}").as_bytes())));
    (0..4_000).for_each(|n| many.extend(packet(n, FAULT + u64::from(n), &[])));
    let ends = [0, u64::MAX, 0, FAULT, u64::MAX].map(|at| packet(0, at, &[])).concat();
    let (mut gzip, mut zstd) = (Vec::new(), Vec::new());
    bomb(flate2::write::GzEncoder::new(&mut gzip, flate2::Compression::fast()));
    bomb(zstd::Encoder::new(&mut zstd, 1).expect("it can be made").auto_finish());
    let twice = zstd::encode_all(&zstd::encode_all(&begin()[..], 1).expect("bytes")[..], 1);
    // name, content, exit status, what is said
    for (name, content, status, said) in [
        ("one byte", vec![0x0a], 1, "cut short: of the file header"),
        ("nothing", Vec::new(), 1, "it is empty"),
        ("huge block", huge, 1, "is damaged at byte"),
        ("options that never end", endless, 0, "1 frame,"),
        ("long names", names, 0, "1 frame,"),
        ("four thousand interfaces", many, 0, "frames of interfaces beyond the first 64"),
        ("the ends of time", [begin(), ends].concat(), 0, "times the stamps went back"),
        ("gzip bomb", gzip, 0, "0 frames,"),
        ("zstd bomb", zstd, 0, "0 frames,"),
        ("compressed twice", twice.expect("bytes"), 1, "it is compressed twice"),
    ] {
        let path = place.path().join("hostile");
        fs::write(&path, content).expect("it can be written");
        let output = bounded(&["report", "--width", "400", text(&path)]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        let head: String = told.chars().take(2_000).collect();
        assert_eq!(output.status.code(), Some(status), "{name}: {head}");
        assert!(told.contains(said), "{name}: {head}");
        // The same input must not harm those who read it otherwise.
        let cut = place.path().join("out.pcapng");
        let output = bounded(&["cut", text(&path), "-o", text(&cut)]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{name}: {told}");
    }
}

#[test]
fn whatever_is_cut_off_the_rest_is_used_and_the_place_is_named() {
    let place = TempDir::new().expect("a directory can be made");
    let whole = [section(), interface(b"eth0"), packet(0, FAULT, &[]), packet(0, FAULT + 1, &[])];
    let ends: Vec<usize> = whole
        .iter()
        .scan(0, |end, block| {
            *end += block.len();
            Some(*end)
        })
        .collect();
    let whole = whole.concat();
    for length in (1..=whole.len()).step_by(5) {
        let path = place.path().join("cut.pcapng");
        fs::write(&path, &whole[..length]).expect("it can be written");
        let output = dashcap(&["report", "--json", text(&path)]);
        let damaged = !ends.contains(&length);
        assert_eq!(output.status.code(), Some(i32::from(damaged)), "{length}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if length < ends[0] {
            assert!(told.contains("cannot read"), "{length}: {told}");
            continue;
        }
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let frames = ends[2..].iter().filter(|end| **end <= length).count();
        assert_eq!(report["frames"].as_u64(), Some(frames as u64), "{length}");
        let offset = ends.iter().rfind(|end| **end <= length).expect("the section");
        let damage = list(&report, "damage").first().and_then(Value::as_str).unwrap_or_default();
        assert_eq!(damage.contains(&format!("damaged at byte {offset}:")), damaged, "{damage}");
    }
}
