//! The recorder beside a command: another process of the same program, which gives up what recording does not
//! need, while whoever started it keeps all rights for the command.
//!
//! ```text
//!   exec ── starts ──► recorder: opens, gives up privileges, records ── "recording" ──► exec
//!   exec ── starts the command, waits ── how it ended ──► recorder: bundle, or none
//! ```

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::super::rights;
use super::super::settings::Settings;
use super::DEFAULTS;
use crate::error::{Error, Result};
use crate::observation::Fact;
use crate::privilege;
use crate::recorder::{Privileged, Recorder};
use crate::time::Clock;
use crate::trigger::Rule;
use crate::watch::{Wake, Watcher, WatcherContext};

/// The hidden option that makes a dashcap the recorder.
const ROLE: &str = "--beside-command";
/// What it says once frames are recorded.
const RECORDING: &str = "recording";
/// Where its own program is found again, also when the file was replaced meanwhile (proc_pid_exe(5)).
const OURSELVES: &str = "/proc/self/exe";

/// How the command ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Ended {
    /// As wait(2) tells it.
    pub(super) status: i32,
    /// How long it ran.
    pub(super) ran_ns: u64,
}

/// The recorder as a child.
pub(super) struct Beside {
    process: Child,
    told: ChildStdin,
}

impl Beside {
    /// Starts the recorder with the options of this process, and waits until it records. Its exit status
    /// instead, if it cannot: it has said why.
    pub(super) fn start() -> Result<Result<Self, ExitCode>> {
        let failed = |e: io::Error| Error::operation("start", "the recorder", e);
        let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
        let command = arguments.iter().position(|argument| argument == "--");
        arguments.insert(command.unwrap_or(arguments.len()), ROLE.into());
        let mut process = Command::new(OURSELVES)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(told), Some(tells)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        let mut line = String::new();
        BufReader::new(tells).read_line(&mut line).map_err(failed)?;
        if line.trim_end() == RECORDING {
            return Ok(Ok(Self { process, told }));
        }
        let status = process.wait().map_err(failed)?;
        Ok(Err(super::exit_code(status)))
    }

    /// Tells how the command ended, and waits until what follows from it is done.
    pub(super) fn ended(self, ended: Ended) -> Result<()> {
        let failed = |e: io::Error| Error::operation("tell", "the recorder", e);
        let Self { mut process, mut told } = self;
        let line = serde_json::to_string(&ended).map_err(|e| failed(e.into()))?;
        let said = told.write_all(line.as_bytes()).and_then(|()| told.write_all(b"\n"));
        drop(told);
        process.wait().map_err(failed)?;
        said.map_err(failed)
    }

    /// There is no command: the recorder ends without a bundle.
    pub(super) fn leave(self) {
        let Self { mut process, told } = self;
        drop(told);
        // It ends by itself, and what it met with it has told.
        let _ = process.wait();
    }
}

/// Records until the command has ended; `command` is it, for people.
pub(super) fn record(settings: Settings, command: String) -> Result<ExitCode> {
    let config = settings.file().map(Path::to_owned);
    let options = settings.options(DEFAULTS, |_| vec![Rule::command_failed()])?;
    rights::check(&options, config.as_deref())?;
    let privileged = Privileged::open(&options)?;
    let grants = rights::grants(&options, config.as_deref());
    let account = privilege::give_up(&options.privilege, &grants)?;
    rights::tell(&account, &options.privilege);
    // Signals are for the command, and for whoever started it: the recorder ends with them. Caught and not
    // ignored, because what is ignored stays ignored in programs that are run (execve(2)).
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, Arc::new(AtomicBool::new(false)))
            .map_err(|e| Error::operation("listen to signals as", "the recorder", e))?;
    }
    let mut recorder = Recorder::start_with(privileged, options, Clock::system())?;
    recorder.confined(account);
    recorder.add_watcher(CommandWatcher { command })?;
    let mut out = io::stdout();
    writeln!(out, "{RECORDING}")
        .and_then(|()| out.flush())
        .map_err(|e| Error::operation("tell", "who runs the command", e))?;
    // The terminal is the command's: no status line.
    recorder.run(|_| {});
    Ok(ExitCode::SUCCESS)
}

/// Hears how the command ended.
struct CommandWatcher {
    command: String,
}

impl Watcher for CommandWatcher {
    const NAME: &'static str = "command";

    fn run(self, desk: &mut WatcherContext) -> Result<()> {
        if desk.wait(&[io::stdin().as_fd()], None)? == Wake::Stop {
            return Ok(());
        }
        let mut line = String::new();
        io::stdin()
            .read_line(&mut line)
            .map_err(|e| Error::operation("wait for", &self.command, e))?;
        let at = desk.now();
        // Nothing: there is no command, or whoever runs it is gone.
        let Ok(Ended { status, ran_ns }) = serde_json::from_str(&line) else {
            return desk.send_until_taken(at, &Fact::StopSignal);
        };
        let status = ExitStatus::from_raw(status);
        let fact = Fact::CommandEnded {
            command: self.command,
            ending: status.to_string(),
            success: status.success(),
            ran: Duration::from_nanos(ran_ns),
        };
        desk.send_until_taken(at, &fact)
    }
}
