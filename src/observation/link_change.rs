//! What differs between two states of an interface, in words, so that a reader sees at once what happened:
//! of an LACP state the bits that came and went, of an aggregator its new partner.

use std::fmt;

use crate::observation::link::LinkState;
use crate::observation::link_role::{Aggregator, Bond, BondPort, Port};

/// Only what differs, so that a reader sees at once what happened.
pub(super) fn write(
    f: &mut fmt::Formatter<'_>,
    before: &LinkState,
    now: &LinkState,
) -> fmt::Result {
    let shown = |value: Option<u32>| value.map_or("none".to_owned(), |v| v.to_string());
    let mut changes = Vec::new();
    if before.is_up() != now.is_up() {
        changes.push(if now.is_up() { "UP".to_owned() } else { "DOWN".to_owned() });
    }
    if before.admin_up() != now.admin_up() {
        let to = if now.admin_up() { "up" } else { "down" };
        changes.push(format!("set {to} by the administrator"));
    }
    if before.carrier != now.carrier {
        let word = |c: Option<bool>| c.map_or("unknown", |on| if on { "on" } else { "off" });
        changes.push(format!("carrier {} -> {}", word(before.carrier), word(now.carrier)));
    }
    if before.operstate != now.operstate {
        changes.push(format!("operstate {} -> {}", before.operstate, now.operstate));
    }
    if before.master != now.master {
        changes.push(format!("master {} -> {}", shown(before.master), shown(now.master)));
    }
    if before.mtu != now.mtu {
        changes.push(format!("mtu {} -> {}", before.mtu, now.mtu));
    }
    if before.carrier_changes() != now.carrier_changes() {
        changes.push(format!(
            "carrier changes {} -> {}",
            shown(before.carrier_changes()),
            shown(now.carrier_changes())
        ));
    }
    changes.extend(further(before, now));
    if before.name != now.name {
        // The same interface under another name: whoever reads on must know both.
        write!(f, "{} is now {} (index {})", before.name, now.name, now.index)?;
        return changes.iter().try_for_each(|change| write!(f, ", {change}"));
    }
    if changes.is_empty() {
        changes.push(format!("flags {:#x} -> {:#x}", before.flags, now.flags));
    }
    write!(f, "{}: {}", now.name, changes.join(", "))
}

/// What differs besides carrier, state, master and MTU.
fn further(before: &LinkState, now: &LinkState) -> Vec<String> {
    let mut changes = Vec::new();
    if before.address != now.address {
        let address = pair(text(before.address), text(now.address));
        let router = now.virtual_router().map(|group| format!(" (virtual router {group})"));
        changes.push(format!("address {address}{}", router.unwrap_or_default()));
    }
    match (&before.bond, &now.bond) {
        (Some(before), Some(now)) => bond_changes(before, now, &mut changes),
        (None, Some(now)) => changes.push(format!("a bond, mode {}", now.mode)),
        (_, None) => {}
    }
    match (before.port.as_deref(), now.port.as_deref()) {
        (Some(Port::Bond(before)), Some(Port::Bond(now))) => {
            port_changes(before, now, &mut changes);
        }
        (Some(Port::Bridge { state: before }), Some(Port::Bridge { state: now }))
            if before != now =>
        {
            changes.push(format!("STP {}", pair(before, now)));
        }
        (Some(before), Some(now)) if before.of() == now.of() => {}
        (None, Some(now)) => changes.push(format!("port of a {}", now.of())),
        (Some(before), _) => changes.push(format!("no longer port of a {}", before.of())),
        (None, None) => {}
    }
    changes
}

fn bond_changes(before: &Bond, now: &Bond, changes: &mut Vec<String>) {
    let mut differ = |what: &str, before: String, now: String| {
        if before != now {
            changes.push(format!("{what} {}", pair(before, now)));
        }
    };
    differ("mode", before.mode.clone(), now.mode.clone());
    differ("miimon", before.miimon_ms.to_string(), now.miimon_ms.to_string());
    differ("min_links", before.min_links.to_string(), now.min_links.to_string());
    let rate = |bond: &Bond| text(bond.lacp_fast.map(|fast| if fast { "fast" } else { "slow" }));
    differ("LACP rate", rate(before), rate(now));
    differ("active port", text(before.active_port), text(now.active_port));
    let of =
        |bond: &Bond, part: fn(&Aggregator) -> String| text(bond.aggregator.as_ref().map(part));
    for (what, part) in [
        ("aggregator", (|agg| agg.id.to_string()) as fn(&Aggregator) -> String),
        ("its ports", |agg| agg.ports.to_string()),
        ("actor key", |agg| agg.actor_key.to_string()),
        ("partner key", |agg| agg.partner_key.to_string()),
        ("LACP partner", |agg| agg.partner.to_string()),
    ] {
        differ(what, of(before, part), of(now, part));
    }
}

fn port_changes(before: &BondPort, now: &BondPort, changes: &mut Vec<String>) {
    if before.state != now.state {
        changes.push(format!("port {}", pair(&before.state, &now.state)));
    }
    if before.mii_status != now.mii_status {
        changes.push(format!("MII status {}", pair(&before.mii_status, &now.mii_status)));
    }
    if before.link_failures != now.link_failures {
        changes.push(format!("link failures {}", pair(before.link_failures, now.link_failures)));
    }
    if before.aggregator != now.aggregator {
        changes.push(format!("aggregator {}", pair(text(before.aggregator), text(now.aggregator))));
    }
    for (who, before, now) in
        [("actor", before.actor, now.actor), ("partner", before.partner, now.partner)]
    {
        if before != now {
            let (before, now) = (before.unwrap_or_default(), now.unwrap_or_default());
            changes.push(format!("LACP {who} {}", before.towards(now)));
        }
    }
}

fn pair(before: impl fmt::Display, now: impl fmt::Display) -> String {
    format!("{before} -> {now}")
}

fn text<T: fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Fact;
    use crate::observation::link::OperState;

    fn up() -> LinkState {
        LinkState {
            index: 7,
            name: "dp0bond0".to_owned(),
            carrier: Some(true),
            operstate: OperState::Up,
            flags: LinkState::IFF_UP,
            carrier_up_count: Some(1),
            carrier_down_count: Some(0),
            ..LinkState::default()
        }
    }

    #[test]
    fn a_change_names_only_what_differs() {
        let down = LinkState {
            carrier: Some(false),
            operstate: OperState::Down,
            carrier_down_count: Some(1),
            ..up()
        };
        let fact = Fact::Link { before: Some(up()), now: down };
        assert_eq!(
            fact.to_string(),
            "dp0bond0: DOWN, carrier on -> off, operstate up -> down, carrier changes 1 -> 2"
        );
        assert_eq!(fact.interface(), Some("dp0bond0"));
    }
}
