//! ICMP messages of both families, and which packet an error is about (RFC 792, RFC 4443 §3).

use std::fmt;
use std::net::IpAddr;

use super::ip::{self, protocol};
use super::{u16_at, u32_at};

/// Any message; errors quote the packet they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpMessage {
    /// True for ICMPv6.
    pub is_v6: bool,
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// The packet that an error quotes.
    pub about: Option<Quoted>,
    /// The longest packet that the way takes, in bytes: of an error that says a packet was longer (RFC 1191
    /// §4, RFC 4443 §3.2). Zero from routers older than that.
    pub mtu: Option<u32>,
    /// What tells the echo that it is from others.
    pub echo: Option<Echo>,
}

/// An echo request or reply that passes by (RFC 792, RFC 4443 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// The answer to the request with the same numbers.
    pub is_reply: bool,
    /// Of who asks.
    pub identifier: u16,
    /// Of what is asked.
    pub sequence: u16,
}

/// A packet as an error quotes it: its IP header and at least eight bytes of what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// Who sent it.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// What it carries, a number of [`protocol`].
    pub protocol: u8,
    /// Ports of source and destination, of TCP and UDP.
    pub ports: Option<(u16, u16)>,
    /// TCP's number of the first payload byte.
    pub sequence: Option<u32>,
    /// Its length in bytes, as its header says.
    pub length: u32,
    /// The echo that it is.
    pub echo: Option<Echo>,
}

impl Quoted {
    /// It was a segment.
    pub fn is_tcp(&self) -> bool {
        self.protocol == protocol::TCP
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let ip::Packet { source, destination, protocol, content, .. } = ip::Packet::parse(bytes)?;
        let length = ip::length(bytes)?;
        let has_ports = matches!(protocol, protocol::TCP | protocol::UDP);
        let ports = u16_at(content, 0).zip(u16_at(content, 2)).filter(|_| has_ports);
        let sequence = u32_at(content, 4).filter(|_| protocol == protocol::TCP);
        let is_v6 = source.is_ipv6();
        let icmp = if is_v6 { protocol::ICMPV6 } else { protocol::ICMP };
        let echo = if protocol == icmp { Echo::parse(content, is_v6) } else { None };
        Some(Self { source, destination, protocol, ports, sequence, length, echo })
    }
}

impl Echo {
    fn parse(bytes: &[u8], is_v6: bool) -> Option<Self> {
        let is_reply = match (is_v6, bytes.first()?) {
            (false, 8) | (true, 128) => false,
            (false, 0) | (true, 129) => true,
            _ => return None,
        };
        Some(Self { is_reply, identifier: u16_at(bytes, 4)?, sequence: u16_at(bytes, 6)? })
    }
}

impl IcmpMessage {
    /// Reads a message from its type on.
    pub fn parse(bytes: &[u8], is_v6: bool) -> Option<Self> {
        /// Type, code, checksum, and a word that each error uses in its own way.
        const HEADER: usize = 8;
        let &[kind, code] = bytes.first_chunk()?;
        let echo = Echo::parse(bytes, is_v6);
        let mut message = Self { is_v6, kind, code, about: None, mtu: None, echo };
        if message.is_error() {
            message.about = bytes.get(HEADER..).and_then(Quoted::parse);
        }
        if message.is_too_big() {
            // The upper half of the word was unused before RFC 1191 and may be anything.
            message.mtu = if is_v6 { u32_at(bytes, 4) } else { u16_at(bytes, 6).map(u32::from) };
        }
        Some(message)
    }

    /// Says that a packet did not arrive.
    pub fn is_error(&self) -> bool {
        /// The upper half of ICMPv6's types informs (RFC 4443 §2.1).
        const FIRST_INFORMATIONAL: u8 = 128;
        /// Unreachable, source quench, redirect, time exceeded, parameter problem.
        const ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
        if self.is_v6 { self.kind < FIRST_INFORMATIONAL } else { ERRORS.contains(&self.kind) }
    }

    /// The destination cannot be reached; not that a packet was too long for the way.
    pub fn is_unreachable(&self) -> bool {
        const UNREACHABLE: u8 = 3;
        const FRAGMENTATION_NEEDED: u8 = 4;
        const UNREACHABLE_V6: u8 = 1;
        if self.is_v6 {
            self.kind == UNREACHABLE_V6
        } else {
            self.kind == UNREACHABLE && self.code != FRAGMENTATION_NEEDED
        }
    }

    /// Nobody listens where a packet was to go.
    pub fn is_port_unreachable(&self) -> bool {
        (self.is_v6, self.kind, self.code) == (false, 3, 3)
            || (self.is_v6, self.kind, self.code) == (true, 1, 4)
    }

    /// A packet was longer than the way takes, and may not be fragmented.
    pub fn is_too_big(&self) -> bool {
        const UNREACHABLE: u8 = 3;
        const FRAGMENTATION_NEEDED: u8 = 4;
        const TOO_BIG_V6: u8 = 2;
        if self.is_v6 {
            self.kind == TOO_BIG_V6
        } else {
            (self.kind, self.code) == (UNREACHABLE, FRAGMENTATION_NEEDED)
        }
    }

    /// A packet went through more routers than it was meant to.
    pub fn is_time_exceeded(&self) -> bool {
        const IN_TRANSIT: u8 = 0;
        let kind = if self.is_v6 { 3 } else { 11 };
        (self.kind, self.code) == (kind, IN_TRANSIT)
    }

    /// What it says, in tshark's words, without what it is about.
    pub fn name(&self) -> &'static str {
        match (self.is_v6, self.kind, self.code) {
            (false, 0, _) => "Echo (ping) reply",
            (false, 3, 0) => "Destination unreachable (Network unreachable)",
            (false, 3, 1) => "Destination unreachable (Host unreachable)",
            (false, 3, 2) => "Destination unreachable (Protocol unreachable)",
            (false, 3, 3) => "Destination unreachable (Port unreachable)",
            (false, 3, 4) => "Destination unreachable (Fragmentation needed)",
            (false, 3, 9 | 10 | 13) => "Destination unreachable (Communication prohibited)",
            (false, 3, _) | (true, 1, _) => "Destination unreachable",
            (false, 5, _) | (true, 137, _) => "Redirect",
            (false, 8, _) => "Echo (ping) request",
            (false, 11, _) => "Time-to-live exceeded",
            (true, 2, _) => "Packet Too Big",
            (true, 3, _) => "Time Exceeded",
            (false, 12, _) | (true, 4, _) => "Parameter Problem",
            (true, 128, _) => "Echo (ping) request",
            (true, 129, _) => "Echo (ping) reply",
            (true, 130..=132 | 143, _) => "Multicast Listener message",
            (true, 133, _) => "Router Solicitation",
            (true, 134, _) => "Router Advertisement",
            _ => "message",
        }
    }
}

impl fmt::Display for IcmpMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if self.name() == "message" {
            write!(f, " of type {}, code {}", self.kind, self.code)?;
        }
        match self.about {
            Some(about) => write!(f, " for {} → {}", about.source, about.destination),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_quotes_the_packet_it_is_about() {
        // Fragmentation needed, MTU 1300, for a segment of 1500 bytes.
        let mut bytes = vec![3, 4, 0, 0, 0, 0, 0x05, 0x14];
        bytes.extend([0x45, 0, 0x05, 0xdc, 0, 1, 0x40, 0, 63, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0x12, 0x34, 0, 80, 0, 0, 0, 9]);
        let message = IcmpMessage::parse(&bytes, false).unwrap();
        let about = message.about.unwrap();
        assert!(message.is_too_big() && !message.is_unreachable());
        assert_eq!(message.mtu, Some(1300));
        assert_eq!((about.ports, about.sequence), (Some((0x1234, 80)), Some(9)));
        assert_eq!((about.length, about.protocol), (1500, protocol::TCP));
        assert_eq!(about.destination.to_string(), "10.0.0.2");
        // Packet too big, MTU 1280, for a datagram.
        let mut bytes = vec![2, 0, 0, 0, 0, 0, 5, 0, 0x60, 0, 0, 0, 0x05, 0xb4, 17, 64];
        bytes.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].repeat(2));
        bytes.extend([0, 53, 0x80, 0, 0, 0, 0, 0]);
        let message = IcmpMessage::parse(&bytes, true).unwrap();
        let about = message.about.unwrap();
        assert_eq!((message.is_too_big(), message.mtu), (true, Some(1280)));
        assert_eq!((about.ports, about.sequence), (Some((53, 0x8000)), None));
        assert_eq!(about.length, 1500);
        // An echo is about nothing; what is cut quotes nothing.
        assert_eq!(IcmpMessage::parse(&[8, 0, 0, 0, 0, 1, 0, 1, 0x45], false).unwrap().about, None);
        assert_eq!(IcmpMessage::parse(&[3, 1, 0, 0, 0, 0, 0, 0, 0x45], false).unwrap().about, None);
    }
}
