//! A locked file, which can be mapped as memory that outlives the process.

use std::fs::{File, TryLockError};
use std::ops::Deref;

/// A file with the exclusive lock of flock(2), which the kernel releases however the process ends. What is
/// mapped of a file can be changed or cut short by whoever writes to it, behind the back of references: this
/// type is who holds that off. dashcap writes to no file whose lock another has, and maps only what it made
/// itself, for its owner alone.
#[derive(Debug)]
pub struct LockedFile(File);

impl LockedFile {
    /// Takes the lock.
    ///
    /// # Errors
    /// When somebody else has it, or the file system has no locks.
    pub fn lock(file: File) -> Result<Self, TryLockError> {
        file.try_lock().map(|()| Self(file))
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}
