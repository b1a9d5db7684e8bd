//! The kernel's log, record by record: `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

/// Opens the log at its oldest record. Each `read` gives one record and fails with `WouldBlock` at the
/// end; `EPIPE` means that records were overwritten meanwhile and the next read goes on behind them.
///
/// # Errors
/// When the system keeps its log from us (`kernel.dmesg_restrict`) or has none.
pub fn open() -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")
}
