//! The command line: one file per command; what was typed becomes each part's own options here.

mod arm;
mod check;
mod control;
mod cut;
mod demo;
mod doctor;
mod events;
mod exec;
mod extcap;
mod fleet;
mod frames;
mod hook_runner;
mod incidents;
mod install;
mod log;
mod manual;
mod recover;
mod replay;
mod report;
mod rights;
mod run;
mod settings;
mod snapshot;
mod status;
mod thin;
mod top;
mod values;
mod web;
mod why;

use std::process::ExitCode;
use std::sync::LazyLock;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};

use self::log::{Format, StatusLine};
use crate::error::Result;
use crate::feature::Feature;
use crate::service::notify::Environment;
use crate::sys::signal::outlive_large_files;
use crate::sys::{descriptors, kernel_log};

/// What dashcap.socket calls the kernel's log.
const KERNEL_LOG: &str = "kernel-log";

/// What `--version` says behind the name; `-V` says no more than the number.
static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{}\nfeatures: {}", env!("CARGO_PKG_VERSION"), Feature::in_words()));

/// A dashcam for network interfaces: records every frame into a fixed amount of memory, and keeps the
/// seconds before and after a failure as a small pcapng bundle that explains itself.
#[derive(Debug, Parser)]
#[command(name = "dashcap", version, long_version = VERSION.as_str(), propagate_version = true, max_term_width = 100)]
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
    Report(report::Report),
    Why(why::Why),
    Recover(recover::Recover),
    Cut(cut::Cut),
    Thin(thin::Thin),
    Incidents(incidents::Incidents),
    Exec(exec::Exec),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Snapshot(snapshot::Snapshot),
    Status(status::Status),
    Events(events::Events),
    Frames(frames::Frames),
    Extcap(extcap::Extcap),
    Fleet(fleet::Fleet),
    Top(top::Watch),
    Web(web::Web),
    Arm(arm::Arm),
    Disarm(arm::Disarm),
    Demo(demo::Demo),
    #[command(hide = true)]
    HookRunner(hook_runner::HookRunner),
    Install(install::Install),
    Uninstall(install::Uninstall),
    #[command(hide = true)]
    Man(manual::Pages),
    #[command(hide = true)]
    Completions(manual::Completions),
}

impl Command {
    /// Closes what the starter left open, before anything else is: only the command that `exec` runs gets it. The
    /// kernel's log is kept where the service manager opened it for us.
    fn close_inherited(&self) {
        let arguments = std::env::args_os();
        let mut kept = match self {
            Self::Exec(exec) if exec.runs_the_command() => return,
            // What follows is the command's.
            Self::Exec(_) => rights::named_descriptors(arguments.take_while(|word| word != "--")),
            _ => rights::named_descriptors(arguments),
        };
        let log = Environment::read().descriptors(std::process::id(), KERNEL_LOG);
        kept.extend(&log);
        descriptors::close_inherited(&kept);
        kernel_log::adopt(&log);
    }
}

/// Runs the command line of this process. Exit status: 0 done, 1 the machine refused, 2 what was typed
/// has no meaning; `exec` returns its command's own,
/// and 3 from `snapshot` means that nothing was frozen.
pub fn main() -> ExitCode {
    let command_line = CommandLine::try_parse().unwrap_or_else(|error| with_hint(error).exit());
    command_line.command.close_inherited();
    let line = StatusLine::begin(command_line.log_format);
    if let Err(error) = outlive_large_files() {
        tracing::warn!("a file beyond `ulimit -f` ends dashcap: {error}");
    }
    let outcome: Result<ExitCode> = match command_line.command {
        Command::Run(run) => run.start(&line),
        Command::Exec(exec) => exec.start(),
        Command::Replay(replay) => replay.start(&line),
        Command::Check(check) => check.start(),
        Command::Doctor(doctor) => doctor.start(),
        Command::Snapshot(snapshot) => snapshot.start(),
        Command::Status(status) => status.start(),
        Command::Events(events) => events.start(),
        Command::Frames(frames) => frames.start(),
        Command::Extcap(extcap) => extcap.start(),
        Command::Fleet(fleet) => fleet.start(&line),
        Command::Top(top) => top.start(),
        Command::Web(web) => web.start(),
        Command::Arm(arm) => arm.start(),
        Command::Disarm(disarm) => disarm.start(),
        Command::Report(report) => report.start(&line),
        Command::Why(why) => why.start(),
        Command::Recover(recover) => recover.start(),
        Command::Cut(cut) => cut.start(&line),
        Command::Thin(thin) => thin.start(&line),
        Command::Incidents(incidents) => incidents.start(),
        Command::Demo(demo) => demo.start(),
        Command::HookRunner(runner) => runner.start(),
        Command::Install(install) => install.start(),
        Command::Uninstall(uninstall) => uninstall.start(),
        Command::Man(pages) => pages.start(),
        Command::Completions(completions) => completions.start(),
    };
    line.end();
    outcome.unwrap_or_else(|error| {
        eprintln!("dashcap: {error}");
        ExitCode::from(error.exit_status())
    })
}

/// Says what a shell may have made of a wildcard: of `--log /var/log/*.log` several arguments, of which only the
/// first is the option's.
fn with_hint(mut error: clap::Error) -> clap::Error {
    let first = std::env::args().skip_while(|argument| argument != "--log").nth(1);
    let Some(ContextValue::String(second)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let are_files = first.is_some_and(|first| first.starts_with('/')) && second.starts_with('/');
    if error.kind() == ErrorKind::UnknownArgument && are_files {
        let hint =
            "quote the wildcard, so that the shell leaves it alone: --log '/var/log/frr/*.log'";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
    }
    error
}

/// Refuses a configuration file's text that has no meaning, as `dashcap check` does.
///
/// # Errors
/// What is wrong, for a person.
pub fn check_configuration(text: &str) -> Result<(), String> {
    let settings = settings::file::parse(text)?;
    let options = settings.options(run::DEFAULTS, settings::Settings::usual_rules);
    options.map(drop).map_err(|error| error.to_string())
}
