//! The bytes of a TPACKET_V3 block, as the kernel lays them out, read without believing them.
//!
//! It promises never to panic and never to read outside the block, whatever the bytes say; what does
//! not fit ends the block, and the frames not reached are told by [`Packets::unread`].
//!
//! ```text
//! 0        48                                                        blk_len
//! ├────────┼──────────────────┬──────────────────┬───────────────────┤
//! │ block  │ header addr frame│ header addr frame│ header addr frame │
//! │ header │ 48     20    ... │                  │                   │
//! └────────┴──────────────────┴──────────────────┴───────────────────┘
//!          └── tp_next_offset ┘ from header to header, 0 in the last
//!          └─ tp_mac ──┘        from header to frame
//! ```
//!
//! Source: `struct tpacket_block_desc`, `struct tpacket3_hdr` in linux/if_packet.h, written by
//! `tpacket_rcv` in net/packet/af_packet.c. All fields but the address's protocol are in native order.
#![deny(unsafe_code)]

use crate::time::Wall;

/// `sizeof(struct tpacket_block_desc)`.
pub(crate) const BLOCK_HEADER: usize = 48;
/// `TPACKET_ALIGN(sizeof(struct tpacket3_hdr)) + sizeof(struct sockaddr_ll)`.
pub(crate) const PACKET_HEADER: usize = 68;
/// Offset of `block_status` in the block: whose turn it is.
pub(crate) const BLOCK_STATUS: usize = 8;

const NUM_PKTS: usize = 12;
const OFFSET_TO_FIRST_PKT: usize = 16;
const BLK_LEN: usize = 20;

const NEXT_OFFSET: usize = 0;
const SEC: usize = 4;
const NSEC: usize = 8;
const SNAPLEN: usize = 12;
const LEN: usize = 16;
const STATUS: usize = 20;
const MAC: usize = 24;
const VLAN_TCI: usize = 32;
const VLAN_TPID: usize = 36;
/// `sockaddr_ll` follows the 48 bytes of the header; its protocol and packet type lie 2 and 10 behind.
const SLL_PROTOCOL: usize = 50;
const SLL_PKTTYPE: usize = 58;

/// IEEE 802.1Q C-tag: the tag protocol where the kernel does not name one (before Linux 3.14).
const TPID_8021Q: u16 = 0x8100;

/// One frame in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    /// The captured bytes, without a VLAN tag that the kernel stripped.
    pub(crate) bytes: &'a [u8],
    /// Length before snaplen, likewise without that tag.
    pub(crate) original_len: u32,
    /// Arrival.
    pub(crate) wall: Wall,
    /// The stripped VLAN tag as on the wire: TPID, TCI.
    pub(crate) tag: Option<[u8; 4]>,
    /// `PACKET_HOST` and so on.
    pub(crate) kind: u8,
    /// `sll_protocol`, in network order.
    pub(crate) protocol: [u8; 2],
}

/// The frames of a block, in order of arrival.
#[derive(Debug, Clone)]
pub(crate) struct Packets<'a> {
    /// Nothing behind `blk_len`.
    block: &'a [u8],
    at: usize,
    left: u32,
}

impl<'a> Packets<'a> {
    /// The frames of `block`, whose header it begins with.
    pub(crate) fn of(block: &'a [u8]) -> Self {
        let Some(header) = block.first_chunk::<BLOCK_HEADER>() else {
            return Self { block: &[], at: 0, left: 0 };
        };
        let len = word(header, BLK_LEN) as usize;
        // More frames than fit are a lie, and their number too.
        let most = (block.len() / PACKET_HEADER) as u32;
        Self {
            block: &block[..len.min(block.len())],
            at: word(header, OFFSET_TO_FIRST_PKT) as usize,
            left: word(header, NUM_PKTS).min(most),
        }
    }

    /// How many frames the block announced and that were not reached.
    pub(crate) fn unread(&self) -> u32 {
        self.left
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'a>> {
        if self.left == 0 {
            return None;
        }
        let rest = self.block.get(self.at..)?;
        let header = rest.first_chunk::<PACKET_HEADER>()?;
        let packet = packet(rest, header)?;
        let next = word(header, NEXT_OFFSET) as usize;
        // A zero before the last frame would give the same frame again: step out of the block.
        self.at = if next < PACKET_HEADER { usize::MAX } else { self.at.saturating_add(next) };
        self.left -= 1;
        Some(packet)
    }
}

#[inline]
fn packet<'a>(rest: &'a [u8], header: &[u8; PACKET_HEADER]) -> Option<Packet<'a>> {
    let from = half(header, MAC) as usize;
    let to = from.checked_add(word(header, SNAPLEN) as usize)?;
    if from < PACKET_HEADER {
        return None;
    }
    let seconds = u64::from(word(header, SEC));
    Some(Packet {
        bytes: rest.get(from..to)?,
        original_len: word(header, LEN),
        wall: Wall(seconds * 1_000_000_000 + u64::from(word(header, NSEC))),
        tag: tag(word(header, STATUS), half(header, VLAN_TPID), word(header, VLAN_TCI)),
        kind: header[SLL_PKTTYPE],
        protocol: [header[SLL_PROTOCOL], header[SLL_PROTOCOL + 1]],
    })
}

/// The tag of a frame whose status says that there is one; VID 0 is a tag too (IEEE 802.1Q 9.6:
/// priority-tagged), so the value decides nothing.
#[inline]
fn tag(status: u32, tpid: u16, tci: u32) -> Option<[u8; 4]> {
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let tpid = if status & libc::TP_STATUS_VLAN_TPID_VALID == 0 { TPID_8021Q } else { tpid };
    let (tpid, tci) = (tpid.to_be_bytes(), (tci as u16).to_be_bytes());
    Some([tpid[0], tpid[1], tci[0], tci[1]])
}

#[inline]
fn word<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

#[inline]
fn half<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_ne_bytes([header[at], header[at + 1]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC_AT: usize = 82;

    fn put(bytes: &mut [u8], at: usize, value: u32) {
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn put_half(bytes: &mut [u8], at: usize, value: u16) {
        bytes[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    }

    /// A block of frames as `tpacket_rcv` would write it.
    fn block(frames: &[&[u8]]) -> Vec<u8> {
        let mut block = vec![0; BLOCK_HEADER];
        for (i, frame) in frames.iter().enumerate() {
            let at = block.len();
            let size = (MAC_AT + frame.len()).next_multiple_of(8);
            block.resize(at + size, 0);
            let packet = &mut block[at..];
            put(packet, NEXT_OFFSET, if i + 1 == frames.len() { 0 } else { size as u32 });
            put(packet, SEC, 1_795_356_860);
            put(packet, NSEC, i as u32);
            put(packet, SNAPLEN, frame.len() as u32);
            put(packet, LEN, frame.len() as u32 + 100);
            put_half(packet, MAC, MAC_AT as u16);
            packet[SLL_PKTTYPE] = 4;
            packet[SLL_PROTOCOL..SLL_PROTOCOL + 2].copy_from_slice(&[8, 6]);
            packet[MAC_AT..MAC_AT + frame.len()].copy_from_slice(frame);
        }
        let len = block.len() as u32;
        put(&mut block, NUM_PKTS, frames.len() as u32);
        put(&mut block, OFFSET_TO_FIRST_PKT, BLOCK_HEADER as u32);
        put(&mut block, BLK_LEN, len);
        block
    }

    #[test]
    fn sizes_agree_with_the_kernel_headers() {
        assert_eq!(BLOCK_HEADER, size_of::<libc::tpacket_block_desc>());
        assert_eq!(PACKET_HEADER, libc::TPACKET3_HDRLEN);
    }

    #[test]
    fn frames_come_in_order_with_stamp_and_lengths() {
        let block = block(&[b"first", b"", b"third frame"]);
        let mut packets = Packets::of(&block);
        for (i, bytes) in [&b"first"[..], b"", b"third frame"].into_iter().enumerate() {
            let expected = Packet {
                bytes,
                original_len: bytes.len() as u32 + 100,
                wall: Wall(1_795_356_860_000_000_000 + i as u64),
                tag: None,
                kind: 4,
                protocol: [8, 6],
            };
            assert_eq!(packets.next(), Some(expected));
        }
        assert_eq!(packets.next(), None);
        assert_eq!(packets.unread(), 0);
    }

    #[test]
    fn tags_follow_the_validity_bits() {
        let (valid, named) = (libc::TP_STATUS_VLAN_VALID, libc::TP_STATUS_VLAN_TPID_VALID);
        for (name, status, tpid, tci, expected) in [
            ("no tag", 0, 0x8100, 956, None),
            ("TPID bit alone", named, 0x8100, 956, None),
            ("VID 956", valid | named, 0x8100, 956, Some([0x81, 0, 3, 0xbc])),
            ("VID 0", valid | named, 0x8100, 0, Some([0x81, 0, 0, 0])),
            ("PCP 5, DEI", valid | named, 0x8100, 0xb3bc, Some([0x81, 0, 0xb3, 0xbc])),
            ("802.1ad", valid | named, 0x88a8, 100, Some([0x88, 0xa8, 0, 100])),
            ("old kernel", valid, 0, 100, Some([0x81, 0, 0, 100])),
        ] {
            assert_eq!(tag(status, tpid, tci), expected, "{name}");
        }
    }

    #[test]
    fn a_block_that_lies_ends_early_and_tells_the_rest() {
        let second = BLOCK_HEADER + (MAC_AT + 5).next_multiple_of(8);
        let first = BLOCK_HEADER;
        // name, offset, value, frames read, frames unread
        for (name, at, value, read, unread) in [
            ("too many frames", NUM_PKTS, 1_000_000, 2, 1),
            ("first frame behind the end", OFFSET_TO_FIRST_PKT, u32::MAX, 0, 2),
            ("no room for a header", BLK_LEN, BLOCK_HEADER as u32, 0, 2),
            ("length cuts the second frame", BLK_LEN, second as u32 + 10, 1, 1),
            ("length beyond the block", BLK_LEN, u32::MAX, 2, 0),
            ("next is this frame", first + NEXT_OFFSET, 0, 1, 1),
            ("next is inside this frame", first + NEXT_OFFSET, 8, 1, 1),
            ("next is behind the end", first + NEXT_OFFSET, u32::MAX, 1, 1),
            ("frame longer than the block", second + SNAPLEN, u32::MAX, 1, 1),
            ("frame before its header", second + MAC, 0, 1, 1),
            ("frame behind the end", second + MAC, 0xffff, 1, 1),
        ] {
            let mut block = block(&[b"first", b"second"]);
            put(&mut block, at, value);
            let mut packets = Packets::of(&block);
            assert_eq!(packets.by_ref().count(), read, "{name}");
            assert_eq!(packets.unread(), unread, "{name}");
        }
        assert_eq!(Packets::of(&[0xff; BLOCK_HEADER - 1]).count(), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut packets = Packets::of(&noise);
            let read = packets.by_ref().count();
            prop_assert!(read as u32 + packets.unread() <= 400);
        }
    }
}
