//! Signals that the standard library has no words for: SIGHUP as we found it (under nohup(1) it is
//! ignored, and must stay so), and the polite way to end a child.

use std::io;
use std::mem::MaybeUninit;
use std::process::Child;
use std::ptr;
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};

/// True if a hang-up of the terminal (SIGHUP) is ignored.
pub fn hangup_ignored() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action changes nothing, and `action` is writable memory for the old one.
    unsafe { libc::sigaction(libc::SIGHUP, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: the call filled it in; had it failed, all zeroes is a valid sigaction (SIG_DFL).
    let action = unsafe { action.assume_init() };
    action.sa_sigaction == libc::SIG_IGN
}

/// Ignores a hang-up of the terminal from now on.
pub fn ignore_hangup() {
    // SAFETY: SIG_IGN is a valid disposition of SIGHUP and runs no code of ours.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
}

/// From now on a file that grows beyond what this process may write (RLIMIT_FSIZE) is an error of write(2),
/// EFBIG, and no longer the end of the process. By a handler that does nothing: that a signal is ignored would be
/// inherited by programs that are run, a handler is not (execve(2)).
///
/// # Errors
/// When the kernel refuses the handler.
pub fn outlive_large_files() -> io::Result<()> {
    signal_hook::flag::register(libc::SIGXFSZ, Arc::default()).map(drop)
}

/// Asks `child` to end (SIGTERM), unless it has.
pub fn terminate(child: &mut Child) {
    // Once waited for, its number may be another process's; until then it is kept for it.
    if let Ok(None) = child.try_wait() {
        // Refused only where it changed its user, and then it is not ours to end.
        let _ = kill_process(Pid::from_child(child), Signal::TERM);
    }
}
