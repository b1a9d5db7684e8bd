//! Whose link address is whose: what findings call a station, and whom it is asked for.
//!
//! A station says its own address when it resolves one (ARP, ND) and when it speaks to the link only (hellos,
//! router advertisements); the addresses in what a router passes on are others'. Of the routers that this host
//! uses the kernel knows the address as well.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::detect::Seen;
use crate::detect::protocols::Local;
use crate::finding::{Finding, Party};
use crate::frame::Direction;
use crate::time::Mono;
use crate::wire::{Mac, Message, Reading};

/// Of one interface.
#[derive(Debug, Default)]
pub(in crate::detect) struct Addresses {
    stations: BTreeMap<(Mac, u16), Known>,
    /// When a frame of each host came last, of those that are shown.
    heard: BTreeMap<IpAddr, Mono>,
    /// The host whose interface this is.
    local: Option<(Local, Arc<str>)>,
}

/// A station.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Its own; of version 4 if it has one.
    own: Option<IpAddr>,
    /// The last host that something was asked of by way of it.
    asked: Option<IpAddr>,
}

impl Addresses {
    /// Stations, and hosts, that are known; newcomers beyond are not.
    const MOST: usize = 1_024;

    /// A frame that is shown to the detectors.
    pub(super) fn frame(&mut self, seen: &Seen<'_>) {
        let Some(reading) = Reading::of(seen.link_type, seen.bytes) else { return };
        let vlan = reading.vlans().ids().first().copied().unwrap_or_default();
        let own = own_address(&reading).zip(reading.link.source);
        if let Some((address, source)) = own
            && let Some(known) = self.entry(source, vlan)
        {
            let keeps = known.own.is_some_and(|own| own.is_ipv4()) && address.is_ipv6();
            known.own = if keeps { known.own } else { Some(address) };
        }
        if seen.header.direction != Direction::Outbound {
            self.hear(&reading, seen.at.mono);
        }
        let (Some(station), Some(packet)) = (reading.link.destination, reading.packet) else {
            return;
        };
        if seen.header.direction == Direction::Inbound || !station.is_unicast() {
            return;
        }
        if let Some(known) = self.entry(station, vlan) {
            known.asked = Some(packet.destination);
        }
    }

    fn hear(&mut self, reading: &Reading<'_>, at: Mono) {
        let source = reading.packet.map(|packet| packet.source).or_else(|| own_address(reading));
        let Some(source) = source else { return };
        if self.heard.len() < Self::MOST || self.heard.contains_key(&source) {
            self.heard.insert(source, at);
        }
    }

    /// The interface of this name is one of this host.
    pub(super) fn know(&mut self, local: Local, interface: Arc<str>) {
        self.local = Some((local, interface));
    }

    fn entry(&mut self, station: Mac, vlan: u16) -> Option<&mut Known> {
        let full = self.stations.len() >= Self::MOST;
        match self.stations.contains_key(&(station, vlan)) {
            false if full => None,
            _ => Some(self.stations.entry((station, vlan)).or_default()),
        }
    }

    /// A station's own address.
    pub(in crate::detect) fn of(&self, station: Mac, vlan: u16) -> Option<IpAddr> {
        let heard = self.stations.get(&(station, vlan)).and_then(|known| known.own);
        let local = self.local.as_ref().filter(|_| vlan == 0);
        let told = || local.and_then(|(local, interface)| local.neighbour(station, interface));
        heard.filter(IpAddr::is_ipv4).or_else(told).or(heard)
    }

    /// When a host was heard last.
    pub(in crate::detect) fn heard(&self, host: IpAddr) -> Option<Mono> {
        self.heard.get(&host).copied()
    }

    /// The host that a station was asked for last.
    pub(in crate::detect) fn asked(&self, station: Mac, vlan: u16) -> Option<IpAddr> {
        self.stations.get(&(station, vlan))?.asked
    }

    /// `10.6.0.1 (02:aa:bb:cc:dd:ee)`, or the link address alone.
    pub(super) fn name(&self, station: Mac, vlan: u16) -> String {
        self.of(station, vlan)
            .map_or_else(|| station.to_string(), |own| format!("{own} ({station})"))
    }

    /// Adds a station to those whom the finding is about.
    pub(super) fn about(&self, finding: Finding, station: Mac, vlan: u16) -> Finding {
        let finding = match self.of(station, vlan) {
            Some(own) => finding.about(Party::Host(own)),
            None => finding,
        };
        let finding = finding.about(Party::Station(station));
        if vlan == 0 { finding } else { finding.about(Party::Vlan(vlan)) }
    }
}

/// The address of the station that sent this.
fn own_address(reading: &Reading<'_>) -> Option<IpAddr> {
    let source = reading.link.source?;
    let packet = reading.packet;
    let address = match reading.message {
        Message::Arp(arp) => IpAddr::from(arp.sender),
        Message::Nd(_) => packet?.source,
        // A master speaks with the address of the group for its own.
        _ if source.is_virtual_router() => return None,
        _ => packet.filter(|packet| is_local_group(packet.destination))?.source,
    };
    let is_own = !address.is_unspecified() && !address.is_multicast();
    is_own.then_some(address)
}

/// 224.0.0.0/24 (RFC 5771 §4) and ff02::/16 (RFC 4291 §2.7): never routed.
fn is_local_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
        IpAddr::V6(address) => address.octets()[..2] == [0xff, 2],
    }
}
