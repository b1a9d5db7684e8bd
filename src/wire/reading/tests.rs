//! Real captures read as tshark reads them, made-up frames where there are none, and nonsense.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use pcap_file::pcap::PcapReader;
use proptest::prelude::*;

use super::*;
use crate::lab::needs;
use crate::wire::link::{LINUX_SLL, LINUX_SLL2};

/// Captures; where they come from is in each folder's `ORIGIN.md`.
const DATA: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/control"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/protocols"),
];

const LINK_TYPES: [LinkType; 4] = [LinkType::ETHERNET, LinkType::RAW, LINUX_SLL, LINUX_SLL2];

fn captures() -> Vec<PathBuf> {
    let mut all: Vec<_> = DATA
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "pcap"))
        .collect();
    all.sort();
    all
}

fn frames(capture: &Path) -> (LinkType, Vec<Vec<u8>>) {
    let mut reader = PcapReader::new(File::open(capture).unwrap()).unwrap();
    let link_type = LinkType(u32::from(reader.header().datalink) as u16);
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet.unwrap().data.into_owned());
    }
    (link_type, frames)
}

/// Protocol and info column of each frame, and its VLANs, by tshark.
fn judged(capture: &Path) -> Vec<[String; 3]> {
    let output = Command::new("tshark")
        .args(["-n", "-o", "tcp.analyze_sequence_numbers:FALSE", "-T", "fields"])
        .args(["-e", "_ws.col.Protocol", "-e", "_ws.col.Info", "-e", "vlan.id", "-r"])
        .arg(capture)
        .output()
        .expect("it is here");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark: {complaint}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| {
            let mut columns = line.split('\t').map(str::to_owned);
            std::array::from_fn(|_| columns.next().unwrap_or_default())
        })
        .collect()
}

/// One word for the protocol, as both call it.
fn family(protocol: &str) -> &str {
    match protocol {
        "RSTP" | "MSTP" => "STP",
        "BFD" => "BFD Control",
        // Everything on top of them that is not looked into here.
        "HTTP" | "TELNET" | "TLSv1" | "TLSv1.2" | "SSL" => "TCP",
        other => other,
    }
}

#[test]
fn frames_read_as_in_tshark() {
    if !needs("tshark") {
        return;
    }
    const KNOWN: [&str; 11] = [
        "ARP",
        "ICMPv6",
        "LACP",
        "VRRP",
        "HSRP",
        "STP",
        "LLDP",
        "BFD Control",
        "OSPF",
        "DHCP",
        "TCP",
    ];
    let (mut wrong, mut compared) = (Vec::new(), std::collections::BTreeMap::new());
    for capture in captures() {
        let (link_type, frames) = frames(&capture);
        let judged = judged(&capture);
        assert_eq!(frames.len(), judged.len(), "{}", capture.display());
        for (number, (bytes, [protocol, info, vlans])) in (1..).zip(frames.iter().zip(&judged)) {
            let reading = Reading::of(link_type, bytes).unwrap();
            let ours = reading.message.to_string();
            let at = || format!("{}:{number}", capture.file_name().unwrap().display());
            if reading.vlans().to_string().replace('.', ",") != *vlans {
                wrong.push(format!("{}: VLAN {} is {vlans}", at(), reading.vlans()));
            }
            let name = reading.message.protocol();
            // HSRP's advertisements are about interfaces, not groups.
            if !KNOWN.contains(&family(protocol)) || info.starts_with("Advertise") {
                continue;
            }
            *compared.entry(name).or_insert(0) += 1;
            // Notes of tshark's own, and what it sees only by looking at several frames.
            let info = info.split(" [").next().unwrap_or_default();
            let same = ours.starts_with(info) || info.starts_with(&ours) || name == "TCP";
            if name != family(protocol) || !same {
                wrong.push(format!("{}: {name} {ours}\n    is {protocol} {info}", at()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let few: Vec<_> = KNOWN.iter().filter(|name| !compared.contains_key(**name)).collect();
    assert!(few.is_empty(), "never compared: {few:?}");
}

proptest! {
    #[test]
    fn nonsense_panics_nowhere(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for link_type in LINK_TYPES {
            let _ = Reading::of(link_type, &bytes).map(|reading| reading.to_string());
        }
    }

    /// Damage that leaves most of a real frame in place gets far deeper than random bytes do.
    #[test]
    fn damage_panics_nowhere(
        capture in any::<prop::sample::Index>(),
        frame in any::<prop::sample::Index>(),
        hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        keep in any::<prop::sample::Index>(),
    ) {
        let captures = captures();
        let (link_type, mut frames) = frames(&captures[capture.index(captures.len())]);
        let at = frame.index(frames.len());
        let bytes = &mut frames[at];
        for (at, value) in hits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(keep.index(bytes.len() + 1));
        let _ = Reading::of(link_type, bytes).map(|reading| reading.to_string());
    }
}
