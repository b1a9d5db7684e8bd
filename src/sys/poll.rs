//! Sleeps until a descriptor has something to say: ppoll(2), with nanoseconds, because tracks of time
//! cut to milliseconds drift.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Waits until one of `fds` is readable or broken, or `timeout` has passed; forever without one.
/// Returns whether one is; false also after a signal, so callers ask again until their deadline.
///
/// # Errors
/// When the kernel is out of memory, or the process has more descriptors than its limit allows.
pub fn readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<bool> {
    let mut polled: Vec<PollFd<'_>> =
        fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    wait(&mut polled, timeout)
}

/// Waits until the other end of a socket is gone, or `timeout` has passed; returns whether it is gone. One that
/// only says no more (shutdown(2) of its writing side) still listens.
///
/// # Errors
/// When the kernel is out of memory.
pub fn hung_up(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    // That it hung up is always reported (poll(2)).
    wait(&mut [PollFd::from_borrowed_fd(fd, PollFlags::empty())], Some(timeout))
}

/// Waits until `from` is readable or broken, and tells true; or until nobody reads `to` any more, and tells false.
///
/// # Errors
/// When the kernel is out of memory.
pub fn readable_while_read(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<bool> {
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(from, PollFlags::IN),
            PollFd::from_borrowed_fd(to, PollFlags::empty()),
        ];
        if wait(&mut polled, None)? {
            return Ok(polled[1].revents().is_empty());
        }
    }
}

fn wait(polled: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<bool> {
    let limit = timeout.map(|timeout| Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    match poll(polled, limit.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::wakeup::Wakeup;

    #[test]
    fn who_says_no_more_still_listens_and_who_is_gone_does_not() {
        use std::net::Shutdown;
        use std::os::unix::net::UnixStream;

        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        assert!(!hung_up(ours.as_fd(), Duration::ZERO).unwrap());
        drop(theirs);
        assert!(hung_up(ours.as_fd(), Duration::from_secs(9)).unwrap());
    }

    #[test]
    fn a_pipe_that_nobody_reads_ends_the_waiting() {
        let (silent, bell) = (Wakeup::new().unwrap(), Wakeup::new().unwrap());
        let (reader, writer) = io::pipe().unwrap();
        bell.notify();
        assert!(readable_while_read(bell.as_fd(), writer.as_fd()).unwrap());
        drop(reader);
        assert!(!readable_while_read(silent.as_fd(), writer.as_fd()).unwrap());
    }

    #[test]
    fn a_bell_is_readable_until_it_is_heard() {
        let (rung, silent) = (Wakeup::new().unwrap(), Wakeup::new().unwrap());
        let fds = [silent.as_fd(), rung.as_fd()];
        assert!(!readable(&fds, Some(Duration::ZERO)).unwrap());
        assert!(!readable(&fds, Some(Duration::from_nanos(1))).unwrap());
        rung.notify();
        assert!(readable(&fds, None).unwrap());
        rung.clear();
        assert!(!readable(&fds, Some(Duration::ZERO)).unwrap());
    }
}
