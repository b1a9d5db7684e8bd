//! What is a loss, in tables; and the kernel's announcements, in a network namespace.

use std::net::IpAddr;

use crossbeam_channel::bounded;
use proptest::prelude::*;

use super::route::{Hop, Route};
use super::*;
use crate::finding::{Finding, FindingKind, Severity};
use crate::lab::{Namespace, wait_for};
use crate::observation::Observation;
use crate::time::{Clock, Stamp, Wall};
use crate::watch::spawn;

const OSPF: u8 = 188;
const STATIC: u8 = 4;

fn stamp(millis: u64) -> Stamp {
    Stamp { mono: Mono(millis * 1_000_000), wall: Wall(millis * 1_000_000) }
}

fn route(net: u16, protocol: u8) -> Route {
    let [high, low] = net.to_be_bytes();
    let destination = IpAddr::from([10, high, low, 0]);
    Route { destination, length: 24, table: 254, metric: 20, tos: 0, protocol }
}

fn via(host: u8) -> Vec<Hop> {
    vec![Hop { gateway: Some(IpAddr::from([192, 0, 2, host])), index: Some(7) }]
}

/// A table of so many routes by protocol and next hop.
fn table(of: &[(u8, u8, u16)]) -> Table {
    let mut table = Table::default();
    table.name(7, "e12".to_owned(), true);
    let mut net = 0;
    for (protocol, host, count) in of {
        for _ in 0..*count {
            table.begin(News::Is(route(net, *protocol), via(*host)));
            net += 1;
        }
    }
    table
}

fn told(table: &mut Table, millis: u64) -> Vec<Finding> {
    table.judge(stamp(millis))
}

#[test]
fn routes_that_vanish_together_are_a_loss_and_those_that_move_are_none() {
    use Severity::{Notice, Warning};
    // Name, the table (protocol, next hop, routes), how many of the first vanish, told.
    type Case = (&'static str, &'static [(u8, u8, u16)], u16, Option<Severity>);
    let cases: [Case; 9] = [
        ("one of two", &[(OSPF, 1, 2)], 1, Some(Warning)),
        ("the only one", &[(OSPF, 1, 1)], 1, Some(Warning)),
        ("a tenth", &[(OSPF, 1, 100)], 10, Some(Warning)),
        ("fewer", &[(OSPF, 1, 100)], 9, None),
        ("all of a next hop", &[(OSPF, 1, 3), (OSPF, 2, 500)], 3, Some(Warning)),
        ("a small peer's only prefix", &[(OSPF, 1, 1), (OSPF, 2, 500)], 1, None),
        ("an administrator's", &[(STATIC, 1, 1)], 1, Some(Notice)),
        ("several of his at once", &[(STATIC, 1, 2)], 2, Some(Warning)),
        ("one of his, beside a protocol's", &[(STATIC, 1, 1), (OSPF, 2, 9)], 1, Some(Notice)),
    ];
    for (name, of, gone, expected) in cases {
        let mut table = table(of);
        let (protocol, host, _) = of[0];
        for net in 0..gone {
            table.hear(stamp(u64::from(net)), News::Left(route(net, protocol), via(host)));
        }
        assert!(told(&mut table, 999).is_empty(), "{name}: not yet");
        let findings = told(&mut table, 1_000);
        assert_eq!(findings.first().map(|finding| finding.severity), expected, "{name}");
        assert!(findings.iter().all(|finding| finding.first == stamp(0)), "{name}");
        // Replaced, or back at once, is no loss.
        let mut moved = self::table(of);
        for net in 0..gone {
            moved.hear(stamp(0), News::Is(route(net, protocol), via(9)));
            moved.hear(stamp(5), News::Left(route(net, protocol), via(9)));
            moved.hear(stamp(9), News::Joined(route(net, protocol), via(host)));
        }
        assert!(told(&mut moved, 2_000).is_empty(), "{name}: moved");
    }
}

#[test]
fn a_loss_is_named_and_over_when_all_are_back() {
    let mut table = table(&[(OSPF, 1, 8)]);
    for net in 0..7 {
        table.hear(stamp(0), News::Left(route(net, OSPF), via(1)));
    }
    let lost = told(&mut table, 1_000);
    assert_eq!(lost[0].kind, FindingKind::RoutesGone);
    assert_eq!(
        lost[0].sentence,
        "7 routes of ospf via 192.0.2.1 on e12 gone (1 are left): 10.0.0.0/24, 10.0.1.0/24, \
         10.0.2.0/24, 10.0.3.0/24, 10.0.4.0/24 and 2 more"
    );
    for net in 0..7 {
        assert!(told(&mut table, 5_000).is_empty());
        table.hear(stamp(5_000), News::Joined(route(net, OSPF), via(2)));
    }
    let back = told(&mut table, 5_000);
    assert_eq!(back[0].sentence, "7 routes of ospf via 192.0.2.1 on e12 are there again");
    assert!(back[0].over && back[0].first == lost[0].first);
}

#[test]
fn a_route_that_loses_one_of_its_ways_is_not_gone() {
    let mut table = table(&[]);
    let both = [via(1), via(2)].concat();
    table.begin(News::Joined(route(0, OSPF), both.clone()));
    table.hear(stamp(0), News::Left(route(0, OSPF), via(1)));
    assert!(told(&mut table, 2_000).is_empty());
    table.hear(stamp(3_000), News::Left(route(0, OSPF), via(2)));
    assert_eq!(told(&mut table, 4_000).len(), 1);
}

#[test]
fn a_table_of_the_whole_internet_is_followed_in_part() {
    let mut table = Table::default();
    for net in 0..=u32::try_from(table::MOST).unwrap() {
        let [_, a, b, c] = net.to_be_bytes();
        let destination = IpAddr::from([a, b, c, 0]);
        let route = Route { destination, ..route(0, OSPF) };
        table.begin(News::Is(route, via(1)));
    }
    assert!(table.is_full());
    // What does not fit may be missing from what is read without being gone.
    let part = (0..=u32::try_from(table::MOST).unwrap()).map(|net| {
        let [_, a, b, c] = net.to_be_bytes();
        let destination = IpAddr::from([200, a, b, c]);
        News::Is(Route { destination, ..route(0, OSPF) }, via(1))
    });
    table.catch_up(stamp(0), part.collect());
    assert!(told(&mut table, 5_000).is_empty());
}

/// Scene ospf:kill at a router that is not next to the one that failed.
#[test]
fn routes_that_the_kernel_takes_away_are_told() {
    let Some(ns) = Namespace::new() else { return };
    ns.ip("link add n0 type veth peer name n1");
    for line in ["link set n0 up", "link set n1 up", "addr add 10.0.0.2/24 dev n0"] {
        ns.ip(line);
    }
    ns.ip("route add default via 10.0.0.1");
    for net in 0..4 {
        ns.ip(&format!("route add 192.0.{net}.0/24 via 10.0.0.1 proto ospf"));
    }
    let (outbox, inbox) = bounded(crate::watch::CHANNEL);
    let buffer = link::Options::default().receive_buffer;
    let watch =
        ns.inside(|| spawn(RouteWatcher::open(buffer).unwrap(), Clock::system(), outbox).unwrap());
    let says =
        |words: &'static str| move |seen: &Observation| seen.fact.to_string().contains(words);
    ns.ip("route del 192.0.2.0/24");
    ns.ip("route del 192.0.3.0/24");
    let words = "2 routes of ospf via 10.0.0.1 on n0 gone (2 are left): 192.0.2.0/24, 192.0.3.0/24";
    wait_for(&inbox, words, says(words));
    ns.ip("route add 192.0.2.0/24 via 10.0.0.3 proto ospf");
    ns.ip("route add 192.0.3.0/24 via 10.0.0.3 proto ospf");
    wait_for(&inbox, "back", says("2 routes of ospf via 10.0.0.1 on n0 are there again"));
    // The kernel announces no IPv4 route that goes with its interface.
    ns.ip("link set n0 down");
    wait_for(&inbox, "lost in silence", says("2 routes of ospf via 10.0.0.3 on n0 gone"));
    watch.join();
}

proptest! {
    #[test]
    fn random_messages_never_panic(kind in 16_u16..32, flags: u16, bytes: Vec<u8>) {
        let mut table = Table::default();
        if let Some(news) = message::read(kind, flags, &bytes) {
            table.hear(stamp(0), news);
            table.judge(stamp(5_000));
        }
    }
}
