//! Attempts to connect to services, from the SYN until the first request is answered: what became of each is told
//! to the [`Service`] that it is for.
//!
//! ```text
//!   SYN ──► asked ──SYN-ACK──► accepted ──first data of the client──► requested ──of the service──► served
//!             │ RST, ICMP error: refused                                 │ nothing for long: silent
//!             └ nothing for a second: unanswered
//! ```
//!
//! A connection whose frames found no room on the way here is not judged. Clients that give up before a second,
//! checks that connect and close, idle connections and resets after the end are no failures. No answer is missed
//! where it would not come by.
//!
//! Bounded: [`ATTEMPTS`] connections, [`SERVICES`] services, [`OPEN`] connections of one service.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::bounded::Bounded;
use super::super::heard::{Heard, Now};
use super::super::lasting::FORGET;
use super::record::{Failed, Failure};
use super::service::{Name, Service};
use super::{Flow, now};
use crate::finding::Finding;
use crate::frame::Direction;
use crate::time::{Mono, Stamp};
use crate::wire::icmp_message::{IcmpMessage, Quoted};
use crate::wire::tcp::Tcp;

/// Connections that are judged at a time.
const ATTEMPTS: usize = 8_192;
/// Of one service; those beyond, as in a flood, are not judged.
const OPEN: u32 = 1_024;
/// Services remembered.
const SERVICES: usize = 2_048;
/// Hosts remembered because connections of theirs were answered.
const HOSTS: usize = 4_096;
/// A SYN waits so long for an answer: a second is what senders wait before they try again (RFC 6298 §2).
const PATIENCE: Duration = Duration::from_secs(1);
/// A late answer is still one, until the last try of most systems (Linux, tcp_syn_retries 6: 63 s).
const GIVEN_UP: Duration = Duration::from_secs(64);
/// A request waits at least so long for the first byte of its answer, else four times the longest usual
/// wait ...
const SHORTEST_WAIT: Duration = Duration::from_secs(3);
const WAITS: u32 = 4;
/// ... and no longer than this: then it is not judged any more.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Notices told at a time, and for one host: a scan of closed ports makes many.
const NOTICES: usize = 16;
const NOTICES_OF_HOST: u32 = 3;

/// Judges who connects to services on one interface.
#[derive(Debug)]
pub(super) struct Attempts {
    flows: Bounded<Flow, Attempt>,
    services: Bounded<Name, Service>,
    /// Hosts whose connections were answered here: the way back is seen.
    near: Bounded<IpAddr, Mono>,
    /// Notices told of a host, as client or server.
    noticed: Bounded<IpAddr, u32>,
    syns_shown: u64,
}

/// A connection, from its SYN on until its first request is answered.
#[derive(Debug)]
struct Attempt {
    first: Stamp,
    sequence: u32,
    tries: u32,
    last_try: Mono,
    direction: Direction,
    /// The first data of both ends will be noticed.
    followed: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Asked,
    /// It counted as unanswered.
    Unanswered,
    Accepted(Mono),
    Requested(Mono),
    /// It counted as silent.
    Silent,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self {
            flows: Bounded::new(ATTEMPTS),
            services: Bounded::new(SERVICES),
            near: Bounded::new(HOSTS),
            noticed: Bounded::new(HOSTS),
            syns_shown: 0,
        }
    }

    /// A SYN.
    pub(super) fn asked(
        &mut self,
        heard: &Heard<'_>,
        flow: Flow,
        tcp: &Tcp<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let at = heard.at();
        self.syns_shown += 1;
        let followed = heard.seen.noticed.is_some();
        if let Some(attempt) = self.flows.get_mut(&flow) {
            if attempt.sequence == tcp.sequence {
                if attempt.tries_again(at.mono) && attempt.state == State::Unanswered {
                    self.in_vain(&now(heard), flow, Failure::Unanswered, findings);
                }
                return;
            }
            self.close(flow);
        }
        let Some(service) = self.services.entry((flow.vlans, flow.to), || Service::new(at.mono))
        else {
            return;
        };
        service.last = at.mono;
        service.flood.asked(at, flow.from.ip(), followed);
        if service.open >= OPEN || service.flood.is_on() {
            return;
        }
        let attempt = Attempt {
            first: at,
            sequence: tcp.sequence,
            tries: 1,
            last_try: at.mono,
            direction: heard.direction(),
            followed,
            state: State::Asked,
        };
        service.open += u32::from(self.flows.entry(flow, || attempt).is_some());
    }

    /// A SYN with ACK; `flow` is the service's.
    pub(super) fn accepted(&mut self, heard: &Heard<'_>, flow: Flow, findings: &mut Vec<Finding>) {
        let at = heard.at();
        let asked = flow.back();
        let Some(attempt) = self.flows.get_mut(&asked) else { return };
        if !matches!(attempt.state, State::Asked | State::Unanswered) {
            return;
        }
        let round_trip = (attempt.tries == 1).then_some((attempt.first, at));
        attempt.followed &= heard.seen.noticed.is_some();
        attempt.state = State::Accepted(at.mono);
        if let Some(last) = self.near.entry(asked.from.ip(), || at.mono) {
            *last = at.mono;
        }
        let Some(service) = self.services.get_mut(&(flow.vlans, flow.from)) else { return };
        service.hops = heard.reading.packet.map_or(0, |packet| packet.hop_limit);
        service.connected(&now(heard), (flow.vlans, flow.from), asked.from.ip(), findings);
        if let Some((first, at)) = round_trip {
            service.round_trips.took(&now(heard), (flow.vlans, flow.from), (first, at), findings);
        }
    }

    /// A RST, from either end.
    pub(super) fn reset(
        &mut self,
        heard: &Heard<'_>,
        flow: Flow,
        tcp: &Tcp<'_>,
        findings: &mut Vec<Finding>,
    ) {
        // The client gave up, or never asked.
        if self.flows.get(&flow).is_some() {
            self.given_up(&now(heard), flow, findings);
            return;
        }
        let asked = flow.back();
        let Some(attempt) = self.flows.get(&asked) else { return };
        let refuses = match attempt.state {
            // It must answer this SYN (RFC 9293 §3.10.7.3).
            State::Asked | State::Unanswered => {
                tcp.has(Tcp::ACK) && tcp.acknowledgement == attempt.sequence.wrapping_add(1)
            }
            // Accepted by the system, and thrown out with the request: a queue that is full, a proxy
            // with nothing behind it.
            State::Requested(_) => true,
            State::Accepted(_) | State::Silent => false,
        };
        if refuses {
            let hops = heard.reading.packet.map_or(0, |packet| packet.hop_limit);
            self.failed(&now(heard), asked, Failure::Refused, Some(hops), findings);
        }
        self.close(asked);
    }

    /// A FIN, from either end.
    pub(super) fn finished(&mut self, heard: &Heard<'_>, flow: Flow, findings: &mut Vec<Finding>) {
        let service = if self.flows.get(&flow).is_some() { flow.to } else { flow.from };
        if let Some(service) = self.services.get_mut(&(flow.vlans, service)) {
            service.flood.went_on();
        }
        self.given_up(&now(heard), flow, findings);
        self.close(flow);
        self.close(flow.back());
    }

    /// The client ends the connection. If its request had waited long beyond the usual, the service was silent.
    fn given_up(&mut self, now: &Now<'_>, flow: Flow, findings: &mut Vec<Finding>) {
        let Some(attempt) = self.flows.get(&flow) else { return };
        if let State::Requested(since) = attempt.state {
            let service = self.services.get(&(flow.vlans, flow.to));
            let usual = service.map_or(Duration::ZERO, |service| service.longest);
            let waited = now.at.mono.since(since);
            if attempt.followed && waited >= PATIENCE.max(usual * WAITS) {
                self.failed(now, flow, Failure::Silent, None, findings);
            }
        }
        self.close(flow);
    }

    /// The first data of one end.
    pub(super) fn speaks(&mut self, heard: &Heard<'_>, flow: Flow, findings: &mut Vec<Finding>) {
        let at = heard.at().mono;
        if let Some(service) = self.services.get_mut(&(flow.vlans, flow.to)) {
            service.flood.went_on();
        }
        if let Some(attempt) = self.flows.get_mut(&flow) {
            let asked = matches!(attempt.state, State::Asked | State::Unanswered);
            attempt.state = State::Requested(at);
            let Some(service) = self.services.get_mut(&(flow.vlans, flow.to)) else { return };
            service.speaks_first.1 += 1;
            if asked {
                // The SYN with ACK went another way, and came.
                service.connected(&now(heard), (flow.vlans, flow.to), flow.from.ip(), findings);
            }
            return;
        }
        let asked = flow.back();
        let Some(attempt) = self.flows.get(&asked) else { return };
        let (state, first) = (attempt.state, attempt.first.mono);
        self.close(asked);
        let Some(service) = self.services.get_mut(&(flow.vlans, flow.from)) else { return };
        let since = match state {
            State::Requested(since) | State::Accepted(since) => since,
            _ => first,
        };
        service.speaks_first.0 += u32::from(matches!(state, State::Accepted(_)));
        service.served(&now(heard), (flow.vlans, flow.from), asked.from.ip(), since, findings);
    }

    /// ICMP says of a segment that it cannot be delivered.
    pub(super) fn undeliverable(
        &mut self,
        heard: &Heard<'_>,
        icmp: &IcmpMessage,
        about: &Quoted,
        findings: &mut Vec<Finding>,
    ) {
        let Some((from, to)) = about.ports else { return };
        let flow = Flow {
            vlans: heard.vlans(),
            from: SocketAddr::new(about.source, from),
            to: SocketAddr::new(about.destination, to),
        };
        let Some(attempt) = self.flows.get(&flow) else { return };
        if icmp.is_unreachable() && attempt.state == State::Asked {
            self.failed(&now(heard), flow, Failure::Unreachable, None, findings);
            self.close(flow);
        }
    }

    /// What was counted until now. Where frames found no room, nobody knows what was answered.
    pub(super) fn counted(&mut self, at: Stamp, syns: u64, missed: bool) {
        if missed {
            self.flows.retain(|_, _| false);
            self.services.retain(|_, service| {
                service.open = 0;
                true
            });
        }
        let shown = std::mem::take(&mut self.syns_shown);
        let times = if shown > 0 { syns as f64 / shown as f64 } else { 1.0 };
        self.services.retain(|_, service| {
            service.flood.turn(at, times.max(1.0));
            true
        });
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let at = now.at.mono;
        let due: Vec<_> = self
            .flows
            .iter()
            .filter_map(|(flow, attempt)| self.due(at, flow, attempt).map(|due| (*flow, due)))
            .collect();
        for (flow, due) in due {
            if let Some(failure) = due {
                self.failed(now, flow, failure, None, findings);
            } else {
                self.close(flow);
            }
        }
        let many = self.services.iter().count() > SERVICES / 2;
        self.services.retain(|name, service| service.tick(now, *name, many, findings));
        self.near.retain(|_, last| at.since(*last) < FORGET);
    }

    /// What is to be done with a connection now: it failed, or it is not judged any longer.
    fn due(&self, at: Mono, flow: &Flow, attempt: &Attempt) -> Option<Option<Failure>> {
        let age = at.since(attempt.first.mono);
        let waited = |since: Mono, failure| {
            let service = self.services.get(&(flow.vlans, flow.to))?;
            let wait = (service.longest * WAITS).max(SHORTEST_WAIT);
            let due = attempt.followed && wait <= LONGEST_WAIT && at.since(since) >= wait;
            due.then_some(Some(failure))
        };
        let due = match attempt.state {
            State::Asked => (age >= PATIENCE).then_some(Some(Failure::Unanswered)),
            State::Requested(since) => waited(since, Failure::Silent),
            State::Accepted(since) => {
                let service = self.services.get(&(flow.vlans, flow.to));
                let first = service.is_some_and(Service::usually_speaks_first);
                if first { waited(since, Failure::Silent) } else { None }
            }
            State::Unanswered | State::Silent => None,
        };
        due.or((age >= GIVEN_UP.max(LONGEST_WAIT)).then_some(None))
    }

    /// A connection failed.
    fn failed(
        &mut self,
        now: &Now<'_>,
        flow: Flow,
        how: Failure,
        hops: Option<u8>,
        findings: &mut Vec<Finding>,
    ) {
        let Some(attempt) = self.flows.get_mut(&flow) else { return };
        attempt.state = if how == Failure::Silent { State::Silent } else { State::Unanswered };
        let failed = attempt.failed(flow, how, now.at);
        let name = (flow.vlans, flow.to);
        let Some(service) = self.services.get_mut(&name) else { return };
        if service.failed(now, name, failed, hops, findings) || how == Failure::Silent {
            return;
        }
        service.in_vain_count += 1;
        self.in_vain(now, flow, how, findings);
    }

    /// A connection, or a try of it, failed as all did before.
    fn in_vain(&mut self, now: &Now<'_>, flow: Flow, how: Failure, findings: &mut Vec<Finding>) {
        let name = (flow.vlans, flow.to);
        let (Some(attempt), Some(service)) = (self.flows.get(&flow), self.services.get(&name))
        else {
            return;
        };
        let client = flow.from.ip();
        // No answer is only missed where it would come by.
        let comes_by = attempt.direction != Direction::Inbound || self.near.get(&client).is_some();
        if !service.connections.is_new() || how == Failure::Unanswered && !comes_by {
            return;
        }
        let notices = self.services.iter().filter(|(_, service)| service.in_vain.is_open()).count();
        let hosts = [client, flow.to.ip()];
        let few = |host: &IpAddr| self.noticed.get(host).is_none_or(|n| *n < NOTICES_OF_HOST);
        let may_tell = notices < NOTICES && hosts.iter().all(few);
        let (failed, tries) = (attempt.failed(flow, how, now.at), attempt.tries);
        let Some(service) = self.services.get_mut(&name) else { return };
        if service.tell_in_vain(now, name, (failed, tries), may_tell, findings) {
            for host in hosts {
                if let Some(told) = self.noticed.entry(host, || 0) {
                    *told += 1;
                }
            }
        }
    }

    fn close(&mut self, flow: Flow) {
        if self.flows.remove(&flow).is_some()
            && let Some(service) = self.services.get_mut(&(flow.vlans, flow.to))
        {
            service.open = service.open.saturating_sub(1);
        }
    }

    pub(super) fn refused(&self) -> u64 {
        self.flows.refused() + self.services.refused()
    }
}

impl Attempt {
    /// The same SYN once more; false for a copy of it.
    fn tries_again(&mut self, at: Mono) -> bool {
        /// Less than any sender waits (RFC 6298 §2.4), more than a copy takes.
        const APART: Duration = Duration::from_millis(200);
        let again = at.since(self.last_try) >= APART;
        if again {
            (self.tries, self.last_try) = (self.tries.saturating_add(1), at);
        }
        again
    }

    fn failed(&self, flow: Flow, how: Failure, at: Stamp) -> Failed {
        let Self { first, direction, .. } = *self;
        Failed { how, client: flow.from.ip(), first, at, direction }
    }
}
