//! Stories of BGP and OSPF: what keeps routers from exchanging routes, and what only looks like it.

use super::frames::*;
use super::*;
use Direction::{Inbound, Outbound};

const FIN: u8 = 0x11;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const RST: u8 = 0x14;
const ACK: u8 = 0x10;

/// Sender, flags, sequence and acknowledgment, payload.
type Said<'a> = (u8, u8, (u32, u32), &'a [u8]);

/// The connection from port `port` of .1 to .2 comes up.
fn bgp_comes_up(stage: &mut Stage, at: f64, port: u16) {
    let open = [bgp_open(65_001), bgp_open(65_002)];
    let said: [Said<'_>; 7] = [
        (1, SYN, (0, 0), &[]),
        (2, SYN_ACK, (0, 1), &[]),
        (1, ACK, (1, 1), &open[0]),
        (2, ACK, (1, 30), &open[1]),
        (1, ACK, (30, 30), &KEEP_ALIVE),
        (2, ACK, (30, 49), &KEEP_ALIVE),
        (1, ACK, (49, 49), &[]),
    ];
    for (step, (from, flags, numbers, message)) in said.into_iter().enumerate() {
        let direction = if from == 1 { Outbound } else { Inbound };
        let frame = bgp_on(port, from, 3 - from, flags, numbers, message);
        stage.frame(at + step as f64 / 1_000.0, direction, &frame);
    }
}

/// Review of scenes 4.2: a notification, a keep-alive of the peer and a reset on a connection that never
/// carried a session.
#[test]
fn an_open_that_is_refused_is_told_with_its_reason_and_nothing_else() {
    let mut stage = Stage::new();
    bgp_comes_up(&mut stage, 0.0, 40_000);
    stage.frame(20.0, Inbound, &bgp(2, 1, FIN, &[]));
    stage.frame(20.1, Outbound, &bgp(1, 2, FIN, &[]));
    for (at, port) in [(21.0, 40_001), (31.0, 40_002)] {
        let mut say = |after: f64, direction, from, to, flags, message: &[u8]| {
            stage.frame(at + after, direction, &bgp_on(port, from, to, flags, (1, 1), message));
        };
        say(0.0, Outbound, 1, 2, SYN, &[]);
        say(0.001, Inbound, 2, 1, SYN_ACK, &[]);
        say(0.002, Outbound, 1, 2, ACK, &bgp_open(65_001));
        say(0.003, Inbound, 2, 1, ACK, &bgp_open(65_099));
        say(0.004, Outbound, 1, 2, ACK, &notification(2, 2));
        say(0.005, Inbound, 2, 1, ACK, &KEEP_ALIVE);
        say(0.006, Inbound, 2, 1, RST, &[]);
    }
    assert_eq!(stage.told(), ["critical bgp_notification", "critical bgp_refused"]);
    assert_eq!(
        stage.findings[1].1.sentence,
        "BGP session 10.0.0.1 - 10.0.0.2 does not come up: 10.0.0.1: OPEN Message Error, Bad Peer AS \
         (2/2); 10.0.0.2 says that it is AS 65099"
    );
    bgp_comes_up(&mut stage, 60.0, 40_003);
    assert_eq!(stage.told()[2..], ["critical bgp_notification over", "critical bgp_refused over"]);
    assert_eq!(stage.findings[3].1.count, 2, "both times count");
}

/// Review of the offline commands, F4.
#[test]
fn one_of_two_connections_opened_at_once_is_closed_and_the_session_lives() {
    let mut stage = Stage::new();
    stage.frame(0.0, Inbound, &bgp_on(50_000, 1, 2, SYN, (1, 1), &[]));
    stage.frame(0.001, Inbound, &bgp_on(50_000, 1, 2, ACK, (1, 1), &bgp_open(65_001)));
    bgp_comes_up(&mut stage, 0.01, 40_000);
    stage.frame(0.1, Inbound, &bgp_on(50_000, 2, 1, ACK, (1, 1), &notification(6, 7)));
    stage.frame(0.2, Inbound, &bgp_on(50_000, 2, 1, FIN, (1, 1), &[]));
    assert_eq!(stage.told(), ["notice bgp_notification"]);
    stage.frame(9.0, Inbound, &bgp(2, 1, FIN, &[]));
    assert_eq!(stage.told()[1..], ["critical bgp_notification"], "the true end");
}

/// Scene bgp:hold: the peer's segments are dropped on their way in, and both ends send again.
#[test]
fn a_session_that_one_end_no_longer_hears_is_told_with_the_way_that_is_broken() {
    // Name, acknowledged by the other as seen here, sentence.
    let cases = [
        (true, "10.0.0.1 does not hear 10.0.0.2"),
        (false, "10.0.0.2 does not acknowledge what 10.0.0.1 has sent"),
    ];
    for (acknowledged, expected) in cases {
        let mut stage = Stage::new();
        bgp_comes_up(&mut stage, 0.0, 40_000);
        stage.frame(10.0, Outbound, &bgp_on(40_000, 1, 2, ACK, (100, 50), &KEEP_ALIVE));
        if acknowledged {
            stage.frame(10.01, Inbound, &bgp_on(40_000, 2, 1, ACK, (50, 119), &[]));
        }
        for after in [0.2, 0.4, 0.8, 1.7, 3.3, 6.7] {
            let again = bgp_on(40_000, 1, 2, ACK, (100, 50), &KEEP_ALIVE);
            stage.frame(10.0 + after, Outbound, &again);
        }
        stage.wait(20.0);
        assert_eq!(stage.told(), ["warning bgp_silence", "critical bgp_silence"], "{expected}");
        let (at, finding) = &stage.findings[0];
        assert!((13.0..13.5).contains(at), "a third of the hold time: {at}");
        assert!(finding.sentence.contains(expected), "{}", finding.sentence);
        assert_eq!(finding.first.mono.0 / 1_000_000_000, 3_610, "the first that was lost");
        assert!(stage.findings[1].1.sentence.ends_with("longer than the hold time of 9 s"));
        let next = bgp_on(40_000, 2, 1, ACK, (50, 119), &KEEP_ALIVE);
        stage.frame(20.0, Inbound, &next);
        stage.frame(20.1, Outbound, &bgp_on(40_000, 1, 2, ACK, (119, 69), &KEEP_ALIVE));
        stage.wait(21.0);
        assert_eq!(stage.told()[2..], ["critical bgp_silence over"]);
    }
}

#[test]
fn a_session_that_is_heard_is_not_silent() {
    // Lost once, copied by the capture, or idle between keep-alives.
    let mut stage = Stage::new();
    bgp_comes_up(&mut stage, 0.0, 40_000);
    for round in 0..20_u32 {
        let at = 3.0 * f64::from(round + 1);
        let (ours, theirs) = (100 + round * 19, 50 + round * 19);
        let sent = bgp_on(40_000, 1, 2, ACK, (ours, theirs), &KEEP_ALIVE);
        for after in [0.0, 0.001, 0.002, 0.25] {
            stage.frame(at + after, Outbound, &sent);
        }
        let answer = bgp_on(40_000, 2, 1, ACK, (theirs, ours + 19), &KEEP_ALIVE);
        stage.frame(at + 0.3, Inbound, &answer);
        stage.frame(
            at + 0.301,
            Outbound,
            &bgp_on(40_000, 1, 2, ACK, (ours + 19, theirs + 19), &[]),
        );
    }
    assert!(stage.told().is_empty(), "{:?}", stage.told());
    // Both ends silent: the frames go another way, which is no failure of the session.
    stage.wait(120.0);
    assert!(stage.told().is_empty(), "{:?}", stage.told());
}

#[test]
fn an_end_that_says_nothing_for_the_hold_time_is_silent() {
    let mut stage = Stage::new();
    bgp_comes_up(&mut stage, 0.0, 40_000);
    for round in 0..6_u32 {
        let sent = bgp_on(40_000, 1, 2, ACK, (100 + round * 19, 1), &KEEP_ALIVE);
        stage.frame(3.0 * f64::from(round + 1), Outbound, &sent);
    }
    assert_eq!(stage.told(), ["critical bgp_silence"]);
    let (at, finding) = &stage.findings[0];
    assert!((9.0..9.5).contains(at), "{at}");
    assert!(finding.sentence.contains("nothing is heard of 10.0.0.2"), "{}", finding.sentence);
    assert_eq!(finding.first.mono.0 / 1_000_000, 3_603_005, "when its keep-alive was due");
    // Who acknowledges more and more hears it, by another way than this interface.
    let mut elsewhere = Stage::new();
    bgp_comes_up(&mut elsewhere, 0.0, 40_000);
    for round in 0..6_u32 {
        let numbers = (100 + round * 19, 50 + round * 19);
        let sent = bgp_on(40_000, 1, 2, ACK, numbers, &KEEP_ALIVE);
        elsewhere.frame(3.0 * f64::from(round + 1), Outbound, &sent);
    }
    assert!(elsewhere.told().is_empty(), "{:?}", elsewhere.told());
}

#[test]
fn a_peer_that_begins_anew_without_a_word_has_lost_its_session() {
    let mut stage = Stage::new();
    bgp_comes_up(&mut stage, 0.0, 40_000);
    bgp_comes_up(&mut stage, 60.0, 40_001);
    assert_eq!(stage.told(), ["critical bgp_notification", "critical bgp_notification over"]);
    let ended = &stage.findings[0].1.sentence;
    assert!(ended.contains("10.0.0.1 opens a new one without a word"), "{ended}");
}

#[test]
fn connections_that_are_refused_or_signed_by_one_end_only_are_told() {
    let mut refused = Stage::new();
    bgp_comes_up(&mut refused, 0.0, 40_000);
    refused.frame(9.0, Inbound, &bgp(2, 1, FIN, &[]));
    refused.frame(10.0, Outbound, &bgp_on(40_001, 1, 2, SYN, (1, 1), &[]));
    refused.frame(10.1, Inbound, &bgp_on(40_001, 2, 1, RST, (1, 1), &[]));
    assert_eq!(refused.told(), ["critical bgp_notification", "warning bgp_refused"]);

    // Name, signed by .1 and by .2, told.
    for (one, other, expected) in [
        (true, false, Some("10.0.0.1 signs its BGP segments (TCP MD5 or AO), 10.0.0.2 does not")),
        (false, true, Some("10.0.0.2 signs its BGP segments (TCP MD5 or AO), 10.0.0.1 does not")),
        (true, true, Some("their keys may differ")),
        (false, false, None),
    ] {
        let mut stage = Stage::new();
        for at in [0.0, 1.0, 3.0] {
            stage.frame(at, Outbound, &bgp_dial(1, 2, one));
            stage.frame(at + 0.5, Inbound, &bgp_dial(2, 1, other));
        }
        let told = stage.findings.first().map(|(_, finding)| finding.sentence.as_str());
        assert_eq!(told.is_some(), expected.is_some(), "{told:?}");
        assert!(told.unwrap_or_default().contains(expected.unwrap_or_default()), "{told:?}");
    }
}

/// Scene ospf:mtu and review of scenes 4.4.
#[test]
fn routers_of_different_mtu_are_stuck_and_not_heard_again() {
    let mut stage = Stage::new();
    let hellos = |stage: &mut Stage, at: f64, named: &[u8]| {
        stage.frame(at, Outbound, &ospf(2, &[3]));
        stage.frame(at + 0.1, Inbound, &ospf(3, named));
    };
    hellos(&mut stage, 0.0, &[2]);
    hellos(&mut stage, 10.0, &[]);
    hellos(&mut stage, 20.0, &[2]);
    for at in [20.5, 25.5, 30.5, 35.5] {
        stage.frame(at, Inbound, &ospf_describes(3, 2, 1_400, 7, 1));
        stage.frame(at + 0.1, Outbound, &ospf_describes(2, 3, 1_500, 0, 1));
        hellos(&mut stage, at + 4.0, &[2]);
    }
    assert_eq!(stage.told(), ["warning ospf_neighbor_lost", "warning ospf_stuck"]);
    let (at, stuck) = &stage.findings[1];
    assert_eq!((*at, stuck.first.mono.0 / 1_000_000), (25.5, 3_620_500));
    assert_eq!(
        stuck.sentence,
        "OSPFv2 routers 10.0.0.2 and 10.0.0.3 do not become adjacent (ExStart): their MTU differs, \
         10.0.0.2 says 1500, 10.0.0.3 says 1400"
    );
    // The link is mended: both say all they have.
    for at in [45.0, 46.0] {
        stage.frame(at, Inbound, &ospf_describes(3, 2, 1_500, 0, 2));
        stage.frame(at, Outbound, &ospf_describes(2, 3, 1_500, 0, 2));
    }
    stage.wait(47.0);
    assert_eq!(stage.told()[2..], ["warning ospf_stuck over", "warning ospf_neighbor_lost over"]);
}

#[test]
fn descriptions_lost_once_or_repeated_for_ever() {
    for (times, expected) in [(2, 0), (4, 1)] {
        let mut stage = Stage::new();
        stage.frame(0.0, Outbound, &ospf(2, &[3]));
        stage.frame(0.0, Inbound, &ospf(3, &[2]));
        for again in 0..times {
            let at = 1.0 + 5.0 * f64::from(again);
            stage.frame(at, Outbound, &ospf_describes(2, 3, 1_500, 7, 1));
        }
        assert_eq!(stage.told(), vec!["warning ospf_stuck"; expected]);
    }
}

/// Scene ospf:hello.
#[test]
fn hellos_that_differ_are_told_with_both_values() {
    let mut stage = Stage::new();
    stage.frame(0.0, Outbound, &ospf_every(2, 2, (2, 8), &[]));
    stage.frame(0.5, Inbound, &ospf_every(3, 3, (5, 20), &[]));
    stage.frame(2.0, Outbound, &ospf_every(2, 2, (2, 8), &[]));
    assert_eq!(stage.told(), ["warning ospf_mismatch"]);
    assert_eq!(
        stage.findings[0].1.sentence,
        "OSPFv2 routers 10.0.0.2 and 10.0.0.3 cannot become neighbors, their hellos differ: hello \
         interval 2 s and 5 s, dead interval 8 s and 20 s"
    );
    stage.frame(4.0, Inbound, &ospf_every(3, 3, (2, 8), &[]));
    stage.frame(4.1, Outbound, &ospf_every(2, 2, (2, 8), &[3]));
    assert_eq!(stage.told()[1..], ["warning ospf_mismatch over"]);
    // Routers of another network on the same wire are nobody's neighbours.
    let mut apart = Stage::new();
    let mut far = ospf_every(3, 3, (5, 20), &[]);
    far[28] = 7;
    apart.frame(0.0, Outbound, &ospf_every(2, 2, (2, 8), &[]));
    apart.frame(0.5, Inbound, &far);
    assert!(apart.told().is_empty(), "{:?}", apart.told());
}

#[test]
fn one_identity_from_two_routers_is_told_and_a_new_address_is_not() {
    let mut stage = Stage::new();
    stage.frame(0.0, Outbound, &ospf_every(2, 2, (10, 40), &[]));
    stage.frame(1.0, Inbound, &ospf_every(9, 2, (10, 40), &[]));
    stage.frame(11.0, Inbound, &ospf_every(9, 2, (10, 40), &[]));
    assert!(stage.told().is_empty(), "it may have moved");
    stage.frame(20.0, Outbound, &ospf_every(2, 2, (10, 40), &[]));
    assert_eq!(stage.told(), ["warning ospf_duplicate_router"]);
    assert_eq!(
        stage.findings[0].1.sentence,
        "two OSPFv2 routers have the identity 10.0.0.2: 10.0.0.9 and 10.0.0.2"
    );
}
