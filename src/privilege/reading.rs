//! The few system calls of a thread that reads frames of strangers: a list of what is allowed.
//!
//! For the process as a whole there can be no such list (see `seccomp`), since it starts programs and uses much of a
//! C library. A capture thread starts nothing and opens nothing: its source is open before it begins, and another
//! thread opens the next one. What is not listed is refused with EPERM, which ends nothing: a list that forgot
//! something costs a source or a log line, never the recorder.

use std::collections::BTreeMap;

use rustix::thread::{SecureComputingMode, secure_computing_mode};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// Whatever their arguments.
const ALLOWED: &[libc::c_long] = &[
    // Frames, wake-ups, log lines; the kernel's counters, and the filter that stops a source.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_read,
    libc::SYS_recvfrom,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_close,
    // Channels, locks and time, where the kernel's page for it does not answer (vdso(7)).
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    // Memory of the C library, and the source's own.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    // Seeds of hash tables.
    libc::SYS_getrandom,
    // A panic, an abort, the end of a thread.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
];

/// The old name of ppoll(2), which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[libc::c_long] = &[libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[libc::c_long] = &[];

/// Calls with a second argument that says what is wanted: of ioctl(2), whether there is a terminal, and how wide it is
/// (ioctl_tty(2)), which a log line beside the status line asks; of fcntl(2), whether a descriptor is open.
const ASKING: [(libc::c_long, &[u64]); 2] = [
    (libc::SYS_ioctl, &[0x5401, 0x5413]), // TCGETS, TIOCGWINSZ
    (libc::SYS_fcntl, &[1]),              // F_GETFD
];

/// Leaves the calling thread with these, if the process is confined at all.
///
/// # Errors
/// When this machine has no such filter, in words.
pub fn confine_to_reading() -> Result<(), String> {
    match secure_computing_mode() {
        Ok(SecureComputingMode::Filter) => confine(),
        _ => Ok(()),
    }
}

fn confine() -> Result<(), String> {
    let program = filter().map_err(|error| error.to_string())?;
    apply_filter(&program).map_err(|error| error.to_string())
}

fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let allowed = ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, Vec::new()));
    let mut rules: BTreeMap<_, _> = allowed.collect();
    for (call, wanted) in ASKING {
        let wanted = wanted.iter().map(|wanted| {
            let is = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *wanted)?;
            SeccompRule::new(vec![is])
        });
        rules.insert(call, wanted.collect::<Result<_, _>>()?);
    }
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let here = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, here)?.try_into()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::net::{TcpStream, UdpSocket};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::panic::catch_unwind;
    use std::process::Command;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::sys::poll;
    use crate::sys::wakeup::Wakeup;

    #[test]
    fn no_call_is_named_twice() {
        let mut all = ALLOWED.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), ALLOWED.len());
    }

    /// Security review L2: what frames of strangers reach opens no file, no socket and no program.
    #[test]
    fn a_thread_that_reads_frames_opens_no_file_no_socket_and_no_program() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let bell = Wakeup::new().unwrap();
        let (sender, heard) = mpsc::channel();
        let tried = thread::spawn(move || {
            confine().unwrap();
            // What it is there for goes on: memory, messages, panics.
            sender.send(vec![7_u8; 64 << 20].len()).unwrap();
            bell.notify();
            let rung = [bell.as_fd()];
            assert!(poll::readable(&rung, Some(Duration::from_millis(9))).unwrap());
            assert!(poll::readable(&rung, Some(Duration::from_nanos(9))).unwrap());
            bell.clear();
            assert!(catch_unwind(|| panic!("on purpose, for a test")).is_err());
            thread::yield_now();
            drop((ours, theirs));
            let refused = |tried: io::Result<()>| {
                tried.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
            };
            [
                ("openat", refused(File::open("/dev/null").map(drop))),
                ("connect", refused(TcpStream::connect("127.0.0.1:9").map(drop))),
                ("socket", refused(UdpSocket::bind("127.0.0.1:0").map(drop))),
                ("execve", refused(Command::new("/bin/true").status().map(drop))),
                ("clone", refused(thread::Builder::new().spawn(|| {}).map(drop))),
                ("unlink", refused(std::fs::remove_file("/nowhere"))),
            ]
        });
        let tried = tried.join().unwrap();
        assert_eq!(heard.recv().unwrap(), 64 << 20);
        let passed: Vec<_> = tried.iter().filter(|(_, refused)| !refused).collect();
        assert!(passed.is_empty(), "{passed:?}");
    }
}
