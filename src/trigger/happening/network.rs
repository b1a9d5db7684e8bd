//! What rtnetlink tells beside up and down: bonds, bridges, addresses, routes, neighbours.

use super::{Happening, Turn};
use crate::observation::address::{AddressChange, Validity};
use crate::observation::link::LinkState;
use crate::observation::link_role::{Bond, BondPort, LacpState, Port};
use crate::observation::neighbour::{Answers, NeighbourChange};
use crate::observation::route::{Route, RouteChange};
use crate::trigger::TriggerKind;

/// A port that carried traffic with LACP in order no longer does; over when it does again, or is no port
/// of a bond any more. One that has just become a port was never in order, so a bond that is being built
/// is no trouble.
pub(super) fn bond_port<'a>(before: &LinkState, now: &'a LinkState) -> Option<Happening<'a>> {
    let kind = TriggerKind::BondPort;
    let before = port_of_bond(before)?;
    let Some(port) = port_of_bond(now) else { return Some(Happening::ends(kind, &now.name)) };
    let left = carries(before) && !carries(port);
    let turn = match Turn::edge(!in_order(before), !in_order(port)) {
        None if left => Turn::Begins,
        edge => edge?,
    };
    Some(Happening::new(kind, Some(&now.name), turn))
}

fn port_of_bond(state: &LinkState) -> Option<&BondPort> {
    match state.port.as_deref() {
        Some(Port::Bond(port)) => Some(port),
        _ => None,
    }
}

/// Active, and where LACP is spoken it has let traffic through: the kernel calls a port active before its
/// partner has answered for the first time.
fn carries(port: &BondPort) -> bool {
    port.state == "active" && port.actor.is_none_or(|actor| actor.0 & LacpState::DISTRIBUTING != 0)
}

fn in_order(port: &BondPort) -> bool {
    const TROUBLE: u8 = LacpState::EXPIRED | LacpState::DEFAULTED;
    let said = port.actor.into_iter().chain(port.partner);
    carries(port) && said.map(|state| state.0 & TROUBLE).all(|trouble| trouble == 0)
}

/// A bond uses another port or aggregator, or another partner answers.
pub(super) fn bond_change<'a>(before: &LinkState, now: &'a LinkState) -> Option<Happening<'a>> {
    let chosen = |bond: &Bond| {
        let aggregator = bond.aggregator.as_ref();
        (bond.active_port, aggregator.map(|aggregator| (aggregator.id, aggregator.partner)))
    };
    let (before, after) = (before.bond.as_deref()?, now.bond.as_deref()?);
    let changed = chosen(before) != chosen(after);
    let kind = TriggerKind::BondChange;
    changed.then(|| Happening::new(kind, Some(&now.name), Turn::Passes))
}

/// A port of a bridge forwards, or no longer does.
pub(super) fn bridge_port<'a>(before: &LinkState, now: &'a LinkState) -> Option<Happening<'a>> {
    let blocked = |state: &LinkState| match state.port.as_deref() {
        Some(Port::Bridge { state }) => Some(state != "forwarding"),
        _ => None,
    };
    // One that leaves its bridge is no longer blocked by it.
    let turn = Turn::edge(blocked(before)?, blocked(now).unwrap_or_default())?;
    Some(Happening::new(TriggerKind::StpPort, Some(&now.name), turn))
}

/// An address is gone or back, is somebody else's or no longer.
pub(super) fn address(change: &AddressChange) -> Vec<Happening<'_>> {
    let AddressChange { interface, address, prefix_len, before, now } = change;
    let edge = |kind, before: bool, now: bool| {
        let turn = Turn::edge(before, now)?;
        Some(Happening::new(kind, Some(interface), turn).with(format!("{address}/{prefix_len}")))
    };
    let taken = |validity: &Option<Validity>| *validity == Some(Validity::Duplicate);
    let gone = edge(TriggerKind::AddressGone, before.is_none(), now.is_none());
    let duplicate = edge(TriggerKind::AddressDuplicate, taken(before), taken(now));
    gone.into_iter().chain(duplicate).collect()
}

/// A default route leads somewhere, or no longer does. It may come back by another interface, so it is
/// known by family, table and metric.
pub(super) fn route(change: &RouteChange) -> Vec<Happening<'_>> {
    let leads = |route: &Option<Route>| {
        route.as_ref().is_some_and(|route| route.hops.iter().any(|hop| hop.usable))
    };
    let Some(turn) = Turn::edge(!leads(&change.before), !leads(&change.now)) else {
        return Vec::new();
    };
    let RouteChange { table, metric, .. } = change;
    let family = if change.ipv6 { "IPv6" } else { "IPv4" };
    let what = format!("{family} table {table} metric {metric}");
    vec![Happening::new(TriggerKind::DefaultRouteGone, None, turn).with(what)]
}

/// A neighbour was asked for as often as the kernel asks and did not answer, or answers again. One that
/// is forgotten is as silent as before.
pub(super) fn neighbour(change: &NeighbourChange) -> Vec<Happening<'_>> {
    let turn = match change.now.map(|now| now.answers) {
        Some(Answers::No) => Turn::Begins,
        Some(Answers::Yes) => Turn::Ends,
        Some(Answers::NotYet) | None => return Vec::new(),
    };
    let failed = Happening::new(TriggerKind::NeighbourFailed, None, turn).with(&*change.interface);
    vec![Happening { object: Some(change.address.to_string().into()), ..failed }]
}
