//! A bundle, as other programs read it.
//!
//! Opening one checks what every bundle promises, whatever happened: the files are whole and the ones
//! the manifest lists, the capture file has the frames the manifest counts, with the first and last
//! stamp it tells, in order of time, and every frame the kernel received is accounted for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dashcap::time::{Mono, Offset, Wall};
use serde_json::Value;

use super::{Sent, output};

/// How much a frame's stamp may differ from the time it was sent at: what `time.rs` allows between
/// two readings of the clocks.
const SLACK: Duration = Offset::STEP;

/// A bundle that was found in order.
#[derive(Debug)]
pub(crate) struct Bundle {
    path: PathBuf,
    pub(crate) manifest: Value,
    pub(crate) events: Vec<Value>,
    pub(crate) timeline: Vec<Row>,
    pub(crate) packets: Vec<Packet>,
}

/// A packet as tshark tells it.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) at: Wall,
    pub(crate) interface: String,
    pub(crate) len: u64,
    pub(crate) captured: u64,
    /// The number a talker gave it.
    pub(crate) number: Option<u64>,
}

/// A row of the timeline.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) at: Wall,
    pub(crate) interface: String,
    pub(crate) carrier: String,
    pub(crate) state: String,
    pub(crate) pings: Vec<String>,
}

impl Bundle {
    /// Reads the bundle at `path` and checks it.
    pub(crate) fn open(path: PathBuf) -> Self {
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        assert!(!name.contains("partial"), "{name} was left behind");
        let text = |file: &str| {
            fs::read_to_string(path.join(file)).unwrap_or_else(|e| panic!("{name}/{file}: {e}"))
        };
        let json = |line: &str| -> Value { serde_json::from_str(line).expect("JSON") };
        let bundle = Self {
            manifest: json(&text("manifest.json")),
            events: text("events.jsonl").lines().map(json).collect(),
            timeline: text("timeline.csv").lines().skip(1).map(Row::parse).collect(),
            packets: Vec::new(),
            path,
        };
        bundle.with_packets().checked()
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().expect("it has a name").to_string_lossy().into_owned()
    }

    /// What jq finds in the manifest, one line.
    pub(crate) fn jq(&self, filter: &str) -> String {
        output("jq", &["-c", "-r", filter, &self.file("manifest.json")]).trim().to_owned()
    }

    /// tshark's fields of the records that `filter` shows, tab separated.
    pub(crate) fn tshark(&self, filter: &str, fields: &[&str]) -> Vec<String> {
        let capture = self.capture();
        let mut arguments = vec!["-n", "-r", &capture, "-Y", filter, "-T", "fields"];
        for field in fields {
            arguments.extend(["-e", field]);
        }
        output("tshark", &arguments).lines().map(str::to_owned).collect()
    }

    /// The messages of the journal lines between the packets, in order.
    pub(crate) fn journal(&self) -> Vec<String> {
        self.tshark("systemd_journal", &["systemd_journal.message"])
    }

    /// The triggers, as `KIND OBJECT`.
    pub(crate) fn triggers(&self) -> Vec<String> {
        let words = |trigger: &Value| {
            let object = trigger["object"].as_str().map(|o| format!(" {o}")).unwrap_or_default();
            format!("{}{object}", trigger["kind"].as_str().expect("a kind"))
        };
        self.manifest["triggers"].as_array().expect("a list").iter().map(words).collect()
    }

    /// When trigger `n` was observed, in the bundle's wall time.
    pub(crate) fn trigger_at(&self, n: usize) -> Wall {
        self.wall(self.mono(&format!("/triggers/{n}/mono_ns")))
    }

    /// A moment of the manifest on the monotonic clock.
    pub(crate) fn mono(&self, pointer: &str) -> Mono {
        Mono(self.number(pointer))
    }

    /// A count of the manifest.
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        let found = self.manifest.pointer(pointer).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("{pointer} is no number in {:#}", self.manifest))
    }

    /// The talkers' numbers on `interface`, in the file's order.
    pub(crate) fn numbers(&self, interface: &str) -> Vec<u64> {
        let of = |packet: &&Packet| packet.interface == interface;
        self.packets.iter().filter(of).filter_map(|packet| packet.number).collect()
    }

    /// Checks that `interface` has exactly the frames that were sent inside the window: none missing,
    /// none twice, none from outside.
    pub(crate) fn holds_what_was_sent(&self, interface: &str, sent: &[Sent]) {
        let (from, to) = (self.mono("/window/closed/from/mono_ns"), self.end());
        let numbers = self.numbers(interface);
        assert_contiguous(&numbers);
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
            panic!("{}: no frame of a talker", self.name());
        };
        for frame in sent {
            let inside = frame.before >= from.plus(SLACK) && frame.after <= to.minus(SLACK);
            let outside = frame.after < from.minus(SLACK) || frame.before > to.plus(SLACK);
            let held = (first..=last).contains(&&frame.number);
            assert!(!inside || held, "{}: {frame:?} is missing", self.name());
            assert!(!outside || !held, "{}: {frame:?} is from outside", self.name());
        }
    }

    /// Where the window was closed.
    pub(crate) fn end(&self) -> Mono {
        self.mono("/window/closed/to/mono_ns")
    }

    /// The length of the closed window after trigger `n`.
    pub(crate) fn length_after(&self, n: usize) -> Duration {
        self.end().since(self.mono(&format!("/triggers/{n}/mono_ns")))
    }

    /// The length of the closed window before the first trigger.
    pub(crate) fn length_before(&self) -> Duration {
        self.mono("/triggers/0/mono_ns").since(self.mono("/window/closed/from/mono_ns"))
    }

    /// The path of one of its files.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path.join(name).to_str().expect("text").to_owned()
    }

    /// Its capture file.
    pub(crate) fn capture(&self) -> String {
        self.file("capture.pcapng.zst")
    }

    fn wall(&self, mono: Mono) -> Wall {
        let offset = self.manifest["host"]["clock_offset_ns"].as_i64().expect("a number");
        Offset(offset).wall(mono)
    }

    fn with_packets(mut self) -> Self {
        let fields = ["frame.time_epoch", "frame.interface_name", "frame.len", "frame.cap_len"];
        let fields = fields.into_iter().chain(["data.data"]).collect::<Vec<_>>();
        self.packets =
            self.tshark("not systemd_journal", &fields).iter().map(|l| Packet::parse(l)).collect();
        self
    }

    fn checked(self) -> Self {
        output("zstd", &["-q", "-t", &self.capture()]);
        output("jq", &["empty", &self.file("manifest.json"), &self.file("events.jsonl")]);
        self.check_files();
        self.check_frames();
        self.check_counts();
        self
    }

    /// The files are those of the manifest, to the byte.
    fn check_files(&self) {
        let listed: BTreeMap<&str, &str> = self.manifest["files"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|file| (file["name"].as_str().unwrap(), file["sha256"].as_str().unwrap()))
            .collect();
        let mut found = files(&self.path, "");
        // What hooks said of the whole bundle came when its sums were known.
        let manifest = |name: &str| matches!(name, "manifest.json" | "manifest.json.sig");
        found.retain(|name| !manifest(name) && !name.starts_with("after/"));
        found.sort();
        assert_eq!(found, listed.keys().copied().collect::<Vec<_>>(), "{}", self.name());
        let paths: Vec<String> = listed.keys().map(|name| self.file(name)).collect();
        let sums = output("sha256sum", &paths.iter().map(String::as_str).collect::<Vec<_>>());
        for ((name, sum), line) in listed.iter().zip(sums.lines()) {
            assert!(line.starts_with(sum), "{name}: {line}, not {sum}");
        }
    }

    /// The capture file has the frames the manifest tells, in order.
    fn check_frames(&self) {
        let interfaces = self.manifest["interfaces"].as_array().expect("a list");
        let promised: u64 =
            interfaces.iter().map(|i| i["in_bundle"]["frames"].as_u64().unwrap()).sum();
        let count = output("capinfos", &["-c", "-M", "-r", "-T", &self.capture()]);
        let count = count.trim().rsplit('\t').next().expect("a column").to_owned();
        assert_eq!(count, promised.to_string(), "{}: capinfos", self.name());
        assert_eq!(self.packets.len() as u64, promised, "{}: tshark", self.name());
        let swapped = self.packets.windows(2).find(|pair| pair[0].at > pair[1].at);
        assert!(swapped.is_none(), "{}: out of order: {swapped:?}", self.name());
        for interface in interfaces {
            let told = &interface["in_bundle"];
            let name = interface["name"].as_str().expect("a name");
            let of: Vec<_> = self.packets.iter().filter(|p| p.interface == name).collect();
            assert_eq!(told["frames"].as_u64(), Some(of.len() as u64), "{name}");
            assert_eq!(told["bytes"].as_u64(), Some(of.iter().map(|p| p.captured).sum()), "{name}");
            for (edge, packet) in [("first", of.first()), ("last", of.last())] {
                let stamp = packet.map(|packet| packet.at.to_string());
                assert_eq!(told[edge].as_str(), stamp.as_deref(), "{name}, {edge}");
            }
        }
        let names: Vec<_> = interfaces.iter().map(|i| i["name"].as_str().unwrap()).collect();
        let stranger = self.packets.iter().find(|p| !names.contains(&p.interface.as_str()));
        assert!(stranger.is_none(), "{stranger:?} is of none of {names:?}");
    }

    /// Every frame the kernel received is accounted for, by name.
    fn check_counts(&self) {
        for interface in self.manifest["interfaces"].as_array().expect("a list") {
            let counts = &interface["counts"];
            let Some(received) = counts["kernel_received"].as_u64() else { continue };
            let parts = ["stored", "folded", "filtered", "damaged", "lane_dropped"];
            let parts = parts.into_iter().chain(["kernel_dropped", "waiting_in_kernel"]);
            let sum: u64 = parts.map(|part| counts[part].as_u64().expect("a count")).sum();
            assert_eq!(received, sum, "{}: {interface:#}", self.name());
        }
    }
}

/// Checks that numbers follow each other without a gap.
pub(crate) fn assert_contiguous(numbers: &[u64]) {
    let broken = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
    assert_eq!(broken, None, "not one after the other");
}

impl Packet {
    fn parse(line: &str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let [at, interface, len, captured, data] = fields[..] else {
            panic!("tshark says {line:?}");
        };
        let number = data.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        Self {
            at: epoch(at),
            interface: interface.to_owned(),
            len: len.parse().expect("a length"),
            captured: captured.parse().expect("a length"),
            number,
        }
    }
}

impl Row {
    fn parse(line: &str) -> Self {
        let mut fields = line.split(',').map(str::to_owned);
        let mut field = || fields.next().unwrap_or_else(|| panic!("short row {line:?}"));
        let (date, interface, carrier, state) = (field(), field(), field(), field());
        let (_age, _changes) = (field(), field());
        let date: jiff::Timestamp = date.parse().expect("a date");
        let at = Wall(u64::try_from(date.as_nanosecond()).expect("after 1970"));
        Self { at, interface, carrier, state, pings: fields.collect() }
    }
}

/// Seconds with nine digits, as nanoseconds.
pub(crate) fn epoch(text: &str) -> Wall {
    let (seconds, nanoseconds) = text.split_once('.').expect("a fraction");
    assert_eq!(nanoseconds.len(), 9, "{text}: not in nanoseconds");
    let (seconds, nanoseconds): (u64, u64) =
        (seconds.parse().expect("digits"), nanoseconds.parse().expect("digits"));
    Wall(seconds * 1_000_000_000 + nanoseconds)
}

/// Names of all files below `directory`.
fn files(directory: &Path, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it can be listed").map(|e| e.expect("an entry"));
    let mut names = Vec::new();
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            names.extend(files(&entry.path(), &format!("{name}/")));
        } else {
            names.push(name);
        }
    }
    names
}
