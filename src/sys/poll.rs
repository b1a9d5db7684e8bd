//! Sleeps until a descriptor has something to say: ppoll(2), with nanoseconds, because tracks of time
//! cut to milliseconds drift.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

/// Waits until one of `fds` is readable or broken, or `timeout` has passed; forever without one.
/// Returns whether one is; false also after a signal, so callers ask again until their deadline.
///
/// # Errors
/// When the kernel is out of memory, or the process has more descriptors than its limit allows.
pub fn readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<bool> {
    let mut polled: Vec<libc::pollfd> = fds
        .iter()
        .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    let count = polled.len() as libc::nfds_t;
    // SAFETY: `polled` is an array of `count` pollfd that outlives the call, their descriptors are
    // open as long as `fds` borrows them, `limit` is null or points to a timespec that lives until
    // the end of this function, and a null signal mask means none is changed.
    let ready = unsafe { libc::ppoll(polled.as_mut_ptr(), count, limit, ptr::null()) };
    if ready >= 0 {
        return Ok(ready > 0);
    }
    match io::Error::last_os_error() {
        interrupted if interrupted.kind() == io::ErrorKind::Interrupted => Ok(false),
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::wakeup::Wakeup;

    #[test]
    fn a_bell_is_readable_until_it_is_heard() {
        let (rung, silent) = (Wakeup::new().unwrap(), Wakeup::new().unwrap());
        let fds = [silent.as_fd(), rung.as_fd()];
        assert!(!readable(&fds, Some(Duration::ZERO)).unwrap());
        assert!(!readable(&fds, Some(Duration::from_nanos(1))).unwrap());
        rung.ring();
        assert!(readable(&fds, None).unwrap());
        rung.hear();
        assert!(!readable(&fds, Some(Duration::ZERO)).unwrap());
    }
}
