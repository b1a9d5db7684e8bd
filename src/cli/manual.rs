//! `dashcap man` and `dashcap completions`: manual pages and what shells complete, rendered from the
//! definitions that `--help` shows, so that they cannot differ. For packages; hidden from people.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::CommandLine;
use crate::error::{Error, Result};

/// The name of the program, its manual pages and completions.
const NAME: &str = "dashcap";

/// Write the manual pages of all commands.
#[derive(Debug, Args)]
pub(super) struct Pages {
    /// Directory for dashcap.1, dashcap-run.1 and so on; made if it is missing.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Print what makes a shell complete commands and options.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// For which shell.
    shell: Shell,
}

impl Pages {
    pub(super) fn start(self) -> Result<ExitCode> {
        let directory = &self.directory;
        let failed = |e: io::Error| {
            Error::operation("write manual pages to", directory.display().to_string(), e)
        };
        fs::create_dir_all(directory).map_err(failed)?;
        for (name, page) in pages().map_err(failed)? {
            fs::write(directory.join(name), page).map_err(failed)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Completions {
    pub(super) fn start(self) -> Result<ExitCode> {
        let failed = |e| Error::operation("write completions to", "standard output", e);
        io::stdout().write_all(&completions(self.shell)).map_err(failed)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Every manual page: its file's name and its text.
pub(super) fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = CommandLine::command().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    render(&program, &mut pages)?;
    Ok(pages)
}

fn render(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let mut text = Vec::new();
    let page = Man::new(command.clone()).manual("dashcap");
    page.render(&mut text)?;
    pages.push((page.get_filename(), text));
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.into_iter().try_for_each(|command| render(command, pages))
}

/// What `shell` reads.
pub(super) fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), NAME, &mut script);
    script
}

#[cfg(test)]
mod tests {
    use std::process;

    use clap::ValueEnum;

    use super::*;
    use crate::lab::skip;

    fn shown() -> Vec<String> {
        let program = CommandLine::command();
        let shown = program.get_subcommands().filter(|command| !command.is_hide_set());
        shown.map(|command| command.get_name().to_owned()).collect()
    }

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let pages = pages().unwrap();
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[0], "dashcap.1");
        for command in shown() {
            let name = format!("dashcap-{command}.1");
            let page = pages.iter().find(|(page, _)| *page == name);
            let page = String::from_utf8(page.unwrap_or_else(|| panic!("{name}")).1.clone());
            assert!(page.unwrap().contains(".SH SYNOPSIS"), "{name}");
        }
        let program = CommandLine::command();
        for hidden in program.get_subcommands().filter(|command| command.is_hide_set()) {
            let name = format!("dashcap-{}", hidden.get_name());
            assert!(!names.iter().any(|page| page.starts_with(&name)), "{name}: {names:?}");
        }
        let run = &pages.iter().find(|(name, _)| name == "dashcap-run.1").unwrap().1;
        let run = String::from_utf8(run.clone()).unwrap();
        assert!(run.contains("\\-\\-cool\\-down"), "{run}");
    }

    #[test]
    fn every_shell_completes_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(completions(*shell)).unwrap();
            for command in shown() {
                assert!(script.contains(&command), "{shell}: {command}");
            }
        }
    }

    #[test]
    fn man_has_nothing_to_warn_of() {
        let directory = tempfile::tempdir().unwrap();
        let pages_directory = directory.path().to_owned();
        Pages { directory: pages_directory.clone() }.start().unwrap();
        for page in fs::read_dir(&pages_directory).unwrap() {
            let page = page.unwrap().path();
            let mut man = process::Command::new("man");
            man.args(["--warnings", "-E", "UTF-8", "-l"]).arg(&page).env("MANWIDTH", "80");
            match man.output() {
                Ok(said) => {
                    let warnings = String::from_utf8_lossy(&said.stderr);
                    assert!(said.status.success(), "{}: {warnings}", page.display());
                    assert_eq!(warnings, "", "{}", page.display());
                }
                Err(reason) => return skip(&format!("cannot run man(1): {reason}")),
            }
        }
    }
}
