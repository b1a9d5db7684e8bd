use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::recorder::options::fixture;
use crate::ring::{PackOptions, PoolOptions};

/// When the stories begin: 2026-11-22T14:14:00Z, in seconds.
const BEGIN: u64 = 1_795_356_840;
const MS: u64 = 1_000_000;

/// A place for files and bundles.
struct Story {
    folder: TempDir,
    options: crate::recorder::Options,
}

impl Story {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let options = fixture::options(folder.path());
        Self { folder, options }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// `link-down` of eth0 at this many seconds, noticed by rows before and after.
    fn falls_at(&self, seconds: &[u64]) {
        let mut table = "date,if,carr,state,age,chngs\n".to_owned();
        let row = |at: u64, up: bool| {
            let date = Wall((BEGIN + at) * 1_000_000_000).milliseconds();
            let (carrier, state) = if up { (1, "up") } else { (0, "down") };
            format!("{date},eth0,{carrier},{state},0,\n")
        };
        for at in seconds {
            table += &row(at - 1, true);
            table += &row(*at, false);
        }
        self.file("timeline.csv", table.as_bytes());
    }

    fn replay(&self, files: &[&PathBuf]) -> ReplaySummary {
        let files = files.iter().map(|file| (*file).clone()).collect();
        let options = Options { files, events: Events::Beside };
        Replay::open(&options, self.options.clone()).unwrap().run(|_| {}).unwrap()
    }
}

/// A frame with this number in it, so that none equals another.
fn numbered(number: u64, length: usize) -> Vec<u8> {
    let mut frame = vec![0; length];
    frame[12..14].copy_from_slice(&[0x12, 0x34]);
    frame[14..22].copy_from_slice(&number.to_be_bytes());
    frame
}

/// A classic file, nanoseconds, of frames at these milliseconds after the beginning.
fn pcap(frames: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Vec<u8> {
    let mut file = [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0].to_vec();
    file.extend([0_u32, 0, 65_535, 1].into_iter().flat_map(u32::to_le_bytes));
    for (at, bytes) in frames {
        let length = u32::try_from(bytes.len()).unwrap();
        let (seconds, nanos) = (BEGIN + at / 1_000, at % 1_000 * MS);
        let header =
            [u32::try_from(seconds).unwrap(), u32::try_from(nanos).unwrap(), length, length];
        file.extend(header.into_iter().flat_map(u32::to_le_bytes));
        file.extend(bytes);
    }
    file
}

fn manifest(bundle: &Path) -> Value {
    serde_json::from_slice(&fs::read(bundle.join("manifest.json")).unwrap()).unwrap()
}

/// The numbers of the frames in a bundle, in their order.
fn numbers(bundle: &Path) -> Vec<u64> {
    let capture = bundle.join("capture.pcapng.zst");
    let mut file = crate::capture_file::FileSource::open(&capture).unwrap();
    let mut numbers = Vec::new();
    while file.advance().unwrap() {
        let bytes = file.frame().unwrap().bytes;
        numbers.push(u64::from_be_bytes(bytes[14..22].try_into().unwrap()));
    }
    numbers
}

fn is_exact(account: &ReplaySummary) {
    for (interface, read, stats) in account.interfaces() {
        let CaptureStats { stored, folded, filtered, lane_dropped, .. } = *stats;
        assert_eq!(read, stored + folded + filtered + lane_dropped, "{interface}");
    }
}

#[test]
fn a_window_holds_exactly_its_frames() {
    let story = Story::new();
    story.falls_at(&[20]);
    let frames = (0..400).map(|n| (n * 100, numbered(n, 60)));
    let account = story.replay(&[&story.file("eth0.pcap", &pcap(frames))]);
    is_exact(&account);
    assert_eq!((account.read.as_slice(), account.damage.len()), (&[400][..], 0));
    let [bundle] = &account.recording.bundles[..] else { panic!("{account:?}") };
    assert_eq!(bundle.file_name().unwrap(), "2026-11-22T14-14-20.000Z_link-down_eth0");
    // Ten seconds before to five after, both edges included.
    assert_eq!(numbers(bundle), (100..=250).collect::<Vec<_>>());
    let manifest = manifest(bundle);
    assert_eq!(manifest["triggers"][0]["object"], "eth0");
    assert_eq!(manifest["window"]["ending"]["how"], "on_time");
    assert_eq!(manifest["missing"].as_array().unwrap().len(), 0, "{manifest:#}");
    assert!(!bundle.join("system").exists(), "this host was not asked");
}

#[test]
fn the_same_files_give_the_same_bundles() {
    let run = || {
        let story = Story::new();
        story.falls_at(&[20]);
        let frames = (0..20_000).map(|n| (n * 2, numbered(n % 2 * n, 60)));
        let account = story.replay(&[&story.file("eth0.pcap", &pcap(frames))]);
        is_exact(&account);
        assert!(account.recording.interfaces[0].1.folded > 1_000);
        let manifest = manifest(&account.recording.bundles[0]);
        (manifest["files"].clone(), manifest["interfaces"][0]["counts"].clone())
    };
    let first = run();
    assert_eq!(first.1["stored"], run().1["stored"]);
    // The capture's section and the journal name nothing of this run.
    let sums = |files: &Value| {
        files.as_array().unwrap().iter().map(|f| f["sha256"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(sums(&first.0), sums(&run().0));
}

#[test]
fn files_are_merged_by_time_and_one_name_is_one_interface() {
    let story = Story::new();
    story.falls_at(&[20]);
    let part = |name: &str, odd: u64| {
        story.file(name, &pcap((0..300).map(|n| (n * 100 + 50 * odd, numbered(2 * n + odd, 60)))))
    };
    fs::create_dir(story.folder.path().join("other")).unwrap();
    let (one, same, other) =
        (part("eth0.pcap", 0), part("other/eth0.pcap", 1), part("eth1.pcap", 1));
    let account = story.replay(&[&one, &same]);
    assert_eq!(account.read, [600]);
    assert_eq!(numbers(&account.recording.bundles[0]), (200..=500).collect::<Vec<_>>());
    let account = story.replay(&[&other, &one]);
    is_exact(&account);
    assert_eq!(account.read, [300, 300]);
    assert_eq!(numbers(&account.recording.bundles[0]), (200..=500).collect::<Vec<_>>());

    let mut selected = Story::new();
    selected.options.interfaces = vec!["eth1".to_owned(), "eth7".to_owned()];
    let account = selected.replay(&[&other, &one]);
    assert_eq!((account.read.as_slice(), account.passed_over), (&[300][..], 300));
    assert_eq!(account.unseen, ["eth7"]);
}

#[test]
fn what_memory_does_not_hold_is_counted() {
    let mut story = Story::new();
    story.options.pool.memory = PoolOptions::MIN_MEMORY;
    story.options.capture.lane.pack = PackOptions::OFF;
    story.falls_at(&[20]);
    let frames = (0..20_000).map(|n| (n * 2, numbered(n, 1_000)));
    let account = story.replay(&[&story.file("eth0.pcap", &pcap(frames))]);
    is_exact(&account);
    let stats = account.recording.interfaces[0].1;
    assert!(stats.evicted > 10_000, "{stats:?}");
    let bundle = &account.recording.bundles[0];
    let (manifest, held) = (manifest(bundle), numbers(bundle));
    let class = &manifest["interfaces"][0]["classes"][1];
    let dropped = class["dropped"].as_u64().unwrap();
    assert!(
        held.len() > 1_000 && held.windows(2).all(|pair| pair[0] + 1 == pair[1] || dropped > 0)
    );
    assert_eq!(manifest["missing"][0]["reason"], "memory did not reach further back");
}

#[test]
fn incidents_close_at_their_deadline_and_the_end_cuts_the_last() {
    let story = Story::new();
    story.falls_at(&[20, 100, 138]);
    let frames = (0..140).map(|n| (n * 1_000, numbered(n, 60)));
    let account = story.replay(&[&story.file("eth0.pcap", &pcap(frames))]);
    let endings: Vec<_> = account
        .recording
        .bundles
        .iter()
        .map(|bundle| manifest(bundle)["window"]["ending"].to_string())
        .collect();
    let cut = r#"{"how":"cut","by":"the end of the files"}"#;
    assert_eq!(endings.len(), 3, "{endings:?}");
    assert!(endings[0].contains("on_time") && endings[1].contains("on_time"), "{endings:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&endings[2]).unwrap(),
        serde_json::from_str::<Value>(cut).unwrap()
    );
    assert_eq!(numbers(&account.recording.bundles[1]), (90..=105).collect::<Vec<_>>());
    assert_eq!(numbers(&account.recording.bundles[2]), (128..=139).collect::<Vec<_>>());
}

#[test]
fn damage_is_in_the_account_and_in_the_bundle() {
    let story = Story::new();
    story.falls_at(&[20]);
    let mut file = pcap((0..220).map(|n| (n * 100, numbered(n, 60))));
    file.truncate(file.len() - 7);
    let account = story.replay(&[&story.file("eth0.pcap", &file)]);
    let [damage] = &account.damage[..] else { panic!("{account:?}") };
    assert_eq!((damage.frames, damage.offset), (219, 24 + 219 * 76));
    let bundle = &account.recording.bundles[0];
    assert_eq!(numbers(bundle), (100..219).collect::<Vec<_>>());
    let events = fs::read_to_string(bundle.join("events.jsonl")).unwrap();
    assert!(events.contains("is damaged at byte 16668: cut short"), "{events}");
}

#[test]
fn what_happened_after_the_capture_ended_says_so() {
    let story = Story::new();
    story.falls_at(&[40]);
    let file = story.file("eth0.pcap", &pcap((0..310).map(|n| (n * 100, numbered(n, 60)))));
    let account = story.replay(&[&file]);
    let bundle = &account.recording.bundles[0];
    assert_eq!(numbers(bundle), (300..310).collect::<Vec<_>>());
    let events = fs::read_to_string(bundle.join("events.jsonl")).unwrap();
    assert!(events.contains("eth0.pcap ends here, after 310 frames"), "{events}");
}

#[test]
fn a_wall_clock_that_was_stepped_back_does_not_stop_time() {
    let story = Story::new();
    story.falls_at(&[5]);
    // At 8 s somebody sets the clock back by an hour's worth of nothing: to before the beginning.
    let stamps = (0..80).map(|n| n * 100).chain((0..120).map(|n| n * 100));
    let frames = stamps.enumerate().map(|(n, at)| (at, numbered(n as u64, 60)));
    let account = story.replay(&[&story.file("eth0.pcap", &pcap(frames))]);
    assert_eq!(account.steps, 1);
    let bundle = &account.recording.bundles[0];
    // The window goes on for five seconds of time that passed, not of stamps.
    assert_eq!(numbers(bundle), (0..=101).collect::<Vec<_>>());
    assert_eq!(manifest(bundle)["host"]["clock_stepped"], true);
}

#[test]
fn options_that_cannot_be_meant_are_refused() {
    let files = |names: &[&str]| Options {
        files: names.iter().map(PathBuf::from).collect(),
        events: Events::None,
    };
    for names in [&[][..], &["-", "-"]] {
        assert_eq!(files(names).check().unwrap_err().exit_status(), 2);
    }
    assert!(files(&["-", "a.pcap"]).check().is_ok());
    let story = Story::new();
    let error = Replay::open(&files(&["/does/not/exist"]), story.options.clone()).unwrap_err();
    assert_eq!(error.exit_status(), 1);
    let nothing = story.file("empty.pcap", &pcap([]));
    let account = story.replay(&[&nothing]);
    assert_eq!((account.span, account.recording.bundles.len()), (None, 0));
}
