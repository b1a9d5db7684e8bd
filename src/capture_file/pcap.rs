//! pcap: one header, then a record header and the bytes of each frame (draft-ietf-opsawg-pcap).
//!
//! `pcap-file` reads the file header. Records are read here, because it knows neither the variants
//! nor a bound:
//!
//! * Versions before 2.3 have captured and original length the other way round; in 2.3 some have
//!   (libpcap's sf-pcap.c, `lengths_swapped`).
//! * Kuznetzov's "modified" format has eight more bytes per record: interface index, protocol and the
//!   kind of packet, which tells the direction.
//! * A record that was damaged may claim to be of any length, and would be waited for.

use pcap_file::pcap::PcapHeader;
use pcap_file::{Endianness, TsResolution};

use super::fields::u32_at;
use super::input::Input;
use super::{LONGEST_FRAME, Record, Stop, cooked};
use crate::frame::{Direction, LinkType, Reception};
use crate::time::Wall;

/// Bytes of the file header.
const HEADER: usize = 24;
/// Bytes of a record header: seconds, fraction, captured and original length, 4 each.
const RECORD: usize = 16;
/// Kuznetzov's: the same, then interface index 4, protocol 2, kind of packet 1, padding 1.
const MODIFIED_RECORD: usize = 24;
/// Where the kind of packet stands in it.
const PACKET_TYPE: usize = 22;
/// The one major version there is.
const MAJOR: u16 = 2;
/// The newest minor version (draft-ietf-opsawg-pcap §4).
const MINOR: u16 = 4;
/// Captured and original length stand in this order since then.
const MINOR_IN_ORDER: u16 = 3;
/// Bits of the link type field that must be zero; those above them tell the checksum's length.
const RESERVED: u32 = 0x03ff_0000;

/// Magic of the ordinary format in its byte order, and of the modified one.
const ORDINARY: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

/// What the header says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pcap {
    order: Endianness,
    unit: u64,
    modified: bool,
    lengths: Lengths,
    pub(super) link_type: LinkType,
    pub(super) snaplen: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    OriginalFirst,
    /// The smaller one is the captured length.
    Either,
}

/// True if a file that begins so is of this format.
pub(super) fn is_magic(begin: &[u8]) -> bool {
    let Some(&magic) = begin.first_chunk() else { return false };
    [u32::from_be_bytes(magic), u32::from_le_bytes(magic)]
        .iter()
        .any(|magic| [ORDINARY, NANOSECONDS, MODIFIED].contains(magic))
}

impl Pcap {
    /// Reads the file header.
    pub(super) fn begin(input: &mut Input) -> Result<Self, Stop> {
        let ahead = input.peek(HEADER)?;
        let Some(&header) = ahead.first_chunk::<HEADER>() else {
            return Err(Stop::cut("the file header", HEADER, ahead.len()));
        };
        let (header, modified) = ordinary(header);
        let (_, header) = PcapHeader::from_slice(&header).map_err(|e| Stop(e.to_string()))?;
        let PcapHeader { version_major, version_minor, .. } = header;
        if version_major != MAJOR || version_minor > MINOR {
            let version = format!("version {version_major}.{version_minor} is unknown");
            return Err(Stop(version));
        }
        let network = u32::from(header.datalink);
        if network & RESERVED != 0 {
            return Err(Stop(format!("link type {network:#x} has reserved bits")));
        }
        input.pass(HEADER);
        Ok(Self {
            order: header.endianness,
            unit: if header.ts_resolution == TsResolution::NanoSecond { 1 } else { 1_000 },
            modified,
            lengths: match version_minor {
                ..MINOR_IN_ORDER => Lengths::OriginalFirst,
                MINOR_IN_ORDER => Lengths::Either,
                _ => Lengths::CapturedFirst,
            },
            // The upper half was looked at above.
            link_type: LinkType(network as u16),
            snaplen: if header.snaplen == 0 { LONGEST_FRAME } else { header.snaplen },
        })
    }

    /// How long the record is that begins here, and its stamp; none if it seems to be no record: see
    /// [`super::Survey`].
    pub(super) fn plausible(&self, ahead: &[u8]) -> Option<(usize, Option<Wall>)> {
        const UNITS: u64 = 1_000_000_000;
        let number = |at| u32_at(self.order, ahead, at);
        let header = if self.modified { MODIFIED_RECORD } else { RECORD };
        let (seconds, fraction, first, second) = (number(0)?, number(4)?, number(8)?, number(12)?);
        let captured = match self.lengths {
            Lengths::CapturedFirst if first <= second => first,
            Lengths::OriginalFirst if second <= first => second,
            Lengths::Either => first.min(second),
            _ => return None,
        };
        let (wall, fraction) = (u64::from(seconds) * UNITS, u64::from(fraction) * self.unit);
        if seconds == 0 || fraction >= UNITS || captured > LONGEST_FRAME {
            return None;
        }
        Some((header + captured as usize, Some(Wall(wall + fraction))))
    }

    /// The next record, which begins where `input` stands; none at the end.
    pub(super) fn next(&self, input: &mut Input) -> Result<Option<Record>, Stop> {
        let length = if self.modified { MODIFIED_RECORD } else { RECORD };
        let ahead = input.peek(length)?;
        if ahead.is_empty() {
            return Ok(None);
        }
        if ahead.len() < length {
            return Err(Stop::cut("a record header", length, ahead.len()));
        }
        let number = |at| u32_at(self.order, ahead, at).unwrap_or_default();
        let (seconds, fraction, mut captured, mut original) =
            (number(0), number(4), number(8), number(12));
        if (seconds, fraction, captured, original) == (0, 0, 0, 0) {
            return Err(Stop("zeros where a record should begin".to_owned()));
        }
        let swapped = match self.lengths {
            Lengths::CapturedFirst => false,
            Lengths::OriginalFirst => true,
            Lengths::Either => captured > original,
        };
        if swapped {
            (captured, original) = (original, captured);
        }
        let kind = self.modified.then(|| ahead[PACKET_TYPE]);
        let (direction, reception) = kind
            .map_or((Direction::Unknown, Reception::Unspecified), |kind| cooked::kind(kind.into()));
        if captured > LONGEST_FRAME {
            return Err(Stop::too_long("a record", captured, LONGEST_FRAME));
        }
        let end = length + captured as usize;
        let there = input.peek(end)?.len();
        if there < end {
            return Err(Stop::cut("a record", end, there));
        }
        // 32 bits of seconds are 136 years: far from the end of 64 bits of nanoseconds.
        let wall = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit;
        Ok(Some(Record {
            origin: 0,
            wall: Some(Wall(wall)),
            original_len: original.max(captured),
            direction,
            reception,
            bytes: length..end,
            copies: None,
            commented: false,
            length: end,
        }))
    }
}

/// A header as `pcap-file` knows it, and whether it was Kuznetzov's, which differs by its magic only.
fn ordinary(mut header: [u8; HEADER]) -> ([u8; HEADER], bool) {
    for (modified, ordinary) in [
        (MODIFIED.to_be_bytes(), ORDINARY.to_be_bytes()),
        (MODIFIED.to_le_bytes(), ORDINARY.to_le_bytes()),
    ] {
        if header.starts_with(&modified) {
            header[..ordinary.len()].copy_from_slice(&ordinary);
            return (header, true);
        }
    }
    (header, false)
}
