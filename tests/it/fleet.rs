//! What several hosts kept of the same failure, told together.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dashcap::time::Wall;
use serde_json::Value;

use crate::lab::{BINARY, Dashcap, Lab, Namespace, Pace, epoch, needs, output, whole_bundles_in};

/// By so much the far host's clock is ahead, in nanoseconds.
const AHEAD: i64 = 754_321_987_654;
/// A name that would be a script on a page, and a colour on a terminal.
const HOSTILE: &str = "far<script>\u{1b}[31m";

/// Two hosts and a switch between them that both do not see into.
struct Site {
    lab: Lab,
    switch: Namespace,
}

impl Site {
    fn new() -> Option<Self> {
        if !needs("nft") || !needs("unshare") {
            return None;
        }
        let (lab, switch) = (Lab::new()?, Namespace::new()?);
        switch.ip("link add br0 type bridge");
        switch.ip("link set br0 addrgenmode none up");
        for (host, end, port) in [(&lab.near, "link0", "near"), (&lab.far, "link1", "far")] {
            let name = switch.name();
            host.ip(&format!("link add {end} type veth peer name {port} netns {name}"));
            host.ip(&format!("link set dev {end} addrgenmode none up"));
            switch.ip(&format!("link set dev {port} addrgenmode none master br0 up"));
            // Both ends send from one address: a switch that learns it would keep back what goes to the quiet end.
            switch.ip(&format!("link set dev {port} type bridge_slave learning off"));
        }
        Some(Self { lab, switch })
    }

    /// What the near host sends ends in the switch.
    fn lose_what_near_sends(&self) {
        let rules = "add table netdev lost; add chain netdev lost in \
                     { type filter hook ingress device near priority 0; policy drop; }";
        let nft = ["netns", "exec", self.switch.name(), "nft", rules];
        let done = Command::new("ip").args(nft).status().expect("ip(8) ran before");
        assert!(done.success());
    }

    /// Records a host that is called so, on one machine with the others.
    fn record(&self, host: &Namespace, interface: &str, name: &str) -> (Dashcap, PathBuf) {
        let place = self.lab.output().join(interface);
        let named = "printf %s \"$0\" >/proc/sys/kernel/hostname && exec \"$@\"";
        let mut command = Command::new("ip");
        command.args(["netns", "exec", host.name(), "unshare", "--uts", "sh", "-c", named, name]);
        command.args([BINARY, "run", "-i", interface, "--output"]).arg(&place);
        command.args(["--memory", "16MiB", "--control", "off", "--log", "off"]);
        command.args(["--pre", "1m", "--post", "10m"]);
        let dashcap = Dashcap::start(command);
        dashcap.wait_for("armed: ");
        (dashcap, place)
    }
}

#[test]
fn two_hosts_tell_which_way_of_their_link_died_and_when() {
    let Some(site) = Site::new() else { return };
    let (near, near_place) = site.record(&site.lab.near, "link0", "near");
    let (far, far_place) = site.record(&site.lab.far, "link1", HOSTILE);
    let from_near = site.lab.near.talk("link0", Pace::GENTLE);
    let from_far = site.lab.far.talk("link1", Pace { from: 1_000_000, ..Pace::GENTLE });
    from_near.wait_for(200);
    from_far.wait_for(200);
    let alive = from_near.count();
    site.lose_what_near_sends();
    let died = alive..=from_near.count() + 1;
    from_near.wait_for_more(100);
    from_far.wait_for_more(100);
    near.snapshot();
    far.snapshot();
    // What is sent last may arrive when the window is over.
    from_near.wait_for_more(20);
    from_far.wait_for_more(20);
    near.finish_well();
    far.finish_well();
    from_near.stop();
    from_far.stop();

    let [near, far] = [near_place, far_place].map(|place| only(whole_bundles_in(&place)));
    shift(&far, AHEAD);
    let (page, merged) =
        (site.lab.output().join("page.html"), site.lab.output().join("all.pcapng"));
    let [near, far] = [near, far].map(|path| path.to_str().expect("text").to_owned());
    let files = [near.as_str(), &far];
    let outputs =
        ["--html", page.to_str().expect("text"), "--pcapng", merged.to_str().expect("text")];
    let text =
        output(BINARY, &[&["fleet", "report", "--width", "1000"], &files[..], &outputs].concat());
    assert!(text.contains("what near/link0 sends does not arrive at far<script>"), "{text}");
    assert!(text.contains("sends does arrive"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");

    let json = output(BINARY, &[&["fleet", "report", "--json"], &files[..]].concat());
    let report: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(report["reference"], "near", "{json}");
    let far = &report["hosts"][1];
    assert_eq!(far["found_by"], "frames", "{json}");
    let (offset, bar) = (number(&far["offset_ns"]), number(&far["bar_ns"]));
    assert!((offset - AHEAD).abs() <= bar && bar < 1_000_000, "{offset} ± {bar}");
    let [there, back] = [0, 1].map(|way| &report["links"][0]["ways"][way]);
    assert!(number(&there["lost"]) >= 60 && number(&back["lost"]) == 0, "{json}");
    assert!(there["dead"]["other_way"].as_u64() > Some(50), "{json}");
    assert_eq!(there["dead"]["other_way_lost"], 0, "{json}");
    assert!(back["dead"].is_null(), "{json}");

    // The frame after the last that came, as the near host stamped it.
    let stamps = tshark(
        &merged,
        "frame.interface_name == \"near/link0\" and frame.packet_flags_direction == 2",
    );
    let from: Wall = there["dead"]["from"].as_str().expect("a time").parse().expect("a time");
    let before = stamps.iter().filter(|sent| sent.at < from.0).count() as u64;
    assert!(died.contains(&before), "{before} frames before it died, of {died:?}");
    // The same frame at both ends, on one clock.
    let came = tshark(
        &merged,
        "frame.interface_name matches \"^far.*link1\" and frame.packet_flags_direction == 1",
    );
    assert!(came.len() >= 190, "{}", came.len());
    let sent: HashMap<u64, u64> = stamps.iter().map(|sent| (sent.number, sent.at)).collect();
    let late = |came: &Stamped| came.at.cast_signed() - sent[&came.number].cast_signed();
    let mut late: Vec<i64> = came.iter().map(late).collect();
    late.sort_unstable();
    // Some wait in the kernel, but none arrives before it was sent.
    assert!(late[0] > -1_000_000 && late[late.len() / 2] < 50_000_000, "{late:?}");
    let comment = &came[0].comment;
    assert!(
        comment.contains("dashcap: stamped 2") && comment.contains("corrected, ± "),
        "{came:?}"
    );
    let shown = ["-Y", "systemd_journal", "-T", "fields", "-e", "systemd_journal.message"];
    let file = merged.to_str().expect("text");
    let entries = output("tshark", &[&["-n", "-r", file][..], &shown].concat());
    assert!(entries.lines().any(|entry| entry.starts_with("near: TRIGGER ")), "{entries}");
    let is_far = |entry: &str| entry.starts_with("far<script>") && entry.contains(": TRIGGER ");
    assert!(entries.lines().any(is_far), "{entries}");
    let page = fs::read_to_string(&page).expect("it was written");
    assert!(page.contains("far&lt;script&gt;") && !page.contains("<script"), "{page}");
}

fn only(mut bundles: Vec<PathBuf>) -> PathBuf {
    assert_eq!(bundles.len(), 1, "{bundles:?}");
    bundles.remove(0)
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// A talker's frame as the merged file has it.
#[derive(Debug)]
struct Stamped {
    /// In nanoseconds.
    at: u64,
    number: u64,
    comment: String,
}

fn tshark(file: &Path, filter: &str) -> Vec<Stamped> {
    let fields =
        ["-T", "fields", "-e", "frame.time_epoch", "-e", "data.data", "-e", "frame.comment"];
    let file = file.to_str().expect("text");
    let filter = format!("data && {filter}");
    let lines = output("tshark", &[&["-r", file, "-Y", &filter], &fields[..]].concat());
    let read = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [at, data, comment] = fields[..] else { panic!("tshark says {line:?}") };
        let number = u64::from_str_radix(&data[..16], 16).expect("a number");
        Stamped { at: epoch(at).0, number, comment: comment.to_owned() }
    };
    lines.lines().map(read).collect()
}

/// Makes a bundle one of a host whose clock was ahead by so much.
fn shift(bundle: &Path, by: i64) {
    let capture = bundle.join("capture.pcapng.zst");
    let mut bytes = zstd::decode_all(fs::File::open(&capture).expect("it is there")).expect("zstd");
    let word =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
    let mut at = 0;
    while at < bytes.len() {
        const FRAME: u32 = 6;
        if word(&bytes, at) == FRAME {
            let stamp = u64::from(word(&bytes, at + 12)) << 32 | u64::from(word(&bytes, at + 16));
            let stamp = stamp.checked_add_signed(by).expect("a time");
            bytes[at + 12..at + 16].copy_from_slice(&((stamp >> 32) as u32).to_le_bytes());
            bytes[at + 16..at + 20].copy_from_slice(&(stamp as u32).to_le_bytes());
        }
        at += word(&bytes, at + 4) as usize;
    }
    fs::write(&capture, zstd::encode_all(&bytes[..], 1).expect("zstd")).expect("it can be written");
    for name in ["events.jsonl", "manifest.json"] {
        let path = bundle.join(name);
        let text = fs::read_to_string(&path).expect("it is there");
        let parts =
            if name == "manifest.json" { vec![text.as_str()] } else { text.lines().collect() };
        let moved = parts.into_iter().map(|part| {
            let value: Value = serde_json::from_str(part).expect("JSON");
            moved(value, by).to_string() + "\n"
        });
        fs::write(&path, moved.collect::<String>()).expect("it can be written");
    }
}

/// The same JSON with every time in it moved.
fn moved(value: Value, by: i64) -> Value {
    match value {
        Value::String(text) => match text.parse::<Wall>() {
            Ok(wall) => {
                Value::String(Wall(wall.0.checked_add_signed(by).expect("a time")).to_string())
            }
            Err(_) => Value::String(text),
        },
        Value::Array(values) => values.into_iter().map(|value| moved(value, by)).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, of)| (name, moved(of, by))).collect()
        }
        other => other,
    }
}
