//! Stories told to the end: files go in, a report comes out.

mod files;
mod kinds;
mod kinds_of_tcp;
mod onset;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::finding::Severity;
use crate::frame::Direction;
use crate::incident::layout::EVENTS;
use crate::time::Wall;

const S: u64 = 1_000_000_000;
/// 2026-11-22T14:14:20Z.
const BEGIN: u64 = 1_795_356_860 * S;

/// A capture being written: nanoseconds, one interface, no direction, as tcpdump does it.
pub(super) struct Tape(Vec<u8>);

impl Tape {
    fn new() -> Self {
        // Magic of nanoseconds, version 2.4, zone, accuracy, snaplen, Ethernet (pcap-savefile(5)).
        let header = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, 1_u32];
        Self(header.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    fn frame(&mut self, nanos: u64, bytes: &[u8]) {
        let at = BEGIN + nanos;
        let length = bytes.len() as u32;
        for word in [(at / S) as u32, (at % S) as u32, length, length] {
            self.0.extend(word.to_le_bytes());
        }
        self.0.extend(bytes);
    }

    pub(super) fn save(&self, folder: &Path) -> PathBuf {
        let path = folder.join("router.pcap");
        fs::write(&path, &self.0).unwrap();
        path
    }
}

/// A finding from frames, in seconds since [`BEGIN`].
pub(super) fn found(kind: &str, first: u64, last: u64) -> model::Entry {
    let second = |s| Wall(BEGIN + s * S);
    model::Entry {
        severity: Severity::Warning,
        first: second(first),
        last: second(last),
        interface: Some("eth0".to_owned()),
        sentence: format!("{kind} since {first}"),
        from: "frames",
        ..model::Entry::seen(kind)
    }
}

/// UDP over IPv4 between two stations.
fn udp(to: u8, from: u8, number: u32) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0];
    bytes.extend([0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, from, 192, 0, 2, to]);
    bytes.extend([0xc0, from, 0x13, 0x88, 0, 26, 0, 0]);
    bytes.extend(number.to_be_bytes());
    bytes.resize(60, 0);
    bytes
}

pub(super) fn reported(files: Vec<PathBuf>) -> Report {
    report(&Options { files, ..Options::default() }, |_| {}).unwrap()
}

/// Station 1 talks with 2 and 3 for a minute; from second 30 on one frame storms for two seconds.
pub(super) fn stormy() -> Tape {
    let mut tape = Tape::new();
    for n in 0..600_u64 {
        let at = n * S / 10;
        let peer = 2 + (n % 2) as u8;
        tape.frame(at, &udp(peer, 1, n as u32));
        tape.frame(at + 1_000, &udp(1, peer, n as u32));
        if (300..320).contains(&n) {
            for k in 0..200 {
                tape.frame(at + 2_000 + k * 500_000, &udp(2, 1, 0xdead));
            }
        }
    }
    tape
}

#[test]
fn a_storm_is_the_onset_with_its_first_stamp_all_copies_and_its_direction() {
    let folder = tempfile::tempdir().unwrap();
    let report = reported(vec![stormy().save(folder.path())]);
    let onset = report.onset.as_ref().unwrap();
    let storm = &onset.finding;
    assert_eq!((storm.kind.as_str(), storm.count), ("duplicate_storm", 4_000));
    assert_eq!(storm.first, Wall(BEGIN + 30 * S + 2_000));
    assert_eq!(storm.last, Wall(BEGIN + 31_900_000_000 + 2_000 + 199 * 500_000));
    assert_eq!(storm.direction, Direction::Outbound, "told from addresses");
    assert!(storm.over && storm.severity == Severity::Warning);
    assert_eq!((report.frames, report.interfaces[0].received.frames), (5_200, 600));
    let frames = report.series.iter().filter(|series| series.kind == "frames");
    assert_eq!(frames.flat_map(|series| &series.values).sum::<u64>(), 5_200);
    let flows: u64 = report.talkers.iter().map(|talker| talker.count.frames).sum();
    assert_eq!(flows, 5_200);
}

#[test]
fn ordinary_talk_gives_no_finding_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut tape = Tape::new();
    for n in 0..2_000_u32 {
        tape.frame(u64::from(n) * S / 20, &udp(2 + (n % 2) as u8, 1, n));
        tape.frame(u64::from(n) * S / 20 + 900, &udp(1, 2 + (n % 2) as u8, n));
    }
    let report = reported(vec![tape.save(folder.path())]);
    assert!(report.worst() < Some(Severity::Warning), "{:?}", report.findings);
    assert_eq!((&report.onset, &report.trigger), (&None, &None));
    let look = Look { width: 80, color: false, offset_minutes: Some(-90) };
    let told = text(&report, look);
    assert!(told.contains("Nothing at warning or above was found."), "{told}");
    assert!(report.headline.starts_with("nothing at warning or above in 4,000 frames"), "{told}");
    assert!(told.contains("local time -01:30"), "{told}");
}

#[test]
fn text_stays_within_its_columns_and_has_colours_on_a_terminal_only() {
    let folder = tempfile::tempdir().unwrap();
    let report = reported(vec![stormy().save(folder.path())]);
    for width in [60, 80, 132] {
        let look = Look { width, color: false, offset_minutes: None };
        let told = text(&report, look);
        // A path is one word, however long.
        let path = folder.path().display().to_string();
        let long = |line: &&str| line.chars().count() > width && !line.contains(&path);
        assert_eq!(told.lines().find(long), None);
        assert!(!told.contains('\x1b'));
        assert!(text(&report, Look { color: true, ..look }).contains("\x1b["));
    }
}

/// Regression: 300 requests were "3 ARP requests in 3.0 s", which was over.
#[test]
fn what_lasts_until_the_end_has_its_last_count_and_time() {
    use crate::detect::protocols::tests::frames::{OTHER, arp_request};
    use crate::wire::Mac;
    let folder = tempfile::tempdir().unwrap();
    let mut tape = Tape::new();
    for n in 0..300 {
        tape.frame(n * S, &arp_request((OTHER, 1), Mac::BROADCAST, 9));
    }
    let report = reported(vec![tape.save(folder.path())]);
    let [asked] = &report.findings[..] else { panic!("{:?}", report.findings) };
    assert_eq!((&*asked.kind, asked.count, asked.over), ("arp_unanswered", 300, false));
    assert!(asked.last >= Wall(BEGIN + 299 * S), "{asked:?}");
    let told = text(&report, Look { width: 200, color: false, offset_minutes: None });
    assert!(told.contains("until the end"), "{told}");
}

/// Regression: frames of a link type that is not read were passed over in silence, and nothing was found.
#[test]
fn what_is_not_decoded_is_said_to_be_not_judged() {
    /// `LINKTYPE_NFLOG` (tcpdump.org/linktypes.html).
    const NFLOG: u8 = 239;
    let folder = tempfile::tempdir().unwrap();
    let mut tape = Tape::new();
    tape.0[20] = NFLOG;
    (0..3).for_each(|n| tape.frame(n * S, &[2; 60]));
    let report = reported(vec![tape.save(folder.path())]);
    let said = &report.not_judged[0];
    assert!(said.starts_with("3 frames of router: link type 239 (NFLOG)"), "{said}");
    let told = text(&report, Look { width: 200, color: false, offset_minutes: None });
    assert!(told.contains("Not judged\n- 3 frames of router"), "{told}");
    assert!(report.headline.contains("not judged: 3 frames"), "{}", report.headline);
}

#[test]
fn damage_is_told_and_what_was_before_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut tape = stormy();
    tape.0.truncate(tape.0.len() - 7);
    let report = reported(vec![tape.save(folder.path())]);
    assert_eq!(report.frames, 5_199);
    assert!(report.damage[0].contains("is damaged at byte"), "{:?}", report.damage);
}

#[test]
fn two_files_are_one_story() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let mut late = Tape::new();
    late.frame(61 * S, &udp(2, 1, 9));
    let report = reported(vec![late.save(other.path()), stormy().save(folder.path())]);
    assert_eq!((report.interfaces.len(), report.frames), (1, 5_201));
    assert_eq!(report.span.map(|span| span.from), Some(Wall(BEGIN)));
}

#[test]
fn a_bundle_tells_its_trigger_what_the_host_saw_and_what_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CAPTURE);
    fs::write(&path, &stormy().0).unwrap();
    let manifest = r#"{"format":"dashcap-bundle","triggers":[{"time":"2026-11-22T14:15:00.000000000Z","sentence":"eth0: DOWN"}],
        "interfaces":[{"name":"capture","counts":{"kernel_dropped":null,"lane_dropped":7}}],
        "missing":[{"interface":"eth0","class":null,"reason":"not recorded yet","seconds":1.5,
            "from":{"time":"2026-11-22T14:14:00Z","mono_ns":1},"to":{"time":"2026-11-22T14:14:01.5Z","mono_ns":2}}]}"#;
    fs::write(folder.path().join(MANIFEST), manifest).unwrap();
    let events = r#"{"time":"2026-11-22T14:14:59.500000000Z","kind":"observation","interface":"eth0","sentence":"eth0: DOWN","what":{"fact":"link","before":{"flags":1,"operstate":"up"},"now":{"flags":1,"operstate":"down"}}}
{"time":"2026-11-22T14:14:58.000000000Z","kind":"observation","sentence":"probe a lost","what":{"fact":"probe_lost","probe":"a","address":"192.0.2.1","in_a_row":1,"waited_ns":1000000000,"reason":"no answer in 1 s"}}
nonsense
"#;
    fs::write(folder.path().join(EVENTS), events).unwrap();
    let report = reported(vec![folder.path().to_owned()]);
    let kinds: Vec<_> = report.chain.iter().map(|step| step.kind.as_str()).collect();
    assert_eq!(kinds, ["duplicate_storm", "link_down", "trigger"]);
    let trigger = report.trigger.as_ref().unwrap();
    assert_eq!((trigger.by, trigger.time), ("bundle", Wall(BEGIN + 40 * S)));
    assert!((report.onset.as_ref().unwrap().before_trigger_s - 9.999_998).abs() < 1e-9);
    assert_eq!(report.tracks.iter().filter(|track| track.kind == "probe").count(), 1);
    let losses: Vec<_> = report.losses.iter().map(|loss| (&*loss.name, loss.count)).collect();
    assert_eq!(losses, [("kernel_dropped", None), ("lane_dropped", Some(7))]);
    let notes = report.notes.join("\n");
    assert!(notes.contains("1.500 s of eth0") && notes.contains("1 lines of"), "{notes}");
}

#[test]
fn the_page_holds_everything_and_trusts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = reported(vec![stormy().save(folder.path())]);
    let hostile = "</script><script>alert(1)</script>";
    report.findings[0].sentence = hostile.to_owned();
    report.interfaces[0].name = hostile.to_owned();
    report.notes.push(hostile.to_owned());
    let page = html(&report, Some(120)).unwrap();
    assert!(!page.contains(hostile), "escaped everywhere");
    assert_eq!(page.matches("</script>").count(), 2);
    for elsewhere in ["http://", "https://", "src=", "@import", "url(http"] {
        let namespace = "http://www.w3.org/2000/svg";
        assert!(!page.replace(namespace, "").contains(elsewhere), "{elsewhere}");
    }
    assert!(page.contains("local time +02:00") && page.contains("id=\"f0\""));
}

#[test]
fn nothing_to_read_is_wrong_usage() {
    for files in [Vec::new(), vec!["-".into(), "-".into()]] {
        assert_eq!(Options { files, ..Options::default() }.check().unwrap_err().exit_status(), 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_frames_at_any_time_are_reported(
        frames in proptest::collection::vec(
            (0..100_000_u32, proptest::collection::vec(any::<u8>(), 0..90), 1..100_usize),
            0..40,
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut tape = Tape::new();
        for (at, bytes, times) in &frames {
            (0..*times).for_each(|_| tape.frame(u64::from(*at) * 1_000_000, bytes));
        }
        let report = reported(vec![tape.save(folder.path())]);
        let sum: usize = frames.iter().map(|(_, _, times)| times).sum();
        prop_assert_eq!(report.frames, sum as u64);
        let series = report.series.iter().filter(|series| series.kind == "frames");
        prop_assert_eq!(series.flat_map(|series| &series.values).sum::<u64>(), sum as u64);
        let flows: u64 = report.talkers.iter().map(|talker| talker.count.frames).sum();
        prop_assert_eq!(flows, sum as u64);
        text(&report, Look { width: 80, color: true, offset_minutes: None });
        html(&report, None).unwrap();
    }
}
