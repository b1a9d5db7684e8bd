//! BGP: a session is ended with a notification that says why, or its connection is closed or reset
//! without one. Connections that never carried a session (a peer that is not there refuses them again
//! and again) are of no interest.

use std::net::IpAddr;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::{FORGET, Lasting};
use crate::finding::{Finding, FindingKind, Severity};
use crate::time::Stamp;
use crate::wire::bgp::Bgp;
use crate::wire::link::Vlans;
use crate::wire::tcp::Tcp;

/// Sessions on one interface.
const MOST: usize = 1_024;

/// VLANs and both ends, the lower first.
type Name = (Vlans, IpAddr, IpAddr);

/// Judges the BGP segments of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    sessions: Bounded<Name, Session>,
}

#[derive(Debug)]
struct Session {
    last: Stamp,
    /// The ports of the connection that carries it, in the order of the ends; none while it is down.
    alive: Option<(u16, u16)>,
    ended: Lasting,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { sessions: Bounded::new(MOST) }
    }

    pub(super) fn heard(
        &mut self,
        heard: &Heard<'_>,
        bgp: &Bgp,
        tcp: &Tcp<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let Some((name, ports)) = session(heard, tcp) else { return };
        let make = || Session { last: heard.at(), alive: None, ended: Lasting::default() };
        let Some(session) = self.sessions.entry(name, make) else { return };
        session.last = heard.at();
        if let Some(why) = bgp.notification {
            session.alive = None;
            let severity =
                if why.is_administrative() { Severity::Notice } else { Severity::Critical };
            let sentence = format!("{} ended: {why}", named(&name));
            let kind = FindingKind::BgpNotification;
            session.ended.begin(heard.finding(kind, severity, sentence), findings);
        } else if bgp.alive && !bgp.open {
            session.alive = Some(ports);
            session.ended.end(heard.at(), || format!("{} is up again", named(&name)), findings);
        }
        self.segment(heard, tcp, findings);
    }

    /// A segment of the port, with or without a message: it may close the connection.
    pub(super) fn segment(
        &mut self,
        heard: &Heard<'_>,
        tcp: &Tcp<'_>,
        findings: &mut Vec<Finding>,
    ) {
        if !tcp.has(Tcp::RST | Tcp::FIN) {
            return;
        }
        let Some((name, ports)) = session(heard, tcp) else { return };
        let Some(session) = self.sessions.get_mut(&name) else { return };
        if session.alive != Some(ports) {
            return;
        }
        (session.alive, session.last) = (None, heard.at());
        let how = if tcp.has(Tcp::RST) { "reset" } else { "closed" };
        let sentence = format!("{} was {how} without a notification", named(&name));
        let kind = FindingKind::BgpNotification;
        session.ended.begin(heard.finding(kind, Severity::Critical, sentence), findings);
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.sessions.retain(|name, session| {
            let keep = now.at.mono.since(session.last.mono) < FORGET;
            if !keep {
                let sentence = || format!("{} is not waited for any longer", named(name));
                session.ended.end(now.at, sentence, findings);
            }
            keep
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.sessions.refused()
    }
}

/// Which session a segment belongs to, and the ports in the order of its ends.
fn session(heard: &Heard<'_>, tcp: &Tcp<'_>) -> Option<(Name, (u16, u16))> {
    let packet = heard.reading.packet?;
    let (from, to) = ((packet.source, tcp.source), (packet.destination, tcp.destination));
    let (one, other) = (from.min(to), from.max(to));
    Some(((heard.vlans(), one.0, other.0), (one.1, other.1)))
}

fn named((vlans, one, other): &Name) -> String {
    format!("BGP session {one} - {other}{}", place(*vlans))
}
