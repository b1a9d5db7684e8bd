//! IP of both versions: options and extension headers walked through, to the transport below.
//!
//! `behind` is the short way, for the question that nearly every frame asks ([`super::control`]):
//! protocol number and content, a handful of comparisons. [`Packet::parse`] adds the addresses and cuts
//! the link's padding off.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{array, u16_at};

/// Extension headers looked behind. RFC 8200 §4.1 knows seven, each once and destination options twice;
/// more are an evasion, and such a frame is data.
pub const MAX_EXTENSIONS: usize = 8;
/// Words of four bytes: the unit of IPv4's header length (RFC 791 §3.1).
const WORD: usize = 4;
/// IPv4 without options, in bytes.
const SHORTEST_V4: usize = 20;
/// IPv6, in bytes (RFC 8200 §3).
const HEADER_V6: usize = 40;

/// Protocol numbers (IANA), of IPv4 and IPv6 alike.
pub mod protocol {
    /// IPv6 options for every router on the way.
    pub const HOP_BY_HOP: u8 = 0;
    /// RFC 792.
    pub const ICMP: u8 = 1;
    /// RFC 9776.
    pub const IGMP: u8 = 2;
    /// RFC 9293.
    pub const TCP: u8 = 6;
    /// RFC 768.
    pub const UDP: u8 = 17;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// RFC 2205.
    pub const RSVP: u8 = 46;
    /// Authentication header, RFC 4302; OSPF and version 2 of VRRP may stand behind it.
    pub const AUTHENTICATION: u8 = 51;
    /// RFC 4443.
    pub const ICMPV6: u8 = 58;
    /// IPv6 options for the receiver.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// RFC 7868.
    pub const EIGRP: u8 = 88;
    /// RFC 2328, RFC 5340.
    pub const OSPF: u8 = 89;
    /// RFC 7761.
    pub const PIM: u8 = 103;
    /// RFC 9568; CARP uses the same number.
    pub const VRRP: u8 = 112;
    /// RFC 6275.
    pub const MOBILITY: u8 = 135;
    /// RFC 7401.
    pub const HIP: u8 = 139;
    /// RFC 5533.
    pub const SHIM6: u8 = 140;
}

/// A packet, as far as its own header and what stands between it and the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Who sends.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// Time to live, or hop limit.
    pub hop_limit: u8,
    /// What it carries, a number of [`protocol`].
    pub protocol: u8,
    /// The transport's bytes as far as captured; empty in a fragment that is not the first.
    pub content: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet of the version that its first half byte says.
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::parse_v4(packet),
            6 => Self::parse_v6(packet),
            _ => None,
        }
    }

    fn parse_v4(packet: &'a [u8]) -> Option<Self> {
        // Zero, or more than was captured: offloads leave the length to the interface.
        let total = match usize::from(u16_at(packet, 2)?) {
            length if length >= SHORTEST_V4 => length.min(packet.len()),
            _ => packet.len(),
        };
        let source: Ipv4Addr = array::<4>(packet, 12)?.into();
        let destination: Ipv4Addr = array::<4>(packet, 16)?.into();
        let hop_limit = *packet.get(8)?;
        let (protocol, content) =
            behind(packet.get(..total)?, |protocol, content| (protocol, content))?;
        let (source, destination) = (source.into(), destination.into());
        Some(Self { source, destination, hop_limit, protocol, content })
    }

    fn parse_v6(packet: &'a [u8]) -> Option<Self> {
        let total = match usize::from(u16_at(packet, 4)?) {
            0 => packet.len(),
            length => (HEADER_V6 + length).min(packet.len()),
        };
        let source: Ipv6Addr = array::<16>(packet, 8)?.into();
        let destination: Ipv6Addr = array::<16>(packet, 24)?.into();
        let hop_limit = *packet.get(7)?;
        let (protocol, content) =
            behind(packet.get(..total)?, |protocol, content| (protocol, content))?;
        let (source, destination) = (source.into(), destination.into());
        Some(Self { source, destination, hop_limit, protocol, content })
    }
}

/// The packet's length in bytes, as its header says; none where the header is cut, or its sender left the
/// length to the hardware.
pub fn length(packet: &[u8]) -> Option<u32> {
    match packet.first()? >> 4 {
        4 => u16_at(packet, 2).filter(|total| *total > 0).map(u32::from),
        6 => u16_at(packet, 4)
            .filter(|content| *content > 0)
            .map(|content| HEADER_V6 as u32 + u32::from(content)),
        _ => None,
    }
}

/// What `judge` says of the protocol number and the content behind the header and its extensions; the
/// content is empty where a later fragment hides it. None where the headers are cut, or more than
/// [`MAX_EXTENSIONS`]. It takes a function instead of returning a pair so that, inlined, each protocol's
/// question follows the comparison that found it (`cargo bench --bench classify`).
#[inline]
pub(super) fn behind<'a, T>(packet: &'a [u8], judge: impl Fn(u8, &'a [u8]) -> T) -> Option<T> {
    match packet.first()? >> 4 {
        4 => behind_v4(packet, judge),
        6 => behind_v6(packet, judge),
        _ => None,
    }
}

/// RFC 791 §3.1.
#[inline]
fn behind_v4<'a, T>(packet: &'a [u8], judge: impl Fn(u8, &'a [u8]) -> T) -> Option<T> {
    const OFFSET: u16 = 0x1fff;
    let &[first, _, _, _, _, _, flags, offset, _, protocol] = packet.first_chunk()?;
    let header = usize::from(first & 0x0f) * WORD;
    if header < SHORTEST_V4 {
        return None;
    }
    let later = u16::from_be_bytes([flags, offset]) & OFFSET != 0;
    let content = if later { &[] } else { packet.get(header..).unwrap_or_default() };
    behind_header(protocol, content, judge)
}

/// RFC 8200 §3.
#[inline]
fn behind_v6<'a, T>(packet: &'a [u8], judge: impl Fn(u8, &'a [u8]) -> T) -> Option<T> {
    const NEXT_AT: usize = 6;
    let next = *packet.get(NEXT_AT)?;
    behind_header(next, packet.get(HEADER_V6..).unwrap_or_default(), judge)
}

/// Walks to the last header; `bytes` are its content. Most packets have no extension and are out after
/// two comparisons; the rest takes the long way.
#[inline]
fn behind_header<'a, T>(
    protocol: u8,
    bytes: &'a [u8],
    judge: impl Fn(u8, &'a [u8]) -> T,
) -> Option<T> {
    match protocol {
        protocol::TCP => Some(judge(protocol::TCP, bytes)),
        protocol::UDP => Some(judge(protocol::UDP, bytes)),
        _ => behind_extensions(protocol, bytes).map(|(protocol, bytes)| judge(protocol, bytes)),
    }
}

#[inline(never)]
fn behind_extensions(mut protocol: u8, mut bytes: &[u8]) -> Option<(u8, &[u8])> {
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(protocol) {
            return Some((protocol, bytes));
        }
        (protocol, bytes) = behind_extension(protocol, bytes)?;
    }
    (!is_extension(protocol)).then_some((protocol, bytes))
}

fn is_extension(protocol: u8) -> bool {
    use protocol::{
        AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT, HIP, HOP_BY_HOP, MOBILITY, ROUTING, SHIM6,
    };
    matches!(
        protocol,
        HOP_BY_HOP
            | ROUTING
            | FRAGMENT
            | AUTHENTICATION
            | DESTINATION_OPTIONS
            | MOBILITY
            | HIP
            | SHIM6
    )
}

/// The header after an extension header, by number and content.
fn behind_extension(protocol: u8, bytes: &[u8]) -> Option<(u8, &[u8])> {
    /// The offset of a fragment, in the upper bits of its field (RFC 8200 §4.5).
    const OFFSET: u16 = 0xfff8;
    let &[next, length, high, low] = bytes.first_chunk()?;
    let length = usize::from(length);
    let header = match protocol {
        protocol::FRAGMENT if u16::from_be_bytes([high, low]) & OFFSET != 0 => bytes.len(),
        protocol::FRAGMENT => 8,
        // In units of four bytes without the first two (RFC 4302 §2.2).
        protocol::AUTHENTICATION => (length + 2) * WORD,
        // In units of eight bytes without the first (RFC 8200 §4).
        _ => (length + 1) * 8,
    };
    Some((next, bytes.get(header..).unwrap_or_default()))
}
