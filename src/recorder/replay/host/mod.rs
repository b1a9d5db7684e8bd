//! What the host saw while the files were recorded, from the tables beside them: a bundle's
//! `events.jsonl` and `timeline.csv`, or the operator's own table.
//!
//! Each becomes the observation that its watcher made then, so rules judge it as they would have live:
//!
//! | in the file | becomes |
//! |---|---|
//! | `link`, `link_gone`, `probe_answered`, `probe_lost`, `probe_late`, `snapshot_signal`, `missed` of events.jsonl | the same fact |
//! | losses and answers in a row | a probe that went down, or up again, by the thresholds that hold now |
//! | `capture` with a gap, a failure or drops | something missed, as told then |
//! | a row of timeline.csv | a sample |
//! | the state of an interface differs between two of its rows, or it bounced | a link change; only where there is no events.jsonl, which has it to the millisecond |
//! | a ping's column | an answered or lost probe; likewise |
//!
//! Passed over and counted: findings and runs, which the frames show again; triggers, which the rules
//! judge again, but whose objects are watched; stop signals and ended commands, which ended that
//! recording, not this; and kinds this version does not know.
//!
//! All of it is in memory at once, sorted by time, at most [`MAX_OBSERVATIONS`].

mod events;
mod probes;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use self::probes::Probes;
use crate::error::{Error, Result};
use crate::incident::layout;
use crate::observation::Fact;
use crate::time::Wall;
use crate::watch::probe;

/// Observations of a replay: a day of ten interfaces every two seconds. Some hundred bytes each.
const MAX_OBSERVATIONS: usize = 500_000;
/// Largest file in bytes: room for as many lines with all their fields.
const LARGEST_FILE: u64 = 512 << 20;
/// Longest line of a file in bytes; a link change has about 1,000.
const LONGEST_LINE: u64 = 64 << 10;

/// What a host saw.
#[derive(Debug, Default)]
pub(super) struct HostEvents {
    /// In order of time, the last one first.
    seen: Vec<(Wall, Fact)>,
    /// Interfaces that were watched then.
    pub(super) watched: BTreeSet<String>,
    /// True if a table with rows is among the files.
    pub(super) has_rows: bool,
    /// What was not replayed, by kind.
    pub(super) passed_over: BTreeMap<String, u64>,
    read: u64,
}

/// What a file of the host's events holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EventFileKind {
    Events,
    Table,
}

impl HostEvents {
    /// Reads these files, each of either kind; `probes` have thresholds of their own.
    ///
    /// # Errors
    /// When one cannot be read, is neither, or has a line without meaning.
    pub(super) fn read(paths: &[PathBuf], probes: &[probe::Options]) -> Result<Self> {
        let open = |path: &PathBuf| Ok((path.clone(), open(path)?));
        Self::from_readers(paths.iter().map(open).collect::<Result<Vec<_>>>()?, probes)
    }

    /// Reads what somebody else opened, each called by its name.
    ///
    /// # Errors
    /// As [`HostEvents::read`].
    pub(super) fn from_readers(
        files: Vec<(PathBuf, impl BufRead)>,
        probes: &[probe::Options],
    ) -> Result<Self> {
        let mut kinds = Vec::new();
        for (path, mut file) in files {
            kinds.push((kind_of(&path, &mut file)?, path, file));
        }
        let has_events = kinds.iter().any(|(kind, ..)| *kind == EventFileKind::Events);
        let mut events = Self::default();
        for (kind, path, file) in kinds {
            match kind {
                EventFileKind::Events => events::read(&path, file, &mut events)?,
                EventFileKind::Table => table::read(&path, file, !has_events, &mut events)?,
            }
        }
        // Of the same moment, what was read first stays first.
        events.seen.sort_by_key(|(wall, _)| *wall);
        events.judge_probes(probes);
        events.seen.reverse();
        Ok(events)
    }

    /// Puts what probes amount to behind the losses and answers that it follows from.
    fn judge_probes(&mut self, configured: &[probe::Options]) {
        let mut probes = Probes::new(configured);
        for (wall, fact) in std::mem::take(&mut self.seen) {
            let edge = probes.follow(wall, &fact);
            self.seen.push((wall, fact));
            self.seen.extend(edge.map(|edge| (wall, edge)));
        }
    }

    /// The files of host events beside these files, each once.
    pub(super) fn beside(files: &[PathBuf]) -> Vec<PathBuf> {
        let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
        let names = [layout::EVENTS, layout::TIMELINE];
        let both = folders.into_iter().flat_map(|folder| names.map(|name| folder.join(name)));
        both.filter(|path| path.is_file()).collect()
    }

    /// When the next one was seen.
    pub(super) fn next_at(&self) -> Option<Wall> {
        self.seen.last().map(|(wall, _)| *wall)
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Option<Fact> {
        self.seen.pop().map(|(_, fact)| fact)
    }

    /// All states of links that are told, to know who belongs to whom from the beginning.
    pub(super) fn links(&self) -> impl Iterator<Item = &Fact> {
        self.seen
            .iter()
            .rev()
            .map(|(_, fact)| fact)
            .filter(|fact| matches!(fact, Fact::Link { .. }))
    }

    /// Observations read in all.
    pub(super) fn total(&self) -> u64 {
        self.read
    }

    fn add(&mut self, path: &Path, wall: Wall, fact: Fact) -> Result<()> {
        if self.seen.len() >= MAX_OBSERVATIONS {
            let reason = format!("more than {MAX_OBSERVATIONS} observations");
            return Err(Error::operation("read", path.display().to_string(), reason)
                .hint("cut the file to the time of the capture"));
        }
        self.read += 1;
        self.seen.push((wall, fact));
        Ok(())
    }

    fn pass_over(&mut self, kind: &str) {
        *self.passed_over.entry(kind.to_owned()).or_default() += 1;
    }
}

/// JSON lines begin with a brace, tables with the name of a column.
fn kind_of(path: &Path, file: &mut impl BufRead) -> Result<EventFileKind> {
    let begin =
        file.fill_buf().map_err(|e| Error::operation("read", path.display().to_string(), e))?;
    Ok(if begin.first() == Some(&b'{') { EventFileKind::Events } else { EventFileKind::Table })
}

fn open(path: &Path) -> Result<BufReader<File>> {
    let failed = |e| Error::operation("read", path.display().to_string(), e);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > LARGEST_FILE {
        let reason = format!("it is larger than {LARGEST_FILE} bytes");
        return Err(Error::operation("read", path.display().to_string(), reason)
            .hint("cut it to the time of the capture"));
    }
    Ok(BufReader::new(file))
}

/// The lines of a file, counted from 1, each of at most [`LONGEST_LINE`] bytes.
fn lines(path: &Path, mut reader: impl BufRead) -> impl Iterator<Item = Result<(u64, String)>> {
    let name = path.display().to_string();
    let mut number = 0;
    std::iter::from_fn(move || {
        number += 1;
        let failed =
            |reason: String| Error::operation("read", format!("{name} line {number}"), reason);
        let mut line = Vec::new();
        match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Err(error) => Some(Err(failed(error.to_string()))),
            Ok(0) => None,
            Ok(_) if line.len() as u64 == LONGEST_LINE => {
                Some(Err(failed(format!("longer than {LONGEST_LINE} bytes"))))
            }
            Ok(_) => Some(Ok((number, String::from_utf8_lossy(&line).trim_end().to_owned()))),
        }
    })
}

/// A moment as people and programs write it: RFC 3339, or without a zone for UTC.
fn moment(text: &str) -> Option<Wall> {
    text.parse().ok().or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        let moment = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        u64::try_from(moment.as_nanosecond()).ok().map(Wall)
    })
}

/// Refuses line `number` of a file.
fn refused(path: &Path, number: u64, reason: impl Into<String>, accepted: &str) -> Error {
    Error::operation("read", format!("{} line {number}", path.display()), reason.into())
        .hint(format!("accepted: {accepted}"))
}

#[cfg(test)]
mod tests;
