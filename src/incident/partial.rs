//! A bundle that is being built: `NAME.partial`, renamed to `NAME` when it is whole and on the disk.
//!
//! Whoever looks into the output directory sees a bundle either not at all or complete: each file is
//! flushed and synced, then the directory, then it is renamed, then the parent is synced. Dropped
//! before that, the partial directory and all in it are removed, unless it was [`Partial::secure`]d.
//!
//! Directories are made with mode 0750, files with 0640, less the umask: captured traffic is nobody's
//! business outside the group.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::layout::{DIRECTORY_MODE, FILE_MODE, SUFFIX};
use super::manifest::FileEntry;
use crate::error::{Error, Result};

/// Ends the name of a file that takes the place of another when it is whole.
pub(super) const BESIDE: &str = ".new";
/// Names tried before giving up: `NAME`, `NAME-2`, ... One is taken only when two incidents of one kind
/// open in the same millisecond, or after a backward step of the clock.
const NAMES: u32 = 1_000;

/// A bundle directory that is not whole yet.
#[derive(Debug)]
pub struct Partial {
    parent: PathBuf,
    name: String,
    path: PathBuf,
    files: Vec<FileEntry>,
    /// All that is needed is on the disk, or it is published: dropped, it stays.
    safe: bool,
}

impl Partial {
    /// Makes the directory for a bundle called `name`, or `name-2` and so on where that exists.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn make(parent: &Path, name: &str) -> Result<Self> {
        for name in (1..=NAMES).map(|n| numbered(name, n)) {
            let path = parent.join(format!("{name}{SUFFIX}"));
            if parent.join(&name).exists() {
                continue;
            }
            match DirBuilder::new().mode(DIRECTORY_MODE).create(&path) {
                Ok(()) => {
                    let parent = parent.to_owned();
                    return Ok(Self { parent, name, path, files: Vec::new(), safe: false });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(cannot("create bundle", &path, &e)),
            }
        }
        let path = parent.join(name);
        Err(Error::operation(
            "create bundle",
            path.display().to_string(),
            "all its names are taken",
        ))
    }

    /// Makes the directory `name` in the bundle.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn directory(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        let made = DirBuilder::new().mode(DIRECTORY_MODE).create(&path);
        made.map_err(|e| cannot("create directory", &path, &e))
    }

    /// Writes the file `name` (with `/` where it lies in a directory) as `content` does it, and syncs
    /// it. What `content` returns is returned.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file<T>(
        &mut self,
        name: &str,
        content: impl FnOnce(&mut BundleFile) -> io::Result<T>,
    ) -> Result<T> {
        let path = self.path.join(name);
        let write = || {
            let mut file = BundleFile::create(&path)?;
            let value = content(&mut file)?;
            Ok((value, file.finish(name)?))
        };
        let (value, entry) = write().map_err(|e| cannot("write", &path, &e))?;
        self.files.push(entry);
        Ok(value)
    }

    /// The files written so far.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Where it is being built.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it will be called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the file `name` anew: beside it, then renamed over it, so that one of the two is there
    /// whatever happens.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays then.
    pub fn replace(
        &mut self,
        name: &str,
        content: impl FnOnce(&mut BundleFile) -> io::Result<()>,
    ) -> Result<()> {
        let beside = format!("{name}{BESIDE}");
        let (old, new) = (self.path.join(name), self.path.join(&beside));
        if let Err(error) = self.file(&beside, content) {
            self.discard(&beside);
            return Err(error);
        }
        fs::rename(&new, &old).map_err(|e| cannot("write", &old, &e))?;
        self.files.retain(|file| file.name != name);
        if let Some(file) = self.files.iter_mut().find(|file| file.name == beside) {
            name.clone_into(&mut file.name);
        }
        Ok(())
    }

    /// Takes the file `name` out again, whole or not.
    pub fn discard(&mut self, name: &str) {
        self.files.retain(|file| file.name != name);
        // It may never have been made, and what is not listed is taken out of a leftover, too.
        let _ = fs::remove_file(self.path.join(name));
    }

    /// What is in it now is enough, and stays whatever happens: syncs its names. Should dashcap die
    /// before it is published, the next start publishes it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn secure(&mut self) -> Result<()> {
        for directory in self.directories().iter().chain([&self.parent]) {
            sync_directory(directory).map_err(|e| cannot("sync", directory, &e))?;
        }
        self.safe = true;
        Ok(())
    }

    /// Makes the bundle appear under its name, safe on the disk, and tells its path.
    ///
    /// # Errors
    /// When the disk refuses; then nothing appears.
    pub fn publish(mut self) -> Result<PathBuf> {
        for directory in self.directories() {
            sync_directory(&directory).map_err(|e| cannot("sync", &directory, &e))?;
        }
        let whole = self.parent.join(&self.name);
        fs::rename(&self.path, &whole).map_err(|e| cannot("publish bundle", &whole, &e))?;
        self.safe = true;
        sync_directory(&self.parent).map_err(|e| cannot("sync", &self.parent, &e))?;
        Ok(whole)
    }

    /// The bundle's directories, each after those in it.
    fn directories(&self) -> Vec<PathBuf> {
        let inner = self.files.iter().filter_map(|file| Some(file.name.split_once('/')?.0));
        let mut directories: Vec<PathBuf> = inner.map(|name| self.path.join(name)).collect();
        directories.dedup();
        directories.push(self.path.clone());
        directories
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.safe {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn numbered(name: &str, number: u32) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}-{number}") }
}

/// Makes a directory's entries safe on the disk (fsync(2): syncing a file does not sync its name).
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What failed in the output directory, and what to try.
pub(super) fn cannot(doing: &'static str, path: &Path, error: &io::Error) -> Error {
    let failed = Error::operation(doing, path.display().to_string(), error).of_kind(error.kind());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failed.hint("free space there, or name another directory with -o")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            failed.hint("mount it writable, or name another directory with -o")
        }
        io::ErrorKind::PermissionDenied => failed.hint(
            "give dashcap's user write permission, restart dashcap if the directory was made \
                 anew, or name another with -o",
        ),
        io::ErrorKind::NotFound => failed
            .hint("was the output directory removed? create it again, or name another with -o"),
        _ => failed,
    }
}

/// A file of the bundle: counts and sums what passes through.
#[derive(Debug)]
pub struct BundleFile {
    out: BufWriter<File>,
    size: u64,
    sum: Sha256,
}

impl BundleFile {
    fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
        Ok(Self { out: BufWriter::new(file), size: 0, sum: Sha256::new() })
    }

    fn finish(mut self, name: &str) -> io::Result<FileEntry> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        let sha256 = self.sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(FileEntry { name: name.to_owned(), size: self.size, sha256 })
    }
}

impl Write for BundleFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(bytes)?;
        self.sum.update(&bytes[..taken]);
        self.size += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_bundle_appears_whole_and_under_a_free_name() {
        let parent = tempfile::tempdir().unwrap();
        for expected in ["x", "x-2", "x-3"] {
            let mut partial = Partial::make(parent.path(), "x").unwrap();
            partial.directory("system").unwrap();
            partial.file("system/a.txt", |file| file.write_all(b"abc")).unwrap();
            assert!(!parent.path().join(expected).exists());
            let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
            assert_eq!(
                partial.files(),
                [FileEntry { name: "system/a.txt".into(), size: 3, sha256: sum.into() }]
            );
            assert_eq!(partial.publish().unwrap(), parent.path().join(expected));
        }
        assert_eq!(names(parent.path()), ["x", "x-2", "x-3"]);
        let mode = |path: &str| {
            fs::metadata(parent.path().join(path)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode("x") & !DIRECTORY_MODE, 0);
        assert_eq!(mode("x/system") & !DIRECTORY_MODE, 0);
        assert_eq!(mode("x/system/a.txt") & !FILE_MODE, 0);
    }

    #[test]
    fn a_bundle_being_built_keeps_its_name_and_leaves_nothing_behind() {
        let parent = tempfile::tempdir().unwrap();
        let first = Partial::make(parent.path(), "x").unwrap();
        let mut second = Partial::make(parent.path(), "x").unwrap();
        assert_eq!(names(parent.path()), ["x-2.partial", "x.partial"]);
        drop(first);
        let failed =
            second.file("a", |_| -> io::Result<()> { Err(io::ErrorKind::StorageFull.into()) });
        let message = failed.unwrap_err().to_string();
        assert!(message.contains("x-2.partial/a") && message.contains("free space"), "{message}");
        drop(second);
        assert_eq!(names(parent.path()), [""; 0]);
    }
}
