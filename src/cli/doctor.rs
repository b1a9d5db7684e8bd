//! `dashcap doctor`: what would keep dashcap from working well on this machine, and what to do.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use console::{Style, style};
use rustix::fs::{Access, access};
use serde_json::json;

use super::control::print;
use super::run::{self, subject};
use super::settings::Settings;
use crate::doctor::{self, Check, State};
use crate::error::Result;
use crate::hook::{CommandLine, Hook};

/// Look at this machine: privileges, kernel, memory, interfaces and what changes their frames, clock,
/// disk, logs; and say what to do about each.
///
/// Takes the options of `run`, and changes nothing. Exit status: 0 it works, perhaps with warnings; 1
/// something fails.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    settings: Settings,

    /// Print JSON, for scripts: version, checks (state, subject, found, advice), worst.
    #[arg(long)]
    json: bool,
}

/// Version of the JSON; fields are added, never renamed or removed.
const VERSION: u32 = 1;
/// Width of the second column: as long as most subjects are.
const SUBJECT: usize = 14;

impl Doctor {
    pub(super) fn start(self) -> Result<ExitCode> {
        let mut checks = Vec::new();
        let options = match self.settings.options(run::DEFAULTS, Settings::usual_rules) {
            Ok(options) => {
                checks.push(Check::ok("configuration", "valid, see dashcap check"));
                options
            }
            Err(error) => {
                let advice = "correct it; what follows is about the defaults";
                let found = error.to_string();
                checks.push(Check::new(State::Fail, "configuration", found, advice));
                Settings::default().options(run::DEFAULTS, Settings::usual_rules)?
            }
        };
        checks.extend(doctor::examine(&subject(&options)?));
        checks.extend(options.programs.hooks.iter().filter_map(hook));
        let worst = checks.iter().map(|check| check.state).max().unwrap_or(State::Ok);
        if self.json {
            let told = json!({ "version": VERSION, "worst": worst, "checks": checks });
            print(&told.to_string())?;
        } else {
            let lines: Vec<_> = checks.iter().map(in_words).collect();
            print(&lines.join("\n"))?;
        }
        Ok(ExitCode::from(u8::from(worst == State::Fail)))
    }
}

/// Whether the program of a hook is there; none where a shell or PATH decides.
fn hook(hook: &Hook) -> Option<Check> {
    let CommandLine::Words(words) = &hook.command else { return None };
    let program = Path::new(words.first()?);
    if !program.is_absolute() {
        return None;
    }
    let subject = format!("hook {}", hook.name);
    let found = match access(program, Access::EXEC_OK) {
        Ok(()) => return Some(Check::ok(subject, format!("{} can be run", program.display()))),
        Err(error) => format!("{}: {error}", program.display()),
    };
    Some(Check::new(State::Warning, subject, found, "install it, or chmod +x"))
}

/// A line, and a second one with the advice; coloured on a terminal.
fn in_words(check: &Check) -> String {
    let Check { state, subject, found, advice } = check;
    let colour = match state {
        State::Ok => Style::new().green(),
        State::Note => Style::new().cyan(),
        State::Warning => Style::new().yellow(),
        State::Fail => Style::new().red().bold(),
    };
    let state = colour.apply_to(format!("{state:<8}"));
    let line = format!("{state} {:<SUBJECT$} {found}", style(subject).bold());
    match advice {
        Some(advice) => format!("{line}\n{:9}{:SUBJECT$} → {advice}", "", ""),
        None => line,
    }
}
