//! A child that does not outlive whoever started it: prctl(PR_SET_PDEATHSIG).

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

/// Lets what `command` starts be killed by the kernel when the thread that started it is gone, however
/// it went (PR_SET_PDEATHSIG(2const)). That thread must wait for it, then.
pub fn dies_with_its_starter(command: &mut Command) {
    let before_exec = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: between fork and exec only prctl(2) is called, a system call without locks or memory of
    // ours.
    unsafe { command.pre_exec(before_exec) };
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn it_ends_with_the_thread_that_started_it() {
        let started = std::thread::spawn(|| {
            let mut command = Command::new("sleep");
            command.arg("1000").stdout(Stdio::piped());
            dies_with_its_starter(&mut command);
            command.spawn().unwrap()
        });
        let mut child = started.join().unwrap();
        let mut rest = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
    }
}
