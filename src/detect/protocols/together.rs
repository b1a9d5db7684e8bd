//! What is judged over all interfaces together, because the answer to a question need not come in where
//! the question went out: members of a bond, ports of a bridge, a router with two ways.
//!
//! Interfaces are heard one after the other, a few hundredths of a second apart. So the time until which
//! all was heard is that of the slowest; one that has said nothing for a while is not waited for.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::heard::Heard;
use super::lasting::{FORGET, Lasting};
use super::questions::{Complaint, Reached};
use super::{dns, ping};
use crate::finding::Finding;
use crate::time::{Mono, Stamp};
use crate::wire::icmp_message::{IcmpMessage, Quoted};
use crate::wire::{Message, Reading};

/// An interface that has not told the time for so long is gone, or its capture stands still.
const GONE: Duration = Duration::from_secs(2);

/// Hosts that frames came by for, 100 KiB. Of those beyond nothing is said that never answered.
const REACHED: usize = 4_096;

/// The judges of all interfaces; cloning gives a second hand on the same. Locked once a frame, by the one
/// thread that hears all interfaces.
#[derive(Debug, Clone, Default)]
pub struct Together(Arc<Mutex<Judges>>);

#[derive(Debug)]
struct Judges {
    dns: dns::Watch,
    ping: ping::Watch,
    reached: Reached,
    /// Until when each interface was heard.
    until: Vec<(Arc<str>, Stamp)>,
    looked: Mono,
}

impl Default for Judges {
    fn default() -> Self {
        Self {
            dns: dns::Watch::new(),
            ping: ping::Watch::new(),
            reached: Reached::new(REACHED),
            until: Vec::new(),
            looked: Mono::default(),
        }
    }
}

impl Together {
    fn judges(&self) -> MutexGuard<'_, Judges> {
        // Whoever panicked took the detectors of its interface along.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn heard(
        &self,
        heard: &Heard<'_>,
        interface: &Arc<str>,
        findings: &mut Vec<Finding>,
    ) {
        self.judges().heard(heard, interface, findings);
    }

    /// Frames of some interface were not seen.
    pub(super) fn missed(&self) {
        let mut judges = self.judges();
        judges.dns.missed();
        judges.ping.missed();
    }

    /// All frames of `interface` until `now` were heard.
    pub(super) fn tick(&self, interface: &Arc<str>, now: Stamp, findings: &mut Vec<Finding>) {
        self.judges().tick(interface, now, findings);
    }

    /// Tells once more what has not ended, as it stands.
    pub(super) fn standing(&self, findings: &mut Vec<Finding>) {
        let judges = self.judges();
        let lasting = judges.dns.lasting().chain(judges.ping.lasting());
        findings.extend(lasting.filter_map(Lasting::standing));
    }

    /// Times that something was not watched because a table was full.
    pub fn refused(&self) -> u64 {
        let judges = self.judges();
        judges.dns.refused() + judges.ping.refused()
    }
}

impl Judges {
    fn heard(&mut self, heard: &Heard<'_>, interface: &Arc<str>, findings: &mut Vec<Finding>) {
        self.reached(heard);
        match &heard.reading.message {
            Message::Dns(dns, udp) => self.dns.heard(heard, interface, (dns, udp), findings),
            Message::Icmp(icmp) => match (icmp.echo, icmp.about, heard.reading.packet) {
                (Some(echo), ..) => self.ping.heard(heard, interface, echo, findings),
                (_, Some(quoted), Some(packet)) => self.undelivered(icmp, &quoted, packet.source),
                _ => {}
            },
            _ => {}
        }
    }

    /// A frame came by for one host: answers to it come by here.
    fn reached(&mut self, heard: &Heard<'_>) {
        let Reading { message, packet, link } = heard.reading;
        if link.destination.is_some_and(|mac| !mac.is_unicast()) {
            return;
        }
        let host = match (message, packet) {
            (Message::Arp(arp), _) => arp.target.into(),
            (_, Some(packet)) => packet.destination,
            _ => return,
        };
        let at = heard.at().mono;
        if let Some(last) = self.reached.entry(host, || at) {
            *last = at;
        }
    }

    /// `by` says that what is `quoted`, a query or a ping perhaps, did not arrive.
    fn undelivered(&mut self, icmp: &IcmpMessage, quoted: &Quoted, by: IpAddr) {
        if icmp.is_unreachable() || icmp.is_time_exceeded() {
            let closed = icmp.is_port_unreachable();
            let said = if closed { "nobody listens on that port" } else { icmp.name() };
            let complaint = Complaint { by, said };
            self.dns.undelivered(complaint, quoted);
            self.ping.undelivered(complaint, quoted);
        }
    }

    fn tick(&mut self, interface: &Arc<str>, now: Stamp, findings: &mut Vec<Finding>) {
        match self.until.iter_mut().find(|(known, _)| Arc::ptr_eq(known, interface)) {
            Some((_, until)) => *until = now,
            None => self.until.push((Arc::clone(interface), now)),
        }
        self.until.retain(|(_, until)| now.mono.since(until.mono) < GONE);
        let all = self.until.iter().map(|(_, until)| *until).min_by_key(|until| until.mono);
        let all = all.unwrap_or(now);
        if all.mono > self.looked {
            self.looked = all.mono;
            self.dns.tick(all, &self.reached, findings);
            self.ping.tick(all, &self.reached, findings);
            self.reached.retain(|_, last| all.mono.since(*last) < FORGET);
        }
    }
}
