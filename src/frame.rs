//! A frame as it travels from a source to the ring: link-level bytes and what the kernel says of them.
//!
//! A [`Frame`] borrows; nothing on its road is allocated. Its bytes come in up to three parts so that a
//! VLAN tag which the kernel stripped is put back while copying, not by an extra copy. Out of the ring
//! it comes as a [`StoredFrame`], which keeps the ring's page alive instead of copying it.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::time::{Mono, Wall};

/// Which way a frame crossed the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Direction {
    /// The source cannot tell.
    #[default]
    Unknown = 0,
    /// Received by this host.
    Inbound = 1,
    /// Sent by this host (`PACKET_OUTGOING`, packet(7)).
    Outbound = 2,
}

/// Whom a received frame was addressed to, as the kernel judged it (`sll_pkttype`, packet(7)).
/// The values are those of `epb_flags` bits 2 to 4 (draft-ietf-opsawg-pcapng).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Reception {
    /// Not told.
    #[default]
    Unspecified = 0,
    /// To this host (`PACKET_HOST`).
    Unicast = 1,
    /// To a group (`PACKET_MULTICAST`).
    Multicast = 2,
    /// To all (`PACKET_BROADCAST`).
    Broadcast = 3,
    /// To another host, seen because the interface is promiscuous (`PACKET_OTHERHOST`).
    Promiscuous = 4,
}

/// A link type as capture files number them (`LINKTYPE_*`, tcpdump.org/linktypes.html).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct LinkType(pub u16);

impl LinkType {
    /// IEEE 802.3 Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// Raw IPv4 or IPv6, no link header.
    pub const RAW: Self = Self(101);
    /// IEEE 802.11 behind a radiotap header.
    pub const RADIOTAP: Self = Self(127);
    /// Linux netlink messages, as `nlmon` interfaces give them.
    pub const NETLINK: Self = Self(253);
}

/// Everything about a frame but its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameHeader {
    /// Arrival, on the clock the source names.
    pub wall: Wall,
    /// Length on the wire in bytes, with the VLAN tag; the captured length may be smaller.
    pub original_len: u32,
    /// Which way.
    pub direction: Direction,
    /// To whom.
    pub reception: Reception,
}

/// A borrowed frame. Its bytes are the parts, one after the other; parts may be empty.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// What is known of it.
    pub header: FrameHeader,
    /// The captured bytes.
    pub parts: [&'a [u8]; 3],
}

impl<'a> Frame<'a> {
    /// A frame whose bytes lie in one piece.
    pub fn whole(header: FrameHeader, bytes: &'a [u8]) -> Self {
        Self { header, parts: [bytes, &[], &[]] }
    }

    /// Captured length in bytes.
    pub fn captured_len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// The bytes in one piece, copied; for tests and rare paths.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts.concat()
    }
}

/// Which clock stamped the frames of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum StampClock {
    /// The kernel, when the frame entered or left the stack (CLOCK_REALTIME).
    #[default]
    Software = 0,
    /// The interface's own clock (PHC), which need not agree with the host's.
    Hardware = 1,
    /// dashcap itself, when it read the frame: later than the kernel would say.
    Reader = 2,
}

/// Where frames come from: one binding of one interface. A re-created interface is a new origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Origin {
    /// Interface name.
    pub interface: String,
    /// Interface index bound to.
    pub index: u32,
    /// What the bytes begin with.
    pub link_type: LinkType,
    /// Longest captured length in bytes.
    pub snaplen: u32,
    /// Who stamps.
    pub clock: StampClock,
}

/// A frame read back from the ring.
#[derive(Debug, Clone)]
pub struct StoredFrame {
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// Everything but its bytes.
    pub header: FrameHeader,
    /// Its arrival in monotonic time.
    pub mono: Mono,
    /// The captured bytes: a slice of the ring's page, or a copy where they straddled two pages.
    pub bytes: Bytes,
}
