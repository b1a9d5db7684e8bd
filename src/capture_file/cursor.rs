//! One file being read into another: what stands before its first frame, where the window begins in it, and
//! its next frame or journal entry.

use std::path::Path;

use super::bisect::{LATE, Survey};
use super::block::{self, body};
use super::writer::{Numbers, Writer};
use super::{Block, Damage, FileSource, Item, first_stamp};
use crate::error::{Error, Result};
use crate::time::Wall;

use pcap_file::Endianness;
use pcap_file::pcapng::blocks::SYSTEMD_JOURNAL_EXPORT_BLOCK;

/// Bytes of blocks before the first frame that are kept in memory until the output begins.
const MOST_BEFORE: usize = 32 << 20;

/// The time that is wanted, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First moment that belongs to it.
    pub from: Wall,
    /// Last moment that belongs to it.
    pub to: Wall,
}

impl Window {
    pub(crate) fn contains(self, wall: Wall) -> bool {
        self.from <= wall && wall <= self.to
    }
}

/// Why reading ends early.
#[derive(Debug)]
pub(crate) enum Halt {
    Failed(Error),
    /// A file that was bisected is not in order.
    Disorder,
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// An open file.
pub(crate) struct Cursor {
    pub(crate) file: FileSource,
    /// Blocks before the first frame.
    before: Vec<Kept>,
    survey: Option<Survey>,
    /// Whether the end of the file is being read, after the window.
    at_tail: bool,
    /// Stamp of the last frame, or of the first that has one; and the earliest and the latest of all that were read.
    last: Wall,
    seen: Option<(Wall, Wall)>,
    pub(crate) unstamped: u64,
    pub(crate) damage: Option<Damage>,
    /// What the writing knows of it.
    pub(crate) numbers: Numbers,
}

struct Kept {
    kind: u32,
    order: Endianness,
    bytes: Vec<u8>,
}

impl Kept {
    fn block(&self) -> Block<'_> {
        Block { kind: self.kind, order: self.order, bytes: &self.bytes }
    }
}

impl Cursor {
    /// Opens one of `files` files and goes to its first frame; bisects it from so many bytes on.
    ///
    /// # Errors
    /// When it cannot be read, or is no capture file.
    pub(crate) fn open_of(path: &Path, files: usize, bisect: Option<u64>) -> Result<Self> {
        let mut source = Self {
            file: FileSource::open_of(path, files)?,
            before: Vec::new(),
            survey: None,
            at_tail: false,
            last: Wall(0),
            seen: None,
            unstamped: 0,
            damage: None,
            numbers: Numbers::default(),
        };
        source.find_first()?;
        if source.file.frame().is_some_and(|frame| frame.wall.is_none()) {
            source.last = first_stamp(path).unwrap_or_default();
        }
        source.survey = bisect.and_then(|smallest| source.file.survey(smallest));
        Ok(source)
    }

    fn find_first(&mut self) -> Result<()> {
        let mut kept = 0;
        loop {
            match self.file.step() {
                Ok(Some(Item::Block)) => {}
                Ok(_) => return Ok(()),
                Err(damage) => {
                    self.damage = Some(damage);
                    return Ok(());
                }
            }
            let Some(Block { kind, order, bytes }) = self.file.block() else { return Ok(()) };
            kept += bytes.len();
            if kept > MOST_BEFORE {
                let reason = format!("more than {MOST_BEFORE} bytes before its first frame");
                return Err(Error::operation("cut", self.file.name(), reason));
            }
            self.before.push(Kept { kind, order, bytes: bytes.to_vec() });
        }
    }

    /// Stamp of its first frame.
    pub(crate) fn begun(&self) -> Option<Wall> {
        self.file.frame()?.wall
    }

    /// Its first section header.
    pub(crate) fn section(&self) -> Option<Block<'_>> {
        self.before.first().map(Kept::block)
    }

    /// Earliest and latest stamp, as far as they are known.
    pub(crate) fn span(&self) -> Option<(Wall, Wall)> {
        self.survey.as_ref().and_then(Survey::ends).or(self.seen)
    }

    /// True if not all of it is read.
    pub(crate) fn is_bisected(&self) -> bool {
        self.survey.is_some()
    }

    /// Writes what is before its first frame, goes to where the window may begin, and tells the stamp of the
    /// frame there.
    pub(crate) fn begin(&mut self, window: Window, out: &mut Writer) -> Result<Option<Wall>, Halt> {
        for kept in std::mem::take(&mut self.before) {
            let block = kept.block();
            if block.kind == SYSTEMD_JOURNAL_EXPORT_BLOCK {
                let at = block::entry_nanos(body(&block)).map(Wall).or(self.begun());
                out.entry(&block, at.is_none_or(|at| window.contains(at)))?;
            } else {
                out.block(&block, &mut self.numbers)?;
            }
        }
        if let Some(survey) = &mut self.survey {
            let place = survey.before(&self.file, window.from).ok_or(Halt::Disorder)?;
            if place > self.file.offset() {
                self.file.jump(place)?;
                return self.next(window, out);
            }
        }
        if self.file.frame().is_some() { Ok(Some(self.stamp()?)) } else { Ok(None) }
    }

    /// Goes on to the next frame or journal entry, and tells its stamp; other blocks are written as they come.
    pub(crate) fn next(&mut self, window: Window, out: &mut Writer) -> Result<Option<Wall>, Halt> {
        loop {
            match self.file.step() {
                Ok(Some(Item::Frame)) => {
                    let wall = self.stamp()?;
                    if self.is_past(wall, window)? {
                        continue;
                    }
                    return Ok(Some(wall));
                }
                Ok(Some(Item::Block)) => {}
                Ok(None) => return Ok(None),
                // Perhaps damaged, perhaps only described where nobody looked.
                Err(_) if self.survey.is_some() && !self.at_tail => return Err(Halt::Disorder),
                Err(damage) => {
                    self.damage = Some(damage);
                    return Ok(None);
                }
            }
            let Some(block) = self.file.block() else { continue };
            if block.kind == SYSTEMD_JOURNAL_EXPORT_BLOCK {
                let at = block::entry_nanos(body(&block)).map_or(self.last, Wall);
                return Ok(Some(at));
            }
            out.block(&block, &mut self.numbers)?;
        }
    }

    /// The stamp of the frame it stands at, that of the one before where it has none.
    fn stamp(&mut self) -> Result<Wall, Halt> {
        let Some(wall) = self.file.frame().and_then(|frame| frame.wall) else {
            self.unstamped += 1;
            return Ok(self.last);
        };
        self.last = wall;
        let (earliest, latest) = self.seen.unwrap_or((wall, wall));
        if self.survey.is_some() && wall.plus(LATE) < latest {
            return Err(Halt::Disorder);
        }
        self.seen = Some((earliest.min(wall), latest.max(wall)));
        Ok(wall)
    }

    /// True if the window is over; then the source went on to what is at the end of its file, which may be
    /// names and statistics.
    fn is_past(&mut self, wall: Wall, window: Window) -> Result<bool, Halt> {
        let Some(survey) = &self.survey else { return Ok(false) };
        if self.at_tail || wall <= window.to.plus(LATE) {
            return Ok(false);
        }
        self.at_tail = true;
        let tail = survey.tail();
        Ok(tail > self.file.offset() && self.file.jump(tail)?)
    }
}
