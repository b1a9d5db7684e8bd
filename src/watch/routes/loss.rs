//! Routes that vanished together: whether that is a failure, and what to call it.
//!
//! | lost within a second | told as |
//! |---|---|
//! | a tenth or more of what a routing protocol made | warning |
//! | all that lead to one next hop, of a routing protocol, three or more | warning |
//! | routes that people or scripts made | notice if it is one, its interface is down, or nobody is behind it (as containers have them); else warning |
//! | anything less | nothing: that is how routing works |

use std::collections::BTreeSet;

use super::route::{Hop, Route};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::frame::Direction;
use crate::time::Stamp;
use crate::watch::ip::route::protocol;

/// Of the routes of a protocol, one in so many is a failure when it goes with others.
const SHARE: u64 = 10;
/// A peer with fewer routes that all go may just have withdrawn them.
const NEXT_HOP: u64 = 3;
/// Routes that a sentence names.
const NAMED: usize = 5;
/// `RT_TABLE_MAIN` (linux/rtnetlink.h), which nobody needs to be told.
const MAIN: u32 = 254;

/// What routes have in common that vanish together: who made them, and where they led.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) is_v6: bool,
    pub(super) table: u32,
    pub(super) protocol: u8,
    pub(super) hop: Hop,
}

impl Origin {
    /// Who made them, wherever they lead.
    pub(super) fn maker(&self) -> (bool, u32, u8) {
        (self.is_v6, self.table, self.protocol)
    }
}

/// What is left, and how the other routes of the same maker are.
#[derive(Debug)]
pub(super) struct Group {
    /// Of this next hop.
    pub(super) left: u64,
    /// Of this maker: lost now, and left.
    pub(super) made_lost: u64,
    pub(super) made_left: u64,
    pub(super) interface: Option<String>,
    pub(super) is_link_up: bool,
}

/// Routes that are missing.
#[derive(Debug)]
pub(super) struct Loss {
    missing: BTreeSet<Route>,
    finding: Finding,
    routes: String,
}

impl Loss {
    /// Judges the routes that are `gone`; none if that happens every day.
    pub(super) fn of(origin: Origin, gone: &[(Route, Stamp)], group: Group) -> Option<Self> {
        let count = gone.len() as u64;
        let of_protocol = group.made_lost * SHARE >= group.made_lost + group.made_left;
        let of_next_hop = group.left == 0 && count >= NEXT_HOP;
        let by_hand = is_by_hand(origin.protocol);
        let severity = match by_hand {
            true if count == 1 || !group.is_link_up || origin.hop.gateway.is_none() => {
                Severity::Notice
            }
            true => Severity::Warning,
            false if of_protocol || of_next_hop => Severity::Warning,
            false => return None,
        };
        let first = gone.iter().map(|(_, at)| *at).min()?;
        let last = gone.iter().map(|(_, at)| *at).max()?;
        let mut via = origin.hop.gateway.map(|via| format!(" via {via}")).unwrap_or_default();
        via += &group.interface.as_ref().map(|name| format!(" on {name}")).unwrap_or_default();
        if origin.table != MAIN {
            via += &format!(", table {}", origin.table);
        }
        let noun = if count == 1 { "route" } else { "routes" };
        let routes = format!("{count} {noun} of {}{via}", protocol(origin.protocol));
        let left =
            if group.left > 0 { format!(" ({} are left)", group.left) } else { String::new() };
        let sentence = format!("{routes} gone{left}: {}", listed(gone));
        let finding = Finding {
            kind: FindingKind::RoutesGone,
            severity,
            first,
            last,
            interface: group.interface,
            direction: Direction::Unknown,
            count,
            rate: None,
            what: routes.clone(),
            sentence,
            parties: origin.hop.gateway.map(Party::Host).into_iter().collect(),
            over: false,
        };
        let missing = gone.iter().map(|(route, _)| *route).collect();
        Some(Self { missing, finding, routes })
    }

    pub(super) fn finding(&self) -> &Finding {
        &self.finding
    }

    /// A route is there again.
    pub(super) fn found(&mut self, route: &Route) {
        self.missing.remove(route);
    }

    /// True once all are.
    pub(super) fn is_over(&self) -> bool {
        self.missing.is_empty()
    }

    /// All are there again.
    pub(super) fn over(self, now: Stamp) -> Finding {
        let sentence = format!("{} are there again", self.routes);
        Finding { last: now, over: true, sentence, ..self.finding }
    }
}

fn listed(gone: &[(Route, Stamp)]) -> String {
    let named =
        gone.iter().take(NAMED).map(|(route, _)| format!("{}/{}", route.destination, route.length));
    let mut listed = named.collect::<Vec<_>>().join(", ");
    if gone.len() > NAMED {
        listed += &format!(" and {} more", gone.len() - NAMED);
    }
    listed
}

/// Made by people, scripts, or clients of address assignment: by configuration, not by a routing protocol.
fn is_by_hand(protocol: u8) -> bool {
    const BOOT: u8 = 3;
    const STATIC: u8 = 4;
    const ADVERTISED: u8 = 9;
    const DHCP: u8 = 16;
    const STATIC_OF_FRR: u8 = 196;
    matches!(protocol, BOOT | STATIC | ADVERTISED | DHCP | STATIC_OF_FRR)
}
