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
//! [`Survey`]: crate::capture::file::Survey

pub(crate) mod block;
mod moment;
pub(crate) mod output;
pub(crate) mod source;
#[cfg(test)]
mod tests;
mod wanted;
pub(crate) mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::moment::{ACCEPTED, Moment};
use self::output::Output;
pub use self::output::{Format, is_standard};
use self::source::Source;
use self::wanted::Wanted;
use self::writing::Writing;
use crate::capture::file::merge::{self, Order};
use crate::capture::file::{Damage, FileSource};
use crate::capture::filter::Filter;
use crate::error::{Error, Result};
use crate::time::Wall;

/// A plain file of this size takes a moment to read; a bigger one is bisected. What stands in the middle of a
/// file and is not seen then (names, secrets) is found in all smaller ones.
pub const BISECT_FROM: u64 = 64 << 20;
/// The name that means standard input.
const STANDARD_INPUT: &str = "-";
/// Frames between two looks at the progress: a few milliseconds.
const PROGRESS_EVERY: u64 = 65_536;
/// Name and version, as other programs are to show it.
pub(crate) const APPLICATION: &str = concat!("dashcap ", env!("CARGO_PKG_VERSION"));

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

/// The time that is cut out, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First moment that belongs to it.
    pub from: Wall,
    /// Last moment that belongs to it.
    pub to: Wall,
}

impl Window {
    fn contains(self, wall: Wall) -> bool {
        self.from <= wall && wall <= self.to
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read of all files as they are on disk.
    pub read: u64,
    /// Their size, where all are known.
    pub size: Option<u64>,
    /// Frames written.
    pub frames: u64,
    /// Stamp of the last frame read.
    pub at: Wall,
}

/// What was cut, and everything that was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
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

/// Why a cut ends early.
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

impl Options {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// Wrong usage, when there is no file, standard input is named twice, or the output is one of the files.
    pub fn check(&self) -> Result<()> {
        check_files(&self.files, &self.output)
    }

    fn standard_inputs(&self) -> usize {
        standard_inputs(&self.files)
    }
}

/// Refuses files that cannot be read, or not with this output.
pub(crate) fn check_files(files: &[PathBuf], output: &Path) -> Result<()> {
    if files.is_empty() || standard_inputs(files) > 1 {
        return Err(Error::usage(
            "FILE",
            if files.is_empty() { "" } else { "- -" },
            "nothing to read, or one thing twice",
            "one or more capture files, such as before.pcap after.pcapng.zst, and - once",
        ));
    }
    let identity = |path: &Path| fs::metadata(path).ok().map(|m| (m.dev(), m.ino(), m.is_file()));
    let written = identity(output).filter(|(.., is_file)| *is_file);
    if written.is_some() && files.iter().any(|file| identity(file) == written) {
        return Err(Error::usage(
            "--output",
            output.display().to_string(),
            "it is one of the files to be read",
            "another name",
        ));
    }
    Ok(())
}

fn standard_inputs(files: &[PathBuf]) -> usize {
    files.iter().filter(|file| file.as_os_str() == STANDARD_INPUT).count()
}

/// Cuts, telling the progress now and then.
///
/// # Errors
/// Wrong usage; or when a file cannot be read, is no capture file, or the output cannot be written. Damage is
/// none: it is in the account.
pub fn run(options: &Options, mut progress: impl FnMut(&Progress)) -> Result<Account> {
    options.check()?;
    // What was read of a pipe cannot be read again.
    let bisect = options.bisect.filter(|_| options.standard_inputs() == 0);
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
) -> Result<Account, Halt> {
    let mut sources = Vec::new();
    for path in &options.files {
        sources.push(Source::open(path, bisect)?);
    }
    let window = window(options, &sources)?;
    let mut wanted = Wanted::new(options, window);
    let output = Output::create(&options.output, options.format)?;
    let mut out = Writing::begin(output, options.format, &sources, &about(options, window))?;
    copy(&mut sources, &mut wanted, &mut out, progress)?;
    let mut account = Account {
        window,
        files: whole(sources.iter().filter_map(Source::span)),
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
    sources: &mut [Source],
    wanted: &mut Wanted<'_>,
    out: &mut Writing,
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
                out.frame(source, wall)?;
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

fn how_far(sources: &[Source], frames: u64, at: Wall) -> Progress {
    let (read, size) = merge::progress(sources.iter().map(|source| &source.file));
    Progress { read, size, frames, at }
}

/// What was asked for, in terms of these files.
fn window(options: &Options, sources: &[Source]) -> Result<Window> {
    let start = sources.iter().filter_map(Source::begun).min().unwrap_or_default();
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
            Window { from: moment::minus(moment, *before), to: moment::plus(moment, *after) }
        }
    };
    if window.from > window.to {
        return Err(Error::usage(
            "--from",
            window.from.to_string(),
            format!("it is after --to {}", window.to),
            "a window that ends after it begins",
        ));
    }
    Ok(window)
}

/// The latest stamp of all files; those that are not bisected are read for it.
fn last_stamp(options: &Options, sources: &[Source]) -> Result<Wall> {
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
                "a time before the end needs a file that can be read twice",
                "a file, or a time that is not relative to the end",
            ));
        }
        let mut file = FileSource::open(path)?;
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
    const NAMED: usize = 8;
    let names = options.files.iter().take(NAMED).map(|file| {
        file.file_name().map_or_else(|| file.to_string_lossy(), |name| name.to_string_lossy())
    });
    let mut text = format!("{APPLICATION}: cut from {}", names.collect::<Vec<_>>().join(", "));
    if let Some(more) = options.files.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text += &format!(" and {more} more");
    }
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
