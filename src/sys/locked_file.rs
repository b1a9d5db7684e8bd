//! A locked file, and its bytes as memory, to be read where they lie: a ring file can be larger than what is
//! left of the memory.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::slice;

use bytes::Bytes;

/// The mapping of one file, read only.
#[derive(Debug)]
struct MappedFile {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping is never written to and belongs to this value alone, so threads may hand it on.
unsafe impl Send for MappedFile {}
// SAFETY: as above: only read.
unsafe impl Sync for MappedFile {}

/// A file with the exclusive lock of flock(2), which the kernel releases however the process ends. What is
/// mapped of a file can be changed or cut short by whoever writes to it, behind the back of references: this
/// type is who holds that off. dashcap writes to no file whose lock another has, and makes ring files for
/// their owner alone.
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

    /// All its bytes, and none of what is appended later.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn bytes(&self) -> io::Result<Bytes> {
        // SAFETY: the lock is held, and `Bytes` are used by who holds this value.
        unsafe { map(&self.0) }
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

/// # Safety
/// Nobody may change the file or cut it short while the bytes are used.
unsafe fn map(file: &File) -> io::Result<Bytes> {
    let length = usize::try_from(file.metadata()?.len())
        .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    if length == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing; the descriptor is open.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        )
    };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let base = NonNull::new(base.cast()).ok_or_else(io::Error::last_os_error)?;
    Ok(Bytes::from_owner(MappedFile { base, length }))
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range is this mapping, which is initialised (a file's bytes) and lives as long as
        // `self`; that nobody writes to the file is the contract of `map`.
        unsafe { slice::from_raw_parts(self.base.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `map`, and whoever could reach it held this value.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_read_where_it_lies() {
        let file = LockedFile::lock(tempfile::tempfile().unwrap()).unwrap();
        assert!(file.bytes().unwrap().is_empty());
        (&*file).write_all(b"frames").unwrap();
        let bytes = file.bytes().unwrap();
        drop(file);
        assert_eq!(&bytes.slice(1..4)[..], b"ram");
    }
}
