//! What the kernel took out of a frame goes back into its place, without a copy.
//!
//! ```text
//!   kernel   | dst src        | type payload ...        + tag in the ring header
//!   parts    [ first 12 bytes ][ TPID TCI ][ the rest ]
//! ```
//!
//! It promises the bytes as they were on the wire, and their length; it allocates nothing. A frame too
//! short to have a place for its tag stays as it is.

use super::interface::ARPHRD_NETLINK;
use crate::frame::{Direction, Frame, FrameHeader, LinkType, Reception};
use crate::sys::packet_block::Packet;

/// Bytes that the kernel keeps beside the frame and that belong into it.
#[derive(Clone, Copy)]
pub(super) struct Insertion {
    bytes: [u8; Insertion::LONGEST],
    len: usize,
    /// Where in the frame.
    at: usize,
}

impl Insertion {
    const LONGEST: usize = 16;
    /// A VLAN tag follows the two addresses (IEEE 802.3 3.2, IEEE 802.1Q 9.3).
    const TAG_AT: usize = 12;
    const NONE: Self = Self { bytes: [0; Self::LONGEST], len: 0, at: 0 };

    #[inline]
    pub(super) fn of(packet: &Packet<'_>, link_type: LinkType) -> Self {
        match (link_type, packet.tag) {
            (LinkType::ETHERNET, Some(tag)) if packet.bytes.len() >= Self::TAG_AT => {
                let mut insertion = Self { len: tag.len(), at: Self::TAG_AT, ..Self::NONE };
                insertion.bytes[..tag.len()].copy_from_slice(&tag);
                insertion
            }
            (LinkType::NETLINK, _) => Self::netlink(packet),
            _ => Self::NONE,
        }
    }

    /// The header of LINKTYPE_NETLINK: packet type, ARPHRD_NETLINK, ten bytes unused, netlink family
    /// (tcpdump.org/linktypes/LINKTYPE_NETLINK.html).
    fn netlink(packet: &Packet<'_>) -> Self {
        let mut bytes = [0; Self::LONGEST];
        bytes[1] = packet.kind;
        bytes[2..4].copy_from_slice(&ARPHRD_NETLINK.to_be_bytes());
        bytes[14..].copy_from_slice(&packet.protocol);
        Self { bytes, len: Self::LONGEST, at: 0 }
    }
}

/// The frame as it was on the wire, before snaplen.
#[inline]
pub(super) fn frame<'a>(packet: &Packet<'a>, insertion: &'a Insertion) -> Frame<'a> {
    let (direction, reception) = crossing(packet.kind);
    let header = FrameHeader {
        wall: packet.wall,
        original_len: packet.original_len.saturating_add(insertion.len as u32),
        direction,
        reception,
    };
    if insertion.len == 0 {
        return Frame::whole(header, packet.bytes);
    }
    let (first, rest) = packet.bytes.split_at(insertion.at);
    Frame { header, parts: [first, &insertion.bytes[..insertion.len], rest] }
}

/// The frame's first `snaplen` bytes.
#[inline]
pub(super) fn cut(mut frame: Frame<'_>, snaplen: usize) -> Frame<'_> {
    let mut room = snaplen;
    for part in &mut frame.parts {
        *part = &part[..part.len().min(room)];
        room -= part.len();
    }
    frame
}

/// What `sll_pkttype` says (packet(7)). `PACKET_USER` and `PACKET_KERNEL` of nlmon are neither way.
#[inline]
fn crossing(kind: u8) -> (Direction, Reception) {
    match kind {
        libc::PACKET_HOST => (Direction::Inbound, Reception::Unicast),
        libc::PACKET_BROADCAST => (Direction::Inbound, Reception::Broadcast),
        libc::PACKET_MULTICAST => (Direction::Inbound, Reception::Multicast),
        libc::PACKET_OTHERHOST => (Direction::Inbound, Reception::Promiscuous),
        libc::PACKET_OUTGOING => (Direction::Outbound, Reception::Unspecified),
        _ => (Direction::Unknown, Reception::Unspecified),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    fn packet(bytes: &[u8], tag: Option<[u8; 4]>) -> Packet<'_> {
        let original_len = bytes.len() as u32;
        Packet { bytes, original_len, wall: Wall(7), tag, kind: 0, protocol: [0, 15] }
    }

    #[test]
    fn a_tag_goes_behind_the_addresses_and_snaplen_counts_it() {
        let bytes: Vec<u8> = (0..100).collect();
        let tag = [0x81, 0, 0xb3, 0xbc];
        let tagged = [&bytes[..12], &tag, &bytes[12..]].concat();
        // name, link type, tag, snaplen, captured bytes, original length
        for (name, link_type, tag, snaplen, captured, original) in [
            ("no tag", LinkType::ETHERNET, None, 1000, &bytes[..], 100),
            ("tag", LinkType::ETHERNET, Some(tag), 1000, &tagged[..], 104),
            ("tag, cut", LinkType::ETHERNET, Some(tag), 100, &tagged[..100], 104),
            ("no tag, cut", LinkType::ETHERNET, None, 64, &bytes[..64], 100),
            ("no Ethernet", LinkType::RAW, Some(tag), 1000, &bytes[..], 100),
        ] {
            let packet = packet(&bytes, tag);
            let insertion = Insertion::of(&packet, link_type);
            let frame = cut(frame(&packet, &insertion), snaplen);
            assert_eq!(frame.to_vec(), captured, "{name}");
            assert_eq!(frame.header.original_len, original, "{name}");
        }
        let short = packet(&bytes[..11], Some(tag));
        assert_eq!(Insertion::of(&short, LinkType::ETHERNET).len, 0, "no place for it");
    }

    #[test]
    fn netlink_messages_get_the_header_of_their_link_type() {
        let mut message = packet(&[1, 2, 3], None);
        message.kind = libc::PACKET_KERNEL;
        let insertion = Insertion::of(&message, LinkType::NETLINK);
        let bytes = frame(&message, &insertion).to_vec();
        assert_eq!(bytes, [0, 7, 3, 0x38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 1, 2, 3]);
    }

    #[test]
    fn packet_types_become_direction_and_reception() {
        for (kind, expected) in [
            (0, (Direction::Inbound, Reception::Unicast)),
            (1, (Direction::Inbound, Reception::Broadcast)),
            (2, (Direction::Inbound, Reception::Multicast)),
            (3, (Direction::Inbound, Reception::Promiscuous)),
            (4, (Direction::Outbound, Reception::Unspecified)),
            (6, (Direction::Unknown, Reception::Unspecified)),
            (7, (Direction::Unknown, Reception::Unspecified)),
        ] {
            assert_eq!(crossing(kind), expected, "{kind}");
        }
    }
}
