//! Stories of routers, bridges and links that stand in for each other.

use super::frames::*;
use super::*;
use Direction::{Inbound, Outbound};

const HELLO: u8 = 0;
const SPEAK: u8 = 4;
const STANDBY: u8 = 8;
const ACTIVE: u8 = 16;

/// Review of the offline commands, F5: nothing falls silent when a network is torn in two.
#[test]
fn two_masters_are_told_when_the_second_begins() {
    let mut stage = Stage::new();
    for at in 0..10 {
        stage.frame(f64::from(at), Outbound, &vrrp(10, 1, 200));
        if at >= 4 {
            stage.frame(f64::from(at) + 0.6, Inbound, &vrrp(20, 1, 100));
        }
    }
    assert_eq!(stage.told(), ["warning vrrp_master_changed"]);
    let (at, torn) = &stage.findings[0];
    assert_eq!((*at, torn.first.mono.0 / 1_000_000), (5.6, 3_604_600));
    assert_eq!(
        torn.sentence,
        "VRRP group 1 (10.0.0.254) has two masters, 10.0.0.10 and 10.0.0.20: they do not hear each \
         other"
    );
    // One that gives way when it hears the master, and one whose word crossed the master's.
    for rivals in [vec![4.6], vec![4.999, 5.001]] {
        let mut stage = Stage::new();
        for at in 0..10 {
            stage.frame(f64::from(at), Outbound, &vrrp(10, 1, 200));
            for rival in rivals.iter().filter(|rival| **rival as i32 == at) {
                stage.frame(*rival, Inbound, &vrrp(20, 1, 100));
            }
        }
        assert!(stage.told().is_empty(), "{rivals:?}: {:?}", stage.told());
    }
}

/// Review of the offline commands, F10: silent since the next announcement was due.
#[test]
fn silence_begins_when_the_next_was_due() {
    let mut stage = Stage::new();
    for at in 0..5 {
        stage.frame(f64::from(at), Inbound, &vrrp(10, 1, 200));
    }
    stage.frame(4.0, Inbound, &hsrp(10, HELLO, ACTIVE, 200));
    stage.wait(20.0);
    let due: Vec<u64> =
        stage.findings.iter().map(|(_, finding)| finding.first.mono.0 / 1_000_000).collect();
    assert_eq!(stage.told(), ["warning vrrp_silence", "warning hsrp_silence"]);
    assert_eq!(due, [3_605_000, 3_607_000]);
}

#[test]
fn a_master_that_goes_and_comes_again_and_again_is_counted() {
    let mut stage = Stage::new();
    for round in 0..3 {
        let at = 7.0 * f64::from(round);
        stage.frame(at, Inbound, &vrrp(10, 1, 200));
        stage.frame(at + 1.0, Inbound, &vrrp(10, 1, 0));
        stage.frame(at + 1.6, Inbound, &vrrp(20, 1, 100));
        for more in [2.6, 3.6, 4.6, 5.6, 6.6] {
            stage.frame(at + more, Inbound, &vrrp(20, 1, 100));
        }
    }
    let counted =
        |words: &str| stage.findings.iter().any(|(_, finding)| finding.sentence.ends_with(words));
    assert!(counted("resigned as master of VRRP group 1 (10.0.0.254) (3 times in 14 s)"));
    assert!(counted("changed from 10.0.0.10 to 10.0.0.20 (5 times in 14 s)"));
}

#[test]
fn a_master_that_is_silent_but_answers_for_its_address_is_told() {
    let holder = crate::wire::Mac([2, 0, 0, 0, 0, 10]);
    let mut stage = Stage::new();
    for at in 0..5 {
        stage.frame(f64::from(at), Inbound, &vrrp(10, 1, 200));
        stage.frame(f64::from(at), Inbound, &arp_reply((holder, 254), (ROUTER, 75)));
    }
    stage.frame(7.7, Inbound, &vrrp(20, 1, 100));
    stage.frame(8.7, Inbound, &vrrp(20, 1, 100));
    let before = stage.findings.len();
    stage.frame(9.0, Inbound, &arp_reply((holder, 254), (ROUTER, 75)));
    assert_eq!(stage.told()[before..], ["warning vrrp_silence"]);
    let held = &stage.findings[before].1.sentence;
    assert!(held.starts_with("10.0.0.10, silent as master of VRRP group 1 (10.0.0.254), still"));
}

/// Review of the offline commands, F6.
#[test]
fn groups_of_one_number_with_different_addresses_are_two_groups() {
    let mut stage = Stage::new();
    for at in 0..20 {
        let at = 3.0 * f64::from(at);
        stage.frame(at, Inbound, &hsrp_for(1, HELLO, ACTIVE, 100, 254));
        stage.frame(at + 1.0, Inbound, &hsrp_for(2, HELLO, ACTIVE, 100, 253));
        stage.frame(at + 1.5, Inbound, &vrrp_for(1, 7, 100, 254));
        stage.frame(at + 2.0, Inbound, &vrrp_for(2, 7, 100, 253));
        for more in [2.2, 2.5] {
            stage.frame(at + more, Inbound, &vrrp_for(1, 7, 100, 254));
            stage.frame(at + more, Inbound, &vrrp_for(2, 7, 100, 253));
        }
    }
    assert_eq!(stage.told(), ["notice hsrp_state_changed", "notice vrrp_master_changed"]);
    for (_, finding) in &stage.findings {
        let sentence = &finding.sentence;
        assert!(sentence.contains("10.0.0.254") && sentence.contains("10.0.0.253"), "{sentence}");
    }
    // One router that is given another address stays the one it was.
    let mut moved = Stage::new();
    for at in 0..20 {
        let host = if at < 10 { 254 } else { 253 };
        moved.frame(f64::from(at), Inbound, &vrrp_for(1, 7, 100, host));
    }
    assert!(moved.told().is_empty(), "{:?}", moved.told());
}

/// Review of the offline commands, F7.
#[test]
fn who_becomes_active_where_nobody_was_is_told() {
    let mut stage = Stage::new();
    for (at, state) in [(0.0, SPEAK), (10.0, STANDBY), (20.0, ACTIVE), (23.0, ACTIVE)] {
        stage.frame(at, Inbound, &hsrp(10, HELLO, state, 100));
    }
    assert_eq!(stage.told(), ["info hsrp_state_changed", "notice hsrp_state_changed"]);
    assert_eq!(
        stage.findings[1].1.sentence,
        "HSRP group 1 (10.0.0.254): 10.0.0.10 went from Standby to Active: nobody else was"
    );
}

/// Scene l2:root and the root that is no longer heard.
#[test]
fn a_lost_root_is_lost_since_its_hello_was_due() {
    let mut lost = Stage::new();
    for at in [0.0, 2.0, 4.0, 6.0] {
        lost.frame(at, Inbound, &rstp(1, 9, false));
    }
    lost.wait(14.0);
    assert_eq!(lost.told(), ["warning stp_silence"]);
    assert_eq!(lost.findings[0].1.first.mono.0 / 1_000_000_000, 3_608);
    lost.frame(14.0, Inbound, &rstp(9, 9, false));
    assert_eq!(lost.told()[1..], ["warning stp_root_changed", "warning stp_silence over"]);
    let changed = &lost.findings[1].1;
    assert_eq!(changed.first.mono.0 / 1_000_000_000, 3_608);
    assert!(changed.sentence.ends_with("that is no longer heard"), "{}", changed.sentence);

    // A root of long standing that hears of a better one is not joining.
    let mut better = Stage::new();
    for at in 0..30 {
        better.frame(2.0 * f64::from(at), Outbound, &rstp(9, 9, false));
    }
    better.frame(60.0, Outbound, &rstp(1, 9, false));
    assert_eq!(better.told(), ["warning stp_root_changed"]);
    assert!(better.findings[0].1.sentence.ends_with("it is a better one"));
}

#[test]
fn a_bfd_session_that_never_comes_up_is_a_notice() {
    const DOWN: u8 = 1;
    let mut stage = Stage::new();
    for at in 0..60 {
        stage.frame(f64::from(at), Inbound, &bfd(1, 2, DOWN, 0));
    }
    assert_eq!(stage.told(), ["notice bfd_down"]);
    assert!((30.0..31.0).contains(&stage.findings[0].0));
}

/// Review of the offline commands, F11.
#[test]
fn both_members_of_a_healthy_bond_on_one_interface_are_no_change_of_partners() {
    const UP: u8 = 0x3d;
    let mut stage = Stage::new();
    for at in [0.0, 30.0, 60.0] {
        for (theirs, ours) in [(27, 9), (28, 10)] {
            stage.frame(at, Inbound, &lacp((SWITCH, theirs, UP), (ROUTER, ours, UP)));
            stage.frame(at, Outbound, &lacp((ROUTER, ours, UP), (SWITCH, theirs, UP)));
        }
    }
    assert!(stage.told().is_empty(), "{:?}", stage.told());
    stage.frame(61.0, Inbound, &lacp((SWITCH, 28, UP), (ROUTER, 9, UP)));
    assert_eq!(stage.told(), ["warning lacp_partner_changed"], "the cables were swapped");
}

/// Review of the offline commands, F11: the own station speaks from another address than was inferred.
#[test]
fn both_ends_of_a_wire_are_no_change_of_neighbors() {
    let mut stage = Stage::new();
    for round in 0..10 {
        let at = 30.0 * f64::from(round);
        stage.frame(at, Inbound, &lldp(7, "Gi1/0/1", 120));
        stage.frame(at + 10.0, Inbound, &lldp(1, "eth0", 120));
    }
    assert!(stage.told().is_empty(), "{:?}", stage.told());
}
