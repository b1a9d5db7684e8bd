//! A frame read to its meaning, once, for everybody who wants to know: detectors ask for the message,
//! reports for the line.

use std::fmt;

use super::arp::Arp;
use super::bfd::Bfd;
use super::bgp::Bgp;
use super::bpdu::Bpdu;
use super::dhcp::Dhcp;
use super::dns::{self, Dns};
use super::hsrp::Hsrp;
use super::icmp_message::IcmpMessage;
use super::ip::{Packet, protocol};
use super::lacp::Lacp;
use super::link::{Content, Link, Vlans, cisco, ethertype};
use super::lldp::Lldp;
use super::nd::Nd;
use super::ospf::Ospf;
use super::ra::Ra;
use super::tcp::Tcp;
use super::udp::Udp;
use super::vrrp::Vrrp;
use crate::frame::LinkType;

/// What a frame says, as far as dashcap speaks its language.
#[expect(clippy::large_enum_variant, reason = "lives on the stack while its frame is judged")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Address resolution, IPv4.
    Arp(Arp),
    /// Address resolution, IPv6.
    Nd(Nd),
    /// Routers that offer themselves, IPv6.
    Ra(Ra),
    /// Link aggregation.
    Lacp(Lacp),
    /// First-hop redundancy.
    Vrrp(Vrrp),
    /// First-hop redundancy, Cisco's.
    Hsrp(Hsrp),
    /// Spanning tree.
    Bpdu(Bpdu),
    /// Link-layer discovery.
    Lldp(Lldp<'a>),
    /// Liveness of a path.
    Bfd(Bfd),
    /// Routing within a network.
    Ospf(Ospf<'a>),
    /// Routing between networks; the segment that carries it.
    Bgp(Bgp<'a>, Tcp<'a>),
    /// Address assignment.
    Dhcp(Dhcp),
    /// Names looked up; the datagram that carries it.
    Dns(Dns<'a>, Udp<'a>),
    /// Errors and echoes.
    Icmp(IcmpMessage),
    /// Any other segment.
    Tcp(Tcp<'a>),
    /// Any other datagram.
    Udp(Udp<'a>),
    /// Something else, or cut too short to tell.
    Other,
}

impl Message<'_> {
    /// The protocol as tshark's column calls it.
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Arp(_) => "ARP",
            Self::Nd(_) | Self::Ra(_) => "ICMPv6",
            Self::Lacp(_) => "LACP",
            Self::Vrrp(_) => "VRRP",
            Self::Hsrp(hsrp) if hsrp.version == 2 => "HSRPv2",
            Self::Hsrp(_) => "HSRP",
            Self::Bpdu(_) => "STP",
            Self::Lldp(_) => "LLDP",
            Self::Bfd(_) => "BFD Control",
            Self::Ospf(_) => "OSPF",
            Self::Bgp(..) => "BGP",
            Self::Dhcp(dhcp) if dhcp.is_v6 => "DHCPv6",
            Self::Dhcp(_) => "DHCP",
            Self::Dns(..) => "DNS",
            Self::Icmp(icmp) if icmp.is_v6 => "ICMPv6",
            Self::Icmp(_) => "ICMP",
            Self::Tcp(_) => "TCP",
            Self::Udp(_) => "UDP",
            Self::Other => "",
        }
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arp(message) => message.fmt(f),
            Self::Nd(message) => message.fmt(f),
            Self::Ra(message) => message.fmt(f),
            Self::Lacp(message) => message.fmt(f),
            Self::Vrrp(message) => message.fmt(f),
            Self::Hsrp(message) => message.fmt(f),
            Self::Bpdu(message) => message.fmt(f),
            Self::Lldp(message) => message.fmt(f),
            Self::Bfd(message) => message.fmt(f),
            Self::Ospf(message) => message.fmt(f),
            Self::Bgp(message, _) => message.fmt(f),
            Self::Dhcp(message) => message.fmt(f),
            Self::Dns(message, _) => message.fmt(f),
            Self::Icmp(message) => message.fmt(f),
            Self::Tcp(message) => message.fmt(f),
            Self::Udp(message) => message.fmt(f),
            Self::Other => Ok(()),
        }
    }
}

/// A frame, layer by layer. Displayed it is one line in tshark's words, without the time:
/// `VLAN 956: 10.0.0.91 → 224.0.0.18 VRRP Announcement (v3), group 44, priority 191, every 10s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The link header.
    pub link: Link<'a>,
    /// The IP header, where there is one.
    pub packet: Option<Packet<'a>>,
    /// What it says.
    pub message: Message<'a>,
}

impl<'a> Reading<'a> {
    /// Reads a frame in one piece, VLAN tags in place. None for a link type that is not known, and for a
    /// frame that ends within its addresses.
    pub fn of(link_type: LinkType, bytes: &'a [u8]) -> Option<Self> {
        let link = Link::walk(link_type, bytes)?;
        let (packet, message) = match link.content {
            Content::Typed(ethertype::IPV4 | ethertype::IPV6, bytes) => {
                let packet = Packet::parse(bytes);
                (packet, packet.as_ref().and_then(transported))
            }
            Content::Typed(ethertype::ARP, bytes) => (None, Arp::parse(bytes).map(Message::Arp)),
            Content::Typed(ethertype::SLOW, bytes) => (None, Lacp::parse(bytes).map(Message::Lacp)),
            Content::Typed(ethertype::LLDP, bytes) => (None, Lldp::parse(bytes).map(Message::Lldp)),
            Content::Bridge(bytes) => (None, Bpdu::parse(bytes).map(Message::Bpdu)),
            Content::Cisco(cisco::PVST_PLUS, bytes) => {
                (None, Bpdu::parse_per_vlan(bytes).map(Message::Bpdu))
            }
            _ => (None, None),
        };
        Some(Self { link, packet, message: message.unwrap_or(Message::Other) })
    }

    /// The VLANs it belongs to.
    pub fn vlans(&self) -> Vlans {
        self.link.vlans
    }

    /// The line without VLAN, for whom that is too much.
    fn write_addresses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.packet, self.link.source, self.link.destination) {
            (Some(packet), ..) => write!(f, "{} → {} ", packet.source, packet.destination),
            (None, Some(source), Some(destination)) => write!(f, "{source} → {destination} "),
            (None, Some(source), None) => write!(f, "{source} → "),
            (None, None, _) => Ok(()),
        }
    }
}

/// The message behind an IP header.
fn transported<'a>(packet: &Packet<'a>) -> Option<Message<'a>> {
    let content = packet.content;
    match packet.protocol {
        protocol::TCP => Tcp::parse(content).map(segment),
        protocol::UDP => Udp::parse(content).map(datagram),
        protocol::ICMP => IcmpMessage::parse(content, false).map(Message::Icmp),
        protocol::ICMPV6 => Nd::parse(content)
            .map(Message::Nd)
            .or_else(|| Ra::parse(content).map(Message::Ra))
            .or_else(|| IcmpMessage::parse(content, true).map(Message::Icmp)),
        protocol::VRRP => Vrrp::parse(content, packet.source.is_ipv6()).map(Message::Vrrp),
        protocol::OSPF => Ospf::parse(content).map(Message::Ospf),
        _ => None,
    }
}

fn segment(tcp: Tcp<'_>) -> Message<'_> {
    const BGP: u16 = 179;
    if tcp.source != BGP && tcp.destination != BGP {
        return Message::Tcp(tcp);
    }
    Bgp::parse(tcp.payload).map_or(Message::Tcp(tcp), |bgp| Message::Bgp(bgp, tcp))
}

/// By the same ports as [`super::control`], and that of DNS.
fn datagram(udp: Udp<'_>) -> Message<'_> {
    const BOOTP: [u16; 2] = [67, 68];
    const DHCPV6: [u16; 2] = [546, 547];
    const HSRP: [u16; 2] = [1985, 2029];
    /// Single hop, multihop, members of a bond.
    const BFD: [u16; 3] = [3784, 4784, 6784];
    let (from, to, payload) = (udp.source, udp.destination, udp.payload);
    let message = if HSRP.contains(&to) {
        Hsrp::parse(payload).map(Message::Hsrp)
    } else if BFD.contains(&to) {
        Bfd::parse(payload).map(Message::Bfd)
    } else if BOOTP.contains(&to) && BOOTP.contains(&from) {
        Dhcp::parse_v4(payload).map(Message::Dhcp)
    } else if DHCPV6.contains(&to) {
        Dhcp::parse_v6(payload).map(Message::Dhcp)
    } else if to == dns::PORT || from == dns::PORT {
        Dns::parse(payload).map(|dns| Message::Dns(dns, udp))
    } else {
        None
    };
    message.unwrap_or(Message::Udp(udp))
}

impl fmt::Display for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.link.vlans.ids().is_empty() {
            write!(f, "VLAN {}: ", self.link.vlans)?;
        }
        self.write_addresses(f)?;
        match (self.message, self.packet, self.link.content) {
            (Message::Other, Some(packet), _) => write!(f, "IP protocol {}", packet.protocol),
            (Message::Other, None, Content::Typed(kind, _)) => write!(f, "EtherType {kind:#06x}"),
            (Message::Other, ..) => f.write_str("unknown content"),
            (message, ..) => write!(f, "{} {message}", message.protocol()),
        }
    }
}

#[cfg(test)]
mod tests;
