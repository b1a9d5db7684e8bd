//! Stories of router advertisements: expired, withdrawn, rogue, changed; and of what looks alike.

use super::addresses::default_route;
use super::frames::*;
use super::*;
use crate::observation::Observation;
use crate::wire::Mac;
use Direction::Inbound;

const EVIL: Mac = Mac([2, 0, 0, 0, 0, 0x66]);
const OWN: &[(u8, u8)] = &[(6, 60)];

/// Router 1 advertises itself every 3.5 s until then.
fn advertised(stage: &mut Stage, until: f64) {
    let mut at = 0.0;
    while at < until {
        stage.frame(at, Inbound, &router(1, ROUTER, 12, OWN));
        at += 3.5;
    }
}

#[test]
fn a_router_that_stays_away_for_its_lifetime_is_gone() {
    let mut stage = Stage::new();
    advertised(&mut stage, 20.0);
    stage.wait(29.0);
    assert!(stage.told().is_empty(), "{:?}", stage.told());
    stage.wait(30.0);
    assert_eq!(stage.told(), ["critical ra_expired"]);
    let (at, told) = &stage.findings[0];
    assert!((29.5..29.8).contains(at), "{at}");
    assert_eq!(
        told.sentence,
        "no router advertisement of 2001:db8::1 for 12 s, its lifetime: the default route by it is gone"
    );
    // It began when the next one was due: 3.5 s after the last, at 17.5 s.
    let begun = told.last.mono.since(told.first.mono).as_secs_f64();
    assert!((at - begun - 21.0).abs() < 0.01, "{begun}");
    stage.frame(40.0, Inbound, &router(1, ROUTER, 12, OWN));
    assert_eq!(stage.told()[1..], ["critical ra_expired over"]);
    // One advertisement alone may have been meant for somebody else; with another router it is no outage.
    let mut once = Stage::new();
    once.frame(0.0, Inbound, &router(1, ROUTER, 12, OWN));
    once.wait(60.0);
    assert!(once.told().is_empty());
    let mut two = Stage::new();
    for n in 0..20 {
        two.frame(f64::from(n) * 2.0, Inbound, &router(2, OTHER, 12, OWN));
        if n < 5 {
            two.frame(f64::from(n) * 2.0 + 0.5, Inbound, &router(1, ROUTER, 12, OWN));
        }
    }
    assert_eq!(two.told(), ["warning ra_expired"]);
}

#[test]
fn a_router_resigns() {
    for (name, other, expected) in
        [("the only one", false, "warning ra_withdrawn"), ("of two", true, "notice ra_withdrawn")]
    {
        let mut stage = Stage::new();
        if other {
            stage.frame(0.0, Inbound, &router(2, OTHER, 1800, OWN));
        }
        advertised(&mut stage, 6.0);
        stage.frame(7.0, Inbound, &router(1, ROUTER, 0, OWN));
        stage.frame(7.5, Inbound, &router(1, ROUTER, 0, OWN));
        assert_eq!(stage.told(), [expected], "{name}");
        stage.wait(60.0);
        assert_eq!(stage.told(), [expected], "{name}: it does not expire as well");
        stage.frame(61.0, Inbound, &router(1, ROUTER, 12, OWN));
        assert_eq!(stage.told()[1], format!("{expected} over"), "{name}");
    }
}

#[test]
fn another_router_is_told_at_once_where_the_host_knows_its_own() {
    let local = Local::of_host(&[], &[default_route("2001:db8::1")]);
    let mut stage = Stage::on(&local);
    advertised(&mut stage, 8.0);
    let at = stage.stamp();
    stage.frame(8.0, Inbound, &router(2, EVIL, 1800, &[(0xbad_u16 as u8, 60)]));
    assert_eq!(stage.told(), ["warning ra_rogue"]);
    assert_eq!(
        stage.sentences(FindingKind::RaRogue),
        [
            "another router, 2001:db8::2 (02:00:00:00:00:66), advertises itself with 2001:db8:ad::/64, beside \
          2001:db8::1"
        ]
    );
    // One that the kernel has used for long is none.
    let local = Local::of_host(&[], &[default_route("2001:db8::1")]);
    let mut second = default_route("2001:db8::2");
    if let crate::observation::Fact::Route(change) = &mut second {
        change.metric = 1_024;
    }
    local.learn(&Observation { at, fact: second });
    let mut stage = Stage::on(&local);
    advertised(&mut stage, 8.0);
    stage.frame(9.0, Inbound, &router(2, OTHER, 1800, OWN));
    assert!(stage.told().is_empty(), "{:?}", stage.told());
}

#[test]
fn another_router_is_told_where_it_would_have_been_heard_before() {
    // name, when it begins, how often, its lifetime, rogue
    for (name, begin, every, lifetime, rogue) in [
        ("often and late", 40.0, 3.0, 1800, 1),
        ("seldom", 40.0, 30.0, 1800, 0),
        ("from the beginning", 1.0, 3.0, 1800, 0),
        ("no default router", 40.0, 3.0, 0, 0),
    ] {
        let mut stage = Stage::new();
        for n in 0..40 {
            let at = f64::from(n) * 3.5;
            stage.frame(at, Inbound, &router(1, ROUTER, 12, OWN));
            let times = ((at - begin) / every).floor();
            if at >= begin && begin + times * every + 3.5 > at {
                stage.frame(at + 0.2, Inbound, &router(2, EVIL, lifetime, &[(7, 60)]));
            }
        }
        let told = stage.sentences(FindingKind::RaRogue);
        assert_eq!(told.len(), rogue, "{name}: {told:?}");
    }
}

#[test]
fn a_host_that_moves_to_another_network_meets_no_rogue() {
    let mut stage = Stage::new();
    for n in 0..20 {
        stage.frame(f64::from(n) * 3.0, Inbound, &router(1, ROUTER, 1800, OWN));
    }
    for n in 20..40 {
        stage.frame(f64::from(n) * 3.0, Inbound, &router(2, OTHER, 1800, &[(7, 60)]));
    }
    assert!(stage.told().is_empty(), "{:?}", stage.told());
}

#[test]
fn an_interface_that_is_down_misses_no_router() {
    use crate::observation::link::LinkState;
    let link = |carrier| LinkState {
        index: 1,
        name: "dp0s0".into(),
        flags: LinkState::IFF_UP,
        carrier: Some(carrier),
        ..LinkState::default()
    };
    for (carrier, expected) in [(true, 1), (false, 0)] {
        let mut stage = Stage::on(&Local::of_host(&[link(carrier)], &[]));
        advertised(&mut stage, 8.0);
        stage.wait(60.0);
        assert_eq!(stage.told().len(), expected, "carrier {carrier}");
    }
}

#[test]
fn somebody_else_speaks_in_the_name_of_the_router() {
    let mut stage = Stage::new();
    advertised(&mut stage, 8.0);
    stage.frame(8.0, Inbound, &router(1, EVIL, 0, OWN));
    assert_eq!(stage.told(), ["warning ra_rogue", "warning ra_withdrawn"]);
    // Virtual routers change hands.
    let mut shared = Stage::new();
    shared.frame(0.0, Inbound, &router(1, HSRP_MAC, 12, OWN));
    shared.frame(3.0, Inbound, &router(1, ROUTER, 12, OWN));
    assert!(shared.told().is_empty());
}

#[test]
fn prefixes_and_flags_change() {
    /// Name, the advertisements after the first two, what is told.
    type Changes = (&'static str, &'static [&'static [(u8, u8)]], &'static [&'static str]);
    let changes: [Changes; 5] = [
        ("one more", &[&[(6, 60), (7, 60)]], &["notice ra_changed"]),
        ("taken back", &[&[(6, 0)]], &["warning ra_changed"]),
        ("left out once", &[&[(7, 60)], &[(6, 60)]], &["notice ra_changed"]),
        ("left out, and nothing instead", &[&[], &[], &[]], &[]),
        ("the same", &[&[(6, 60)]], &[]),
    ];
    for (name, after, expected) in changes {
        let mut stage = Stage::new();
        advertised(&mut stage, 6.0);
        for (n, prefixes) in after.iter().enumerate() {
            stage.frame(7.0 + 3.5 * n as f64, Inbound, &router(1, ROUTER, 12, prefixes));
        }
        assert_eq!(stage.told(), expected, "{name}");
    }
}
