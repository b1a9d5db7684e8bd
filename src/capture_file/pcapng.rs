//! pcapng: blocks in sections, each with a byte order and interfaces of its own (draft-ietf-opsawg-pcapng).
//!
//! Blocks are read here and not by `pcap-file`, which lays out those of bundles: it is stricter than the
//! format and than other readers. It refuses a whole block, and with it the rest of the file, for a
//! description that is not UTF-8 (Windows writes some) or options without an end mark (which is
//! optional), and it reads the stamp of the obsolete packet block with its halves exchanged.
//!
//! Blocks without a frame (name resolution, statistics, secrets, journal entries, what others added) are
//! handed over unread.

use pcap_file::Endianness;
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, INTERFACE_STATISTIC_BLOCK,
    NAME_RESOLUTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK, SIMPLE_PACKET_BLOCK,
    SYSTEMD_JOURNAL_EXPORT_BLOCK,
};

use super::fields::{Options, i64_at, u16_at, u32_at};
use super::input::Input;
use super::statistics::{self, Statistics};
use super::ticks::Ticks;
use super::{LONGEST_BLOCK, LONGEST_FRAME, MAX_INTERFACES, Record, Stop, comment};
use crate::frame::{Direction, LinkType, Reception};
use crate::time::Wall;
use crate::visible;

/// First bytes of every file: the type of a section header, the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Type, length and, in a section header, the byte order.
const BLOCK_BEGIN: usize = 12;
/// Type and length, before a block's body.
const BODY: usize = 8;
/// The length once more, behind it.
const TRAILER: usize = 4;
/// A block without a body, in bytes.
const SHORTEST_BLOCK: u32 = 12;
/// The one major version there is.
const MAJOR: u16 = 1;
/// The minor version there is, and one that some write and means the same (draft-ietf-opsawg-pcapng §4.1).
const MINORS: [u16; 2] = [0, 2];
/// Letters of an interface's name: Linux has 15 at most (IFNAMSIZ, linux/if.h), Windows some 60
/// (`\Device\NPF_{GUID}`); a file may claim 65,535.
const LONGEST_NAME: usize = 256;

/// `if_name`, `if_tsresol`, `if_tsoffset` of an interface description.
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
/// `opt_comment` of any block.
const COMMENT: u16 = 1;
/// `epb_flags`, and `pack_flags` of the obsolete packet block.
const FLAGS: u16 = 2;

/// Types of blocks without a stamp that stand between frames: simple packets, name resolution,
/// statistics, journal entries, decryption secrets, custom blocks that may be copied and that may not.
const PASSED_OVER: [u32; 7] = [
    SIMPLE_PACKET_BLOCK,
    NAME_RESOLUTION_BLOCK,
    INTERFACE_STATISTIC_BLOCK,
    SYSTEMD_JOURNAL_EXPORT_BLOCK,
    10,
    0x0bad,
    0x4000_0bad,
];

/// The section being read.
#[derive(Debug)]
pub(super) struct Pcapng {
    order: Endianness,
    interfaces: Vec<InterfaceDescription>,
}

/// An interface of the section.
#[derive(Debug, Clone, Copy)]
struct InterfaceDescription {
    /// Its number among all origins of the file.
    origin: usize,
    snaplen: u32,
    clock: Ticks,
}

/// What an interface description says, for whoever keeps the origins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// Its number in its section.
    pub(super) number: u32,
    pub(super) name: Option<String>,
    pub(super) link_type: LinkType,
    pub(super) snaplen: u32,
}

/// What the next block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BlockStep {
    /// One with a frame.
    Frame(Record),
    /// One without, of so many bytes.
    Block(usize),
}

impl BlockStep {
    /// In bytes, the whole block or record.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Frame(record) => record.length,
            Self::Block(length) => *length,
        }
    }
}

impl Pcapng {
    /// Reads the first section header, and does not pass it.
    pub(super) fn begin(input: &mut Input) -> Result<Self, Stop> {
        let mut sections = Self { order: Endianness::Big, interfaces: Vec::new() };
        let length = sections.block(input)?.ok_or_else(|| Stop::cut("a block", BLOCK_BEGIN, 0))?;
        sections.section(body(input.ahead(), length))?;
        Ok(sections)
    }

    /// The byte order of the section.
    pub(super) fn order(&self) -> Endianness {
        self.order
    }

    /// The next block, where `input` stands; none at the end. New interfaces are told to `describe`, which
    /// numbers them.
    pub(super) fn step(
        &mut self,
        input: &mut Input,
        describe: &mut dyn FnMut(Description) -> Result<usize, Stop>,
    ) -> Result<Option<BlockStep>, Stop> {
        let Some(length) = self.block(input)? else { return Ok(None) };
        let block = input.ahead();
        let body = body(block, length);
        let step = |record| Ok(Some(BlockStep::Frame(Record { length, ..record })));
        match u32_at(self.order, block, 0).unwrap_or_default() {
            ENHANCED_PACKET_BLOCK => step(self.enhanced(body)?),
            SECTION_HEADER_BLOCK => self.section(body).map(|()| Some(BlockStep::Block(length))),
            INTERFACE_DESCRIPTION_BLOCK => {
                self.interface(body, describe).map(|()| Some(BlockStep::Block(length)))
            }
            SIMPLE_PACKET_BLOCK => step(self.simple(body)?),
            PACKET_BLOCK => step(self.obsolete(body)?),
            _ => Ok(Some(BlockStep::Block(length))),
        }
    }

    /// What `block`, a whole one of this section, tells of an interface; none if it is no statistics block.
    pub(super) fn statistics(&self, block: &[u8]) -> Option<Statistics> {
        if u32_at(self.order, block, 0)? != INTERFACE_STATISTIC_BLOCK {
            return None;
        }
        let body = body(block, block.len());
        let number = statistics::interface(self.order, body)?;
        let interface = self.interfaces.get(number as usize)?;
        Some(statistics::read(self.order, body, interface.origin, interface.clock))
    }

    /// How long the block is that begins here, and its stamp if it has one; none if it seems to be no
    /// block of this section, or one that changes what the section is: see [`super::Survey`].
    pub(super) fn plausible(&self, ahead: &[u8]) -> Option<(usize, Option<Wall>)> {
        let number = |at| u32_at(self.order, ahead, at);
        let (kind, length) = (number(0)?, number(4)?);
        let frame = [ENHANCED_PACKET_BLOCK, PACKET_BLOCK].contains(&kind);
        if !(frame || PASSED_OVER.contains(&kind)) || length % 4 != 0 || length > LONGEST_BLOCK {
            return None;
        }
        let length = length as usize;
        let body = ahead.get(BODY..length.checked_sub(TRAILER)?)?;
        if number(length - TRAILER)? as usize != length {
            return None;
        }
        let record = match kind {
            ENHANCED_PACKET_BLOCK => self.enhanced(body).ok()?,
            PACKET_BLOCK => self.obsolete(body).ok()?,
            _ => return Some((length, None)),
        };
        Some((length, record.wall))
    }

    /// True if what begins here seems to be a section header or the description of an interface.
    pub(super) fn is_changed_by(&self, ahead: &[u8]) -> bool {
        let kind = u32_at(self.order, ahead, 0);
        kind.is_some_and(|kind| [SECTION_HEADER_BLOCK, INTERFACE_DESCRIPTION_BLOCK].contains(&kind))
    }

    /// Looks at the whole next block; its length, or none at the end.
    fn block(&mut self, input: &mut Input) -> Result<Option<usize>, Stop> {
        let begin = input.peek(BLOCK_BEGIN)?;
        if begin.is_empty() {
            return Ok(None);
        }
        if begin.len() < BLOCK_BEGIN {
            return Err(Stop::cut("a block", BLOCK_BEGIN, begin.len()));
        }
        if begin.starts_with(&MAGIC) {
            self.order = match begin[BODY..BLOCK_BEGIN] {
                [0x1a, 0x2b, 0x3c, 0x4d] => Endianness::Big,
                [0x4d, 0x3c, 0x2b, 0x1a] => Endianness::Little,
                _ => return Err(Stop("a section in no byte order".to_owned())),
            };
        }
        let length = u32_at(self.order, begin, 4).unwrap_or_default();
        if length > LONGEST_BLOCK {
            return Err(Stop::too_long("a block", length, LONGEST_BLOCK));
        }
        if length < SHORTEST_BLOCK || !length.is_multiple_of(4) {
            return Err(Stop(format!("a block that claims {length} bytes, which none can have")));
        }
        let length = length as usize;
        let ahead = input.peek(length)?;
        if ahead.len() < length {
            return Err(Stop::cut("a block", length, ahead.len()));
        }
        match u32_at(self.order, ahead, length - TRAILER) {
            Some(again) if again as usize != length => {
                let told = format!("a block of {length} bytes that ends by claiming {again}");
                return Err(Stop(told));
            }
            _ => {}
        }
        Ok(Some(length))
    }

    fn section(&mut self, body: &[u8]) -> Result<(), Stop> {
        let version = |at| u16_at(self.order, body, at);
        let (Some(major), Some(minor)) = (version(4), version(6)) else {
            return Err(short("section header"));
        };
        if major != MAJOR || !MINORS.contains(&minor) {
            return Err(Stop(format!("a section of unknown version {major}.{minor}")));
        }
        self.interfaces.clear();
        Ok(())
    }

    fn interface(
        &mut self,
        body: &[u8],
        describe: &mut dyn FnMut(Description) -> Result<usize, Stop>,
    ) -> Result<(), Stop> {
        const OPTIONS: usize = 8;
        let order = self.order;
        let (Some(link_type), Some(snaplen)) = (u16_at(order, body, 0), u32_at(order, body, 4))
        else {
            return Err(short("interface description"));
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Stop(format!("more than {MAX_INTERFACES} interfaces")));
        }
        let snaplen = if snaplen == 0 { LONGEST_FRAME } else { snaplen };
        let mut clock = Ticks::MICROSECONDS;
        let mut name = None;
        for (code, value) in Options::of(order, body, OPTIONS) {
            match (code, value) {
                (IF_NAME, text) => name = Some(printable(text)),
                (IF_TSRESOL, [resolution, ..]) => clock.resolution = *resolution,
                (IF_TSOFFSET, seconds) => {
                    clock.offset = i64_at(order, seconds, 0).unwrap_or_default();
                }
                _ => {}
            }
        }
        let number = self.interfaces.len() as u32;
        let link_type = LinkType(link_type);
        let origin = describe(Description { number, name, link_type, snaplen })?;
        self.interfaces.push(InterfaceDescription { origin, snaplen, clock });
        Ok(())
    }

    #[inline]
    fn enhanced(&self, body: &[u8]) -> Result<Record, Stop> {
        const DATA: usize = 20;
        let number = |at| u32_at(self.order, body, at).ok_or_else(|| short("enhanced packet"));
        let interface = self.known(number(0)?)?;
        let ticks = u64::from(number(4)?) << 32 | u64::from(number(8)?);
        self.frame(interface, ticks, (number(12)?, number(16)?), body, DATA)
    }

    fn obsolete(&self, body: &[u8]) -> Result<Record, Stop> {
        const DATA: usize = 20;
        let number = |at| u32_at(self.order, body, at).ok_or_else(|| short("packet"));
        let interface = u16_at(self.order, body, 0).ok_or_else(|| short("packet"))?;
        let interface = self.known(interface.into())?;
        let ticks = u64::from(number(4)?) << 32 | u64::from(number(8)?);
        self.frame(interface, ticks, (number(12)?, number(16)?), body, DATA)
    }

    fn simple(&self, body: &[u8]) -> Result<Record, Stop> {
        const DATA: usize = 4;
        let interface = self.known(0)?;
        let original_len = u32_at(self.order, body, 0).ok_or_else(|| short("simple packet"))?;
        let there = u32::try_from(body.len() - DATA).unwrap_or(u32::MAX);
        let captured = original_len.min(interface.snaplen).min(there);
        let frame = self.frame(interface, 0, (captured, original_len), body, DATA)?;
        Ok(Record { wall: None, ..frame })
    }

    /// The frame of a block with this `body`, where its bytes begin at `data`.
    #[inline]
    fn frame(
        &self,
        interface: InterfaceDescription,
        ticks: u64,
        (captured, original): (u32, u32),
        body: &[u8],
        data: usize,
    ) -> Result<Record, Stop> {
        if captured > LONGEST_FRAME {
            return Err(Stop::too_long("a frame", captured, LONGEST_FRAME));
        }
        let end = data + captured as usize;
        if end > body.len() {
            return Err(Stop(format!("a frame of {captured} bytes in a shorter block")));
        }
        let options = end.next_multiple_of(4);
        let (mut flags, mut copies, mut commented) = (0, None, false);
        for (code, value) in Options::of(self.order, body, options) {
            match code {
                FLAGS => flags = u32_at(self.order, value, 0).unwrap_or_default(),
                COMMENT => {
                    commented = true;
                    copies = copies.or(comment::copies(value));
                }
                _ => {}
            }
        }
        Ok(Record {
            origin: interface.origin,
            wall: Some(interface.clock.wall(ticks)),
            original_len: original.max(captured),
            direction: direction(flags),
            reception: reception(flags),
            bytes: BODY + data..BODY + end,
            copies,
            commented,
            length: 0,
        })
    }

    #[inline]
    fn known(&self, number: u32) -> Result<InterfaceDescription, Stop> {
        self.interfaces
            .get(number as usize)
            .copied()
            .ok_or_else(|| Stop(format!("a frame of interface {number}, which was not described")))
    }
}

/// Some end with a zero that does not belong to them; and a name is printed on terminals, and kept for each
/// thing that was seen there: of one that is longer than [`LONGEST_NAME`], as much is taken.
fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.get(..4 * LONGEST_NAME).unwrap_or(text));
    let name = visible::plain(text.trim_end_matches('\0'));
    name.chars().take(LONGEST_NAME).collect()
}

fn body(block: &[u8], length: usize) -> &[u8] {
    block.get(BODY..length - TRAILER).unwrap_or_default()
}

fn short(what: &str) -> Stop {
    Stop(format!("a block too short for its {what}"))
}

/// Bits 0 and 1 of `epb_flags`.
fn direction(flags: u32) -> Direction {
    match flags & 0b11 {
        0b01 => Direction::Inbound,
        0b10 => Direction::Outbound,
        _ => Direction::Unknown,
    }
}

/// Bits 2 to 4 of `epb_flags`.
fn reception(flags: u32) -> Reception {
    match flags >> 2 & 0b111 {
        1 => Reception::Unicast,
        2 => Reception::Multicast,
        3 => Reception::Broadcast,
        4 => Reception::Promiscuous,
        _ => Reception::Unspecified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_printed() {
        for (bytes, name) in
            [(&b"eth0"[..], "eth0"), (b"eth0\0\0", "eth0"), (b"\x1b[2J\xff", "\\u{1b}[2J\u{fffd}")]
        {
            assert_eq!(printable(bytes), name);
        }
        assert_eq!(printable(&[b'n'; 65_535]).len(), LONGEST_NAME);
    }
}
