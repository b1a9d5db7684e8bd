//! One segment again and again, and no answer: what a sender does whose packets do not arrive.
//!
//! ```text
//!   sent 4 times in 1 s, 1,000 bytes or more, while small ones of the two arrive ──► MTU hole
//!   sent 5 times in 3 s ───────────────────────────────────────────────────────────► unacknowledged
//! ```
//!
//! A path that takes no large packets and does not say so (RFC 2923 §2.1) lets a connection begin and then
//! hang. It is told from loss, which takes small packets, too; and from a connection that alone is cut, by a
//! second one that hangs. With one only it is a warning, and says what else it may be.
//!
//! Clients go without a word: they are switched off, or leave the network. So a service that sends again to
//! its client makes a notice, and a warning only if the service does not answer.

use std::net::IpAddr;
use std::time::Duration;

use super::super::bounded::Bounded;
use super::super::heard::{Heard, Now, place};
use super::super::lasting::Lasting;
use super::{Flow, in_vlan, now};
use crate::detect::tap::Again;
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::frame::Direction;
use crate::time::{Mono, Stamp};
use crate::wire::icmp_message::Quoted;
use crate::wire::ip;
use crate::wire::link::{Content, Vlans};
use crate::wire::tcp::Tcp;

/// Pairs of hosts between which something is stuck, one direction.
const PAIRS: usize = 256;
/// Connections of a pair that are followed.
const FLOWS: usize = 16;
/// Sent so many times, over so long, that chance is out of the question.
const TIMES: u32 = 5;
const LASTS: Duration = Duration::from_secs(3);
/// A large one, while small ones arrive, sooner.
const TIMES_LARGE: u32 = 4;
const LASTS_LARGE: Duration = Duration::from_secs(1);
/// A packet of so many bytes is a large one: less than any path takes that carries IPv6 (RFC 8200 §5) or
/// IPv4 through tunnels.
const LARGE: u32 = 1_000;
/// A packet of fewer bytes is a small one, which every path takes (RFC 791 §3.2).
const SMALL: u32 = 576;
/// Segments before that make a history.
const HISTORY: u32 = 10;
/// A sender waits at most twice as long as the last time (RFC 6298 §5.5), and 120 s (Linux, TCP_RTO_MAX): what
/// is not sent again for longer arrived, or was given up.
const BACKS_OFF: u32 = 2;
const LONGEST: Duration = Duration::from_secs(120);
/// Beside it, timers are late by up to that.
const SLACK: Duration = Duration::from_secs(1);

/// VLANs, who sends, to whom.
type Name = (Vlans, IpAddr, IpAddr);

/// Judges what is sent again on one interface.
#[derive(Debug)]
pub(super) struct Stuck {
    pairs: Bounded<Name, Pair>,
    /// What routers said that a way takes, and when.
    said: Bounded<Name, (u32, Mono)>,
}

#[derive(Debug, Default)]
struct Pair {
    flows: Vec<Sent>,
    /// When the receiver last answered the sender, on any connection.
    answered: Option<Mono>,
    /// When a small packet was last sent again.
    small_again: Option<Mono>,
    /// A large first segment that the sender sent on a connection, and when.
    large: Option<(Flow, Mono)>,
    hole: Lasting,
    waits: Lasting,
}

/// A segment that is sent again.
#[derive(Debug, Clone, Copy)]
struct Sent {
    flow: Flow,
    sequence: u32,
    /// When the sender last sent something new, this at the latest.
    first: Stamp,
    last: Stamp,
    /// Between the last two times.
    apart: Duration,
    times: u32,
    /// New segments before.
    before: u32,
    /// Of its data, and of the packet with its IP header.
    length: u32,
    packet: u32,
    direction: Direction,
}

impl Stuck {
    pub(super) fn new() -> Self {
        Self { pairs: Bounded::new(PAIRS), said: Bounded::new(PAIRS) }
    }

    /// A router says of this packet that it is too big.
    pub(super) fn too_big(&mut self, heard: &Heard<'_>, about: &Quoted, mtu: u32) {
        let (name, at) = ((heard.vlans(), about.source, about.destination), heard.at().mono);
        if let Some(said) = self.said.entry(name, || (mtu, at)) {
            *said = (mtu, at);
        }
    }

    /// A segment was sent again.
    pub(super) fn again(
        &mut self,
        heard: &Heard<'_>,
        flow: Flow,
        (tcp, again): (&Tcp<'_>, Again),
        findings: &mut Vec<Finding>,
    ) {
        let at = heard.at();
        let name = (flow.vlans, flow.from.ip(), flow.to.ip());
        let Some(pair) = self.pairs.entry(name, Pair::default) else { return };
        let (length, packet) = lengths(heard, tcp);
        if packet <= SMALL {
            pair.small_again = Some(at.mono);
        }
        let mono = at.mono.minus(again.since);
        let first = Stamp { mono, wall: at.offset().wall(mono) };
        let direction = heard.direction();
        let (sequence, before) = (tcp.sequence, again.sent);
        let sent = Sent {
            flow,
            sequence,
            first,
            last: at,
            apart: at.mono.since(mono),
            times: 2,
            before,
            length,
            packet,
            direction,
        };
        let has_room = pair.flows.len() < FLOWS;
        match pair.flows.iter_mut().find(|sent| sent.flow == flow) {
            Some(known) if known.sequence == sequence => known.once_more(at),
            Some(known) => *known = sent,
            None if has_room => pair.flows.push(sent),
            None => {}
        }
        let said = self.said.get(&name).map(|(mtu, _)| *mtu);
        pair.judge(&now(heard), name, (flow, said), findings);
    }

    /// The sender of `flow` says something that shows it is there: it answers, or begins to speak.
    pub(super) fn hears(&mut self, heard: &Heard<'_>, flow: Flow) {
        let at = heard.at().mono;
        let (from, to) = (flow.from.ip(), flow.to.ip());
        if let Some(pair) = self.pairs.get_mut(&(flow.vlans, to, from)) {
            pair.answered = Some(at);
        }
        if heard.seen.header.original_len >= LARGE
            && let Some(pair) = self.pairs.get_mut(&(flow.vlans, from, to))
        {
            pair.large = Some((flow, at));
        }
    }

    /// The connection is over.
    pub(super) fn ended(&mut self, heard: &Heard<'_>, flow: Flow, findings: &mut Vec<Finding>) {
        for flow in [flow, flow.back()] {
            let name = (flow.vlans, flow.from.ip(), flow.to.ip());
            if let Some(pair) = self.pairs.get_mut(&name) {
                pair.flows.retain(|sent| sent.flow != flow);
                pair.end_if_over(&now(heard), name, findings);
            }
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.pairs.retain(|name, pair| {
            pair.flows.retain(|sent| sent.is_stuck(now.at.mono));
            pair.end_if_over(now, *name, findings);
            !pair.flows.is_empty()
        });
        self.said.retain(|_, (_, at)| now.at.mono.since(*at) < LONGEST);
    }

    pub(super) fn refused(&self) -> u64 {
        self.pairs.refused() + self.said.refused()
    }
}

impl Sent {
    fn once_more(&mut self, at: Stamp) {
        self.apart = at.mono.since(self.last.mono);
        self.last = at;
        self.times = self.times.saturating_add(1);
    }

    /// It may still be sent again.
    fn is_stuck(&self, now: Mono) -> bool {
        now.since(self.last.mono) <= (self.apart * BACKS_OFF).min(LONGEST) + SLACK
    }

    fn lasted(&self) -> Duration {
        self.last.mono.since(self.first.mono)
    }

    fn is_large(&self) -> bool {
        self.packet >= LARGE && self.times >= TIMES_LARGE && self.lasted() >= LASTS_LARGE
    }
}

impl Pair {
    /// The segment of `flow` was sent again, on a way of which a router said what it takes.
    fn judge(
        &mut self,
        now: &Now<'_>,
        name: Name,
        (flow, said): (Flow, Option<u32>),
        findings: &mut Vec<Finding>,
    ) {
        let Some(sent) = self.flows.iter().find(|sent| sent.flow == flow).copied() else { return };
        if sent.is_large() && self.takes_small_ones_only(now, &sent) {
            if self.hole.is_open() {
                self.hole.more(now.at);
            } else {
                self.hole.begin(self.hole_finding(now, name, said), findings);
            }
        } else if sent.times >= TIMES && sent.lasted() >= LASTS && !self.hole.is_open() {
            if self.waits.is_open() {
                self.waits.more(now.at);
            } else {
                self.waits.begin(self.waits_finding(now, name, &sent), findings);
            }
        }
    }

    /// Since the large one was sent, small ones arrived, none of them had to be sent again, and no other large
    /// one arrived.
    fn takes_small_ones_only(&self, now: &Now<'_>, sent: &Sent) -> bool {
        let since = |at: Option<Mono>| at.is_some_and(|at| at > sent.first.mono);
        let large = self.large.filter(|(_, at)| *at > sent.first.mono);
        let large_arrived = large.is_some_and(|(flow, at)| {
            now.at.mono.since(at) >= LASTS_LARGE && self.flows.iter().all(|sent| sent.flow != flow)
        });
        since(self.answered) && !since(self.small_again) && !large_arrived
    }

    fn end_if_over(&mut self, now: &Now<'_>, name: Name, findings: &mut Vec<Finding>) {
        if self.flows.iter().any(|sent| sent.times > 2) {
            return;
        }
        let (_, from, to) = name;
        let sentence = || format!("nothing is sent again and again from {from} to {to} any longer");
        self.hole.end(now.at, sentence, findings);
        self.waits.end(now.at, sentence, findings);
    }

    fn hole_finding(&self, now: &Now<'_>, name: Name, said: Option<u32>) -> Finding {
        let stuck: Vec<_> = self.flows.iter().filter(|sent| sent.packet >= LARGE).collect();
        let certain = stuck.len() > 1 || said.is_some();
        let first = stuck.iter().map(|sent| sent.first).min_by_key(|first| first.mono);
        let times = stuck.iter().map(|sent| sent.times).max().unwrap_or_default();
        let length = stuck.iter().map(|sent| sent.length).min().unwrap_or_default();
        let packet = stuck.iter().map(|sent| sent.packet).min().unwrap_or_default();
        let (vlans, from, to) = name;
        let connections = match stuck.len() {
            1 => "1 connection sends".to_owned(),
            many => format!("{many} connections send"),
        };
        let mtu = match said {
            Some(mtu) if mtu > 0 => {
                format!("The path takes {mtu}, and the sender does not hear it")
            }
            Some(_) => {
                format!("The path takes less than {packet}, and the sender does not hear it")
            }
            None if certain => format!("The path MTU is below {packet}, and nobody says so"),
            None => format!("The path MTU is below {packet}, or this connection alone is cut"),
        };
        let sentence = format!(
            "large packets from {from} to {to}{} do not arrive: {connections} a segment of \
             {length} bytes up to {times} times in vain, while small ones arrive. {mtu}",
            place(vlans)
        );
        let severity = if certain { Severity::Critical } else { Severity::Warning };
        let what = format!("TCP {from} → {to} Len={length}");
        let finding = in_vlan(now, vlans, FindingKind::MtuHole, severity, what, sentence);
        let count = stuck.iter().map(|sent| u64::from(sent.times)).sum();
        let direction = stuck.first().map_or(Direction::Unknown, |sent| sent.direction);
        Finding { first: first.unwrap_or(now.at), count, direction, ..finding }
            .about(Party::Host(from))
            .about(Party::Host(to))
    }

    fn waits_finding(&self, now: &Now<'_>, name: Name, sent: &Sent) -> Finding {
        let answers = self.answered.is_some_and(|at| at > sent.first.mono);
        let warns = sent.flow.is_to_service() && sent.before >= HISTORY && !answers;
        let severity = if warns { Severity::Warning } else { Severity::Notice };
        let Flow { vlans, from, to } = sent.flow;
        let Sent { times, length, first, direction, .. } = *sent;
        let seconds = sent.lasted().as_secs_f64();
        let but = if answers { ", on other connections it answers" } else { "" };
        let sentence = format!(
            "{to}{} does not acknowledge: a segment of {length} bytes of {from} was sent {times} \
             times in {seconds:.1} s{but}",
            place(vlans)
        );
        let what = format!("TCP {from} → {to} Seq={} Len={length}", sent.sequence);
        let kind = FindingKind::TcpUnacknowledged;
        let finding = in_vlan(now, vlans, kind, severity, what, sentence);
        Finding { first, count: times.into(), direction, ..finding }
            .about(Party::Host(name.1))
            .about(Party::Host(name.2))
    }
}

/// Bytes of the segment's data and of its whole packet, as its IP header says or, where the sender left that
/// to the hardware, as the frame has them.
fn lengths(heard: &Heard<'_>, tcp: &Tcp<'_>) -> (u32, u32) {
    let (bytes, link) = (heard.seen.bytes, &heard.reading.link);
    let Content::Typed(_, packet) = link.content else { return (0, 0) };
    let begins = |part: &[u8]| part.as_ptr().addr().saturating_sub(bytes.as_ptr().addr());
    // Lengths of a frame, which has fewer bytes than a u32 counts.
    let headers = begins(tcp.payload).saturating_sub(begins(packet)) as u32;
    let framed = heard.seen.header.original_len.saturating_sub(begins(packet) as u32);
    let packet = ip::length(packet).unwrap_or(framed);
    (packet.saturating_sub(headers), packet)
}
