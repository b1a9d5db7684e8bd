//! The command line: one file per command; what was typed becomes each part's own options here.

mod demo;
mod exec;
mod run;
mod settings;
mod values;

use std::fmt;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::error::Result;
use crate::time::Clock;

/// A dashcam for network interfaces: records every frame into a fixed amount of memory, and keeps the
/// seconds before and after a failure as a small pcapng bundle that explains itself.
#[derive(Debug, Parser)]
#[command(name = "dashcap", version, propagate_version = true, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Exec(exec::Exec),
    Demo(demo::Demo),
}

/// Runs the command line of this process. Exit status: 0 done, 1 the machine refused, 2 what was typed
/// has no meaning; `exec` returns its command's own.
pub fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    log_to_stderr();
    let outcome: Result<ExitCode> = match command_line.command {
        Command::Run(run) => run.start(),
        Command::Exec(exec) => exec.start(),
        Command::Demo(demo) => demo.start(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("dashcap: {error}");
        ExitCode::from(error.exit_status())
    })
}

/// With the time of day, unless the journal adds its own (`JOURNAL_STREAM`, systemd.exec(5)).
fn log_to_stderr() {
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().init();
    } else {
        log.with_timer(TimeOfDay).init();
    }
}

struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&Clock::system().now().wall.milliseconds())
    }
}
