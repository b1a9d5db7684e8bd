//! A bundle that is being built: `NAME.partial`, renamed to `NAME` when it is whole and on the disk.
//!
//! Whoever looks into the output directory sees a bundle either not at all or complete: each file is
//! flushed and synced, then the directory, then it is renamed, then the parent is synced. Dropped
//! before that, the partial directory and all in it are removed, unless it was [`Partial::secure`]d.
//! All of it by descriptors ([`Folder`]): a link put in its place is not written through.
//!
//! Directories are made with mode 0750, files with 0640, less the umask: captured traffic is nobody's
//! business outside the group.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::folder::Folder;
use super::layout::SUFFIX;
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
    /// The output directory, where it is renamed.
    around: Folder,
    name: String,
    folder: Folder,
    /// The directories in it.
    inner: Vec<(String, Folder)>,
    files: Vec<FileEntry>,
    /// Bytes of what could be written of the file that failed.
    failed_at: u64,
    state: State,
}

/// What becomes of the directory when its partial is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is removed.
    Begun,
    /// All that is needed is on the disk: it stays.
    Safe,
    /// It has its name, which may not be on the disk yet: it stays.
    Named,
}

impl Partial {
    /// Makes the directory for a bundle called `name`, or `name-2` and so on where that exists.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn make(parent: &Path, name: &str) -> Result<Self> {
        let around = Folder::open(parent).map_err(|e| cannot("open", parent, &e))?;
        for name in (1..=NAMES).map(|n| numbered(name, n)) {
            if around.has(&name) {
                continue;
            }
            match around.make(&format!("{name}{SUFFIX}")) {
                Ok(folder) => {
                    let parent = parent.to_owned();
                    let (inner, files, failed_at) = (Vec::new(), Vec::new(), 0);
                    let state = State::Begun;
                    return Ok(Self {
                        parent,
                        around,
                        name,
                        folder,
                        inner,
                        files,
                        failed_at,
                        state,
                    });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(cannot("create bundle", &parent.join(name), &e)),
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
    pub fn directory(&mut self, name: &str) -> Result<()> {
        let made = self.folder.make(name);
        let made = made.map_err(|e| cannot("create directory", &self.path().join(name), &e))?;
        self.inner.push((name.to_owned(), made));
        Ok(())
    }

    /// Writes the file `name` (with `/` where it lies in a directory made before) as `content` does it, and
    /// syncs it. What `content` returns is returned.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file<T>(
        &mut self,
        name: &str,
        content: impl FnOnce(&mut BundleFile) -> io::Result<T>,
    ) -> Result<T> {
        let mut taken = 0;
        let (folder, leaf) = self.place(name);
        let write = || {
            let mut file = BundleFile::of(Some(folder.create(leaf)?));
            let value = content(&mut file).inspect_err(|_| taken = file.size)?;
            Ok((value, file.finish(name)?))
        };
        let written = write();
        self.failed_at = taken;
        let (value, entry) = written.map_err(|e| cannot("write", &self.path().join(name), &e))?;
        self.files.push(entry);
        Ok(value)
    }

    /// Where the file `name` lies, and what it is called there.
    fn place<'a>(&self, name: &'a str) -> (&Folder, &'a str) {
        let inner = name.split_once('/').and_then(|(directory, leaf)| {
            let (_, folder) = self.inner.iter().find(|(known, _)| known == directory)?;
            Some((folder, leaf))
        });
        inner.unwrap_or((&self.folder, name))
    }

    /// The files written so far.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Bytes that the disk took so far.
    pub fn bytes(&self) -> u64 {
        self.failed_at + self.files.iter().map(|file| file.size).sum::<u64>()
    }

    /// Where it is being built.
    pub fn path(&self) -> PathBuf {
        self.parent.join(self.partial_name())
    }

    fn partial_name(&self) -> String {
        format!("{}{SUFFIX}", self.name)
    }

    /// The directory that it appears in.
    pub fn parent(&self) -> &Path {
        &self.parent
    }

    /// What it will be called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the file `name` anew: beside it, then renamed over it, so that one of the two is there
    /// whatever happens.
    ///
    /// # Errors
    /// When it cannot be written; the old one stays then, and nothing beside it.
    pub fn replace(
        &mut self,
        name: &str,
        content: impl FnOnce(&mut BundleFile) -> io::Result<()>,
    ) -> Result<()> {
        let beside = format!("{name}{BESIDE}");
        let replaced = self.file(&beside, content).and_then(|()| {
            let renamed = self.folder.rename(&beside, name);
            renamed.map_err(|e| cannot("write", &self.path().join(name), &e))
        });
        if let Err(error) = replaced {
            self.discard(&beside);
            return Err(error);
        }
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
        let _ = self.folder.remove_file(name);
    }

    /// What is in it now is enough, and stays whatever happens: syncs its names. Should dashcap die
    /// before it is published, the next start publishes it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn secure(&mut self) -> Result<()> {
        self.sync()?;
        self.around.sync().map_err(|e| cannot("sync", &self.parent, &e))?;
        self.state = State::Safe;
        Ok(())
    }

    /// Makes the bundle appear under its name, safe on the disk, and tells its path. Can be asked again.
    ///
    /// # Errors
    /// When the disk refuses; then nothing appears, or its name is not safe yet.
    pub fn publish(&mut self) -> Result<PathBuf> {
        let whole = self.parent.join(&self.name);
        if self.state != State::Named {
            self.sync()?;
            let partial = self.partial_name();
            if !self.around.holds(&partial, &self.folder) {
                let path = self.path().display().to_string();
                return Err(Error::operation("publish bundle", path, "somebody has moved it away"));
            }
            let named = self.around.rename(&partial, &self.name);
            named.map_err(|e| cannot("publish bundle", &whole, &e))?;
            self.state = State::Named;
        }
        self.around.sync().map_err(|e| cannot("sync", &self.parent, &e))?;
        Ok(whole)
    }

    /// Makes the names in it safe, those of its directories first.
    fn sync(&self) -> Result<()> {
        let mut folders = self.inner.iter().map(|(_, folder)| folder).chain([&self.folder]);
        let synced = folders.try_for_each(Folder::sync);
        synced.map_err(|e| cannot("sync", &self.path(), &e))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let partial = self.partial_name();
        // Moved away, it is somebody else's.
        if self.state != State::Begun || !self.around.holds(&partial, &self.folder) {
            return;
        }
        if let Err(error) = self.around.remove(&*partial) {
            tracing::warn!("cannot remove {}: {error}", self.path().display());
        }
    }
}

pub(super) fn numbered(name: &str, number: u32) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}-{number}") }
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
        io::ErrorKind::FileTooLarge => failed.hint(
            "raise the limit of this process (`ulimit -f`, LimitFSIZE= of systemd), or lower --memory",
        ),
        io::ErrorKind::NotFound => failed
            .hint("was the output directory removed? create it again, or name another with -o"),
        _ => failed,
    }
}

/// A file of the bundle: counts and sums what passes through.
#[derive(Debug)]
pub struct BundleFile {
    out: BufWriter<Sink>,
    size: u64,
    sum: Sha256,
}

/// Where it goes: nowhere, where it is only measured.
#[derive(Debug)]
struct Sink(Option<File>);

impl BundleFile {
    fn of(file: Option<File>) -> Self {
        Self { out: BufWriter::new(Sink(file)), size: 0, sum: Sha256::new() }
    }

    /// What `content` returns, and how many bytes it would write.
    ///
    /// # Errors
    /// When `content` fails.
    pub fn measure<T>(content: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<(T, u64)> {
        let mut file = Self::of(None);
        let value = content(&mut file)?;
        Ok((value, file.size))
    }

    fn finish(mut self, name: &str) -> io::Result<FileEntry> {
        self.out.flush()?;
        if let Sink(Some(file)) = self.out.get_ref() {
            file.sync_all()?;
        }
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

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(bytes.len()), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::incident::layout::{DIRECTORY_MODE, FILE_MODE};

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

    /// F9 of the faults.
    #[test]
    fn a_link_in_place_of_a_bundle_being_built_is_not_written_through() {
        let (parent, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut partial = Partial::make(parent.path(), "x").unwrap();
        partial.directory("system").unwrap();
        fs::rename(partial.path(), parent.path().join("aside")).unwrap();
        symlink(victim.path(), partial.path()).unwrap();
        partial.file("a", |file| file.write_all(b"abc")).unwrap();
        partial.file("system/b", |file| file.write_all(b"abc")).unwrap();
        assert_eq!(names(&parent.path().join("aside")), ["a", "system"]);
        let refused = partial.publish().unwrap_err().to_string();
        assert!(refused.contains("moved it away"), "{refused}");
        // Moved back, it is published as if nothing had been.
        fs::remove_file(partial.path()).unwrap();
        fs::rename(parent.path().join("aside"), partial.path()).unwrap();
        partial.publish().unwrap();
        assert_eq!((names(parent.path()), names(victim.path()).len()), (vec!["x".to_owned()], 0));
    }
}
