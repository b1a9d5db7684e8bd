//! Thinning: a dump of gigabytes becomes a file that Wireshark opens, and nothing is dropped silently.
//!
//! ```text
//!   FILE ─► source ─┐               ┌ copies: the first few of each second ─────────┐
//!   FILE ─► source ─┴► second ──────┼ commented, without a stamp: all ──────────────┼─► held ─► writing ─► OUT
//!                     (whose is it?)└ each flow: the first and last of each second ─┘   until the second is over
//!                                     (of control traffic so many that only floods have more)
//!                          └► ledger: what was read, kept, set aside, per flow
//! ```
//!
//! It promises: kept and set aside together are what was read, per flow and in all; the last frame before a
//! hole says in a comment what is missing behind it, and a comment on the file what is missing in all. Of
//! identical frames the comment is that of our bundles, so that who counts by it still counts all. What
//! surrounds the frames survives as in a cut, whose sources and writing these are. Memory does not depend on
//! the size of anything.

mod account;
mod fold;
mod held;
mod limits;
mod second;
mod survey;
#[cfg(test)]
mod tests;
mod words;

use std::path::PathBuf;

use self::account::OpenAccount;
pub use self::account::{Account, Between, Count, FORMAT, FlowShare, Hole, Share, VERSION};
use self::held::Held;
pub use self::limits::Limits;
use self::second::{FrameVerdict, Second};
use self::survey::Survey;
use self::words::comment;
use crate::APPLICATION;
use crate::capture_file::FileFrame;
use crate::capture_file::cursor::{Cursor, Halt, Window};
use crate::capture_file::inputs::{Progress, check_with_output};
use crate::capture_file::merge::{self, Merged, Order};
use crate::capture_file::output::{Format, Output, is_standard};
use crate::capture_file::writer::{self, Writer};
use crate::error::{Error, Result};
use crate::time::Wall;

/// Frames between two looks at the progress: a few milliseconds.
const PROGRESS_EVERY: u64 = 65_536;
/// Flows in the account, each with a line.
const MOST_FLOWS: usize = 1_000;
/// Length of the comment on the file in bytes; it is written when all is known, in its place at the begin.
const ABOUT: usize = 4_096;
/// Bytes of a block around a frame: of an enhanced packet block with the flags option.
const AROUND: u64 = 44;
/// Finer rungs that are tried once one fits: each reads the files once more.
const FINER: usize = 3;
/// Everything, as a cut calls it.
const ALL: Window = Window { from: Wall(0), to: Wall(u64::MAX) };

/// What to thin.
#[derive(Debug, Clone)]
pub struct Options {
    /// Capture files; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// The file to write; `-` is standard output.
    pub output: PathBuf,
    /// What it is to be.
    pub format: Format,
    /// How much to keep.
    pub amount: Amount,
}

/// How much to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many frames.
    Frames(Limits),
    /// So many bytes of capture, before compression. The files are read at least twice.
    Target(u64),
}

impl Options {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// Wrong usage, when there is no file, standard input is named twice or with a target, or the output is one
    /// of the files.
    pub fn check(&self) -> Result<()> {
        check_with_output(&self.files, &self.output)?;
        if matches!(self.amount, Amount::Target(_)) && is_standard(&self.output) {
            return Err(Error::usage(
                "--target",
                "-o -",
                "--target writes its output several times, standard output can be written once",
                "a file as output, or --keep, which writes it once",
            ));
        }
        let once = self.files.iter().find(|file| !file.is_file());
        if let (Amount::Target(target), Some(once)) = (self.amount, once) {
            return Err(Error::usage(
                "--target",
                target.to_string(),
                format!("--target reads its input twice; {} is not a regular file", once.display()),
                "files, or --keep, which reads them once",
            ));
        }
        Ok(())
    }
}

/// Thins, telling the progress now and then.
///
/// # Errors
/// Wrong usage; or when a file cannot be read, is no capture file, or the output cannot be written. Damage is
/// none: it is in the account.
pub fn run(options: &Options, mut show: impl FnMut(&Progress)) -> Result<Account> {
    options.check()?;
    match options.amount {
        Amount::Frames(limits) => {
            let done =
                Pass::begin(options, limits)?.run(u64::MAX, &mut Passes::new(1, &mut show))?;
            // Without a bound it fits.
            done.ok_or_else(|| Error::operation("thin", "the files", "nothing fits"))
        }
        Amount::Target(target) => {
            let survey = surveyed(options, &mut Passes::new(1, &mut show))?;
            Search { options, target, survey, passes: 1 }.run(&mut show)
        }
    }
}

/// The search for the finest rung that fits: coarser ones until one does, then finer ones as long as the
/// estimate, put right by what was written, says that they may. What is written replaces what was.
struct Search<'a> {
    options: &'a Options,
    target: u64,
    survey: Survey,
    passes: u32,
}

impl Search<'_> {
    fn run(mut self, show: &mut impl FnMut(&Progress)) -> Result<Account> {
        let (mut rung, mut too_fine) = (self.survey.fitting(self.target), None);
        let mut best = loop {
            let most = if rung < self.survey.last() { self.target } else { u64::MAX };
            match self.attempt(rung, most, show)? {
                Some(account) => break account,
                None => too_fine = Some(rung),
            }
            rung += 1;
        };
        for _ in 0..FINER {
            let fits = (rung, best.plain_bytes);
            let Some(finer) = self.survey.finer(too_fine, fits, self.target) else { break };
            match self.attempt(finer, self.target, show)? {
                Some(account) => (rung, best) = (finer, account),
                None => too_fine = Some(finer),
            }
        }
        Ok(Account { target: Some(self.target), passes: self.passes, ..best })
    }

    fn attempt(
        &mut self,
        rung: usize,
        most: u64,
        show: &mut impl FnMut(&Progress),
    ) -> Result<Option<Account>> {
        self.passes += 1;
        let mut passes = Passes::new(self.passes.into(), show);
        Pass::begin(self.options, self.survey.limits(rung))?.run(most, &mut passes)
    }
}

/// Progress over several passes.
struct Passes<'a, F> {
    number: u64,
    show: &'a mut F,
}

impl<'a, F: FnMut(&Progress)> Passes<'a, F> {
    fn new(number: u64, show: &'a mut F) -> Self {
        Self { number, show }
    }

    /// Where all is read twice, half of it is the first pass.
    fn tell(&mut self, (read, size): (u64, Option<u64>), frames: u64, at: Wall) {
        let before = size.unwrap_or_default().saturating_mul(self.number - 1);
        let size = size.map(|size| size.saturating_mul(self.number));
        (self.show)(&Progress { read: before + read, size, frames, at });
    }
}

/// What each rung would keep.
fn surveyed(options: &Options, passes: &mut Passes<'_, impl FnMut(&Progress)>) -> Result<Survey> {
    let mut survey = Survey::new();
    let mut second = Second::new(Limits::default());
    // Damage is told by the pass that writes.
    let (mut files, _) = Merged::open(&options.files)?;
    let mut frames = 0_u64;
    while let Some(head) = files.head() {
        if second.is_over(head.wall) {
            survey.add(&second.buckets);
            second.begin(head.wall);
        }
        let interface = second.interfaces.number(head.file, head.frame.origin, head.origin);
        second.judge(interface, head.origin.link_type, &head.frame, head.wall, stored(&head.frame));
        frames += 1;
        if frames.is_multiple_of(PROGRESS_EVERY) {
            passes.tell(files.progress(), frames, head.wall);
        }
        files.pass();
    }
    survey.add(&second.buckets);
    Ok(survey)
}

fn stored(frame: &FileFrame<'_>) -> u64 {
    frame.bytes.len() as u64 + AROUND
}

/// One pass over the files, writing.
struct Pass<'a> {
    options: &'a Options,
    limits: Limits,
    /// What the file begins with, and the comment in it.
    head: (Vec<u8>, String),
    sources: Vec<Cursor>,
    out: Writer,
    second: Second,
    held: Held,
    ledger: OpenAccount,
    span: Between,
    read: u64,
}

impl<'a> Pass<'a> {
    fn begin(options: &'a Options, limits: Limits) -> Result<Self> {
        let mut sources = Vec::new();
        for path in &options.files {
            sources.push(Cursor::open_of(path, options.files.len(), None)?);
        }
        let about = padded(words::about(options, limits, None));
        let sections: Vec<_> = sources.iter().filter_map(Cursor::section).collect();
        let head = writer::head(options.format, &sections, &about);
        let output = Output::create_with(&options.output, options.format, &head)?;
        Ok(Self {
            options,
            limits,
            head: (head, about),
            sources,
            out: Writer::behind(output, options.format),
            second: Second::new(limits),
            held: Held::default(),
            ledger: OpenAccount::new(),
            span: Between { first: Wall(u64::MAX), last: Wall(0) },
            read: 0,
        })
    }

    /// Writes everything; none, and nothing written, if that is more than `most` bytes before compression.
    fn run(
        mut self,
        most: u64,
        passes: &mut Passes<'_, impl FnMut(&Progress)>,
    ) -> Result<Option<Account>> {
        let mut order = Order::default();
        for (number, source) in self.sources.iter_mut().enumerate() {
            if let Some(wall) = source.begin(ALL, &mut self.out).map_err(failed)? {
                order.add(wall, number);
            }
        }
        while let Some((wall, number)) = order.head() {
            self.item(number, wall)?;
            let next = self.sources[number].next(ALL, &mut self.out).map_err(failed)?;
            order.replace(next);
            if self.held.is_much() && !self.held.shrink(&mut self.second.buckets, &self.limits) {
                self.turn(wall)?;
            }
            if self.read.is_multiple_of(PROGRESS_EVERY) {
                if self.out.bytes() > most {
                    return Ok(None);
                }
                let read = merge::progress(self.sources.iter().map(|source| &source.file));
                passes.tell(read, self.read, wall);
            }
        }
        self.turn(Wall(0))?;
        if self.out.bytes() > most { Ok(None) } else { self.finish().map(Some) }
    }

    /// The frame or journal entry that a source stands at. Per frame: one copy if it is held, else none.
    #[inline]
    fn item(&mut self, number: usize, wall: Wall) -> Result<()> {
        if self.second.is_over(wall) {
            self.turn(wall)?;
        }
        let source = &mut self.sources[number];
        let Some(frame) = source.file.frame() else {
            return self.entry(number, wall);
        };
        self.read += 1;
        let Between { first, last } = &mut self.span;
        (*first, *last) = (wall.min(*first), wall.max(*last));
        let origin = &source.file.origins()[frame.origin];
        let interface = self.second.interfaces.number(number, frame.origin, origin);
        let verdict = self.second.judge(interface, origin.link_type, &frame, wall, stored(&frame));
        if let FrameVerdict::Hold(place) = verdict {
            let (at, original_len) = (self.held.bytes.len(), frame.original_len);
            self.out.hold(&source.file, &mut source.numbers, wall, &mut self.held.bytes)?;
            self.held.note(at, Some(place), wall, original_len);
        }
        Ok(())
    }

    fn entry(&mut self, number: usize, wall: Wall) -> Result<()> {
        let at = self.held.bytes.len();
        if let Some(block) = self.sources[number].file.block()
            && self.out.hold_entry(&block, &mut self.held.bytes)
        {
            self.held.note(at, None, wall, 0);
        }
        Ok(())
    }

    /// A second is over, and the one of `wall` begins.
    fn turn(&mut self, wall: Wall) -> Result<()> {
        let Self { second, held, limits, out, ledger, .. } = self;
        held.release(&mut second.buckets, limits, out, comment)?;
        second.buckets.iter().for_each(|bucket| ledger.add(bucket));
        second.begin(wall);
        Ok(())
    }

    fn finish(mut self) -> Result<Account> {
        let (flows, others) = self.ledger.shares(MOST_FLOWS, &self.second.interfaces);
        let total = self.ledger.total;
        let mut account = Account {
            format: FORMAT,
            version: VERSION,
            written_by: APPLICATION,
            files: self.options.files.iter().map(|file| file.display().to_string()).collect(),
            output: self.options.output.display().to_string(),
            bytes: None,
            plain_bytes: self.out.bytes(),
            limits: self.limits,
            target: None,
            passes: 1,
            span: Some(self.span).filter(|_| self.read > 0),
            total,
            flows,
            others,
            entries: self.out.entries,
            unstamped: self.sources.iter().map(|source| source.unstamped).sum(),
            left_out: std::mem::take(&mut self.out.left_out),
            damage: self.sources.iter_mut().filter_map(|source| source.damage.take()).collect(),
        };
        let about = padded(words::about(self.options, self.limits, Some(&account)));
        let (mut head, first) = self.head;
        let place = head.windows(ABOUT).rposition(|bytes| bytes == first.as_bytes());
        if let Some(place) = place {
            head[place..place + ABOUT].copy_from_slice(about.as_bytes());
        }
        account.bytes = self.out.finish_with(&head)?;
        Ok(account)
    }
}

/// A comment of always the same length: blanks behind it are what may be written anew.
fn padded(mut text: String) -> String {
    let mut end = text.len().min(ABOUT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.extend(std::iter::repeat_n(' ', ABOUT - text.len()));
    text
}

fn failed(halt: Halt) -> Error {
    match halt {
        Halt::Failed(error) => error,
        // Only what is bisected can be found in disorder, and nothing is here.
        Halt::Disorder => Error::operation("thin", "the files", "their stamps are not in order"),
    }
}
