//! A directory by its descriptor: what lies in it is reached by its own name, one step at a time.
//!
//! Whoever may write into the output directory may put a link, a pipe or a device under any name, at any
//! moment. So no path is ever walked twice here, no link is followed, nothing is opened for writing that was
//! there before (but for [`Folder::grow`], which looks whose it is), and nothing is read that is not a regular file: openat(2) with O_NOFOLLOW, O_EXCL, and
//! O_NONBLOCK where a pipe would make us wait.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, fstatvfs,
    mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::geteuid;

use super::layout::{DIRECTORY_MODE, FILE_MODE};

/// Directories within directories that are walked at most: a bundle has `system/` and `after/`.
const DEPTH: u32 = 8;
/// How directories are opened: of a link in the last place, never what it leads to.
const ITSELF: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);

/// An open directory.
#[derive(Debug)]
pub struct Folder(File);

/// What lies in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// Its name.
    pub name: OsString,
    /// What it is; of a link, that it is one.
    pub kind: FileType,
    /// Length of a file in bytes.
    pub bytes: u64,
}

impl Folder {
    /// The directory at `path`, which must not be a link itself.
    ///
    /// # Errors
    /// When it cannot be opened, or is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, ITSELF, Mode::empty())?.into()))
    }

    /// The directory that an operator named, also by a link.
    ///
    /// # Errors
    /// When it cannot be opened, or is none.
    pub fn named(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, ITSELF.difference(OFlags::NOFOLLOW), Mode::empty())?.into()))
    }

    /// The directory `name` in it.
    ///
    /// # Errors
    /// When it cannot be opened, or is none, or a link.
    pub fn folder(&self, name: impl Arg) -> io::Result<Self> {
        Ok(Self(openat(&self.0, name, ITSELF, Mode::empty())?.into()))
    }

    /// Makes the directory `name` in it.
    ///
    /// # Errors
    /// When it cannot be made; [`io::ErrorKind::AlreadyExists`] whatever has that name.
    pub fn make(&self, name: &str) -> io::Result<Self> {
        mkdirat(&self.0, name, Mode::from_raw_mode(DIRECTORY_MODE))?;
        self.folder(name)
    }

    /// Makes the file `name` in it.
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub fn create(&self, name: &str) -> io::Result<File> {
        self.create_for(name, Mode::from_raw_mode(FILE_MODE))
    }

    /// The same for those that `mode` says, to be read as well.
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub fn create_for(&self, name: &str, mode: Mode) -> io::Result<File> {
        let new = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        Ok(openat(&self.0, name, new | OFlags::CLOEXEC, mode)?.into())
    }

    /// Opens the regular file `name` in it to write more at its end, or makes it. For who keeps others out of the
    /// directory: it must be ours, and have no second name.
    ///
    /// # Errors
    /// When it cannot be opened, or is anything else.
    pub fn grow(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file: File = match openat(&self.0, name, flags | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => self.create(name)?,
            opened => opened?.into(),
        };
        let about = file.metadata()?;
        match about.is_file() && about.nlink() == 1 && about.uid() == geteuid().as_raw() {
            true => Ok(file),
            false => Err(io::Error::other("it is not a regular file of our own")),
        }
    }

    /// A file in it that has no name and is gone when it is closed, whatever happens; `name` is free, and taken for a
    /// moment.
    ///
    /// # Errors
    /// As [`Folder::make`].
    pub fn unnamed(&self, name: &str) -> io::Result<File> {
        let file = self.create_for(name, Mode::RUSR | Mode::WUSR)?;
        self.remove_file(name)?;
        Ok(file)
    }

    /// Keeps others out who ask the same, until this is dropped; false if somebody is in already.
    ///
    /// # Errors
    /// When the file system knows no locks.
    pub fn lock(&self) -> io::Result<bool> {
        match flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(false),
            locked => Ok(locked.map(|()| true)?),
        }
    }

    /// Bytes that could still be written to its file system.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub fn room(&self) -> io::Result<u64> {
        let told = fstatvfs(&self.0)?;
        Ok(told.f_bavail.saturating_mul(told.f_frsize))
    }

    /// Opens the regular file `name` in it, for reading.
    ///
    /// # Errors
    /// When it cannot be opened, or is anything else.
    pub fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = openat(&self.0, name, flags, Mode::empty())?.into();
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("it is not a regular file")),
        }
    }

    /// Length of the regular file `name` in it; none where there is none.
    pub fn length(&self, name: &str) -> Option<u64> {
        let there = statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        (kind(&there) == FileType::RegularFile).then(|| length(&there))
    }

    /// True if anything has that name.
    pub fn has(&self, name: &str) -> bool {
        statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// True if `name` in it is the directory `other`.
    pub fn holds(&self, name: &str, other: &Self) -> bool {
        let [named, open] =
            [statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW), fstat(&other.0)].map(Result::ok);
        let same = |a: Stat, b: Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
        named.zip(open).is_some_and(|(named, open)| same(named, open))
    }

    /// All that lies in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn inside(&self) -> io::Result<Vec<Inside>> {
        let mut inside = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_owned();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            // What is gone again is not there.
            let Ok(there) = statat(&self.0, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let name = OsString::from_vec(name.into_bytes());
            inside.push(Inside { name, kind: kind(&there), bytes: length(&there) });
        }
        Ok(inside)
    }

    /// Length of all files in it and below; what cannot be read counts nothing.
    pub fn bytes(&self) -> u64 {
        self.bytes_within(DEPTH)
    }

    fn bytes_within(&self, depth: u32) -> u64 {
        let each = self.inside().unwrap_or_default().into_iter().map(|inside| match inside.kind {
            FileType::RegularFile => inside.bytes,
            FileType::Directory if depth > 0 => {
                self.folder(&*inside.name).map_or(0, |folder| folder.bytes_within(depth - 1))
            }
            _ => 0,
        });
        each.fold(0, u64::saturating_add)
    }

    /// Gives `from` in it the name `to`, which takes the place of a file, or of an empty directory.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    /// Takes the file, or whatever else is no directory, out of it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove_file(&self, name: impl Arg) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Takes the directory `name` out of it, with all that is in it.
    ///
    /// # Errors
    /// When the disk refuses, or it lies deeper than anything of ours.
    pub fn remove(&self, name: impl Arg + Copy) -> io::Result<()> {
        self.remove_within(name, DEPTH)
    }

    fn remove_within(&self, name: impl Arg + Copy, depth: u32) -> io::Result<()> {
        let folder = self.folder(name)?;
        for Inside { name, kind, .. } in folder.inside()? {
            match kind {
                FileType::Directory if depth == 0 => {
                    return Err(io::Error::other("it lies deeper than anything of dashcap"));
                }
                FileType::Directory => folder.remove_within(&*name, depth - 1)?,
                _ => folder.remove_file(&*name)?,
            }
        }
        Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Makes the names in it safe on the disk (fsync(2): syncing a file does not sync its name).
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

fn kind(there: &Stat) -> FileType {
    FileType::from_raw_mode(there.st_mode)
}

fn length(there: &Stat) -> u64 {
    u64::try_from(there.st_size).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_not_followed_and_nothing_that_was_there_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let victim = tempfile::tempdir().unwrap();
        fs::write(victim.path().join("kept"), b"as it was").unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        symlink(victim.path(), at("link")).unwrap();
        symlink(victim.path().join("kept"), at("file")).unwrap();
        symlink(victim.path().join("new"), at("dangling")).unwrap();

        assert!(Folder::open(&at("link")).is_err() && folder.folder("link").is_err());
        assert!(folder.make("link").is_err());
        for name in ["file", "dangling"] {
            assert_eq!(folder.create(name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert!(folder.file(name).is_err() && folder.length(name).is_none());
        }
        folder.make("inner").unwrap().create("a").unwrap().write_all(b"abc").unwrap();
        symlink(victim.path(), at("inner/link")).unwrap();
        assert_eq!(folder.bytes(), 3);
        assert!(folder.remove("link").is_err());
        folder.remove("inner").unwrap();
        assert!(!folder.has("inner"));
        let left: Vec<_> = fs::read_dir(victim.path()).unwrap().flatten().collect();
        assert_eq!((left.len(), fs::read(left[0].path()).unwrap()), (1, b"as it was".to_vec()));
    }

    #[test]
    fn only_a_file_of_our_own_with_one_name_grows() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let folder = Folder::open(directory.path()).unwrap();
        for part in ["be", "gun"] {
            folder.grow("a").unwrap().write_all(part.as_bytes()).unwrap();
        }
        assert_eq!(fs::read(at("a")).unwrap(), b"begun");
        fs::hard_link(at("a"), at("second")).unwrap();
        symlink(at("a"), at("link")).unwrap();
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(&folder.0, "pipe", FileType::Fifo, mode, 0).unwrap();
        for name in ["a", "second", "link", "pipe"] {
            assert!(folder.grow(name).is_err(), "{name}");
        }
        assert!(folder.lock().unwrap());
        assert!(!Folder::open(directory.path()).unwrap().lock().unwrap());
        folder.unnamed("x").unwrap().write_all(b"x").unwrap();
        assert!(!folder.has("x") && folder.room().unwrap() > 0);
    }

    #[test]
    fn a_pipe_or_a_device_is_no_file_and_makes_nobody_wait() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(&folder.0, "pipe", FileType::Fifo, mode, 0).unwrap();
        let refused = folder.file("pipe").unwrap_err().to_string();
        assert!(refused.contains("not a regular file") && folder.length("pipe").is_none());
        let devices = Folder::open(Path::new("/dev")).unwrap();
        assert!(devices.file("zero").is_err());
    }

    #[test]
    fn what_lies_too_deep_stays() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("x").join("y/".repeat(DEPTH as usize + 1));
        fs::create_dir_all(&deep).unwrap();
        let folder = Folder::open(directory.path()).unwrap();
        assert!(folder.remove("x").unwrap_err().to_string().contains("deeper"));
        assert!(deep.is_dir());
    }
}
