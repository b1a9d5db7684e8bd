//! Capture files as a source of frames: pcap and pcapng, plain or compressed (zstd, gzip), or from
//! standard input. What a file is, its first bytes decide, never its name.
//!
//! ```text
//!   file ─► [zstd, gzip] ─► input (looks ahead by one record) ─► pcap  │ pcap
//!                                                                pcapng │ pcapng
//!                                                                  └─► origin, stamp, direction, bytes
//! ```
//!
//! No `FrameSource`: that waits for frames on the host's clock, and a file has no wait and a
//! time of its own.
//!
//! What it promises: read front to back in bounded memory, whatever the file claims of itself; never a
//! panic. Where a file is damaged, everything before that was handed over, and the damage is told once,
//! with its place; nothing behind it is guessed at.

pub mod bisect;
pub(crate) mod block;
pub mod comment;
mod cooked;
pub mod cursor;
pub(crate) mod fields;
pub mod file_clock;
mod input;
pub mod inputs;
pub mod merge;
pub mod output;
mod pcap;
mod pcapng;
pub mod statistics;
#[cfg(test)]
mod tests;
mod ticks;
pub(crate) mod writer;

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use pcap_file::Endianness;

use self::bisect::Survey;
use self::input::Input;
use self::pcap::Pcap;
use self::pcapng::{BlockStep, Description, Pcapng};
use self::statistics::Statistics;
use crate::error::{Error, Result};
use crate::frame::{Direction, Frame, FrameHeader, MAX_SNAPLEN, Origin, Reception, StampClock};
use crate::time::Wall;

/// Longest frame in bytes; what claims to be longer is damage, as for Wireshark and libpcap
/// (`WTAP_MAX_PACKET_SIZE_STANDARD`, `MAXIMUM_SNAPLEN`).
pub const LONGEST_FRAME: u32 = MAX_SNAPLEN;
/// Longest block in bytes, as for Wireshark and libpcap (`MAX_BLOCK_SIZE`, `INITIAL_MAX_BLOCK_SIZE`):
/// this much of a file is in memory at most.
const LONGEST_BLOCK: u32 = 16 << 20;
/// Bytes of the longer one of the two headers: a pcapng section without options, pcap has four less.
const LONGEST_HEADER: usize = 28;
/// Interfaces that a file may describe; each costs memory. A thousand VLANs are seen, more are damage.
const MAX_INTERFACES: usize = 4_096;

/// An open capture file, and the frame it stands at.
pub struct FileSource {
    name: String,
    /// What interfaces without a name are called.
    stem: String,
    input: Input,
    format: Format,
    origins: Vec<Arc<Origin>>,
    current: Option<BlockStep>,
    /// At most one for each origin.
    statistics: Vec<Statistics>,
    frames: u64,
    ended: bool,
}

/// What [`FileSource::step`] went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A frame.
    Frame,
    /// A pcapng block without one.
    Block,
}

/// A pcapng block as it is in the file.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Its type.
    pub kind: u32,
    /// The byte order of its section.
    pub order: Endianness,
    /// All of it, from its type to the second length.
    pub bytes: &'a [u8],
}

enum Format {
    /// Its header is cut, or nothing is there at all: what is wrong.
    Cut(String),
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// A frame, and where in the input its record and its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    origin: usize,
    wall: Option<Wall>,
    original_len: u32,
    direction: Direction,
    reception: Reception,
    bytes: Range<usize>,
    copies: Option<Copies>,
    commented: bool,
    /// Of the whole record.
    length: usize,
}

/// Why a format cannot go on: the file says something that has no meaning, or ends too early.
#[derive(Debug)]
struct Stop(String);

/// Where and why a file could not be read any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Where the record begins that is damaged, in bytes of the decompressed file.
    pub offset: u64,
    /// Whether these are not the bytes on the disk.
    pub compressed: bool,
    /// What is wrong.
    pub what: String,
    /// Frames before it.
    pub frames: u64,
}

/// A frame of a file.
#[derive(Debug, Clone, Copy)]
pub struct FileFrame<'a> {
    /// Its interface: a number for [`FileSource::origins`].
    pub origin: usize,
    /// Its stamp; none in a simple packet block, which has none.
    pub wall: Option<Wall>,
    /// Original length in bytes, never below the captured one.
    pub original_len: u32,
    /// Which way.
    pub direction: Direction,
    /// To whom.
    pub reception: Reception,
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// None for a frame of its own; else it stands for so many that were counted and not stored, as the
    /// comment on it says.
    pub copies: Option<Copies>,
    /// Somebody wrote a comment on it, dashcap or a person.
    pub commented: bool,
}

/// Frames that one frame of our own bundles stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    /// How many.
    pub count: u64,
    /// When the last of them arrived; the first is the frame itself.
    pub last: Wall,
}

impl FileSource {
    /// Opens a file, or standard input for `-`, and reads its header.
    ///
    /// # Errors
    /// When it cannot be read, or is no capture file.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_of(path, 1)
    }

    /// Opens one of `files` files. Of several, one that is empty or has only a part of its header is damaged
    /// rather than refused: recorders that rotate their files leave such ones.
    ///
    /// # Errors
    /// When it cannot be read, or is no capture file.
    pub fn open_of(path: &Path, files: usize) -> Result<Self> {
        let file = Self::begin(path.display().to_string(), Input::open(path)?)?;
        if files > 1 { Ok(file) } else { file.with_header() }
    }

    /// Reads the header of a file that somebody else opened, and calls it `name`.
    ///
    /// # Errors
    /// When it cannot be read, or is no capture file.
    pub fn from_reader(name: &str, reader: impl Read + Send + 'static) -> Result<Self> {
        let input = Input::new(reader, None).map_err(|e| Error::operation("read", name, e))?;
        Self::begin(name.to_owned(), input)?.with_header()
    }

    /// Itself, if its header is there.
    fn with_header(self) -> Result<Self> {
        match self.format {
            Format::Cut(what) => Err(refused(&self.name, what)),
            _ => Ok(self),
        }
    }

    fn begin(name: String, mut input: Input) -> Result<Self> {
        let begin = match input.peek(pcapng::MAGIC.len()) {
            Ok(begin) => begin,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => &[],
            Err(e) => return Err(refused(&name, e.to_string())),
        };
        let format = if begin.is_empty() {
            Err(Stop("it is empty".to_owned()))
        } else if begin.len() < pcapng::MAGIC.len() {
            Err(Stop::cut("the file header", LONGEST_HEADER, begin.len()))
        } else if begin.starts_with(&pcapng::MAGIC) {
            Pcapng::begin(&mut input).map(Format::Pcapng)
        } else if pcap::is_magic(begin) {
            Pcap::begin(&mut input).map(Format::Pcap)
        } else if let Some(packer) = input::compression(begin) {
            return Err(refused(&name, format!("it is compressed {packer}")));
        } else {
            return Err(refused(
                &name,
                "not a pcap or pcapng file (unknown magic number)".to_owned(),
            ));
        };
        let is_cut = input.peek(LONGEST_HEADER).map_or(true, |begin| begin.len() < LONGEST_HEADER);
        let format = match format {
            Ok(format) => format,
            Err(Stop(what)) if is_cut => Format::Cut(what),
            Err(Stop(what)) => return Err(refused(&name, what)),
        };
        let mut file = Self {
            stem: stem(&name),
            name,
            input,
            format,
            origins: Vec::new(),
            current: None,
            statistics: Vec::new(),
            frames: 0,
            ended: false,
        };
        if let Format::Pcap(pcap) = &file.format {
            let Pcap { link_type, snaplen, .. } = *pcap;
            let description = Description { number: 0, name: None, link_type, snaplen };
            file.origins.push(Arc::new(origin(description, &file.stem)));
        }
        Ok(file)
    }

    /// Goes on to the next frame; false at the end.
    ///
    /// # Errors
    /// The damage that ends the file, once.
    pub fn advance(&mut self) -> Result<bool, Damage> {
        loop {
            match self.step()? {
                Some(Item::Block) => {}
                item => return Ok(item.is_some()),
            }
        }
    }

    /// Goes on to the next frame or block without a frame, the first section header included; none at the
    /// end.
    ///
    /// # Errors
    /// The damage that ends the file, once.
    pub fn step(&mut self) -> Result<Option<Item>, Damage> {
        if let Some(passed) = self.current.take() {
            self.input.pass(passed.length());
        }
        if self.ended {
            return Ok(None);
        }
        match self.next_step() {
            Ok(step) => {
                let item = step.as_ref().map(|step| match step {
                    BlockStep::Frame(_) => Item::Frame,
                    BlockStep::Block(_) => Item::Block,
                });
                self.ended = item.is_none();
                self.frames += u64::from(item == Some(Item::Frame));
                self.current = step;
                if item == Some(Item::Block) {
                    self.count();
                }
                Ok(item)
            }
            Err(Stop(what)) => {
                self.ended = true;
                let (offset, compressed) = (self.input.offset(), self.input.is_compressed());
                Err(Damage {
                    file: self.name.clone(),
                    offset,
                    compressed,
                    what,
                    frames: self.frames,
                })
            }
        }
    }

    /// Remembers what the block tells that this stands at, if it is one of statistics.
    fn count(&mut self) {
        let (Format::Pcapng(pcapng), Some(step)) = (&self.format, &self.current) else {
            return;
        };
        let block = self.input.ahead().get(..step.length()).unwrap_or_default();
        let Some(told) = pcapng.statistics(block) else { return };
        match self.statistics.iter_mut().find(|known| known.origin == told.origin) {
            Some(known) => *known = told,
            None => self.statistics.push(told),
        }
    }

    fn next_step(&mut self) -> Result<Option<BlockStep>, Stop> {
        let Self { input, format, origins, stem, .. } = self;
        let mut step = match format {
            Format::Cut(what) => return Err(Stop(std::mem::take(what))),
            Format::Pcap(pcap) => pcap.next(input)?.map(BlockStep::Frame),
            Format::Pcapng(pcapng) => pcapng.step(input, &mut |description| {
                let origin = origin(description, stem);
                if let Some(known) = origins.iter().position(|known| **known == origin) {
                    return Ok(known);
                }
                if origins.len() >= MAX_INTERFACES {
                    return Err(Stop(format!("more than {MAX_INTERFACES} interfaces")));
                }
                origins.push(Arc::new(origin));
                Ok(origins.len() - 1)
            })?,
        };
        if let Some(BlockStep::Frame(record)) = &mut step
            && record.direction == Direction::Unknown
        {
            let bytes = input.ahead().get(record.bytes.clone()).unwrap_or_default();
            if let Some(told) = cooked::of(origins[record.origin].link_type, bytes) {
                (record.direction, record.reception) = told;
            }
        }
        Ok(step)
    }

    /// The frame that [`Self::advance`] or [`Self::step`] went to.
    #[inline]
    pub fn frame(&self) -> Option<FileFrame<'_>> {
        let Some(BlockStep::Frame(record)) = &self.current else { return None };
        let &Record { origin, wall, original_len, direction, reception, copies, commented, .. } =
            record;
        let bytes = self.input.ahead().get(record.bytes.clone())?;
        Some(FileFrame {
            origin,
            wall,
            original_len,
            direction,
            reception,
            bytes,
            copies,
            commented,
        })
    }

    /// The whole block that [`Self::step`] went to, with a frame or without; none in a file of the pcap
    /// format, which has no blocks.
    pub fn block(&self) -> Option<Block<'_>> {
        let Format::Pcapng(pcapng) = &self.format else { return None };
        let order = pcapng.order();
        let bytes = self.input.ahead().get(..self.current.as_ref()?.length())?;
        Some(Block { kind: fields::u32_at(order, bytes, 0)?, order, bytes })
    }

    /// The interfaces described so far. A name that the file does not tell is made of the file's own.
    pub fn origins(&self) -> &[Arc<Origin>] {
        &self.origins
    }

    /// What the file's recorder counted, of each interface the last that was told so far.
    pub fn statistics(&self) -> &[Statistics] {
        &self.statistics
    }

    /// As it was named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Frames so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Where the next frame or block begins, in bytes of the decompressed file.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// Looks where in the file which time is, without reading it: for plain files of at least `smallest`
    /// bytes, standing at their first frame. None where that cannot be relied on.
    pub fn survey(&self, smallest: u64) -> Option<Survey> {
        Survey::of(self, smallest)
    }

    /// Goes on at `offset`, where a frame or block begins, see [`Survey`]; false, and nothing changed,
    /// where the file is not a plain one.
    ///
    /// # Errors
    /// When the file cannot be read there.
    pub fn jump(&mut self, offset: u64) -> Result<bool> {
        let went = self.input.jump(offset);
        let went = went.map_err(|e| Error::operation("read", &self.name, e))?;
        if went {
            (self.current, self.ended) = (None, false);
        }
        Ok(went)
    }

    /// Bytes read of the file as it is on disk, and its size where that is known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        self.input.progress()
    }
}

/// The first stamp of a file that can be read twice: how old frames without a stamp are taken to be that
/// stand before it. None where none of its first frames has one.
pub fn first_stamp(path: &Path) -> Option<Wall> {
    /// Frames without a stamp that are passed over: more than any file was seen to begin with.
    const MOST: u64 = 10_000;
    if !path.is_file() {
        return None;
    }
    let mut file = FileSource::open(path).ok()?;
    while file.frames() < MOST && file.advance().ok()? {
        if let Some(wall) = file.frame()?.wall {
            return Some(wall);
        }
    }
    None
}

impl<'a> FileFrame<'a> {
    /// The frame as lanes take it, stamped with `wall`, of whose bytes at most `snaplen` are kept.
    pub fn stamped(&self, wall: Wall, snaplen: u32) -> Frame<'a> {
        let &Self { original_len, direction, reception, bytes, .. } = self;
        let kept = &bytes[..bytes.len().min(snaplen as usize)];
        Frame::whole(FrameHeader { wall, original_len, direction, reception }, kept)
    }
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSource").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a file is none that can be read.
fn refused(name: &str, reason: String) -> Error {
    Error::operation("read", name, reason)
        .hint("accepted: pcap and pcapng, also compressed with zstd or gzip")
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, compressed, what, frames } = self;
        let place = if *compressed { " after decompression" } else { "" };
        write!(
            f,
            "{file} is damaged at byte {offset}{place}: {what}; {frames} frames before it are used"
        )
    }
}

impl Stop {
    fn cut(what: &str, wanted: usize, there: usize) -> Self {
        Self(format!("cut short: of {what} of {wanted} bytes {there} are there"))
    }

    fn too_long(what: &str, length: u32, longest: u32) -> Self {
        Self(format!("{what} that claims {length} bytes, where {longest} are the most"))
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

fn origin(description: Description, stem: &str) -> Origin {
    let Description { number, name, link_type, snaplen } = description;
    let unnamed = || if number == 0 { stem.to_owned() } else { format!("{stem}.{number}") };
    let interface = name.filter(|name| !name.is_empty()).unwrap_or_else(unnamed);
    Origin { interface, index: number, link_type, snaplen, clock: StampClock::Software }
}

/// The file's name without folder and endings that say what it is: `router.pcap.gz` is `router`. What
/// interfaces without a name are called, see [`FileSource::origins`].
pub fn stem(name: &str) -> String {
    const ENDINGS: [&str; 7] = [".gz", ".zst", ".pcapng", ".pcap", ".cap", ".dmp", ".dump"];
    let name = name.rsplit('/').next().unwrap_or(name);
    let stem = ENDINGS.iter().fold(name, |name, ending| name.strip_suffix(ending).unwrap_or(name));
    if stem.is_empty() || stem == "-" { "capture".to_owned() } else { stem.to_owned() }
}
