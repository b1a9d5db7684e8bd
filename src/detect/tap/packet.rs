//! The few numbers of an IP packet that the tap needs, found with as few looks as possible.
//!
//! Every frame of data passes here, so nothing is read twice and nothing is kept. What is not plain
//! IPv4 or IPv6 behind at most two VLAN tags is nothing to the tap; what is cut short counts as far as
//! it is there. Any bytes may come, and none panic.

use crate::frame::{Direction, Frame, LinkType};

/// VLAN tags looked behind: a customer's and a provider's (IEEE 802.1Q 9.5).
const TAGS: usize = 2;
/// Destination and source address (IEEE 802.3 3.2).
const ADDRESSES: usize = 12;
/// TPID and TCI (IEEE 802.1Q 9.3).
const TAG: usize = 4;
/// EtherTypes (IEEE 802 numbers, IANA).
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const C_TAG: u16 = 0x8100;
const S_TAG: u16 = 0x88a8;
/// Protocol numbers (IANA).
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Port of DNS (RFC 1035 §4.2).
const DNS: u16 = 53;
/// Bytes of the transport header that tell one packet from another: all of TCP's without options, with
/// its checksum, which covers the payload; of UDP the header and 12 bytes of payload.
const HEAD: usize = 20;
/// Odd numbers without a pattern: 2^64 divided by the golden ratio, and the constants of splitmix64.
pub(super) const K: [u64; 3] =
    [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

/// What the tap keeps of a packet while it looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TappedPacket {
    /// Where in the frame the IP header begins.
    pub(super) at: usize,
    /// Version of IP.
    pub(super) version: Version,
    /// Time to live, or hop limit.
    pub(super) ttl: u8,
    /// The same for all packets of a connection in one direction, rarely for others.
    pub(super) flow: u64,
    /// Sum and difference of its hosts' addresses, whichever of the two sends: see [`TappedPacket::pair`].
    hosts: [u64; 2],
    /// The same for packets that differ in nothing but what routers change.
    pub(super) digest: u64,
    /// IPv4's number of the packet; zero in IPv6.
    pub(super) identification: u16,
    /// What TCP says, where its whole header is there.
    pub(super) segment: Option<Segment>,
    /// A datagram from or to the port of DNS.
    is_dns: bool,
}

/// Version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Version {
    /// RFC 791.
    #[default]
    V4,
    /// RFC 8200.
    V6,
}

/// A TCP header's (RFC 9293 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) sequence: u32,
    /// Of the payload, as the IP header has it; 0 where the sender left that to the hardware.
    pub(super) length: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
}

impl Segment {
    pub(super) const FIN: u8 = 1;
    pub(super) const SYN: u8 = 2;
    pub(super) const RST: u8 = 4;
    pub(super) const ACK: u8 = 16;

    pub(super) fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// The sequence number after it: SYN and FIN count (RFC 9293 §3.4).
    #[inline]
    pub(super) fn next(&self) -> u32 {
        let counted = u32::from(self.has(Self::SYN)) + u32::from(self.has(Self::FIN));
        self.sequence.wrapping_add(self.length).wrapping_add(counted)
    }

    /// It answers a segment that belongs to no connection, such as a SYN to a closed port (RFC 9293
    /// §3.10.7.1).
    pub(super) fn refuses(&self) -> bool {
        self.has(Self::RST) && self.has(Self::ACK) && self.sequence == 0
    }
}

impl TappedPacket {
    /// The packet in a frame, if it is one.
    #[inline]
    pub(super) fn of(link_type: LinkType, frame: &Frame<'_>) -> Option<Self> {
        let (at, bytes) = network(link_type, frame)?;
        match bytes.first()? >> 4 {
            4 => v4(at, bytes, frame.header.direction),
            6 => v6(at, bytes, frame.header.direction),
            _ => None,
        }
    }

    /// True if it tells how a service answers: the beginning or end of a connection, a DNS message.
    #[inline]
    pub(super) fn is_exchange(&self) -> bool {
        const ENDS: u8 = Segment::SYN | Segment::FIN | Segment::RST;
        self.is_dns || self.segment.is_some_and(|segment| segment.has(ENDS))
    }

    /// The same for all packets of two hosts, in both directions.
    #[inline]
    pub(super) fn pair(&self) -> u64 {
        mix(self.hosts[0] ^ K[2], self.hosts[1] ^ K[1])
    }

    /// Places in the frame that routers change, and that may differ in a packet that goes in a circle:
    /// time to live and header checksum, and the identification, which some gateways renumber.
    pub(super) fn changeable(&self) -> impl Iterator<Item = usize> {
        /// RFC 791 §3.1.
        const OF_V4: &[usize] = &[4, 5, 8, 10, 11];
        /// RFC 8200 §3.
        const OF_V6: &[usize] = &[7];
        let at = self.at;
        let within = match self.version {
            Version::V4 => OF_V4,
            Version::V6 => OF_V6,
        };
        within.iter().map(move |place| at + place)
    }
}

/// Where in the frame the network header begins, and the bytes from there on.
#[inline]
fn network<'a>(link_type: LinkType, frame: &Frame<'a>) -> Option<(usize, &'a [u8])> {
    let [first, tag, rest] = frame.parts;
    match link_type {
        LinkType::ETHERNET if rest.is_empty() && tag.is_empty() => {
            behind_type(ADDRESSES, first.get(ADDRESSES..)?)
        }
        LinkType::ETHERNET if first.len() == ADDRESSES && tag.len() == TAG => {
            behind_type(ADDRESSES + TAG, rest)
        }
        LinkType::RAW if rest.is_empty() && tag.is_empty() => Some((0, first)),
        _ => None,
    }
}

/// `bytes` begin with an EtherType, or with that of a tag.
#[inline]
fn behind_type(mut at: usize, mut bytes: &[u8]) -> Option<(usize, &[u8])> {
    for _ in 0..=TAGS {
        let (kind, content) = bytes.split_first_chunk::<2>()?;
        match u16::from_be_bytes(*kind) {
            IPV4 | IPV6 => return Some((at + 2, content)),
            C_TAG | S_TAG => {
                at += TAG;
                bytes = content.get(2..)?;
            }
            _ => return None,
        }
    }
    None
}

#[inline]
fn v4(at: usize, bytes: &[u8], direction: Direction) -> Option<TappedPacket> {
    const SHORTEST: usize = 20;
    const OFFSET: u16 = 0x1fff;
    let header = bytes.first_chunk::<SHORTEST>()?;
    let length = usize::from(header[0] & 0x0f) * 4;
    let content = bytes.get(length.max(SHORTEST)..)?;
    let total = u16::from_be_bytes([header[2], header[3]]);
    let begins = u16::from_be_bytes([header[6], header[7]]) & OFFSET == 0;
    let transport = Transport {
        protocol: header[9],
        begins,
        length: u32::from(total).saturating_sub(length as u32),
        content,
    };
    let addresses = word(&header[12..20]);
    let packet = TappedPacket {
        at,
        version: Version::V4,
        ttl: header[8],
        hosts: hosts(addresses & u64::from(u32::MAX), addresses >> 32),
        identification: u16::from_be_bytes([header[4], header[5]]),
        ..TappedPacket::default()
    };
    Some(transport.fill(packet, addresses ^ K[0], direction))
}

#[inline]
fn v6(at: usize, bytes: &[u8], direction: Direction) -> Option<TappedPacket> {
    let (header, content) = bytes.split_first_chunk::<40>()?;
    let transport = Transport {
        protocol: header[6],
        begins: true,
        length: u16::from_be_bytes([header[4], header[5]]).into(),
        content,
    };
    let from = mix(word(&header[8..16]) ^ K[1], word(&header[16..24]) ^ K[2]);
    let to = mix(word(&header[24..32]) ^ K[1], word(&header[32..40]) ^ K[2]);
    let packet = TappedPacket {
        at,
        version: Version::V6,
        ttl: header[7],
        hosts: hosts(from, to),
        ..TappedPacket::default()
    };
    Some(transport.fill(packet, from ^ to.rotate_left(1), direction))
}

#[inline]
fn hosts(one: u64, other: u64) -> [u64; 2] {
    [one.wrapping_add(other), one ^ other]
}

/// What lies behind the network header.
struct Transport<'a> {
    protocol: u8,
    /// False in a later fragment.
    begins: bool,
    length: u32,
    content: &'a [u8],
}

impl Transport<'_> {
    /// What the transport adds to the `packet` that carries it.
    #[inline]
    fn fill(&self, packet: TappedPacket, addresses: u64, direction: Direction) -> TappedPacket {
        let whole = self.content.first_chunk::<HEAD>();
        let head = whole.copied().unwrap_or_else(|| padded(self.content));
        let ports = u64::from(u32::from_le_bytes([head[0], head[1], head[2], head[3]]));
        let kind = u64::from(self.protocol) << 32 | (direction as u64) << 40;
        let flow = mix(addresses, (ports | kind) ^ K[1]);
        let length = u64::from(self.length) << 32;
        let digest = mix(flow ^ word(&head[4..12]), word(&head[12..20]) ^ length ^ K[2]);
        let segment =
            if self.protocol == TCP && self.begins { whole.map(|h| self.tcp(h)) } else { None };
        let port = |at| u16::from_be_bytes([head[at], head[at + 1]]);
        let is_dns = self.protocol == UDP && self.begins && (port(0) == DNS || port(2) == DNS);
        TappedPacket { flow, digest, segment, is_dns, ..packet }
    }

    #[inline]
    fn tcp(&self, head: &[u8; HEAD]) -> Segment {
        let header = u32::from(head[12] >> 4) * 4;
        Segment {
            sequence: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            length: self.length.saturating_sub(header),
            flags: head[13],
            window: u16::from_be_bytes([head[14], head[15]]),
        }
    }
}

#[cold]
fn padded(content: &[u8]) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let len = content.len().min(HEAD);
    head[..len].copy_from_slice(&content[..len]);
    head
}

/// Eight bytes as a number; the order does not matter. `bytes` are eight.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// Both halves of the product: every bit of either depends on every bit of both.
#[inline]
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::FrameHeader;

    /// An Ethernet frame with IPv4 and TCP, by time to live, sequence, flags, window and payload.
    pub(crate) fn tcp(ttl: u8, sequence: u32, flags: u8, window: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        let total = u16::try_from(40 + payload.len()).unwrap();
        frame.extend([0x45, 0]);
        frame.extend(total.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, ttl, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]);
        frame.extend([0xc0, 0, 1, 0xbb]);
        frame.extend(sequence.to_be_bytes());
        frame.extend([0, 0, 0, 9, 0x50, flags]);
        frame.extend(window.to_be_bytes());
        frame.extend([0, 0, 0, 0]);
        frame.extend(payload);
        frame
    }

    /// A packet of a connection, numbered.
    pub(crate) fn packet(flow: u64, identification: u16) -> TappedPacket {
        TappedPacket { flow, identification, hosts: [1, 2], ..TappedPacket::default() }
    }

    fn of(bytes: &[u8]) -> Option<TappedPacket> {
        TappedPacket::of(LinkType::ETHERNET, &Frame::whole(FrameHeader::default(), bytes))
    }

    #[test]
    fn what_routers_change_does_not_change_the_digest_and_all_else_does() {
        let bytes = tcp(64, 7, 0x10, 512, b"payload");
        let packet = of(&bytes).unwrap();
        assert_eq!((packet.at, packet.ttl), (14, 64));
        let segment = packet.segment.unwrap();
        assert_eq!((segment.sequence, segment.length, segment.window), (7, 7, 512));
        // offset in the IP packet, whether it is another packet then
        for (place, other) in [
            (4, false),
            (8, false),
            (10, false),
            (15, true),
            (19, true),
            (20, true),
            (24, true),
            (36, true),
        ] {
            let mut changed = bytes.clone();
            changed[14 + place] ^= 1;
            assert_eq!(of(&changed).unwrap().digest != packet.digest, other, "byte {place}");
        }
        let sent = FrameHeader { direction: Direction::Outbound, ..FrameHeader::default() };
        let sent = TappedPacket::of(LinkType::ETHERNET, &Frame::whole(sent, &bytes)).unwrap();
        assert_ne!(sent.digest, packet.digest);
    }

    #[test]
    fn tags_are_looked_behind_in_place_and_put_back() {
        let plain = tcp(64, 7, 0x10, 512, &[]);
        let tag = [0x81, 0, 3, 0xbc];
        let tagged = [&plain[..12], &tag, &plain[12..]].concat();
        let whole = of(&tagged).unwrap();
        assert_eq!(whole.at, 18);
        let parts = [&tagged[..12], &tagged[12..16], &tagged[16..]];
        let put_back = Frame { header: FrameHeader::default(), parts };
        assert_eq!(TappedPacket::of(LinkType::ETHERNET, &put_back), Some(whole));
        let raw = Frame::whole(FrameHeader::default(), &plain[14..]);
        assert_eq!(TappedPacket::of(LinkType::RAW, &raw).unwrap().digest, whole.digest);
        let mut six = vec![0; 12];
        six.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 63]);
        six.resize(14 + 40 + 20, 1);
        assert_eq!(of(&six).unwrap().ttl, 63);
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_harm(
            bytes in proptest::collection::vec(any::<u8>(), 0..90),
            kind in prop_oneof![Just(IPV4), Just(IPV6), Just(C_TAG), any::<u16>()],
            cut in 0_usize..20,
        ) {
            let mut bytes = bytes;
            if let Some(place) = bytes.get_mut(12..14) {
                place.copy_from_slice(&kind.to_be_bytes());
            }
            let (first, rest) = bytes.split_at(cut.min(bytes.len()));
            for link_type in [LinkType::ETHERNET, LinkType::RAW, LinkType::NETLINK] {
                let header = FrameHeader::default();
                let _ = TappedPacket::of(link_type, &Frame { header, parts: [first, &[], rest] });
                let _ = TappedPacket::of(link_type, &Frame::whole(header, &bytes));
            }
        }
    }
}
