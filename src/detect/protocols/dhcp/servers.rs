//! The servers of a segment, and whether they agree.
//!
//! Two servers on one LAN are ordinary: they share the load, or one stands in for the other (RFC 2131 §2.2). They
//! tell clients the same router and mask then. One that tells something else was forgotten, or
//! set up by somebody: its clients go elsewhere, or nowhere. Answers without an address (boot servers) are passed over.
//! Captures of *any* mix the interfaces of a host, so nothing is concluded there.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::server;
use crate::detect::protocols::bounded::Bounded;
use crate::detect::protocols::heard::{Heard, Now, place};
use crate::detect::protocols::lasting::{FORGET, Lasting};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::Mono;
use crate::wire::dhcp::{Dhcp, Terms};
use crate::wire::link::Vlans;

/// Servers remembered, of all VLANs.
const SERVERS: usize = 1_024;
/// VLANs in which a client is about to be given an address, and addresses offered.
const ASKED: usize = 4_096;
/// A server looks for somebody with the address it is about to give for so long (dnsmasq waits 3 s, ISC dhcpd 1 s).
const CHECK: Duration = Duration::from_secs(5);

/// An offer that nobody took is forgotten by then (dnsmasq and Kea keep it for at most 2 min).
const OFFERED: Duration = Duration::from_secs(120);

/// Follows the servers on one interface.
#[derive(Debug)]
pub(super) struct Servers {
    known: Bounded<(Vlans, IpAddr), Server>,
    differ: Bounded<Vlans, Lasting>,
    /// When a client asked last for a new address.
    asked: Bounded<Vlans, Mono>,
    /// When an address was offered last.
    offered: Bounded<(Vlans, IpAddr), Mono>,
}

#[derive(Debug)]
struct Server {
    terms: Terms,
    last: Mono,
}

impl Servers {
    pub(super) fn new() -> Self {
        Self {
            known: Bounded::new(SERVERS),
            differ: Bounded::new(SERVERS),
            asked: Bounded::new(ASKED),
            offered: Bounded::new(ASKED),
        }
    }

    pub(super) fn asked(&mut self, heard: &Heard<'_>, dhcp: &Dhcp) {
        let at = heard.at().mono;
        if dhcp.is_discovery()
            && let Some(last) = self.asked.entry(heard.vlans(), || at)
        {
            *last = at;
        }
    }

    /// Since when a server may wait for nobody's answer: it makes sure that an address is free, or speaks to a
    /// client that has not taken its offer.
    pub(super) fn unanswerable_since(
        &self,
        heard: &Heard<'_>,
        asker: IpAddr,
        target: IpAddr,
    ) -> Option<Mono> {
        let (vlans, at) = (heard.vlans(), heard.at().mono);
        // Of a server that did not answer yet it is not known that it is one: this host may be.
        if !heard.sent_here && self.known.get(&(vlans, asker)).is_none() {
            return None;
        }
        let offered = self.offered.get(&(vlans, target));
        let asked = self.asked.get(&vlans).filter(|last| at.since(**last) < CHECK);
        offered.or(asked).copied()
    }

    pub(super) fn answered(&mut self, heard: &Heard<'_>, dhcp: &Dhcp, findings: &mut Vec<Finding>) {
        let (vlans, at) = (heard.vlans(), heard.at().mono);
        let is_segment = heard.reading.link.destination.is_some();
        let Some(id) = server(heard, dhcp).filter(|_| is_segment && dhcp.address.is_some()) else {
            return;
        };
        let offered = dhcp.address.and_then(|given| self.offered.entry((vlans, given), || at));
        if let Some(last) = offered {
            *last = at;
        }
        let terms = dhcp.terms;
        let is_new = self.known.get(&(vlans, id)).is_none();
        if let Some(known) = self.known.entry((vlans, id), || Server { terms, last: at }) {
            *known = Server { terms, last: at };
        }
        let mut others = self.known.iter().filter(|((of, other), _)| *of == vlans && *other != id);
        let another = others.find_map(|((_, other), server)| {
            let (theirs, its) = difference(&server.terms, &terms)?;
            Some((*other, format!("DHCP server {other} gives {theirs}, and {id} gives {its}")))
        });
        let expected = || {
            // Only what a client is offered anew: whoever has an address may use another router on purpose.
            let ours = dhcp.is_offer() && heard.local.is_station(dhcp.client);
            let known = heard.local.routers(false, heard.seen.interface, vlans, at);
            let (router, other) = (terms.router?, *known.first().filter(|_| ours && is_new)?);
            (!known.contains(&IpAddr::V4(router))).then(|| {
                let sentence = format!(
                    "a DHCP server not heard before, {id}, gives another router than this host's: {router} \
                     instead of {other}"
                );
                (other, sentence)
            })
        };
        if let Some((other, sentence)) = another.or_else(expected) {
            let sentence = format!("{sentence}{}", place(vlans));
            let kind = FindingKind::DhcpServersDiffer;
            let finding = heard.finding(kind, Severity::Warning, sentence);
            if let Some(differ) = self.differ.entry(vlans, Lasting::default) {
                differ.begin(finding.about(Party::Host(other)), findings);
            }
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let at = now.at.mono;
        self.known.retain(|_, server| at.since(server.last) < FORGET);
        self.asked.retain(|_, last| at.since(*last) < CHECK);
        self.offered.retain(|_, last| at.since(*last) < OFFERED);
        self.differ.retain(|_, differ| {
            let over = differ.last().is_none_or(|last| at.since(last.mono) >= FORGET);
            if over {
                differ.end(
                    now.at,
                    || "one of the DHCP servers is not heard any more".to_owned(),
                    findings,
                );
            }
            !over
        });
    }

    pub(super) fn refused(&self) -> u64 {
        let tables = self.asked.refused() + self.offered.refused();
        self.known.refused() + self.differ.refused() + tables
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.differ.iter().map(|(_, lasting)| lasting)
    }
}

/// The first of what both tell that is not the same.
fn difference(one: &Terms, other: &Terms) -> Option<(String, String)> {
    type Term = (&'static str, fn(&Terms) -> Option<Ipv4Addr>);
    const TERMS: [Term; 2] = [("router", |terms| terms.router), ("mask", |terms| terms.mask)];
    TERMS.into_iter().find_map(|(name, of)| {
        let (one, other) = (of(one)?, of(other)?);
        (one != other).then(|| (format!("{name} {one}"), format!("{name} {other}")))
    })
}
