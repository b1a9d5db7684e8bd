//! BGP: a session is ended with a notification that says why, or its connection is reset without one.

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
    alive: bool,
    ended: Lasting,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { sessions: Bounded::new(MOST) }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, bgp: &Bgp, findings: &mut Vec<Finding>) {
        let Some(name) = name(heard) else { return };
        let make = || Session { last: heard.at(), alive: false, ended: Lasting::default() };
        let Some(session) = self.sessions.entry(name, make) else { return };
        session.last = heard.at();
        if let Some(why) = bgp.notification {
            session.alive = false;
            let severity =
                if why.is_administrative() { Severity::Notice } else { Severity::Critical };
            let sentence = format!("{} ended: {why}", named(&name));
            let kind = FindingKind::BgpNotification;
            session.ended.begin(heard.finding(kind, severity, sentence), findings);
        } else if bgp.alive && !bgp.open {
            session.alive = true;
            session.ended.end(heard.at(), || format!("{} is up again", named(&name)), findings);
        }
    }

    /// A segment of the port that carries no whole message.
    pub(super) fn segment(&mut self, heard: &Heard<'_>, tcp: &Tcp<'_>, findings: &mut Vec<Finding>) {
        let Some(name) = name(heard).filter(|_| tcp.has(Tcp::RST)) else { return };
        let Some(session) = self.sessions.get_mut(&name).filter(|session| session.alive) else {
            return;
        };
        (session.alive, session.last) = (false, heard.at());
        let sentence = format!("{} was reset without a notification", named(&name));
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

fn name(heard: &Heard<'_>) -> Option<Name> {
    let packet = heard.reading.packet?;
    let (one, other) = (packet.source, packet.destination);
    Some((heard.vlans(), one.min(other), one.max(other)))
}

fn named((vlans, one, other): &Name) -> String {
    format!("BGP session {one} - {other}{}", place(*vlans))
}
