//! What real kernels announced when bonds, teams, bridges and virtual routers changed, read as the
//! watcher reads it (see tests/data/netlink/ORIGIN.md).

use std::fs::File;
use std::path::Path;

use pcap_file::pcap::PcapReader;
use proptest::prelude::*;

use super::message::read_state;
use super::{KnownLinks, News, told_by};
use crate::watch::ip;

/// `nlmon` puts a header of 16 bytes before each message (Documentation of LINKTYPE_NETLINK), which has
/// one of 16 itself (linux/netlink.h).
const COOKED: usize = 16;
const NLMSGHDR: usize = 16;

/// Type and payload of each message.
fn messages(name: &str) -> Vec<(u16, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/netlink").join(name);
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    let mut messages = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let message = &packet.unwrap().data[COOKED..];
        let kind = u16::from_le_bytes([message[4], message[5]]);
        messages.push((kind, message[NLMSGHDR..].to_vec()));
    }
    messages
}

/// The sentences that the recorder would be told.
fn sentences(name: &str) -> Vec<String> {
    let mut told = KnownLinks::default();
    let mut sentences = Vec::new();
    for (kind, payload) in messages(name) {
        let news = News::read(kind, 0, &payload).expect("announcements about links");
        sentences.extend(told.differs(&news).map(|fact| fact.to_string()));
        told.learn(news);
    }
    sentences
}

/// Asserts that the sentences are told in this order, with others between.
fn assert_told(name: &str, expected: &[&str]) {
    let told = sentences(name);
    let mut rest = told.iter();
    for wanted in expected {
        assert!(rest.any(|sentence| sentence == wanted), "{wanted:?} is missing in {told:#?}");
    }
}

#[test]
fn a_bond_that_loses_lacp() {
    assert_told(
        "bond-lacp-lost.pcap",
        &[
            "dp0s0: LACP partner +collecting +distributing",
            "dp0s0: port active -> backup, LACP actor +expired -collecting -distributing, \
             LACP partner -synchronization",
            "dp0s0: port backup -> active, aggregator 2 -> 1, LACP actor +defaulted \
             -synchronization -expired, LACP partner -activity -timeout -aggregation -collecting \
             -distributing",
            "dp0bond0: DOWN, carrier on -> off, operstate up -> down, carrier changes 1 -> 2, \
             aggregator 2 -> 1, its ports 2 -> 1, partner key 15 -> 1, \
             LACP partner d2:1b:8e:de:32:a7 -> 00:00:00:00:00:00",
            "dp0bond0.956: DOWN, carrier on -> off, operstate up -> lowerlayerdown, \
             carrier changes 1 -> 2",
            "dp0bond0: UP, carrier off -> on, operstate down -> up, carrier changes 2 -> 3, \
             its ports 1 -> 2, partner key 1 -> 15, \
             LACP partner 00:00:00:00:00:00 -> d2:1b:8e:de:32:a7",
        ],
    );
}

#[test]
fn a_team_that_loses_lacp_says_so_by_its_carrier_alone() {
    let told = sentences("team-lacp-lost.pcap");
    let ports = told.iter().filter(|sentence| sentence.starts_with("dp0s"));
    assert!(ports.clone().all(|sentence| sentence.contains("appeared")), "{told:#?}");
    assert_told(
        "team-lacp-lost.pcap",
        &[
            "dp0bond0: DOWN, carrier on -> off, operstate up -> down, carrier changes 1 -> 2",
            "dp0bond0.956: DOWN, carrier on -> off, operstate up -> lowerlayerdown, \
             carrier changes 1 -> 2",
            "dp0bond0: UP, carrier off -> on, operstate down -> up, carrier changes 2 -> 3",
        ],
    );
}

#[test]
fn ports_of_bridges_and_bonds() {
    assert_told(
        "kinds.pcap",
        &[
            "v0: master none -> 3, port of a bridge",
            "v0: UP, carrier off -> on, operstate unknown -> up, carrier changes 1 -> 2, \
             STP disabled -> listening",
            "bond1: active port none -> 8",
            "a0: MII status up -> down, link failures 0 -> 1",
            "a0: port active -> backup",
            "b0: port backup -> active",
            "bond1: active port 8 -> 10",
        ],
    );
}

#[test]
fn what_bond_ports_and_virtual_routers_tell() {
    let states = |name| messages(name).into_iter().filter_map(|(_, bytes)| read_state(&bytes));
    let states: Vec<_> = states("bond-lacp-lost.pcap").chain(states("kinds.pcap")).collect();
    let first = |name: &str| states.iter().find(|state| state.name == name).unwrap();

    let bond = first("dp0bond0").bond.as_ref().unwrap();
    assert_eq!((bond.mode.as_str(), bond.miimon_ms, bond.min_links), ("802.3ad", 100, 2));
    assert_eq!((bond.lacp_fast, bond.active_port), (Some(true), None));
    assert_eq!(bond.aggregator.map(|aggregator| aggregator.ports), Some(2));
    let json = serde_json::to_value(first("dp0s0")).unwrap();
    assert_eq!(json["port"]["of"], "bond");
    assert_eq!(json["port"]["mii_status"], "up");
    assert_eq!(json["port"]["link_failures"], 0);
    let active = ["activity", "timeout", "aggregation", "synchronization", "collecting"];
    assert_eq!(json["port"]["actor"], serde_json::json!([&active[..], &["distributing"]].concat()));
    assert_eq!(first("bond1").bond.as_ref().unwrap().lacp_fast, None);
    assert_eq!(
        (first("vrrp.v1.1").virtual_router(), first("v0").virtual_router()),
        (Some(10), None)
    );
}

/// What one datagram with all messages would tell is what they tell one by one.
#[test]
fn a_datagram_tells_what_its_messages_do() {
    let whole = |(kind, payload): &(u16, Vec<u8>)| {
        let mut message = ((NLMSGHDR + payload.len()) as u32).to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.resize(NLMSGHDR, 0);
        message.extend(payload);
        message.resize(message.len().next_multiple_of(4), 0);
        message
    };
    let datagram: Vec<u8> = messages("kinds.pcap").iter().flat_map(whole).collect();
    let told: Vec<String> = told_by(&datagram).iter().map(ToString::to_string).collect();
    assert_eq!(told, sentences("kinds.pcap"));
}

proptest! {
    #[test]
    fn random_datagrams_never_panic(
        kind in 16_u8..32,
        length in 0_u8..80,
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let datagram = [&[length, 0, 0, 0, kind, 0, 0, 0][..], &bytes].concat();
        let facts = [told_by(&datagram), ip::told_by(&datagram, &[])].concat();
        let _: Vec<String> = facts.iter().map(ToString::to_string).collect();
    }

    #[test]
    fn damaged_messages_never_panic(
        name in prop::sample::select(vec!["bond-lacp-lost.pcap", "kinds.pcap"]),
        which: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        keep: prop::sample::Index,
    ) {
        let messages = messages(name);
        let (kind, mut bytes) = messages[which.index(messages.len())].clone();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(keep.index(bytes.len() + 1));
        let mut told = KnownLinks::default();
        if let Some(news) = News::read(kind, 0, &bytes) {
            let _ = told.differs(&news).map(|fact| fact.to_string());
            told.learn(news);
        }
    }

    #[test]
    fn random_messages_never_panic(kind in 16_u16..18, bytes: Vec<u8>) {
        let _ = News::read(kind, 0, &bytes);
    }
}
