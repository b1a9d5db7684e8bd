//! The direction of a frame where its bytes, or those before it, tell: Linux' cooked captures
//! (`tcpdump -i any`) and Kuznetzov's records carry the kernel's `sll_pkttype` (packet(7)).

use crate::frame::{Direction, LinkType, Reception};

/// `LINKTYPE_LINUX_SLL`: the kind of packet is the first 16 bits.
const SLL: LinkType = LinkType(113);
/// `LINKTYPE_LINUX_SLL2`: the kind of packet is the byte at 10.
const SLL2: LinkType = LinkType(276);
const SLL2_KIND: usize = 10;

/// What the first bytes of a frame tell; nothing where they are no cooked header.
pub(super) fn of(link_type: LinkType, bytes: &[u8]) -> Option<(Direction, Reception)> {
    let number = match link_type {
        SLL => u16::from_be_bytes(*bytes.first_chunk()?),
        SLL2 => (*bytes.get(SLL2_KIND)?).into(),
        _ => return None,
    };
    Some(kind(number))
}

/// What `sll_pkttype` means: `PACKET_HOST` 0 to `PACKET_OUTGOING` 4 (linux/if_packet.h).
pub(super) fn kind(number: u16) -> (Direction, Reception) {
    match number {
        0 => (Direction::Inbound, Reception::Unicast),
        1 => (Direction::Inbound, Reception::Broadcast),
        2 => (Direction::Inbound, Reception::Multicast),
        3 => (Direction::Inbound, Reception::Promiscuous),
        4 => (Direction::Outbound, Reception::Unspecified),
        _ => (Direction::Unknown, Reception::Unspecified),
    }
}
