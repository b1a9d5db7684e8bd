use std::fs;
use std::path::Path;

use pcap_file::Endianness;
use tempfile::TempDir;

use super::*;
use crate::capture_file::block::{
    append, append_commented, append_little as block_in_order, option,
};
use crate::capture_file::comment::folded;
use crate::capture_file::{Block, Copies, Item};

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
/// 2026-11-22T14:14:20Z.
const AT: u64 = 1_795_356_860 * S;
const EPB: u32 = 6;

fn options(files: &[&Path], output: &Path) -> Options {
    Options {
        files: files.iter().map(|file| file.to_path_buf()).collect(),
        output: output.to_owned(),
        format: Format::of(output).unwrap(),
        window: Asked::Between(None, None),
        filter: None,
        interfaces: Vec::new(),
        bisect: Some(0),
    }
}

fn between(from: u64, to: u64) -> Asked {
    Asked::Between(Some(Moment::At(Wall(from))), Some(Moment::At(Wall(to))))
}

fn cut(options: &Options) -> CutAccount {
    run(options, |_| {}).unwrap()
}

/// Stamp, interface and bytes of every frame, and the types of all other blocks.
type Contents = (Vec<(u64, String, Vec<u8>)>, Vec<u32>);

fn contents(path: &Path) -> Contents {
    let mut file = FileSource::open(path).unwrap();
    let (mut frames, mut blocks) = (Vec::new(), Vec::new());
    while let Some(item) = file.step().unwrap() {
        match (item, file.frame()) {
            (Item::Frame, Some(frame)) => {
                let interface = file.origins()[frame.origin].interface.clone();
                frames.push((frame.wall.map_or(0, |w| w.0), interface, frame.bytes.to_vec()));
            }
            _ => blocks.push(file.block().unwrap().kind),
        }
    }
    (frames, blocks)
}

fn section() -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, 0x0a0d_0d0a, |out| {
        out.extend([0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]);
        out.extend([0xff; 8]);
    });
    out
}

fn interface(name: &str, resolution: u8) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, 1, |out| {
        out.extend([1, 0, 0, 0, 0, 0, 4, 0]);
        option(out, 2, name.as_bytes());
        option(out, 9, &[resolution]);
    });
    out
}

fn frame(number: u32, nanos: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, EPB, |out| {
        let (high, low) = ((nanos >> 32) as u32, nanos as u32);
        for field in [number, high, low, bytes.len() as u32, bytes.len() as u32] {
            out.extend(field.to_le_bytes());
        }
        out.extend(bytes);
    });
    out
}

fn other(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, kind, |out| out.extend(body));
    out
}

fn record(nanos: u64, bytes: &[u8]) -> Vec<u8> {
    let numbers = [nanos / S, nanos % S, bytes.len() as u64, bytes.len() as u64];
    let header = numbers.into_iter().flat_map(|n| (n as u32).to_le_bytes());
    header.chain(bytes.iter().copied()).collect()
}

fn classic_header() -> Vec<u8> {
    [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1].iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// A payload that is a capture file itself: records as they could be in the file around it.
fn nested(kind: &str) -> Vec<u8> {
    let mut bytes = vec![0x5a; 54];
    while bytes.len() < 1_300 {
        match kind {
            "pcapng" => bytes.extend(frame(0, AT - 100_000 * S, &[7; 61])),
            _ => bytes.extend(record(AT - 100_000 * S, &[7; 61])),
        }
    }
    bytes
}

/// 10 MB: a frame a millisecond for 8 s; `change` makes it what the test is about.
fn big(kind: &str, change: impl Fn(u64, &mut Vec<u8>)) -> Vec<u8> {
    let payload = nested(kind);
    let mut file = match kind {
        "pcapng" => [section(), interface("eth0", 9)].concat(),
        _ => classic_header(),
    };
    for n in 0..8_000 {
        change(n, &mut file);
        let bytes = [&n.to_be_bytes()[..], &payload].concat();
        match kind {
            "pcapng" => file.extend(frame(0, AT + n * MS, &bytes)),
            _ => file.extend(record(AT + n * MS, &bytes)),
        }
    }
    file
}

#[test]
fn a_big_file_is_read_only_where_the_window_is_and_gives_the_same() {
    let place = TempDir::new().unwrap();
    for kind in ["pcapng", "pcap"] {
        let path = place.path().join(format!("big.{kind}"));
        fs::write(&path, big(kind, |_, _| {})).unwrap();
        for (from, to, frames) in [
            (0, 0, 1),
            (3_000, 3_099, 100),
            (7_990, 9_000, 10),
            (2_500, 6_000, 3_501),
            (9_000, 9_001, 0),
        ] {
            let (short, long) = (place.path().join("s.pcapng"), place.path().join("l.pcapng.zst"));
            let window = between(AT + from * MS, AT + to * MS);
            let bisected = Options { window: window.clone(), ..options(&[&path], &short) };
            let scanned = Options { window, bisect: None, ..options(&[&path], &long) };
            let (bisected, scanned) = (cut(&bisected), cut(&scanned));
            assert_eq!((bisected.bisected, bisected.frames), (1, frames), "{kind} {from}");
            assert_eq!((scanned.bisected, scanned.frames), (0, frames), "{kind} {from}");
            assert_eq!(contents(&short), contents(&long), "{kind} {from}");
            assert_eq!(bisected.files, Some((Wall(AT), Wall(AT + 7_999 * MS))));
            assert_eq!(bisected.files, scanned.files);
        }
    }
}

#[test]
fn a_pcap_file_says_which_copies_and_comments_it_leaves_out() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("bundle.pcapng");
    let last = Wall(AT + S);
    let commented = |text: &str| {
        let mut out = Vec::new();
        append_commented(&mut out, &frame(0, AT, &[1; 60]), text);
        out
    };
    let folded = folded(Wall(AT), Copies { count: 1_000, last });
    let frames =
        [commented(&folded), commented(&folded), commented("look here"), frame(0, AT, b"x")];
    fs::write(&path, [section(), interface("eth0", 9), frames.concat()].concat()).unwrap();
    let out = place.path().join("out.pcap");
    let account = cut(&Options { format: Format::Pcap, ..options(&[&path], &out) });
    assert_eq!(account.frames, 4);
    let left_out: Vec<_> = account.left_out.into_iter().collect();
    assert_eq!(
        left_out,
        [("comments on frames", 1), ("folded copies, which only comments count,", 1_998)]
    );
}

#[test]
fn a_place_is_found_near_the_moment() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("big.pcap");
    // A frame every 10 ms: what is late by two seconds is 200 frames.
    let frames = (0..40_000_u64).flat_map(|n| record(AT + n * 10 * MS, &[1; 300]));
    fs::write(&path, classic_header().into_iter().chain(frames).collect::<Vec<_>>()).unwrap();
    let mut file = FileSource::open(&path).unwrap();
    assert!(file.survey(u64::MAX).is_none());
    file.advance().unwrap();
    let mut survey = file.survey(0).unwrap();
    for second in [0, 50, 200, 399] {
        let offset = survey.before(&file, Wall(AT + second * S)).unwrap();
        let exact = 24 + second * 100 * 316;
        assert!(offset <= exact && exact - offset < 4 << 20, "{second}: {offset} of {exact}");
        assert_eq!((offset - 24) % 316, 0);
    }
}

#[test]
fn what_is_not_in_order_is_read_from_the_start() {
    let place = TempDir::new().unwrap();
    let out = place.path().join("out.pcapng");
    let stray = |n: u64, file: &mut Vec<u8>| {
        if n == 7_000 {
            file.extend(frame(0, AT + 500 * MS, b"stray"));
        }
    };
    let stepped = |n: u64, file: &mut Vec<u8>| {
        if n >= 4_000 {
            file.extend(frame(0, AT - 3_600 * S + n * MS, b"an hour ago"));
        }
    };
    let sections = |n: u64, file: &mut Vec<u8>| {
        if n == 6_000 {
            file.extend([section(), interface("eth1", 9)].concat());
        }
    };
    let described = |n: u64, file: &mut Vec<u8>| {
        if n == 6_000 {
            file.extend([interface("eth1", 9), frame(1, AT + n * MS, b"of eth1")].concat());
        }
    };
    for (name, file, from, to, frames) in [
        // Late by more than anything in order: found when it is met.
        ("stray", big("pcapng", stray), 400, 9_000, 7_601),
        ("stepped", big("pcapng", stepped), 7_900, 8_000, 100),
        ("described", big("pcapng", described), 5_900, 6_100, 202),
        ("sections", big("pcapng", sections), 5_900, 6_100, 201),
    ] {
        let path = place.path().join("in.pcapng");
        fs::write(&path, file).unwrap();
        let window = between(AT + from * MS, AT + to * MS);
        let account = cut(&Options { window: window.clone(), ..options(&[&path], &out) });
        assert_eq!(account.frames, frames, "{name}");
        let short = contents(&out);
        cut(&Options { window, bisect: None, ..options(&[&path], &out) });
        assert_eq!(short, contents(&out), "{name}");
    }
}

#[test]
fn what_explains_the_frames_survives() {
    let place = TempDir::new().unwrap();
    let (path, out) = (place.path().join("in.pcapng"), place.path().join("out.pcapng"));
    let names = other(4, b"\x01\0\x06\0\x7f\0\0\x01h\0\0\0\0\0\0\0");
    let secrets = other(10, b"KSLT\x01\0\0\0x\0\0\0");
    let statistics = other(5, &[0; 12]);
    let entry = |nanos: u64| {
        other(9, format!("__REALTIME_TIMESTAMP={}\nMESSAGE=x\n", nanos / 1_000).as_bytes())
    };
    let mut file = big("pcapng", |n, file| {
        if n == 0 {
            file.extend([&secrets[..], &other(0x4000_0bad, &[0; 8]), &other(77, b"????")].concat());
        }
        if [100, 4_000].contains(&n) {
            file.extend(entry(AT + n * MS));
        }
    });
    file.extend([names, statistics].concat());
    fs::write(&path, file).unwrap();
    let window = between(AT + 3_900 * MS, AT + 4_099 * MS);
    let account = cut(&Options { window: window.clone(), ..options(&[&path], &out) });
    assert_eq!((account.frames, account.entries, account.bisected), (200, 1, 1));
    assert_eq!(account.left_out.values().sum::<u64>(), 1, "{:?}", account.left_out);
    assert_eq!(contents(&out).1, [0x0a0d_0d0a, 1, 10, 77, 9, 4, 5]);
    let pcap = place.path().join("out.pcap");
    let account = cut(&Options { window, ..options(&[&path], &pcap) });
    assert_eq!(account.left_out["journal entries"], 1);
    assert_eq!(account.left_out["decryption secrets"], 1);
    assert_eq!(contents(&pcap).0.len(), 200);
}

/// A little-endian block as a big-endian file would have it; for blocks without options.
fn big_endian(kind: u32, fields: &[u32], rest: &[u8]) -> Vec<u8> {
    let length = (12 + fields.len() * 4 + rest.len()) as u32;
    let head = [kind, length].into_iter().chain(fields.iter().copied());
    let mut out: Vec<u8> = head.flat_map(u32::to_be_bytes).collect();
    out.extend(rest);
    out.extend(length.to_be_bytes());
    out
}

#[test]
fn files_of_every_kind_are_merged_by_time() {
    let place = TempDir::new().unwrap();
    let paths = ["a.pcap", "b.pcapng", "c.pcapng"].map(|name| place.path().join(name));
    let one = [classic_header(), record(AT, b"a0"), record(AT + 20, b"a1")].concat();
    let two = [
        section(),
        interface("eth0", 9),
        interface("eth0", 9),
        frame(1, AT + 10, b"b0"),
        frame(0, AT + 30, b"b1"),
        other(3, b"\x02\0\0\0b2\0\0"),
        section(),
        interface("eth0", 9),
        interface("eth1", 6),
        frame(1, (AT + 40_000) / 1_000, b"b3"),
    ];
    let (high, low) = (((AT / 1_000) >> 32) as u32, (AT / 1_000) as u32);
    let three = [
        big_endian(0x0a0d_0d0a, &[0x1a2b_3c4d, 0x0001_0000, u32::MAX, u32::MAX], &[]),
        big_endian(1, &[0x0001_0000, 0], &[]),
        big_endian(6, &[0, high, low, 2, 60], b"c0\0\0"),
        big_endian(2, &[0x0000_ffff, high, low + 30, 2, 60], b"c1\0\0"),
    ];
    for (path, bytes) in paths.iter().zip([one, two.concat(), three.concat()]) {
        fs::write(path, bytes).unwrap();
    }
    let out = place.path().join("out.pcapng");
    let files: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let account = cut(&options(&files, &out));
    assert_eq!((account.frames, account.unstamped), (8, 1));
    let (frames, blocks) = contents(&out);
    let told: Vec<_> = frames
        .iter()
        .map(|(at, interface, bytes)| {
            (at.saturating_sub(AT), interface.as_str(), std::str::from_utf8(bytes).unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            (0, "a", "a0"),
            (0, "out.2", "c0"),
            (10, "eth0", "b0"),
            (20, "a", "a1"),
            (30, "eth0", "b1"),
            // Without a stamp, as it was.
            (0, "eth0", "b2"),
            (30_000, "out.2", "c1"),
            (40_000, "eth1", "b3"),
        ]
    );
    assert_eq!(blocks.iter().filter(|kind| **kind == 1).count(), 5, "alike is one");
    let one_of = |names: &[&str]| Options {
        interfaces: names.iter().map(|name| (*name).to_owned()).collect(),
        ..options(&files, &out)
    };
    let account = cut(&one_of(&["eth1", "eth7"]));
    assert_eq!((account.frames, account.passed_over), (1, 7));
    assert_eq!(account.unknown, ["eth7"]);
}

#[test]
fn pcap_has_one_link_type() {
    let place = TempDir::new().unwrap();
    let (path, out) = (place.path().join("in.pcapng"), place.path().join("out.pcap"));
    let raw = other(1, &[101, 0, 0, 0, 0, 0, 0, 0]);
    let both = [section(), interface("eth0", 9), raw, frame(0, AT, b"x"), frame(1, AT, b"y")];
    fs::write(&path, both.concat()).unwrap();
    let error = run(&options(&[&path], &out), |_| {}).unwrap_err().to_string();
    assert!(error.contains("link type 101") && error.contains("--interface"), "{error}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left");
    let chosen = Options { interfaces: vec!["eth0".to_owned()], ..options(&[&path], &out) };
    assert_eq!(cut(&chosen).frames, 1);
}

#[test]
fn times_are_relative_to_the_files() {
    let place = TempDir::new().unwrap();
    let (path, out) = (place.path().join("in.pcapng"), place.path().join("out.pcapng"));
    fs::write(&path, big("pcapng", |_, _| {})).unwrap();
    let zone = jiff::tz::TimeZone::UTC;
    let moment = |text: &str| Some(Moment::parse(text, &zone).unwrap());
    let span = Duration::from_millis(5);
    for (window, frames) in [
        (Asked::Between(moment("+1s"), moment("+1.009s")), 10),
        (Asked::Between(moment("-9ms"), None), 10),
        (Asked::Around(moment("-1s").unwrap(), span, span), 11),
        (Asked::Around(moment("14:14:21").unwrap(), span, Duration::ZERO), 6),
    ] {
        for bisect in [Some(0), None] {
            let account =
                cut(&Options { window: window.clone(), bisect, ..options(&[&path], &out) });
            assert_eq!(account.frames, frames, "{window:?} {bisect:?}");
        }
    }
    let backwards = Asked::Between(moment("+2s"), moment("+1s"));
    let error = run(&Options { window: backwards, ..options(&[&path], &out) }, |_| {}).unwrap_err();
    assert!(error.to_string().contains("--from must be before --to"), "{error}");
    let error = run(&options(&[&path], &path), |_| {}).unwrap_err();
    assert!(error.to_string().contains("one of the files"), "{error}");
}

#[test]
fn what_is_before_the_damage_is_used() {
    let place = TempDir::new().unwrap();
    let (path, out) = (place.path().join("in.pcapng"), place.path().join("out.pcapng"));
    let mut file = big("pcapng", |_, _| {});
    let length = file.len();
    file.truncate(length - 5);
    fs::write(&path, &file).unwrap();
    for (bisect, window, frames) in [
        (None, Asked::Between(None, None), 7_999),
        (Some(0), Asked::Between(None, None), 7_999),
        (Some(0), between(AT + 100 * MS, AT + 199 * MS), 100),
    ] {
        let account = cut(&Options { bisect, window, ..options(&[&path], &out) });
        assert_eq!(account.frames, frames);
        let [damage] = &account.damage[..] else { panic!("{account:?}") };
        assert!(damage.what.starts_with("cut short"), "{damage}");
        assert_eq!(contents(&out).0.len() as u64, frames);
    }
    // In the middle, where bisecting alone would have passed over it.
    let middle = file.len() / 2;
    file[middle..middle + 2_000].fill(0xff);
    fs::write(&path, &file).unwrap();
    let window = between(AT + 3_000 * MS, AT + 5_000 * MS);
    let account = cut(&Options { window, ..options(&[&path], &out) });
    assert!(account.damage.len() == 1 && account.frames > 900 && account.frames < 1_100);
}

#[test]
fn blocks_of_a_big_endian_section_are_turned() {
    let bytes = big_endian(9, &[], b"MESSAGE=x\n\0\0");
    let block = Block { kind: 9, order: Endianness::Big, bytes: &bytes };
    let mut out = Vec::new();
    assert!(block_in_order(&mut out, &block));
    assert_eq!(out, other(9, b"MESSAGE=x\n\0\0"));
}
