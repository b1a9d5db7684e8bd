//! A file's bytes as memory, to be read where they lie: a ring file can be larger than what is left of
//! the memory.

use std::fs::File;
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

/// All bytes of `file`, and none of what is appended later. Nobody may change it or cut it short while
/// they are used: whoever calls holds its lock.
///
/// # Errors
/// When the kernel refuses.
pub fn map(file: &File) -> io::Result<Bytes> {
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
        let mut file = tempfile::tempfile().unwrap();
        assert!(map(&file).unwrap().is_empty());
        file.write_all(b"frames").unwrap();
        let bytes = map(&file).unwrap();
        drop(file);
        assert_eq!(&bytes.slice(1..4)[..], b"ram");
    }
}
