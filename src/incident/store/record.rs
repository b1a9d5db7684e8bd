//! The record of manifests: a file beside the bundles that says which there were, in order, and with which
//! sums, so that one that was changed, slipped in or taken out shows.
//!
//! ```text
//!   9f86d081…  2026-11-22T14-14-20.811Z_link-down_eth0/manifest.json     as sha256sum(1) writes and checks it
//!   # removed 2026-11-22T14-14-20.811Z_link-down_eth0                     by a limit, or by `incidents rm`
//! ```
//!
//! Each manifest names the one before it and its sum (`previous`), so that who changes one has to change all
//! that came after it. The record is only appended to. It proves nothing against somebody who may write the
//! whole store: for that the sum goes out with the `written` event, to whoever keeps it elsewhere.
//!
//! A line is written before what it tells of: a bundle without a line was not made by dashcap. It grows by
//! some 200 bytes a bundle and is never cut: a million bundles are 200 MB.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::incident::layout::{FILE_MODE, MANIFEST};

/// The record's file.
pub const RECORD: &str = "manifests.sha256";
/// What a line of a removal begins with; sha256sum(1) passes over it.
const REMOVED: &str = "# removed ";
/// Bytes from the end of the record in which its last sum is looked for: many lines of any name.
const TAIL: u64 = 64 << 10;
/// Longest record that is read: a million bundles.
const LONGEST: u64 = 256 << 20;
/// Length of a SHA-256 in hexadecimal.
const SUM: usize = 64;

/// A bundle's manifest, by name and sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Name of the bundle.
    pub name: String,
    /// SHA-256 of its manifest, in hexadecimal.
    pub sha256: String,
}

/// All of the record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreRecord {
    /// Manifests in the order they came.
    pub manifests: Vec<Recorded>,
    /// Bundles that were removed.
    pub removed: BTreeSet<String>,
    places: BTreeMap<String, usize>,
}

impl StoreRecord {
    /// The record in `directory`; none where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is no file.
    pub fn read(directory: &Path) -> io::Result<Option<Self>> {
        let Some(file) = open(directory)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        let mut record = Self::default();
        for line in String::from_utf8_lossy(&bytes).lines() {
            if let Some(name) = line.strip_prefix(REMOVED) {
                record.removed.insert(name.to_owned());
            } else if let Some(manifest) = parse(line) {
                record.places.insert(manifest.name.clone(), record.manifests.len());
                record.manifests.push(manifest);
            }
        }
        Ok(Some(record))
    }

    /// Where in the order the manifest of the bundle `name` is, the last one of that name.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// Bundles that are recorded, not among `present`, and of which no removal is recorded.
    pub fn gone<'a>(&'a self, present: &BTreeSet<&str>) -> Vec<&'a str> {
        let names = self.manifests.iter().map(|manifest| manifest.name.as_str());
        let gone: BTreeSet<&str> =
            names.filter(|name| !present.contains(name) && !self.removed.contains(*name)).collect();
        gone.into_iter().collect()
    }
}

/// The manifest that was recorded last in `directory`; none where there is none, or the record cannot be read.
pub(in crate::incident) fn last(directory: &Path) -> Option<Recorded> {
    let read = || -> io::Result<Option<Recorded>> {
        let Some(mut file) = open(directory)? else { return Ok(None) };
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).lines().rev().find_map(parse))
    };
    read().unwrap_or_else(|error| {
        tracing::warn!("cannot read {}: {error}", directory.join(RECORD).display());
        None
    })
}

/// Records the manifest of the bundle `name`, which is about to appear in `directory`. A record that cannot
/// be written never holds up evidence; it is told.
pub(in crate::incident) fn add(directory: &Path, name: &str, sha256: &str) {
    // Once, however often its appearance is tried.
    if last(directory).is_none_or(|last| last.name != name || last.sha256 != sha256) {
        append(directory, &format!("{sha256}  {name}/{MANIFEST}\n"));
    }
}

/// Records that the bundle at `path` is about to go.
pub(super) fn remove(path: &Path) {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return };
    if directory.join(RECORD).exists() {
        append(directory, &format!("{REMOVED}{}\n", name.to_string_lossy()));
    }
}

fn append(directory: &Path, line: &str) {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let path = directory.join(RECORD);
    let write = || {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(FILE_MODE)
            .custom_flags(flags.bits().cast_signed())
            .open(&path)?;
        is_file(&file)?;
        file.write_all(line.as_bytes())?;
        file.sync_data()
    };
    if let Err(error) = write() {
        tracing::warn!("cannot write to {}: {error}", path.display());
    }
}

/// Opened so that nothing planted there is followed, or makes us wait.
fn open(directory: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    match options.open(directory.join(RECORD)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.and_then(|file| is_file(&file).map(|()| Some(file))),
    }
}

fn is_file(file: &File) -> io::Result<()> {
    let is_file = file.metadata()?.is_file();
    if is_file { Ok(()) } else { Err(io::Error::other("it is no regular file")) }
}

/// A line with a sum.
fn parse(line: &str) -> Option<Recorded> {
    let (sha256, path) = line.split_once("  ")?;
    let name = path.strip_suffix(MANIFEST)?.strip_suffix('/')?;
    let is_sum = sha256.len() == SUM && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sum.then(|| Recorded { name: name.to_owned(), sha256: sha256.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        assert_eq!((StoreRecord::read(place).unwrap(), last(place)), (None, None));
        remove(&place.join("a"));
        assert!(!place.join(RECORD).exists(), "no removal begins a record");
        let sum = |digit: char| digit.to_string().repeat(SUM);
        for (name, digit) in [("a", '1'), ("b", '2'), ("c", '3')] {
            add(place, name, &sum(digit));
        }
        remove(&place.join("b"));
        let newest = Recorded { name: "c".to_owned(), sha256: sum('3') };
        assert_eq!(last(place), Some(newest.clone()));
        let record = StoreRecord::read(place).unwrap().unwrap();
        assert_eq!(record.manifests.last(), Some(&newest));
        assert_eq!((record.place("b"), record.place("x")), (Some(1), None));
        assert_eq!(record.gone(&BTreeSet::from(["c"])), ["a"], "b was removed");
    }

    #[test]
    fn what_was_planted_is_neither_followed_nor_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let victim = place.join("victim");
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, place.join(RECORD)).unwrap();
        add(place, "a", &"1".repeat(SUM));
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        assert!(StoreRecord::read(place).is_err());
        std::fs::remove_file(place.join(RECORD)).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, place.join(RECORD), pipe, mode, 0).unwrap();
        add(place, "a", &"1".repeat(SUM));
        assert!(StoreRecord::read(place).is_err());
        assert_eq!(last(place), None);
    }
}
