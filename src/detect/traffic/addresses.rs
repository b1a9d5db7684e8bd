//! Whose link address is whose: what findings call a station, and whom it is asked for.
//!
//! A station says its own address when it resolves one (ARP, ND) and when it speaks to the link only (hellos,
//! router advertisements); the addresses in what a router passes on are others'.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::detect::Seen;
use crate::finding::{Finding, Party};
use crate::frame::Direction;
use crate::wire::{Mac, Message, Reading};

/// Of one interface.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    stations: BTreeMap<(Mac, u16), Known>,
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
    /// Stations that are known; newcomers beyond stay without a name.
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

    fn entry(&mut self, station: Mac, vlan: u16) -> Option<&mut Known> {
        let full = self.stations.len() >= Self::MOST;
        match self.stations.contains_key(&(station, vlan)) {
            false if full => None,
            _ => Some(self.stations.entry((station, vlan)).or_default()),
        }
    }

    /// A station's own address.
    pub(super) fn of(&self, station: Mac, vlan: u16) -> Option<IpAddr> {
        self.stations.get(&(station, vlan))?.own
    }

    /// The host that a station was asked for last.
    pub(super) fn asked(&self, station: Mac, vlan: u16) -> Option<IpAddr> {
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
