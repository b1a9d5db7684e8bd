//! `dashcap exec`: the scripted post-mortem. Records while a command runs, keeps a bundle only if it
//! fails.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use crossbeam_channel::{Sender, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::settings::{Defaults, Settings};
use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::recorder::Recorder;
use crate::sys::signal::terminate;
use crate::time::{Clock, Stamp};
use crate::trigger::Rule;
use crate::watch::{Desk, Wake, Watcher};

/// Record while a command runs; keep a bundle only if it fails.
///
/// Returns the command's exit status: 128 and the signal's number if a signal ended it, 127 if it was
/// not found, 126 if it cannot be run. The bundle reaches back to the command's beginning, as far as
/// memory does.
#[derive(Debug, Args)]
pub(super) struct Exec {
    #[command(flatten)]
    settings: Settings,

    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const DEFAULTS: Defaults =
    Defaults { pre: Duration::ZERO, post: Duration::from_secs(1), control: false };
/// How often we look whether the command has ended.
const LOOK: Duration = Duration::from_millis(10);

impl Exec {
    pub(super) fn start(self) -> Result<ExitCode> {
        let options = self.settings.options(DEFAULTS, |_| vec![Rule::command_failed()])?;
        if options.privilege.user.is_some() {
            tracing::warn!(
                "--user is for `dashcap run`; the command and its recorder stay who they are"
            );
        }
        let clock = Clock::system();
        let mut recorder = Recorder::start(options, clock.clone())?;
        let (status, ended) = bounded(1);
        let runner = match Runner::start(&self.command, clock.now(), status) {
            Ok(runner) => runner,
            Err((error, code)) => {
                eprintln!("dashcap: {error}");
                return Ok(ExitCode::from(code));
            }
        };
        recorder.add_watcher(runner)?;
        // The terminal is the command's: no status line.
        recorder.run(|_| {});
        Ok(ended.try_recv().map_or(ExitCode::FAILURE, exit_code))
    }
}

/// The watcher of the command.
struct Runner {
    child: Child,
    line: String,
    begun: Stamp,
    status: Sender<ExitStatus>,
    /// SIGTERM or SIGHUP came: the command is asked to end. A SIGINT from the terminal reaches the
    /// command by itself.
    asked_to_stop: Arc<AtomicBool>,
}

impl Runner {
    /// Runs the command, or tells why not and the exit status for that (as sh(1) would).
    fn start(
        command: &[OsString],
        begun: Stamp,
        status: Sender<ExitStatus>,
    ) -> Result<Self, (Error, u8)> {
        const NOT_FOUND: u8 = 127;
        const NOT_EXECUTABLE: u8 = 126;
        let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
        let line = words.join(" ");
        let asked_to_stop = Arc::new(AtomicBool::new(false));
        let listen = || -> io::Result<()> {
            for signal in [SIGTERM, SIGHUP] {
                flag::register(signal, Arc::clone(&asked_to_stop))?;
            }
            flag::register(SIGINT, Arc::new(AtomicBool::new(false)))?;
            Ok(())
        };
        let failed = |e: io::Error| {
            let code = if e.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
            (Error::operation("run", &line, e), code)
        };
        listen().map_err(failed)?;
        let child = Command::new(&command[0]).args(&command[1..]).spawn().map_err(failed)?;
        Ok(Self { child, line, begun, status, asked_to_stop })
    }
}

impl Watcher for Runner {
    const NAME: &'static str = "command";

    fn run(mut self, desk: &mut Desk) -> Result<()> {
        loop {
            if self.asked_to_stop.swap(false, Ordering::Relaxed) {
                terminate(&mut self.child);
            }
            let ended =
                self.child.try_wait().map_err(|e| Error::operation("wait for", &self.line, e))?;
            if let Some(status) = ended {
                let at = desk.now();
                // The channel has room for the one status there is.
                let _ = self.status.try_send(status);
                let ran = at.mono.since(self.begun.mono);
                let fact = Fact::CommandEnded {
                    command: self.line,
                    ending: status.to_string(),
                    success: status.success(),
                    ran,
                };
                return desk.insist(at, &fact);
            }
            let until = desk.now().mono.plus(LOOK);
            if desk.wait(&[], Some(until))? == Wake::Stop {
                return Ok(());
            }
        }
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
