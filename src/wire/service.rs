//! What a frame serves, in three bytes, for tables of many: the protocol above IP with the server's port, or the
//! EtherType.

use std::fmt;

use super::flow::is_known;
use super::ip::{Packet, protocol};
use super::link::{Content, Link, ethertype};
use super::u16_at;
use crate::frame::LinkType;

/// A service as firewalls name it: `tcp/443`, `udp/53`, `icmp`, `arp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ServiceName {
    /// Number of the protocol above IP; [`ServiceName::LINK`] where there is no IP.
    protocol: u8,
    /// The server's port, zero where there is none; without IP the EtherType, or of LLC the service access point.
    number: u16,
}

impl ServiceName {
    /// Longest length of its bytes.
    pub const BYTES: usize = 3;
    /// No protocol above IP: the number is IPv6's hop-by-hop options, which a packet is read past.
    const LINK: u8 = protocol::HOP_BY_HOP;
    /// RFC 9260; its ports stand where TCP's do.
    const SCTP: u8 = 132;
    /// Service access points of LLC (IEEE 802): bridges, OSI's network layer, SNAP.
    const BRIDGE: u16 = 0x42;
    const OSI: u16 = 0xfe;
    const SNAP: u16 = 0xaa;

    /// Of a frame, as far as its bytes are there.
    pub fn of(link_type: LinkType, bytes: &[u8]) -> Self {
        let content = Link::walk(link_type, bytes).map(|link| link.content);
        let number = match content {
            Some(Content::Typed(number @ (ethertype::IPV4 | ethertype::IPV6), bytes)) => {
                match Packet::parse(bytes) {
                    Some(packet) => return Self::above_ip(&packet),
                    None => number,
                }
            }
            Some(Content::Typed(number, _)) => number,
            Some(Content::Bridge(_)) => Self::BRIDGE,
            Some(Content::Osi(_)) => Self::OSI,
            Some(Content::Cisco(..)) => Self::SNAP,
            Some(Content::Other) | None => 0,
        };
        Self { protocol: Self::LINK, number }
    }

    fn above_ip(packet: &Packet<'_>) -> Self {
        let ports = match packet.protocol {
            protocol::TCP | protocol::UDP | Self::SCTP => {
                u16_at(packet.content, 0).zip(u16_at(packet.content, 2))
            }
            _ => None,
        };
        let number = ports.map_or(0, |(from, to)| server(from, to));
        Self { protocol: packet.protocol, number }
    }

    /// As it is stored.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let [low, high] = self.number.to_le_bytes();
        [self.protocol, low, high]
    }

    /// As it was stored.
    pub fn from_bytes([protocol, low, high]: [u8; Self::BYTES]) -> Self {
        Self { protocol, number: u16::from_le_bytes([low, high]) }
    }
}

/// The port that is known on every network, else the lower one: a client's is of the dynamic ones, which are the
/// highest (IANA).
fn server(from: u16, to: u16) -> u16 {
    let rank = |port: u16| (!is_known(port), port);
    if rank(from) <= rank(to) { from } else { to }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (self.protocol, self.number) {
            (Self::LINK, 0) => return f.write_str("other"),
            (Self::LINK, ethertype::ARP) => return f.write_str("arp"),
            (Self::LINK, number) if number <= ethertype::LONGEST_LENGTH => {
                return write!(f, "llc/{number:#04x}");
            }
            (Self::LINK, number) => return write!(f, "{number:#06x}"),
            (protocol::TCP, _) => "tcp",
            (protocol::UDP, _) => "udp",
            (Self::SCTP, _) => "sctp",
            (protocol::ICMP, _) => "icmp",
            (protocol::ICMPV6, _) => "icmpv6",
            (protocol::OSPF, _) => "ospf",
            (protocol::VRRP, _) => "vrrp",
            (number, _) => return write!(f, "ip/{number}"),
        };
        match self.number {
            0 => f.write_str(name),
            port => write!(f, "{name}/{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 packet of 24 bytes: a header, and four bytes behind it.
    fn ipv4(protocol: u8, from: u16, to: u16) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend([8, 0, 0x45, 0, 0, 24, 0, 0, 0, 0, 64, protocol, 0, 0]);
        frame.extend([192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend(from.to_be_bytes());
        frame.extend(to.to_be_bytes());
        frame
    }

    #[test]
    fn a_service_is_named_by_protocol_and_the_servers_port() {
        let typed = |ether_type: u16| {
            let mut frame = vec![2; 12];
            frame.extend(ether_type.to_be_bytes());
            frame.resize(60, 0);
            frame
        };
        for (frame, name) in [
            (ipv4(6, 443, 50_000), "tcp/443"),
            (ipv4(6, 50_000, 443), "tcp/443"),
            (ipv4(6, 1_024, 443), "tcp/443"),
            (ipv4(17, 53, 22), "udp/22"),
            (ipv4(17, 9_000, 8_000), "udp/8000"),
            (ipv4(132, 9_000, 8_000), "sctp/8000"),
            (ipv4(1, 0x0800, 0), "icmp"),
            (ipv4(50, 1, 1), "ip/50"),
            (ipv4(6, 443, 50_000)[..36].to_vec(), "tcp"),
            (typed(0x0806), "arp"),
            (typed(0x88b5), "0x88b5"),
            (vec![1, 2], "other"),
        ] {
            let service = ServiceName::of(LinkType::ETHERNET, &frame);
            assert_eq!(service.to_string(), name, "{frame:?}");
            assert_eq!(ServiceName::from_bytes(service.to_bytes()), service);
        }
    }
}
