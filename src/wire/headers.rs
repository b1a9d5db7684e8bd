//! How long a frame's headers are: link, VLAN tags, network and transport, with their options.
//!
//! Pure and without panics: what is cut short or unknown ends the walk where it is.

use crate::frame::LinkType;

/// Bytes of the headers from the link's through the transport's; not more than there are. Where the
/// link type is not Ethernet or raw IP, none are known.
pub fn through_transport(link_type: LinkType, bytes: &[u8]) -> usize {
    let network = match link_type {
        LinkType::ETHERNET => behind_ethernet(bytes),
        LinkType::RAW => Some(0),
        _ => None,
    };
    let end = network.map_or(0, |at| match bytes.get(at).map(|first| first >> 4) {
        Some(4) => behind_ipv4(bytes, at),
        Some(6) => behind_ipv6(bytes, at),
        _ => at,
    });
    end.min(bytes.len())
}

/// Where the packet begins behind addresses, VLAN tags and type (IEEE 802.3 3.1, 802.1Q 9.3); none if
/// it is not IP.
fn behind_ethernet(bytes: &[u8]) -> Option<usize> {
    const ADDRESSES: usize = 12;
    const TYPE: usize = 2;
    const TAG: usize = 4;
    const TAGS: [[u8; 2]; 3] = [[0x81, 0x00], [0x88, 0xa8], [0x91, 0x00]];
    const IP: [[u8; 2]; 2] = [[0x08, 0x00], [0x86, 0xdd]];
    let mut at = ADDRESSES;
    for _ in 0..=super::link::MAX_TAGS {
        let kind: [u8; 2] = bytes.get(at..at + TYPE)?.try_into().ok()?;
        if !TAGS.contains(&kind) {
            return IP.contains(&kind).then_some(at + TYPE);
        }
        at += TAG;
    }
    None
}

/// RFC 791 §3.1: the header length counts words of four bytes. A later fragment has no transport header.
fn behind_ipv4(bytes: &[u8], at: usize) -> usize {
    const OFFSET: u16 = 0x1fff;
    let Some(&[first, _, _, _, _, _, flags, offset, _, protocol]) = bytes[at..].first_chunk()
    else {
        return at;
    };
    let end = at + usize::from(first & 0x0f) * 4;
    let later = u16::from_be_bytes([flags, offset]) & OFFSET != 0;
    if later { end } else { behind_transport(bytes, end, protocol) }
}

/// RFC 8200 §3 and §4; RFC 4302 §2.2 for the authentication header.
fn behind_ipv6(bytes: &[u8], at: usize) -> usize {
    const HEADER: usize = 40;
    const NEXT_AT: usize = 6;
    const EXTENSIONS: usize = 8;
    let Some(mut next) = bytes.get(at + NEXT_AT).copied() else { return at };
    let mut end = at + HEADER;
    for _ in 0..EXTENSIONS {
        let Some(&[after, length, high, low]) = bytes.get(end..).and_then(<[u8]>::first_chunk)
        else {
            return end;
        };
        let length = usize::from(length);
        end += match next {
            // Hop by hop, routing, destination options, mobility, HIP, Shim6: units of eight bytes.
            0 | 43 | 60 | 135 | 139 | 140 => (length + 1) * 8,
            51 => (length + 2) * 4,
            44 if u16::from_be_bytes([high, low]) & 0xfff8 != 0 => return end + 8,
            44 => 8,
            _ => break,
        };
        next = after;
    }
    behind_transport(bytes, end, next)
}

fn behind_transport(bytes: &[u8], at: usize, protocol: u8) -> usize {
    const TCP_OFFSET_AT: usize = 12;
    at + match protocol {
        // The data offset counts words of four bytes (RFC 9293 §3.1).
        6 => bytes.get(at + TCP_OFFSET_AT).map_or(0, |offset| usize::from(offset >> 4) * 4),
        // UDP, UDP-Lite and ICMP (RFC 768, 3828, 792), DCCP without options (RFC 4340 §5.1), SCTP's
        // common header (RFC 9260 §3.1).
        17 | 136 | 1 | 58 => 8,
        33 => 16,
        132 => 12,
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
            (ethernet(0, ip4, &ipv4(5, 17, [0, 7], &[0; 500])), 14 + 20, "a later fragment"),
            (ethernet(0, ip6, &ipv6(6, &tcp)), 14 + 40 + 32, "IPv6"),
            (ethernet(0, ip6, &ipv6(43, &routed)), 14 + 40 + 24 + 32, "IPv6 with a routing header"),
            (ethernet(0, ip6, &ipv6(44, &[17, 0, 1, 0, 0, 0, 0, 0])), 14 + 40 + 8, "IPv6 fragment"),
            (ethernet(0, [0x88, 0xcc], &[0; 100]), 0, "LLDP"),
            (ethernet(0, ip4, &[0x45]), 15 - 1, "cut short"),
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
