//! A capture file made of others: the frames that are wanted, and the blocks that explain them, as one section
//! of pcapng or as pcap.
//!
//! Blocks go out as they came in, but for the number of their interface: options, resolutions and comments
//! survive because nobody touches them. Interfaces that are described alike in several files or sections are
//! one.

use std::collections::{BTreeMap, HashMap};

use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, INTERFACE_STATISTIC_BLOCK,
    NAME_RESOLUTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK,
};

use super::block::{self, BODY};
use super::fields::{u16_at, u32_at};
use super::output::{Format, Output};
use super::{Block, FileFrame, FileSource, LONGEST_FRAME};
use crate::error::{Error, Result};
use crate::frame::{Direction, LinkType, Origin};
use crate::time::Wall;

/// What is not written, under these names.
const ENTRIES: &str = "journal entries";
const NAMES: &str = "name resolution blocks";
const SECRETS: &str = "decryption secrets";
const STATISTICS: &str = "interface statistics";
const OTHERS: &str = "blocks that may not be copied or cannot be turned to this byte order";
const COPIES: &str = "folded copies, which only comments count,";
const COMMENTS: &str = "comments on frames";
const SECTIONS: &str = "headers of further sections";
/// Interfaces in the output; each costs memory.
const MOST_INTERFACES: usize = 65_536;
/// `if_tsresol`: stamps count units of 10^-9 s.
const NANOSECONDS: u8 = 9;
/// First bytes of a pcap file with nanoseconds (draft-ietf-opsawg-pcap).
const PCAP_NANOSECONDS: u32 = 0xa1b2_3c4d;

/// A capture file being written.
pub(crate) struct Writer {
    output: Output,
    /// None for pcap.
    section: Option<Section>,
    /// The link type of a pcap file, and whose frames set it.
    link_type: Option<(LinkType, String)>,
    pub(crate) frames: u64,
    pub(crate) entries: u64,
    pub(crate) span: Option<(Wall, Wall)>,
    pub(crate) left_out: BTreeMap<&'static str, u64>,
}

/// Interfaces of a section, as they are numbered in the output.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) interfaces: Vec<u32>,
    /// How often a description was in this section.
    pub(crate) described: HashMap<Vec<u8>, usize>,
    /// Where frames go that have neither stamp nor number, or are of a classic file.
    pub(crate) made: Option<u32>,
}

/// Interfaces by their description.
#[derive(Default)]
struct Section {
    known: HashMap<Vec<u8>, Vec<u32>>,
    count: usize,
}

impl Writer {
    /// Begins the file; `about` says what it is.
    pub(crate) fn begin(
        mut output: Output,
        format: Format,
        sections: &[Block<'_>],
        about: &str,
    ) -> Result<Self> {
        output.buffer().extend(head(format, sections, about));
        Ok(Self::behind(output, format))
    }

    /// Goes on behind what [`head`] made.
    pub(crate) fn behind(output: Output, format: Format) -> Self {
        let section = (format != Format::Pcap).then(Section::default);
        let (span, left_out) = (None, BTreeMap::new());
        Self { output, section, link_type: None, frames: 0, entries: 0, span, left_out }
    }

    /// A block without frame or stamp.
    pub(crate) fn block(&mut self, block: &Block<'_>, numbers: &mut Numbers) -> Result<()> {
        let statistics = block.kind == INTERFACE_STATISTIC_BLOCK;
        let Some(section) = &mut self.section else {
            match block.kind {
                NAME_RESOLUTION_BLOCK => self.leave_out(NAMES),
                block::SECRETS => self.leave_out(SECRETS),
                INTERFACE_STATISTIC_BLOCK => self.leave_out(STATISTICS),
                SECTION_HEADER_BLOCK | INTERFACE_DESCRIPTION_BLOCK => {}
                _ => self.leave_out(OTHERS),
            }
            return Ok(());
        };
        match block.kind {
            SECTION_HEADER_BLOCK => {
                let further = !numbers.described.is_empty() || !numbers.interfaces.is_empty();
                *numbers = Numbers::default();
                if further {
                    self.leave_out(SECTIONS);
                }
                return Ok(());
            }
            INTERFACE_DESCRIPTION_BLOCK => {
                section.describe(self.output.buffer(), block, numbers)?;
                return self.output.hand_over();
            }
            block::CUSTOM_TO_STAY => {
                self.leave_out(OTHERS);
                return Ok(());
            }
            _ => {}
        }
        let begin = self.output.buffer().len();
        if !block::append_little(self.output.buffer(), block) {
            self.leave_out(OTHERS);
            return Ok(());
        }
        if statistics {
            let number = u32_at(block.order, block.bytes, BODY).unwrap_or_default();
            let Some(number) = numbers.interfaces.get(number as usize) else {
                self.output.buffer().truncate(begin);
                self.leave_out(STATISTICS);
                return Ok(());
            };
            patch(self.output.buffer(), begin + BODY, &number.to_le_bytes());
        }
        self.output.hand_over()
    }

    /// A journal entry.
    pub(crate) fn entry(&mut self, block: &Block<'_>, wanted: bool) -> Result<()> {
        if !wanted {
            return Ok(());
        }
        if self.section.is_none() {
            self.leave_out(ENTRIES);
            return Ok(());
        }
        block::append_little(self.output.buffer(), block);
        self.entries += 1;
        self.output.hand_over()
    }

    /// The frame that a file stands at, which is of `wall`. Per frame: no allocation, and one copy.
    pub(crate) fn frame(
        &mut self,
        file: &FileSource,
        numbers: &mut Numbers,
        wall: Wall,
    ) -> Result<()> {
        self.append(file, numbers, wall)?;
        self.count(wall);
        self.output.hand_over()
    }

    /// The same, into `held` instead of the file; what must stand before it goes to the file.
    pub(crate) fn hold(
        &mut self,
        file: &FileSource,
        numbers: &mut Numbers,
        wall: Wall,
        held: &mut Vec<u8>,
    ) -> Result<()> {
        let begin = self.append(file, numbers, wall)?;
        let out = self.output.buffer();
        held.extend_from_slice(&out[begin..]);
        out.truncate(begin);
        Ok(())
    }

    /// A frame of `wall` that was held, with a comment if there is room for one in this kind of file.
    pub(crate) fn release(&mut self, held: &[u8], wall: Wall, comment: Option<&str>) -> Result<()> {
        let out = self.output.buffer();
        match comment.filter(|_| self.section.is_some()) {
            Some(comment) => block::append_commented(out, held, comment),
            None => out.extend_from_slice(held),
        }
        self.count(wall);
        self.output.hand_over()
    }

    /// A journal entry, into `held`; false, and counted, where the file has no place for it.
    pub(crate) fn hold_entry(&mut self, block: &Block<'_>, held: &mut Vec<u8>) -> bool {
        if self.section.is_none() {
            self.leave_out(ENTRIES);
            return false;
        }
        block::append_little(held, block)
    }

    /// A journal entry that was held.
    pub(crate) fn release_entry(&mut self, held: &[u8]) -> Result<()> {
        self.output.buffer().extend_from_slice(held);
        self.entries += 1;
        self.output.hand_over()
    }

    fn count(&mut self, wall: Wall) {
        self.frames += 1;
        let (first, last) = self.span.unwrap_or((wall, wall));
        self.span = Some((first.min(wall), last.max(wall)));
    }

    /// Appends a frame to the buffer, and tells where in it the frame's block or record begins: before it
    /// may be the description of its interface.
    fn append(&mut self, file: &FileSource, numbers: &mut Numbers, wall: Wall) -> Result<usize> {
        let Some(frame) = file.frame() else { return Ok(self.output.buffer().len()) };
        let origin = &file.origins()[frame.origin];
        let Some(section) = &mut self.section else {
            return self.record(&frame, origin, file.name(), wall);
        };
        let out = self.output.buffer();
        let mut at = out.len();
        match file.block() {
            Some(block) if block.kind == ENHANCED_PACKET_BLOCK => {
                let begin = out.len() + BODY;
                block::append_little(out, &block);
                let number = u32_at(block.order, block.bytes, BODY).unwrap_or_default();
                let number = numbers.interfaces.get(number as usize).copied();
                patch(out, begin, &number.unwrap_or_default().to_le_bytes());
            }
            Some(block) if block.kind == PACKET_BLOCK => {
                let begin = out.len() + BODY;
                block::append_little(out, &block);
                let number = u16_at(block.order, block.bytes, BODY).unwrap_or_default();
                let number = numbers.interfaces.get(usize::from(number)).copied();
                // Fewer than 65,536, see `describe`.
                patch(out, begin, &(number.unwrap_or_default() as u16).to_le_bytes());
            }
            Some(block) if numbers.interfaces.first() == Some(&0) => {
                block::append_little(out, &block);
            }
            // A frame of a classic file, or one without a number whose interface is not number zero here.
            _ => {
                let number = match numbers.made {
                    Some(number) => number,
                    None => section.make(out, origin)?,
                };
                at = out.len();
                made_frame(out, &frame, number, wall);
                numbers.made = Some(number);
            }
        }
        Ok(at)
    }

    /// A frame of a pcap file, and before the first one the file header.
    fn record(
        &mut self,
        frame: &FileFrame<'_>,
        origin: &Origin,
        file: &str,
        wall: Wall,
    ) -> Result<usize> {
        const MOST: &str = "write pcapng, which has none of pcap's limits";
        let out = self.output.buffer();
        match &self.link_type {
            None => {
                file_header(out, origin.link_type);
                self.link_type =
                    Some((origin.link_type, format!("{} in {file}", origin.interface)));
            }
            Some((known, whose)) if *known != origin.link_type => {
                let reason = format!(
                    "link type {} of {} in {file}, after {} of {whose}: a pcap file has one",
                    origin.link_type.0, origin.interface, known.0
                );
                return Err(Error::operation("write", "pcap", reason)
                    .hint("choose with --interface, or write pcapng"));
            }
            Some(_) => {}
        }
        let (seconds, nanos) = (wall.0 / 1_000_000_000, wall.0 % 1_000_000_000);
        let Ok(seconds) = u32::try_from(seconds) else {
            return Err(
                Error::operation("write", "pcap", format!("{wall} is after 2106")).hint(MOST)
            );
        };
        let at = out.len();
        for number in [seconds, nanos as u32, frame.bytes.len() as u32, frame.original_len] {
            out.extend(number.to_le_bytes());
        }
        out.extend_from_slice(frame.bytes);
        if let Some(copies) = frame.copies {
            // It is one of them itself.
            *self.left_out.entry(COPIES).or_default() += copies.count.saturating_sub(1);
        } else if frame.commented {
            self.leave_out(COMMENTS);
        }
        Ok(at)
    }

    fn leave_out(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }

    /// Bytes of the file so far, before compression.
    pub(crate) fn bytes(&mut self) -> u64 {
        self.output.bytes()
    }

    /// Writes the rest, and gives the file its name; tells its size, if it has one.
    ///
    /// # Errors
    /// When it could not be written.
    pub(crate) fn finish(self) -> Result<Option<u64>> {
        self.finish_with(&[])
    }

    /// The same, with other bytes for the head, see [`Output::finish_with`].
    ///
    /// # Errors
    /// When it could not be written.
    pub(crate) fn finish_with(mut self, head: &[u8]) -> Result<Option<u64>> {
        if self.section.is_none() && self.link_type.is_none() {
            file_header(self.output.buffer(), LinkType::ETHERNET);
        }
        self.output.finish_with(head)
    }
}

impl Section {
    /// Writes a description that is new, and numbers it.
    fn describe(
        &mut self,
        out: &mut Vec<u8>,
        block: &Block<'_>,
        numbers: &mut Numbers,
    ) -> Result<()> {
        let mut bytes = Vec::with_capacity(block.bytes.len());
        block::append_little(&mut bytes, block);
        let times = numbers.described.entry(bytes.clone()).or_default();
        let occurrence = *times;
        *times += 1;
        let alike = self.known.entry(bytes).or_default();
        let number = match alike.get(occurrence) {
            Some(known) => *known,
            None => {
                let number = next(&mut self.count)?;
                block::append_little(out, block);
                alike.push(number);
                number
            }
        };
        numbers.interfaces.push(number);
        Ok(())
    }

    /// Describes the interface of frames that come without a description, in nanoseconds.
    fn make(&mut self, out: &mut Vec<u8>, origin: &Origin) -> Result<u32> {
        const IF_NAME: u16 = 2;
        const IF_TSRESOL: u16 = 9;
        let mut bytes = Vec::new();
        block::append(&mut bytes, INTERFACE_DESCRIPTION_BLOCK, |out| {
            out.extend(origin.link_type.0.to_le_bytes());
            out.extend([0; 2]);
            out.extend(origin.snaplen.to_le_bytes());
            block::option(out, IF_NAME, origin.interface.as_bytes());
            block::option(out, IF_TSRESOL, &[NANOSECONDS]);
            block::end_options(out);
        });
        if let Some(known) = self.known.get(&bytes).and_then(|alike| alike.first()) {
            return Ok(*known);
        }
        let number = next(&mut self.count)?;
        out.extend_from_slice(&bytes);
        self.known.insert(bytes, vec![number]);
        Ok(number)
    }
}

fn next(count: &mut usize) -> Result<u32> {
    let number = *count;
    *count += 1;
    if number >= MOST_INTERFACES {
        let reason = format!("more than {MOST_INTERFACES} interfaces");
        return Err(
            Error::operation("write", "the section", reason).hint("cut fewer files at once")
        );
    }
    Ok(number as u32)
}

/// What a file begins with: a section header, whose last comment is `about`; nothing for pcap.
pub(crate) fn head(format: Format, sections: &[Block<'_>], about: &str) -> Vec<u8> {
    let mut head = Vec::new();
    if format != Format::Pcap {
        section_header(&mut head, sections, about);
    }
    head
}

/// The options of the first section header, the comments of the others, and what this file is.
fn section_header(out: &mut Vec<u8>, sections: &[Block<'_>], about: &str) {
    const COMMENT: u16 = 1;
    const APPLICATION: u16 = 4;
    block::append(out, SECTION_HEADER_BLOCK, |out| {
        out.extend(0x1a2b_3c4d_u32.to_le_bytes());
        out.extend([1, 0, 0, 0]);
        // Of a length that is not known.
        out.extend([0xff; 8]);
        let mut sections = sections.iter();
        match sections.next() {
            Some(first) => out.extend(block::section_options(first)),
            None => block::option(out, APPLICATION, crate::APPLICATION.as_bytes()),
        }
        for section in sections {
            block::comments(section).for_each(|comment| block::option(out, COMMENT, comment));
        }
        block::option(out, COMMENT, about.as_bytes());
        block::end_options(out);
    });
}

fn made_frame(out: &mut Vec<u8>, frame: &FileFrame<'_>, number: u32, wall: Wall) {
    const FLAGS: u16 = 2;
    block::append(out, ENHANCED_PACKET_BLOCK, |out| {
        let (high, low) = ((wall.0 >> 32) as u32, wall.0 as u32);
        for field in [number, high, low, frame.bytes.len() as u32, frame.original_len] {
            out.extend(field.to_le_bytes());
        }
        out.extend_from_slice(frame.bytes);
        out.resize(out.len() + (4 - frame.bytes.len() % 4) % 4, 0);
        let flags = match frame.direction {
            Direction::Unknown => return,
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        } | (frame.reception as u32) << 2;
        block::option(out, FLAGS, &flags.to_le_bytes());
        block::end_options(out);
    });
}

/// Version 2.4, nanoseconds, in UTC.
fn file_header(out: &mut Vec<u8>, link_type: LinkType) {
    out.extend(PCAP_NANOSECONDS.to_le_bytes());
    out.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(LONGEST_FRAME.to_le_bytes());
    out.extend(u32::from(link_type.0).to_le_bytes());
}

fn patch(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = out.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
