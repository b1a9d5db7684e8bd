//! `dashcap fleet fetch`: bundles of other hosts, brought here.

mod bus;
mod ssh;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use self::bus::BusFetch;
use self::ssh::SshHost;
use super::place::Place;
use crate::cli::control::print;
use crate::cli::extcap::hosts::quoted;
use crate::cli::log::StatusLine;
use crate::cli::rights::made;
use crate::cli::values::Size;
use crate::error::{Error, Result};
use crate::fleet::Options;
use crate::fleet::fetch::copy::{Begun, BundleCopy};
use crate::fleet::fetch::pace::Pace;
use crate::fleet::token::is_token;
use crate::incident::fetched::{Fetched, is_bundle_name};
use crate::time::{Clock, Stamp};
use crate::visible::{self, plain};

/// Where the package has bundles written.
const STORE: &str = "/var/lib/dashcap";
/// What can be fetched.
const ACCEPTED: &str =
    "an identifier that `dashcap fleet incidents` lists, or the name of a bundle";

/// Fetch what hosts have of a failure: their bundles, into DIR/HOST, checked against their sums.
///
/// A fetch that was cut off goes on where it stopped when the same command is given again. With --ssh the system's
/// ssh reads the files, with the rights of that login there and without asking for a password. Exit status: 0
/// everything is here, 1 something is not.
#[derive(Debug, Args)]
pub(super) struct Fetch {
    /// The failure, by its identifier, as `dashcap fleet incidents` lists it; or a bundle, by its name.
    id: String,

    #[command(flatten)]
    errand: Errand,
}

/// Where bundles come from, how much of them, and where they go.
#[derive(Debug, Args)]
pub(super) struct Errand {
    /// Where fetched bundles go, each host's into a directory of its own.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,

    /// From this host of the fleet only; repeat for several.
    #[arg(long = "host", value_name = "NAME", conflicts_with = "ssh")]
    hosts: Vec<String>,

    /// Frames cut to their headers, also where all of them may be had; with --ssh by the dashcap of that host.
    #[arg(long)]
    headers: bool,

    /// So many bytes a second at most, such as 100KB [default: what the other host allows].
    #[arg(long, value_name = "SIZE")]
    rate: Option<Size>,

    /// Not over the fleet's bus: from this host, as after ssh; repeat for several.
    #[arg(long = "ssh", value_name = "HOST")]
    ssh: Vec<String>,

    /// Where bundles are on hosts that ssh reaches.
    #[arg(long, value_name = "DIR", default_value = STORE)]
    store: String,
}

/// How a fetch goes on, and how fast.
struct FetchCourse<'a> {
    clock: Clock,
    pace: Option<(Pace, u64)>,
    line: &'a StatusLine,
    /// Some of the bundle is here that is fetched.
    is_under_way: bool,
}

/// What is here.
#[derive(Default)]
pub(super) struct Harvest {
    /// By host.
    pub(super) bundles: Vec<(String, PathBuf)>,
    /// Hosts with something that is not here, and why.
    pub(super) failures: Vec<(String, String)>,
    /// Hosts that were asked for it and have no bundle of it, and what became of it there.
    pub(super) without: Vec<(String, String)>,
    /// Some of that came, and the rest may come yet.
    goes_on: bool,
}

impl Fetch {
    pub(super) fn start(self, place: &Place, line: &StatusLine) -> Result<ExitCode> {
        self.errand.run(&self.id, place, line)?.tell(place.json)
    }
}

/// True for what may be the identifier of a failure, or the name of a bundle.
pub(super) fn is_named(id: &str) -> bool {
    is_token(id) || is_bundle_name(id)
}

impl Errand {
    /// Brings what is to be had of `id`.
    pub(super) fn run(&self, id: &str, place: &Place, line: &StatusLine) -> Result<Harvest> {
        if !is_named(id) {
            return Err(Error::usage("ID", id, "nothing is called that", ACCEPTED));
        }
        if let Some(Size(rate)) = self.rate.filter(|rate| rate.0 < Options::LEAST_FETCH_RATE) {
            let (given, accepted) = (rate.to_string(), "1KiB or more a second");
            return Err(Error::usage("--rate", &given, "a bundle would take days", accepted));
        }
        let pace = self.rate.map(|Size(rate)| (Pace::of(rate), rate));
        let mut course = FetchCourse { clock: Clock::system(), pace, line, is_under_way: false };
        let mut harvest = Harvest::default();
        if self.ssh.is_empty() {
            BusFetch::connect(self, id, place)?.run(place, &mut course, &mut harvest)?;
        }
        for host in &self.ssh {
            let host = SshHost::new(host, &self.store)?;
            if let Err(error) = self.through(&host, id, &mut course, &mut harvest) {
                harvest.fails(host.host(), &error, &course);
            }
        }
        line.end();
        Ok(harvest)
    }

    /// All bundles of one host that ssh reaches.
    fn through(
        &self,
        host: &SshHost<'_>,
        id: &str,
        course: &mut FetchCourse<'_>,
        harvest: &mut Harvest,
    ) -> Result<()> {
        course.is_under_way = false;
        let mut found = false;
        for name in host.named(id)? {
            let Some(fetched) = host.bundle(&name, id, self.headers, course)? else { continue };
            found = true;
            let path = match self.begin(&name, fetched)? {
                Begun::There(path, _) => path,
                Begun::Copying(copy) => host.fetch(&name, *copy, course)?,
            };
            harvest.bundles.push((host.host().to_owned(), path));
        }
        let nothing = || format!("it has no bundle of {id}");
        if found { Ok(()) } else { Err(Error::operation("fetch from", host.host(), nothing())) }
    }

    /// Begins, or goes on with, the copy of a bundle.
    fn begin(&self, name: &str, fetched: Fetched) -> Result<Begun> {
        BundleCopy::begin(made(&self.output)?, name, fetched)
    }
}

impl FetchCourse<'_> {
    fn now(&self) -> Stamp {
        self.clock.now()
    }

    /// Bytes of a piece: at a low rate, what comes within a second.
    fn piece(&self, most: u32) -> u32 {
        let rate = self.pace.map_or(u64::from(most), |(_, rate)| rate);
        // Not more than `most`.
        rate.clamp(1, most.into()) as u32
    }

    /// How long so many more bytes have to wait.
    fn wait_for(&mut self, bytes: u32) -> Duration {
        let now = self.clock.now().mono;
        self.pace.as_mut().map_or(Duration::ZERO, |(pace, _)| pace.take(bytes.into(), now))
    }

    fn show(&self, copy: &BundleCopy, host: &str) {
        self.line.bring(copy.progress(), &plain(host));
    }
}

impl Harvest {
    fn fails(&mut self, host: &str, error: &Error, course: &FetchCourse<'_>) {
        self.failures.push((host.to_owned(), error.to_string()));
        self.goes_on |= course.is_under_way;
    }

    /// Who gave nothing, or not all, and why.
    pub(super) fn lacking(&self) -> impl Iterator<Item = String> {
        let all = self.failures.iter().chain(&self.without);
        all.map(|(host, why)| plain(&format!("{host}: {why}")).into_owned())
    }

    /// What is here, what is not and why, and what to do with it.
    fn tell(&self, json: bool) -> Result<ExitCode> {
        if json {
            let bundles = self.bundles.iter();
            let bundles: Vec<_> =
                bundles.map(|(host, path)| json!({ "host": host, "path": path })).collect();
            let failures = self.failures.iter();
            let failures: Vec<_> =
                failures.map(|(host, why)| json!({ "host": host, "why": why })).collect();
            let without = self.without.iter();
            let without: Vec<_> =
                without.map(|(host, state)| json!({ "host": host, "state": state })).collect();
            let told = json!({ "bundles": bundles, "failures": failures, "without": without });
            let told = told.to_string();
            print(&visible::json(&told))?;
        } else {
            for (host, path) in &self.bundles {
                print(&plain(&format!("{host}: {}", path.display())))?;
            }
            self.lacking().for_each(|told| eprintln!("{told}"));
            self.say_what_next()?;
        }
        Ok(ExitCode::from(u8::from(!self.failures.is_empty() || self.bundles.is_empty())))
    }

    fn say_what_next(&self) -> Result<()> {
        if self.goes_on {
            eprintln!("the same command again goes on where this one stopped");
        }
        if self.bundles.is_empty() {
            return Ok(());
        }
        let paths = self.bundles.iter().map(|(_, path)| word(&path.display().to_string()));
        let paths: Vec<_> = paths.collect();
        print(&plain(&format!("next: dashcap fleet report {}", paths.join(" "))))
    }
}

/// A word for a shell, quoted where it has to be.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { quoted(text) }
}
