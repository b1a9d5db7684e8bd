//! A frame as it travels from a source to the ring: link-level bytes and what the kernel says of them.
//!
//! A [`Frame`] borrows; nothing on its road is allocated. Its bytes come in up to three parts so that a
//! VLAN tag which the kernel stripped is put back while copying, not by an extra copy. Out of the ring
//! it comes as a [`StoredFrame`], which keeps the ring's page alive instead of copying it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::time::{Mono, Wall};

/// Longest snaplen in bytes, and the default: the longest packet that Wireshark and libpcap read back
/// (`WTAP_MAX_PACKET_SIZE_STANDARD`, `MAXIMUM_SNAPLEN`).
pub const MAX_SNAPLEN: u32 = 262_144;

/// Which way a frame crossed the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
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

/// Copies of a frame that were counted instead of kept, for about a second of a run: exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Arrival of the first copy that was counted and not kept.
    pub first: Wall,
    /// Arrival of the last one.
    pub last: Wall,
    /// How many.
    pub count: u64,
    /// How many in each [`Tally::BIN`] since the first.
    pub bins: [u32; Tally::BINS],
}

impl Tally {
    /// Width of a bin.
    pub const BIN: Duration = Duration::from_millis(100);
    /// A tally is told at least once a second, and a little later by a busy thread.
    pub const BINS: usize = 16;

    /// Nothing counted yet.
    pub(crate) fn beginning(first: Wall) -> Self {
        Self { first, last: first, count: 0, bins: [0; Self::BINS] }
    }

    /// Counts a copy; false if it came too late for this tally.
    pub(crate) fn add(&mut self, wall: Wall) -> bool {
        const BIN_NANOS: u64 = Tally::BIN.as_nanos() as u64;
        let bin = wall.0.saturating_sub(self.first.0) / BIN_NANOS;
        let Some(bin) = self.bins.get_mut(bin as usize) else { return false };
        *bin += 1;
        self.count += 1;
        self.last = self.last.max(wall);
        true
    }
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
    /// None for a frame that was kept; else this stands for so many copies of it.
    pub tally: Option<Tally>,
    /// True if memory kept only its headers; its original length is still what it was.
    pub faded: bool,
}

impl StoredFrame {
    /// When it arrived, or the last of its copies.
    pub fn last(&self) -> Mono {
        let run = self.tally.map_or(0, |tally| tally.last.0.saturating_sub(tally.first.0));
        self.mono.plus(Duration::from_nanos(run))
    }
}
