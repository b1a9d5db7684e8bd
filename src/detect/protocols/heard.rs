//! What a protocol's detector is shown: a frame with its meaning, or only the time.

use std::net::IpAddr;

use super::local::Local;
use crate::detect::Seen;
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::frame::Direction;
use crate::time::Stamp;
use crate::wire::link::Vlans;
use crate::wire::{Message, Reading};

/// A frame that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard<'a> {
    pub(super) seen: &'a Seen<'a>,
    pub(super) reading: &'a Reading<'a>,
    pub(super) local: &'a Local,
    /// This host sent it: what leaves by a port of its bridge may be somebody else's.
    pub(super) sent_here: bool,
}

impl<'a> Heard<'a> {
    pub(super) fn new(seen: &'a Seen<'a>, reading: &'a Reading<'a>, local: &'a Local) -> Self {
        let sent_here = local.sent_here(seen.header.direction, reading.link.source);
        Self { seen, reading, local, sent_here }
    }

    pub(super) fn at(&self) -> Stamp {
        self.seen.at
    }

    pub(super) fn direction(&self) -> Direction {
        self.seen.header.direction
    }

    pub(super) fn vlans(&self) -> Vlans {
        self.reading.vlans()
    }

    /// Whoever sent it goes by this name; what passes through this host is nobody's here.
    pub(super) fn shows(&self, name: String) {
        if self.sent_here || self.direction() == Direction::Inbound {
            self.local.shown().show(self.sent_here, name);
        }
    }

    /// A finding that this frame gives rise to.
    pub(super) fn finding(
        &self,
        kind: FindingKind,
        severity: Severity,
        sentence: String,
    ) -> Finding {
        Finding {
            kind,
            severity,
            first: self.at(),
            last: self.at(),
            interface: Some(self.seen.interface.to_owned()),
            direction: self.direction(),
            count: 1,
            rate: None,
            what: self.reading.to_string(),
            sentence,
            parties: parties(self.reading),
            over: false,
        }
    }
}

/// The time, on an interface.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'a> {
    pub(super) at: Stamp,
    pub(super) interface: &'a str,
    pub(super) local: &'a Local,
}

impl Now<'_> {
    /// A finding that no frame but its absence gives rise to.
    pub(super) fn finding(
        &self,
        kind: FindingKind,
        severity: Severity,
        what: String,
        sentence: String,
    ) -> Finding {
        Finding {
            kind,
            severity,
            first: self.at,
            last: self.at,
            interface: Some(self.interface.to_owned()),
            direction: Direction::Unknown,
            count: 1,
            rate: None,
            what,
            sentence,
            parties: Vec::new(),
            over: false,
        }
    }
}

/// Whom a frame is about: its VLANs, who sent it, and who is meant, groups aside.
pub(super) fn parties(reading: &Reading<'_>) -> Vec<Party> {
    let vlans = reading.vlans().ids().iter().copied().map(Party::Vlan).collect::<Vec<_>>();
    let hosts = match (reading.message, reading.packet) {
        (Message::Arp(arp), _) => vec![arp.sender.into(), arp.target.into()],
        (Message::Nd(nd), Some(packet)) => vec![packet.source, nd.target.into()],
        (Message::Dhcp(dhcp), Some(packet)) => {
            let about = dhcp.server.map(IpAddr::V4).into_iter().chain(dhcp.address);
            about.chain([packet.source, packet.destination]).collect()
        }
        (_, Some(packet)) => vec![packet.source, packet.destination],
        (_, None) => Vec::new(),
    };
    let hosts = hosts.into_iter().filter(is_host).map(Party::Host);
    let stations = [reading.link.source, reading.link.destination].into_iter().flatten();
    let stations = stations.filter(|mac| mac.is_unicast()).map(Party::Station);
    let all = vlans.into_iter().chain(hosts).chain(stations);
    all.take(Finding::PARTIES).collect()
}

/// Adds whom a finding is about that no frame gives rise to.
pub(super) fn about(finding: Finding, vlans: Vlans, hosts: &[IpAddr]) -> Finding {
    let vlans = vlans.ids().iter().copied().map(Party::Vlan);
    vlans.chain(hosts.iter().copied().map(Party::Host)).fold(finding, Finding::about)
}

/// One host: neither a group, nor everybody, nor nobody yet.
fn is_host(address: &IpAddr) -> bool {
    let everybody = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_multicast() && !address.is_unspecified() && !everybody
}

/// Where: ` in VLAN 956`, or nothing for untagged frames.
pub(super) fn place(vlans: Vlans) -> String {
    if vlans.ids().is_empty() { String::new() } else { format!(" in VLAN {vlans}") }
}
