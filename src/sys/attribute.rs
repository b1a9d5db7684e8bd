//! Files that the kernel makes up: attributes in /sys and /proc.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens `path` so that a read never waits: a few files in /proc and /sys are streams that block until
/// something happens (`/proc/kmsg`, `trace_pipe`) and answer `WouldBlock` instead.
///
/// # Errors
/// When there is no such file, or the system keeps it from us.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}
