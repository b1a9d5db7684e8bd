//! What a fact of `events.jsonl` means for a report: what findings call it, when it began, whom it is about, and of
//! what it is the state.

use crate::finding::Party;
use crate::observation::Fact;
use crate::observation::capture::CaptureEvent;
use crate::observation::neighbour::Neighbour;
use crate::observation::route::{NextHop, Route, RouteChange};
use crate::time::Wall;
use crate::wire::Mac;

/// What findings call it, where that is not the fact's own name.
pub(super) fn called(fact: &Fact) -> Option<&'static str> {
    Some(match fact {
        Fact::Link { .. } if went_down(fact) => "link_down",
        Fact::Link { before: Some(before), now } if !before.is_up() && now.is_up() => "link_up",
        // It answers, too late to count.
        Fact::ProbeDown(down) if down.late.is_some() => "probe_late",
        Fact::Capture {
            event: CaptureEvent::Gap | CaptureEvent::Failed { .. } | CaptureEvent::Dropping,
            ..
        } => "capture_gap",
        Fact::CommandEnded { success: false, .. } => "command_failed",
        _ => return None,
    })
}

fn went_down(fact: &Fact) -> bool {
    matches!(fact, Fact::Link { before: Some(before), now } if before.is_up() && !now.is_up())
}

/// When it began, where that was before it was told: a probe is down since the first request that was lost.
pub(super) fn begun(told: Wall, fact: &Fact) -> Wall {
    match fact {
        Fact::ProbeDown(down) => told.min(down.first_lost),
        _ => told,
    }
}

/// What a fact is the state of, if it is of one: the next such fact ends it.
pub(super) fn subject(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::Link { now, .. } => format!("link {}", now.name),
        Fact::ProbeDown(down) => format!("probe {}", down.probe),
        Fact::ProbeUp(up) => format!("probe {}", up.probe),
        Fact::Route(route) => format!("route {} {} {}", route.ipv6, route.table, route.metric),
        Fact::Address(change) => format!("address {} {}", change.interface, change.address),
        Fact::Neighbour(change) => format!("neighbour {} {}", change.interface, change.address),
        _ => return None,
    })
}

/// True for a state that is as it should not be as long as it lasts.
pub(super) fn is_wrong(fact: &Fact) -> bool {
    match fact {
        Fact::Link { .. } => went_down(fact),
        Fact::ProbeDown(_) => true,
        Fact::Route(change) => change.now.is_none(),
        Fact::Address(change) => change.now.is_none(),
        Fact::Neighbour(change) => change.is_silent(),
        _ => false,
    }
}

/// The interface that a route leads through, or led: its first, where it has several.
pub(super) fn way(fact: &Fact) -> Option<String> {
    let Fact::Route(change) = fact else { return None };
    let through = |route: &Option<Route>| route.as_ref()?.hops.first()?.interface.clone();
    through(&change.now).or_else(|| through(&change.before))
}

/// True if an interface is down because somebody said so.
pub(super) fn is_set_down(fact: &Fact) -> bool {
    matches!(fact, Fact::Link { before: Some(before), now } if before.admin_up() && !now.admin_up())
}

/// Whom a fact is about, where its sentence names them: a probe's host, a neighbour and its station, the next
/// hops of a route.
pub(super) fn parties(fact: &Fact) -> Vec<Party> {
    let named = match fact {
        Fact::Route(change) => gateways(change),
        Fact::ProbeDown(down) => vec![Party::Host(down.address)],
        Fact::ProbeUp(up) => vec![Party::Host(up.address)],
        Fact::ProbeSlow(slow) => vec![Party::Host(slow.address)],
        Fact::ProbeLossy(lossy) => vec![Party::Host(lossy.address)],
        Fact::Address(change) => vec![Party::Host(change.address)],
        Fact::Neighbour(change) => [Party::Host(change.address)]
            .into_iter()
            .chain([change.before, change.now].into_iter().filter_map(station))
            .collect(),
        _ => Vec::new(),
    };
    let mut parties = Vec::new();
    for party in named {
        if !parties.contains(&party) {
            parties.push(party);
        }
    }
    parties
}

fn gateways(change: &RouteChange) -> Vec<Party> {
    let routes = [&change.before, &change.now].into_iter().flatten();
    let hops = routes.flat_map(|route: &Route| &route.hops);
    hops.filter_map(|hop: &NextHop| hop.gateway.map(Party::Host)).collect()
}

fn station(neighbour: Option<Neighbour>) -> Option<Party> {
    neighbour?.address.map(|address| Party::Station(Mac(address.octets())))
}
