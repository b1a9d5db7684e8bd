//! Reports: what happened, from capture files alone or from a whole bundle.
//!
//! ```text
//!   files ─ merged by time ─► per interface: the live detectors, in the files' time ─► ledger ┐
//!             └► series, talkers, tracks                                                      ▼
//!   bundle: events, manifest ─► host ───────────────────────────► chain (onset ─► symptom) ─► model
//!                                                                              text, JSON, HTML ◄┘
//! ```
//!
//! One pass over each file, in bounded memory: tables have bounds of their own, columns of time widen,
//! and what finds no room is counted and told. What a file does not know (directions, drops) is said to
//! be unknown, or told from addresses where that is certain (`stations`).

mod bundle;
mod conclusion;
mod copies;
mod facts;
mod findings;
mod gaps;
mod headline;
mod host;
mod html;
mod interface;
mod known;
mod last_heard;
mod link_types;
mod loops;
mod losses;
pub mod model;
mod onset;
mod pass;
mod passage;
mod questions;
mod relations;
mod rows;
mod series;
mod states;
mod stations;
mod talkers;
#[cfg(test)]
mod tests;
mod text;
mod usual;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use self::bundle::{local_offset, of_bundle};
pub use self::html::html;
pub(crate) use self::html::rendered;
pub use self::model::Report;
pub(crate) use self::stations::Stations;
pub use self::text::{Look, text};
pub(crate) use self::text::{Page, mark};

use self::host::BundleFacts;
use self::pass::Pass;
use crate::capture_file::inputs::{self, Progress};
use crate::capture_file::merge::Merged;
use crate::cut::Moment;
use crate::detect::traffic;
use crate::error::{Error, Result};
use crate::incident::layout::{CAPTURE, MANIFEST};
use crate::visible;

/// Progress is shown after so many frames, some ten times a second.
const SHOWN_EVERY: u64 = 1 << 18;
/// How the note begins that tells of a report that was ended.
const ENDS_AT: &str = "the report ends at ";

/// What to report on.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Capture files, bundles (their directories), or `-` for standard input.
    pub files: Vec<PathBuf>,
    /// The moment of the failure, where the operator knows better.
    pub at: Option<Moment>,
    /// What is still in order.
    pub traffic: traffic::Options,
}

impl Options {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// Wrong usage, when there is no file, or standard input is named twice.
    pub fn check(&self) -> Result<()> {
        inputs::check(&self.files)
    }
}

/// Reads everything and reports; `show` is told how far it is.
///
/// # Errors
/// When a file cannot be read or is no capture file. Damage further on is in the report instead.
pub fn report(options: &Options, mut show: impl FnMut(&Progress)) -> Result<Report> {
    report_while(options, |progress| {
        show(progress);
        true
    })
}

/// The same, as long as `goes_on` says so: then a note tells how far it came.
///
/// # Errors
/// As [`report`].
pub fn report_while(
    options: &Options,
    mut goes_on: impl FnMut(&Progress) -> bool,
) -> Result<Report> {
    options.check()?;
    let captures: Vec<_> = options.files.iter().filter_map(|path| capture_of(path)).collect();
    let mut told = BundleFacts::default();
    let without = options.files.iter().filter(|path| capture_of(path).is_none());
    told.notes.extend(without.map(|path| {
        let name = visible::plain(&path.display().to_string()).into_owned();
        format!("{name} has no frames: what its host told of them is all there is")
    }));
    for folder in folders(&options.files) {
        host::read(&folder, &mut told)?;
    }
    let stations = Stations::scan(&captures)?;
    let (mut files, ended) = Merged::open(&captures)?;
    told.masters();
    let relations = std::mem::take(&mut told.relations);
    let clock_sets = std::mem::take(&mut told.clock_sets);
    let mut pass = Pass::new(options, &captures, stations, relations, clock_sets);
    ended.into_iter().for_each(|ended| pass.ended(ended));
    while let Some(head) = files.head() {
        pass.frame(&head)?;
        if pass.read.is_multiple_of(SHOWN_EVERY) {
            let (read, size) = files.progress();
            let at = pass.now();
            if !goes_on(&Progress { read, size, frames: pass.read, at }) {
                told.notes.push(format!("{ENDS_AT}{}, its time was over", at.milliseconds()));
                break;
            }
        }
        if let Some(ended) = files.pass() {
            pass.ended(ended);
        }
    }
    pass.finish(options, &files, told)
}

/// What is read of `files`: of a bundle's directory, what a report is made of.
pub fn inputs(files: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    // A bundle is read through its directory, so that nothing in it can lead elsewhere.
    let folders = folders(files).into_iter();
    folders.chain(files.iter().filter_map(|path| capture_of(path))).collect::<Vec<_>>().into_iter()
}

/// For programs: one JSON object, as docs/report.md has it, and a newline.
///
/// # Errors
/// Never with a report as it is.
pub fn json(report: &Report) -> Result<String> {
    let json = serde_json::to_string_pretty(report);
    json.map(|json| visible::json(&(json + "\n")).into_owned())
        .map_err(|e| Error::operation("write", "the report", e))
}

/// A bundle's directory stands for the capture in it; none where its frames stayed on its host when it was fetched.
fn capture_of(path: &Path) -> Option<PathBuf> {
    let inside = path.join(CAPTURE);
    match inside.is_file() {
        true => Some(inside),
        false => Some(path.to_owned()).filter(|path| !path.join(MANIFEST).is_file()),
    }
}

/// True for the capture of a bundle.
fn is_of_bundle(capture: &Path) -> bool {
    capture.parent().is_some_and(|folder| folder.join(MANIFEST).is_file())
}

/// Folders of bundles, each once: those named, and those whose capture is.
fn folders(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let folder = |path: &PathBuf| {
        if path.is_dir() { Some(path.clone()) } else { path.parent().map(Path::to_owned) }
    };
    let is_bundle = |folder: &PathBuf| folder.join(MANIFEST).is_file();
    paths.iter().filter_map(folder).filter(is_bundle).collect()
}
