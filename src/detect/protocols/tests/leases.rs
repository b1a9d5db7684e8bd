//! Stories of DHCP: no answer, refusals, declined addresses, servers that differ; and of what looks alike.

use super::addresses::host;
use super::frames::*;
use super::*;
use crate::wire::Mac;
use Direction::{Inbound, Outbound, Unknown};

const ALL: [u8; 4] = [255; 4];
/// The link address of the host of the stories.
const OURS: Mac = Mac([2, 0, 0, 0, 0, 0x10]);
const EVIL: Mac = Mac([2, 0, 0, 0, 0, 0x66]);
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const ACK: u8 = 5;
const NAK: u8 = 6;
const RELEASE: u8 = 7;

fn discover(client: Mac, transaction: u8) -> Vec<u8> {
    lease((0, ALL), client, (DISCOVER, transaction), (0, 0, 0))
}

fn station(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 9, number])
}

#[test]
fn a_server_where_nobody_listens_is_told_with_the_first_refusal() {
    let mut stage = Stage::on(&host());
    stage.frame(1.0, Outbound, &lease((16, [10, 0, 0, 2]), OURS, (RELEASE, 7), (2, 16, 0)));
    // 10.0.0.1 is where the made-up error comes from: only the server itself can say so.
    let refusal = |server: u8, port: u8| {
        let mut frame = unreachable(16);
        (frame[29], frame[58 + 3]) = (server, server);
        frame[54..58].copy_from_slice(&[10, 0, 0, 16]);
        frame[58..62].copy_from_slice(&[10, 0, 0, server]);
        frame[65] = port;
        frame
    };
    stage.frame(1.001, Inbound, &refusal(2, 53));
    assert_eq!(stage.told(), ["notice dhcp_released"]);
    stage.frame(1.002, Inbound, &refusal(2, 67));
    assert_eq!(stage.told()[1..], ["warning dhcp_no_answer"]);
    assert_eq!(
        stage.sentences(FindingKind::DhcpNoAnswer),
        [
            "DHCP server 10.0.0.2 does not listen: it refuses (port unreachable) what 10.0.0.16 sends"
        ]
    );
    stage.frame(9.0, Inbound, &lease((2, ALL), OURS, (OFFER, 8), (2, 16, 1)));
    assert_eq!(stage.told()[2..], ["warning dhcp_no_answer over"]);
}

#[test]
fn the_second_renewal_without_an_answer_is_told() {
    let mut stage = Stage::on(&host());
    let renewal = lease((16, [10, 0, 0, 2]), OURS, (REQUEST, 7), (0, 16, 0));
    stage.frame(1.0, Outbound, &renewal);
    stage.frame(1.1, Inbound, &lease((2, [10, 0, 0, 16]), OURS, (ACK, 7), (2, 16, 1)));
    stage.wait(60.0);
    assert!(stage.told().is_empty());
    stage.frame(61.0, Outbound, &renewal);
    stage.frame(66.0, Outbound, &renewal);
    stage.wait(68.0);
    assert_eq!(stage.told(), ["warning dhcp_no_answer"]);
    let told = stage.sentences(FindingKind::DhcpNoAnswer)[0];
    assert!(told.contains("asked to renew 10.0.0.16 2 times"), "{told}");
}

#[test]
fn an_answer_that_cannot_be_seen_is_not_missed() {
    // Each client asks, and names the server of an offer that nobody else saw.
    let mut served = Stage::on(&host());
    for n in 0..5 {
        let at = f64::from(n) * 20.0;
        for again in 0..4 {
            served.frame(at + f64::from(again), Inbound, &discover(station(n as u8), n as u8));
        }
        let request = lease((0, ALL), station(n as u8), (REQUEST, n as u8), (2, 80 + n as u8, 0));
        for again in 0..4 {
            served.frame(at + 4.0 + f64::from(again), Inbound, &request);
        }
    }
    assert!(served.worst() < Some(Severity::Warning), "{:?}", served.told());
    served.wait(200.0);
    let open = served.told().iter().filter(|told| !told.ends_with("over")).count();
    assert_eq!(2 * open, served.told().len(), "all is over: {:?}", served.told());
    // A LAN without DHCPv6: one row for all that ask.
    let mut without = Stage::new();
    for n in 0..60 {
        without.frame(f64::from(n), Inbound, &solicit((n % 12) as u8 + 1, 1, (n % 12) as u8));
    }
    assert_eq!(without.told(), ["notice dhcp_no_answer"]);
    let told = without.sentences(FindingKind::DhcpNoAnswer)[0];
    assert!(told.ends_with("and no server is heard here"), "{told}");
}

#[test]
fn many_that_wait_where_others_are_served_are_a_warning() {
    let mut stage = Stage::on(&host());
    stage.frame(0.0, Inbound, &discover(SWITCH, 99));
    stage.frame(0.1, Inbound, &lease((0, ALL), SWITCH, (REQUEST, 99), (2, 70, 0)));
    for round in 0..4 {
        for client in 0..3 {
            let at = 10.0 + f64::from(round) * 4.0 + f64::from(client) / 10.0;
            stage.frame(at, Inbound, &discover(station(client as u8), client as u8));
        }
        let request = lease((0, ALL), OTHER, (REQUEST, 50), (2, 71, 0));
        stage.frame(11.0 + f64::from(round) * 4.0, Inbound, &request);
    }
    stage.wait(26.0);
    assert_eq!(stage.told(), ["warning dhcp_no_answer"]);
    let told = stage.sentences(FindingKind::DhcpNoAnswer)[0];
    assert!(told.starts_with("3 DHCP clients ask in vain, though others are served"), "{told}");
}

#[test]
fn a_server_that_falls_silent_is_told_where_it_runs() {
    let mut stage = Stage::new();
    stage.frame(0.0, Inbound, &discover(SWITCH, 1));
    stage.frame(0.1, Outbound, &lease((2, [10, 0, 0, 70]), SWITCH, (OFFER, 1), (2, 70, 1)));
    for at in [100.0, 104.0, 112.0] {
        stage.frame(at, Inbound, &discover(OTHER, 2));
    }
    stage.wait(115.0);
    assert_eq!(stage.told(), ["warning dhcp_no_answer"]);
}

#[test]
fn a_refused_address_is_a_warning_where_it_is_in_use() {
    for (name, address, expected) in
        [("ours", 16, "warning dhcp_nak"), ("of another network", 99, "notice dhcp_nak")]
    {
        let mut stage = Stage::on(&host());
        stage.frame(1.0, Outbound, &lease((0, ALL), OURS, (REQUEST, 7), (0, address, 0)));
        stage.frame(1.5, Inbound, &lease((2, ALL), OURS, (NAK, 7), (2, 0, 0)));
        assert_eq!(stage.told(), [expected], "{name}");
        let told = stage.sentences(FindingKind::DhcpNak)[0];
        assert!(told.contains(&format!("server 10.0.0.2 refuses 10.0.0.{address}")), "{told}");
        stage.frame(2.0, Inbound, &lease((2, ALL), OURS, (ACK, 8), (2, 44, 1)));
        assert_eq!(stage.told()[1], format!("{expected} over"), "{name}");
    }
}

#[test]
fn a_declined_address_is_told_with_who_has_it() {
    let mut stage = Stage::new();
    stage.frame(0.0, Inbound, &lease((2, ALL), OTHER, (ACK, 9), (2, 20, 1)));
    stage.frame(0.1, Inbound, &arp_reply((EVIL, 20), (OTHER, 0)));
    stage.frame(0.2, Inbound, &lease((0, ALL), OTHER, (DECLINE, 10), (2, 20, 0)));
    assert_eq!(
        stage.sentences(FindingKind::DhcpDeclined),
        ["DHCP client 02:00:5e:10:00:07 declines 10.0.0.20: 02:00:00:00:00:66 has it"]
    );
}

#[test]
fn a_second_server_counts_only_if_it_says_something_else() {
    let offer = |server, address, router| {
        lease((server, ALL), OTHER, (OFFER, 9), (server, address, router))
    };
    let cases: [(&str, Local, Vec<Vec<u8>>, usize); 5] = [
        ("a pair", Local::default(), vec![offer(2, 20, 1), offer(3, 80, 1)], 0),
        ("another router", Local::default(), vec![offer(2, 20, 1), offer(66, 80, 66)], 1),
        ("a boot server", Local::default(), vec![offer(2, 20, 1), offer(66, 0, 66)], 0),
        (
            "in another VLAN",
            Local::default(),
            vec![offer(2, 20, 1), tagged(7, &offer(66, 80, 66))],
            0,
        ),
        ("for another host", host(), vec![offer(66, 80, 66)], 0),
    ];
    for (name, local, offers, expected) in cases {
        let mut stage = Stage::on(&local);
        for (at, offer) in offers.iter().enumerate() {
            stage.frame(at as f64, Inbound, offer);
        }
        let told = stage.sentences(FindingKind::DhcpServersDiffer);
        assert_eq!(told.len(), expected, "{name}: {told:?}");
    }
    // What this host is offered leads elsewhere than its default route.
    let mut stage = Stage::on(&host());
    stage.frame(1.0, Inbound, &lease((66, [10, 0, 0, 80]), OURS, (OFFER, 9), (66, 80, 66)));
    assert_eq!(
        stage.sentences(FindingKind::DhcpServersDiffer),
        ["a DHCP server not heard before, 10.0.0.66, gives another router than this host's: \
          10.0.0.66 instead of 10.0.0.1"]
    );
}

#[test]
fn a_server_that_checks_an_address_misses_no_answer() {
    let check = arp_request((OURS, 16), Mac::BROADCAST, 80);
    for (name, asked, expected) in [("after a client asked", true, 0), ("by itself", false, 1)] {
        let mut stage = Stage::on(&host());
        stage.frame(0.0, Inbound, &arp_reply((OTHER, 80), (OURS, 16)));
        if asked {
            stage.frame(10.0, Inbound, &discover(SWITCH, 4));
        }
        for at in [10.1, 11.1, 12.1] {
            stage.frame(at, Outbound, &check);
        }
        stage.wait(14.9);
        assert_eq!(stage.sentences(FindingKind::ArpUnanswered).len(), expected, "{name}");
    }
}

#[test]
fn an_offer_that_nobody_took_misses_no_answer() {
    // The server asks the client alone, whose link address it knows, for the address that another gave it.
    let ask = arp_request((OURS, 16), OTHER, 80);
    for (name, taken, expected) in [("not taken", false, 0), ("taken, then silent", true, 1)] {
        let mut stage = Stage::on(&host());
        stage.frame(1.0, Outbound, &lease((16, [10, 0, 0, 80]), OTHER, (OFFER, 4), (16, 80, 1)));
        if taken {
            stage.frame(1.5, Inbound, &arp_request((OTHER, 80), Mac::BROADCAST, 80));
        }
        for at in [7.0, 8.0, 9.0] {
            stage.frame(at, Outbound, &ask);
        }
        stage.wait(12.0);
        assert_eq!(stage.sentences(FindingKind::ArpUnanswered).len(), expected, "{name}");
    }
}

#[test]
fn an_address_that_was_given_back_need_not_answer() {
    let mut stage = Stage::new();
    stage.frame(0.0, Unknown, &arp_reply((OTHER, 80), (OURS, 16)));
    stage.frame(1.0, Unknown, &lease((80, [10, 0, 0, 2]), OTHER, (RELEASE, 4), (2, 80, 0)));
    for at in [10.0, 11.0, 12.0, 13.0] {
        stage.frame(at, Unknown, &arp_request((OURS, 16), Mac::BROADCAST, 80));
    }
    stage.wait(16.0);
    assert_eq!(stage.told(), ["info dhcp_released", "notice arp_unanswered"]);
}
