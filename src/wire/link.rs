//! The link layer: from a frame's first byte to what it carries, with the VLANs on the way.
//!
//! ```text
//!  addresses │ tags (0 to 8) │ type ──► content
//!                            │ length ► LLC: bridges, OSI, or SNAP ► type
//!  a type may be MPLS (labels, then IP by its first half byte) or PPPoE (then a PPP protocol)
//! ```
//!
//! The pieces are shared: [`super::control`] walks with them for a verdict at a few nanoseconds a frame,
//! [`Link::walk`] for all there is to know. Nothing here allocates, loops are bounded by the depths below.

use std::fmt;

use super::mac::Mac;
use super::{array, u16_at};
use crate::frame::LinkType;

/// VLAN tags looked behind. Two are usual (802.1ad), three are seen; further ones are an attack or a
/// loop that adds a tag each round, and such a frame is data.
pub const MAX_TAGS: usize = 8;
/// MPLS labels looked behind. Segment routing stacks the deepest, as far as a router's maximum SID depth
/// allows (RFC 8491), which is around ten.
pub const MAX_LABELS: usize = 16;
/// Linux cooked capture of any interface, version 1 (tcpdump.org/linktypes.html).
pub const LINUX_SLL: LinkType = LinkType(113);
/// Version 2, with the interface index.
pub const LINUX_SLL2: LinkType = LinkType(276);
/// IPv4 without a link header.
pub const IPV4: LinkType = LinkType(228);
/// IPv6 without a link header.
pub const IPV6: LinkType = LinkType(229);
/// Destination and source address (IEEE 802.3 3.2).
pub(super) const ADDRESSES: usize = 12;
/// TPID and TCI (IEEE 802.1Q 9.3).
const TAG: usize = 4;
/// The VLAN identifier within a TCI; priority and drop eligibility are above.
const VID: u16 = 0x0fff;

/// EtherTypes that are handled by name (IEEE 802 numbers, IANA), in host order.
pub mod ethertype {
    /// Longest content that the field tells as a length; above it is a type from 0x600 (IEEE 802.3 3.2.6).
    pub const LONGEST_LENGTH: u16 = 1500;
    /// RFC 894.
    pub const IPV4: u16 = 0x0800;
    /// RFC 826.
    pub const ARP: u16 = 0x0806;
    /// IS-IS of TRILL, without LLC (RFC 6325).
    pub const L2_IS_IS: u16 = 0x22f4;
    /// RFC 903.
    pub const RARP: u16 = 0x8035;
    /// Customer tag, IEEE 802.1Q.
    pub const C_TAG: u16 = 0x8100;
    /// RFC 2464.
    pub const IPV6: u16 = 0x86dd;
    /// Pause and priority pause, IEEE 802.3 annex 31.
    pub const MAC_CONTROL: u16 = 0x8808;
    /// LACP, Marker, OAM, OSSP: IEEE 802.3 annex 57A.
    pub const SLOW: u16 = 0x8809;
    /// RFC 3032.
    pub const MPLS: u16 = 0x8847;
    /// MPLS with an upstream-assigned label, once multicast (RFC 5332).
    pub const MPLS_UPSTREAM: u16 = 0x8848;
    /// RFC 2516.
    pub const PPPOE_DISCOVERY: u16 = 0x8863;
    /// RFC 2516.
    pub const PPPOE_SESSION: u16 = 0x8864;
    /// EAPOL and MKA, IEEE 802.1X 11.1.
    pub const EAPOL: u16 = 0x888e;
    /// Service tag, IEEE 802.1ad.
    pub const S_TAG: u16 = 0x88a8;
    /// IEEE 802.1AB.
    pub const LLDP: u16 = 0x88cc;
    /// Media redundancy of industrial rings, IEC 62439-2.
    pub const MRP: u16 = 0x88e3;
    /// VLAN registration, IEEE 802.1Q 11.
    pub const MVRP: u16 = 0x88f5;
    /// Multicast registration, IEEE 802.1Q 10.
    pub const MMRP: u16 = 0x88f6;
    /// IEEE 1588 annex F, IEEE 802.1AS.
    pub const PTP: u16 = 0x88f7;
    /// Supervision of PRP and HSR, IEC 62439-3.
    pub const PRP: u16 = 0x88fb;
    /// Connectivity faults, Y.1731 and ring protection (G.8032), IEEE 802.1Q 18.
    pub const CFM: u16 = 0x8902;
    /// Configuration test protocol: switches send it as keep-alive and to find loops.
    pub const LOOPBACK: u16 = 0x9000;
    /// What QinQ tags were before 802.1ad.
    pub const OLD_TAG: u16 = 0x9100;
    /// The same, of other makers.
    pub const OLDER_TAG: u16 = 0x9200;
}

/// Protocols under Cisco's SNAP organisation (Wireshark's packet-cisco-oui.c lists them).
pub mod cisco {
    /// Spanning tree per VLAN.
    pub const PVST_PLUS: u16 = 0x010b;
    /// Port aggregation.
    pub const PAGP: u16 = 0x0104;
    /// Unidirectional links.
    pub const UDLD: u16 = 0x0111;
    /// Discovery.
    pub const CDP: u16 = 0x2000;
    /// VLANs of a domain.
    pub const VTP: u16 = 0x2003;
    /// Trunks.
    pub const DTP: u16 = 0x2004;
}

/// The VLAN identifiers of a frame, outermost first; none for an untagged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Vlans {
    ids: [u16; MAX_TAGS],
    count: u8,
}

impl Vlans {
    /// Outermost first.
    pub fn ids(&self) -> &[u16] {
        self.ids.get(..usize::from(self.count)).unwrap_or_default()
    }

    fn push(&mut self, tci: u16) {
        if let Some(id) = self.ids.get_mut(usize::from(self.count)) {
            *id = tci & VID;
            self.count += 1;
        }
    }
}

/// As interfaces are called: `956`, `100.956`; nothing when untagged.
impl fmt::Display for Vlans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, id) in self.ids().iter().enumerate() {
            write!(f, "{}{id}", if at == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

/// What a frame carries, link headers aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// Of an EtherType.
    Typed(u16, &'a [u8]),
    /// LLC of bridges: STP in all its kinds, GARP (IEEE 802.1D).
    Bridge(&'a [u8]),
    /// OSI network layer; the first byte names the protocol (ISO 9577).
    Osi(&'a [u8]),
    /// A protocol of [`cisco`].
    Cisco(u16, &'a [u8]),
    /// Something else, or cut too short to tell.
    Other,
}

/// A frame's link header, walked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// Destination address, where the link has one.
    pub destination: Option<Mac>,
    /// Source address.
    pub source: Option<Mac>,
    /// The VLANs it belongs to.
    pub vlans: Vlans,
    /// What it carries.
    pub content: Content<'a>,
}

impl<'a> Link<'a> {
    /// Walks through the link headers of a frame in one piece. None for a link type not known here, and
    /// for a frame that ends within its addresses.
    pub fn walk(link_type: LinkType, bytes: &'a [u8]) -> Option<Self> {
        let mut vlans = Vlans::default();
        let (destination, source, rest) = match link_type {
            LinkType::ETHERNET => {
                let addresses = (Mac(array(bytes, 0)?), Mac(array(bytes, 6)?));
                (Some(addresses.0), Some(addresses.1), bytes.get(ADDRESSES..)?)
            }
            LINUX_SLL | LINUX_SLL2 => {
                let (source, kind, content) = cooked(link_type, bytes)?;
                let content = match behind_tag_of(kind, content, &mut vlans) {
                    Some((kind, content)) => meaning(kind, content),
                    None => Content::Other,
                };
                return Some(Self { destination: None, source, vlans, content });
            }
            LinkType::RAW | IPV4 | IPV6 => {
                let content = below_label(bytes);
                return Some(Self { destination: None, source: None, vlans, content });
            }
            _ => return None,
        };
        let content = match behind_tags(rest, MAX_TAGS, |tci| vlans.push(tci)) {
            Some((kind, content)) => meaning(kind, content),
            None => Content::Other,
        };
        Some(Self { destination, source, vlans, content })
    }
}

/// Linux cooked capture: the protocol and what follows, and the sender where its address has six bytes.
pub(super) fn cooked(link_type: LinkType, bytes: &[u8]) -> Option<(Option<Mac>, u16, &[u8])> {
    /// Kernel protocols below the first EtherType: 4 is LLC (tcpdump.org/linktypes/LINKTYPE_LINUX_SLL).
    const LLC: u16 = 0x0004;
    // Protocol, address length, address, content.
    let (protocol_at, length_at, address_at, header) = match link_type {
        LINUX_SLL => (14, 5, 6, 16),
        LINUX_SLL2 => (0, 11, 12, 20),
        _ => return None,
    };
    let protocol = match u16_at(bytes, protocol_at)? {
        LLC => ethertype::LONGEST_LENGTH,
        other if other <= ethertype::LONGEST_LENGTH => return None,
        other => other,
    };
    let is_mac = usize::from(*bytes.get(length_at)?) == size_of::<Mac>();
    let source = if is_mac { array(bytes, address_at).map(Mac) } else { None };
    Some((source, protocol, bytes.get(header..)?))
}

/// A cooked capture names a tag as protocol: the TCI comes first, then what [`behind_tags`] knows.
fn behind_tag_of<'a>(kind: u16, content: &'a [u8], vlans: &mut Vlans) -> Option<(u16, &'a [u8])> {
    if !is_tag(kind) {
        return Some((kind, content));
    }
    let (&tci, rest) = content.split_first_chunk()?;
    vlans.push(u16::from_be_bytes(tci));
    behind_tags(rest, MAX_TAGS - 1, |tci| vlans.push(tci))
}

/// True for the TPID of a VLAN tag.
#[inline]
pub(super) fn is_tag(kind: u16) -> bool {
    use ethertype::{C_TAG, OLD_TAG, OLDER_TAG, S_TAG};
    matches!(kind, C_TAG | S_TAG | OLD_TAG | OLDER_TAG)
}

/// From a type or length field, or that of a tag, to the one behind all tags, and what follows it.
/// `on_tag` gets each TCI. None when there are more than `tags`, or when the frame ends before.
#[inline]
pub(super) fn behind_tags(
    mut bytes: &[u8],
    mut tags: usize,
    mut on_tag: impl FnMut(u16),
) -> Option<(u16, &[u8])> {
    while let Some((&kind, content)) = bytes.split_first_chunk() {
        let kind = u16::from_be_bytes(kind);
        if !is_tag(kind) {
            return Some((kind, content));
        }
        tags = tags.checked_sub(1)?;
        if let Some(&tci) = content.first_chunk() {
            on_tag(u16::from_be_bytes(tci));
        }
        bytes = content.get(TAG - size_of_val(&kind)..).unwrap_or_default();
    }
    None
}

/// What a type or length field leads to, tunnels of the link layer looked into.
fn meaning(kind: u16, content: &[u8]) -> Content<'_> {
    if kind <= ethertype::LONGEST_LENGTH {
        return match llc(content) {
            Content::Typed(kind, content) => typed(kind, content),
            other => other,
        };
    }
    typed(kind, content)
}

fn typed(kind: u16, content: &[u8]) -> Content<'_> {
    match kind {
        ethertype::MPLS | ethertype::MPLS_UPSTREAM => {
            below_labels(content).map_or(Content::Other, below_label)
        }
        ethertype::PPPOE_SESSION => match pppoe(content) {
            Some((ppp::IPV4 | ppp::IPV6, packet)) => below_label(packet),
            _ => Content::Other,
        },
        _ => Content::Typed(kind, content),
    }
}

/// IP of the version that its first half byte says.
fn below_label(packet: &[u8]) -> Content<'_> {
    match packet.first().map(|first| first >> 4) {
        Some(4) => Content::Typed(ethertype::IPV4, packet),
        Some(6) => Content::Typed(ethertype::IPV6, packet),
        _ => Content::Other,
    }
}

/// IEEE 802.2: destination, source, control; then, with SNAP, an organisation and its protocol.
pub(super) fn llc(bytes: &[u8]) -> Content<'_> {
    /// Unnumbered information, the only control field these protocols use (IEEE 802.2 5.4).
    const UI: u8 = 3;
    const BRIDGE: u8 = 0x42;
    const SNAP: u8 = 0xaa;
    const OSI: u8 = 0xfe;
    /// What follows is an EtherType (RFC 1042).
    const ENCAPSULATED: [u8; 3] = [0, 0, 0];
    const CISCO: [u8; 3] = [0, 0, 0x0c];
    match bytes {
        [BRIDGE, BRIDGE, UI, content @ ..] => Content::Bridge(content),
        [OSI, OSI, UI, content @ ..] => Content::Osi(content),
        [SNAP, SNAP, UI, o, u, i, high, low, content @ ..] => {
            let protocol = u16::from_be_bytes([*high, *low]);
            match [*o, *u, *i] {
                ENCAPSULATED => Content::Typed(protocol, content),
                CISCO => Content::Cisco(protocol, content),
                _ => Content::Other,
            }
        }
        _ => Content::Other,
    }
}

/// What lies below a label stack (RFC 3032 §2.1).
pub(super) fn below_labels(mut bytes: &[u8]) -> Option<&[u8]> {
    /// Set in the last label of a stack.
    const BOTTOM: u8 = 1;
    for _ in 0..MAX_LABELS {
        let ([_, _, last, _], below) = bytes.split_first_chunk()?;
        if last & BOTTOM != 0 {
            return Some(below);
        }
        bytes = below;
    }
    None
}

/// PPP protocol numbers (IANA).
pub(super) mod ppp {
    pub(in crate::wire) const IPV4: u16 = 0x0021;
    pub(in crate::wire) const IPV6: u16 = 0x0057;
    /// From here on the network and link control protocols (RFC 1661 §2); below is what they set up.
    pub(in crate::wire) const FIRST_CONTROL: u16 = 0x8000;
}

/// A session of PPP (RFC 2516 §4): six bytes, then the PPP protocol.
pub(super) fn pppoe(bytes: &[u8]) -> Option<(u16, &[u8])> {
    const SESSION_DATA: u8 = 0;
    let [_, SESSION_DATA, _, _, _, _, high, low, content @ ..] = bytes else { return None };
    Some((u16::from_be_bytes([*high, *low]), content))
}
