//! Wakes a thread that sleeps in `poll`: an eventfd(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

/// Cloning gives a second hand on the same bell.
#[derive(Debug, Clone)]
pub struct Wakeup(Arc<OwnedFd>);

impl Wakeup {
    /// A bell that has not rung.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us `fd`, and nobody else knows it.
        Ok(Self(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) })))
    }

    /// Rings: the descriptor is readable until [`Wakeup::hear`] is called.
    pub fn ring(&self) {
        let one = 1_u64;
        // SAFETY: `one` is eight readable bytes. A write fails only when 2^64-2 rings were not heard,
        // and then the descriptor is readable anyway.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }

    /// Falls silent again.
    pub fn hear(&self) {
        let mut rings = 0_u64;
        // SAFETY: `rings` is eight writable bytes. A read fails only when nothing rang.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut rings).cast(), size_of::<u64>()) };
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
