//! ICMP messages of both families, and which packet an error is about (RFC 792, RFC 4443 §3).

use std::fmt;
use std::net::IpAddr;

use super::ip;

/// Any message; errors quote the packet they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpMessage {
    /// True for ICMPv6.
    pub is_v6: bool,
    /// Its type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// Source, destination and protocol of the packet that an error quotes.
    pub about: Option<(IpAddr, IpAddr, u8)>,
}

impl IcmpMessage {
    /// Reads a message from its type on.
    pub fn parse(bytes: &[u8], is_v6: bool) -> Option<Self> {
        /// Type, code, checksum, and a word that each error uses in its own way.
        const HEADER: usize = 8;
        let &[kind, code] = bytes.first_chunk()?;
        let mut message = Self { is_v6, kind, code, about: None };
        if message.is_error() {
            message.about = bytes
                .get(HEADER..)
                .and_then(ip::Packet::parse)
                .map(|packet| (packet.source, packet.destination, packet.protocol));
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

    fn name(&self) -> &'static str {
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
            Some((source, destination, _)) => write!(f, " for {source} → {destination}"),
            None => Ok(()),
        }
    }
}
