//! What facts amount to, as tables: kind, object, turn, and what exactly.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pnet::util::MacAddr;

use super::*;
use crate::observation::address::{AddressChange, Validity};
use crate::observation::counter::Counter;
use crate::observation::link_role::{Aggregator, Bond, BondPort, LacpState, Port};
use crate::observation::log_line::{Header, LogSource};
use crate::observation::neighbour::{Answers, Neighbour, NeighbourChange};
use crate::observation::probe::{ProbeDown, ProbeLossy, ProbeSlow, ProbeUp};
use crate::observation::route::{NextHop, Route, RouteChange};
use crate::time::Wall;

/// `KIND OBJECT TURN WHAT`, comma separated.
fn told(fact: &Fact) -> String {
    let one = |happening: Happening<'_>| {
        let Happening { kind, object, turn, what, value, .. } = happening;
        let parts =
            [Some(format!("{kind}")), object.map(Cow::into_owned), Some(format!("{turn:?}"))];
        let value = value.map(|value| format!("{value}"));
        let parts = parts.into_iter().chain([what.map(Cow::into_owned), value]).flatten();
        parts.collect::<Vec<_>>().join(" ")
    };
    happenings(fact).into_iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A link that is down, so that nothing is told of its carrier.
fn quiet(name: &str) -> LinkState {
    LinkState { name: name.into(), ..LinkState::default() }
}

fn port(state: &str, actor: u8, partner: u8) -> LinkState {
    let port = BondPort {
        state: state.into(),
        actor: Some(LacpState(actor)),
        partner: Some(LacpState(partner)),
        ..BondPort::default()
    };
    LinkState { port: Some(Box::new(Port::Bond(port))), ..quiet("dp0s0") }
}

fn bridge(state: &str) -> LinkState {
    LinkState { port: Some(Box::new(Port::Bridge { state: state.into() })), ..quiet("veth1") }
}

fn bond(active_port: Option<u32>, id: u16, partner: u8) -> LinkState {
    let partner = MacAddr::new(2, 0, 0, 0, 0, partner);
    let aggregator = Some(Aggregator { id, partner, ..Aggregator::default() });
    let bond = Bond { active_port, aggregator, ..Bond::default() };
    LinkState { bond: Some(Box::new(bond)), ..quiet("dp0bond0") }
}

#[test]
fn links_tell_of_bonds_and_bridges() {
    const FINE: u8 = 0x3d;
    const EXPIRED: u8 = FINE | LacpState::EXPIRED;
    const DEFAULTED: u8 = FINE | LacpState::DEFAULTED;
    let cases: &[(LinkState, LinkState, &str)] = &[
        (port("active", FINE, FINE), port("active", FINE, FINE), ""),
        (port("active", FINE, FINE), port("active", EXPIRED, FINE), "bond-port dp0s0 Begins"),
        (port("active", FINE, FINE), port("active", FINE, DEFAULTED), "bond-port dp0s0 Begins"),
        (port("active", EXPIRED, FINE), port("active", DEFAULTED, FINE), ""),
        (port("active", EXPIRED, FINE), port("backup", EXPIRED, FINE), "bond-port dp0s0 Begins"),
        (port("active", FINE, FINE), port("backup", FINE, FINE), "bond-port dp0s0 Begins"),
        (port("backup", FINE, FINE), port("backup", EXPIRED, FINE), ""),
        (port("backup", FINE, FINE), port("active", DEFAULTED, FINE), ""),
        (port("backup", FINE, FINE), port("active", FINE, FINE), "bond-port dp0s0 Ends"),
        (port("active", FINE, EXPIRED), port("active", FINE, FINE), "bond-port dp0s0 Ends"),
        (port("active", FINE, EXPIRED), quiet("dp0s0"), "bond-port dp0s0 Ends"),
        (quiet("dp0s0"), port("backup", DEFAULTED, 0), ""),
        (bond(Some(1), 1, 1), bond(Some(1), 1, 1), ""),
        (bond(Some(1), 1, 1), bond(Some(2), 1, 1), "bond-change dp0bond0 Passes"),
        (bond(None, 1, 1), bond(None, 2, 1), "bond-change dp0bond0 Passes"),
        (bond(None, 1, 1), bond(None, 1, 2), "bond-change dp0bond0 Passes"),
        (quiet("dp0bond0"), bond(None, 1, 2), ""),
        (bridge("forwarding"), bridge("blocking"), "stp-port veth1 Begins"),
        (bridge("blocking"), bridge("learning"), ""),
        (bridge("learning"), bridge("forwarding"), "stp-port veth1 Ends"),
        (bridge("blocking"), quiet("veth1"), "stp-port veth1 Ends"),
        (quiet("veth1"), bridge("blocking"), ""),
    ];
    for (before, now, expected) in cases {
        let fact = Fact::Link { before: Some(before.clone()), now: now.clone() };
        assert_eq!(told(&fact), *expected, "{fact}");
    }
    let gone = told(&Fact::LinkGone { last: port("active", EXPIRED, FINE) });
    assert_eq!(gone, "bond-port dp0s0 Ends, stp-port dp0s0 Ends");
}

fn address(before: Option<Validity>, now: Option<Validity>) -> Fact {
    let address = IpAddr::from([192, 0, 2, 1]);
    let interface = "eth0".to_owned();
    Fact::Address(Box::new(AddressChange { interface, address, prefix_len: 24, before, now }))
}

fn route(before: Option<bool>, now: Option<bool>) -> Fact {
    let route = |usable: bool| {
        let gateway = Some(IpAddr::from([192, 0, 2, 1]));
        let hop = NextHop { gateway, interface: Some("eth0".into()), usable };
        Route { kind: "unicast".into(), hops: vec![hop], protocol: None }
    };
    let (before, now) = (before.map(route), now.map(route));
    Fact::Route(Box::new(RouteChange { ipv6: false, table: 254, metric: 7, before, now }))
}

fn neighbour(now: Option<Answers>) -> Fact {
    let (interface, address) = ("eth0".to_owned(), IpAddr::from([192, 0, 2, 1]));
    let now = now.map(|answers| Neighbour { answers, address: None });
    Fact::Neighbour(Box::new(NeighbourChange { interface, address, before: None, now }))
}

fn attribute(condition: Condition, now: Option<&str>) -> Fact {
    Fact::Attribute(Box::new(AttributeChange {
        path: "/sys/x".into(),
        item: None,
        interface: None,
        condition,
        before: Some("1".into()),
        now: now.map(str::to_owned),
    }))
}

#[test]
fn every_other_watcher_has_its_kind() {
    use Validity::{Duplicate, Preferred, Tentative};
    let (name, place) = ("gw".to_owned(), IpAddr::from([192, 0, 2, 1]));
    let ms = Duration::from_millis;
    let slow = |over| {
        let (probe, address, round_trip) = (name.clone(), place, ms(30));
        Fact::ProbeSlow(ProbeSlow { probe, address, round_trip, above: ms(20), in_a_row: 3, over })
    };
    let lossy = |over| {
        let (probe, address) = (name.clone(), place);
        Fact::ProbeLossy(ProbeLossy { probe, address, lost: 9, of: 60, percent: 10, over })
    };
    let (probe, address) = (name.clone(), place);
    let up = Fact::ProbeUp(ProbeUp { probe, address, in_a_row: 2, after: ms(9) });
    let (probe, reason) = (name.clone(), "no answer".to_owned());
    let down = ProbeDown {
        probe,
        address,
        in_a_row: 3,
        lasting: ms(3_000),
        first_lost: Wall::default(),
        last_answered: None,
        late: None,
        reason,
    };
    let growth = CounterGrowth {
        interface: "eth0".into(),
        counter: Counter::RxDropped,
        before: 1,
        now: 6,
        per_second: 5.0,
    };
    let line = LogLine {
        source: LogSource::Kernel,
        matcher: "vrrp-fault".into(),
        text: "Entering FAULT STATE".into(),
        fields: BTreeMap::new(),
        header: Header::default(),
        elsewhere: None,
    };
    let down = Fact::ProbeDown(down);
    assert_eq!(happenings(&down)[0].lasted, ms(3_000));
    for (fact, expected) in [
        (address_gone(), "address-gone eth0 Begins 192.0.2.1/24"),
        (self::address(None, Some(Tentative)), "address-gone eth0 Ends 192.0.2.1/24"),
        (
            self::address(Some(Tentative), Some(Duplicate)),
            "address-duplicate eth0 Begins 192.0.2.1/24",
        ),
        (
            self::address(Some(Duplicate), None),
            "address-gone eth0 Begins 192.0.2.1/24, address-duplicate eth0 Ends 192.0.2.1/24",
        ),
        (self::address(Some(Tentative), Some(Preferred)), ""),
        (route(Some(true), None), "default-route-gone Begins IPv4 table 254 metric 7"),
        (route(Some(true), Some(false)), "default-route-gone Begins IPv4 table 254 metric 7"),
        (route(Some(false), None), ""),
        (route(Some(true), Some(true)), ""),
        (route(None, Some(true)), "default-route-gone Ends IPv4 table 254 metric 7"),
        (neighbour(Some(Answers::No)), "neighbour-failed 192.0.2.1 Begins eth0"),
        (neighbour(Some(Answers::Yes)), "neighbour-failed 192.0.2.1 Ends eth0"),
        (neighbour(Some(Answers::NotYet)), ""),
        (neighbour(None), ""),
        (attribute(Condition::Changes, Some("2.5")), "attribute /sys/x Passes 2.5"),
        (attribute(Condition::Changes, Some("down")), "attribute /sys/x Passes"),
        (attribute(Condition::Changes, None), "attribute /sys/x Passes"),
        (attribute(Condition::Above(2.0), Some("3")), "attribute /sys/x Begins 3"),
        (attribute(Condition::Above(2.0), Some("2")), "attribute /sys/x Ends 2"),
        (attribute(Condition::Below(2.0), None), "attribute /sys/x Ends"),
        (Fact::Counter(Box::new(growth)), "counter eth0 Passes rx_dropped 5"),
        (Fact::Log(Box::new(line)), "log vrrp-fault Passes Entering FAULT STATE"),
        (slow(false), "probe-slow gw Begins"),
        (slow(true), "probe-slow gw Ends"),
        (lossy(false), "probe-lossy gw Begins"),
        (lossy(true), "probe-lossy gw Ends"),
        (down, "probe-lost gw Begins"),
        (up, "probe-lost gw Ends"),
    ] {
        assert_eq!(told(&fact), expected, "{fact}");
    }
}

fn address_gone() -> Fact {
    address(Some(Validity::Preferred), None)
}
