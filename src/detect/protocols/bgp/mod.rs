//! BGP: a session ends with a notification that says why, or its connection is closed or reset without
//! one; it goes silent, one way or both; it does not come up.
//!
//! ```text
//!  opening ──(both took the other's OPEN)──► alive ──(notification, FIN, RST)──► ended
//!     │                                        └──(one end not heard)──► silent ──┘
//!     └──(OPEN refused, connection refused, signed by one end only)──► does not come up
//! ```
//!
//! A session is alive once both ends said KEEPALIVE or UPDATE on one connection, and what ends any other
//! connection ends no session: peers that dial each other at once close one of two (RFC 4271 §6.8).
//! Connections between hosts that never spoke BGP are of no interest.

mod connection;

use std::net::IpAddr;
use std::time::Duration;

use self::connection::{Connection, Phase, Ports, Since, Trouble};
use super::bounded::Bounded;
use super::heard::{Heard, Now, about, place};
use super::lasting::{FORGET, Lasting};
use crate::finding::{Finding, FindingKind, Severity};
use crate::time::Stamp;
use crate::wire::bgp::{Bgp, Notification, Open};
use crate::wire::link::Vlans;
use crate::wire::tcp::Tcp;

/// Sessions on one interface.
const MOST: usize = 1_024;
/// Connections of a session that are told apart: one alive, two in collision, one from before.
const CONNECTIONS: usize = 4;
/// A session alive for so long is no collision of two that were opened at once.
const SETTLED: Duration = Duration::from_secs(10);
/// SYNs of each end without an answer, until it matters that they are signed differently.
const DIALS: u32 = 2;

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
    /// The newest last.
    connections: Vec<Connection>,
    /// The connection that carries the session.
    alive: Option<Ports>,
    /// It was alive once.
    was_up: bool,
    dials: [Dial; 2],
    ended: Lasting,
    rejected: Lasting,
    refused: Lasting,
    silent: Lasting,
}

/// SYNs of one end that nobody answered.
#[derive(Debug, Clone, Copy, Default)]
struct Dial {
    ports: Ports,
    times: u32,
    is_signed: bool,
}

/// A segment, and what goes with it.
struct Said<'a> {
    heard: &'a Heard<'a>,
    tcp: &'a Tcp<'a>,
    name: &'a Name,
    ports: Ports,
    /// Which end sent it: 0 or 1.
    from: usize,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { sessions: Bounded::new(MOST) }
    }

    /// A segment with a message.
    pub(super) fn heard(
        &mut self,
        heard: &Heard<'_>,
        bgp: &Bgp<'_>,
        tcp: &Tcp<'_>,
        findings: &mut Vec<Finding>,
    ) {
        self.take(heard, tcp, Some(bgp), findings);
    }

    /// A segment of any port without a message: it may acknowledge, open or close the connection.
    pub(super) fn segment(
        &mut self,
        heard: &Heard<'_>,
        tcp: &Tcp<'_>,
        findings: &mut Vec<Finding>,
    ) {
        self.take(heard, tcp, None, findings);
    }

    fn take(
        &mut self,
        heard: &Heard<'_>,
        tcp: &Tcp<'_>,
        bgp: Option<&Bgp<'_>>,
        findings: &mut Vec<Finding>,
    ) {
        const PORT: u16 = 179;
        let Some(packet) = heard.reading.packet else { return };
        if tcp.source != PORT && tcp.destination != PORT {
            return;
        }
        let sender = (packet.source, tcp.source);
        let receiver = (packet.destination, tcp.destination);
        let from = usize::from(sender > receiver);
        let (one, other) = (sender.min(receiver), sender.max(receiver));
        let name = (heard.vlans(), one.0, other.0);
        // A scan of ports speaks no BGP and signs nothing.
        let speaks = bgp.is_some() || tcp.has(Tcp::SYN) && is_signed(tcp);
        let session = if speaks {
            self.sessions.entry(name, || Session::new(heard.at()))
        } else {
            self.sessions.get_mut(&name)
        };
        let Some(session) = session else { return };
        session.last = heard.at();
        let ports = (one.1, other.1);
        session.take(&Said { heard, tcp, name: &name, ports, from }, bgp, findings);
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.sessions.retain(|name, session| {
            session.judge(now, name, findings);
            let keep = now.at.mono.since(session.last.mono) < FORGET;
            if !keep {
                session.end_all(now.at, &format!("{} is not waited for", named(name)), findings);
            }
            keep
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.sessions.refused()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.sessions.iter().flat_map(|(_, session)| {
            [&session.ended, &session.rejected, &session.refused, &session.silent]
        })
    }
}

impl Session {
    fn new(last: Stamp) -> Self {
        Self {
            last,
            connections: Vec::new(),
            alive: None,
            was_up: false,
            dials: Default::default(),
            ended: Lasting::default(),
            rejected: Lasting::default(),
            refused: Lasting::default(),
            silent: Lasting::default(),
        }
    }

    fn take(&mut self, said: &Said<'_>, bgp: Option<&Bgp<'_>>, findings: &mut Vec<Finding>) {
        let (at, ports) = (said.heard.at(), said.ports);
        if said.tcp.has(Tcp::SYN) {
            self.dial(said, findings);
        }
        let connection = self.connection(ports, said.tcp.has(Tcp::SYN));
        connection.segment(at, said.from, said.tcp, bgp);
        if let Some(bgp) = bgp {
            match bgp.notification {
                Some(why) => self.notified(said, &why, findings),
                None if bgp.open.is_some() => self.opened(said, findings),
                None => self.spoke(said, findings),
            }
        }
        if said.tcp.has(Tcp::RST | Tcp::FIN) {
            self.closed(said, findings);
        }
    }

    /// The connection of these ports; made anew by a SYN, in place of the oldest that is not alive.
    fn connection(&mut self, ports: Ports, is_new: bool) -> &mut Connection {
        let alive = self.alive;
        let known = self.connections.iter().position(|known| known.ports == ports);
        let place = match known {
            Some(place) if is_new && alive != Some(ports) => {
                self.connections[place] = Connection::new(ports);
                place
            }
            Some(place) => place,
            None => {
                if self.connections.len() >= CONNECTIONS {
                    let old = self.connections.iter().position(|old| alive != Some(old.ports));
                    self.connections.remove(old.unwrap_or_default());
                }
                self.connections.push(Connection::new(ports));
                self.connections.len() - 1
            }
        };
        &mut self.connections[place]
    }

    /// Both ends spoke on one connection: the session is up.
    fn spoke(&mut self, said: &Said<'_>, findings: &mut Vec<Finding>) {
        let (at, ports) = (said.heard.at(), said.ports);
        let connection = self.connection(ports, false);
        if !connection.both_spoke() || matches!(connection.phase, Phase::Alive(_)) {
            return;
        }
        connection.phase = Phase::Alive(at);
        (self.alive, self.was_up, self.dials) = (Some(ports), true, Default::default());
        self.end_all(at, &format!("{} is up again", named(said.name)), findings);
    }

    fn end_all(&mut self, at: Stamp, sentence: &str, findings: &mut Vec<Finding>) {
        for lasting in [&mut self.ended, &mut self.rejected, &mut self.refused, &mut self.silent] {
            lasting.end(at, || sentence.to_owned(), findings);
        }
    }

    /// A session is opened on another connection than the one that carries it: who does so has lost it.
    fn opened(&mut self, said: &Said<'_>, findings: &mut Vec<Finding>) {
        let Some(alive) = self.alive.filter(|alive| *alive != said.ports) else { return };
        let old = self.connection(alive, false);
        let Phase::Alive(since) = old.phase else { return };
        if said.heard.at().mono.since(since.mono) < SETTLED {
            return;
        }
        self.over(alive);
        let (who, whom) = said.ends();
        let sentence = format!(
            "{} ended: {who} opens a new one without a word on the one it had with {whom}",
            named(said.name)
        );
        self.ended.begin(said.finding(Severity::Critical, sentence), findings);
    }

    fn notified(&mut self, said: &Said<'_>, why: &Notification<'_>, findings: &mut Vec<Finding>) {
        let connection = self.connection(said.ports, false);
        let (phase, opened) = (connection.phase, connection.ends[1 - said.from].open);
        self.over(said.ports);
        if why.is_collision() && self.has_another(said.ports) {
            let sentence = format!(
                "{}: both ends opened a connection, and one of the two is closed: {why}",
                named(said.name)
            );
            findings.push(said.finding(Severity::Notice, sentence));
            return;
        }
        match phase {
            Phase::Found | Phase::Alive(_) => self.stop(said, why, findings),
            Phase::Opening => self.reject(said, why, opened, findings),
            Phase::Over => {
                self.ended.more(said.heard.at());
                self.rejected.more(said.heard.at());
            }
        }
    }

    /// True if a further connection is there that may carry the session.
    fn has_another(&self, ports: Ports) -> bool {
        let mut others = self.connections.iter().filter(|other| other.ports != ports);
        others.any(|other| other.phase != Phase::Over)
    }

    /// What ends a session.
    fn stop(&mut self, said: &Said<'_>, why: &Notification<'_>, findings: &mut Vec<Finding>) {
        let severity = if why.is_administrative() { Severity::Notice } else { Severity::Critical };
        let sentence = format!("{} ended: {}: {why}", named(said.name), said.ends().0);
        self.ended.begin_or_worsen(said.finding(severity, sentence), findings);
    }

    /// What keeps one from coming up.
    fn reject(
        &mut self,
        said: &Said<'_>,
        why: &Notification<'_>,
        opened: Option<Open>,
        findings: &mut Vec<Finding>,
    ) {
        let (who, whom) = said.ends();
        let mut sentence = format!("{} does not come up: {who}: {why}", named(said.name));
        let is_system =
            (why.code, why.subcode) == (Notification::OPEN, Notification::BAD_PEER_SYSTEM);
        if let Some(open) = opened.filter(|_| is_system) {
            sentence += &format!("; {whom} says that it is AS {}", open.system);
        }
        let severity = match self.was_up {
            _ if why.is_administrative() => Severity::Notice,
            true if why.is_rejection() => Severity::Warning,
            true => Severity::Critical,
            false if why.is_rejection() => Severity::Notice,
            false => Severity::Warning,
        };
        let finding = Finding { kind: FindingKind::BgpRefused, ..said.finding(severity, sentence) };
        self.rejected.begin_or_worsen(finding, findings);
    }

    /// FIN or RST: of the connection that carries the session it is its end, of one that was dialled a
    /// refusal.
    fn closed(&mut self, said: &Said<'_>, findings: &mut Vec<Finding>) {
        let (who, whom) = said.ends();
        let is_reset = said.tcp.has(Tcp::RST);
        if self.alive == Some(said.ports) {
            self.over(said.ports);
            let how = if is_reset { "reset" } else { "closed" };
            let sentence =
                format!("{} was {how} by {who}, which sent no notification", named(said.name));
            let what = named(said.name);
            let finding = Finding { what, ..said.finding(Severity::Critical, sentence) };
            self.ended.begin(finding, findings);
            return;
        }
        let dial = &self.dials[1 - said.from];
        if is_reset && dial.times > 0 && dial.ports == said.ports {
            let severity = if self.was_up { Severity::Warning } else { Severity::Notice };
            let sentence = format!(
                "{who} refuses the BGP connections of {whom} (RST): the host is alive, its BGP does \
                 not take them"
            );
            self.refuse(said, severity, sentence, findings);
        }
    }

    fn refuse(
        &mut self,
        said: &Said<'_>,
        severity: Severity,
        sentence: String,
        findings: &mut Vec<Finding>,
    ) {
        let what = format!("{}, connection", named(said.name));
        let kind = FindingKind::BgpRefused;
        let finding = Finding { kind, what, ..said.finding(severity, sentence) };
        self.refused.begin_or_worsen(finding, findings);
    }

    /// The connection carries nothing any more.
    fn over(&mut self, ports: Ports) {
        self.connection(ports, false).end();
        self.alive = self.alive.filter(|alive| *alive != ports);
    }

    /// A SYN that asks or answers.
    fn dial(&mut self, said: &Said<'_>, findings: &mut Vec<Finding>) {
        if said.tcp.has(Tcp::ACK) {
            self.dials = Default::default();
            let sentence = || format!("{} takes connections", said.ends().0);
            self.refused.end(said.heard.at(), sentence, findings);
            return;
        }
        let dial = &mut self.dials[said.from];
        let times = dial.times + 1;
        *dial = Dial { ports: said.ports, times, is_signed: is_signed(said.tcp) };
        let (this, other) = (*dial, self.dials[1 - said.from]);
        if this.times < DIALS || other.times < DIALS || !(this.is_signed || other.is_signed) {
            return;
        }
        let (who, whom) = said.ends();
        let (signs, does_not) = if this.is_signed { (who, whom) } else { (whom, who) };
        let sentence = if this.is_signed == other.is_signed {
            format!(
                "neither {who} nor {whom} answers the other's BGP connections, which both sign \
                 (TCP MD5 or AO): their keys may differ"
            )
        } else {
            format!(
                "{signs} signs its BGP segments (TCP MD5 or AO), {does_not} does not: neither \
                 answers the other"
            )
        };
        self.refuse(said, Severity::Warning, sentence, findings);
    }

    /// What frames that do not come tell.
    fn judge(&mut self, now: &Now<'_>, name: &Name, findings: &mut Vec<Finding>) {
        let Some(alive) = self.alive else { return };
        let Some(connection) = self.connections.iter().find(|c| c.ports == alive) else { return };
        let Some(since) = connection.trouble(now.at) else {
            let sentence = || format!("both ends of {} hear each other", named(name));
            self.silent.end(now.at, sentence, findings);
            return;
        };
        let hold = connection.hold();
        let (sentence, lasts) = trouble(&since, now.at, name);
        let is_silent = matches!(since.trouble, Trouble::Silent(_));
        let expired = is_silent || hold.is_some_and(|hold| lasts >= hold);
        let severity = if expired { Severity::Critical } else { Severity::Warning };
        let hold = hold.filter(|_| expired).map(|hold| hold.as_secs());
        let hold = hold.map(|hold| format!(", longer than the hold time of {hold} s"));
        let sentence = sentence + &hold.unwrap_or_default();
        if self.silent.is_open() && severity == Severity::Warning {
            return;
        }
        let (kind, what) = (FindingKind::BgpSilence, named(name));
        let finding = now.finding(kind, severity, what, sentence);
        let finding = about(finding, name.0, &[name.1, name.2]);
        let count = since.again.into();
        self.silent.begin_or_worsen(Finding { first: since.first, count, ..finding }, findings);
    }
}

impl Said<'_> {
    /// Who sent it, and to whom.
    fn ends(&self) -> (IpAddr, IpAddr) {
        let (_, one, other) = *self.name;
        if self.from == 0 { (one, other) } else { (other, one) }
    }

    fn finding(&self, severity: Severity, sentence: String) -> Finding {
        self.heard.finding(FindingKind::BgpNotification, severity, sentence)
    }
}

/// Which way is broken, in words, and for how long.
fn trouble(since: &Since, now: Stamp, name: &Name) -> (String, Duration) {
    let ends = [name.1, name.2];
    let lasts = now.mono.since(since.first.mono);
    let (seconds, again) = (lasts.as_secs_f64(), since.again);
    let session = named(name);
    let sentence = match since.trouble {
        Trouble::Deaf(end) => format!(
            "{session}: {} does not hear {}: for {seconds:.1} s it has sent again, {again} times, \
             what {} acknowledged",
            ends[end],
            ends[1 - end],
            ends[1 - end]
        ),
        Trouble::Unanswered(end) => format!(
            "{session}: {} does not acknowledge what {} has sent, {again} times again, for \
             {seconds:.1} s",
            ends[1 - end],
            ends[end]
        ),
        Trouble::Silent(end) => format!(
            "{session}: nothing is heard of {} since a message was due {seconds:.1} s ago, while \
             {} goes on",
            ends[end],
            ends[1 - end]
        ),
    };
    (sentence, lasts)
}

fn is_signed(tcp: &Tcp<'_>) -> bool {
    tcp.has_option(Tcp::MD5) || tcp.has_option(Tcp::AUTHENTICATION)
}

fn named((vlans, one, other): &Name) -> String {
    format!("BGP session {one} - {other}{}", place(*vlans))
}
