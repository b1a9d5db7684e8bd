//! Which frames are *control*: the few by which a network keeps itself up, and which tell why it fell.
//!
//! An LACPDU comes every 30 s, the storm beside it 372,000 times a second. Frames told apart here live
//! in a lane of their own, where no flood of data evicts them.
//!
//! | layer | control |
//! |---|---|
//! | EtherType: the link | LACP, Marker, OAM and OSSP (slow protocols), LLDP, EAPOL and MKA, MAC control (pause), loopback (keep-alives), ARP, RARP |
//! | EtherType: the bridge | CFM and ring protection, MRP, PRP supervision, MVRP, MMRP, PTP |
//! | LLC and SNAP | STP, RSTP, MSTP, GVRP, PVST+, CDP, UDLD, PAgP, VTP, DTP, IS-IS (also by EtherType), ES-IS |
//! | PPPoE | discovery, and every PPP protocol but those that carry packets |
//! | IP | ICMP, ICMPv6 (with ND and MLD), IGMP, RSVP, EIGRP, OSPF, PIM, VRRP and CARP |
//! | UDP | DHCP, DHCPv6, RIP, RIPng, LDP, HSRP, GLBP, BFD, Babel |
//! | TCP | BGP, LDP |
//!
//! It looks behind Linux cooked headers, VLAN tags, LLC/SNAP, MPLS labels, PPPoE, IPv4 options, IPv6 extension headers and
//! authentication headers, each to a documented depth. Decisions that could have gone the other way:
//!
//! * **What a tunnel carries is data** (GRE, IP in IP, VXLAN, pseudo-wires, MACsec, ESP): it keeps
//!   somebody else's network up. The tunnel's own interface shows it to whoever asks.
//! * **PTP over Ethernet is control, PTP over UDP and NTP are data.** The former is between neighbours,
//!   a few messages a second; the latter pass routers, and a server's load grows with its clients.
//! * **Fragments**: the first is judged by its ports. Later ones have none: those of ICMP, OSPF and the
//!   like are control by their protocol number, those of UDP and TCP are data.
//! * **Truncated frames** are judged by what is there; what cannot be told is data. So cutting a frame
//!   never makes control of data.
//!
//! Promises: a pure function of the captured bytes, wherever they are split into parts (split where no
//! source of ours splits them: of the first 512); no allocation, no panic, no recursion, and work bounded
//! by the depths below whatever the bytes are.

mod ip;
#[cfg(test)]
mod tests;

use super::link::{self, ADDRESSES, Content, LINUX_SLL, LINUX_SLL2, MAX_TAGS, cisco, ethertype};
use crate::frame::{Frame, LinkType};

/// Bytes looked at in a frame whose parts are split where no source of ours splits them. Holds the
/// deepest encapsulation seen in practice: addresses, eight tags, sixteen labels, IPv6 and extensions.
const SCATTERED: usize = 512;

/// Whether the frame is control traffic. Link types other than Ethernet, raw IP and Linux cooked are data.
#[inline]
pub fn is_control(link_type: LinkType, frame: &Frame<'_>) -> bool {
    let [first, second, third] = frame.parts;
    match link_type {
        _ if second.is_empty() && third.is_empty() => in_one_piece(link_type, first),
        LinkType::ETHERNET if first.len() == ADDRESSES && is_whole_tag(second) => {
            behind_addresses(third, MAX_TAGS - 1)
        }
        LinkType::ETHERNET | LinkType::RAW | LINUX_SLL | LINUX_SLL2 => scattered(link_type, frame),
        _ => false,
    }
}

#[inline]
fn in_one_piece(link_type: LinkType, bytes: &[u8]) -> bool {
    match link_type {
        LinkType::ETHERNET => {
            bytes.get(ADDRESSES..).is_some_and(|bytes| behind_addresses(bytes, MAX_TAGS))
        }
        LinkType::RAW => ip::is_control(bytes),
        LINUX_SLL | LINUX_SLL2 => cooked(link_type, bytes),
        _ => false,
    }
}

/// Parts of any other shape, copied together on the stack as far as it is worth looking.
#[cold]
fn scattered(link_type: LinkType, frame: &Frame<'_>) -> bool {
    let mut bytes = [0; SCATTERED];
    let mut len = 0;
    for part in frame.parts {
        let taken = part.len().min(SCATTERED - len);
        bytes[len..len + taken].copy_from_slice(&part[..taken]);
        len += taken;
    }
    in_one_piece(link_type, &bytes[..len])
}

#[inline]
fn is_whole_tag(part: &[u8]) -> bool {
    matches!(part, &[high, low, _, _] if link::is_tag(u16::from_be_bytes([high, low])))
}

/// `bytes` begin with a type or length field, or with that of a tag.
#[inline]
fn behind_addresses(bytes: &[u8], tags: usize) -> bool {
    let Some((kind, content)) = link::behind_tags(bytes, tags, |_| ()) else { return false };
    match kind {
        ethertype::IPV4 | ethertype::IPV6 => ip::is_control(content),
        _ if kind <= ethertype::LONGEST_LENGTH => llc(content),
        _ => typed(kind, content),
    }
}

/// What an EtherType says, tags aside.
fn typed(kind: u16, content: &[u8]) -> bool {
    use ethertype::{
        ARP, CFM, EAPOL, IPV4, IPV6, L2_IS_IS, LLDP, LOOPBACK, MAC_CONTROL, MMRP, MPLS,
        MPLS_UPSTREAM, MRP, MVRP, PPPOE_DISCOVERY, PPPOE_SESSION, PRP, PTP, RARP, SLOW,
    };
    match kind {
        IPV4 | IPV6 => ip::is_control(content),
        MPLS | MPLS_UPSTREAM => mpls(content),
        PPPOE_SESSION => pppoe(content),
        ARP | RARP | SLOW | LLDP | CFM | EAPOL | MAC_CONTROL | L2_IS_IS | PPPOE_DISCOVERY | MRP
        | MVRP | MMRP | PTP | PRP | LOOPBACK => true,
        _ => false,
    }
}

fn llc(bytes: &[u8]) -> bool {
    /// ISO 9577.
    const NLPID_ES_IS: u8 = 0x82;
    const NLPID_IS_IS: u8 = 0x83;
    match link::llc(bytes) {
        Content::Bridge(_) => true,
        Content::Osi(content) => matches!(content.first(), Some(&(NLPID_ES_IS | NLPID_IS_IS))),
        Content::Typed(kind, content) => typed(kind, content),
        Content::Cisco(protocol, _) => is_cisco_control(protocol),
        Content::Other => false,
    }
}

fn is_cisco_control(protocol: u16) -> bool {
    use cisco::{CDP, DTP, PAGP, PVST_PLUS, UDLD, VTP};
    matches!(protocol, PAGP | PVST_PLUS | UDLD | CDP | VTP | DTP)
}

/// No field says what a label stack carries, so its first half byte decides, as for the routers on its
/// way (RFC 4928 §2) and for Wireshark: 4 and 6 are IP; 1 is an associated channel (BFD, CFM of the
/// path); the rest are pseudo-wires, which are tunnels.
fn mpls(bytes: &[u8]) -> bool {
    /// First half byte 1, version 0, reserved byte 0 (RFC 4385 §5).
    const ASSOCIATED_CHANNEL: [u8; 2] = [0x10, 0];
    link::below_labels(bytes)
        .is_some_and(|below| below.starts_with(&ASSOCIATED_CHANNEL) || ip::is_control(below))
}

fn pppoe(bytes: &[u8]) -> bool {
    match link::pppoe(bytes) {
        Some((link::ppp::IPV4 | link::ppp::IPV6, packet)) => ip::is_control(packet),
        Some((protocol, _)) => protocol >= link::ppp::FIRST_CONTROL,
        None => false,
    }
}

/// A cooked capture names a tag as its protocol, and begins with the TCI.
#[cold]
fn cooked(link_type: LinkType, bytes: &[u8]) -> bool {
    let Some((_, kind, content)) = link::cooked(link_type, bytes) else { return false };
    if link::is_tag(kind) {
        return content.get(2..).is_some_and(|rest| behind_addresses(rest, MAX_TAGS - 1));
    }
    if kind <= ethertype::LONGEST_LENGTH { llc(content) } else { typed(kind, content) }
}
