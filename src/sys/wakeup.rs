//! Wakes a thread that sleeps in `poll`: an eventfd(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};

/// Cloning gives a second hand on the same descriptor.
#[derive(Debug, Clone)]
pub struct Wakeup(Arc<OwnedFd>);

impl Wakeup {
    /// One that nobody has notified yet.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(fd)))
    }

    /// Makes the descriptor readable until [`Wakeup::clear`] is called.
    pub fn notify(&self) {
        // Fails only when 2^64-2 of them were not cleared, and then the descriptor is readable anyway.
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes it unreadable again.
    pub fn clear(&self) {
        // Fails only when nothing was notified.
        let _ = read(&self.0, &mut [0; size_of::<u64>()]);
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
