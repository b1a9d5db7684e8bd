//! The cut: the minute that matters out of files of any size, with everything that explains it.
//!
//! ```text
//!   FILE ─► source (bisected, or read from the start) ─┐
//!   FILE ─► source                                     ├─► earliest head ─► window, interface, filter ─► writing ─► OUT
//!   FILE ─► source                                     ┘                                                 blocks
//! ```
//!
//! It promises: frames and their options are written as they were read, in the order of their files, files
//! merged by time; what is not written is counted; memory does not depend on the size of anything. A big
//! plain file is read only where the window is, as long as its stamps are in order ([`Survey`]); whatever is
//! seen to the contrary makes it begin again and read everything.
//!
//! [`Survey`]: crate::capture_file::bisect::Survey

mod moment;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

pub use self::moment::{ACCEPTED, Moment};
use self::wanted::Wanted;
use crate::APPLICATION;
use crate::capture::filter::Filter;
use crate::capture_file::cursor::{Cursor, Halt, Window};
use crate::capture_file::inputs::{self, Progress};
use crate::capture_file::merge::{self, Order};
use crate::capture_file::output::{Format, Output};
use crate::capture_file::writer::Writer;
use crate::capture_file::{Damage, FileSource};
use crate::error::{Error, Result};
use crate::time::Wall;

/// A plain file of this size takes a moment to read; a bigger one is bisected. What stands in the middle of a
/// file and is not seen then (names, secrets) is found in all smaller ones.
pub const BISECT_FROM: u64 = 64 << 20;
/// Frames between two looks at the progress: a few milliseconds.
const PROGRESS_EVERY: u64 = 65_536;

/// What to cut.
#[derive(Debug, Clone)]
pub struct Options {
    /// Capture files; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// The file to write; `-` is standard output.
    pub output: PathBuf,
    /// What it is to be.
    pub format: Format,
    /// Which time.
    pub window: Asked,
    /// Which frames.
    pub filter: Option<Filter>,
    /// Which interfaces, by name; all if empty.
    pub interfaces: Vec<String>,
    /// Size in bytes from which plain files are bisected; none to read all of every file.
    pub bisect: Option<u64>,
}

/// The time asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// From and to, both included; open where nothing is said.
    Between(Option<Moment>, Option<Moment>),
    /// So long before and after a moment.
    Around(Moment, Duration, Duration),
}

/// What was cut, and everything that was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutAccount {
    /// The time asked for.
    pub window: Window,
    /// First and last stamp of the files, as far as they were looked at.
    pub files: Option<(Wall, Wall)>,
    /// Frames written.
    pub frames: u64,
    /// First and last stamp of them.
    pub span: Option<(Wall, Wall)>,
    /// Journal entries written.
    pub entries: u64,
    /// Bytes of the output, if it is a file.
    pub bytes: Option<u64>,
    /// Frames in the window that the filter refused.
    pub filtered: u64,
    /// Frames in the window of interfaces that were not named.
    pub passed_over: u64,
    /// Frames without a stamp, taken to be as old as the one before.
    pub unstamped: u64,
    /// What could not be written, by kind.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Interfaces that were named and not found.
    pub unknown: Vec<String>,
    /// Interfaces of the files.
    pub interfaces: BTreeSet<String>,
    /// Files of which only the part around the window was read.
    pub bisected: usize,
    /// What was damaged.
    pub damage: Vec<Damage>,
}

impl Options {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// Wrong usage, when there is no file, standard input is named twice, or the output is one of the files.
    pub fn check(&self) -> Result<()> {
        inputs::check_with_output(&self.files, &self.output)
    }
}

/// Cuts, telling the progress now and then.
///
/// # Errors
/// Wrong usage; or when a file cannot be read, is no capture file, or the output cannot be written. Damage is
/// none: it is in the account.
pub fn run(options: &Options, mut progress: impl FnMut(&Progress)) -> Result<CutAccount> {
    options.check()?;
    // What was read of a pipe cannot be read again.
    let bisect = options.bisect.filter(|_| inputs::standard(&options.files) == 0);
    match attempt(options, bisect, &mut progress) {
        Err(Halt::Disorder) => attempt(options, None, &mut progress),
        done => done,
    }
    .map_err(|halt| match halt {
        Halt::Failed(error) => error,
        // Only what is bisected can be found in disorder.
        Halt::Disorder => Error::operation("cut", "the files", "their stamps are not in order"),
    })
}

fn attempt(
    options: &Options,
    bisect: Option<u64>,
    progress: &mut impl FnMut(&Progress),
) -> Result<CutAccount, Halt> {
    let mut sources = Vec::new();
    for path in &options.files {
        sources.push(Cursor::open_of(path, options.files.len(), bisect)?);
    }
    let window = window(options, &sources)?;
    let mut wanted = Wanted::new(options, window);
    let output = Output::create(&options.output, options.format)?;
    let sections: Vec<_> = sources.iter().filter_map(Cursor::section).collect();
    let mut out = Writer::begin(output, options.format, &sections, &about(options, window))?;
    copy(&mut sources, &mut wanted, &mut out, progress)?;
    let mut account = CutAccount {
        window,
        files: whole(sources.iter().filter_map(Cursor::span)),
        frames: out.frames,
        span: out.span,
        entries: out.entries,
        bytes: None,
        filtered: wanted.filtered,
        passed_over: wanted.passed_over,
        unstamped: sources.iter().map(|source| source.unstamped).sum(),
        left_out: std::mem::take(&mut out.left_out),
        unknown: Vec::new(),
        interfaces: sources
            .iter()
            .flat_map(|source| source.file.origins())
            .map(|origin| origin.interface.clone())
            .collect(),
        bisected: sources.iter().filter(|source| source.is_bisected()).count(),
        damage: sources.iter_mut().filter_map(|source| source.damage.take()).collect(),
    };
    let is_unknown = |name: &&String| !account.interfaces.contains(*name);
    account.unknown = options.interfaces.iter().filter(is_unknown).cloned().collect();
    account.bytes = out.finish()?;
    Ok(account)
}

/// All sources by time: the order of each stays as it is, the earliest head leaves first.
fn copy(
    sources: &mut [Cursor],
    wanted: &mut Wanted<'_>,
    out: &mut Writer,
    progress: &mut impl FnMut(&Progress),
) -> Result<(), Halt> {
    let window = wanted.window;
    let mut order = Order::default();
    for (number, source) in sources.iter_mut().enumerate() {
        if let Some(wall) = source.begin(window, out)? {
            order.add(wall, number);
        }
    }
    let mut count = 0_u64;
    while let Some((wall, number)) = order.head() {
        let source = &mut sources[number];
        if let Some(frame) = source.file.frame() {
            if wanted.wants(number, &source.file, &frame, wall)? {
                out.frame(&source.file, &mut source.numbers, wall)?;
            }
        } else if let Some(block) = source.file.block() {
            out.entry(&block, window.contains(wall))?;
        }
        order.replace(source.next(window, out)?);
        count += 1;
        if count.is_multiple_of(PROGRESS_EVERY) {
            progress(&how_far(sources, out.frames, wall));
        }
    }
    Ok(())
}

fn how_far(sources: &[Cursor], frames: u64, at: Wall) -> Progress {
    let (read, size) = merge::progress(sources.iter().map(|source| &source.file));
    Progress { read, size, frames, at }
}

/// What was asked for, in terms of these files.
fn window(options: &Options, sources: &[Cursor]) -> Result<Window> {
    let start = sources.iter().filter_map(Cursor::begun).min().unwrap_or_default();
    let moments: [Option<&Moment>; 2] = match &options.window {
        Asked::Between(from, to) => [from.as_ref(), to.as_ref()],
        Asked::Around(moment, ..) => [Some(moment), None],
    };
    let end = if moments.into_iter().flatten().any(Moment::needs_end) {
        last_stamp(options, sources)?
    } else {
        start
    };
    let [first, second] = moments.map(|moment| moment.map(|moment| moment.wall(start, end)));
    let window = match &options.window {
        Asked::Between(..) => {
            Window { from: first.unwrap_or(Wall(0)), to: second.unwrap_or(Wall(u64::MAX)) }
        }
        Asked::Around(_, before, after) => {
            let moment = first.unwrap_or(start);
            Window { from: moment.minus(*before), to: moment.plus(*after) }
        }
    };
    if window.from > window.to {
        return Err(Error::usage(
            "--from",
            window.from.to_string(),
            format!("--from must be before --to, which is {}", window.to),
            "a window that ends after it begins",
        ));
    }
    Ok(window)
}

/// The latest stamp of all files; those that are not bisected are read for it.
fn last_stamp(options: &Options, sources: &[Cursor]) -> Result<Wall> {
    let mut latest = Wall(0);
    for (path, source) in options.files.iter().zip(sources) {
        if source.is_bisected()
            && let Some((_, last)) = source.span()
        {
            latest = latest.max(last);
            continue;
        }
        if !path.is_file() {
            return Err(Error::usage(
                "FILE",
                path.display().to_string(),
                "a time counted from the end needs files that can be read twice",
                "a file, or a time that is not relative to the end",
            ));
        }
        let mut file = FileSource::open_of(path, options.files.len())?;
        // Damage is told by the cut itself.
        while file.advance().unwrap_or(false) {
            latest = latest.max(file.frame().and_then(|frame| frame.wall).unwrap_or_default());
        }
    }
    Ok(latest)
}

fn whole(spans: impl Iterator<Item = (Wall, Wall)>) -> Option<(Wall, Wall)> {
    spans.reduce(|(first, last), (f, l)| (first.min(f), last.max(l)))
}

/// The comment of the new file: what it was cut from.
fn about(options: &Options, window: Window) -> String {
    let mut text = format!("{APPLICATION}: cut from {}", inputs::named(&options.files));
    if window.from > Wall(0) {
        text += &format!(", from {}", window.from);
    }
    if window.to < Wall(u64::MAX) {
        text += &format!(", to {}", window.to);
    }
    if let Some(filter) = &options.filter {
        text += &format!(", filter {filter}");
    }
    text
}
