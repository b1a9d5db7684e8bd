//! One program, from its start to its end.
//!
//! ```text
//!   start ──────► exits ──────────────► what it left in its group is ended, output read to its end
//!     └─ timeout, or dashcap ends ─► SIGTERM to the group ─ grace ─► SIGKILL to the group
//! ```
//!
//! It has a process group of its own, a clean environment, `/` as its directory, and what it is told on
//! its standard input as a file in memory, so that it may read it or not. Of its output the beginning is
//! kept and the rest counted: one that prints without end costs no memory. Its number is not given back
//! before its group is ended, so no signal ever reaches a stranger. What leaves the group by setsid(2)
//! is a service of its own and is left alone.

use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::message::ProgramEnd;
use crate::sys::child::dies_with_its_starter;
use crate::sys::poll;
use crate::time::{Clock, Mono, nanos};

/// How long a program has after SIGTERM until SIGKILL: enough to remove a lock file.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// How long after SIGKILL it is waited for. One that hangs in the kernel, in a driver that waits for its
/// firmware, dies when the kernel lets go of it.
const LAST: Duration = Duration::from_secs(1);
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(10);
/// Read at once, in bytes: what a pipe holds (pipe(7)).
const CHUNK: usize = 65_536;

/// What to run, and within what bounds.
#[derive(Debug)]
pub(super) struct Errand {
    /// The program and its arguments; not empty.
    pub(super) words: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    /// For its standard input.
    pub(super) input: String,
    pub(super) timeout: Duration,
    /// Bytes of its output that are kept.
    pub(super) keep: usize,
}

/// What is to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// It ended by itself; what it left in its group was asked to end.
    Leaving {
        until: Mono,
    },
    /// It was asked to end.
    Asked {
        why: &'static str,
        until: Mono,
    },
    /// It was killed.
    Killed {
        why: Option<&'static str>,
        until: Mono,
    },
}

/// Runs it; `over` set means that it is to end early. `began` is called once it runs.
///
/// # Errors
/// When it cannot be started.
pub(super) fn run(
    errand: &Errand,
    clock: &Clock,
    over: &AtomicBool,
    began: impl FnOnce(),
) -> io::Result<ProgramEnd> {
    let begun = clock.now().mono;
    let (mut child, output) = start(errand)?;
    began();
    let group = Pid::from_child(&child);
    let mut printed = Printed::new(output, errand.keep);
    let mut stage = Stage::Running;
    loop {
        printed.read()?;
        let now = clock.now().mono;
        let exited = has_exited(group);
        let next = match stage {
            Stage::Running if exited => Stage::Leaving { until: now.plus(GRACE) },
            Stage::Running if over.load(Ordering::Acquire) => {
                Stage::Asked { why: "dashcap ended", until: now.plus(GRACE) }
            }
            Stage::Running if now.since(begun) >= errand.timeout => {
                Stage::Asked { why: "it took too long", until: now.plus(GRACE) }
            }
            Stage::Leaving { until } if now >= until => {
                Stage::Killed { why: None, until: now.plus(LAST) }
            }
            Stage::Asked { why, until } if now >= until => {
                Stage::Killed { why: Some(why), until: now.plus(LAST) }
            }
            same => same,
        };
        match next {
            _ if next == stage => {}
            Stage::Killed { .. } => signal(group, Signal::KILL),
            _ => signal(group, Signal::TERM),
        }
        stage = next;
        let hangs = matches!(stage, Stage::Killed { until, .. } if now >= until);
        if hangs || (exited && printed.closed) {
            break;
        }
    }
    // What is left of the group printed nothing any more.
    signal(group, Signal::KILL);
    let ran = clock.now().mono.since(begun);
    let status = child.try_wait()?;
    let (ending, success) = match (stage, status) {
        (Stage::Killed { why: Some(why), .. }, None) => {
            (format!("stopped, {why}, and hangs in the kernel"), false)
        }
        (Stage::Killed { why: Some(why), .. }, Some(_)) => {
            (format!("stopped, {why}, and killed, it ignored SIGTERM"), false)
        }
        (Stage::Asked { why, .. }, _) => (format!("stopped, {why}"), false),
        (Stage::Killed { why: None, .. }, Some(status)) => {
            (format!("{status}; what it left running was killed"), status.success())
        }
        (_, Some(status)) => (status.to_string(), status.success()),
        (_, None) => ("its end is unknown".to_owned(), false),
    };
    let (output, beyond) = printed.end();
    Ok(ProgramEnd { ending, success, ran_ns: nanos(ran), output, beyond })
}

fn start(errand: &Errand) -> io::Result<(Child, PipeReader)> {
    let mut told = File::from(memfd_create("dashcap-story", MemfdFlags::CLOEXEC)?);
    told.write_all(errand.input.as_bytes())?;
    told.rewind()?;
    let (output, input) = io::pipe()?;
    let no_words = || io::Error::new(io::ErrorKind::InvalidInput, "there is nothing to run");
    let (program, arguments) = errand.words.split_first().ok_or_else(no_words)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(errand.environment.iter().map(|(key, value)| (key, value)))
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::from(told))
        .stdout(input.try_clone()?)
        .stderr(input);
    dies_with_its_starter(&mut command);
    let child = command.spawn()?;
    // The command holds our ends of the pipe; dropped here, only the child's are left.
    Ok((child, output))
}

/// True once it has ended; its number stays its own until it is waited for.
fn has_exited(child: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // Fails only where there is no such child, which then has ended.
    waitid(WaitId::Pid(child), look).map_or(true, |ended| ended.is_some())
}

fn signal(group: Pid, signal: Signal) {
    // Fails only if nobody is left in the group.
    let _ = kill_process_group(group, signal);
}

/// What it printed so far.
struct Printed {
    output: PipeReader,
    kept: Vec<u8>,
    keep: usize,
    beyond: u64,
    chunk: Vec<u8>,
    /// True once nobody can print any more.
    closed: bool,
}

impl Printed {
    fn new(output: PipeReader, keep: usize) -> Self {
        let chunk = vec![0; CHUNK];
        Self { output, kept: Vec::new(), keep, beyond: 0, chunk, closed: false }
    }

    /// Waits a moment for more, and takes it.
    fn read(&mut self) -> io::Result<()> {
        let open: &[BorrowedFd<'_>] = if self.closed { &[] } else { &[self.output.as_fd()] };
        if !poll::readable(open, Some(LOOK))? {
            return Ok(());
        }
        let length = self.output.read(&mut self.chunk)?;
        self.closed = length == 0;
        let taken = length.min(self.keep - self.kept.len());
        self.kept.extend_from_slice(&self.chunk[..taken]);
        self.beyond += (length - taken) as u64;
        Ok(())
    }

    fn end(self) -> (String, u64) {
        (String::from_utf8_lossy(&self.kept).into_owned(), self.beyond)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn shell(line: &str, timeout: Duration) -> Errand {
        Errand {
            words: ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
            environment: vec![
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                ("DASHCAP_X".to_owned(), "y".to_owned()),
            ],
            input: "told\n".to_owned(),
            timeout,
            keep: 1_000,
        }
    }

    fn end(line: &str, timeout: Duration) -> ProgramEnd {
        run(&shell(line, timeout), &Clock::system(), &AtomicBool::new(false), || {}).unwrap()
    }

    /// Longer than any of these takes.
    const LONG: Duration = Duration::from_secs(20);
    /// Long enough to be started.
    const SHORT: Duration = Duration::from_millis(300);

    #[test]
    fn it_is_told_and_tells() {
        for (line, ending, output) in [
            ("cat; echo $DASHCAP_X; pwd; echo no >&2", "exit status: 0", "told\ny\n/\nno\n"),
            ("env | grep -c CARGO", "exit status: 1", "0\n"),
            ("exit 7", "exit status: 7", ""),
            ("kill -9 $$", "signal: 9 (SIGKILL)", ""),
            ("printf 'a\\377b'", "exit status: 0", "a\u{fffd}b"),
        ] {
            let end = end(line, LONG);
            assert_eq!((end.ending.as_str(), end.output.as_str()), (ending, output), "{line}");
            assert_eq!(end.success, ending == "exit status: 0");
        }
        let missing = Errand { words: vec!["/no/such".to_owned()], ..shell("", LONG) };
        let refused = run(&missing, &Clock::system(), &AtomicBool::new(false), || panic!());
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn one_that_hangs_is_asked_to_end() {
        let ended =
            end("trap 'echo bye; exit 0' TERM; echo in; while :; do sleep 0.01; done", SHORT);
        assert_eq!(ended.ending, "stopped, it took too long");
        let said = ended.output.starts_with("in\n") && ended.output.ends_with("bye\n");
        assert!(!ended.success && said, "{ended:?}");
    }

    #[test]
    fn one_that_ignores_that_is_killed() {
        let ended = end("trap '' TERM; while :; do sleep 0.01; done", SHORT);
        assert_eq!(ended.ending, "stopped, it took too long, and killed, it ignored SIGTERM");
        assert!(ended.ran_ns >= nanos(SHORT + GRACE) && ended.ran_ns < nanos(LONG), "{ended:?}");
    }

    #[test]
    fn one_that_floods_is_counted() {
        let ended = end("head -c 3000000 /dev/zero | tr '\\0' x", LONG);
        assert_eq!((ended.output.len(), ended.beyond), (1_000, 2_999_000));
        assert!(ended.success);
        let ended = end("yes", SHORT);
        assert!(ended.ending == "stopped, it took too long" && ended.beyond > 0, "{ended:?}");
    }

    #[test]
    fn what_it_leaves_behind_is_ended() {
        // One that holds the output open and goes when asked; one that does not; one that prints nothing.
        for (line, ending) in [
            ("sleep 1000 & echo $!", "exit status: 0"),
            (
                "(trap '' TERM; while :; do sleep 0.01; done) & echo $!",
                "exit status: 0; what it left running was killed",
            ),
            ("sleep 1000 >/dev/null 2>&1 & echo $!", "exit status: 0"),
        ] {
            let ended = end(line, LONG);
            assert_eq!((ended.ending.as_str(), ended.success), (ending, true), "{line}");
            let child = ended.output.trim();
            crate::lab::until("the end of what was left", || {
                // A zombie has no command line any more; one that is gone has no file.
                let line = std::fs::read(format!("/proc/{child}/cmdline"));
                line.is_err() || line.is_ok_and(|line| line.is_empty())
            });
        }
    }

    #[test]
    fn the_end_of_dashcap_is_its_end() {
        let over = AtomicBool::new(false);
        let ended = thread::scope(|scope| {
            let running = scope.spawn(|| {
                let over = &over;
                run(&shell("sleep 1000", LONG), &Clock::system(), over, || {
                    over.store(true, Ordering::Release);
                })
            });
            running.join().unwrap().unwrap()
        });
        assert_eq!(ended.ending, "stopped, dashcap ended");
    }
}
