//! Clients that ask again and again.
//!
//! Who repeats its question was not answered, wherever that is seen; but whether there should be a server, and
//! whether others are served, is known only where that comes by. Everybody's discovery is broadcast, and so is
//! the request that follows an offer; answers often go to the client alone.
//!
//! | who waits | told |
//! |---|---|
//! | this host, for an address or a renewal | warning, its own row; DHCPv6 only where a server was heard |
//! | others, where nobody was ever served | notice, one row for all: no server is heard here |
//! | others, where somebody was served | notice, one row for all; [`MANY`] of them: warning |
//! | others, where answers to all come by or this host is the server | warning |
//!
//! Who names a server in its request had an offer: its own row ends there. A question that left by one port of a
//! bond or bridge may be answered through another.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{Name, version};
use crate::detect::protocols::bounded::Bounded;
use crate::detect::protocols::heard::{Heard, Now, place};
use crate::detect::protocols::lasting::{FORGET, Lasting};
use crate::detect::protocols::local::Asked;
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::{Mono, Stamp};
use crate::wire::dhcp::Dhcp;
use crate::wire::link::Vlans;

/// Clients that wait at a time.
const CLIENTS: usize = 512;
/// VLANs in which it is remembered whether anybody was served.
const SEGMENTS: usize = 4_096;
/// A client not heard for so long gave up. Clients double their pauses up to 64 s (RFC 2131 §4.1), or
/// 120 s (RFC 9915 §7.6, SOL_MAX_RT is longer still).
const GIVEN_UP: Duration = Duration::from_secs(150);
/// So many that wait at once are no longer one client's own trouble.
const MANY: usize = 3;
/// Renewals go to the one server that gave the address, and are repeated when half of the rest has passed (RFC
/// 2131 §4.4.5): the second in a row says enough.
const RENEWALS: u32 = 2;

/// Follows those who ask on one interface.
#[derive(Debug)]
pub(super) struct Clients {
    tries: u32,
    patience: Duration,
    waiting: Bounded<Name, Client>,
    segments: Bounded<(Vlans, bool), Segment>,
}

#[derive(Debug)]
struct Client {
    /// It is this host's.
    own: bool,
    /// It asks the server that it has its address from.
    renewal: bool,
    /// The answer is to be broadcast.
    broadcast: bool,
    transaction: u32,
    /// What it wants.
    address: Option<IpAddr>,
    question: Finding,
    first: Stamp,
    last: Stamp,
    /// Questions, those within the patience of one counted as one.
    tries: u32,
    last_try: Mono,
    unanswered: Lasting,
}

/// What is known of one VLAN and family.
#[derive(Debug, Default)]
struct Segment {
    /// Somebody was served last.
    served: Option<Stamp>,
    /// Answers to all come by.
    to_all: bool,
    /// This host is the server.
    serves: bool,
    /// Others who get no answer.
    others: Lasting,
}

impl Clients {
    pub(super) fn new(tries: u32, patience: Duration) -> Self {
        Self { tries, patience, waiting: Bounded::new(CLIENTS), segments: Bounded::new(SEGMENTS) }
    }

    pub(super) fn asked(&mut self, heard: &Heard<'_>, dhcp: &Dhcp, name: Name) {
        let (at, own) = (heard.at(), heard.sent_here);
        let to_one = |packet: crate::wire::ip::Packet<'_>| match packet.destination {
            IpAddr::V4(to) => !to.is_broadcast(),
            IpAddr::V6(to) => !to.is_multicast(),
        };
        let renewal = heard.reading.packet.is_some_and(to_one);
        if dhcp.names_server && !renewal {
            self.served(heard, dhcp, false);
            if !own {
                self.waiting.remove(&name);
                return;
            }
        } else if renewal && !own {
            return;
        }
        let make = || Client {
            own,
            renewal,
            broadcast: dhcp.broadcast,
            transaction: dhcp.transaction,
            address: dhcp.address,
            question: heard.finding(FindingKind::DhcpNoAnswer, Severity::Warning, String::new()),
            first: at,
            last: at,
            tries: 1,
            last_try: at.mono,
            unanswered: Lasting::default(),
        };
        let Some(client) = self.waiting.entry(name, make) else { return };
        (client.transaction, client.last) = (dhcp.transaction, at);
        (client.own, client.renewal) = (own, client.renewal && renewal);
        client.address = dhcp.address.or(client.address);
        client.unanswered.more(at);
        if at.mono.since(client.last_try) >= self.patience {
            client.tries = client.tries.saturating_add(1);
            client.last_try = at.mono;
        }
    }

    /// An answer; returns the address that its client had asked for.
    pub(super) fn answered(
        &mut self,
        heard: &Heard<'_>,
        dhcp: &Dhcp,
        findings: &mut Vec<Finding>,
    ) -> Option<IpAddr> {
        let (vlans, at) = (heard.vlans(), heard.at());
        heard.local.answered(Asked::Lease(dhcp.is_v6, dhcp.transaction), at.mono);
        if !dhcp.is_refusal() {
            let to_all = heard.reading.link.destination.is_some_and(|to| !to.is_unicast());
            self.served(heard, dhcp, to_all);
        }
        let mut wanted = None;
        self.waiting.retain(|(of, is_v6, _), client| {
            let answered =
                (*of, *is_v6, client.transaction) == (vlans, dhcp.is_v6, dhcp.transaction);
            if answered {
                wanted = wanted.or(client.address);
                client.unanswered.end(at, || "the DHCP client is answered".to_owned(), findings);
            }
            !answered
        });
        wanted
    }

    /// Somebody is served in this segment.
    fn served(&mut self, heard: &Heard<'_>, dhcp: &Dhcp, to_all: bool) {
        let key = (heard.vlans(), dhcp.is_v6);
        let Some(segment) = self.segments.entry(key, Segment::default) else { return };
        segment.served = Some(heard.at());
        segment.to_all |= to_all;
        segment.serves |= dhcp.is_answer() && heard.sent_here;
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let at = now.at.mono;
        let (tries, patience, segments) = (self.tries, self.patience, &self.segments);
        let mut crowds: BTreeMap<(Vlans, bool), Crowd<'_>> = BTreeMap::new();
        self.waiting.retain(|(vlans, is_v6, mac), client| {
            let elsewhere = Asked::Lease(*is_v6, client.transaction);
            let answered = now.local.was_answered(elsewhere, client.first.mono);
            let given_up = at.since(client.last.mono) > GIVEN_UP;
            if answered || given_up {
                let sentence = || match answered {
                    true => "the DHCP client is answered".to_owned(),
                    false => format!("DHCP client {mac} does not ask any longer"),
                };
                client.unanswered.end(now.at, sentence, findings);
                return false;
            }
            let segment = segments.get(&(*vlans, *is_v6));
            let served = segment.is_some_and(|segment| segment.served.is_some());
            if client.is_tired(tries, patience, at) && client.own && (!is_v6 || served) {
                client.tell(&(*vlans, *is_v6, *mac), now, findings);
            }
            true
        });
        for ((vlans, is_v6, _), client) in self.waiting.iter() {
            if client.is_tired(tries, patience, at) && !client.unanswered.is_open() {
                crowds.entry((*vlans, *is_v6)).or_default().join(client);
            }
        }
        for key in
            crowds.keys().filter(|key| segments.get(key).is_none()).copied().collect::<Vec<_>>()
        {
            self.segments.entry(key, Segment::default);
        }
        self.segments.retain(|key, segment| {
            segment.served = segment.served.filter(|last| at.since(last.mono) < FORGET);
            segment.judge(*key, crowds.get(key), now, findings);
            segment.served.is_some() || segment.others.is_open()
        });
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        let own = self.waiting.iter().map(|(_, client)| &client.unanswered);
        own.chain(self.segments.iter().map(|(_, segment)| &segment.others))
    }

    pub(super) fn refused(&self) -> u64 {
        self.waiting.refused() + self.segments.refused()
    }
}

impl Client {
    /// It asked often enough, and waited long enough since.
    fn is_tired(&self, tries: u32, patience: Duration, at: Mono) -> bool {
        let enough = if self.renewal { tries.min(RENEWALS) } else { tries };
        // The latest try is still waited for.
        self.tries - u32::from(at.since(self.last_try) < patience) >= enough
    }

    fn tell(&mut self, name: &Name, now: &Now<'_>, findings: &mut Vec<Finding>) {
        if self.unanswered.is_open() {
            return;
        }
        let (vlans, is_v6, mac) = name;
        let what = match self.address.filter(|_| self.renewal) {
            Some(address) => format!("to renew {address} "),
            None => String::new(),
        };
        let sentence = format!(
            "DHCP{} client {mac}{} asked {what}{} times in {:.1} s and got no answer",
            version(*is_v6),
            place(*vlans),
            self.tries,
            now.at.mono.since(self.first.mono).as_secs_f64()
        );
        let (first, last, count) = (self.first, self.last, self.tries.into());
        let finding = Finding { first, last, count, sentence, ..self.question.clone() };
        self.unanswered.begin(finding, findings);
    }
}

/// Others who get no answer.
#[derive(Default)]
struct Crowd<'a> {
    clients: Vec<&'a Client>,
}

impl<'a> Crowd<'a> {
    fn join(&mut self, client: &'a Client) {
        self.clients.push(client);
    }

    fn first(&self) -> Option<&'a Client> {
        self.clients.iter().min_by_key(|client| client.first.mono).copied()
    }
}

impl Segment {
    fn judge(
        &mut self,
        (vlans, is_v6): (Vlans, bool),
        crowd: Option<&Crowd<'_>>,
        now: &Now<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let Some((crowd, first)) = crowd.and_then(|crowd| Some((crowd, crowd.first()?))) else {
            let sentence = || "no DHCP client waits any longer".to_owned();
            self.others.end(now.at, sentence, findings);
            return;
        };
        let count = crowd.clients.len();
        let heard = self.to_all && crowd.clients.iter().any(|client| client.broadcast);
        // Where this host is the server, its silence is known; that it serves others meanwhile is its choice.
        let silent = self.serves && self.served.is_some_and(|last| last.mono < first.first.mono);
        let is_bad = self.served.is_some() && (count >= MANY || heard || silent);
        let severity = if is_bad { Severity::Warning } else { Severity::Notice };
        if self.others.standing().is_some_and(|told| told.severity >= severity) {
            return;
        }
        let (asks, clients) = if count == 1 { ("asks", "client") } else { ("ask", "clients") };
        let why = match self.served {
            None => "and no server is heard here".to_owned(),
            Some(last) if last.mono > first.first.mono => {
                "in vain, though others are served: the pool is used up, or the server does not want them"
                    .to_owned()
            }
            Some(last) => {
                let ago = now.at.mono.since(last.mono).as_secs_f64();
                format!("in vain; somebody was served {ago:.0} s ago")
            }
        };
        let sentence =
            format!("{count} DHCP{} {clients}{} {asks} {why}", version(is_v6), place(vlans));
        let last = crowd.clients.iter().map(|client| client.last).max_by_key(|last| last.mono);
        let asked = crowd.clients.iter().map(|client| u64::from(client.tries)).sum();
        let mut finding = Finding {
            severity,
            first: first.first,
            last: last.unwrap_or(first.last),
            count: asked,
            sentence,
            ..first.question.clone()
        };
        let stations = crowd.clients.iter().flat_map(|client| &client.question.parties);
        for station in stations.filter(|party| matches!(party, Party::Station(_))) {
            finding = finding.about(*station);
        }
        self.others.begin_or_worsen(finding, findings);
    }
}
