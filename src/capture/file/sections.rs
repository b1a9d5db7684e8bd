//! pcapng: blocks in sections, each with a byte order and interfaces of its own (draft-ietf-opsawg-pcapng).
//!
//! `pcap-file` takes blocks apart. What is in them is read here, because it is stricter than the
//! format and than other readers: it refuses a whole block, and with it the rest of the file, for a
//! description that is not UTF-8 (Windows writes some) or options without an end mark (which is
//! optional), and it reads the stamp of the obsolete packet block with its halves exchanged.
//!
//! Blocks without a frame are passed over: name resolution, statistics, secrets, journal entries,
//! what others added.

use byteorder_slice::{BigEndian, LittleEndian};
use pcap_file::pcapng::RawBlock;
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK,
    SIMPLE_PACKET_BLOCK,
};
use pcap_file::{Endianness, PcapError};

use super::classic::{u16_at, u32_at};
use super::input::Input;
use super::{LONGEST_BLOCK, LONGEST_FRAME, MAX_INTERFACES, Record, Stop};
use crate::frame::{Direction, LinkType, Reception};
use crate::time::Wall;

/// First bytes of every file: the type of a section header, the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Type, length and, in a section header, the byte order.
const BLOCK_BEGIN: usize = 12;
/// Type and length, before a block's body.
const BODY: usize = 8;
/// The length once more, behind it.
const TRAILER: usize = 4;
/// The one major version there is.
const MAJOR: u16 = 1;

/// `if_name`, `if_tsresol`, `if_tsoffset` of an interface description.
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
/// `epb_flags`, and `pack_flags` of the obsolete packet block.
const FLAGS: u16 = 2;

/// The section being read.
#[derive(Debug)]
pub(super) struct Sections {
    order: Endianness,
    interfaces: Vec<Interface>,
}

/// An interface of the section.
#[derive(Debug, Clone, Copy)]
struct Interface {
    /// Its number among all origins of the file.
    origin: usize,
    snaplen: u32,
    clock: Clock,
}

/// How the interface's stamps count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    /// As in the file: 10^-n s, or with the top bit 2^-n s.
    resolution: u8,
    /// Seconds to be added.
    offset: i64,
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

impl Sections {
    /// Reads the first section header.
    pub(super) fn begin(input: &mut Input) -> Result<Self, Stop> {
        let mut sections = Self { order: Endianness::Big, interfaces: Vec::new() };
        let length = sections.block(input)?.ok_or_else(|| Stop::cut("a block", BLOCK_BEGIN, 0))?;
        sections.section(body(input.ahead(), length))?;
        input.pass(length);
        Ok(sections)
    }

    /// The next frame, in the block where `input` stands then; none at the end. New interfaces are
    /// told to `describe`, which numbers them.
    pub(super) fn next(
        &mut self,
        input: &mut Input,
        describe: &mut dyn FnMut(Description) -> Result<usize, Stop>,
    ) -> Result<Option<Record>, Stop> {
        while let Some(length) = self.block(input)? {
            let block = input.ahead();
            let body = body(block, length);
            let record = match u32_at(self.order, block, 0).unwrap_or_default() {
                SECTION_HEADER_BLOCK => self.section(body).map(|()| None),
                INTERFACE_DESCRIPTION_BLOCK => self.interface(body, describe).map(|()| None),
                ENHANCED_PACKET_BLOCK => self.enhanced(body).map(Some),
                SIMPLE_PACKET_BLOCK => self.simple(body).map(Some),
                PACKET_BLOCK => self.obsolete(body).map(Some),
                _ => Ok(None),
            }?;
            if let Some(mut record) = record {
                record.bytes = record.bytes.start + BODY..record.bytes.end + BODY;
                record.length = length;
                return Ok(Some(record));
            }
            input.pass(length);
        }
        Ok(None)
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
        let length = length as usize;
        let ahead = input.peek(length)?;
        if ahead.len() < length {
            return Err(Stop::cut("a block", length, ahead.len()));
        }
        match self.order {
            Endianness::Big => RawBlock::from_slice::<BigEndian>(ahead).map(drop),
            Endianness::Little => RawBlock::from_slice::<LittleEndian>(ahead).map(drop),
        }
        .map_err(|e| match e {
            PcapError::InvalidField(field) => Stop(field.to_owned()),
            other => Stop(other.to_string()),
        })?;
        Ok(Some(length))
    }

    fn section(&mut self, body: &[u8]) -> Result<(), Stop> {
        let version = |at| u16_at(self.order, body, at);
        let (Some(major), Some(minor)) = (version(4), version(6)) else {
            return Err(short("section header"));
        };
        if major != MAJOR {
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
        let mut clock = Clock::MICROSECONDS;
        let mut name = None;
        for (code, value) in Options::of(order, body, OPTIONS) {
            match (code, value) {
                (IF_NAME, text) => name = Some(String::from_utf8_lossy(text).into_owned()),
                (IF_TSRESOL, [resolution, ..]) => clock.resolution = *resolution,
                (IF_TSOFFSET, seconds) => clock.offset = seconds_of(order, seconds),
                _ => {}
            }
        }
        let number = self.interfaces.len() as u32;
        let link_type = LinkType(link_type);
        let origin = describe(Description { number, name, link_type, snaplen })?;
        self.interfaces.push(Interface { origin, snaplen, clock });
        Ok(())
    }

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

    fn frame(
        &self,
        interface: Interface,
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
        let flags = Options::of(self.order, body, options)
            .find(|(code, _)| *code == FLAGS)
            .and_then(|(_, value)| u32_at(self.order, value, 0))
            .unwrap_or_default();
        Ok(Record {
            origin: interface.origin,
            wall: Some(interface.clock.wall(ticks)),
            original_len: original.max(captured),
            direction: direction(flags),
            reception: reception(flags),
            bytes: data..end,
            length: 0,
        })
    }

    fn known(&self, number: u32) -> Result<Interface, Stop> {
        self.interfaces
            .get(number as usize)
            .copied()
            .ok_or_else(|| Stop(format!("a frame of interface {number}, which was not described")))
    }
}

impl Clock {
    /// Where the file says nothing.
    const MICROSECONDS: Self = Self { resolution: 6, offset: 0 };
    /// Set in [`Clock::resolution`] where it is a power of two.
    const BINARY: u8 = 0x80;
    const NANOS: u32 = 9;

    /// Stamps before 1970 and after 2554 become the nearest that can be told.
    fn wall(self, ticks: u64) -> Wall {
        let ticks = u128::from(ticks);
        let power = u32::from(self.resolution & !Self::BINARY);
        let nanos = if self.resolution & Self::BINARY != 0 {
            // 64 bits times 30 bits fit 128.
            (ticks * 10_u128.pow(Self::NANOS)) >> power
        } else if power <= Self::NANOS {
            ticks * 10_u128.pow(Self::NANOS - power)
        } else {
            10_u128.checked_pow(power - Self::NANOS).map_or(0, |unit| ticks / unit)
        };
        // At most 94 bits, and an offset of 94 bits.
        let nanos = nanos.cast_signed() + i128::from(self.offset) * 10_i128.pow(Self::NANOS);
        Wall(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

/// The options of a block, as far as they are in order.
struct Options<'a> {
    order: Endianness,
    rest: &'a [u8],
}

impl<'a> Options<'a> {
    fn of(order: Endianness, body: &'a [u8], at: usize) -> Self {
        Self { order, rest: body.get(at..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const VALUE: usize = 4;
        let code = u16_at(self.order, self.rest, 0).filter(|code| *code != 0)?;
        let length = usize::from(u16_at(self.order, self.rest, 2)?);
        let value = self.rest.get(VALUE..VALUE + length)?;
        self.rest = self.rest.get(VALUE + length.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    }
}

fn body(block: &[u8], length: usize) -> &[u8] {
    block.get(BODY..length - TRAILER).unwrap_or_default()
}

fn short(what: &str) -> Stop {
    Stop(format!("a block too short for its {what}"))
}

fn seconds_of(order: Endianness, value: &[u8]) -> i64 {
    let Some(&value) = value.first_chunk() else { return 0 };
    match order {
        Endianness::Big => i64::from_be_bytes(value),
        Endianness::Little => i64::from_le_bytes(value),
    }
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
    fn stamps_become_nanoseconds_whatever_they_count() {
        for (resolution, offset, ticks, nanos) in [
            (6, 0, 1_500_000, 1_500_000_000),
            (9, 0, 7, 7),
            (0, 0, 3, 3_000_000_000),
            (12, 0, 5_999, 5),
            (127, 0, u64::MAX, 0),
            (0x88, 0, 0x180, 1_500_000_000),
            (0xff, 0, u64::MAX, 0),
            (6, 10, 1, 10_000_001_000),
            (6, -10, 11_000_000, 1_000_000_000),
            (6, -10, 1, 0),
            (0, i64::MAX, u64::MAX, u64::MAX),
            (0, i64::MIN, u64::MAX, u64::MAX),
        ] {
            let clock = Clock { resolution, offset };
            assert_eq!(clock.wall(ticks), Wall(nanos), "{clock:?} at {ticks}");
        }
    }

    #[test]
    fn options_need_no_end_mark_and_stop_where_they_are_damaged() {
        let all = |bytes: &[u8]| -> Vec<(u16, Vec<u8>)> {
            Options::of(Endianness::Big, bytes, 0).map(|(c, v)| (c, v.to_vec())).collect()
        };
        let one = (2, b"eth0\0".to_vec());
        assert_eq!(all(b"\0\x02\0\x05eth0\0\0\0\0"), std::slice::from_ref(&one));
        assert_eq!(
            all(b"\0\x02\0\x05eth0\0\0\0\0\0\0\0\0\0\x03\0\x01x"),
            std::slice::from_ref(&one)
        );
        assert_eq!(all(b"\0\x02\0\x05eth0\0"), std::slice::from_ref(&one), "no padding");
        assert_eq!(all(b"\0\x02\0\x05eth0\0\0\0\0\0\x09\0\xff\x06"), [one]);
        assert_eq!(all(b"\0\x02\0"), []);
    }
}
