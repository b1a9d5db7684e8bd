//! A ring file that nobody writes to: what an earlier recording left, read and never written.
//!
//! By whose hand it is decides what may be done with it. A start trusts only what this user, or root, made
//! for itself: a bundle of a stranger's file would be forged evidence, and a name that a stranger took would
//! decide whether anything is recorded. Whoever names a file by hand (`dashcap recover`) may read anybody's.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::file::{FileHead, RingFile, in_use, lock, told};
use super::metadata::RecordingMetadata;
use super::recovery::{self, Image, ReadAt, Recovery, Spooled, WantedFrames};
use crate::error::{Error, Result};
use crate::ring::PAGE_SIZE;
use crate::ring::spool::SpoolFile;
use crate::sys::locked_file::LockedFile;

/// A ring file that nobody writes to.
#[derive(Debug)]
pub struct LeftRing {
    path: PathBuf,
    file: Arc<LockedFile>,
    length: u64,
}

/// Whose file may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of this user or root, for nobody else, with one name.
    Ours,
    /// Of whoever made it.
    Anybodys,
}

impl LeftRing {
    /// What stands behind the name of a file that was moved aside.
    const ASIDE: &str = ".old";
    /// So many names are tried for it: one by one strangers can take them all, and nobody waits for that.
    const NAMES: usize = 8;

    /// Opens the ring file that an earlier recording left at `path`; none if nothing is there.
    ///
    /// # Errors
    /// When it is not such a one as asked for, a dashcap is writing to it, it is no ring file, or it cannot
    /// be read.
    pub fn open(path: &Path, whose: Whose) -> Result<Option<Self>> {
        let failed = |e: io::Error| Error::operation("open ring file", told(path), e);
        let Some(file) = whose.open(path)? else { return Ok(None) };
        let file = lock(file, path)?;
        let length = file.metadata().map_err(failed)?.len();
        // An empty one is of a dashcap that died before it had written anything.
        if length > 0 && form(&*file).is_none() {
            return Err(not_ours(path, "it is no ring file, or its first bytes are damaged"));
        }
        Ok(Some(Self { path: path.to_owned(), file: Arc::new(file), length }))
    }

    /// What it holds of what is wanted. Reads all of it once, and what is wanted twice.
    ///
    /// # Errors
    /// When its version is another.
    pub fn recover(&self, wanted: WantedFrames) -> Result<Recovery> {
        self.recover_with(&[], wanted)
    }

    /// The same together with all that `spools` of the same recording hold, every frame once.
    ///
    /// # Errors
    /// When its version is another.
    pub fn recover_with(&self, spools: &[Self], wanted: WantedFrames) -> Result<Recovery> {
        let is_spool = form(&**self.file).is_some_and(|form| form.pages == 0);
        let spools = is_spool.then_some(self).into_iter().chain(spools);
        let spools: Vec<_> = spools.map(|left| (Arc::clone(&left.file), left.length)).collect();
        read(&**self.file, self.length, &spools, wanted)
            .map_err(|why| Error::operation("recover", told(&self.path), why))
    }

    /// It as a spool, whose frames are in a slice now.
    pub fn into_spool(self) -> SpoolFile {
        SpoolFile::of_left(self.file, self.length)
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.length
    }

    /// What it says of its recording, without a look at its frames.
    pub fn standing(&self) -> Option<RecordingMetadata> {
        standing(&**self.file)
    }

    /// Gives it another name, so that a new recording can begin, and tells which. A file of ours that was
    /// moved aside before is replaced: each takes the memory of a ring. Names that strangers took are passed
    /// over.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn move_aside(self) -> Result<PathBuf> {
        self.check_name()?;
        let mut refused = io::Error::from(io::ErrorKind::AlreadyExists);
        for aside in (1..=Self::NAMES).map(|n| aside(&self.path, n)) {
            let there = fs::symlink_metadata(&aside);
            if there.is_ok_and(|there| Whose::Ours.objection(&there).is_some()) {
                continue;
            }
            match fs::rename(&self.path, &aside) {
                Ok(()) => return Ok(aside),
                Err(error) => refused = error,
            }
        }
        Err(Error::operation("move aside ring file", told(&self.path), refused))
    }

    /// Removes it, and gives its memory back.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(self) -> Result<()> {
        self.check_name()?;
        fs::remove_file(&self.path)
            .map_err(|e| Error::operation("remove ring file", told(&self.path), e))
    }

    /// While we waited for the lock, another dashcap may have put its own file there.
    fn check_name(&self) -> Result<()> {
        let failed = |e: io::Error| Error::operation("open ring file", told(&self.path), e);
        let ours = self.file.metadata().map_err(failed)?;
        let there = fs::symlink_metadata(&self.path).map_err(failed)?;
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
            return Ok(());
        }
        Err(in_use(&self.path))
    }
}

/// The name of a file that was moved aside: `.old`, `.old-2`, and so on.
fn aside(path: &Path, number: usize) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(LeftRing::ASIDE);
    if number > 1 {
        name.push(format!("-{number}"));
    }
    PathBuf::from(name)
}

impl Whose {
    /// Bits of others and the group (inode(7)).
    const OTHERS: u32 = 0o077;

    /// Opens the file at `path`, neither following a link nor waiting for anybody; none if nothing is there.
    ///
    /// # Errors
    /// When it is not such a one, or may not be read.
    pub fn open(self, path: &Path) -> Result<Option<File>> {
        let failed = |e: io::Error| Error::operation("open ring file", told(path), e);
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        match self.objection(&file.metadata().map_err(failed)?) {
            Some(why) => Err(not_ours(path, &why)),
            None => Ok(Some(file)),
        }
    }

    /// Why such a file is not used; none if it is.
    fn objection(self, found: &Metadata) -> Option<String> {
        if !found.is_file() {
            return Some("it is no regular file".to_owned());
        }
        if self == Self::Anybodys {
            return None;
        }
        let user = rustix::process::geteuid().as_raw();
        if ![user, 0].contains(&found.uid()) {
            return Some(format!("it belongs to user {}, not to us", found.uid()));
        }
        if found.nlink() != 1 {
            return Some(format!("it has {} names", found.nlink()));
        }
        let open = found.mode() & Self::OTHERS;
        (open != 0).then(|| format!("others may use it (mode {:o})", found.mode() & 0o7777))
    }
}

/// What the bytes of a ring file of `length` bytes hold, and `spools`.
///
/// # Errors
/// When they are of another version, or of no ring file.
pub(super) fn read(
    source: &dyn ReadAt,
    length: u64,
    spools: &[Spooled],
    wanted: WantedFrames,
) -> Result<Recovery, String> {
    if length == 0 {
        let nothing = Image::new(source, 0, RingFile::HEAD, 0);
        return Ok(recovery::read(RecordingMetadata::unknown(), &nothing, spools, wanted));
    }
    let form = form(source).ok_or("it is no ring file")?;
    if form.version != FileHead::VERSION || form.page_size as usize != PAGE_SIZE {
        return Err(format!(
            "its version is {} with pages of {} bytes, this dashcap reads {} with {}",
            form.version,
            form.page_size,
            FileHead::VERSION,
            PAGE_SIZE
        ));
    }
    let standing = standing(source);
    let is_lost = standing.is_none();
    let image = Image::new(source, length, RingFile::HEAD, form.pages);
    let mut recovery =
        recovery::read(standing.unwrap_or_else(RecordingMetadata::unknown), &image, spools, wanted);
    recovery.counts.damaged_pages += u64::from(is_lost);
    Ok(recovery)
}

fn form(source: &dyn ReadAt) -> Option<FileHead> {
    FileHead::decode(&recovery::bytes(source, 0, FileHead::SIZE))
}

/// The newest of the two that is whole.
fn standing(source: &dyn ReadAt) -> Option<RecordingMetadata> {
    let places = RingFile::PLACES.map(|at| recovery::bytes(source, at, RingFile::PLACE));
    let whole = places.iter().filter_map(|place| RecordingMetadata::decode(place));
    whole.max_by_key(|(number, _)| *number).map(|(_, standing)| standing)
}

fn not_ours(path: &Path, why: &str) -> Error {
    Error::operation("use ring file", told(path), why)
        .hint("remove it, or name another --ring-file, in a directory that only dashcap writes to")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::super::{Pool, PoolOptions};
    use super::*;
    use crate::lab::is_root;

    /// A ring file as a recording leaves it, in a directory of its own.
    fn left() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = directory.path().join("ring");
        let file = RingFile::create(&path, RecordingMetadata::unknown()).unwrap();
        let memory = PoolOptions::MIN_MEMORY;
        Pool::in_file(&PoolOptions { memory, lock: false }, &file).unwrap();
        (directory, path)
    }

    #[test]
    fn h2_only_a_ring_file_of_our_own_is_used() {
        let (directory, path) = left();
        let refused = |whose| LeftRing::open(&path, whose).err().map(|error| error.to_string());
        assert_eq!(refused(Whose::Ours), None);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(refused(Whose::Ours).unwrap().contains("others may use it (mode 640)"));
        assert_eq!(refused(Whose::Anybodys), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

        let second = directory.path().join("second");
        fs::hard_link(&path, &second).unwrap();
        assert!(refused(Whose::Ours).unwrap().contains("it has 2 names"));
        fs::remove_file(&second).unwrap();

        if is_root("changing an owner") {
            chown(&path, Some(65_534), None).unwrap();
            assert!(refused(Whose::Ours).unwrap().contains("it belongs to user 65534"));
            assert_eq!(refused(Whose::Anybodys), None, "whoever names it may read it");
        }
    }

    #[test]
    fn h2_names_that_strangers_took_are_passed_over_and_ours_are_replaced() {
        let (directory, path) = left();
        let name = |name: &str| directory.path().join(name);
        fs::write(name("ring.old"), "squatted, for all to read").unwrap();
        symlink("/etc/passwd", name("ring.old-2")).unwrap();
        for _ in 0..2 {
            let aside = LeftRing::open(&path, Whose::Ours).unwrap().unwrap().move_aside().unwrap();
            assert_eq!(aside, name("ring.old-3"));
            fs::copy(&aside, &path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        for number in 4..=LeftRing::NAMES {
            fs::create_dir(name(&format!("ring.old-{number}"))).unwrap();
        }
        fs::remove_file(name("ring.old-3")).unwrap();
        fs::create_dir(name("ring.old-3")).unwrap();
        let left = LeftRing::open(&path, Whose::Ours).unwrap().unwrap();
        assert!(left.move_aside().is_err(), "the names are bounded");
        assert!(path.exists());
    }

    #[test]
    fn f11_a_file_that_is_cut_short_while_it_is_read_is_damaged_and_raises_no_signal() {
        let (_directory, path) = left();
        let left = LeftRing::open(&path, Whose::Ours).unwrap().unwrap();
        let whole = left.recover(WantedFrames::ALL).unwrap();
        assert!(whole.is_blank && !whole.counts.is_damaged());
        let length = RingFile::HEAD + 100;
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        let cut = left.recover(WantedFrames::ALL).unwrap();
        assert!(cut.counts.absent_pages > 0 && cut.counts.is_damaged() && !cut.is_blank);
    }

    #[test]
    fn f3_a_file_shorter_than_it_says_is_damaged() {
        let (_directory, path) = left();
        let pages = (fs::metadata(&path).unwrap().len() - RingFile::HEAD) / PAGE_SIZE as u64;
        let length = RingFile::HEAD + 3 * PAGE_SIZE as u64;
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        let left = LeftRing::open(&path, Whose::Ours).unwrap().unwrap();
        assert_eq!(left.recover(WantedFrames::ALL).unwrap().counts.absent_pages, pages - 3);
    }
}
