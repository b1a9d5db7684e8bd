//! One story for each way in which a protocol says that something fails, and for those that look alike
//! and are nothing.

use super::frames::*;
use super::*;
use crate::wire::Mac;
use Direction::{Inbound, Outbound, Unknown};

/// Up; the same without hearing the partner; without a partner; joining. All ask for long timeouts.
const UP: u8 = 0x3d;
const EXPIRED: u8 = 0x85;
const DEFAULTED: u8 = 0x45;
const JOINING: u8 = 0x05;
const FAST: u8 = 0x02;

fn from_switch(state: u8, ours: u8) -> Vec<u8> {
    lacp((SWITCH, 27, state), (ROUTER, 9, ours))
}

fn from_router(state: u8, theirs: u8) -> Vec<u8> {
    lacp((ROUTER, 9, state), (SWITCH, 27, theirs))
}

#[test]
fn the_incident_on_a_slave() {
    let mut stage = Stage::new();
    for at in [0.0, 30.0, 60.0] {
        stage.frame(at, Inbound, &from_switch(UP, UP));
        stage.frame(at + 5.0, Outbound, &from_router(UP, UP));
    }
    stage.frame(90.0, Inbound, &from_switch(EXPIRED, UP | FAST));
    stage.frame(91.0, Inbound, &from_switch(EXPIRED, UP | FAST));
    stage.frame(93.0, Inbound, &lacp((SWITCH, 27, DEFAULTED), (Mac([0; 6]), 0, 0)));
    stage.frame(120.0, Inbound, &from_switch(UP, UP));
    assert_eq!(
        stage.told(),
        [
            "warning lacp_expired",
            "warning lacp_expired over",
            "critical lacp_defaulted",
            "critical lacp_defaulted over",
            "info lacp_recovered",
        ]
    );
    let (at, expired) = &stage.findings[0];
    assert_eq!(*at, 90.0);
    assert_eq!(
        expired.sentence,
        "the LACP partner 44:4c:a8:74:ca:b6 port 27 says expired: it did not hear us in time"
    );
    assert_eq!((expired.interface.as_deref(), expired.direction), (Some("dp0s0"), Inbound));
    assert!(expired.what.contains("LACP v1 ACTOR 44:4c:a8:74:ca:b6 P: 27 K: 27 E****G*A"));
    assert_eq!(stage.findings[1].1.count, 2, "two PDUs said so");
}

#[test]
fn lacp_is_silent_after_three_missing_pdus_by_the_timeout_bits() {
    // name, the partner's view of our timeout, our own, seconds of the finding
    for (name, asked, ours, due) in [
        ("slow", UP, UP, 90.5),
        ("fast", UP | FAST, UP | FAST, 3.5),
        ("we have just asked for less", UP | FAST, UP, 90.5),
    ] {
        let mut stage = Stage::new();
        stage.frame(0.0, Outbound, &from_router(ours, UP));
        stage.frame(0.0, Inbound, &from_switch(UP, asked));
        for at in 1..200 {
            stage.frame(f64::from(at), Outbound, &from_router(ours, UP));
        }
        let when = stage.when(FindingKind::LacpSilence).unwrap();
        assert!((due..due + 0.5).contains(&when), "{name}: {when}");
        assert_eq!(stage.told(), ["warning lacp_silence"], "{name}");
        stage.frame(250.0, Inbound, &from_switch(UP, asked));
        assert_eq!(
            stage.told()[1..],
            ["warning lacp_silence over", "info lacp_recovered"],
            "{name}"
        );
    }
}

#[test]
fn lacp_partners_change_and_leave() {
    let mut stage = Stage::new();
    stage.frame(0.0, Inbound, &from_switch(UP, UP));
    stage.frame(1.0, Inbound, &from_switch(JOINING, UP));
    stage.frame(2.0, Inbound, &from_switch(UP, UP));
    stage.frame(3.0, Inbound, &lacp((OTHER, 27, JOINING), (ROUTER, 9, UP)));
    assert_eq!(
        stage.told(),
        [
            "warning lacp_out_of_sync",
            "warning lacp_out_of_sync over",
            "info lacp_recovered",
            "warning lacp_partner_changed",
        ]
    );
    // In a file without directions both ends are heard, and none of them is a change.
    let mut stage = Stage::new();
    for at in [0.0, 30.0] {
        stage.frame(at, Unknown, &from_switch(UP, UP));
        stage.frame(at, Unknown, &from_router(UP, UP));
    }
    assert!(stage.told().is_empty(), "{:?}", stage.told());
    stage.frame(60.0, Unknown, &lacp((ROUTER, 9, UP), (OTHER, 1, UP)));
    assert_eq!(stage.told(), ["warning lacp_partner_changed"]);
}

#[test]
fn arp_requests_go_unanswered() {
    const ALL: Mac = Mac::BROADCAST;
    let ask = |to| arp_request((ROUTER, 75), to, 65);
    let answer = arp_reply((HSRP_MAC, 65), (ROUTER, 75));
    // The incident: unicast 4,000 times a second, told after three waits of a second.
    let mut stage = Stage::new();
    for at in 0..20_000 {
        stage.frame(f64::from(at) / 4_000.0, Unknown, &tagged(956, &ask(HSRP_MAC)));
    }
    assert_eq!(stage.told(), ["warning arp_unanswered"]);
    let when = stage.when(FindingKind::ArpUnanswered).unwrap();
    assert!((3.0..3.4).contains(&when), "{when}");
    assert!(stage.findings[0].1.sentence.starts_with("10.0.0.65 in VLAN 956 does not answer"));
    // Another VLAN's answer is none; its own is.
    stage.frame(6.0, Unknown, &tagged(957, &answer));
    assert_eq!(stage.findings.len(), 1);
    stage.frame(7.0, Unknown, &tagged(956, &answer));
    assert_eq!(stage.told()[1], "warning arp_unanswered over");
    // Who asks, direction, the one asked answered before, what is told.
    let cases: [(&str, Direction, Mac, bool, &[&str]); 5] = [
        ("ours, of one that was alive", Outbound, ALL, true, &["warning arp_unanswered"]),
        ("ours, of one never heard", Outbound, ALL, false, &["notice arp_unanswered"]),
        ("somebody's, with no answer in sight", Inbound, ALL, false, &[]),
        ("somebody's to us alone", Inbound, OTHER, false, &["warning arp_unanswered"]),
        ("in a file", Unknown, ALL, false, &["notice arp_unanswered"]),
    ];
    for (name, direction, to, alive, expected) in cases {
        let mut stage = Stage::new();
        if alive {
            stage.frame(0.0, direction, &ask(ALL));
            stage.frame(0.1, Inbound, &answer);
        }
        for at in [10.0, 11.0, 12.0] {
            stage.frame(at, direction, &ask(to));
        }
        stage.wait(15.0);
        assert_eq!(stage.told(), expected, "{name}");
        stage.wait(60.0);
        assert_eq!(stage.told().len(), 2 * expected.len(), "{name}: over when nobody asks");
    }
}

#[test]
fn answered_probed_and_announced_is_nothing() {
    let mut stage = Stage::new();
    for at in 0..60 {
        let at = f64::from(at);
        stage.frame(at, Outbound, &arp_request((ROUTER, 75), Mac::BROADCAST, 65));
        stage.frame(at + 0.01, Inbound, &arp_reply((HSRP_MAC, 65), (ROUTER, 75)));
        stage.frame(at + 0.02, Outbound, &arp_request((ROUTER, 75), Mac::BROADCAST, 75));
        let mut probe = arp_request((ROUTER, 0), Mac::BROADCAST, 99);
        probe[28..32].fill(0);
        stage.frame(at + 0.03, Outbound, &probe);
        stage.frame(at + 0.04, Outbound, &solicitation(1, 2));
        stage.frame(at + 0.05, Inbound, &advertisement(2, OTHER, 1));
    }
    assert!(stage.told().is_empty(), "{:?}", stage.told());
}

#[test]
fn neighbor_solicitations_go_unanswered() {
    let mut stage = Stage::new();
    for at in 0..6 {
        stage.frame(f64::from(at), Outbound, &solicitation(1, 2));
    }
    assert_eq!(stage.told(), ["warning nd_unanswered"]);
    stage.frame(6.0, Inbound, &advertisement(2, OTHER, 1));
    assert_eq!(stage.told()[1], "warning nd_unanswered over");
}

#[test]
fn two_stations_claim_one_address() {
    let claim = |mac| arp_reply((mac, 9), (ROUTER, 75));
    /// Name, direction, claims, conflicts.
    type Turns = (&'static str, Direction, &'static [(f64, Mac)], usize);
    let turns: [Turns; 7] = [
        ("defended", Inbound, &[(0.0, OTHER), (9.0, SWITCH), (9.1, OTHER)], 1),
        ("both answer", Inbound, &[(0.0, OTHER), (0.1, SWITCH), (30.0, OTHER), (30.1, SWITCH)], 1),
        ("failed over", Inbound, &[(0.0, OTHER), (9.0, SWITCH), (9.1, SWITCH)], 0),
        ("and back", Inbound, &[(0.0, OTHER), (9.0, SWITCH), (20.0, OTHER)], 0),
        ("virtual", Inbound, &[(0.0, OTHER), (1.0, HSRP_MAC), (2.0, OTHER)], 0),
        ("our own slaves", Outbound, &[(0.0, OTHER), (1.0, SWITCH), (2.0, OTHER)], 0),
        ("three in turn", Inbound, &[(0.0, OTHER), (1.0, SWITCH), (2.0, ROUTER)], 0),
    ];
    for (name, direction, claims, expected) in turns {
        let mut stage = Stage::new();
        for (at, mac) in claims {
            stage.frame(*at, direction, &claim(*mac));
        }
        let conflicts = |stage: &Stage| stage.sentences(FindingKind::AddressConflict).len();
        assert_eq!(conflicts(&stage), expected, "{name}: {:?}", stage.told());
        stage.wait(200.0);
        assert_eq!(conflicts(&stage), 2 * expected, "{name}: over");
    }
    // In different VLANs they are different addresses.
    let mut stage = Stage::new();
    for (at, vlan, mac) in [(0.0, 1, OTHER), (0.1, 2, SWITCH), (0.2, 1, OTHER), (0.3, 2, SWITCH)] {
        stage.frame(at, Inbound, &tagged(vlan, &claim(mac)));
    }
    assert!(stage.told().is_empty());
}

#[test]
fn vrrp_masters_fall_silent_resign_and_are_two() {
    let mut failover = Stage::new();
    for at in 0..11 {
        failover.frame(f64::from(at), Inbound, &vrrp(10, 1, 200));
    }
    failover.frame(13.66, Inbound, &vrrp(30, 1, 100));
    failover.frame(13.67, Inbound, &vrrp(20, 1, 100));
    for at in 0..10 {
        failover.frame(14.67 + f64::from(at), Inbound, &vrrp(30, 1, 100));
    }
    assert_eq!(
        failover.told(),
        ["warning vrrp_silence", "warning vrrp_master_changed", "warning vrrp_silence over",]
    );
    // Three intervals and the skew of priority 200: 3.22 s.
    let when = failover.when(FindingKind::VrrpSilence).unwrap();
    assert!((13.2..13.5).contains(&when), "{when}");

    let mut resigned = Stage::new();
    resigned.frame(0.0, Outbound, &vrrp(10, 1, 200));
    resigned.frame(1.0, Outbound, &vrrp(10, 1, 0));
    resigned.frame(1.6, Inbound, &vrrp(20, 1, 100));
    assert_eq!(
        resigned.told(),
        ["warning vrrp_silence", "warning vrrp_master_changed", "warning vrrp_silence over"]
    );

    let mut preempted = Stage::new();
    for (at, router, priority) in [(0.0, 10, 100), (1.0, 20, 200), (1.1, 10, 100), (2.0, 20, 200)] {
        preempted.frame(at, Inbound, &vrrp(router, 1, priority));
    }
    assert_eq!(preempted.told(), ["notice vrrp_master_changed"]);

    let mut torn = Stage::new();
    for at in 0..10 {
        torn.frame(f64::from(at), Outbound, &vrrp(10, 1, 200));
        torn.frame(f64::from(at) + 0.5, Inbound, &vrrp(20, 1, 100));
    }
    for at in 10..20 {
        torn.frame(f64::from(at), Outbound, &vrrp(10, 1, 200));
    }
    assert_eq!(torn.told(), ["warning vrrp_master_changed", "warning vrrp_master_changed over"]);
}

#[test]
fn hsrp_routers_resign_and_are_two() {
    const HELLO: u8 = 0;
    const RESIGN: u8 = 2;
    const STANDBY: u8 = 8;
    const ACTIVE: u8 = 16;
    let mut stage = Stage::new();
    stage.frame(0.0, Inbound, &hsrp(10, HELLO, ACTIVE, 200));
    stage.frame(0.5, Inbound, &hsrp(30, HELLO, STANDBY, 100));
    stage.frame(1.0, Inbound, &hsrp(10, RESIGN, ACTIVE, 200));
    stage.frame(1.1, Inbound, &hsrp(30, HELLO, ACTIVE, 100));
    assert_eq!(stage.told(), ["warning hsrp_state_changed", "notice hsrp_state_changed"]);

    let mut torn = Stage::new();
    for at in 0..10 {
        let at = f64::from(at) * 3.0;
        torn.frame(at, Inbound, &hsrp(10, HELLO, ACTIVE, 200));
        torn.frame(at + 1.0, Inbound, &hsrp(30, HELLO, ACTIVE, 100));
    }
    for at in 10..20 {
        torn.frame(f64::from(at) * 3.0, Inbound, &hsrp(10, HELLO, ACTIVE, 200));
    }
    assert_eq!(torn.told(), ["warning hsrp_state_changed", "warning hsrp_state_changed over"]);
    let (at, split) = &torn.findings[0];
    assert_eq!((*at, split.first.mono.0 / 1_000_000_000), (4.0, 3_601), "its first hello");
}

#[test]
fn bridges_change_their_root_and_their_topology() {
    let mut stage = Stage::new();
    stage.frame(0.0, Inbound, &rstp(9, 9, false));
    stage.frame(1.0, Inbound, &rstp(1, 9, false));
    assert_eq!(stage.told(), ["info stp_root_changed"], "it just joined");
    stage.frame(3.0, Inbound, &rstp(1, 9, true));
    stage.frame(5.0, Inbound, &rstp(1, 9, false));
    for at in [7.0, 9.0, 11.0] {
        stage.frame(at, Inbound, &rstp(1, 9, false));
    }
    stage.frame(13.0, Inbound, &rstp(5, 9, false));
    assert_eq!(
        stage.told()[1..],
        [
            "notice stp_topology_change",
            "notice stp_topology_change over",
            "warning stp_root_changed",
        ]
    );
}

#[test]
fn neighbors_by_lldp_change_and_go() {
    let mut stage = Stage::new();
    stage.frame(0.0, Outbound, &lldp(1, "eth0", 120));
    stage.frame(1.0, Inbound, &lldp(7, "Gi1/0/1", 120));
    stage.frame(31.0, Inbound, &lldp(7, "Gi1/0/1", 120));
    assert!(stage.told().is_empty());
    stage.frame(40.0, Inbound, &lldp(7, "Gi1/0/2", 120));
    stage.frame(70.0, Inbound, &lldp(7, "Gi1/0/2", 120));
    assert!(stage.told().is_empty(), "the old port may still be there");
    stage.wait(80.0);
    assert_eq!(stage.told(), ["notice lldp_neighbor_changed"]);
    assert!(stage.findings[0].1.sentence.ends_with(
        "Gi1/0/2 is heard, where LLDP neighbor \
         02:00:00:00:00:07 port Gi1/0/1 was"
    ));
    stage.frame(81.0, Outbound, &lldp(1, "eth0", 0));
    assert_eq!(stage.told()[1..], ["notice lldp_neighbor_changed"]);
    stage.wait(200.0);
    assert_eq!(stage.told()[2..], ["warning lldp_neighbor_changed"], "the new one is gone, too");
}

#[test]
fn bfd_sessions_go_down_and_fall_silent() {
    const DOWN: u8 = 1;
    const UP: u8 = 3;
    let both = |stage: &mut Stage, at: f64| {
        stage.frame(at, Outbound, &bfd(1, 2, UP, 0));
        stage.frame(at + 0.1, Inbound, &bfd(2, 1, UP, 0));
    };
    let mut stage = Stage::new();
    stage.frame(0.0, Outbound, &bfd(1, 2, DOWN, 0));
    for at in 1..10 {
        both(&mut stage, f64::from(at) * 0.3);
    }
    assert!(stage.told().is_empty(), "coming up is no failure: {:?}", stage.told());
    stage.frame(3.0, Inbound, &bfd(2, 1, DOWN, 1));
    assert_eq!(stage.told(), ["critical bfd_down"]);
    assert!(stage.findings[0].1.sentence.ends_with("Down (Control Detection Time Expired)"));
    stage.frame(3.1, Outbound, &bfd(1, 2, DOWN, 3));
    for at in 12..20 {
        both(&mut stage, f64::from(at) * 0.3);
    }
    assert_eq!(stage.told().len(), 4, "each end down and up: {:?}", stage.told());
    // Only this host goes on: the other is missed after three intervals.
    for at in 20..30 {
        stage.frame(f64::from(at) * 0.3, Outbound, &bfd(1, 2, UP, 0));
    }
    assert_eq!(stage.told()[4..], ["critical bfd_down"]);
    let mut held = Stage::new();
    both(&mut held, 0.0);
    held.frame(0.3, Inbound, &bfd(2, 1, 0, 7));
    assert_eq!(held.told(), ["notice bfd_down"]);
}

#[test]
fn ospf_neighbors_are_lost_in_hellos_and_by_silence() {
    let mut stage = Stage::new();
    for at in [0.0, 10.0, 20.0] {
        stage.frame(at, Outbound, &ospf(1, &[2, 3]));
        stage.frame(at, Inbound, &ospf(2, &[1, 3]));
    }
    stage.frame(30.0, Inbound, &ospf(2, &[3]));
    stage.frame(30.0, Outbound, &ospf(1, &[2, 3]));
    assert_eq!(stage.told(), ["warning ospf_neighbor_lost"]);
    assert_eq!(
        stage.findings[0].1.sentence,
        "OSPFv2 router 10.0.0.2 does not hear its neighbor 10.0.0.1 any longer"
    );
    stage.frame(40.0, Inbound, &ospf(2, &[1, 3]));
    stage.wait(41.0);
    assert_eq!(stage.told().len(), 1, "they hear each other, and no more");
    stage.frame(41.0, Inbound, &ospf_describes(2, 1, 1_500, 0, 1));
    stage.frame(41.1, Outbound, &ospf_describes(1, 2, 1_500, 0, 1));
    stage.wait(42.0);
    assert_eq!(stage.told()[1..], ["warning ospf_neighbor_lost over"]);
    stage.wait(69.0);
    assert_eq!(stage.told().len(), 2);
    stage.wait(71.0);
    assert_eq!(stage.told()[2..], ["warning ospf_neighbor_lost"], "hellos of .1 stopped at 30 s");
    let due = stage.findings[2].1.first.mono.0;
    assert_eq!(due, 3_640_000_000_000, "silent since the next one was due");
    // A hello that was cut names nobody, and loses nobody.
    let mut stage = Stage::new();
    stage.frame(0.0, Inbound, &ospf(2, &[1, 3]));
    let cut = ospf(2, &[1, 3]);
    stage.frame(10.0, Inbound, &cut[..cut.len() - 4]);
    assert!(stage.told().is_empty());
}

#[test]
fn bgp_sessions_end() {
    const ACK: u8 = 0x10;
    const FIN: u8 = 0x11;
    const RST: u8 = 0x14;
    let end: [(&str, Vec<u8>, &[&str]); 5] = [
        ("hold timer", bgp(2, 1, ACK, &notification(4, 0)), &["critical bgp_notification"]),
        ("shutdown", bgp(2, 1, FIN, &notification(6, 2)), &["notice bgp_notification"]),
        ("closed", bgp(1, 2, FIN, &[]), &["critical bgp_notification"]),
        ("reset", bgp(1, 2, RST, &[]), &["critical bgp_notification"]),
        ("goes on", bgp(1, 2, ACK, &KEEP_ALIVE), &[]),
    ];
    for (name, last, expected) in end {
        let mut stage = Stage::new();
        stage.frame(0.0, Outbound, &bgp(1, 2, ACK, &KEEP_ALIVE));
        stage.frame(0.1, Inbound, &bgp(2, 1, ACK, &KEEP_ALIVE));
        stage.frame(9.0, Inbound, &last);
        stage.frame(9.1, Inbound, &bgp(1, 2, RST, &[]));
        if expected.is_empty() {
            assert_eq!(stage.told(), ["critical bgp_notification"], "{name}, then reset");
            continue;
        }
        assert_eq!(stage.told(), expected, "{name}");
        stage.frame(30.0, Outbound, &bgp(1, 2, ACK, &KEEP_ALIVE));
        assert_eq!(stage.told().len(), 1, "{name}: one end is no session");
        stage.frame(30.1, Inbound, &bgp(2, 1, ACK, &KEEP_ALIVE));
        assert_eq!(stage.told().len(), 2, "{name}: over");
    }
    let mut refused = Stage::new();
    refused.frame(0.0, Inbound, &bgp(2, 1, RST, &[]));
    assert!(refused.told().is_empty(), "there was no session");
}

#[test]
fn dhcp_clients_get_no_answer() {
    let discover = |at: u8| dhcp(ROUTER, 1, at);
    for (name, direction, served, expected) in [
        ("this host", Outbound, false, "warning dhcp_no_answer"),
        ("another, no server known", Unknown, false, "notice dhcp_no_answer"),
        ("another, where one was", Unknown, true, "warning dhcp_no_answer"),
        ("another, live, where answers to all come by", Inbound, true, "warning dhcp_no_answer"),
    ] {
        let mut stage = Stage::new();
        if served {
            stage.frame(0.0, direction, &dhcp(OTHER, 1, 1));
            stage.frame(0.5, direction, &dhcp(OTHER, 2, 1));
        }
        for at in [10.0, 14.0, 22.0] {
            stage.frame(at, direction, &discover(9));
        }
        stage.wait(30.0);
        assert_eq!(stage.told(), [expected], "{name}");
        stage.frame(31.0, direction, &dhcp(ROUTER, 2, 9));
        stage.wait(32.0);
        assert_eq!(stage.told()[1], format!("{expected} over"), "{name}");
    }
}

#[test]
fn unreachables_come_in_bursts() {
    let mut stage = Stage::new();
    for at in 0..100 {
        stage.frame(f64::from(at), Outbound, &unreachable(7));
    }
    assert!(stage.told().is_empty(), "one a second is daily business");
    for at in 0..1_000 {
        stage.frame(100.0 + f64::from(at) / 500.0, Outbound, &unreachable(7));
    }
    assert_eq!(stage.told(), ["warning icmp_unreachable_burst"]);
    stage.wait(120.0);
    let over = &stage.findings[1].1;
    assert!(
        over.over && (1_000..=1_010).contains(&over.count),
        "with those before: {}",
        over.count
    );
    assert!(over.what.contains("Destination unreachable (Port unreachable)"), "{}", over.what);
}

#[test]
fn tables_stay_bounded() {
    let mut stage = Stage::new();
    for mac in 0..40_000_u32 {
        let [_, a, b, c] = mac.to_be_bytes();
        let from = Mac([2, 0, 0, a, b, c]);
        let mut claim = arp_reply((from, 1), (from, 1));
        claim[28..32].copy_from_slice(&mac.to_be_bytes());
        stage.frame(f64::from(mac) / 4_000.0, Inbound, &claim);
    }
    assert!(stage.protocols.refused() > 30_000);
}
