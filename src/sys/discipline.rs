//! Whether somebody keeps the wall clock right: adjtimex(2), only read.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// What the kernel knows of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discipline {
    /// True if a daemon says that it is kept right (`STA_UNSYNC` is not set).
    pub synchronised: bool,
    /// How wrong it may be at most, as that daemon said and the kernel has counted on since.
    pub most_wrong: Duration,
}

/// Asks the kernel.
///
/// # Errors
/// Where a sandbox forbids it.
pub fn read() -> io::Result<Discipline> {
    let mut told = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all-zero `modes` ask for nothing to be changed, and `told` is room for one timex that
    // outlives the call.
    if unsafe { libc::adjtimex(told.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all-zero bytes are a valid timex (plain integers), whatever of them the kernel filled.
    let told = unsafe { told.assume_init() };
    Ok(Discipline {
        synchronised: told.status & libc::STA_UNSYNC == 0,
        most_wrong: Duration::from_micros(u64::try_from(told.maxerror).unwrap_or(u64::MAX)),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_tells() {
        // Whether it is right depends on the machine; that it is told does not.
        assert!(super::read().is_ok());
    }
}
