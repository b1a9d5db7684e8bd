//! Captures that nobody here made: what happens in them is found, and nothing else is worse than a
//! notice; and the same with damage, which must not panic.

use std::fs::{self, File};
use std::path::PathBuf;

use pcap_file::pcap::PcapReader;
use proptest::prelude::*;

use super::*;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

/// Seconds since the first frame, and bytes.
type Frames = Vec<(f64, Vec<u8>)>;

fn read(path: &str) -> (LinkType, Frames) {
    let mut reader = PcapReader::new(File::open(format!("{DATA}/{path}")).unwrap()).unwrap();
    let link_type = LinkType(u32::from(reader.header().datalink) as u16);
    let (mut frames, mut first): (Frames, _) = (Vec::new(), None);
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        let first = *first.get_or_insert(packet.timestamp);
        let at = packet.timestamp.saturating_sub(first).as_secs_f64();
        // Samples put together from several years do not need years of ticks.
        frames.push((at.min(3_600.0), packet.data.into_owned()));
    }
    (link_type, frames)
}

fn played(path: &str) -> Stage {
    let (link_type, frames) = read(path);
    let mut stage = Stage { link_type, ..Stage::new() };
    for (at, bytes) in frames {
        stage.frame(at, Direction::Unknown, &bytes);
    }
    stage
}

#[test]
fn what_happens_in_real_captures_is_found_when_it_happens() {
    // file, kind, seconds at which it is told (0.5 s more or less), severity
    for (file, kind, at, severity) in [
        ("control/tcpdump-LACP.pcap", FindingKind::LacpExpired, 0.0, Severity::Notice),
        ("control/tcpdump-LACP.pcap", FindingKind::LacpDefaulted, 8.4, Severity::Notice),
        ("control/tcpdump-LACP.pcap", FindingKind::LacpRecovered, 90.5, Severity::Info),
        ("control/tcpdump-HSRP_coup.pcap", FindingKind::HsrpStateChanged, 21.0, Severity::Notice),
        ("protocols/tcpdump-HSRP_failover.pcap", FindingKind::HsrpSilence, 20.0, Severity::Warning),
        (
            "protocols/tcpdump-HSRP_failover.pcap",
            FindingKind::HsrpStateChanged,
            20.3,
            Severity::Warning,
        ),
        (
            "control/tcpdump-802.1w_rapid_STP.pcap",
            FindingKind::StpTopologyChange,
            30.0,
            Severity::Notice,
        ),
        ("control/libpcap-vrrp.pcap", FindingKind::VrrpMasterChanged, 8.0, Severity::Notice),
        ("protocols/zeek-linuxsll-arp.pcap", FindingKind::ArpUnanswered, 3.4, Severity::Notice),
    ] {
        let stage = played(file);
        let told = stage.findings.iter().find(|(_, f)| f.kind == kind && f.severity == severity);
        let (when, _) = told.unwrap_or_else(|| panic!("{file}: no {kind}: {:?}", stage.told()));
        assert!((when - at).abs() < 0.5, "{file}: {kind} at {when}, not {at}");
    }
}

#[test]
fn ordinary_traffic_is_no_trouble() {
    let failing = ["tcpdump-HSRP_failover.pcap"];
    let mut read = 0;
    for folder in ["control", "protocols"] {
        let paths: Vec<PathBuf> =
            fs::read_dir(format!("{DATA}/{folder}")).unwrap().map(|e| e.unwrap().path()).collect();
        for path in paths {
            let name = path.file_name().unwrap().to_str().unwrap();
            if !name.ends_with(".pcap") || failing.contains(&name) {
                continue;
            }
            let stage = played(&format!("{folder}/{name}"));
            assert!(stage.worst() < Some(Severity::Warning), "{name}: {:?}", stage.told());
            assert_eq!(stage.protocols.refused(), 0, "{name}");
            read += 1;
        }
    }
    assert!(read > 15, "{read} captures");
}

proptest! {
    #[test]
    fn damage_panics_nowhere(
        file in prop::sample::select(vec![
            "control/tcpdump-LACP.pcap",
            "control/libpcap-vrrp.pcap",
            "control/tcpdump-HSRP_coup.pcap",
            "control/tcpdump-LLDP_and_CDP.pcap",
            "control/tcpdump-bfd-raw-auth-simple.pcap",
            "control/tcpdump-rpvstp-trunk-native-vid5.pcap",
            "control/tcpdump-OSPFv3_broadcast_adjacency.pcap",
            "control/hadrielk-dhcp.pcap",
            "protocols/zeek-linuxsll-arp.pcap",
        ]),
        hits in proptest::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()),
            0..64,
        ),
        keep in 20_usize..400,
        // Times that go forth, stand still and go back.
        steps in proptest::collection::vec(-100.0_f64..4_000.0, 64),
    ) {
        let (link_type, mut frames) = read(file);
        for (frame, byte, value) in hits {
            let frame = frame.index(frames.len());
            let byte = byte.index(frames[frame].1.len());
            frames[frame].1[byte] = value;
        }
        let mut protocols = Protocols::new("dp0s0", &Options::default(), &Together::default());
        let (mut now, mut findings) = (10_000.0_f64, Vec::new());
        for ((_, bytes), step) in frames.iter().zip(steps.iter().cycle()) {
            now = (now + step).max(0.0);
            let nanos = (now * 1e9) as u64;
            let at = Stamp { mono: Mono(nanos), wall: Wall(nanos) };
            let bytes = &bytes[..keep.min(bytes.len())];
            let header = FrameHeader::default();
            let seen = Seen { interface: "dp0s0", link_type, header, at, bytes, noticed: None };
            protocols.frame(&seen, &mut findings);
        }
        protocols.tick(Stamp { mono: Mono(u64::MAX), wall: Wall(u64::MAX) }, &mut findings);
    }
}
