//! What a report makes of files as recorders write them: counts of what they dropped, rotated sets, odd stamps.

use super::kinds::sentences;
use super::*;
use crate::detect::protocols::tests::frames::*;
use crate::finding::Severity::{Notice, Warning};

/// pcapng of one interface: a frame, and what its recorder counted as dropped; big-endian.
fn counted(dropped: u64) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len() as u32 + 12).to_be_bytes();
        [&kind.to_be_bytes()[..], &length, body, &length].concat()
    };
    let head = [&[0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0][..], &[0xff; 8]].concat();
    let interface = b"\0\x01\0\0\0\x04\0\0\0\x02\0\x04eth0\0\x09\0\x01\x09\0\0\0\0\0\0\0";
    let bytes = udp(2, 1, 0);
    let words = [0, (BEGIN >> 32) as u32, BEGIN as u32, 60, 60];
    let frame: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
    let mut counts = vec![0; 12];
    for (option, count) in [(4_u16, 1_000_u64), (5, dropped)] {
        counts.extend(option.to_be_bytes());
        counts.extend([0, 8]);
        counts.extend(count.to_be_bytes());
    }
    [
        block(0x0a0d_0d0a, &head),
        block(1, interface),
        block(6, &[frame, bytes].concat()),
        block(5, &counts),
    ]
    .concat()
}

#[test]
fn drops_that_a_recorder_counted_are_told_also_if_there_were_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eth0.pcapng");
    for dropped in [0, 25] {
        fs::write(&path, counted(dropped)).unwrap();
        let report = reported(vec![path.clone()]);
        let losses: Vec<_> =
            report.losses.iter().map(|l| (&*l.interface, &*l.name, l.count)).collect();
        assert_eq!(losses, [("eth0", "dropped", Some(dropped))]);
        let drops: Vec<_> =
            report.findings.iter().map(|f| (&*f.kind, f.severity, f.count)).collect();
        assert_eq!(drops, [("drops", Notice, 25)][..usize::from(dropped > 0)]);
        let shown = text(&report, Look { width: 80, color: false, offset_minutes: None });
        assert_eq!(shown.contains("25 frames more were dropped"), dropped > 0, "{shown}");
    }
    assert!(
        sentences(&reported(vec![path]))[0]
            .starts_with("25 of 1,000 (2.5 %) frames dropped on eth0")
    );
}

/// Two files that tcpdump wrote one after the other: a storm before, a blind time, an answer after.
fn rotated(folder: &Path, blind: f64, names: [&str; 2]) -> Report {
    let mut parts = [Tape::new(), Tape::new()];
    let begin = [0.0, 40.0 + blind];
    for (tape, begin) in parts.iter_mut().zip(begin) {
        for n in 0..400 {
            let at = begin + f64::from(n) / 10.0;
            tape.at(at, &udp(2, 1, n));
            if n % 10 == 0 {
                tape.at(at, &vrrp(2, 7, 120));
            }
        }
    }
    let mut records: Vec<PathBuf> = Vec::new();
    for (tape, name) in parts.iter().zip(names) {
        let path = folder.join(name);
        fs::write(&path, &tape.0).unwrap();
        records.push(path);
    }
    reported(records)
}

#[test]
fn files_of_one_recorder_are_one_interface_and_what_lies_between_them_is_a_hole() {
    for (blind, names, interfaces, gaps) in [
        (5.0, ["bond_20261122141000.pcap", "bond_20261122142000.pcap"], 1, 1),
        (5.0, ["bond.pcap0", "bond.pcap1"], 1, 1),
        (0.1, ["bond.pcap0", "bond.pcap1"], 1, 0),
        (600.0, ["bond.pcap0", "bond.pcap1"], 1, 1),
        (5.0, ["eth0.pcap", "eth1.pcap"], 2, 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let report = rotated(folder.path(), blind, names);
        assert_eq!(report.interfaces.len(), interfaces, "{names:?}");
        let called = if interfaces == 1 { "bond" } else { "eth0" };
        assert_eq!(report.interfaces[0].name, called, "without what counts the files");
        let holes: Vec<_> = report.findings.iter().filter(|f| f.kind == "capture_gap").collect();
        assert_eq!(holes.len(), gaps, "{names:?} {blind}: {holes:?}");
        // The first file ended: that its interface is not heard any more says nothing.
        assert!(report.worst() < Some(Warning), "{:?}", sentences(&report));
        if let [hole] = holes[..] {
            assert_eq!(hole.first, Wall(BEGIN + 39_900_000_000));
            assert_eq!(hole.last, Wall(BEGIN + 40 * S + (blind * 1e9) as u64));
            assert!(hole.sentence.contains("between bond"), "{}", hole.sentence);
        }
    }
}

/// Regression: half a second between two files, in which no frame came, made the silence begin as much later, and the
/// new master a second master.
#[test]
fn a_silence_across_a_boundary_begins_when_the_next_message_was_due() {
    let folder = tempfile::tempdir().unwrap();
    let mut tapes = [Tape::new(), Tape::new()];
    for second in 0..60_u32 {
        let (tape, at) = (&mut tapes[usize::from(second >= 30)], f64::from(second));
        tape.at(at, &udp(2, 1, second));
        if second < 28 {
            tape.at(at + 0.04, &vrrp(2, 7, 200));
        }
        tape.at(at + 0.5, &udp(2, 1, 100 + second));
        if second >= 30 {
            tape.at(at + 0.65, &vrrp(3, 7, 100));
        }
    }
    let mut files = Vec::new();
    for (tape, name) in tapes.iter().zip(["2026_09_01-22_00_00.pcap", "2026_09_01-22_00_30.pcap"]) {
        files.push(folder.path().join(name));
        fs::write(files.last().unwrap(), &tape.0).unwrap();
    }
    let report = reported(files);
    let told = report.findings.iter().filter(|entry| entry.severity >= Warning);
    let told: Vec<_> =
        told.map(|entry| (&*entry.kind, (entry.first.0 - BEGIN) / 10_000_000)).collect();
    assert_eq!(told, [("vrrp_silence", 2_804), ("vrrp_master_changed", 3_065)]);
}

#[test]
fn stamps_that_go_back_and_frames_without_one_do_not_stretch_the_span() {
    let folder = tempfile::tempdir().unwrap();
    let mut tape = Tape::new();
    [5.0, 4.5, 6.0].iter().for_each(|at| tape.at(*at, &udp(2, 1, 0)));
    let span = reported(vec![tape.save(folder.path())]).span.unwrap();
    assert_eq!((span.from, span.to), (Wall(BEGIN + 9 * S / 2), Wall(BEGIN + 6 * S)));
    // A simple packet block before the first enhanced one.
    let path = folder.path().join("simple.pcapng");
    let whole = counted(0);
    let (head, rest) = whole.split_at(28 + 40);
    let simple =
        [&[0, 0, 0, 3, 0, 0, 0, 20, 0, 0, 0, 4][..], &[1, 2, 3, 4], &[0, 0, 0, 20]].concat();
    fs::write(&path, [head, &simple, rest].concat()).unwrap();
    let report = reported(vec![path]);
    assert_eq!((report.frames, report.span.unwrap().from), (2, Wall(BEGIN)));
}
