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
//! It looks behind VLAN tags, LLC/SNAP, MPLS labels, PPPoE, IPv4 options, IPv6 extension headers and
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

use crate::frame::{Frame, LinkType};

/// VLAN tags looked behind. Two are usual (802.1ad), three are seen; further ones are an attack or a
/// loop that adds a tag each round, and such a frame is data.
pub const MAX_TAGS: usize = 8;
/// MPLS labels looked behind. Segment routing stacks the deepest, as far as a router's maximum SID depth
/// allows (RFC 8491), which is around ten.
pub const MAX_LABELS: usize = 16;
/// Bytes looked at in a frame whose parts are split where no source of ours splits them. Holds the
/// deepest encapsulation seen in practice: addresses, eight tags, sixteen labels, IPv6 and extensions.
const SCATTERED: usize = 512;
/// Destination and source address (IEEE 802.3 3.2).
const ADDRESSES: usize = 12;
/// TPID and TCI (IEEE 802.1Q 9.3).
const TAG: usize = 4;

/// EtherTypes that are handled by name (IEEE 802 numbers, IANA), in host order.
mod ethertype {
    /// Longest content that the field tells as a length; above it is a type from 0x600 (IEEE 802.3 3.2.6).
    pub(super) const LONGEST_LENGTH: u16 = 1500;
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const ARP: u16 = 0x0806;
    /// IS-IS of TRILL, without LLC (RFC 6325).
    pub(super) const L2_IS_IS: u16 = 0x22f4;
    pub(super) const RARP: u16 = 0x8035;
    /// Customer tag, IEEE 802.1Q.
    pub(super) const C_TAG: u16 = 0x8100;
    pub(super) const IPV6: u16 = 0x86dd;
    /// Pause and priority pause, IEEE 802.3 annex 31.
    pub(super) const MAC_CONTROL: u16 = 0x8808;
    /// LACP, Marker, OAM, OSSP: IEEE 802.3 annex 57A.
    pub(super) const SLOW: u16 = 0x8809;
    pub(super) const MPLS: u16 = 0x8847;
    /// MPLS with an upstream-assigned label, once multicast (RFC 5332).
    pub(super) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(super) const PPPOE_DISCOVERY: u16 = 0x8863;
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    /// EAPOL and MKA, IEEE 802.1X 11.1.
    pub(super) const EAPOL: u16 = 0x888e;
    /// Service tag, IEEE 802.1ad.
    pub(super) const S_TAG: u16 = 0x88a8;
    pub(super) const LLDP: u16 = 0x88cc;
    /// Media redundancy of industrial rings, IEC 62439-2.
    pub(super) const MRP: u16 = 0x88e3;
    pub(super) const MVRP: u16 = 0x88f5;
    pub(super) const MMRP: u16 = 0x88f6;
    /// IEEE 1588 annex F, IEEE 802.1AS.
    pub(super) const PTP: u16 = 0x88f7;
    /// Supervision of PRP and HSR, IEC 62439-3.
    pub(super) const PRP: u16 = 0x88fb;
    /// Connectivity faults, Y.1731 and ring protection (G.8032), IEEE 802.1Q 18.
    pub(super) const CFM: u16 = 0x8902;
    /// Configuration test protocol: switches send it as keep-alive and to find loops.
    pub(super) const LOOPBACK: u16 = 0x9000;
    /// What QinQ tags were before 802.1ad.
    pub(super) const OLD_TAG: u16 = 0x9100;
    /// The same, of other makers.
    pub(super) const OLDER_TAG: u16 = 0x9200;
}

/// Whether the frame is control traffic. Link types other than Ethernet and raw IP are data.
#[inline]
pub fn is_control(link_type: LinkType, frame: &Frame<'_>) -> bool {
    let [first, second, third] = frame.parts;
    match link_type {
        _ if second.is_empty() && third.is_empty() => in_one_piece(link_type, first),
        LinkType::ETHERNET if first.len() == ADDRESSES && is_whole_tag(second) => {
            behind_addresses(third, MAX_TAGS - 1)
        }
        LinkType::ETHERNET | LinkType::RAW => scattered(link_type, frame),
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
    matches!(part, &[high, low, _, _] if is_tag(u16::from_be_bytes([high, low])))
}

#[inline]
fn is_tag(kind: u16) -> bool {
    use ethertype::{C_TAG, OLD_TAG, OLDER_TAG, S_TAG};
    matches!(kind, C_TAG | S_TAG | OLD_TAG | OLDER_TAG)
}

/// `bytes` begin with a type or length field, or with that of a tag.
#[inline]
fn behind_addresses(mut bytes: &[u8], mut tags: usize) -> bool {
    while let Some((&kind, content)) = bytes.split_first_chunk() {
        let kind = u16::from_be_bytes(kind);
        if matches!(kind, ethertype::IPV4 | ethertype::IPV6) {
            return ip::is_control(content);
        }
        if !is_tag(kind) {
            return if kind <= ethertype::LONGEST_LENGTH {
                llc(content)
            } else {
                typed(kind, content)
            };
        }
        if tags == 0 {
            return false;
        }
        tags -= 1;
        bytes = content.get(TAG - size_of_val(&kind)..).unwrap_or_default();
    }
    false
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

/// IEEE 802.2: destination, source, control; then, with SNAP, an organisation and its protocol.
fn llc(bytes: &[u8]) -> bool {
    /// Unnumbered information, the only control field these protocols use (IEEE 802.2 5.4).
    const UI: u8 = 3;
    /// Bridges: STP in all its kinds, GARP (IEEE 802.1D).
    const BRIDGE: u8 = 0x42;
    const SNAP: u8 = 0xaa;
    /// OSI network layer; its next byte names the protocol (ISO 9577).
    const OSI: u8 = 0xfe;
    const NLPID_ES_IS: u8 = 0x82;
    const NLPID_IS_IS: u8 = 0x83;
    /// What follows is an EtherType (RFC 1042).
    const ENCAPSULATED: [u8; 3] = [0, 0, 0];
    const CISCO: [u8; 3] = [0, 0, 0x0c];
    match bytes {
        [BRIDGE, BRIDGE, UI, ..] => true,
        [OSI, OSI, UI, nlpid, ..] => matches!(*nlpid, NLPID_ES_IS | NLPID_IS_IS),
        [SNAP, SNAP, UI, o, u, i, high, low, content @ ..] => {
            let protocol = u16::from_be_bytes([*high, *low]);
            match [*o, *u, *i] {
                ENCAPSULATED => typed(protocol, content),
                CISCO => is_cisco_control(protocol),
                _ => false,
            }
        }
        _ => false,
    }
}

/// The protocols under Cisco's SNAP organisation (Wireshark's packet-cisco-oui.c lists them).
fn is_cisco_control(protocol: u16) -> bool {
    const PAGP: u16 = 0x0104;
    const PVST_PLUS: u16 = 0x010b;
    const UDLD: u16 = 0x0111;
    const CDP: u16 = 0x2000;
    const VTP: u16 = 0x2003;
    const DTP: u16 = 0x2004;
    matches!(protocol, PAGP | PVST_PLUS | UDLD | CDP | VTP | DTP)
}

/// A label stack (RFC 3032 §2.1) and what lies below. No field says what that is, so its first half
/// byte decides, as for the routers on its way (RFC 4928 §2) and for Wireshark: 4 and 6 are IP; 1 is an
/// associated channel (BFD, CFM of the path); the rest are pseudo-wires, which are tunnels.
fn mpls(mut bytes: &[u8]) -> bool {
    /// Set in the last label of a stack.
    const BOTTOM: u8 = 1;
    /// First half byte 1, version 0, reserved byte 0 (RFC 4385 §5).
    const ASSOCIATED_CHANNEL: [u8; 2] = [0x10, 0];
    for _ in 0..MAX_LABELS {
        let Some(([_, _, last, _], below)) = bytes.split_first_chunk() else { return false };
        if last & BOTTOM != 0 {
            return below.starts_with(&ASSOCIATED_CHANNEL) || ip::is_control(below);
        }
        bytes = below;
    }
    false
}

/// A session of PPP (RFC 2516 §4): six bytes, then the PPP protocol.
fn pppoe(bytes: &[u8]) -> bool {
    const SESSION_DATA: u8 = 0;
    const IPV4: u16 = 0x0021;
    const IPV6: u16 = 0x0057;
    /// From here on the network and link control protocols (RFC 1661 §2); below is what they set up.
    const FIRST_CONTROL: u16 = 0x8000;
    let [_, SESSION_DATA, _, _, _, _, high, low, content @ ..] = bytes else { return false };
    match u16::from_be_bytes([*high, *low]) {
        IPV4 | IPV6 => ip::is_control(content),
        protocol => protocol >= FIRST_CONTROL,
    }
}
