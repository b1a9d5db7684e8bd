//! `capture.pcapng.zst`: frames and journal entries as ordinary tools read them.
//!
//! One section, written front to back in bounded memory, for a bundle compressed on the way:
//!
//! ```text
//!   section header      what wrote it, where, why
//!   interface × n       one per origin: name, link type, snaplen, nanoseconds, filter, binding
//!   ┌ packet            time, captured and original length, direction, reception
//!   ┤ journal entry     an observation or trigger, at its place in time
//!   └ interface         an origin first met in between: the interface was created again
//!   statistics × n      received and dropped, one per interface, at its last binding
//! ```
//!
//! It promises that no number is invented: what the source cannot know has no option. It never
//! reorders what it is given.
//!
//! Block layouts are those of draft-ietf-opsawg-pcapng. `pcap-file` 2.0.0 lays them out, with three
//! surprises handled here: without `if_tsresol` readers take its nanoseconds for microseconds; its
//! statistics block writes times low word first, the format wants the high word first
//! (`high_word_first`); and it cuts the length of an option to 16 bits (`option_text`).

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::blocks::systemd_journal_export::SystemdJournalExportBlock;
use pcap_file::{DataLink, Endianness, PcapError};

use super::Host;
use super::journal::Entry;
use super::runs::{Run, Runs};
use crate::APPLICATION;
use crate::capture_file::{Copies, comment};
use crate::frame::{FrameHeader, Origin, StampClock, StoredFrame};
use crate::stats::CaptureStats;
use crate::time::{Stamp, Wall};

/// `if_tsresol`: stamps count units of 10^-9 s.
const NANOSECONDS: u8 = 9;
/// `if_filter` begins with this octet where libpcap's filter syntax follows.
const FILTER_IS_TEXT: u8 = 0;
/// Longest captured length in bytes that readers accept: beyond it Wireshark
/// (`WTAP_MAX_PACKET_SIZE_STANDARD`) and libpcap (`MAXIMUM_SNAPLEN`) call the whole file damaged.
pub const LONGEST_FRAME: usize = 262_144;
/// Longest text of an option in bytes; its length field has 16 bits.
const LONGEST_OPTION: usize = 60_000;
/// Bytes gathered before the compressor is called: blocks are laid out in writes of 4 bytes, and a
/// call costs more than they do. The size the compressor itself works in (`ZSTD_BLOCKSIZE_MAX`).
const GATHER: usize = 128 * 1024;

/// zstd compression level: 1 is fastest. See `benches/bundle.rs` for what each gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(pub i32);

impl Default for Level {
    /// 1: on generated traffic level 3 takes twice to three times as long and level 9 ten times, for
    /// the same size (`benches/bundle.rs`), and while the writer compresses, the incident's memory
    /// stays pinned.
    fn default() -> Self {
        Self(1)
    }
}

/// A capture file being written.
pub struct CaptureFile<W: Write> {
    out: PcapNgWriter<BufWriter<W>>,
    host: Host,
    interfaces: Vec<InterfaceBlock>,
    shortened: u64,
    runs: Runs,
}

struct InterfaceBlock {
    origin: Arc<Origin>,
    filter: Option<String>,
    written: Written,
}

/// What was written of one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Frames; a run counts as one.
    pub frames: u64,
    /// Copies that runs stand for.
    pub folded: u64,
    /// Frames of which memory kept the headers only.
    pub faded: u64,
    /// Their captured bytes.
    pub bytes: u64,
    /// Stamp of the first frame.
    pub first: Option<Wall>,
    /// Stamp of the last frame.
    pub last: Option<Wall>,
}

/// Everything that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Per origin, in the order of the file's interface numbers.
    pub origins: Vec<(Arc<Origin>, Written)>,
    /// Frames cut to [`LONGEST_FRAME`].
    pub shortened: u64,
    /// Frames that came so fast that their copies were counted.
    pub runs: Vec<Run>,
    /// Copies counted that belong to none of those.
    pub folded_elsewhere: u64,
}

impl<W: Write> CaptureFile<zstd::Encoder<'static, W>> {
    /// Begins a compressed file in `out`; `comment` says what it is about.
    ///
    /// # Errors
    /// When `out` fails or the level does not exist.
    pub fn begin(out: W, host: &Host, comment: &str, level: Level) -> io::Result<Self> {
        let mut compressor = zstd::Encoder::new(out, level.0)?;
        compressor.include_checksum(true)?;
        Self::plain(compressor, host, comment)
    }

    /// Ends the file and gives back what it was written to, not yet flushed.
    ///
    /// # Errors
    /// When the output fails.
    pub fn finish(self) -> io::Result<(W, Contents)> {
        let compressor =
            self.out.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?;
        let out = compressor.finish()?;
        let origins = self.interfaces.into_iter().map(|i| (i.origin, i.written)).collect();
        let (runs, folded_elsewhere) = self.runs.finish();
        Ok((out, Contents { origins, shortened: self.shortened, runs, folded_elsewhere }))
    }
}

impl<W: Write> CaptureFile<W> {
    /// Begins a file as it is in `out`; `comment` says what it is about.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn plain(out: W, host: &Host, comment: &str) -> io::Result<Self> {
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![
                SectionHeaderOption::Comment(option_text(comment).into_owned().into()),
                SectionHeaderOption::Hardware(host.architecture.clone().into()),
                SectionHeaderOption::OS(operating_system(host).into()),
                SectionHeaderOption::UserApplication(APPLICATION.into()),
            ],
            ..SectionHeaderBlock::default()
        };
        let out = BufWriter::with_capacity(GATHER, out);
        let out = PcapNgWriter::with_section_header(out, section).map_err(io_error)?;
        Ok(Self {
            out,
            host: host.clone(),
            interfaces: Vec::new(),
            shortened: 0,
            runs: Runs::default(),
        })
    }

    /// Describes an origin, once, and tells its interface number.
    ///
    /// # Errors
    /// When the output fails.
    pub fn interface(&mut self, origin: &Arc<Origin>, filter: Option<&str>) -> io::Result<u32> {
        if let Some(known) = self.number(origin) {
            return Ok(known);
        }
        let mut options = vec![
            InterfaceDescriptionOption::IfName(option_text(&origin.interface)),
            InterfaceDescriptionOption::IfDescription(description(origin).into()),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            InterfaceDescriptionOption::IfOs(operating_system(&self.host).into()),
        ];
        if let Some(filter) = filter {
            let mut text = vec![FILTER_IS_TEXT];
            text.extend_from_slice(option_text(filter).as_bytes());
            options.push(InterfaceDescriptionOption::IfFilter(text.into()));
        }
        let linktype = DataLink::from(u32::from(origin.link_type.0));
        let block = InterfaceDescriptionBlock { linktype, snaplen: origin.snaplen, options };
        self.out.write_pcapng_block(block).map_err(io_error)?;
        self.interfaces.push(InterfaceBlock {
            origin: Arc::clone(origin),
            filter: filter.map(str::to_owned),
            written: Written::default(),
        });
        Ok(u32::try_from(self.interfaces.len() - 1).unwrap_or(u32::MAX))
    }

    /// Almost always found by address, so that nothing is compared per frame.
    fn number(&mut self, origin: &Arc<Origin>) -> Option<u32> {
        let by_address = self.interfaces.iter().position(|i| Arc::ptr_eq(&i.origin, origin));
        let found = by_address.or_else(|| {
            let equal = self.interfaces.iter().position(|i| i.origin == *origin)?;
            self.interfaces[equal].origin = Arc::clone(origin);
            Some(equal)
        });
        found.and_then(|number| u32::try_from(number).ok())
    }

    /// Appends a frame, and before it its origin if that was not described yet: with the filter of
    /// the binding before, which capture carries over.
    ///
    /// # Errors
    /// When the output fails.
    pub fn frame(&mut self, frame: &StoredFrame) -> io::Result<()> {
        let interface_id = self.binding(&frame.origin)?;
        let captured = frame.bytes.len().min(LONGEST_FRAME);
        self.shortened += u64::from(captured < frame.bytes.len());
        let full = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        self.interfaces[interface_id as usize].written.count(frame, captured);
        let mut options: Vec<_> =
            flags(&frame.header).map(EnhancedPacketOption::Flags).into_iter().collect();
        if let Some(tally) = &frame.tally {
            self.runs.add(frame, tally);
            let copies = Copies { count: tally.count, last: tally.last };
            options
                .push(EnhancedPacketOption::Comment(comment::folded(tally.first, copies).into()));
        }
        if frame.faded {
            let comment = comment::faded(frame.bytes.len(), frame.header.original_len);
            options.push(EnhancedPacketOption::Comment(comment.into()));
        }
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(frame.header.wall.0),
            original_len: frame.header.original_len.max(full),
            data: Cow::Borrowed(&frame.bytes[..captured]),
            options,
        };
        self.out.write_pcapng_block(block).map_err(io_error)?;
        Ok(())
    }

    /// The number of an origin that may be met for the first time.
    fn binding(&mut self, origin: &Arc<Origin>) -> io::Result<u32> {
        if let Some(known) = self.number(origin) {
            return Ok(known);
        }
        let before = self.interfaces.iter().rfind(|i| i.origin.interface == origin.interface);
        let filter = before.and_then(|interface| interface.filter.clone());
        self.interface(origin, filter.as_deref())
    }

    /// Appends a line between the packets.
    ///
    /// # Errors
    /// When the output fails.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let text = entry.export(&self.host.name);
        let block = SystemdJournalExportBlock { journal_entry: text.as_bytes().into() };
        self.out.write_pcapng_block(block).map_err(io_error)?;
        Ok(())
    }

    /// Appends the counts of an interface, at one origin only, the last one, so that nobody adds them up
    /// twice; they count from `since` to `closed`.
    ///
    /// `isb_ifdrop` is what Wireshark shows as dropped, and holds kernel and lane drops together, as
    /// dumpcap does it.
    ///
    /// # Errors
    /// When the output fails.
    pub fn statistics(
        &mut self,
        origin: &Arc<Origin>,
        since: Stamp,
        closed: Stamp,
        stats: &CaptureStats,
    ) -> io::Result<()> {
        let number = self.binding(origin)?;
        let mut options = vec![
            InterfaceStatisticsOption::Comment(named_counts(stats).into()),
            InterfaceStatisticsOption::IsbStartTime(high_word_first(since.wall)),
            InterfaceStatisticsOption::IsbEndTime(high_word_first(closed.wall)),
            InterfaceStatisticsOption::IsbUsrDeliv(stats.stored),
        ];
        options.extend(stats.kernel_received.map(InterfaceStatisticsOption::IsbIfRecv));
        if let Some(dropped) = stats.kernel_dropped {
            options.push(InterfaceStatisticsOption::IsbIfDrop(dropped + stats.lane_dropped));
            options.push(InterfaceStatisticsOption::IsbOsDrop(dropped));
        }
        let timestamp = high_word_first(closed.wall);
        let block = InterfaceStatisticsBlock { interface_id: number, timestamp, options };
        self.out.write_pcapng_block(block).map_err(io_error)?;
        Ok(())
    }

    /// Hands on what was gathered.
    ///
    /// # Errors
    /// When the output fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.get_mut().flush()
    }

    /// What it is written to.
    pub fn get_ref(&self) -> &W {
        self.out.get_ref().get_ref()
    }
}

impl Written {
    fn count(&mut self, frame: &StoredFrame, captured: usize) {
        self.frames += 1;
        self.folded += frame.tally.map_or(0, |tally| tally.count);
        self.faded += u64::from(frame.faded);
        self.bytes += captured as u64;
        self.first.get_or_insert(frame.header.wall);
        self.last = Some(frame.header.wall);
    }

    /// This and what was written of another origin after it.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            frames: self.frames + later.frames,
            folded: self.folded + later.folded,
            faded: self.faded + later.faded,
            bytes: self.bytes + later.bytes,
            first: self.first.or(later.first),
            last: later.last.or(self.last),
        }
    }
}

/// `epb_flags`: bits 0 and 1 are the direction, bits 2 to 4 the reception, numbered as our enums are;
/// none where nothing is known.
fn flags(header: &FrameHeader) -> Option<u32> {
    let flags = header.direction as u32 | (header.reception as u32) << 2;
    (flags != 0).then_some(flags)
}

fn description(origin: &Origin) -> String {
    let clock = match origin.clock {
        StampClock::Software => "stamped by the kernel",
        StampClock::Hardware => "stamped by the interface's own clock",
        StampClock::Reader => "stamped when read, later than the kernel would",
    };
    format!("index {}, {clock}", origin.index)
}

fn operating_system(host: &Host) -> String {
    format!("Linux {}", host.kernel)
}

/// The counts a statistics block has no option for, under their own names.
fn named_counts(stats: &CaptureStats) -> String {
    format!(
        "dashcap: folded {}, lane_dropped {}, filtered {}, truncated {}, faded {}, evicted {}, gaps {}",
        stats.folded,
        stats.lane_dropped,
        stats.filtered,
        stats.truncated,
        stats.faded,
        stats.evicted,
        stats.gaps
    )
}

/// A time as the statistics block has it, high word first, for a writer that puts the low word first.
fn high_word_first(time: Wall) -> u64 {
    time.0.rotate_left(u32::BITS)
}

/// `text`, cut at a character so that it fits an option.
fn option_text(text: &str) -> Cow<'_, str> {
    let mut end = text.len().min(LONGEST_OPTION);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Direction, Reception};

    #[test]
    fn flags_tell_direction_and_reception() {
        for (direction, reception, expected) in [
            (Direction::Unknown, Reception::Unspecified, None),
            (Direction::Inbound, Reception::Unspecified, Some(0b001)),
            (Direction::Outbound, Reception::Unspecified, Some(0b010)),
            (Direction::Inbound, Reception::Unicast, Some(0b0_0101)),
            (Direction::Inbound, Reception::Promiscuous, Some(0b1_0001)),
            (Direction::Unknown, Reception::Broadcast, Some(0b0_1100)),
        ] {
            let header = FrameHeader { direction, reception, ..FrameHeader::default() };
            assert_eq!(flags(&header), expected);
        }
    }

    #[test]
    fn a_statistics_time_has_its_high_word_first() {
        assert_eq!(high_word_first(Wall(0x0123_4567_89ab_cdef)), 0x89ab_cdef_0123_4567);
    }

    #[test]
    fn option_texts_are_cut_between_characters() {
        let long = "ü".repeat(LONGEST_OPTION);
        assert_eq!(option_text(&long).len(), LONGEST_OPTION);
        assert_eq!(option_text("vlan 956"), "vlan 956");
    }
}
