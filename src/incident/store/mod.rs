//! The output directory: where bundles appear.
//!
//! Opened before the waiting begins, so that an operator learns at start, and not at the failure he
//! waited a week for, that nothing could have been written: the directory is made if it is missing and
//! proven writable *by writing*, because permissions, quotas, read-only mounts and full disks all show
//! only then.
//!
//! What a dead dashcap left half-built is finished or removed (`leftover`). Dead is who holds no lock:
//! every dashcap holds a shared flock(2) on the output directory itself, which the kernel releases
//! however the process ends. Who gets the lock exclusively at start is alone, and everything called
//! `*.partial` or `*.removing` by our own pattern is a leftover; who does not leaves such directories
//! alone. Whoever removes bundles holds the lock, too.
//!
//! Old bundles go when the operator's [limits](retention) say so: after each new one, at the start, and
//! where a new one does not fit, if it then does. Never touched: anything that is not a bundle of ours
//! ([`Listing`]), a marked one, one that is being built.
//!
//! The directory may be another user's, also when root writes there: it is worked in by descriptors
//! ([`Folder`]), so that nothing of his can be followed, overwritten or waited for.

mod leftover;
mod listing;
pub mod record;
mod removal;
pub mod retention;
mod steadiness;

use std::fs::{DirBuilder, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::listing::{Listing, Other, Stored, What};
pub use self::removal::{KEPT, REMOVING, mark, remove};

use self::retention::RemovalReason;
use self::steadiness::Steadiness;
use super::folder::Folder;
use super::layout::{DIRECTORY_MODE, SUFFIX};
use super::partial::{Partial, cannot};
use crate::error::{Error, Result};
use crate::sys::{discipline, space};
use crate::time::Stamp;

/// Bytes written to prove that writing works: a whole block of any usual file system, so that a full
/// one cannot hide it in an inode.
const PROOF: usize = 4_096;
/// Another dashcap that starts at this moment holds the lock exclusively while it removes leftovers:
/// so often we ask again, with [`LOCK_PAUSE`] between, five seconds in all.
const LOCK_ATTEMPTS: u32 = 100;
/// See [`LOCK_ATTEMPTS`].
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// An output directory that was writable when it was opened.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    /// Keeps the shared lock; none where the file system knows no locks.
    lock: Option<File>,
    limits: retention::Options,
    clock: Steadiness,
    /// Why bundles are not called old now, as told last.
    doubt: Option<&'static str>,
    /// What had to go before it could be opened.
    removed: Vec<Removed>,
}

/// A bundle that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its name.
    pub name: String,
    /// What it took on the disk.
    pub bytes: u64,
    /// Why it went.
    pub why: RemovalReason,
}

impl Store {
    /// Opens `directory`, making it if it is missing; nothing in it is ever removed. Warns in the log
    /// if less than `expected` bytes, the size a bundle may have, are free.
    ///
    /// # Errors
    /// When it cannot be made, opened or written to.
    pub fn open(directory: &Path, expected: u64) -> Result<Self> {
        Self::open_within(directory, expected, retention::Options::default(), Stamp::default())
    }

    /// The same, within `limits`: where the disk is full already, a bundle goes.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_within(
        directory: &Path,
        expected: u64,
        limits: retention::Options,
        now: Stamp,
    ) -> Result<Self> {
        limits.check()?;
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(directory)
            .map_err(|e| cannot("create output directory", directory, &e))?;
        // Absolute, so that a later change of the working directory does not move it.
        let directory =
            directory.canonicalize().map_err(|e| cannot("open output directory", directory, &e))?;
        let lock = lock(&directory)?;
        let (clock, removed) = (Steadiness::default(), Vec::new());
        let mut store = Self { directory, lock, limits, clock, doubt: None, removed };
        store.removed = store.sweep(now, is_kept_right());
        if let Err(error) = prove_writable(&store.directory) {
            let room =
                if error.is_disk_full() { store.make_room(PROOF as u64) } else { Vec::new() };
            if room.is_empty() {
                return Err(error);
            }
            store.removed.extend(room);
            prove_writable(&store.directory)?;
        }
        warn_if_short(&store.directory, expected);
        Ok(store)
    }

    /// What had to go when it was opened; told once.
    pub fn take_removed(&mut self) -> Vec<Removed> {
        std::mem::take(&mut self.removed)
    }

    /// Removes what the limits do not allow; what is too old only while somebody keeps the clock right
    /// (`synchronised`), and it was not stepped.
    pub fn sweep(&mut self, now: Stamp, synchronised: bool) -> Vec<Removed> {
        if !self.limits.has_limits() {
            return Vec::new();
        }
        let now = self.clock.look(now, synchronised);
        if let Some(doubt) = now.err().filter(|_| self.limits.age.is_some())
            && self.doubt.replace(doubt) != Some(doubt)
        {
            tracing::warn!("no bundle goes by keep_age: {doubt}");
        }
        let free = space::free(&self.directory).ok();
        let bundles = self.bundles();
        let excess = self.limits.excess(&bundles, now.ok(), free);
        excess.into_iter().filter_map(|(bundle, why)| took_out(bundle, why)).collect()
    }

    /// Removes bundles so that a new one has `bytes` more room; none where that would not be enough.
    pub fn make_room(&self, bytes: u64) -> Vec<Removed> {
        let mut bundles = self.bundles();
        let mut removed: Vec<Removed> = Vec::new();
        loop {
            let room: u64 = removed.iter().map(|removed| removed.bytes).sum();
            let going = self.limits.room(&bundles, bytes.saturating_sub(room));
            let Some(next) = going.first() else { return removed };
            removed.extend(took_out(next, RemovalReason::Full));
            // One that cannot be removed is no reason not to try the others.
            let name = next.name.clone();
            bundles.retain(|bundle| bundle.name != name);
        }
    }

    fn bundles(&self) -> Vec<Stored> {
        match Listing::read(&self.directory) {
            Ok(listing) => listing.bundles,
            Err(error) => {
                tracing::warn!("no bundle can be removed: {error}");
                Vec::new()
            }
        }
    }

    /// Where bundles appear.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Begins a bundle called `name`.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn begin(&self, name: &str) -> Result<Partial> {
        Partial::make(&self.directory, name)
    }
}

impl Drop for Store {
    /// Closing alone would not do: a program being started at this moment by another thread holds our
    /// descriptors, and with them the lock, until it runs (fork(2), flock(2)).
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            // A lock that cannot be released goes with its descriptor.
            let _ = lock.unlock();
        }
    }
}

fn took_out(bundle: &Stored, why: RemovalReason) -> Option<Removed> {
    let Stored { name, bytes, path, .. } = bundle;
    match remove(path, false) {
        Ok(()) => Some(Removed { name: name.clone(), bytes: *bytes, why }),
        Err(error) => {
            tracing::warn!("{error}");
            None
        }
    }
}

/// True if somebody keeps the wall clock right, as far as the kernel knows.
pub(super) fn is_kept_right() -> bool {
    discipline::read().is_ok_and(|discipline| discipline.synchronised)
}

/// Under a name that nobody can have put a link under, gone again before it is written.
fn prove_writable(directory: &Path) -> Result<()> {
    let write = || {
        let folder = Folder::open(directory)?;
        let unforeseen = RandomState::new().hash_one(directory);
        let name = format!(".dashcap-{unforeseen:016x}{SUFFIX}");
        let mut file = folder.create(&name)?;
        folder.remove_file(&*name)?;
        file.write_all(&[0; PROOF])?;
        file.sync_all()
    };
    write().map_err(|e: io::Error| cannot("write to output directory", directory, &e))
}

/// Takes the shared lock; on the way, removes leftovers if nobody else has it.
fn lock(directory: &Path) -> Result<Option<File>> {
    let cannot_lock = |e: &io::Error| cannot("open output directory", directory, e);
    let file = File::open(directory).map_err(|e| cannot_lock(&e))?;
    match file.try_lock() {
        Ok(()) => leftover::clear(directory),
        Err(TryLockError::WouldBlock) => {
            tracing::info!(
                "another dashcap uses {}: its bundles being built are left alone",
                directory.display()
            );
        }
        Err(TryLockError::Error(error)) => {
            tracing::warn!(
                "{} knows no locks ({error}): bundles left half-built are not removed",
                directory.display()
            );
            return Ok(None);
        }
    }
    share(&file, directory).map(|()| Some(file))
}

/// Keeps every dashcap that starts from clearing `directory` of leftovers, while the file lives: for
/// whoever removes bundles. None where the file system knows no locks; then nobody clears it.
///
/// # Errors
/// When the directory cannot be opened, or somebody holds the lock for long.
pub fn hold(directory: &Path) -> Result<Option<File>> {
    let file = File::open(directory).map_err(|e| cannot("open", directory, &e))?;
    match file.try_lock_shared() {
        Err(TryLockError::Error(_)) => Ok(None),
        _ => share(&file, directory).map(|()| Some(file)),
    }
}

fn share(file: &File, directory: &Path) -> Result<()> {
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock_shared() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => {
                return Err(cannot("open output directory", directory, &error));
            }
        }
    }
    let object = directory.display().to_string();
    Err(Error::operation("lock output directory", object, "another program holds it")
        .hint("name another directory with -o"))
}

fn warn_if_short(directory: &Path, expected: u64) {
    match space::free(directory) {
        Ok(free) if free < expected => tracing::warn!(
            "only {} MiB free in {}: a bundle may need {} MiB",
            free >> 20,
            directory.display(),
            expected >> 20
        ),
        Ok(_) => {}
        Err(error) => {
            tracing::warn!("cannot tell the free space of {}: {error}", directory.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::lab::{Tmpfs, is_root};

    const LEFTOVER: &str = "2026-11-22T14-14-20.811Z_link-down_eth0.partial";

    #[test]
    fn leftovers_go_when_nobody_lives_and_stay_while_somebody_does() {
        let directory = tempfile::tempdir().unwrap();
        let store_path = directory.path().join("a/b");
        let leftover = store_path.join(LEFTOVER);
        let first = Store::open(&store_path, 0).unwrap();
        assert!(fs::read_dir(&store_path).unwrap().next().is_none(), "the proof is removed");

        fs::create_dir(&leftover).unwrap();
        fs::write(leftover.join("capture.pcapng.zst"), b"half").unwrap();
        fs::create_dir(store_path.join("mine.partial")).unwrap();
        let second = Store::open(&store_path, 0).unwrap();
        assert!(leftover.exists(), "the first one may be writing it");

        drop((first, second));
        Store::open(&store_path, u64::MAX).unwrap();
        assert!(!leftover.exists());
        assert!(store_path.join("mine.partial").exists());
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_refused_at_start() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let refused = Store::open(&file, 0).unwrap_err();
        assert_eq!(refused.exit_status(), 1);
        assert!(refused.to_string().starts_with("cannot create output directory"), "{refused}");
    }

    /// M1 of the security review: root's proof of writing went through a link to any file of root.
    #[test]
    fn links_under_the_names_of_proofs_are_not_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, b"as it was").unwrap();
        let store = directory.path().join("store");
        fs::create_dir(&store).unwrap();
        let own = std::process::id();
        for number in own.saturating_sub(50)..own + 50 {
            let link = store.join(format!(".dashcap-{number}.partial"));
            std::os::unix::fs::symlink(&victim, link).unwrap();
        }
        drop(Store::open(&store, 0).unwrap());
        assert_eq!(fs::read(&victim).unwrap(), b"as it was");
        assert_eq!(fs::read_dir(&store).unwrap().count(), 100, "the proof is gone again");
    }

    #[test]
    fn a_full_or_read_only_file_system_is_refused_at_start() {
        if !is_root("mounting a tmpfs") {
            return;
        }
        let tmpfs = Tmpfs::mount(64 * 1024);
        let fill = fs::write(tmpfs.path().join("fill"), vec![0; 1 << 20]);
        assert_eq!(fill.unwrap_err().kind(), io::ErrorKind::StorageFull);
        let full = Store::open(tmpfs.path(), 0).unwrap_err().to_string();
        assert!(full.contains("No space left") && full.contains("-o"), "{full}");
        fs::remove_file(tmpfs.path().join("fill")).unwrap();

        tmpfs.remount("ro");
        let read_only = Store::open(tmpfs.path(), 0).unwrap_err().to_string();
        assert!(read_only.contains("Read-only") && read_only.contains("-o"), "{read_only}");
        tmpfs.remount("rw");
        Store::open(tmpfs.path(), 0).unwrap();
    }
}
