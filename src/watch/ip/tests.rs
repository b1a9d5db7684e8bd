//! What is news, in tables; and the kernel's announcements, in network namespaces.

use crossbeam_channel::{Receiver, bounded};
use netlink_packet_core::NLM_F_REPLACE;
use proptest::prelude::*;

use super::kernel::{RTM_DELNEIGH, RTM_DELROUTE, RTM_NEWNEIGH, RTM_NEWROUTE};
use super::*;
use crate::lab::{Namespace, wait_for};
use crate::observation::address::Validity;
use crate::observation::{Fact, Observation};
use crate::time::Clock;
use crate::watch::{RunningWatcher, spawn};

/// A netlink attribute (linux/netlink.h): length, type, value, padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A unicast IPv4 default route of table main via 10.0.0.`host` on interface 7.
fn default_via(host: u8) -> Vec<u8> {
    let header = [2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    let gateway = attribute(5, &[10, 0, 0, host]);
    let interface = attribute(4, &7_u32.to_ne_bytes());
    [&header[..], &gateway, &interface].concat()
}

/// 10.0.0.1 on interface 7 in the state `NUD_*`.
fn neighbour(state: u16) -> Vec<u8> {
    let [low, high] = state.to_ne_bytes();
    let header = [2, 0, 0, 0, 7, 0, 0, 0, low, high, 0, 1];
    let link_address = attribute(2, &[2, 0, 0, 0, 0, 9]);
    [&header[..], &attribute(1, &[10, 0, 0, 1]), &link_address].concat()
}

#[test]
fn only_a_difference_is_news() {
    const REPLACE: u16 = NLM_F_REPLACE;
    let mut told = KnownNetwork::default();
    assert!(told.learn(News::Interface(7, "dp0s0".to_owned(), true)));
    let lookup = |kind, flags, payload: &[u8]| read_news(kind, flags, payload).unwrap();
    let elsewhere = [&[2, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0][..], &attribute(5, &[10, 0, 0, 9])];
    assert_eq!(read_news(RTM_NEWROUTE, 0, &elsewhere.concat()), None, "not a default route");
    for (kind, flags, payload, sentence) in [
        (RTM_NEWNEIGH, 0, neighbour(0x20), None), // nobody watches it yet
        (
            RTM_NEWROUTE,
            0,
            default_via(1),
            Some("IPv4 default route (metric 0) appeared: via 10.0.0.1 on dp0s0"),
        ),
        (RTM_NEWROUTE, 0, default_via(1), None),
        (
            RTM_NEWROUTE,
            0,
            default_via(2),
            Some(
                "IPv4 default route (metric 0): via 10.0.0.1 on dp0s0 -> via 10.0.0.1 on dp0s0 \
                 and via 10.0.0.2 on dp0s0",
            ),
        ),
        (
            RTM_DELROUTE,
            0,
            default_via(2),
            Some(
                "IPv4 default route (metric 0): via 10.0.0.1 on dp0s0 and via 10.0.0.2 on dp0s0 \
                 -> via 10.0.0.1 on dp0s0",
            ),
        ),
        (RTM_NEWNEIGH, 0, neighbour(0x02), Some("dp0s0: neighbour 10.0.0.1 at 02:00:00:00:00:09")),
        (RTM_NEWNEIGH, 0, neighbour(0x04), None), // stale
        (RTM_NEWNEIGH, 0, neighbour(0x10), None), // probe
        (
            RTM_NEWNEIGH,
            0,
            neighbour(0x20),
            Some("dp0s0: neighbour 10.0.0.1 at 02:00:00:00:00:09 -> FAILED"),
        ),
        (RTM_NEWNEIGH, 0, neighbour(0x01), None), // asked again
        (RTM_NEWNEIGH, 0, neighbour(0x20), None),
        (RTM_DELNEIGH, 0, neighbour(0x20), Some("dp0s0: neighbour 10.0.0.1 forgotten")),
        (
            RTM_NEWROUTE,
            REPLACE,
            default_via(3),
            Some("IPv4 default route (metric 0): via 10.0.0.1 on dp0s0 -> via 10.0.0.3 on dp0s0"),
        ),
        (
            RTM_DELROUTE,
            0,
            default_via(3),
            Some("IPv4 default route (metric 0) GONE: was via 10.0.0.3 on dp0s0, proto boot"),
        ),
        (RTM_DELROUTE, 0, default_via(3), None),
    ] {
        let news = lookup(kind, flags, &payload);
        let fact = told.differs(&news);
        assert_eq!(fact.map(|fact| fact.to_string()).as_deref(), sentence, "{news:?}");
        assert!(told.learn(news));
    }
}

#[test]
fn facts_serialise_with_their_tag() {
    let mut told = KnownNetwork::new([[10, 0, 0, 1].into()]);
    told.learn(News::Interface(7, "dp0s0".to_owned(), true));
    let address = News::Address((7, [10, 0, 0, 2].into(), 24), Some(Validity::Preferred));
    let json = |news: &News| serde_json::to_string(&told.differs(news).unwrap()).unwrap();
    let of = |kind, payload: &[u8]| read_news(kind, 0, payload).unwrap();
    for (news, expected) in [
        (
            address,
            r#"{"fact":"address","interface":"dp0s0","address":"10.0.0.2","prefix_len":24,"before":null,"now":"preferred"}"#,
        ),
        (
            of(RTM_NEWROUTE, &default_via(1)),
            r#"{"fact":"route","ipv6":false,"table":254,"metric":0,"before":null,"now":{"kind":"unicast","hops":[{"gateway":"10.0.0.1","interface":"dp0s0","usable":true}],"protocol":"boot"}}"#,
        ),
        (
            of(RTM_NEWNEIGH, &neighbour(0x20)),
            r#"{"fact":"neighbour","interface":"dp0s0","address":"10.0.0.1","before":null,"now":{"answers":"no","address":null}}"#,
        ),
    ] {
        assert_eq!(json(&news), expected);
    }
}

#[test]
fn options_have_bounds() {
    let with = |neighbours| Options { neighbours, ..Options::default() };
    let host: IpAddr = [10, 0, 0, 1].into();
    for (options, good) in [
        (Options::default(), true),
        (with(vec![host]), true),
        (with(vec![host; 1_025]), false),
        (with(vec![[224, 0, 0, 18].into()]), false),
        (with(vec![[0, 0, 0, 0].into()]), false),
        (Options { receive_buffer: 1, ..Options::default() }, false),
    ] {
        assert_eq!(options.check().is_ok(), good, "{options:?}");
    }
}

fn start(options: &Options) -> (RunningWatcher, Receiver<Observation>) {
    let (outbox, inbox) = bounded(crate::watch::CHANNEL);
    let watcher = IpWatcher::open(options).unwrap();
    (spawn(watcher, Clock::system(), outbox).unwrap(), inbox)
}

/// Waits for the observation that is told in these words.
fn wait_for_words(inbox: &Receiver<Observation>, words: &str) -> Observation {
    wait_for(inbox, words, |seen| seen.fact.to_string() == words).0
}

/// A namespace with n0 10.0.0.2/24 and its peer n1, both up, where nobody answers.
fn lab() -> Option<Namespace> {
    let ns = Namespace::new()?;
    ns.ip("link add n0 type veth peer name n1");
    for line in ["link set n0 up", "link set n1 up", "addr add 10.0.0.2/24 dev n0"] {
        ns.ip(line);
    }
    Some(ns)
}

#[test]
fn addresses_that_come_and_go_are_told() {
    let Some(ns) = lab() else { return };
    let (watch, inbox) = ns.inside(|| start(&Options::default()));
    ns.ip("addr add 10.0.1.2/28 dev n0");
    let seen = wait_for_words(&inbox, "n0: address 10.0.1.2/28 added");
    assert_eq!((seen.fact.interface(), seen.fact.watcher()), (Some("n0"), "ip"));
    ns.ip("addr del 10.0.0.2/24 dev n0");
    wait_for_words(&inbox, "n0: address 10.0.0.2/24 removed");
    ns.ip("addr add 2001:db8::2/64 dev n0");
    wait_for_words(&inbox, "n0: address 2001:db8::2/64 added, tentative");
    wait_for_words(&inbox, "n0: address 2001:db8::2/64 was tentative, is preferred");
    ns.ip("link set n0 name north");
    ns.ip("addr change 2001:db8::2/64 dev north valid_lft 1000 preferred_lft 0");
    wait_for_words(&inbox, "north: address 2001:db8::2/64 was preferred, is deprecated");
    watch.join();
}

#[test]
fn an_address_that_somebody_else_has_is_told() {
    let Some(ns) = lab() else { return };
    // The peer is in the same namespace: what it has, n0 may not have.
    ns.ip("addr add 2001:db8::7/64 dev n1 nodad");
    let (watch, inbox) = ns.inside(|| start(&Options::default()));
    ns.ip("addr add 2001:db8::7/64 dev n0");
    let duplicate = |seen: &Observation| {
        let words = seen.fact.to_string();
        words.starts_with("n0: address 2001:db8::7/64") && words.contains("a duplicate")
    };
    wait_for(&inbox, "the duplicate", duplicate);
    watch.join();
}

#[test]
fn default_routes_that_come_change_and_go_are_told() {
    let Some(ns) = lab() else { return };
    let (watch, inbox) = ns.inside(|| start(&Options::default()));
    ns.ip("route add default via 10.0.0.1 metric 5");
    wait_for_words(&inbox, "IPv4 default route (metric 5) appeared: via 10.0.0.1 on n0");
    ns.ip("route replace default via 10.0.0.3 metric 5");
    let words = "IPv4 default route (metric 5): via 10.0.0.1 on n0 -> via 10.0.0.3 on n0";
    wait_for_words(&inbox, words);
    ns.ip("route add 192.0.2.0/24 via 10.0.0.1");
    ns.ip("route add default via 10.0.0.1 table 7");
    let appeared = "IPv4 default route (metric 0, table 7) appeared: via 10.0.0.1 on n0";
    let seen = |seen: &Observation| seen.fact.to_string() == appeared;
    let (_, before) = wait_for(&inbox, appeared, seen);
    assert_eq!(before, [], "a route to somewhere is no news");

    // Each further hop of an IPv6 route is announced alone, and so is each that leaves.
    ns.ip("addr add 2001:db8::2/64 dev n0 nodad");
    ns.ip("-6 route add default via 2001:db8::1");
    wait_for_words(&inbox, "IPv6 default route (metric 1024) appeared: via 2001:db8::1 on n0");
    ns.ip("-6 route append default via 2001:db8::3");
    let two = "via 2001:db8::1 on n0 and via 2001:db8::3 on n0";
    let words = format!("IPv6 default route (metric 1024): via 2001:db8::1 on n0 -> {two}");
    wait_for_words(&inbox, &words);
    ns.ip("-6 route del default via 2001:db8::1");
    let words = format!("IPv6 default route (metric 1024): {two} -> via 2001:db8::3 on n0");
    wait_for_words(&inbox, &words);

    // The kernel announces no IPv4 route that goes with its interface.
    ns.ip("link set n0 down");
    let gone = "IPv4 default route (metric 5) GONE: was via 10.0.0.3 on n0, proto boot";
    let seen = wait_for_words(&inbox, gone);
    let Fact::Route(change) = &seen.fact else { panic!("{seen:?}") };
    assert!(change.is_gone() && change.interface() == Some("n0"));
    watch.join();
}

#[test]
fn a_route_over_an_interface_without_carrier_is_told_unusable() {
    let Some(ns) = lab() else { return };
    ns.ip("route add default via 10.0.0.1");
    let (watch, inbox) = ns.inside(|| start(&Options::default()));
    ns.ip("link set n1 down");
    let words =
        "IPv4 default route (metric 0): via 10.0.0.1 on n0 -> via 10.0.0.1 on n0 (unusable)";
    let seen = wait_for_words(&inbox, words);
    let Fact::Route(change) = &seen.fact else { panic!("{seen:?}") };
    assert!(change.is_gone());
    watch.join();
}

#[test]
fn a_next_hop_that_falls_silent_is_told() {
    let Some(ns) = lab() else { return };
    ns.ip("route add default via 10.0.0.1");
    ns.ip("neigh add 10.0.0.1 lladdr 02:00:00:00:00:09 dev n0 nud reachable");
    let wanted: IpAddr = [10, 0, 0, 77].into();
    let options = Options { neighbours: vec![wanted], ..Options::default() };
    let (watch, inbox) = ns.inside(|| start(&options));
    ns.ip("neigh change 10.0.0.1 dev n0 lladdr 02:00:00:00:00:0a nud reachable");
    wait_for_words(&inbox, "n0: neighbour 10.0.0.1 at 02:00:00:00:00:09 -> at 02:00:00:00:00:0a");
    ns.ip("neigh add 10.0.0.99 lladdr 02:00:00:00:00:99 dev n0 nud reachable");
    // Nobody has this address, so the kernel asks three times and gives up.
    ns.inside(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"anybody?", (wanted, 9)).unwrap();
    });
    let failed = |seen: &Observation| {
        let words = seen.fact.to_string();
        words.starts_with("n0: neighbour 10.0.0.77") && words.ends_with("FAILED")
    };
    let (_, before) = wait_for(&inbox, "FAILED", failed);
    assert!(before.iter().all(|seen| !seen.fact.to_string().contains("10.0.0.99")), "{before:#?}");
    // Regression: what somebody removes is told to fail first, and froze windows.
    ns.ip("neigh del 10.0.0.1 dev n0");
    let forgotten = "n0: neighbour 10.0.0.1 forgotten";
    let (_, before) = wait_for(&inbox, forgotten, |seen| seen.fact.to_string() == forgotten);
    assert!(before.iter().all(|seen| !seen.fact.to_string().contains("10.0.0.1 ")), "{before:#?}");
    watch.join();
}

#[test]
fn overflow_ends_in_the_right_state() {
    let Some(ns) = lab() else { return };
    let tiny = Options { receive_buffer: 2_048, ..Options::default() };
    let watcher = ns.inside(|| IpWatcher::open(&tiny).unwrap());
    // Nobody reads yet: what does not fit is lost for good.
    for host in 10..30 {
        ns.ip(&format!("addr add 10.0.1.{host}/24 dev n0"));
    }
    ns.ip("route add default via 10.0.0.1");
    ns.ip("addr del 10.0.1.15/24 dev n0");
    let (outbox, inbox) = bounded(crate::watch::CHANNEL);
    let watch = ns.inside(|| spawn(watcher, Clock::system(), outbox).unwrap());
    let missed =
        |seen: &Observation| matches!(&seen.fact, Fact::Missed { watcher, .. } if watcher == "ip");
    let (_, before) = wait_for(&inbox, "the overflow", missed);
    let words: Vec<String> = before.iter().map(|seen| seen.fact.to_string()).collect();
    let told = |what: &str| words.iter().any(|word| word == what);
    assert!(told("IPv4 default route (metric 0) appeared: via 10.0.0.1 on n0"), "{words:#?}");
    assert!(told("n0: address 10.0.1.29/24 added"), "{words:#?}");
    let last = words.iter().rfind(|word| word.contains("10.0.1.15/24"));
    assert!(last.is_none_or(|word| word.ends_with("removed")), "{words:#?}");
    watch.join();
}

#[test]
fn a_full_table_of_routes_to_somewhere_does_not_reach_us() {
    let Some(ns) = lab() else { return };
    let tiny = Options { receive_buffer: 2_048, ..Options::default() };
    let watcher = ns.inside(|| IpWatcher::open(&tiny).unwrap());
    for net in 0..64 {
        ns.ip(&format!("route add 192.0.{net}.0/24 via 10.0.0.1"));
    }
    ns.ip("route add default via 10.0.0.1");
    let (outbox, inbox) = bounded(crate::watch::CHANNEL);
    let watch = ns.inside(|| spawn(watcher, Clock::system(), outbox).unwrap());
    let (_, before) = wait_for(&inbox, "the default route", |seen| {
        seen.fact.to_string() == "IPv4 default route (metric 0) appeared: via 10.0.0.1 on n0"
    });
    // Link-local addresses may be settled meanwhile (RFC 4862 §5.4).
    let other = before.iter().filter(|seen| !matches!(seen.fact, Fact::Address(_)));
    assert_eq!(other.count(), 0, "the buffer did not overflow: {before:#?}");
    watch.join();
}

proptest! {
    #[test]
    fn random_messages_never_panic(kind in 16_u16..32, flags: u16, bytes: Vec<u8>) {
        let mut told = KnownNetwork::default();
        if let Some(news) = read_news(kind, flags, &bytes) {
            let _ = told.differs(&news).map(|fact| fact.to_string());
            told.learn(news);
        }
    }

    #[test]
    fn damaged_messages_never_panic(
        which in 0_usize..2,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep: prop::sample::Index,
    ) {
        let (kind, mut bytes) =
            [(RTM_NEWROUTE, default_via(1)), (RTM_NEWNEIGH, neighbour(0x20))][which].clone();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(keep.index(bytes.len() + 1));
        if let Some(news) = read_news(kind, 0, &bytes) {
            let mut told = KnownNetwork::default();
            let _ = told.differs(&news).map(|fact| fact.to_string());
            told.learn(news);
        }
    }
}
