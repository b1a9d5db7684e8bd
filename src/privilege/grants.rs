//! What the process keeps: places it writes to, files it reads beyond what every program does, programs it
//! runs, capabilities. Whoever needs something more adds it here, before privileges are given up.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fchown};

use super::Capabilities;
use super::user::User;
use crate::sys::attribute;

/// Ends the name of a lock beside a socket, which whoever runs next must be able to take.
const LOCK: &str = "lock";

/// Everything that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    places: Vec<WritableDirectory>,
    /// May be read, with all below; need not exist.
    read: Vec<PathBuf>,
    /// Are there and must be readable, or that is told.
    to_read: Vec<PathBuf>,
    programs: Vec<PathBuf>,
    /// Capabilities.
    pub capabilities: Capabilities,
}

/// A directory that is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WritableDirectory {
    /// The directory; made if it is missing.
    pub path: PathBuf,
    /// Its mode, if it has to be made.
    pub mode: u32,
    /// True if nobody but dashcap uses it, so that it can be given to another user as it is.
    pub is_ours: bool,
}

/// What capturing itself takes: interfaces that appear later need new packet sockets (packet(7)), and so
/// does a probe that goes on after its interface was made anew.
impl Default for Grants {
    fn default() -> Self {
        let capabilities = Capabilities::NET_RAW;
        let (places, read, to_read, programs) = Default::default();
        Self { places, read, to_read, programs, capabilities }
    }
}

impl Grants {
    /// Files in `place` may be read, made, changed and removed.
    pub fn write(&mut self, place: WritableDirectory) {
        self.places.push(place);
    }

    /// `path` may be read, with all below if it is a directory. Of a file that others replace, grant the
    /// directory: a new file of the same name is another one to Landlock.
    pub fn read(&mut self, path: impl Into<PathBuf>) {
        self.read.push(path.into());
    }

    /// `file` is there now, and has to be readable: if it is not, that is told at the start.
    pub fn needs_to_read(&mut self, file: impl Into<PathBuf>) {
        self.to_read.push(file.into());
    }

    /// Programs in the directory of `program` may be run.
    pub fn run(&mut self, program: impl Into<PathBuf>) {
        self.programs.push(program.into());
    }

    /// Where it writes.
    pub fn places(&self) -> impl Iterator<Item = &WritableDirectory> {
        self.places.iter()
    }

    pub(super) fn readable(&self) -> impl Iterator<Item = &Path> {
        self.read.iter().map(PathBuf::as_path)
    }

    pub(super) fn to_read(&self) -> impl Iterator<Item = &Path> {
        self.to_read.iter().map(PathBuf::as_path)
    }

    pub(super) fn programs(&self) -> impl Iterator<Item = &Path> {
        self.programs.iter().map(PathBuf::as_path)
    }

    /// Makes the places that are missing, and gives `owner` those that are made or ours. What fails is
    /// told better by whoever needs the place.
    pub(super) fn make(&self, owner: Option<&User>) {
        for place in &self.places {
            let result = place.make(owner);
            if let Err(error) = result {
                tracing::debug!("cannot prepare {}: {error}", place.path.display());
            }
        }
    }
}

impl WritableDirectory {
    /// A directory that others may use, too.
    pub fn new(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self { path: path.into(), mode, is_ours: false }
    }

    fn make(&self, owner: Option<&User>) -> io::Result<()> {
        let missing: Vec<&Path> =
            self.path.ancestors().take_while(|path| is_missing(path)).collect();
        DirBuilder::new().recursive(true).mode(self.mode).create(&self.path)?;
        let Some(owner) = owner else { return Ok(()) };
        missing.into_iter().try_for_each(|made| give(made, OFlags::DIRECTORY, owner))?;
        if self.is_ours { self.hand_over(owner) } else { Ok(()) }
    }

    /// The directory as somebody else left it, and the locks in it; not while somebody holds one.
    fn hand_over(&self, owner: &User) -> io::Result<()> {
        let entries = fs::read_dir(&self.path)?.filter_map(|entry| Some(entry.ok()?.path()));
        let is_lock = |path: &PathBuf| path.extension().is_some_and(|ending| ending == LOCK);
        let locks: Vec<_> = entries.filter(is_lock).collect();
        if locks.iter().any(|path| is_held(path)) {
            return Ok(());
        }
        for path in locks {
            // What is no lock at all, a link, is refused and stays as it is.
            let _ = give(&path, OFlags::empty(), owner);
        }
        give(&self.path, OFlags::DIRECTORY, owner)
    }
}

fn is_missing(path: &Path) -> bool {
    !path.as_os_str().is_empty() && !path.exists()
}

/// True if a living process has the lock at `path`. Opened so that nothing planted there makes us wait.
fn is_held(path: &Path) -> bool {
    attribute::open(path).is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Gives the file or directory at `path` to `owner`. Done by root in a directory that another user may
/// write to: so no link is followed, and what has a second name elsewhere is left alone.
fn give(path: &Path, flags: OFlags, owner: &User) -> io::Result<()> {
    let flags = (flags | OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let there = file.metadata()?;
    let is_plain = there.is_dir() || (there.is_file() && there.nlink() == 1);
    if !is_plain || there.uid() == owner.uid.as_raw() {
        return Ok(());
    }
    Ok(fchown(file.as_fd(), Some(owner.uid), Some(owner.gid))?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_made_is_given_and_what_was_there_is_not() {
        let Some(nobody) = User::nobody_to_become() else { return };
        let home = tempfile::tempdir().unwrap();
        let uid = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        let there = home.path().join("there");
        fs::create_dir(&there).unwrap();
        WritableDirectory::new(there.join("a/b"), 0o750).make(Some(&nobody)).unwrap();
        assert_eq!(uid(&there), 0, "others use it");
        assert_eq!((uid(&there.join("a")), uid(&there.join("a/b"))), (65_534, 65_534));
        WritableDirectory::new(&there, 0o750).make(Some(&nobody)).unwrap();
        assert_eq!(uid(&there), 0, "it was there");

        fs::write(there.join("x.lock"), "").unwrap();
        fs::write(there.join("secret"), "").unwrap();
        fs::hard_link(there.join("secret"), there.join("y.lock")).unwrap();
        symlink("secret", there.join("z.lock")).unwrap();
        let ours = WritableDirectory { is_ours: true, ..WritableDirectory::new(&there, 0o750) };
        let held = File::open(there.join("x.lock")).unwrap();
        held.lock().unwrap();
        ours.make(Some(&nobody)).unwrap();
        assert_eq!(uid(&there), 0, "somebody uses it");
        drop(held);
        ours.make(Some(&nobody)).unwrap();
        assert_eq!((uid(&there), uid(&there.join("x.lock"))), (65_534, 65_534));
        assert_eq!(uid(&there.join("secret")), 0, "it has another name");
    }
}
