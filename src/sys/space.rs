//! How much room a file system has: statvfs(3).

use std::io;
use std::path::Path;

use rustix::fs::statvfs;

/// Bytes that an unprivileged process could still write to the file system of `path`.
///
/// # Errors
/// When the path does not exist or holds a zero byte.
pub fn free(path: &Path) -> io::Result<u64> {
    let told = statvfs(path)?;
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
