//! A frame as it is recognised at another place: what no hop changes of it (PSAMP, RFC 5474 and RFC 5475).
//!
//! Left out are what a link or a router changes (VLAN tags, which offloads strip; time to live, traffic class,
//! checksum of the header) and what the sender's hardware fills in later (checksum of TCP and UDP). A frame without
//! IP is all its bytes from the addresses on.
//!
//! ```text
//!   Ethernet │ tags │ IP: length, id, flags, protocol, addresses │ ports, payload ... 72 bytes of the packet
//!   ─ from, to ─┘   └────────────────────── key ──────────────────────────────────┘
//!   TCP that carries something: key = flow and number of its first byte, whatever offloads make of segments
//! ```

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use foldhash::fast::FixedState;

use crate::frame::{Direction, LinkType};
use crate::wire::ip::{self, Packet, protocol};
use crate::wire::link::{Content, Link};
use crate::wire::tcp::Tcp;
use crate::wire::{Mac, link};

/// Bytes of a packet that are compared, from the network header on: addresses, ports, and of the payload what
/// tells one datagram of a flow from the next. Fewer than the oldest usual snaplen of 96 leaves behind a tag.
const COMPARED: usize = 72;
/// Bytes compared of a frame without IP: as much behind addresses and type.
const COMPARED_LINK: usize = COMPARED + 14;
/// Of IPv4: type of service, time to live, checksum (RFC 791 §3.1).
const CHANGED_V4: [usize; 4] = [1, 8, 10, 11];
/// Of IPv6: traffic class, which has half of two bytes each, and hop limit (RFC 8200 §3); and the bits that stay.
const CHANGED_V6: [(usize, u8); 3] = [(0, 0xf0), (1, 0x0f), (7, 0)];
/// Where the checksum is in the headers of TCP (RFC 9293 §3.1) and UDP (RFC 768).
const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;

/// A frame where it was seen.
#[derive(Debug, Clone, Copy)]
pub struct Sighting {
    /// What it is recognised by.
    pub key: u64,
    /// Its flow, one way: what stands for frames that offloads reshape.
    pub flow: u64,
    /// When, by its host's clock, see [`super::steady`].
    pub time: i64,
    /// Of TCP: the number of the first byte that it carries.
    pub sequence: u32,
    /// Of TCP: how many bytes it carries; 0 for what is compared as a whole.
    pub carried: u32,
    /// Number of the station that it is for; 0 where there is none.
    pub to: u32,
    /// Number of the station that it is from.
    pub from: u32,
    /// Number of the observation point.
    pub point: u16,
    /// Which way.
    pub direction: Direction,
    /// How often the host's clock was set before.
    pub epoch: u8,
    /// It stands for copies that were not kept one by one.
    pub folded: bool,
}

/// What a frame is recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) key: u64,
    pub(super) flow: u64,
    pub(super) sequence: u32,
    pub(super) carried: u32,
    pub(super) to: Option<Mac>,
    pub(super) from: Option<Mac>,
}

/// Reads a frame; none of one that was cut too short to be compared.
pub(super) fn signature(link_type: LinkType, original_len: u32, bytes: &[u8]) -> Option<Signature> {
    let walked = Link::walk(link_type, bytes)?;
    let (to, from) = (walked.destination, walked.source);
    let made =
        |(key, flow, sequence, carried)| Signature { key, flow, sequence, carried, to, from };
    match walked.content {
        Content::Typed(link::ethertype::IPV4 | link::ethertype::IPV6, packet) => {
            let before = bytes.len() - packet.len();
            let length = (original_len as usize).saturating_sub(before);
            of_packet(packet, length).map(made)
        }
        content => of_link(&walked, content, bytes, original_len as usize).map(made),
    }
}

/// Key, flow, and of TCP what it carries.
type Recognised = (u64, u64, u32, u32);

fn of_packet(bytes: &[u8], length: usize) -> Option<Recognised> {
    // What offloads make may be longer than the header can say (RFC 2675 and BIG TCP: it says zero).
    let length = ip::length(bytes).map_or(length, |told| told as usize);
    let packet = Packet::parse(bytes)?;
    // Later fragments have no transport header.
    let header = match packet.content.len() {
        0 => COMPARED,
        content => bytes.len().min(length).saturating_sub(content),
    };
    let tcp = (packet.protocol == protocol::TCP).then(|| Tcp::parse(packet.content)).flatten();
    let ports = match packet.protocol {
        protocol::TCP | protocol::UDP => packet.content.first_chunk::<4>().copied(),
        _ => None,
    };
    let flow = flow(&packet, ports.unwrap_or_default());
    if let Some(tcp) = tcp {
        let heads = bytes.len().min(length).saturating_sub(tcp.payload.len());
        let carried = length.saturating_sub(heads) as u32;
        if carried > 0 && !tcp.has(Tcp::SYN | Tcp::RST) {
            let key = hashed(|hash| {
                hash.write_u64(flow);
                hash.write_u32(tcp.sequence);
            });
            return Some((key, flow, tcp.sequence, carried));
        }
    }
    let wanted = length.min(COMPARED);
    let compared = bytes.get(..wanted)?;
    let mut masked = [0; COMPARED];
    masked[..wanted].copy_from_slice(compared);
    mask(&mut masked[..wanted], header, packet.protocol);
    Some((hashed(|hash| hash.write(&masked[..wanted])), flow, 0, 0))
}

/// Leaves out what hops and hardware change.
fn mask(bytes: &mut [u8], transport: usize, protocol: u8) {
    let checksum = match protocol {
        protocol::TCP => Some(transport + TCP_CHECKSUM),
        protocol::UDP => Some(transport + UDP_CHECKSUM),
        _ => None,
    };
    checksum.into_iter().flat_map(|at| [at, at + 1]).for_each(|at| keep(bytes, at, 0));
    if bytes.first().is_some_and(|first| first >> 4 == 4) {
        CHANGED_V4.iter().for_each(|at| keep(bytes, *at, 0));
    } else {
        CHANGED_V6.iter().for_each(|(at, bits)| keep(bytes, *at, *bits));
    }
}

/// Keeps these bits of a byte, if it is there.
fn keep(bytes: &mut [u8], at: usize, bits: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte &= bits;
    }
}

fn flow(packet: &Packet<'_>, ports: [u8; 4]) -> u64 {
    hashed(|hash| {
        for address in [packet.source, packet.destination] {
            match address {
                IpAddr::V4(address) => hash.write_u32(address.into()),
                IpAddr::V6(address) => hash.write_u128(address.into()),
            }
        }
        hash.write_u32(u32::from_be_bytes(ports));
        hash.write_u8(packet.protocol);
    })
}

/// A frame without IP, without its tags.
fn of_link(
    walked: &Link<'_>,
    content: Content<'_>,
    bytes: &[u8],
    length: usize,
) -> Option<Recognised> {
    if bytes.len() < length.min(COMPARED_LINK) {
        return None;
    }
    let flow = hashed(|hash| {
        for station in [walked.destination, walked.source].into_iter().flatten() {
            hash.write(&station.0);
        }
        if let Content::Typed(kind, _) = content {
            hash.write_u16(kind);
        }
    });
    let rest = match content {
        Content::Typed(_, content) | Content::Bridge(content) | Content::Osi(content) => content,
        Content::Cisco(_, content) => content,
        Content::Other => bytes.get(14..).unwrap_or_default(),
    };
    // Short frames are filled up with zeros on their way (IEEE 802.3 4.2.8).
    let end = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let key = hashed(|hash| {
        hash.write_u64(flow);
        hash.write(&rest[..end.min(COMPARED)]);
    });
    Some((key, flow, 0, 0))
}

fn hashed(write: impl FnOnce(&mut <FixedState as BuildHasher>::Hasher)) -> u64 {
    /// Any number.
    const SEED: u64 = 0x2026_1122;
    let mut hash = FixedState::with_seed(SEED).build_hasher();
    write(&mut hash);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

    /// UDP from 192.0.2.1 to 192.0.2.2 with this number in it.
    fn datagram(number: u32) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 32, 0, 7, 0x40, 0, 64, 17, 0xaa, 0xbb, 192, 0, 2, 1];
        packet.extend([192, 0, 2, 2, 0x10, 0, 0x20, 0, 0, 12, 0xcc, 0xdd]);
        packet.extend(number.to_be_bytes());
        packet
    }

    fn segment(sequence: u32, carried: usize) -> Vec<u8> {
        let total = (40 + carried) as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(total.to_be_bytes());
        packet.extend([0, 9, 0x40, 0, 64, 6, 1, 2, 192, 0, 2, 1, 192, 0, 2, 2, 0, 80, 0x9c, 0x40]);
        packet.extend(sequence.to_be_bytes());
        packet.extend([0, 0, 0, 1, 0x50, 0x10, 1, 0, 3, 4, 0, 0]);
        packet.extend(vec![7; carried]);
        packet
    }

    fn framed(tags: &[u8], packet: &[u8]) -> Vec<u8> {
        [&ADDRESSES, tags, &[8, 0], packet].concat()
    }

    fn key(frame: &[u8]) -> u64 {
        signature(LinkType::ETHERNET, frame.len() as u32, frame).unwrap().key
    }

    #[test]
    fn what_hops_and_hardware_change_is_left_out() {
        let (plain, tag) = (framed(&[], &datagram(1)), [0x81, 0, 3, 0xbc]);
        let changed = |at: usize| {
            let mut packet = datagram(1);
            packet[at] ^= 0x55;
            framed(&[], &packet)
        };
        let padded = [&plain[..], &[0; 18]].concat();
        for (what, other, same) in [
            ("a tag", framed(&tag, &datagram(1)), true),
            ("padding", padded, true),
            ("type of service", changed(1), true),
            ("time to live", changed(8), true),
            ("checksum of the header", changed(10), true),
            ("checksum of the datagram", changed(26), true),
            ("identification", changed(5), false),
            ("an address", changed(15), false),
            ("a port", changed(21), false),
            ("what it carries", framed(&[], &datagram(2)), false),
        ] {
            assert_eq!(key(&other) == key(&plain), same, "{what}");
        }
    }

    #[test]
    fn tcp_is_known_by_its_first_byte_whatever_its_length() {
        let of = |sequence, carried| {
            let frame = framed(&[], &segment(sequence, carried));
            signature(LinkType::ETHERNET, frame.len() as u32, &frame).unwrap()
        };
        let (long, short, next) = (of(1_000, 1_400), of(1_000, 100), of(1_100, 100));
        assert_eq!((long.key, long.flow), (short.key, short.flow));
        assert_eq!((long.carried, short.carried, next.sequence), (1_400, 100, 1_100));
        assert_ne!(short.key, next.key);
        assert_eq!(of(1_000, 0).carried, 0, "an acknowledgement is compared as a whole");
        // Only its headers were kept.
        let frame = framed(&[], &segment(1_000, 1_400));
        let cut = signature(LinkType::ETHERNET, frame.len() as u32, &frame[..54]).unwrap();
        assert_eq!((cut.key, cut.carried), (long.key, 1_400));
    }

    #[test]
    fn what_is_cut_too_short_is_not_compared() {
        let frame = framed(&[], &datagram(1));
        assert_eq!(signature(LinkType::ETHERNET, frame.len() as u32, &frame[..40]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(
            link_type in prop::sample::select(vec![1_u16, 101, 113, 276, 228, 229, 9]),
            length in any::<u32>(),
            bytes in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            signature(LinkType(link_type), length, &bytes);
            let typed = [&ADDRESSES[..], &[8, 0], &bytes].concat();
            signature(LinkType::ETHERNET, length, &typed);
            let typed = [&ADDRESSES[..], &[0x86, 0xdd], &bytes].concat();
            signature(LinkType::ETHERNET, length, &typed);
        }
    }
}
