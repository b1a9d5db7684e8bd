//! `fetched.json`: what tells a bundle that was brought from another host from one that was written here.
//!
//! It says where the bundle is from, what became of its frames on the way, and which files with which sums were
//! promised: so a fetch that was cut off knows how to go on, and whoever verifies the copy knows that its capture was
//! cut by somebody who said so, and not by somebody who did not.

use std::collections::BTreeSet;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::layout::{CAPTURE, FETCHED, MANIFEST, SUFFIX};
use super::manifest::FileEntry;
use super::name::is_our_name;
use super::store::REMOVING;
use crate::APPLICATION;
use crate::observation::fetch::PacketShare;
use crate::time::Wall;

/// Value of `format`: what tells this file from any other JSON.
const FORMAT: &str = "dashcap-fetched";
/// Value of `version`; raised when a reader of the old one would misunderstand.
const VERSION: u32 = 1;
/// Files of a bundle at most: ten times what the largest router's has.
pub const MOST_FILES: usize = 1_024;
/// Longest such file in bytes: that many entries.
const LONGEST: u64 = 1 << 20;
/// Parts of a file's path: `system/` has files, and nothing has more.
const DEEPEST: usize = 2;
/// Bytes of one part of a path (NAME_MAX, linux/limits.h).
const LONGEST_NAME: usize = 255;
/// Length of a SHA-256 in hexadecimal.
const SUM: usize = 64;

/// Where a bundle is from, and what was promised of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    format: String,
    version: u32,
    #[serde(default)]
    written_by: String,
    /// The host.
    pub host: String,
    /// When it was asked.
    pub time: Wall,
    /// What became of its frames.
    pub packets: PacketShare,
    /// Its files.
    pub files: Vec<FileEntry>,
}

impl Fetched {
    /// A bundle of `host`, asked for at `time`.
    ///
    /// # Errors
    /// Why these are no files of a bundle.
    pub fn new(
        host: &str,
        time: Wall,
        packets: PacketShare,
        files: Vec<FileEntry>,
    ) -> Result<Self, String> {
        check(&files)?;
        let (format, host) = (FORMAT.to_owned(), host.to_owned());
        let written_by = APPLICATION.to_owned();
        Ok(Self { format, version: VERSION, written_by, host, time, packets, files })
    }

    /// What the bundle in `folder` says of itself; none where it was written on this host.
    pub fn read(folder: &Folder) -> Option<Self> {
        let mut text = Vec::new();
        folder.file(FETCHED).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
        let told: Self = serde_json::from_slice(&text).ok()?;
        (told.format == FORMAT && check(&told.files).is_ok()).then_some(told)
    }

    /// Puts it into `folder`, in place of what was there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, folder: &Folder) -> io::Result<()> {
        let beside = format!("{FETCHED}{SUFFIX}");
        if folder.has(&beside) {
            folder.remove_file(&*beside)?;
        }
        let mut file = folder.create(&beside)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.sync_all()?;
        folder.rename(&beside, FETCHED)
    }

    /// The file called `name`.
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.name == name)
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).fold(0, u64::saturating_add)
    }

    /// True if the capture is not the one that was written.
    pub(super) fn has_cut(&self, name: &str) -> bool {
        name == CAPTURE && self.packets != PacketShare::Full
    }
}

/// Refuses what no bundle has: it may come from anybody.
fn check(files: &[FileEntry]) -> Result<(), String> {
    if files.len() > MOST_FILES {
        return Err(format!("{} files, where {MOST_FILES} are the most", files.len()));
    }
    let mut names = BTreeSet::new();
    for FileEntry { name, size, sha256 } in files {
        let is_sum = sha256.len() == SUM && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_file_name(name) || !names.insert(name) {
            return Err(format!("no file of a bundle is called {name:?}"));
        }
        if !is_sum || i64::try_from(*size).is_err() {
            return Err(format!("{name} has no size and sum"));
        }
    }
    if names.iter().any(|name| name.as_str() == MANIFEST) {
        Ok(())
    } else {
        Err(format!("it has no {MANIFEST}"))
    }
}

/// True for the path of a file in a bundle, or in a directory of it: nothing that climbs, hides, ends another fetch's
/// file, or is more than letters.
pub fn is_file_name(path: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_.@:".contains(c);
    let is_name = |part: &str| {
        (1..=LONGEST_NAME).contains(&part.len())
            && !part.starts_with('.')
            && !part.ends_with(SUFFIX)
            && part.chars().all(is_safe)
    };
    path.split('/').count() <= DEEPEST && path.split('/').all(is_name) && path != FETCHED
}

/// True for the name of a bundle, and of nothing else that lies in a store.
pub fn is_bundle_name(name: &str) -> bool {
    is_our_name(name) && is_file_name(name) && !name.contains('/') && !name.ends_with(REMOVING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> FileEntry {
        FileEntry { name: name.to_owned(), size: 7, sha256: "a".repeat(SUM) }
    }

    #[test]
    fn only_names_that_stay_in_the_bundle_are_names() {
        for (name, is) in [
            (MANIFEST, true),
            ("system/ip-addr.txt", true),
            ("system/fe80::1@eth0", true),
            ("../manifest.json", false),
            ("system/../../x", false),
            ("/etc/passwd", false),
            ("system/", false),
            ("a/b/c", false),
            (".keep", false),
            ("", false),
            ("x\u{1b}[2J", false),
            ("it's", false),
            ("x.partial", false),
            (FETCHED, false),
            (&"x".repeat(256), false),
        ] {
            assert_eq!(is_file_name(name), is, "{name:?}");
        }
        for (name, is) in [
            ("2026-11-22T14-14-20.811Z_link-down_eth0", true),
            ("2026-11-22T14-14-20.811Z_link-down_eth0.partial", false),
            ("2026-11-22T14-14-20.811Z_x.removing", false),
            ("2026-11-22T14-14-20.811Z_/../../etc", false),
            ("2026-11-22T14-14-20.811Z_x/y", false),
            ("thesis", false),
        ] {
            assert_eq!(is_bundle_name(name), is, "{name:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_what_no_bundle_has_is_refused() {
        let made = |files| Fetched::new("b", Wall(7), PacketShare::Headers, files);
        let fetched = made(vec![entry(MANIFEST), entry(CAPTURE)]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        assert_eq!(Fetched::read(&folder), None);
        fetched.write(&folder).unwrap();
        fetched.write(&folder).unwrap();
        assert_eq!(Fetched::read(&folder), Some(fetched.clone()));
        assert!(fetched.has_cut(CAPTURE) && !fetched.has_cut(MANIFEST));
        let wrong_sum = FileEntry { sha256: "x".to_owned(), ..entry("x") };
        let endless = FileEntry { size: u64::MAX, ..entry("x") };
        for (files, why) in [
            (vec![entry(CAPTURE)], "has no manifest.json"),
            (vec![entry(MANIFEST), entry(MANIFEST)], "no file of a bundle"),
            (vec![entry(MANIFEST), entry("../x")], "no file of a bundle"),
            (vec![entry(MANIFEST), wrong_sum], "no size and sum"),
            (vec![entry(MANIFEST), endless], "no size and sum"),
            (vec![entry(MANIFEST); MOST_FILES + 1], "are the most"),
        ] {
            let told = made(files).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
