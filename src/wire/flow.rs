//! Whose a frame is: one way of a conversation, for whoever counts who sends what to whom.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::ip::protocol;
use super::link::{Content, Vlans};
use super::{Mac, Message, Reading};
use crate::frame::LinkType;

/// One way of a conversation; or, as [`Flow::service`] makes it, both ways of all connections of a client with
/// a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    vlans: Vlans,
    ends: Ends,
    protocol: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Ends {
    Ip(IpAddr, u16, IpAddr, u16),
    Link(Mac, Mac),
    Nobody,
}

impl Flow {
    /// Whose a frame is.
    pub fn of(link_type: LinkType, bytes: &[u8]) -> Self {
        let Some(reading) = Reading::of(link_type, bytes) else {
            let (vlans, ends) = (Vlans::default(), Ends::Nobody);
            return Self { vlans, ends, protocol: "other" };
        };
        let (from, to) = ports(&reading.message);
        let ends = match (reading.packet, reading.link.source, reading.link.destination) {
            (Some(packet), ..) => Ends::Ip(packet.source, from, packet.destination, to),
            (None, Some(source), Some(destination)) => Ends::Link(source, destination),
            _ => Ends::Nobody,
        };
        let protocol = match (&reading.message, reading.link.content) {
            (Message::Tcp(_) | Message::Udp(_), _) => service(&reading.message, from, to),
            (Message::Other, Content::Bridge(_)) => "STP",
            (Message::Other, Content::Osi(content)) => osi(content),
            (Message::Other, Content::Cisco(..)) => "Cisco",
            (Message::Other, _) => {
                reading.packet.map_or("other", |packet| above_ip(packet.protocol))
            }
            (message, _) => message.protocol(),
        };
        Self { vlans: reading.vlans(), ends, protocol }
    }

    /// False where the link header is not understood, so that nobody knows whose it is.
    pub fn is_read(&self) -> bool {
        !matches!(self.ends, Ends::Nobody)
    }

    /// The service that it belongs to, from the client to the server, without the client's port; anything that has
    /// no ports stays as it is. Both ways of all connections of two hosts are one service.
    pub fn service(&self) -> Self {
        let Ends::Ip(from, source, to, destination) = self.ends else { return *self };
        if source == 0 && destination == 0 {
            return *self;
        }
        let ends = if self.is_from_server() {
            Ends::Ip(to, 0, from, source)
        } else {
            Ends::Ip(from, 0, to, destination)
        };
        Self { ends, ..*self }
    }

    /// True if the sender is the server: it has the port that is known, else the lower one (IANA's dynamic ports
    /// are the highest); of two that are alike, one.
    pub fn is_from_server(&self) -> bool {
        let Ends::Ip(from, source, to, destination) = self.ends else { return false };
        let rank = |port: u16| (!is_known(port), port);
        (rank(source), from) < (rank(destination), to)
    }

    /// True if it has ports, so that there may be several connections.
    pub fn has_ports(&self) -> bool {
        matches!(self.ends, Ends::Ip(_, from, _, to) if from > 0 || to > 0)
    }

    /// What it carries, by its service where the port is on every network.
    pub fn protocol(&self) -> &'static str {
        self.protocol
    }
}

/// Ports of a flow; those of a client are left out where the server's is well known.
fn ports(message: &Message<'_>) -> (u16, u16) {
    match message {
        Message::Tcp(tcp) | Message::Bgp(_, tcp) => (tcp.source, tcp.destination),
        Message::Udp(udp) | Message::Dns(_, udp) => (udp.source, udp.destination),
        _ => (0, 0),
    }
}

/// A protocol of OSI's network layer by its first byte (ISO 9577).
fn osi(content: &[u8]) -> &'static str {
    match content.first() {
        Some(0x81) => "CLNP",
        Some(0x82) => "ES-IS",
        Some(0x83) => "IS-IS",
        _ => "OSI",
    }
}

/// What a packet carries that is not read, by its number.
fn above_ip(number: u8) -> &'static str {
    match number {
        protocol::IGMP => "IGMP",
        protocol::RSVP => "RSVP",
        protocol::EIGRP => "EIGRP",
        protocol::OSPF => "OSPF",
        protocol::PIM => "PIM",
        // What is no VRRP of that number.
        protocol::VRRP => "CARP",
        _ => "IP, other",
    }
}

/// The service by its port (IANA), for those that are on every network.
fn service(message: &Message<'_>, from: u16, to: u16) -> &'static str {
    let tcp = matches!(message, Message::Tcp(_));
    let known = |port| {
        Some(match (port, tcp) {
            (53, _) => "DNS",
            (22, true) => "SSH",
            (179, true) => "BGP",
            (80, true) => "HTTP",
            (443, true) => "TLS",
            (443, false) => "QUIC",
            (123, false) => "NTP",
            (161 | 162, false) => "SNMP",
            (514, false) => "syslog",
            (4789, false) => "VXLAN",
            (500 | 4500, false) => "IPsec",
            _ => return None,
        })
    };
    known(to).or_else(|| known(from)).unwrap_or(if tcp { "TCP" } else { "UDP" })
}

/// True for the port of a service that is on every network, whichever protocol it is of.
pub(super) fn is_known(port: u16) -> bool {
    matches!(port, 53 | 22 | 179 | 80 | 443 | 123 | 161 | 162 | 514 | 4789 | 500 | 4500)
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.vlans.ids().is_empty() {
            write!(f, "VLAN {}: ", self.vlans)?;
        }
        match self.ends {
            Ends::Ip(from, 0, to, 0) => write!(f, "{from} → {to} "),
            Ends::Ip(from, 0, to, port) => write!(f, "{from} → {} ", SocketAddr::new(to, port)),
            Ends::Ip(from, port, to, other) => {
                write!(f, "{} → {} ", SocketAddr::new(from, port), SocketAddr::new(to, other))
            }
            Ends::Link(from, to) => write!(f, "{from} → {to} "),
            Ends::Nobody => Ok(()),
        }?;
        f.write_str(self.protocol)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flow_reads_as_an_engineer_would_say() {
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0x03, 0xbc, 8, 0];
        bytes.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        bytes.extend([0xf1, 0x22, 5, 0x9a, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 64, 0, 0, 0, 0]);
        let flow = Flow::of(LinkType::ETHERNET, &bytes);
        assert_eq!(flow.to_string(), "VLAN 956: 192.0.2.1:61730 → 192.0.2.2:1434 TCP");
        assert_eq!(flow.service().to_string(), "VLAN 956: 192.0.2.1 → 192.0.2.2:1434 TCP");
        assert_eq!(Flow::of(LinkType::ETHERNET, &[1, 2, 3]).to_string(), "other");
    }

    #[test]
    fn both_ways_of_all_connections_are_one_service() {
        let [client, server] = [[10, 6, 0, 10], [10, 8, 0, 20]].map(IpAddr::from);
        let of = |from, source, to, destination| Flow {
            vlans: Vlans::default(),
            ends: Ends::Ip(from, source, to, destination),
            protocol: "HTTP",
        };
        let expected = of(client, 0, server, 80);
        for flow in [
            of(client, 40_000, server, 80),
            of(server, 80, client, 40_001),
            // A client may have a lower port.
            of(client, 60, server, 80),
        ] {
            assert_eq!((flow.service(), flow.has_ports()), (expected, true), "{flow}");
        }
        // Of two that are alike, both ways are still one.
        assert_eq!(of(client, 123, server, 123).service(), of(server, 123, client, 123).service());
        let ping = of(client, 0, server, 0);
        assert_eq!((ping.service(), ping.has_ports()), (ping, false));
    }

    /// Review of the offline commands, F19.
    #[test]
    fn routing_protocols_that_are_not_read_are_called_by_their_names() {
        for (nlpid, name) in [(0x81, "CLNP"), (0x82, "ES-IS"), (0x83, "IS-IS"), (1, "OSI")] {
            let mut bytes = vec![0; 12];
            bytes.extend([0, 4, 0xfe, 0xfe, 3, nlpid]);
            assert_eq!(Flow::of(LinkType::ETHERNET, &bytes).protocol(), name);
        }
        for (number, name) in [(2, "IGMP"), (88, "EIGRP"), (103, "PIM"), (253, "IP, other")] {
            let mut bytes = vec![0x45, 0, 0, 24, 0, 0, 0, 0, 1, number, 0, 0];
            bytes.extend([192, 0, 2, 1, 224, 0, 0, 10, 0, 0, 0, 0]);
            assert_eq!(Flow::of(LinkType::RAW, &bytes).protocol(), name);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_belong_to_somebody(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for link_type in [LinkType::ETHERNET, LinkType::RAW, LinkType::NETLINK] {
                let _ = Flow::of(link_type, &bytes).to_string();
            }
        }
    }
}
