//! The interfaces that would be recorded: whether they are there, and what is done to frames on their
//! way to a reader.

use std::fs;

use super::{Check, State, Subject};
use crate::observation::link::LinkState;
use crate::sys::ethtool::{self, Offloads};

/// `IFF_PROMISC` (linux/if.h).
const PROMISCUOUS: u32 = 1 << 8;

pub(super) fn examine(subject: &Subject) -> Vec<Check> {
    if subject.recorded.is_empty() {
        let advice = "set one up, or name one with -i; those that come up later are recorded then";
        return vec![Check::new(
            State::Warning,
            "interfaces",
            "none would be recorded now",
            advice,
        )];
    }
    subject.recorded.iter().flat_map(|name| one(name, &subject.links, &subject.recorded)).collect()
}

fn one(name: &str, links: &[LinkState], recorded: &[String]) -> Vec<Check> {
    let Some(link) = links.iter().find(|link| link.name == name) else {
        let advice =
            "it is recorded when it appears, if another is there at the start; is the name right?";
        return vec![Check::new(State::Warning, name, "not there", advice)];
    };
    let mut checks = vec![state(link, speed(link))];
    checks.extend(ports(link, links, recorded));
    // Removed meanwhile: the next look tells.
    checks
        .extend(ethtool::offloads(name).map(|offloads| frames(name, offloads)).unwrap_or_default());
    checks
}

/// In Mbit/s, where /sys shows our network namespace and the driver knows it.
fn speed(link: &LinkState) -> Option<u32> {
    let read = |file: &str| fs::read_to_string(format!("/sys/class/net/{}/{file}", link.name)).ok();
    let ours = read("ifindex")?.trim().parse() == Ok(link.index);
    // Unknown is -1 (Documentation/ABI/testing/sysfs-class-net).
    read("speed")?.trim().parse().ok().filter(|_| ours)
}

fn state(link: &LinkState, speed: Option<u32>) -> Check {
    let mut words = vec![if link.is_up() { "up" } else { "down" }.to_owned()];
    words.extend(speed.map(|speed| format!("{speed} Mbit/s")));
    words.push(format!("MTU {}", link.mtu));
    if link.flags & PROMISCUOUS != 0 {
        words.push("promiscuous".to_owned());
    }
    let found = words.join(", ");
    if link.is_up() {
        return Check::ok(&link.name, found);
    }
    let advice = if link.admin_up() {
        "no carrier: look at the cable or the other side".to_owned()
    } else {
        format!("ip link set dev {} up", link.name)
    };
    Check::new(State::Warning, &link.name, found, advice)
}

/// LACPDUs are seen on the ports of an aggregate only, and its failure begins there.
fn ports(link: &LinkState, links: &[LinkState], recorded: &[String]) -> Option<Check> {
    if !matches!(link.kind.as_deref(), Some("bond" | "team")) {
        return None;
    }
    let ports = links.iter().filter(|port| port.master == Some(link.index));
    let left_out: Vec<_> = ports
        .map(|port| port.name.as_str())
        .filter(|port| !recorded.iter().any(|r| r == port))
        .collect();
    if left_out.is_empty() {
        return None;
    }
    let found = format!("its ports {} are not recorded", left_out.join(", "));
    let advice = format!("LACPDUs are seen on ports only; add -i {}", left_out.join(" -i "));
    Some(Check::new(State::Warning, &link.name, found, advice))
}

fn frames(name: &str, offloads: Offloads) -> Vec<Check> {
    let note = |found: &str, advice: String| Check::new(State::Note, name, found, advice);
    let mut checks = Vec::new();
    if offloads.lro == Some(true) {
        let found = "LRO: the device joins received frames for good; they were not so on the wire";
        let advice = format!("ethtool -K {name} lro off");
        checks.push(Check::new(State::Warning, name, found, advice));
    }
    if offloads.gro == Some(true) {
        let advice = format!(
            "ethtool -K {name} gro off shows each as it was, for more work per frame; bundles hold frames \
             of up to 64 KiB otherwise"
        );
        checks
            .push(note("GRO: received frames of one flow are joined before they are seen", advice));
    }
    if offloads.tso == Some(true) || offloads.gso == Some(true) {
        let advice =
            format!("ethtool -K {name} tso off gso off, if sent frames must be as on the wire");
        checks.push(note("TSO or GSO: sent frames are seen before they are cut", advice));
    }
    if offloads.rx_vlan == Some(true) {
        let found = "VLAN tags are taken off by the device; dashcap puts them back";
        checks.push(Check::ok(name, found));
    }
    if let Some((now, most)) = offloads.receive_ring.filter(|(now, most)| now < most) {
        let found = format!("its receive ring holds {now} frames, {most} would be possible");
        let advice = format!("ethtool -G {name} rx {most}, if it counts rx_missed or rx_no_buffer");
        checks.push(note(&found, advice));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::link::OperState;

    fn link(name: &str, index: u32) -> LinkState {
        LinkState {
            name: name.to_owned(),
            index,
            carrier: Some(true),
            operstate: OperState::Up,
            flags: LinkState::IFF_UP,
            mtu: 1_500,
            ..LinkState::default()
        }
    }

    #[test]
    fn a_link_is_told_with_what_to_do() {
        let dark =
            LinkState { carrier: Some(false), operstate: OperState::Down, ..link("eth0", 1) };
        let off = LinkState { flags: 0, ..link("eth0", 1) };
        let nosy = LinkState { flags: LinkState::IFF_UP | PROMISCUOUS, ..link("eth0", 1) };
        for (link, speed, state, found, advice) in [
            (link("eth0", 1), Some(10_000), State::Ok, "up, 10000 Mbit/s, MTU 1500", None),
            (nosy, None, State::Ok, "up, MTU 1500, promiscuous", None),
            (dark, None, State::Warning, "down, MTU 1500", Some("no carrier")),
            (off, None, State::Warning, "down, MTU 1500", Some("ip link set dev eth0 up")),
        ] {
            let check = super::state(&link, speed);
            assert_eq!((check.state, check.found.as_str()), (state, found));
            assert_eq!(check.advice.is_some(), advice.is_some());
            assert!(check.advice.unwrap_or_default().starts_with(advice.unwrap_or_default()));
        }
    }

    #[test]
    fn an_aggregate_wants_its_ports() {
        let bond = LinkState { kind: Some("bond".to_owned()), ..link("bond0", 9) };
        let port = |name, index| LinkState { master: Some(9), ..link(name, index) };
        let links = [bond.clone(), port("eth0", 1), port("eth1", 2), link("eth2", 3)];
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let check = ports(&bond, &links, &names(&["bond0", "eth0"])).unwrap();
        assert_eq!(check.found, "its ports eth1 are not recorded");
        assert_eq!(ports(&bond, &links, &names(&["bond0", "eth0", "eth1"])), None);
        assert_eq!(ports(&links[3], &links, &[]), None);
    }

    #[test]
    fn what_changes_frames_is_told() {
        let on = Offloads {
            gro: Some(true),
            lro: Some(true),
            rx_vlan: Some(true),
            tso: Some(true),
            gso: None,
            receive_ring: Some((256, 4_096)),
        };
        let told = frames("eth0", on);
        let states: Vec<_> = told.iter().map(|check| check.state).collect();
        assert_eq!(states, [State::Warning, State::Note, State::Note, State::Ok, State::Note]);
        let quiet =
            Offloads { receive_ring: Some((5, 5)), gro: Some(false), ..Offloads::default() };
        assert_eq!(frames("eth0", quiet), []);
    }
}
