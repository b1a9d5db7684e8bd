//! Stories of addresses: claimed by two, taken from us, moved, and asked for in vain; and of what looks alike.

use std::net::IpAddr;

use pnet::util::MacAddr;

use super::frames::*;
use super::*;
use crate::observation::address::{AddressChange, Validity};
use crate::observation::link::LinkState;
use crate::observation::route::{NextHop, Route, RouteChange};
use crate::observation::{Fact, Observation};
use crate::wire::Mac;
use Direction::{Inbound, Outbound, Unknown};

const ALL: Mac = Mac::BROADCAST;
const OURS: Mac = Mac([2, 0, 0, 0, 0, 0x10]);
const GATEWAY: Mac = Mac([2, 0, 0, 0, 0, 1]);
const EVIL: Mac = Mac([2, 0, 0, 0, 0, 0x66]);

fn link(name: &str, mac: Mac) -> LinkState {
    let address = Some(MacAddr::from(mac.0));
    LinkState { index: u32::from(mac.0[5]), name: name.into(), address, ..LinkState::default() }
}

fn address(ours: &str, now: Option<Validity>) -> Fact {
    Fact::Address(Box::new(AddressChange {
        interface: "dp0s0".into(),
        address: ours.parse().unwrap(),
        prefix_len: 24,
        before: None,
        now,
    }))
}

pub(super) fn default_route(router: &str) -> Fact {
    let gateway: IpAddr = router.parse().unwrap();
    let hop = NextHop { gateway: Some(gateway), interface: Some("dp0s0".into()), usable: true };
    Fact::Route(Box::new(RouteChange {
        ipv6: gateway.is_ipv6(),
        table: 254,
        metric: 0,
        before: None,
        now: Some(Route { kind: "unicast".into(), hops: vec![hop], protocol: None }),
    }))
}

/// A host with 10.0.0.16 and 2001:db8::10, and a default route by 10.0.0.1.
pub(super) fn host() -> Local {
    let addresses =
        ["10.0.0.16", "2001:db8::10"].map(|ours| address(ours, Some(Validity::Preferred)));
    let facts = [&addresses[..], &[default_route("10.0.0.1")]].concat();
    Local::of_host(&[link("dp0s0", OURS)], &facts)
}

/// To all: "I have 10.0.0.`address`".
fn announcement(from: Mac, address: u8) -> Vec<u8> {
    arp_request((from, address), ALL, address)
}

/// An echo request of 10.0.0.`from` with this time to live.
fn packet(mac: Mac, from: u8, ttl: u8) -> Vec<u8> {
    let mut frame = unreachable(9);
    frame[..6].copy_from_slice(&OURS.0);
    frame[6..12].copy_from_slice(&mac.0);
    (frame[22], frame[29], frame[34]) = (ttl, from, 8);
    frame
}

#[test]
fn one_foreign_claim_of_our_address_is_a_conflict() {
    let v4 = |mac| arp_request((mac, 16), ALL, 1);
    let v6 = |mac| advertisement(16, mac, 9);
    let cases: [(&str, Vec<u8>, usize); 5] = [
        ("another asks as if it were we", v4(EVIL), 1),
        ("another announces our address", announcement(EVIL, 16), 1),
        ("another advertises it", v6(EVIL), 1),
        ("our own frame comes back", v4(OURS), 0),
        ("in another VLAN it is another address", tagged(7, &v4(EVIL)), 0),
    ];
    for (name, claim, expected) in cases {
        let mut stage = Stage::on(&host());
        stage.frame(1.0, Inbound, &claim);
        stage.wait(1.4);
        assert!(stage.told().is_empty(), "{name}: {:?}", stage.told());
        stage.wait(2.0);
        assert_eq!(stage.told(), vec!["warning address_conflict"; expected], "{name}");
        if let Some((_, told)) = stage.findings.first() {
            assert!(told.sentence.contains("is ours, and 02:00:00:00:00:66 claims it"), "{told}");
            assert_eq!(told.first.wall.0 % 1_000_000_000, 0, "{name}: its first frame");
        }
        stage.wait(90.0);
        assert_eq!(stage.told().len(), 2 * expected, "{name}: over");
    }
}

#[test]
fn an_address_that_we_gave_up_may_be_claimed() {
    let local = host();
    let mut stage = Stage::on(&local);
    stage.frame(1.0, Inbound, &announcement(EVIL, 16));
    // The new holder was a little sooner than the news that we removed it.
    let fact = address("10.0.0.16", None);
    local.learn(&Observation { at: stage.stamp(), fact });
    stage.wait(90.0);
    assert!(stage.told().is_empty(), "{:?}", stage.told());
}

#[test]
fn the_answer_to_our_probe_takes_the_address_away() {
    let mut probe = arp_request((OURS, 0), ALL, 99);
    probe[28..32].fill(0);
    let mut stage = Stage::on(&host());
    stage.frame(1.0, Outbound, &probe);
    stage.frame(1.1, Inbound, &arp_reply((EVIL, 99), (OURS, 0)));
    stage.wait(2.0);
    let told = stage.sentences(FindingKind::AddressConflict);
    assert_eq!(told, ["10.0.0.99, which this host wants, is taken: 02:00:00:00:00:66 claims it"]);
    // Somebody else's probe may be a switch's, which asks whether its hosts are there.
    let mut stage = Stage::on(&host());
    stage.frame(1.0, Inbound, &probe);
    stage.frame(1.1, Inbound, &arp_reply((EVIL, 99), (SWITCH, 0)));
    stage.wait(2.0);
    assert!(stage.told().is_empty());
}

#[test]
fn a_next_hop_moves_and_is_told_at_once() {
    let spoofed = || arp_reply((EVIL, 1), (OURS, 16));
    let cases: [(&str, Local, Vec<u8>, &[&str]); 5] = [
        ("the host's router", host(), spoofed(), &["warning address_moved"]),
        ("announced to all: a takeover", host(), announcement(EVIL, 1), &["info address_moved"]),
        ("one that forwards", Local::default(), spoofed(), &["warning address_moved"]),
        ("to a virtual router", host(), arp_reply((HSRP_MAC, 1), (OURS, 16)), &[]),
        ("another's", host(), arp_reply((EVIL, 7), (OURS, 16)), &["notice address_moved"]),
    ];
    for (name, local, claim, expected) in cases {
        let mut stage = Stage::on(&local);
        stage.frame(0.0, Inbound, &arp_reply((GATEWAY, 1), (OURS, 16)));
        stage.frame(0.0, Inbound, &arp_reply((SWITCH, 7), (OURS, 16)));
        stage.frame(1.0, Inbound, &packet(GATEWAY, 200, 63));
        stage.frame(2.0, Inbound, &claim);
        stage.frame(2.5, Inbound, &claim);
        assert_eq!(stage.told(), expected, "{name}");
    }
}

#[test]
fn a_spoofed_neighbor_advertisement_moves_the_address() {
    let mut stage = Stage::on(&host());
    stage.frame(0.0, Inbound, &advertisement(1, GATEWAY, 16));
    stage.frame(5.0, Inbound, &advertisement(1, EVIL, 16));
    assert_eq!(stage.told(), ["notice address_moved"]);
    assert_eq!(
        stage.sentences(FindingKind::AddressMoved),
        ["2001:db8::1 moved from 02:00:00:00:00:01 to 02:00:00:00:00:66"]
    );
}

#[test]
fn who_uses_an_address_that_another_claims_makes_a_conflict() {
    for (name, at, conflicts) in
        [("on the way when it moved", 2.1, 0), ("still in use", 4.0, 1), ("long after", 30.0, 0)]
    {
        let mut stage = Stage::new();
        stage.frame(0.0, Inbound, &packet(GATEWAY, 1, 64));
        stage.frame(2.0, Inbound, &announcement(EVIL, 1));
        stage.frame(at, Inbound, &packet(GATEWAY, 1, 64));
        let told = stage.sentences(FindingKind::AddressConflict);
        assert_eq!(told.len(), conflicts, "{name}: {:?}", stage.told());
    }
}

#[test]
fn a_move_on_all_ports_of_a_bridge_is_told_once_and_a_conflict_on_each() {
    let bridge = Local::of_host(&[link("br0", Mac([2, 0, 0, 0, 0, 0xb0]))], &[]);
    let (mut one, mut other) = (Stage::at(&bridge, "dp0s0"), Stage::at(&bridge, "dp0s1"));
    for (at, mac) in [(0.0, OURS), (1.0, EVIL), (1.1, OURS), (1.2, EVIL)] {
        one.frame(at, Inbound, &arp_reply((mac, 16), (GATEWAY, 1)));
        other.frame(at, Outbound, &arp_reply((mac, 16), (GATEWAY, 1)));
    }
    assert_eq!(one.told(), ["notice address_moved", "warning address_conflict"]);
    assert_eq!(other.told(), ["warning address_conflict"]);
}

#[test]
fn our_own_packets_from_an_address_that_another_claims_make_a_conflict() {
    // A file knows the directions, and nothing else of the host.
    let mut stage = Stage::new();
    stage.frame(0.0, Outbound, &packet(OURS, 16, 64));
    stage.frame(1.0, Inbound, &announcement(EVIL, 16));
    stage.frame(2.0, Inbound, &arp_request((EVIL, 16), ALL, 1));
    stage.frame(2.5, Outbound, &packet(OURS, 16, 64));
    assert_eq!(stage.told(), ["info address_moved", "warning address_conflict"]);
    let first = &stage.findings[1].1.first;
    assert_eq!(first.wall.0 % 1_000_000_000, 0, "the first foreign claim");
}

#[test]
fn takeovers_again_and_again_are_no_conflict() {
    let mut shared = Stage::new();
    let mut announced = Stage::new();
    for n in 0..6 {
        let (at, mac) = (f64::from(n) * 3.5, if n % 2 == 0 { SWITCH } else { ROUTER });
        announced.frame(at, Inbound, &announcement(mac, 254));
        // VRRP speaks of 10.0.0.254, which routers also claim with their own link addresses.
        shared.frame(at, Inbound, &vrrp(2, 7, 120));
        shared.frame(at + 0.1, Inbound, &arp_reply((mac, 254), (OURS, 16)));
    }
    assert!(announced.worst() <= Some(Severity::Info), "{:?}", announced.told());
    let told = shared.sentences(FindingKind::AddressConflict);
    assert!(told.is_empty() && shared.sentences(FindingKind::AddressMoved).is_empty(), "{told:?}");
}

#[test]
fn a_bond_that_sends_from_all_its_ports_is_one_host() {
    let mut stage = Stage::new();
    for n in 0..20 {
        let at = f64::from(n);
        let (claims, sends) = if n % 4 < 2 { (SWITCH, ROUTER) } else { (ROUTER, SWITCH) };
        stage.frame(at, Inbound, &packet(sends, 7, 64));
        stage.frame(at + 0.1, Inbound, &packet(claims, 7, 64));
        stage.frame(at + 0.2, Inbound, &arp_reply((claims, 7), (OURS, 16)));
    }
    assert!(stage.told().is_empty(), "{:?}", stage.told());
}

#[test]
fn a_proxy_that_answers_for_many_is_no_conflict() {
    let mut stage = Stage::new();
    for round in 0..3 {
        for host in 20..40 {
            let at = f64::from(round) * 10.0 + f64::from(host) / 10.0;
            stage.frame(at, Inbound, &arp_reply((ROUTER, host), (OURS, 16)));
            let own = arp_request((Mac([2, 0, 0, 0, 0, host]), host), ALL, 16);
            if host == 25 {
                stage.frame(at + 0.01, Inbound, &own);
            }
        }
    }
    assert!(stage.sentences(FindingKind::AddressConflict).is_empty(), "{:?}", stage.told());
}

#[test]
fn what_another_port_of_the_bridge_answers_is_answered() {
    let ask = arp_request((GATEWAY, 1), ALL, 16);
    let answer = arp_reply((OURS, 16), (GATEWAY, 1));
    let bridge = Local::of_host(&[link("br0", Mac([2, 0, 0, 0, 0, 0xb0]))], &[]);
    // A port to which the question is flooded, in the same three seconds as two further ones.
    let mut flooded = Stage::on(&bridge);
    flooded.frame(0.0, Outbound, &answer);
    for at in [1.0, 2.0, 3.0, 4.0] {
        flooded.frame(at, Outbound, &ask);
    }
    flooded.wait(9.0);
    assert!(flooded.told().is_empty(), "{:?}", flooded.told());
    // A question that leaves by one port of a bond, and is answered through the other.
    let local = Local::of_host(&[link("dp0s0", GATEWAY)], &[]);
    let (mut one, mut other) = (Stage::on(&local), Stage::on(&local));
    one.frame(0.0, Inbound, &answer);
    for at in [1.0, 2.0, 3.0, 4.0] {
        one.frame(at, Outbound, &ask);
        other.frame(at + 0.1, Inbound, &answer);
        one.wait(at + 0.5);
    }
    one.wait(9.0);
    assert!(one.told().is_empty(), "{:?}", one.told());
}

#[test]
fn answers_that_are_not_seen_are_not_missed() {
    // On a host: its router asks all for a neighbour, which answers the router alone.
    let mut stage = Stage::on(&host());
    stage.frame(0.0, Inbound, &arp_reply((SWITCH, 7), (OURS, 16)));
    stage.frame(0.1, Outbound, &arp_reply((OURS, 16), (GATEWAY, 1)));
    for at in [1.0, 3.0, 5.0, 7.0] {
        stage.frame(at, Inbound, &arp_request((GATEWAY, 1), ALL, 7));
    }
    stage.wait(12.0);
    assert!(stage.told().is_empty(), "{:?}", stage.told());
    // Where both are seen it is missed.
    let mut mirror = Stage::new();
    mirror.frame(0.0, Unknown, &arp_reply((SWITCH, 7), (GATEWAY, 1)));
    for at in [1.0, 2.0, 3.0, 4.0] {
        mirror.frame(at, Unknown, &arp_request((GATEWAY, 1), ALL, 7));
    }
    mirror.wait(8.0);
    assert_eq!(mirror.told(), ["warning arp_unanswered"]);
}

#[test]
fn chassis_and_routers_go_by_the_names_that_they_show() {
    let local = Local::of_host(&[link("eth0", Mac([2, 0, 0, 0, 0, 1]))], &[]);
    let mut stage = Stage::on(&local);
    stage.frame(0.0, Outbound, &lldp(1, "eth0", 120));
    stage.frame(1.0, Inbound, &lldp(7, "Gi1/0/1", 120));
    stage.frame(2.0, Outbound, &ospf(1, &[]));
    stage.frame(3.0, Inbound, &ospf(9, &[]));
    // Of somebody behind a bridge of this host.
    stage.frame(4.0, Outbound, &ospf(8, &[]));
    let shown = local.shown();
    assert_eq!(shown.own(), ["02:00:00:00:00:01", "10.0.0.1"]);
    assert_eq!(shown.neighbours(), ["02:00:00:00:00:07", "10.0.0.9"]);
}
