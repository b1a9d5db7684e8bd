//! Bundles as other programs read them: tshark, capinfos, tcpdump, zstd and jq are the judges, because
//! a round trip through our own reader would prove nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use dashcap::frame::{Direction, LinkType, Origin, Reception, StoredFrame};
use dashcap::incident::pcapng::{LONGEST_FRAME, Level};
use dashcap::incident::store::Store;
use dashcap::incident::{Ending, Incident, bundle};
use dashcap::time::{Mono, Wall};
use sha2::{Digest, Sha256};

use crate::incidents::{MONO, S, Story, WALL, answered, at, frame, link, lost, origin, sample};
use crate::lab::needs;

/// tshark's filter for packets: it takes journal entries for frames too.
const PACKETS: &str = "not systemd_journal";

/// A bundle on the disk, removed when dropped.
struct Written {
    _directory: tempfile::TempDir,
    path: PathBuf,
    frames: u64,
}

impl Written {
    fn of(incident: &Incident) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), 0).unwrap();
        let bundle = bundle::write(&store, incident, Level::default()).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "and the record");
        let written = Self { _directory: directory, path: bundle.path, frames: bundle.frames };
        output("zstd", &["-q", "-t", &written.file("capture.pcapng.zst")], &[]);
        written
    }

    fn file(&self, name: &str) -> String {
        self.path.join(name).to_str().unwrap().to_owned()
    }

    /// tshark's fields, tab separated, one line per record.
    fn fields(&self, filter: &str, fields: &[&str]) -> Vec<String> {
        let capture = self.file("capture.pcapng.zst");
        let mut arguments = vec!["-n", "-r", &capture, "-Y", filter, "-T", "fields"];
        for field in fields {
            arguments.extend(["-e", field]);
        }
        output("tshark", &arguments, &[]).lines().map(str::to_owned).collect()
    }

    fn jq(&self, file: &str, filter: &str) -> String {
        output("jq", &["-c", "-r", filter, &self.file(file)], &[]).trim().to_owned()
    }
}

/// True if the programs are here that read a bundle; else says which is not.
fn readers_are_here() -> bool {
    ["capinfos", "jq", "tcpdump", "tshark", "zstd"].into_iter().all(needs)
}

/// What a program prints; it must succeed.
fn output(program: &str, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A program that has seen enough closes its end.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().unwrap()
    });
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// An Ethernet frame of an experimental EtherType (IEEE 802, 0x88b5) with VLAN tags in front.
fn ethernet(tags: &[(u16, u16)], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (tpid, tci) in tags {
        bytes.extend_from_slice(&tpid.to_be_bytes());
        bytes.extend_from_slice(&tci.to_be_bytes());
    }
    bytes.extend_from_slice(&[0x88, 0xb5]);
    bytes.extend_from_slice(payload);
    bytes
}

fn at_ns(ns: u64) -> Mono {
    Mono(MONO + ns)
}

#[test]
fn packets_come_back_with_stamp_interface_direction_and_tags() {
    if !readers_are_here() {
        return;
    }
    let eth0 = Arc::new(origin("dp0s0", 2));
    let eth1 = Arc::new(origin("dp0s2", 3));
    let mut out = frame(&eth1, at_ns(7), &ethernet(&[(0x88a8, 100), (0x8100, 0xe3bc)], b"q-in-q"));
    out.header.direction = Direction::Outbound;
    out.header.reception = Reception::Unspecified;
    let mut short = frame(&eth0, at_ns(2 * S), &ethernet(&[], &[7; 46]));
    short.header.original_len = 1_514;
    let incident = Story::new()
        .track("dp0s0", 2, vec![frame(&eth0, at_ns(0), &ethernet(&[(0x8100, 956)], b"v")), short])
        .track("dp0s2", 3, vec![out])
        .incident();
    let written = Written::of(&incident);
    assert_eq!(written.frames, 3);
    let fields = [
        "frame.time_epoch",
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.packet_flags_reception_type",
        "ieee8021ad.id",
        "vlan.id",
        "frame.cap_len",
        "frame.len",
    ];
    assert_eq!(
        written.fields(PACKETS, &fields),
        [
            "1795356860.811089123\tdp0s0\t0x00000001\t1\t\t956\t19\t19",
            "1795356860.811089130\tdp0s2\t0x00000002\t0\t100\t956\t28\t28",
            "1795356862.811089123\tdp0s0\t0x00000001\t1\t\t\t60\t1514",
        ]
    );
    let info = output("capinfos", &["-M", &written.file("capture.pcapng.zst")], &[]);
    let line = |start: &str| {
        let line = info.lines().find(|line| line.trim_start().starts_with(start));
        line.unwrap_or_else(|| panic!("{start}: {info}")).trim().to_owned()
    };
    assert!(line("Number of packets:").ends_with(" 3"), "{info}");
    assert!(line("File timestamp precision:").contains("nanoseconds (9)"));
    assert!(line("Capture oper-sys:").ends_with("Linux 6.18.0"));
    assert!(line("Capture application:").contains("dashcap"));
    assert!(line("Capture comment:").contains("link-down: dp0bond0: DOWN"));
    assert!(line("Number of interfaces in file:").ends_with('2'));
    assert!(line("Number of stat entries").ends_with('1'));
    assert_eq!(
        written.jq("manifest.json", "[.interfaces[]|.in_bundle]"),
        "[{\"frames\":2,\"folded\":0,\"faded\":0,\"bytes\":79,\"first\":\"2026-11-22T14:14:20.811089123Z\",\
         \"last\":\"2026-11-22T14:14:22.811089123Z\"},\
         {\"frames\":1,\"folded\":0,\"faded\":0,\"bytes\":28,\"first\":\"2026-11-22T14:14:20.811089130Z\",\
         \"last\":\"2026-11-22T14:14:20.811089130Z\"}]"
    );
}

#[test]
fn link_changes_stand_between_the_packets_and_libpcap_passes_over_them() {
    if !readers_are_here() {
        return;
    }
    let eth0 = Arc::new(origin("eth0", 2));
    let frames = (0..4).map(|n| frame(&eth0, at_ns(n * S), &ethernet(&[], &[0; 46]))).collect();
    let incident = Story::new()
        .track("eth0", 2, frames)
        .seen(vec![
            link(1, "eth0", (true, "up"), (false, "down")),
            sample(2, "eth0", Some(false), "down", 1_000, 1),
            answered(2, "192.0.2.1", 412),
            lost(3, "192.0.2.1", 1),
        ])
        .incident();
    let written = Written::of(&incident);
    let told = written.fields("frame", &["frame.time_epoch", "_ws.col.Protocol", "_ws.col.Info"]);
    let journal = "systemd Journal";
    let kinds: Vec<bool> = told.iter().map(|line| line.contains(journal)).collect();
    assert_eq!(kinds, [true, false, true, false, false, true, false], "{told:#?}");
    assert!(told[0].starts_with("1795356860.811089000"), "{told:#?}");
    assert!(told[0].contains("TRIGGER link-down: dp0bond0: DOWN"), "{told:#?}");
    assert!(told[2].contains("eth0: DOWN, carrier on -> off"), "{told:#?}");
    assert!(told[5].contains("probe 192.0.2.1 lost"), "{told:#?}");
    assert_eq!(
        written
            .fields("systemd_journal", &["systemd_journal.priority", "systemd_journal.syslog_id"]),
        ["4\tdashcap", "2\tdashcap", "4\tdashcap"]
    );

    let plain = Command::new("zstd")
        .args(["-dcq", &written.file("capture.pcapng.zst")])
        .output()
        .unwrap()
        .stdout;
    let read = output("tcpdump", &["-n", "-tt", "--nano", "-r", "-"], &plain);
    let stamps: Vec<&str> =
        read.lines().filter_map(|l| l.split_once(" 02:").map(|l| l.0)).collect();
    let expected: Vec<String> = (860..864).map(|s| format!("1795356{s}.811089123")).collect();
    assert_eq!(stamps, expected, "{read}");
}

#[test]
fn statistics_say_what_was_received_and_dropped_and_when() {
    if !readers_are_here() {
        return;
    }
    let incident = Story::new().track("eth0", 2, vec![]).incident();
    let written = Written::of(&incident);
    let capture = written.file("capture.pcapng.zst");
    // What capinfos does not print, Wireshark's dissector of capture files does; it takes no zstd.
    let plain = written.file("plain.pcapng");
    output("zstd", &["-dq", &capture, "-o", &plain], &[]);
    let dissected =
        output("tshark", &["-r", &plain, "-X", "read_format:MIME Files Format", "-V"], &[]);
    let (_, block) = dissected.split_once("Block: Interface Statistics Block").unwrap();
    for expected in [
        "[Timestamp: Nov 22, 2026 14:14:40.811089123 UTC]",
        "Option: Number of Received Packets = 5\n",
        "Option: Number of Dropped Packets = 5\n",
        "Option: Number of Packets Dropped by OS = 2\n",
        "Option: Number of Packets Delivered to the User = 0\n",
        "Comment: dashcap: folded 0, lane_dropped 3, filtered 0, truncated 0, faded 0, evicted 0, gaps 0\n",
    ] {
        assert!(block.contains(expected), "{expected}: {block}");
    }
    // No tool prints these two: code, length, high word, low word.
    let bytes = std::fs::read(plain).unwrap();
    for (code, time) in [(2_u16, WALL - 100 * S), (3, WALL + 20 * S)] {
        let mut option = [code.to_le_bytes(), 8_u16.to_le_bytes()].concat();
        option.extend_from_slice(&u32::try_from(time >> 32).unwrap().to_le_bytes());
        option.extend_from_slice(&u32::try_from(time & 0xffff_ffff).unwrap().to_le_bytes());
        assert!(bytes.windows(option.len()).any(|window| window == option), "option {code}");
    }
}

#[test]
fn two_link_types_an_empty_interface_and_one_created_again() {
    if !readers_are_here() {
        return;
    }
    let eth0 = Arc::new(origin("eth0", 2));
    let again = Arc::new(origin("eth0", 9));
    let tun = Arc::new(Origin { link_type: LinkType::RAW, ..origin("tun0", 4) });
    let ip = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    let mut incident = Story::new()
        .track(
            "eth0",
            9,
            vec![
                frame(&eth0, at_ns(0), &ethernet(&[], &[0; 46])),
                frame(&again, at_ns(2 * S), &ethernet(&[], &[0; 46])),
            ],
        )
        .track_of(Arc::clone(&tun), vec![frame(&tun, at_ns(S), &ip)])
        .track("quiet0", 5, vec![])
        .incident();
    incident.tracks[0].filter = Some("not vlan 1".to_owned());
    let written = Written::of(&incident);
    let fields = ["frame.interface_name", "frame.interface_id", "frame.protocols"];
    assert_eq!(
        written.fields(PACKETS, &fields),
        ["eth0\t0\teth:ethertype:data", "tun0\t1\traw:ip", "eth0\t3\teth:ethertype:data"]
    );
    let info = output("capinfos", &[&written.file("capture.pcapng.zst")], &[]);
    assert!(info.contains("Number of interfaces in file: 4"), "{info}");
    assert_eq!(info.matches("Number of stat entries = 1").count(), 3, "{info}");
    assert_eq!(info.matches("Filter string = not vlan 1").count(), 2, "{info}");
    let (_, current) = info.split_once("Description = index 9, stamped by the kernel").unwrap();
    let (_, entries) = current.split_once("Number of stat entries = ").unwrap();
    assert!(entries.starts_with('1'), "the counts stand at the last binding: {info}");
    assert_eq!(
        written.jq("manifest.json", "[.interfaces[]|[.name,.in_bundle.frames,(.origins|length)]]"),
        "[[\"eth0\",2,2],[\"tun0\",1,1],[\"quiet0\",0,1]]"
    );
    assert_eq!(
        written.jq(
            "manifest.json",
            ".interfaces[0]|[(.origins[]|.index),(.in_bundle|.first,.last)]|map(tostring)|join(\" \")"
        ),
        "2 9 2026-11-22T14:14:20.811089123Z 2026-11-22T14:14:22.811089123Z",
        "lives in their order"
    );
}

#[test]
fn no_frames_and_no_interfaces_are_still_a_bundle() {
    if !readers_are_here() {
        return;
    }
    for incident in [Story::new().incident(), Story::new().track("eth0", 2, vec![]).incident()] {
        let written = Written::of(&incident);
        assert_eq!(written.fields(PACKETS, &["frame.number"]), [""; 0]);
        assert_eq!(written.jq("manifest.json", ".format"), "dashcap-bundle");
        output("capinfos", &[&written.file("capture.pcapng.zst")], &[]);
    }
}

#[test]
fn frames_of_any_length_are_read() {
    if !readers_are_here() {
        return;
    }
    let eth0 = Arc::new(origin("eth0", 2));
    let lengths =
        [0, 1, 14, 15, 16, 17, 1_514, 9_014, 65_549, 70_000, LONGEST_FRAME, LONGEST_FRAME + 1];
    let frames: Vec<StoredFrame> =
        (0..).zip(lengths).map(|(n, length)| frame(&eth0, at_ns(n), &vec![0x88; length])).collect();
    let written = Written::of(&Story::new().track("eth0", 2, frames).incident());
    let expected: Vec<String> =
        lengths.iter().map(|&l| format!("{}\t{l}", l.min(LONGEST_FRAME))).collect();
    assert_eq!(written.fields(PACKETS, &["frame.cap_len", "frame.len"]), expected);
    assert_eq!(written.jq("manifest.json", ".frames_shortened"), "1");
}

#[test]
fn a_clock_step_inside_changes_stamps_but_not_the_order() {
    if !readers_are_here() {
        return;
    }
    let eth0 = Arc::new(origin("eth0", 2));
    let eth1 = Arc::new(origin("eth1", 3));
    let stepped = |frame: StoredFrame| {
        let mut frame = frame;
        frame.header.wall = Wall(frame.header.wall.0 - 3_600 * S);
        frame
    };
    let at_s = |origin: &Arc<Origin>, s| frame(origin, at_ns(s * S), &ethernet(&[], &[0; 46]));
    let mut incident = Story::new()
        .track("eth0", 2, vec![at_s(&eth0, 0), stepped(at_s(&eth0, 4))])
        .track("eth1", 3, vec![at_s(&eth1, 1), stepped(at_s(&eth1, 3))])
        .incident();
    incident.closed.wall = Wall(incident.closed.wall.0 - 3_600 * S);
    let written = Written::of(&incident);
    let epochs = [(0, "eth0"), (1, "eth1"), (3 - 3_600, "eth1"), (4 - 3_600, "eth0")];
    let expected: Vec<String> = epochs
        .iter()
        .map(|(s, interface)| format!("{}.811089123\t{interface}", 1_795_356_860_i64 + s))
        .collect();
    let fields = ["frame.time_epoch", "frame.interface_name"];
    assert_eq!(written.fields(PACKETS, &fields), expected);
    assert_eq!(written.jq("manifest.json", ".host.clock_stepped"), "true");
}

#[test]
fn what_the_source_cannot_know_is_left_out() {
    if !readers_are_here() {
        return;
    }
    let eth0 = Arc::new(origin("eth0", 2));
    let mut unknown = frame(&eth0, at_ns(0), &ethernet(&[], &[0; 46]));
    unknown.header.direction = Direction::Unknown;
    unknown.header.reception = Reception::Unspecified;
    let mut incident = Story::new().track("eth0", 2, vec![unknown]).incident();
    incident.tracks[0].stats.kernel_received = None;
    incident.tracks[0].stats.kernel_dropped = None;
    let written = Written::of(&incident);
    assert_eq!(written.fields("frame.packet_flags", &["frame.number"]), [""; 0]);
    let counts =
        written.jq("manifest.json", "[.interfaces[0].counts|.kernel_received,.lane_dropped]");
    assert_eq!(counts, "[null,3]");
}

#[test]
fn the_manifest_names_every_other_file_with_its_sum() {
    if !readers_are_here() {
        return;
    }
    let mut incident = Story::new().track("eth0", 2, vec![]).incident();
    incident.ending = Ending::Cut { by: "SIGTERM".to_owned() };
    let mut second = incident.opened_by.clone();
    second.at = at(5);
    incident.extended_by.push(second);
    let written = Written::of(&incident);
    let listed = written.jq("manifest.json", ".files[]|[.name,.size,.sha256]|@tsv");
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split('\t').next()).collect();
    let expected = ["capture.pcapng.zst", "timeline.csv", "events.jsonl", "system/uname.txt"];
    assert_eq!(names, expected);
    for line in listed.lines() {
        let [name, size, sum] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let content = std::fs::read(Path::new(&written.file(name))).unwrap();
        assert_eq!(content.len().to_string(), size);
        let hex: String = Sha256::digest(&content).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, sum);
    }
    assert_eq!(
        written.jq(
            "manifest.json",
            "[.version,.window.ending,.window.asked.seconds,(.triggers|length)]"
        ),
        "[1,{\"how\":\"cut\",\"by\":\"SIGTERM\"},30,2]"
    );
    assert_eq!(
        written.jq("manifest.json", "[.triggers[0]|.kind,.object,.time,.mono_ns]"),
        format!("[\"link-down\",\"dp0bond0\",\"{}\",{MONO}]", Wall(WALL))
    );
    let trigger = written.jq("events.jsonl", "select(.kind==\"trigger\")|.time+\" \"+.object");
    assert_eq!(trigger.lines().count(), 2);
}
