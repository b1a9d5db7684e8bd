//! How long a frame's headers are: link, VLAN tags, network and transport, with their options.

use super::ip::{Packet, protocol};
use super::link::{Content, Link, ethertype};
use crate::frame::LinkType;

/// Bytes of a frame that stay, whatever its headers are: the first words of what they carry often say what it was.
const LEAST: usize = 96;

/// Bytes of the headers from the link's through the transport's; not more than there are. Zero where the
/// frame carries no packet, or a fragment of one without a transport header.
pub fn through_transport(link_type: LinkType, bytes: &[u8]) -> usize {
    let Some(Link { content: Content::Typed(kind, packet), .. }) = Link::walk(link_type, bytes)
    else {
        return 0;
    };
    if !matches!(kind, ethertype::IPV4 | ethertype::IPV6) {
        return 0;
    }
    match Packet::parse(packet) {
        Some(Packet { protocol, content, .. }) if !content.is_empty() => {
            let begin = content.as_ptr().addr() - bytes.as_ptr().addr();
            (begin + transport(protocol, content)).min(bytes.len())
        }
        _ => 0,
    }
}

/// Where a frame is cut of which the headers are to stay: behind the transport's, and not before `LEAST` bytes.
pub fn end(link_type: LinkType, bytes: &[u8]) -> usize {
    through_transport(link_type, bytes).max(LEAST).min(bytes.len())
}

/// Bytes of a transport header; zero for protocols not known here.
fn transport(protocol: u8, content: &[u8]) -> usize {
    const TCP_OFFSET_AT: usize = 12;
    match protocol {
        // The data offset counts words of four bytes (RFC 9293 §3.1).
        protocol::TCP => content.get(TCP_OFFSET_AT).map_or(0, |at| usize::from(at >> 4) * 4),
        // RFC 768, 792, 4443.
        protocol::UDP | protocol::ICMP | protocol::ICMPV6 => 8,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ethernet with `tags` VLAN tags, then `packet`.
    fn ethernet(tags: usize, kind: [u8; 2], packet: &[u8]) -> Vec<u8> {
        let mut frame = vec![0xaa; 12];
        (0..tags).for_each(|_| frame.extend([0x81, 0, 0x03, 0xbc]));
        frame.extend(kind);
        frame.extend(packet);
        frame
    }

    fn ipv4(words: u8, protocol: u8, offset: [u8; 2], content: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; usize::from(words) * 4];
        packet[0] = 0x40 | words;
        packet[6..8].copy_from_slice(&offset);
        packet[9] = protocol;
        packet.extend(content);
        packet
    }

    fn ipv6(next: u8, content: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        (packet[0], packet[6]) = (0x60, next);
        packet.extend(content);
        packet
    }

    #[test]
    fn headers_end_behind_the_transport_header() {
        let (ip4, ip6) = ([0x08, 0x00], [0x86, 0xdd]);
        let mut tcp = vec![0; 1000];
        tcp[12] = 0x80;
        let mut routed = vec![6, 2, 0, 0];
        routed.extend([0; 20]);
        routed.extend(&tcp);
        for (frame, end, what) in [
            (ethernet(0, ip4, &ipv4(5, 17, [0, 0], &[0; 500])), 14 + 20 + 8, "UDP"),
            (ethernet(1, ip4, &ipv4(5, 6, [0x40, 0], &tcp)), 18 + 20 + 32, "TCP with options"),
            (ethernet(2, ip4, &ipv4(15, 17, [0, 0], &[0; 500])), 22 + 60 + 8, "IP options, QinQ"),
            (ethernet(0, ip4, &ipv4(5, 17, [0, 7], &[0; 500])), 0, "a later fragment"),
            (ethernet(0, ip6, &ipv6(6, &tcp)), 14 + 40 + 32, "IPv6"),
            (ethernet(0, ip6, &ipv6(43, &routed)), 14 + 40 + 24 + 32, "IPv6 with a routing header"),
            (
                ethernet(0, ip6, &ipv6(44, &[17, 0, 1, 0, 0, 0, 0, 0])),
                0,
                "a later fragment of IPv6",
            ),
            (ethernet(0, [0x88, 0xcc], &[0; 100]), 0, "LLDP"),
            (ethernet(0, ip4, &[0x45]), 0, "cut short"),
        ] {
            assert_eq!(through_transport(LinkType::ETHERNET, &frame), end, "{what}");
        }
        let raw = ipv4(5, 17, [0, 0], &[0; 500]);
        assert_eq!(through_transport(LinkType::RAW, &raw), 28);
        assert_eq!(through_transport(LinkType::NETLINK, &raw), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_end_within(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for link_type in [LinkType::ETHERNET, LinkType::RAW] {
                prop_assert!(through_transport(link_type, &bytes) <= bytes.len());
            }
        }
    }
}
