//! What is news, in tables; and the kernel's announcements, in network namespaces.

use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::*;
use crate::lab::{BOUND, Namespace, wait_for};
use crate::observation::Observation;
use crate::observation::link::OperState;
use crate::time::Clock;
use crate::watch::{RunningWatcher, spawn};

fn up(index: u32, name: &str) -> LinkState {
    LinkState {
        index,
        name: name.to_owned(),
        hardware: 1,
        carrier: Some(true),
        operstate: OperState::Up,
        flags: LinkState::IFF_UP,
        mtu: 1_500,
        carrier_up_count: Some(1),
        carrier_down_count: Some(1),
        ..LinkState::default()
    }
}

#[test]
fn only_a_difference_is_news() {
    let base = up(7, "eth0");
    let told = KnownLinks([(7, base.clone())].into());
    for (what, now, news) in [
        ("nothing", base.clone(), false),
        ("promiscuous", LinkState { flags: base.flags | 1 << 8, ..base.clone() }, false),
        ("all multicast", LinkState { flags: base.flags | 1 << 9, ..base.clone() }, false),
        ("no ARP", LinkState { flags: base.flags | 1 << 7, ..base.clone() }, true),
        ("carrier", LinkState { carrier: Some(false), ..base.clone() }, true),
        ("master", LinkState { master: Some(9), ..base.clone() }, true),
        ("name", LinkState { name: "eth1".to_owned(), ..base.clone() }, true),
        (
            "a bounce between two messages",
            LinkState { carrier_up_count: Some(2), carrier_down_count: Some(2), ..base.clone() },
            true,
        ),
        ("a new interface", up(8, "eth1"), true),
    ] {
        assert_eq!(told.differs(&News::State(now)).is_some(), news, "{what}");
    }
    assert_eq!(told.differs(&News::Gone(7)), Some(Fact::LinkGone { last: base }));
    assert_eq!(told.differs(&News::Gone(8)), None, "never known, so never gone");
}

#[test]
fn catching_up_leads_from_what_was_told_to_what_is() {
    let told = KnownLinks([(1, up(1, "lo")), (7, up(7, "eth0"))].into());
    let news = told.catch_up(vec![up(1, "lo"), up(8, "eth0")]);
    let facts: Vec<Fact> = news.iter().filter_map(|news| told.differs(news)).collect();
    assert_eq!(
        facts,
        [Fact::LinkGone { last: up(7, "eth0") }, Fact::Link { before: None, now: up(8, "eth0") }]
    );
}

#[test]
fn a_buffer_must_have_a_size() {
    for (receive_buffer, good) in [(0, false), (2_048, true), (1 << 20, true), (1 << 30, false)] {
        let options = Options { receive_buffer, ..Options::default() };
        assert_eq!(options.check().is_ok(), good, "{receive_buffer}");
    }
    for (millis, good) in [(0, false), (99, false), (100, true), (3_600_001, false)] {
        let options = Options { look_anew: Duration::from_millis(millis), ..Options::default() };
        assert_eq!(options.check().is_ok(), good, "{millis} ms");
    }
}

fn open(options: &Options) -> (LinkWatcher, Sender<Observation>, Receiver<Observation>) {
    let (outbox, inbox) = bounded(crate::watch::CHANNEL);
    (LinkWatcher::open(options).unwrap(), outbox, inbox)
}

fn start() -> (RunningWatcher, Receiver<Observation>) {
    let (watcher, outbox, inbox) = open(&Options::default());
    (spawn(watcher, Clock::system(), outbox).unwrap(), inbox)
}

/// True for a change of the interface `name` that satisfies `wanted`.
fn change(name: &str, wanted: impl Fn(&LinkState) -> bool) -> impl Fn(&Observation) -> bool {
    move |seen| matches!(&seen.fact, Fact::Link { now, .. } if now.name == name && wanted(now))
}

#[test]
fn down_up_rename_removal_and_creation_are_told() {
    let Some(ns) = Namespace::new() else { return };
    ns.ip("link add d0 type veth peer name d1");
    ns.ip("link set d0 up");
    ns.ip("link set d1 up");
    let (watch, inbox, was_up) = ns.inside(|| {
        let (watcher, outbox, inbox) = open(&Options::default());
        let baseline = watcher.links();
        assert_eq!(baseline.len(), 3, "{baseline:?}");
        let d0 = baseline.iter().find(|link| link.name == "d0").unwrap();
        assert_eq!(d0.kind.as_deref(), Some("veth"));
        assert_eq!((d0.hardware, d0.mtu, d0.physical, d0.master), (1, 1_500, false, None));
        let d1 = baseline.iter().find(|link| link.name == "d1").unwrap();
        assert_eq!((d0.lower, d1.lower), (Some(d1.index), Some(d0.index)));
        assert_eq!(links().unwrap().len(), 3);
        let watch = spawn(watcher, Clock::system(), outbox).unwrap();
        (watch, inbox, d0.is_up())
    });

    if !was_up {
        wait_for(&inbox, "d0 up", change("d0", LinkState::is_up));
    }
    ns.ip("link set d1 down");
    let (down, _) = wait_for(&inbox, "d0 down", change("d0", |now| now.carrier == Some(false)));
    let Fact::Link { before: Some(before), now } = down.fact else { panic!("no before") };
    assert!(!now.is_up() && now.admin_up(), "{now:?}");
    assert!(now.carrier_down_count > before.carrier_down_count || !before.is_up(), "{before:?}");
    ns.ip("link set d0 down");
    let (admin, _) = wait_for(&inbox, "d0 set down", change("d0", |now| !now.admin_up()));
    let Fact::Link { now, .. } = admin.fact else { panic!() };
    assert_eq!((now.carrier, now.operstate), (None, OperState::Down), "nobody knows its carrier");

    ns.ip("link set d0 name north");
    let (renamed, _) = wait_for(&inbox, "rename", change("north", |_| true));
    assert!(renamed.fact.to_string().starts_with("d0 is now north (index "), "{}", renamed.fact);
    ns.ip("link del north");
    let gone = |name: &'static str| move |seen: &Observation| matches!(&seen.fact, Fact::LinkGone { last } if last.name == name);
    let (_, before) = wait_for(&inbox, "removal", gone("north"));
    if !before.iter().any(gone("d1")) {
        wait_for(&inbox, "removal of the peer", gone("d1"));
    }
    ns.ip("link add north type veth peer name d1");
    let (created, _) = wait_for(&inbox, "creation", change("north", |_| true));
    let Fact::Link { before: None, now: again } = created.fact else { panic!("{created:?}") };
    assert_ne!(again.index, now.index, "a re-created interface has a new index");
    assert_eq!(watch.join(), 0);
}

#[test]
fn a_capture_coming_and_going_is_no_news() {
    let Some(ns) = Namespace::new() else { return };
    ns.ip("link add p0 type veth peer name p1");
    let (watch, inbox) = ns.inside(start);
    ns.ip("link set p0 promisc on");
    ns.ip("link set p0 allmulticast on");
    ns.ip("link set p0 promisc off");
    ns.ip("link set p0 mtu 1400");
    let (_, before) = wait_for(&inbox, "the MTU", change("p0", |now| now.mtu == 1_400));
    assert_eq!(before, [], "promiscuity alone is no observation");
    watch.join();
}

#[test]
fn a_bounce_is_told() {
    let Some(ns) = Namespace::new() else { return };
    ns.ip("link add b0 type veth peer name b1");
    ns.ip("link set b0 up");
    ns.ip("link set b1 up");
    let (watch, inbox) = ns.inside(start);
    let counted = |state: &LinkState| state.carrier_changes().unwrap();
    let first = ns.inside(|| {
        let state = links().unwrap();
        counted(state.iter().find(|link| link.name == "b0").unwrap())
    });
    for _ in 0..3 {
        ns.ip("link set b1 down");
        ns.ip("link set b1 up");
    }
    let done = |now: &LinkState| now.is_up() && counted(now) >= first + 6;
    wait_for(&inbox, "all six changes of carrier", change("b0", done));
    watch.join();
}

#[test]
fn overflow_ends_in_the_right_state() {
    let Some(ns) = Namespace::new() else { return };
    ns.ip("link add o0 type veth peer name o1");
    let tiny = Options { receive_buffer: 2_048, ..Options::default() };
    let (watcher, outbox, inbox) = ns.inside(|| open(&tiny));
    // Nobody reads yet: what does not fit is lost for good.
    for mtu in 1_301..1_320 {
        ns.ip(&format!("link set o0 mtu {mtu}"));
    }
    ns.ip("link add late0 type veth peer name late1");
    ns.ip("link set o0 mtu 1299");
    ns.ip("link set o1 name other");
    let watch = ns.inside(|| spawn(watcher, Clock::system(), outbox).unwrap());
    let missed = |seen: &Observation| matches!(&seen.fact, Fact::Missed { watcher, .. } if watcher == "link");
    let (_, before) = wait_for(&inbox, "the overflow", missed);
    let last = |name: &str| {
        before.iter().rev().find_map(|seen| match &seen.fact {
            Fact::Link { now, .. } if now.name == name => Some(now),
            _ => None,
        })
    };
    assert_eq!(last("o0").map(|now| now.mtu), Some(1_299), "{before:#?}");
    assert!(last("late0").is_some() && last("late1").is_some() && last("other").is_some());
    watch.join();
}

#[test]
fn what_the_recorder_had_no_room_for_is_told_later() {
    let Some(ns) = Namespace::new() else { return };
    ns.ip("link add f0 type veth peer name f1");
    let (outbox, inbox) = bounded(1);
    let watch = ns.inside(|| {
        let watcher = LinkWatcher::open(&Options::default()).unwrap();
        spawn(watcher, Clock::system(), outbox).unwrap()
    });
    for mtu in [1_301, 1_302, 1_303] {
        ns.ip(&format!("link set f0 mtu {mtu}"));
    }
    let begun = Instant::now();
    while watch.missed() == 0 && begun.elapsed() < BOUND {
        thread::yield_now();
    }
    // Each fact continues where the last one told ended, whatever was dropped between.
    let mut mtu = 1_500;
    while mtu != 1_303 {
        let (seen, _) = wait_for(&inbox, "f0", change("f0", |_| true));
        let Fact::Link { before: Some(before), now } = seen.fact else { panic!() };
        assert_eq!(before.mtu, mtu);
        mtu = now.mtu;
    }
    assert!(watch.join() > 0);
}
