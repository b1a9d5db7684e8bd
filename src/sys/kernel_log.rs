//! The kernel's log, record by record: `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg).
//!
//! Where `kernel.dmesg_restrict` is set, opening it needs CAP_SYSLOG and reading it does not
//! (`devkmsg_open()`, kernel/printk/printk.c). A process that gives the capability up opens it `SPARE`
//! times before ([`keep`]), or never had it and was given open ones ([`adopt`]): [`open`] lends one of these
//! where the system refuses a new one. Each has a place of its own in the log, so readers do not disturb each
//! other.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};

/// Readers at a time: the watcher, the one that replaces it at a reload, and two incidents that are
/// collected at once. Further ones are refused as if none were kept.
const SPARE: usize = 4;
/// The device of the log (Documentation/admin-guide/devices.txt).
const DEVICE: (u32, u32) = (1, 11);

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
        // A service does not even see the device.
        Err(refused) => lent(&kept(), refused),
    }
}

/// Opens the log for later, as far as the system lets us now.
pub fn keep() {
    let mut kept = kept();
    let missing = SPARE.saturating_sub(kept.len());
    kept.extend((0..missing).map_while(|_| device().ok().map(Arc::new)));
}

/// Takes over descriptors that the service manager opened, whatever else they may be is closed. To be called
/// before anything of this process's own is opened: what has such a number then was handed over.
pub fn adopt(numbers: &[RawFd]) {
    kept().extend(numbers.iter().filter_map(|number| handed_over(*number)).map(Arc::new));
}

/// The log behind a descriptor that is nobody's yet. Programs that are run do not get it, and it never blocks.
fn handed_over(number: RawFd) -> Option<File> {
    // SAFETY: no memory is touched; what is not open is refused.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return None;
    }
    // SAFETY: it is open, as was just seen, and nobody here owns it (`adopt`).
    let file = unsafe { File::from_raw_fd(number) };
    let found = fstat(&file).ok()?;
    let device = (rustix::fs::major(found.st_rdev), rustix::fs::minor(found.st_rdev));
    let is_log = FileType::from_raw_mode(found.st_mode).is_char_device() && device == DEVICE;
    fcntl_setfl(&file, fcntl_getfl(&file).ok()? | OFlags::NONBLOCK).ok()?;
    is_log.then_some(file)
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
    use std::io::ErrorKind;
    use std::os::fd::IntoRawFd;

    use super::*;
    use crate::lab::skip;

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

    #[test]
    fn what_is_handed_over_is_the_log_or_closed() {
        let other = File::open("/dev/null").unwrap().into_raw_fd();
        assert!(handed_over(other).is_none());
        assert!(handed_over(-1).is_none());
        let Ok(log) = File::open("/dev/kmsg") else { return skip("/dev/kmsg may not be opened") };
        let mut log = handed_over(log.into_raw_fd()).expect("it is the log");
        log.seek(SeekFrom::End(0)).unwrap();
        assert_eq!(log.read(&mut [0; 8_192]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}
