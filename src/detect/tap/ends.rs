//! Whom a frame is from and for, and where its packet begins: the link header, read once for all judges.
//!
//! Frames come in one piece, or with the tag that the kernel had taken off as a part of its own
//! ([`Frame`]); both are read where they lie. Any bytes may come, and none panic.

use crate::frame::{Frame, LinkType};

/// Destination and source address (IEEE 802.3 3.2).
pub(super) const ADDRESSES: usize = 12;
/// Bits of a link address.
pub(super) const MAC_BITS: u32 = 48;
/// The address of all stations, and the bits of any.
pub(super) const EVERYBODY: u64 = (1 << MAC_BITS) - 1;
/// VLAN tags looked behind: a customer's and a provider's (IEEE 802.1Q 9.5).
const TAGS: usize = 2;
/// TPID and TCI (IEEE 802.1Q 9.3).
const TAG: usize = 4;
/// EtherTypes (IEEE 802 numbers, IANA).
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const C_TAG: u16 = 0x8100;
const S_TAG: u16 = 0x88a8;

/// Both addresses as numbers, first byte lowest, and the outermost VLAN; 0 = untagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) to: u64,
    pub(super) from: u64,
    pub(super) vlan: u16,
}

/// The network header: where in the frame it begins, and the bytes from there on.
pub(super) type Network<'a> = (usize, &'a [u8]);

/// The ends of a frame, if its link has such, and its packet, if it is plain IP behind at most [`TAGS`] tags.
#[inline(always)]
pub(super) fn read<'a>(
    link_type: LinkType,
    frame: &Frame<'a>,
) -> (Option<Ends>, Option<Network<'a>>) {
    let [first, tag, rest] = frame.parts;
    if link_type != LinkType::ETHERNET {
        let is_raw = link_type == LinkType::RAW && tag.is_empty() && rest.is_empty();
        return (None, is_raw.then_some((0, first)));
    }
    let Some(addresses) = first.first_chunk::<ADDRESSES>() else { return (None, None) };
    let behind = &first[ADDRESSES..];
    if tag.is_empty() && rest.is_empty() {
        let vlan = if begins_ip(behind) { 0 } else { vlan_of(behind) };
        (Some(Ends::of(addresses, vlan)), network(ADDRESSES, behind))
    } else if first.len() == ADDRESSES && tag.len() == TAG {
        (Some(Ends::of(addresses, vlan_of(tag))), network(ADDRESSES + TAG, rest))
    } else {
        let vlan = vlan_of(if tag.is_empty() { behind } else { tag });
        (Some(Ends::of(addresses, vlan)), None)
    }
}

impl Ends {
    #[inline(always)]
    fn of(addresses: &[u8; ADDRESSES], vlan: u16) -> Self {
        let [to, from] = [addresses.first_chunk(), addresses.last_chunk()]
            .map(|eight| eight.map_or(0, |eight| u64::from_le_bytes(*eight)));
        let (to, from) = (to & EVERYBODY, from >> (u64::BITS - MAC_BITS));
        Self { to, from, vlan }
    }

    /// The group bit is clear (IEEE 802 8.2.2).
    #[inline(always)]
    pub(super) fn is_to_one(self) -> bool {
        const GROUP: u64 = 1;
        self.to & GROUP == 0
    }

    /// The source within its VLAN.
    #[inline(always)]
    pub(super) fn source(self) -> u64 {
        u64::from(self.vlan) << MAC_BITS | self.from
    }

    /// The destination within its VLAN.
    #[inline(always)]
    pub(super) fn destination(self) -> u64 {
        u64::from(self.vlan) << MAC_BITS | self.to
    }
}

/// True if `bytes` begin with the EtherType of a packet.
#[inline(always)]
fn begins_ip(bytes: &[u8]) -> bool {
    matches!(bytes.first_chunk(), Some(&[0x08, 0x00] | &[0x86, 0xdd]))
}

/// What is at `at` in the frame begins with an EtherType, or with that of a tag.
#[inline(always)]
fn network(at: usize, bytes: &[u8]) -> Option<Network<'_>> {
    if begins_ip(bytes) { Some((at + 2, &bytes[2..])) } else { behind_tags(at, bytes) }
}

/// `bytes` begin with an EtherType, or with that of a tag.
#[inline(never)]
fn behind_tags(mut at: usize, mut bytes: &[u8]) -> Option<Network<'_>> {
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

/// The identifier of the tag that these bytes begin with; 0 without one.
#[inline(always)]
fn vlan_of(bytes: &[u8]) -> u16 {
    /// The identifier within a tag (IEEE 802.1Q 9.6).
    const VID: u16 = 0x0fff;
    let Some([a, b, c, d]) = bytes.first_chunk() else { return 0 };
    match u16::from_be_bytes([*a, *b]) {
        C_TAG | S_TAG => u16::from_be_bytes([*c, *d]) & VID,
        _ => 0,
    }
}
