//! The command line: one file per command; what was typed becomes each part's own options here.

mod cut;
mod demo;
mod exec;
mod log;
mod replay;
mod run;
mod settings;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::log::{Format, StatusLine};
use crate::error::Result;

/// A dashcam for network interfaces: records every frame into a fixed amount of memory, and keeps the
/// seconds before and after a failure as a small pcapng bundle that explains itself.
#[derive(Debug, Parser)]
#[command(name = "dashcap", version, propagate_version = true, max_term_width = 100)]
struct CommandLine {
    /// How log lines look.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: Format,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Replay(replay::Replay),
    Cut(cut::Cut),
    Exec(exec::Exec),
    Demo(demo::Demo),
}

/// Runs the command line of this process. Exit status: 0 done, 1 the machine refused, 2 what was typed
/// has no meaning; `exec` returns its command's own.
pub fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let line = StatusLine::begin(command_line.log_format);
    let outcome: Result<ExitCode> = match command_line.command {
        Command::Run(run) => run.start(&line),
        Command::Exec(exec) => exec.start(),
        Command::Replay(replay) => replay.start(&line),
        Command::Cut(cut) => cut.start(&line),
        Command::Demo(demo) => demo.start(),
    };
    line.end();
    outcome.unwrap_or_else(|error| {
        eprintln!("dashcap: {error}");
        ExitCode::from(error.exit_status())
    })
}
