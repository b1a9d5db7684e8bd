//! A disk that can be filled: a small tmpfs.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::output;

/// A file system of its own, unmounted when dropped.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one of so many bytes.
    pub(crate) fn mount(bytes: u64) -> Self {
        let disk = Self(TempDir::new().expect("a directory can be made"));
        let size = format!("size={bytes}");
        output("mount", &["-t", "tmpfs", "-o", &size, "dashcap-it", disk.text()]);
        disk
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn text(&self) -> &str {
        self.path().to_str().expect("text")
    }

    /// From now on nothing can be written or made.
    pub(crate) fn forbid_writing(&self) {
        output("mount", &["-o", "remount,ro", self.text()]);
    }

    /// Takes all the space there is.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("there is room");
        while filler.write_all(&[0; 4_096]).is_ok() {}
    }

    /// Gives it back.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
