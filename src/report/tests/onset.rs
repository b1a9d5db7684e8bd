//! The way from the symptom back to the onset, as tables of what was found.

use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::finding::Party;
use crate::finding::Severity::{Critical, Notice, Warning};
use crate::report::model::{Entry, Trigger};
use crate::report::onset;
use crate::report::relations::Relations;

fn entry(first: u64, last: u64, severity: Severity) -> Entry {
    Entry { severity, ..found(&format!("at_{first}"), first, last) }
}

fn host(last: u8) -> Party {
    Party::Host(IpAddr::from([10, 6, 0, last]))
}

/// A finding of `kind` on `interface`, about these hosts.
fn on(interface: &str, kind: &str, span: (u64, u64), hosts: &[u8]) -> Entry {
    Entry {
        interface: Some(interface.to_owned()),
        parties: hosts.iter().map(|last| host(*last)).collect(),
        ..found(kind, span.0, span.1)
    }
}

fn lasting(entry: Entry) -> Entry {
    Entry { over: false, ..entry }
}

/// What a host told at this second, by itself no more than a notice.
fn told(kind: &str, interface: &str, at: u64) -> Entry {
    let entry = on(interface, kind, (at, at), &[]);
    Entry { severity: Notice, from: "host", told: Some(entry.first), ..entry }
}

fn trigger(kind: &str, object: Option<&str>, at: u64, sentence: &str) -> Trigger {
    Trigger {
        time: Wall(BEGIN + at * S),
        sentence: sentence.to_owned(),
        by: "bundle",
        kind: Some(kind.to_owned()),
        object: object.map(str::to_owned),
    }
}

/// A bundle of a host with these interfaces, none upon another.
fn apart() -> Relations {
    let mut relations = Relations::default();
    relations.kin("eth0", []);
    relations
}

/// The second of the onset, and kinds in the incident.
fn onset_of(
    mut findings: Vec<Entry>,
    trigger: Option<Trigger>,
    relations: &Relations,
) -> (Option<u64>, Vec<String>) {
    findings.sort_by_key(|entry| entry.first);
    let chain = onset::of(&mut findings, trigger, None, relations);
    let second = chain.onset.map(|onset| (onset.time.0 - BEGIN) / S);
    let belongs = findings.iter().filter(|entry| entry.in_incident);
    (second, belongs.map(|entry| entry.kind.clone()).collect())
}

#[test]
fn the_onset_is_the_first_that_touches_the_chain() {
    // name, findings (first, last, severity), trigger given, onset, in the incident
    type Story = (&'static str, Vec<(u64, u64, Severity)>, Option<u64>, Option<u64>, usize);
    let stories: [Story; 6] = [
        ("nothing", vec![], None, None, 0),
        ("notices", vec![(10, 20, Notice)], None, None, 0),
        ("a storm before", vec![(100, 190, Warning), (200, 200, Critical)], None, Some(100), 2),
        ("an old story", vec![(100, 100, Warning), (500, 500, Critical)], None, Some(500), 1),
        (
            "step by step, and what followed",
            vec![
                (100, 100, Warning),
                (150, 150, Warning),
                (240, 240, Critical),
                (300, 300, Warning),
            ],
            None,
            Some(100),
            4,
        ),
        (
            "the operator knows",
            vec![(100, 100, Warning), (900, 900, Critical)],
            Some(120),
            Some(100),
            1,
        ),
    ];
    for (name, told, at, onset, count) in stories {
        let mut findings: Vec<_> = told.into_iter().map(|(f, l, s)| entry(f, l, s)).collect();
        let at = at.map(|s| Wall(BEGIN + s * S));
        let chain = onset::of(&mut findings, None, at, &Relations::default());
        let first = chain.onset.map(|onset| (onset.time.0 - BEGIN) / S);
        assert_eq!(first, onset, "{name}");
        assert_eq!(findings.iter().filter(|e| e.in_incident).count(), count, "{name}");
    }
}

#[test]
fn what_lasts_reaches_the_symptom_however_long_it_waits() {
    let (bgp, silence) = ("bgp_notification", "one_way");
    let findings = vec![lasting(found(silence, 120, 270)), entry_of(bgp, 270, Critical)];
    assert_eq!(onset_of(findings, None, &Relations::default()).0, Some(120));
    // What ended waits no longer than those do who are involved: a hold time, or LACP's timeout.
    for (kind, onset) in [(bgp, 100), ("lacp_defaulted", 280)] {
        let findings = vec![found(silence, 100, 110), entry_of(kind, 280, Critical)];
        assert_eq!(onset_of(findings, None, &Relations::default()).0, Some(onset), "{kind}");
    }
}

fn entry_of(kind: &str, at: u64, severity: Severity) -> Entry {
    Entry { severity, ..found(kind, at, at) }
}

#[test]
fn the_onset_is_never_later_than_the_symptom_though_the_host_takes_that_for_a_notice() {
    let gone = told("route", "eth0", 10);
    let late = on("eth0", "arp_unanswered", (18, 20), &[2]);
    let by = trigger("default-route-gone", None, 10, &gone.sentence);
    let (onset, kinds) = onset_of(vec![gone.clone(), late], Some(by.clone()), &apart());
    assert_eq!(onset, Some(10));
    assert_eq!(kinds, ["route", "arp_unanswered"]);
    // The cause comes before it, where there is one.
    let nak = on("eth0", "dhcp_refused", (9, 9), &[2]);
    assert_eq!(onset_of(vec![gone, nak], Some(by), &apart()).0, Some(9));
}

#[test]
fn no_onset_is_after_its_trigger_whatever_told_it() {
    // Read again, the frames show it later than it was known: what the host knew before its window is missing.
    for kind in ["dhcp_servers_differ", "service_refused", "next_hop_silent", "link_down", "route"]
    {
        for (from, sentence) in
            [("frames", "the same"), ("frames", "another"), ("host", "the same")]
        {
            let late = Entry { from, ..on("eth0", kind, (11, 12), &[2]) };
            let sentence = sentence.replace("the same", &late.sentence);
            let told = trigger(&kind.replace('_', "-"), Some("eth0"), 10, &sentence);
            for findings in [vec![late.clone()], vec![on("eth0", kind, (40, 41), &[3]), late]] {
                let (onset, _) = onset_of(findings, Some(told.clone()), &apart());
                assert_eq!(onset, Some(10), "{kind} {from} {sentence}");
            }
        }
    }
}

#[test]
fn what_happens_to_others_is_no_onset() {
    let scan = || on("p-oth", "tcp_reset_burst", (10, 12), &[66, 67]);
    let silent = |hosts: &[u8]| on("eth0", "dns_unanswered", (30, 40), hosts);
    // name, the earlier finding, the symptom, onset
    for (name, earlier, symptom, onset) in [
        ("another port", scan(), on("p-new", "lacp_expired", (30, 30), &[]), 30),
        ("another host", on("eth0", "tcp_reset_burst", (20, 21), &[66]), silent(&[53]), 30),
        ("the same host", on("eth0", "icmp_unreachable_burst", (20, 21), &[53]), silent(&[53]), 20),
        ("the whole interface", on("eth0", "lacp_expired", (20, 21), &[]), silent(&[53]), 20),
        ("an address in it", on("eth0", "address_conflict", (20, 21), &[10]), silent(&[53]), 20),
    ] {
        let by = trigger(&symptom.kind.replace('_', "-"), None, 31, &symptom.sentence);
        let (found, _) = onset_of(vec![earlier, symptom], Some(by), &apart());
        assert_eq!(found, Some(onset), "{name}");
    }
}

/// Regression: a switch froze for a conflict as one port showed it, a second after another port had.
#[test]
fn the_same_thing_seen_first_at_another_place_is_the_onset() {
    let claimed = |interface: &str, at: u64, what: &str, last: u8| Entry {
        what: what.to_owned(),
        ..on(interface, "address_conflict", (at, at + 5), &[last])
    };
    let symptom = |findings: [Entry; 2]| {
        let trigger = trigger("address-conflict", Some("eth1"), 101, "claimed");
        onset_of(findings.into(), Some(trigger), &apart()).0
    };
    let (same, other) = ("10.6.0.10 is claimed twice", "10.6.0.11 is claimed twice");
    for (first, expected) in
        [(claimed("eth0", 100, same, 10), 100), (claimed("eth0", 100, other, 11), 101)]
    {
        assert_eq!(symptom([first, claimed("eth1", 101, same, 10)]), Some(expected));
    }
}

#[test]
fn ports_and_their_bond_are_one_place_and_vlans_are_apart() {
    let mut relations = Relations::default();
    relations.kin("s0", ["bond0".to_owned()]);
    let cause = |place: &str| lasting(on(place, "lacp_expired", (10, 10), &[]));
    let symptom = || on("bond0", "one_way", (60, 90), &[]);
    assert_eq!(onset_of(vec![cause("s0"), symptom()], None, &relations).0, Some(10));
    assert_eq!(onset_of(vec![cause("eth7"), symptom()], None, &relations).0, Some(60));
    let within =
        |id, kind, at| Entry { parties: vec![Party::Vlan(id)], ..on("s0", kind, (at, at), &[]) };
    for (id, onset) in [(7, 10), (8, 60)] {
        let findings = vec![within(7, "stp_root_changed", 10), within(id, "receive_silence", 60)];
        assert_eq!(onset_of(findings, None, &relations).0, Some(onset), "VLAN {id}");
    }
}

/// A host behind the next hop 1, which says where it is.
fn behind_a_next_hop() -> (Relations, Party) {
    use crate::detect::protocols::tests::frames::*;
    use crate::frame::LinkType;
    use crate::wire::Reading;
    let mut relations = apart();
    let eth0: Arc<str> = "eth0".into();
    // The next hop says where it is, and a far host's packets come from there.
    let mut far = udp(1, 9, 7);
    far[6..12].copy_from_slice(&ROUTER.0);
    for bytes in [arp_reply((ROUTER, 1), (OTHER, 10)), far] {
        let reading = Reading::of(LinkType::ETHERNET, &bytes).unwrap();
        relations.frame(&eth0, Direction::Inbound, &reading);
    }
    (relations, Party::Host(IpAddr::from([192, 0, 2, 9])))
}

fn about(kind: &str, at: u64, parties: &[Party]) -> Entry {
    Entry { parties: parties.to_vec(), ..on("eth0", kind, (at, at), &[]) }
}

#[test]
fn a_next_hop_that_fell_silent_is_the_onset_of_what_lies_behind_it() {
    use crate::detect::protocols::tests::frames::ROUTER;
    let (relations, far) = behind_a_next_hop();
    let (router, link_local) = (Party::Station(ROUTER), "fe80::1".parse::<Party>().unwrap());
    // name, whom the silent next hop is called by, when its silence and the service's began, cause
    for (name, own, silent, unanswered, cause) in [
        ("by its address", arp_host(1), 10, 10, "next_hop_silent"),
        ("by that of its link", link_local, 10, 10, "next_hop_silent"),
        ("noticed by a pause", link_local, 11, 10, "next_hop_silent"),
        ("long after", link_local, 14, 10, "service_unanswered"),
    ] {
        let symptom = about("service_unanswered", unanswered, &[far]);
        let by = trigger("service-unanswered", Some("eth0"), 15, &symptom.sentence);
        let mut findings = vec![about("next_hop_silent", silent, &[own, router]), symptom];
        findings.sort_by_key(|entry| entry.first);
        let chain = onset::of(&mut findings, Some(by), None, &relations);
        let onset = chain.onset.unwrap();
        assert_eq!((&*onset.finding.kind, onset.before_trigger_s), (cause, 5.0), "{name}");
        assert!(findings.iter().all(|entry| entry.in_incident), "{name}");
    }
}

#[test]
fn the_next_hop_is_on_the_way_of_those_behind_it() {
    let (relations, far) = behind_a_next_hop();
    for (cause, effect, onset) in [(arp_host(1), far, 10), (host(77), far, 20)] {
        let findings =
            vec![about("arp_unanswered", 10, &[cause]), about("service_unanswered", 20, &[effect])];
        assert_eq!(onset_of(findings, None, &relations).0, Some(onset), "{cause}");
    }
}

/// The host that [`crate::detect::protocols::tests::frames`] calls by this number in ARP.
fn arp_host(last: u8) -> Party {
    use crate::detect::protocols::tests::frames::*;
    use crate::frame::LinkType;
    use crate::wire::{Message, Reading};
    let bytes = arp_reply((ROUTER, last), (OTHER, 10));
    let reading = Reading::of(LinkType::ETHERNET, &bytes).unwrap();
    let Message::Arp(arp) = reading.message else { panic!("{reading}") };
    Party::Host(arp.sender.into())
}

#[test]
fn a_port_that_an_administrator_sets_down_needs_no_onset() {
    let before = on("eth0", "duplicate_storm", (1, 2), &[]);
    let down = Entry { by_hand: true, ..told("link_down", "eth0", 10) };
    let by = trigger("link-down", Some("eth0"), 10, &down.sentence);
    assert_eq!(onset_of(vec![before, down], Some(by), &apart()).0, Some(10));
}

#[test]
fn what_conversations_suffer_in_a_flood_is_not_its_onset() {
    // The burst is a border of a count, a little before the first copy that was noticed.
    let burst = || on("t1", "tcp_retransmission_burst", (10, 12), &[]);
    let storm = on("t1", "duplicate_storm", (11, 14), &[]);
    let by = trigger("duplicate-storm", Some("t1"), 11, &storm.sentence);
    let findings = vec![burst(), storm];
    let (onset, kinds) = onset_of(findings, Some(by), &apart());
    assert_eq!((onset, kinds.len()), (Some(11), 1));
}

#[test]
fn a_symptom_that_is_noticed_late_is_its_own_onset() {
    let down = Entry { first: Wall(BEGIN + 7 * S), ..told("probe_down", "eth0", 10) };
    let by = trigger("probe-lost", None, 10, &down.sentence);
    let mut findings = vec![down];
    let chain = onset::of(&mut findings, Some(by), None, &apart());
    let onset = chain.onset.unwrap();
    assert!(onset.is_symptom);
    assert_eq!((onset.before_trigger_s, findings[0].severity), (3.0, Warning));
    let steps: Vec<_> = chain.steps.iter().map(|step| (&*step.kind, &*step.sentence)).collect();
    let said =
        [("probe_down", "probe_down since 10"), ("trigger", "noticed: the window is frozen")];
    assert_eq!(steps, said, "the sentence is said once");
}

#[test]
fn a_long_chain_keeps_onset_symptom_and_the_worst() {
    let mut findings: Vec<_> = (0..100).map(|s| entry(s, s, Warning)).collect();
    findings.push(entry(100, 100, Critical));
    let chain = onset::of(&mut findings, None, None, &Relations::default());
    let seconds: Vec<_> = chain.steps.iter().map(|step| (step.time.0 - BEGIN) / S).collect();
    let expected: Vec<_> = (0..19).chain([100]).collect();
    assert_eq!((seconds, chain.more), (expected, 81));
}

#[test]
fn what_is_about_nothing_in_particular_explains_nothing() {
    let clock = |kind: &str| Entry { interface: None, ..found(kind, 60, 60) };
    let down = told("link_down", "eth0", 100);
    for (kind, onset) in [("clock_step", 100), ("missed", 100), ("table_full", 60)] {
        let by = trigger("link-down", Some("eth0"), 100, &down.sentence);
        let findings = vec![clock(kind), down.clone()];
        assert_eq!(onset_of(findings, Some(by), &apart()).0, Some(onset), "{kind}");
    }
}

#[test]
fn one_host_that_fails_is_a_sign_of_more_only_if_it_is_silent_and_nobody_else_answers() {
    let down = told("link_down", "eth0", 100);
    // name, what is wrong with 10.6.0.20 from second 60 on, does it last, who answered at 80, onset
    for (name, kind, lasts, answered, onset) in [
        ("refused", "service_refused", true, None, 100),
        ("silent", "ping_unanswered", true, None, 60),
        ("silent, and answered again", "ping_unanswered", false, None, 100),
        ("silent alone", "ping_unanswered", true, Some(30), 100),
        ("silent, and heard elsewhere", "ping_unanswered", true, Some(20), 60),
    ] {
        let mut relations = apart();
        let answers = answered.map(|n| (IpAddr::from([10, 6, 0, n]), Wall(BEGIN + 80 * S)));
        relations.answered(answers);
        let sign = on("eth0", kind, (60, 70), &[20]);
        let sign = if lasts { lasting(sign) } else { sign };
        let by = trigger("link-down", Some("eth0"), 100, &down.sentence);
        let (found, _) = onset_of(vec![sign, down.clone()], Some(by), &relations);
        assert_eq!(found, Some(onset), "{name}");
    }
}
