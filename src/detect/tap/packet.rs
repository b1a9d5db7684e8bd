//! The few numbers of an IP packet that the tap needs, found with as few looks as possible.
//!
//! Every frame of data passes here, so nothing is read twice, nothing is kept, and a packet is never written to
//! memory before all of it is known. What is not plain IPv4 or IPv6 is nothing to the tap; what is cut short
//! counts as far as it is there. Any bytes may come, and none panic.

use super::ends::Network;
use crate::frame::Direction;

/// Protocol numbers (IANA).
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Of a later fragment, whose content begins with no header (IANA: reserved).
const LATER: u8 = 255;
/// Version 4, and a header without options (RFC 791 §3.1).
const PLAIN_V4: u8 = 0x45;
/// IPv4 without options, in bytes.
const SHORTEST_V4: usize = 20;
/// IPv6, in bytes (RFC 8200 §3).
const HEADER_V6: usize = 40;
/// Where TCP has its flags (RFC 9293 §3.1).
const FLAGS: usize = 13;
/// Port of DNS (RFC 1035 §4.2).
const DNS: u16 = 53;
/// Bytes of the transport header that tell one packet from another: all of TCP's without options, with
/// its checksum, which covers the payload; of UDP the header and 12 bytes of payload.
const HEAD: usize = 20;
/// Odd numbers without a pattern: 2^64 divided by the golden ratio, and the constants of splitmix64.
pub(super) const K: [u64; 3] =
    [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

/// A packet, as the tap looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TappedPacket<'a> {
    /// Where in the frame the IP header begins.
    pub(super) at: usize,
    header: Header<'a>,
    /// Length of what lies behind the header, before anything was cut.
    length: u32,
    /// The same for all packets of a connection in one direction, rarely for others.
    pub(super) flow: u64,
    /// The same for packets that differ in nothing but what routers change.
    pub(super) digest: u64,
    transport: Transport<'a>,
}

/// The network header, of which the rest is read where it is asked for: nearly always nobody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header<'a> {
    /// RFC 791 §3.1, without options.
    V4(&'a [u8; SHORTEST_V4]),
    /// RFC 8200 §3.
    V6(&'a [u8; HEADER_V6]),
}

/// What lies behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport<'a> {
    /// A whole TCP header.
    Segment(&'a [u8; HEAD]),
    /// A datagram from or to the port of DNS.
    Dns,
    /// Anything else.
    Other,
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
    #[inline(always)]
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

impl<'a> TappedPacket<'a> {
    /// The packet that begins so, if it is the usual one: IPv4 without options, its transport header not cut.
    #[inline(always)]
    pub(super) fn usual((at, bytes): Network<'a>, direction: Direction) -> Option<Self> {
        let (header, content) = bytes.split_first_chunk()?;
        let head = content.first_chunk()?;
        let is_plain = header[0] == PLAIN_V4;
        is_plain.then(|| {
            Carried::v4(header, SHORTEST_V4, direction).whole(at, Header::V4(header), head)
        })
    }

    /// The packet that begins so, if it is one.
    #[inline(never)]
    pub(super) fn any((at, bytes): Network<'a>, direction: Direction) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => {
                let header = bytes.first_chunk()?;
                let length = usize::from(header[0] & 0x0f) * 4;
                let content = bytes.get(length.max(SHORTEST_V4)..)?;
                Some(Carried::v4(header, length, direction).packet(at, Header::V4(header), content))
            }
            6 => {
                let (header, content) = bytes.split_first_chunk()?;
                Some(Carried::v6(header, direction).packet(at, Header::V6(header), content))
            }
            _ => None,
        }
    }

    /// True if it tells how a service answers: the beginning or end of a connection, a DNS message.
    #[inline(always)]
    pub(super) fn is_exchange(&self) -> bool {
        const ENDS: u8 = Segment::SYN | Segment::FIN | Segment::RST;
        match self.transport {
            Transport::Segment(head) => head[FLAGS] & ENDS != 0,
            Transport::Dns => true,
            Transport::Other => false,
        }
    }

    /// What TCP says, where its whole header is there.
    #[inline(always)]
    pub(super) fn segment(&self) -> Option<Segment> {
        let Transport::Segment(head) = self.transport else { return None };
        let header = u32::from(head[12] >> 4) * 4;
        Some(Segment {
            sequence: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            length: self.length.saturating_sub(header),
            flags: head[FLAGS],
            window: u16::from_be_bytes([head[14], head[15]]),
        })
    }

    /// Time to live, or hop limit.
    #[inline(always)]
    pub(super) fn ttl(&self) -> u8 {
        match self.header {
            Header::V4(header) => header[8],
            Header::V6(header) => header[7],
        }
    }

    /// IPv4's number of the packet; zero in IPv6.
    #[inline(always)]
    pub(super) fn identification(&self) -> u16 {
        match self.header {
            Header::V4(header) => u16::from_be_bytes([header[4], header[5]]),
            Header::V6(_) => 0,
        }
    }

    /// The same for all packets of two hosts, in both directions.
    #[inline(always)]
    pub(super) fn pair(&self) -> u64 {
        let (from, to) = match self.header {
            Header::V4(header) => {
                let addresses = word(&header[12..]);
                (addresses & u64::from(u32::MAX), addresses >> 32)
            }
            Header::V6(header) => hosts_v6(header),
        };
        mix(from.wrapping_add(to) ^ K[2], (from ^ to) ^ K[1])
    }

    /// The destination address.
    #[inline(always)]
    pub(super) fn destination(&self) -> &'a [u8] {
        match self.header {
            Header::V4(header) => &header[16..],
            Header::V6(header) => &header[24..],
        }
    }

    /// True in a packet of IPv6.
    pub(super) fn is_v6(&self) -> bool {
        matches!(self.header, Header::V6(_))
    }

    /// Places in the frame that routers change, and that may differ in a packet that goes in a circle:
    /// time to live and header checksum, and the identification, which some gateways renumber.
    pub(super) fn changeable(&self) -> impl Iterator<Item = usize> {
        /// RFC 791 §3.1.
        const OF_V4: &[usize] = &[4, 5, 8, 10, 11];
        /// RFC 8200 §3.
        const OF_V6: &[usize] = &[7];
        let at = self.at;
        let within = if self.is_v6() { OF_V6 } else { OF_V4 };
        within.iter().map(move |place| at + place)
    }
}

/// What the network header says of the content.
#[derive(Clone, Copy)]
struct Carried {
    /// Both addresses together.
    addresses: u64,
    protocol: u8,
    length: u32,
    direction: Direction,
}

impl Carried {
    /// `length` is that of the header with its options.
    #[inline(always)]
    fn v4(header: &[u8; SHORTEST_V4], length: usize, direction: Direction) -> Self {
        const OFFSET: u16 = 0x1fff;
        let total = u16::from_be_bytes([header[2], header[3]]);
        let begins = u16::from_be_bytes([header[6], header[7]]) & OFFSET == 0;
        Self {
            addresses: word(&header[12..]) ^ K[0],
            protocol: if begins { header[9] } else { LATER },
            length: u32::from(total).saturating_sub(length as u32),
            direction,
        }
    }

    fn v6(header: &[u8; HEADER_V6], direction: Direction) -> Self {
        let (from, to) = hosts_v6(header);
        Self {
            addresses: from ^ to.rotate_left(1),
            protocol: header[6],
            length: u16::from_be_bytes([header[4], header[5]]).into(),
            direction,
        }
    }

    fn packet<'a>(self, at: usize, header: Header<'a>, content: &'a [u8]) -> TappedPacket<'a> {
        match content.first_chunk() {
            Some(head) => self.whole(at, header, head),
            None => self.cut(at, header, content),
        }
    }

    /// The packet whose transport begins so.
    #[inline(always)]
    fn whole<'a>(self, at: usize, header: Header<'a>, head: &'a [u8; HEAD]) -> TappedPacket<'a> {
        let (flow, digest) = self.digest(head);
        let transport = match self.protocol {
            TCP => Transport::Segment(head),
            UDP if is_dns(head) => Transport::Dns,
            _ => Transport::Other,
        };
        TappedPacket { at, header, length: self.length, flow, digest, transport }
    }

    /// The packet whose transport header is cut: what is missing counts as zero, and it is no segment.
    fn cut<'a>(self, at: usize, header: Header<'a>, content: &'a [u8]) -> TappedPacket<'a> {
        let mut head = [0; HEAD];
        let len = content.len().min(HEAD);
        head[..len].copy_from_slice(&content[..len]);
        let (flow, digest) = self.digest(&head);
        let is_dns = self.protocol == UDP && is_dns(&head);
        let transport = if is_dns { Transport::Dns } else { Transport::Other };
        TappedPacket { at, header, length: self.length, flow, digest, transport }
    }

    /// Numbers of the flow, and of the packet.
    #[inline(always)]
    fn digest(self, head: &[u8; HEAD]) -> (u64, u64) {
        let ports = u64::from(u32::from_le_bytes([head[0], head[1], head[2], head[3]]));
        let kind = u64::from(self.protocol) << 32 | (self.direction as u64) << 40;
        let flow = mix(self.addresses, (ports | kind) ^ K[1]);
        let length = u64::from(self.length) << 32;
        (flow, mix(flow ^ word(&head[4..]), word(&head[12..]) ^ length ^ K[2]))
    }
}

#[inline(always)]
fn is_dns(head: &[u8; HEAD]) -> bool {
    let port = |at| u16::from_be_bytes([head[at], head[at + 1]]);
    port(0) == DNS || port(2) == DNS
}

/// Who sends and who receives, as numbers.
#[inline(always)]
fn hosts_v6(header: &[u8; HEADER_V6]) -> (u64, u64) {
    let from = mix(word(&header[8..]) ^ K[1], word(&header[16..]) ^ K[2]);
    let to = mix(word(&header[24..]) ^ K[1], word(&header[32..]) ^ K[2]);
    (from, to)
}

/// The first eight bytes as a number; the order does not matter. There are so many.
#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// Both halves of the product: every bit of either depends on every bit of both.
#[inline(always)]
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::ends;
    use super::*;
    use crate::frame::{Frame, FrameHeader, LinkType};

    /// The packet in a frame.
    pub(crate) fn packet_of<'a>(
        link_type: LinkType,
        frame: &Frame<'a>,
    ) -> Option<TappedPacket<'a>> {
        let (network, direction) = (ends::read(link_type, frame).1?, frame.header.direction);
        let any = TappedPacket::any(network, direction);
        let usual = TappedPacket::usual(network, direction);
        assert!(usual.is_none() || usual == any, "both ways of reading agree");
        any
    }

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
    pub(crate) fn packet(flow: u64, identification: u16) -> TappedPacket<'static> {
        let mut header = [0; SHORTEST_V4];
        header[4..6].copy_from_slice(&identification.to_be_bytes());
        let header = Header::V4(Box::leak(Box::new(header)));
        let transport = Transport::Other;
        TappedPacket { at: 0, header, length: 0, flow, digest: 0, transport }
    }

    fn of(bytes: &[u8]) -> Option<TappedPacket<'_>> {
        packet_of(LinkType::ETHERNET, &Frame::whole(FrameHeader::default(), bytes))
    }

    #[test]
    fn what_routers_change_does_not_change_the_digest_and_all_else_does() {
        let bytes = tcp(64, 7, 0x10, 512, b"payload");
        let packet = of(&bytes).unwrap();
        assert_eq!((packet.at, packet.ttl()), (14, 64));
        let segment = packet.segment().unwrap();
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
        let sent = packet_of(LinkType::ETHERNET, &Frame::whole(sent, &bytes)).unwrap();
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
        assert_eq!(packet_of(LinkType::ETHERNET, &put_back), Some(whole));
        let raw = Frame::whole(FrameHeader::default(), &plain[14..]);
        assert_eq!(packet_of(LinkType::RAW, &raw).unwrap().digest, whole.digest);
        let mut six = vec![0; 12];
        six.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 63]);
        six.resize(14 + 40 + 20, 1);
        assert_eq!(of(&six).unwrap().ttl(), 63);
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_harm(
            bytes in proptest::collection::vec(any::<u8>(), 0..90),
            kind in prop_oneof![Just(0x0800), Just(0x86dd), Just(0x8100), any::<u16>()],
            cut in 0_usize..20,
        ) {
            let mut bytes = bytes;
            if let Some(place) = bytes.get_mut(12..14) {
                place.copy_from_slice(&kind.to_be_bytes());
            }
            let (first, rest) = bytes.split_at(cut.min(bytes.len()));
            for link_type in [LinkType::ETHERNET, LinkType::RAW, LinkType::NETLINK] {
                let header = FrameHeader::default();
                let _ = packet_of(link_type, &Frame { header, parts: [first, &[], rest] });
                let _ = packet_of(link_type, &Frame::whole(header, &bytes));
            }
        }
    }
}
