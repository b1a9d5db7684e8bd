//! Descriptors that a process was started with: close_range(2).

use std::os::fd::RawFd;

/// The first one that is not standard input, output or error.
const FIRST: RawFd = 3;

/// Closes everything that the process was started with, but standard input, output, error and `kept`. To be
/// called first of all: what this process has opened itself would be closed, too. Before Linux 5.9 nothing is.
pub fn close_inherited(kept: &[RawFd]) {
    let mut kept: Vec<RawFd> = kept.iter().copied().filter(|number| *number >= FIRST).collect();
    kept.sort_unstable();
    let mut first = FIRST;
    for number in kept {
        close(first, number - 1);
        first = number.saturating_add(1).max(first);
    }
    close(first, RawFd::MAX);
}

fn close(first: RawFd, last: RawFd) {
    if first > last {
        return;
    }
    let (first, last, no_flags) = (first.cast_unsigned(), last.cast_unsigned(), 0_u32);
    // SAFETY: no memory is touched. Nobody here owns a descriptor in this range yet: whoever calls
    // `close_inherited` has opened nothing before.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, no_flags) };
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn all_but_those_that_are_kept_are_closed() {
        let held: Vec<File> = (0..6).map(|_| File::open("/dev/null").unwrap()).collect();
        for file in &held {
            rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty()).unwrap();
        }
        let numbers: Vec<RawFd> = held.iter().map(AsRawFd::as_raw_fd).collect();
        let kept = [numbers[4], numbers[1], 0, numbers[4]];
        let mut command = Command::new("ls");
        command.arg("/proc/self/fd");
        // SAFETY: between fork and exec, in the child: its descriptors are nobody's, and only close_range(2) is
        // called, on a list that needs few bytes of memory.
        unsafe {
            command.pre_exec(move || {
                close_inherited(&kept);
                Ok(())
            });
        }
        let told = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let there: Vec<RawFd> = told.lines().map(|line| line.parse().unwrap()).collect();
        for (at, number) in numbers.iter().enumerate() {
            // ls(1) itself opens the lowest number that is free.
            let lowest = (FIRST..).find(|number| !kept.contains(number));
            let is_kept = kept.contains(number);
            assert!(there.contains(number) == is_kept || lowest == Some(*number), "{at}: {told}");
        }
    }
}
