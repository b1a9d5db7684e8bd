//! Which file systems tell of changes: statfs(2).

use std::io;
use std::path::Path;

use rustix::fs::statfs;

/// File systems that others change without this kernel knowing, so that inotify(7) is silent, by their
/// magic numbers (linux/magic.h, fs/smb/client/smb2glob.h, fs/ceph/super.h).
const REMOTE: [u32; 8] = [
    0x6969,      // NFS
    0x517b,      // SMB
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x0102_1997, // 9p
    0x00c3_6400, // Ceph
    0x6573_5546, // FUSE
    0x5346_414f, // AFS
];

/// True if `path` lies on a file system that may change without a word.
///
/// # Errors
/// When the path does not exist or holds a zero byte.
pub(crate) fn is_remote(path: &Path) -> io::Result<bool> {
    // The type of the field differs between architectures; the numbers have 32 bits.
    Ok(REMOTE.contains(&(statfs(path)?.f_type as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_file_systems_are_local() {
        assert!(!is_remote(Path::new("/proc")).unwrap());
        assert!(is_remote(Path::new("/does/not/exist")).is_err());
    }
}
