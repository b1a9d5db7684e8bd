//! The kernel's log, record by record: `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg).
//!
//! Where `kernel.dmesg_restrict` is set, opening it needs CAP_SYSLOG and reading it does not
//! (`devkmsg_open()`, kernel/printk/printk.c). A process that gives the capability up opens it `SPARE`
//! times before ([`keep`]): from then on [`open`] lends one of these where the system refuses a new one.
//! Each has a place of its own in the log, so readers do not disturb each other.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Readers at a time: the watcher, the one that replaces it at a reload, and two incidents that are
/// collected at once. Further ones are refused as if none were kept.
const SPARE: usize = 4;

/// Kept open; those that are lent have a second owner. Descriptors are the whole process's, and so is this.
static KEPT: Mutex<Vec<Arc<File>>> = Mutex::new(Vec::new());

/// The log, open. Each `read` gives one record and fails with `WouldBlock` at the end; `EPIPE` means that
/// records were overwritten meanwhile and the next read goes on behind them.
#[derive(Debug)]
pub struct Reader(Arc<File>);

/// Opens the log at its oldest record.
///
/// # Errors
/// When the system keeps its log from us (`kernel.dmesg_restrict`) or has none.
pub fn open() -> io::Result<Reader> {
    match device() {
        Ok(log) => Ok(Reader(Arc::new(log))),
        Err(refused) if refused.kind() == ErrorKind::PermissionDenied => lent(&kept(), refused),
        Err(error) => Err(error),
    }
}

/// Opens the log for later, as far as the system lets us now.
pub fn keep() {
    let mut kept = kept();
    let missing = SPARE.saturating_sub(kept.len());
    kept.extend((0..missing).map_while(|_| device().ok().map(Arc::new)));
}

/// One that nobody else has, at its oldest record again.
fn lent(kept: &[Arc<File>], refused: io::Error) -> io::Result<Reader> {
    let free = kept.iter().find(|log| Arc::strong_count(log) == 1).ok_or(refused)?;
    let mut reader = Reader(Arc::clone(free));
    reader.seek(SeekFrom::Start(0))?;
    Ok(reader)
}

fn device() -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")
}

fn kept() -> MutexGuard<'static, Vec<Arc<File>>> {
    // Whatever panicked, the files in it are whole.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read for Reader {
    fn read(&mut self, record: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(record)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self.0).seek(to)
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_lent_to_one_at_a_time() {
        let kept: Vec<_> =
            (0..2).map(|_| Arc::new(tempfile::tempfile().expect("a file can be made"))).collect();
        let refused = || io::Error::from(ErrorKind::PermissionDenied);
        let first = lent(&kept, refused()).unwrap();
        let second = lent(&kept, refused()).unwrap();
        assert!(!Arc::ptr_eq(&first.0, &second.0));
        assert_eq!(lent(&kept, refused()).unwrap_err().kind(), ErrorKind::PermissionDenied);
        drop(first);
        lent(&kept, refused()).unwrap();
    }
}
