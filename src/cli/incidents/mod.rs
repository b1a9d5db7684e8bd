//! `dashcap incidents`: what is in the store, and what may go or must stay.
//!
//! Only bundles are ever touched; what else lies in the directory is named. What comes out of bundles was
//! on networks and in logs, so nothing of it reaches the terminal but letters.

mod shown;
mod signature;
mod table;
mod verify;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::{Args, Subcommand};

use self::shown::ShownBundle;
use super::control::print;
use super::settings::Settings;
use crate::error::{Error, Result, nearest};
use crate::incident::layout;
use crate::incident::store::{self, Listing, Stored, What};
use crate::time::Wall;
use crate::visible::plain;
use crate::words;

/// List, show, open, verify, remove and keep the bundles in a directory.
///
/// NAME is a bundle's name, any beginning of it that only one has, or `last`. Without a subcommand the
/// bundles are listed, the newest last.
#[derive(Debug, Args)]
pub(super) struct Incidents {
    #[command(subcommand)]
    what: Option<Do>,

    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// Directory of the bundles [default: what the --config file says, or the working directory].
    #[arg(short, long, value_name = "DIR", global = true)]
    output: Option<PathBuf>,

    /// Configuration file of the dashcap that writes them.
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// Print JSON, for scripts.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Do {
    /// List the bundles, the newest last, and name what else is there.
    List,
    /// Tell what a bundle is, and what its report begins with.
    Show {
        /// The bundle.
        #[arg(default_value = LAST)]
        name: String,
    },
    /// Print the path of a bundle's report, and open it where there is a display.
    Open {
        /// The bundle.
        #[arg(default_value = LAST)]
        name: String,
    },
    /// Remove bundles: asks first, and never removes one that is marked to be kept or is being built.
    Rm {
        /// The bundles.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        /// Marked ones, too.
        #[arg(long)]
        force: bool,
    },
    /// Mark bundles to be kept: no limit removes them, and `rm` only with --force.
    Keep {
        /// The bundles.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Check bundles against their sums, the record of manifests and each other; without NAME all of them,
    /// and that none is missing. The exit status is 1 if anything is not in order.
    Verify {
        /// The bundles.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Who may sign manifests (ssh-keygen(1), ALLOWED SIGNERS): each must have a good signature then.
        #[arg(long, value_name = "FILE")]
        signers: Option<PathBuf>,
    },
    /// Take the mark away.
    Unkeep {
        /// The bundles.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Stands for the newest bundle.
pub(super) const LAST: &str = "last";
/// Bundles named at most where a name stands for several.
const NAMED: usize = 5;

impl Incidents {
    pub(super) fn start(self) -> Result<ExitCode> {
        let Place { output, config, json } = self.place;
        let directory = match output {
            Some(output) => output,
            None => Settings::output_of(config.as_deref())?,
        };
        let listing = Listing::read(&directory)?;
        match self.what.unwrap_or(Do::List) {
            Do::List if json => print(&table::json(&directory, &listing))?,
            Do::List => print(table::text(&directory, &listing).trim_end())?,
            Do::Show { name } => {
                let shown = ShownBundle::of(found(&listing, &name)?)?;
                print(&if json { shown.json() } else { shown.text() })?;
            }
            Do::Open { name } => open(found(&listing, &name)?)?,
            Do::Rm { names, yes, force } => {
                let bundles = all_found(&listing, &names)?;
                // While this lives, nobody who starts takes what is half removed for a leftover.
                let _held = store::hold(&directory)?;
                for bundle in bundles {
                    remove(bundle, yes, force)?;
                }
            }
            Do::Verify { names, signers } => {
                return verify::run(&directory, &listing, &names, signers.as_deref(), json);
            }
            Do::Keep { names } => mark(&listing, &names, true)?,
            Do::Unkeep { names } => mark(&listing, &names, false)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn all_found<'a>(listing: &'a Listing, names: &[String]) -> Result<Vec<&'a Stored>> {
    let mut found = names.iter().map(|name| found(listing, name)).collect::<Result<Vec<_>>>()?;
    found.dedup();
    Ok(found)
}

/// The bundle that `name` stands for.
pub(super) fn found<'a>(listing: &'a Listing, name: &str) -> Result<&'a Stored> {
    // As shells complete a directory's name.
    let name = name.trim_end_matches('/');
    let wrong = |reason: String| {
        Err(Error::usage("NAME", name, reason, "a bundle's name, a beginning of it, or last"))
    };
    let bundles = &listing.bundles;
    if name == LAST {
        return bundles.last().map_or_else(|| wrong("there is no bundle".to_owned()), Ok);
    }
    if let Some(exact) = bundles.iter().find(|bundle| bundle.name == name) {
        return Ok(exact);
    }
    if let Some(other) = listing.others.iter().find(|other| other.name == name) {
        return wrong(format!("{}; it is left alone", what(&other.what)));
    }
    let begin = |bundle: &&Stored| !name.is_empty() && bundle.name.starts_with(name);
    let meant: Vec<&Stored> = bundles.iter().filter(begin).collect();
    match meant[..] {
        [one] => Ok(one),
        [] => match nearest(name, bundles.iter().map(|bundle| bundle.name.as_str())) {
            Some(nearest) => wrong(format!("no bundle has this name; the nearest is {nearest}")),
            None => wrong("no bundle has this name".to_owned()),
        },
        _ => {
            let names: Vec<_> = meant.iter().take(NAMED).map(|b| b.name.as_str()).collect();
            wrong(format!("{} bundles begin with this: {}", meant.len(), names.join(", ")))
        }
    }
}

/// What something is that is no bundle.
fn what(what: &What) -> String {
    match what {
        What::BeingBuilt => "a bundle that is being built, or was".to_owned(),
        What::BeingRemoved => "a bundle that is being removed, or was".to_owned(),
        What::Damaged { reason } => format!("damaged: {}", plain(reason)),
        What::Foreign => "not a bundle of dashcap".to_owned(),
    }
}

fn open(bundle: &Stored) -> Result<()> {
    let page = bundle.path.join(layout::REPORT);
    let page = page.canonicalize().map_err(|e| {
        let make = format!("make one: dashcap report {} --html OUT", bundle.path.display());
        Error::operation("open", page.display().to_string(), e).hint(make)
    })?;
    let shown = page.display();
    print(&shown.to_string())?;
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if !has_display {
        eprintln!(
            "there is no display here: copy that file to where there is one, or read `dashcap \
             incidents show {}`",
            bundle.name
        );
        return Ok(());
    }
    // Not waited for: some browsers run until they are closed.
    let opened = Command::new("xdg-open")
        .arg(&page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    opened.map(drop).map_err(|e| {
        let hint = format!("install xdg-utils, or open file://{shown} in a browser");
        Error::operation("run", "xdg-open", e).hint(hint)
    })
}

fn remove(bundle: &Stored, yes: bool, force: bool) -> Result<()> {
    let Stored { name, path, kept, .. } = bundle;
    if *kept && !force {
        let marked = "it is marked to be kept";
        return Err(Error::operation("remove bundle", name, marked)
            .hint("dashcap incidents unkeep it first, or use --force"));
    }
    if !yes && !agreed(bundle)? {
        return print(&format!("{name} stays"));
    }
    store::remove(path, force)?;
    print(&format!("removed {name}"))
}

/// Asks the operator.
fn agreed(bundle: &Stored) -> Result<bool> {
    let failed = |e: io::Error| Error::operation("ask on", "the terminal", e);
    if !io::stdin().is_terminal() {
        return Err(Error::usage(
            "rm",
            &bundle.name,
            "bundles are removed once you agree, and there is no terminal to ask on",
            "--yes",
        ));
    }
    let mark = if bundle.kept { ", which is marked to be kept" } else { "" };
    eprint!("remove {} ({}){mark}? [y/N] ", bundle.name, words::bytes(bundle.bytes));
    io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn mark(listing: &Listing, names: &[String], kept: bool) -> Result<()> {
    for bundle in all_found(listing, names)? {
        let changed = store::mark(&bundle.path, kept)?;
        let name = &bundle.name;
        print(&match (kept, changed) {
            (true, true) => format!("{name} is kept"),
            (true, false) => format!("{name} was kept already"),
            (false, true) => format!("{name} is no longer kept"),
            (false, false) => format!("{name} was not kept"),
        })?;
    }
    Ok(())
}

/// The local clock then, and how far it is ahead of UTC: `15:14:20 +01:00`.
fn local(wall: Wall) -> String {
    // Every 64-bit nanosecond is within jiff's range.
    let timestamp = jiff::Timestamp::from_nanosecond(i128::from(wall.0)).unwrap_or_default();
    timestamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S %:z").to_string()
}

/// For people, who are elsewhere.
pub(super) fn absolute(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::store::Other;

    pub(super) fn stored(name: &str) -> Stored {
        Stored {
            name: name.to_owned(),
            path: Path::new("/store").join(name),
            time: Wall(1_795_356_860_811_089_123),
            kind: "link-down".to_owned(),
            object: Some("dp0bond0".to_owned()),
            sentence: "dp0bond0: DOWN".to_owned(),
            seconds: 130.0,
            covered_seconds: 25.0,
            interfaces: vec!["dp0s0".to_owned(), "dp0s2".to_owned()],
            frames: 12_345,
            folded: 0,
            bytes: 1_234_567,
            kept: false,
            report: true,
        }
    }

    #[test]
    fn a_name_may_be_shortened_while_it_stands_for_one() {
        let other = |name: &str, what| Other { name: name.to_owned(), what };
        let listing = Listing {
            bundles: ["2026-11-22_a", "2026-11-22_a-2", "2026-11-23_b"].map(stored).into(),
            others: vec![
                other("2026-11-24_c.partial", What::BeingBuilt),
                other("thesis", What::Foreign),
            ],
        };
        for (name, meant) in [
            ("last", Ok("2026-11-23_b")),
            ("2026-11-23", Ok("2026-11-23_b")),
            ("2026-11-23_b/", Ok("2026-11-23_b")),
            ("2026-11-22_a", Ok("2026-11-22_a")),
            ("2026-11-22_a-", Ok("2026-11-22_a-2")),
            ("2026", Err("3 bundles begin with this: 2026-11-22_a, 2026-11-22_a-2")),
            ("2026-11-23_c", Err("the nearest is 2026-11-23_b")),
            ("2026-11-24_c.partial", Err("being built, or was; it is left alone")),
            ("thesis", Err("not a bundle of dashcap")),
            ("", Err("no bundle has this name")),
        ] {
            let found = found(&listing, name).map(|bundle| bundle.name.as_str());
            match (found, meant) {
                (Ok(found), Ok(meant)) => assert_eq!(found, meant, "{name}"),
                (Err(error), Err(reason)) => {
                    let told = error.to_string();
                    assert!(told.contains(reason) && error.exit_status() == 2, "{name}: {told}");
                }
                (found, meant) => panic!("{name}: {found:?}, not {meant:?}"),
            }
        }
        let none = found(&Listing::default(), LAST).unwrap_err().to_string();
        assert!(none.contains("there is no bundle"), "{none}");
    }
}
