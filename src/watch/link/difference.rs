//! What differs between two states of an interface besides its carrier, in words, so that a reader sees
//! at once what happened: of an LACP state the bits that came and went, of an aggregator its new partner.

use std::fmt;

use super::role::{Aggregator, Bond, BondPort, Port};
use crate::watch::LinkState;

/// What differs between two states of one interface, in words.
pub(in crate::watch) fn changes(before: &LinkState, now: &LinkState) -> Vec<String> {
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
