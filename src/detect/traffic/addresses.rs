//! Whose link address is whose: what findings call a station, and whom it is asked for.
//!
//! A station says its own address when it resolves one (ARP, ND) and when it speaks to the link only (hellos,
//! router advertisements); the addresses in what a router passes on are others'. Who resolves an address by asking
//! one station knows that it is that station's. Of the routers that this host uses the kernel knows the address as
//! well.

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

impl Known {
    fn has_ipv4(&self) -> bool {
        self.own.is_some_and(|own| own.is_ipv4())
    }
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
            && (address.is_ipv4() || !known.has_ipv4())
        {
            known.own = Some(address);
        }
        let polled = polled_address(&reading).zip(reading.link.destination);
        if let Some((address, station)) = polled
            && let Some(known) = self.entry(station, vlan)
            && (known.own.is_none() || address.is_ipv4() && !known.has_ipv4())
        {
            known.own = Some(address);
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

/// The address that one station is asked for: whoever uses it makes sure that it is still there (RFC 1122 §2.3.2.1,
/// RFC 4861 §7.3.3).
fn polled_address(reading: &Reading<'_>) -> Option<IpAddr> {
    reading.link.destination.filter(|mac| mac.is_unicast())?;
    match reading.message {
        Message::Arp(arp) if !arp.is_reply => Some(arp.target.into()),
        Message::Nd(nd) if !nd.is_advertisement => Some(nd.target.into()),
        _ => None,
    }
}

/// 224.0.0.0/24 (RFC 5771 §4) and ff02::/16 (RFC 4291 §2.7): never routed.
fn is_local_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
        IpAddr::V6(address) => address.octets()[..2] == [0xff, 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::protocols::tests::frames::{self, OTHER, ROUTER};
    use crate::frame::{FrameHeader, LinkType};
    use crate::time::Stamp;

    #[test]
    fn who_is_asked_alone_for_an_address_has_it_and_what_it_says_itself_counts_more() {
        let mut addresses = Addresses::default();
        let mut show = |bytes: &[u8]| {
            let (header, at) = (FrameHeader::default(), Stamp::default());
            let link_type = LinkType::ETHERNET;
            let noticed = None;
            addresses.frame(&Seen { interface: "eth0", link_type, header, at, bytes, noticed });
            addresses.of(ROUTER, 0).map(|own| own.to_string())
        };
        let everybody = frames::arp_request((OTHER, 10), Mac::BROADCAST, 1);
        assert_eq!(show(&everybody), None, "nobody in particular is asked");
        let poll = frames::arp_request((OTHER, 10), ROUTER, 1);
        assert_eq!(show(&poll).as_deref(), Some("10.0.0.1"));
        let said = frames::arp_reply((ROUTER, 2), (OTHER, 10));
        assert_eq!(show(&said).as_deref(), Some("10.0.0.2"));
        assert_eq!(show(&poll).as_deref(), Some("10.0.0.2"));
    }
}
