//! Lets a thread step back behind others: setpriority(2).

use std::io;

use rustix::process::setpriority_process;

/// Lowers the calling thread's priority to `nice` (0 is usual, 19 steps back behind everybody). Linux
/// keeps the value per thread, though POSIX asks for it per process (setpriority(2), "C library/kernel
/// differences"; sched(7)).
///
/// # Errors
/// When the priority would have to be raised and the process may not.
pub fn step_back(nice: i32) -> io::Result<()> {
    // None is the calling one.
    Ok(setpriority_process(None, nice)?)
}

#[cfg(test)]
mod tests {
    /// The nice value of the calling thread: field 19 of proc_pid_stat(5), 17 after the name.
    fn nice() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        rest.split(' ').nth(16).unwrap().parse().unwrap()
    }

    #[test]
    fn only_the_calling_thread_steps_back() {
        let usual = nice();
        let lowered = std::thread::spawn(|| {
            super::step_back(15).unwrap();
            nice()
        });
        assert_eq!(lowered.join().unwrap(), 15);
        assert_eq!(nice(), usual);
    }
}
