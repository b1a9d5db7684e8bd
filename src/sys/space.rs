//! How much room a file system has: statvfs(3).

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes that an unprivileged process could still write to the file system of `path`.
///
/// # Errors
/// When the path does not exist or holds a zero byte.
pub fn free(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut told = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `path` ends with a zero byte and `told` is room for one statvfs; both outlive the call.
    if unsafe { libc::statvfs(path.as_ptr(), told.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all-zero bytes are a valid statvfs (plain integers), whatever of them the kernel filled.
    let told = unsafe { told.assume_init() };
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_tells_its_room() {
        assert!(free(Path::new("/")).unwrap() > 0);
        assert_eq!(free(Path::new("/proc")).unwrap(), 0);
        assert!(free(Path::new("/does/not/exist")).is_err());
    }
}
