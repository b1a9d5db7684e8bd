//! `dashcap exec`: the scripted post-mortem. Records while a command runs, keeps a bundle only if it
//! fails.
//!
//! Two processes: this one runs the command, with all rights that it was started with, and reads nothing of
//! strangers; the recorder beside it ([`recording`]) gives up what recording does not need.

mod recording;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use clap::Args;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::recording::{Beside, Ended, record};
use super::settings::{Defaults, Settings};
use crate::error::{Error, Result};
use crate::sys::signal::terminate;
use crate::time::Clock;

/// Record while a command runs; keep a bundle only if it fails.
///
/// Returns the command's exit status: 128 and the signal's number if a signal ended it, 127 if it was
/// not found, 126 if it cannot be run. The bundle reaches back to the command's beginning, as far as
/// memory does. The command keeps all rights; the recorder, a process of its own, gives up what it does
/// not need, and becomes --user.
#[derive(Debug, Args)]
pub(super) struct Exec {
    #[command(flatten)]
    settings: Settings,

    /// This process is the recorder beside the command.
    #[arg(long, hide = true)]
    beside_command: bool,

    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const DEFAULTS: Defaults =
    Defaults { pre: Duration::ZERO, post: Duration::from_secs(1), control: false };

impl Exec {
    pub(super) fn start(self) -> Result<ExitCode> {
        let words: Vec<_> = self.command.iter().map(|word| word.to_string_lossy()).collect();
        let line = words.join(" ");
        if self.beside_command {
            return record(self.settings, line);
        }
        let recorder = match Beside::start()? {
            Ok(recorder) => recorder,
            Err(code) => return Ok(code),
        };
        let clock = Clock::system();
        let begun = clock.now().mono;
        match run(&self.command, &line) {
            Ok(status) => {
                let ran = clock.now().mono.since(begun);
                let ran_ns = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
                recorder.ended(Ended { status: status.into_raw(), ran_ns })?;
                Ok(exit_code(status))
            }
            Err((error, code)) => {
                recorder.leave();
                eprintln!("dashcap: {error}");
                Ok(ExitCode::from(code))
            }
        }
    }

    /// True if descriptors of the starter are the command's, too.
    pub(super) fn runs_the_command(&self) -> bool {
        !self.beside_command
    }
}

/// Runs the command to its end, or tells why not and the exit status for that (as sh(1) would). SIGTERM and
/// SIGHUP are passed on; a SIGINT of the terminal reaches the command by itself.
fn run(command: &[OsString], line: &str) -> Result<ExitStatus, (Error, u8)> {
    const NOT_FOUND: u8 = 127;
    const NOT_EXECUTABLE: u8 = 126;
    let failed = |e: io::Error| {
        let code = if e.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        (Error::operation("run", line, e), code)
    };
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGCHLD]).map_err(failed)?;
    let mut child = Command::new(&command[0]).args(&command[1..]).spawn().map_err(failed)?;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status);
        }
        pass_on(&mut signals, &mut child);
    }
}

/// Waits for signals, and passes on those that ask to end.
fn pass_on(signals: &mut Signals, child: &mut Child) {
    if signals.wait().any(|signal| matches!(signal, SIGTERM | SIGHUP)) {
        terminate(child);
    }
}

/// As a shell would return it.
fn exit_code(status: ExitStatus) -> ExitCode {
    const KILLED_BY: i32 = 128;
    let code = status.code().or(status.signal().map(|signal| KILLED_BY + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_a_shells() {
        for (raw, code) in [(0, 0), (3 << 8, 3), (9, 137), (15, 143)] {
            assert_eq!(exit_code(ExitStatus::from_raw(raw)), ExitCode::from(code));
        }
    }
}
