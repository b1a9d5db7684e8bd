//! `dashcap fleet report`: one report of several hosts.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::fetch::{Errand, is_named};
use super::place::Place;
use crate::capture_file::inputs::check_output;
use crate::cli::log::StatusLine;
use crate::cli::report::{look, say, write};
use crate::cli::rights::confine;
use crate::cli::values::TimeSpan;
use crate::error::Result;
use crate::fleet::report::{self, Options};
use crate::privilege::Files;

/// Say what happened on several hosts at once, from bundles and capture files of anybody: one timeline with error
/// bars, where it began, and what each link between them did not carry.
///
/// What is no file here but the identifier of a failure, or the name of a bundle, is fetched first, as `dashcap fleet
/// fetch` does; the notes of the report say who gave nothing, and why.
///
/// Clocks are compared by the frames that both ends of a link saw, which bound how far they are apart; where there
/// are none, by what each kernel knows of its clock, else they are unknown. Order is never made up. Of files it needs no
/// network and no server. Bundles of one host are one host; a capture file is a host by the name of the file. The exit
/// status is 1 if a file was damaged, or something was not fetched.
#[derive(Debug, Args)]
pub(in crate::cli) struct FleetReport {
    /// Bundles (their directories) and capture files: pcap and pcapng, also compressed with zstd or gzip; or what is to
    /// be fetched, as `dashcap fleet incidents` lists it.
    #[arg(required = true, value_name = "BUNDLE|FILE|ID")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    errand: Errand,

    /// Print JSON instead of text; its fields are in docs/fleet-report.md.
    #[arg(long)]
    json: bool,

    /// Write a page for browsers: one file, which needs no network. With - for standard output, in place of the text.
    #[arg(long, value_name = "OUT", conflicts_with = "json")]
    html: Option<PathBuf>,

    /// Write all frames into one file with corrected stamps, such as all.pcapng.zst: interfaces are called
    /// HOST/INTERFACE, and a comment on each frame has its original stamp and how far the new one may be off.
    #[arg(long, value_name = "OUT")]
    pcapng: Option<PathBuf>,

    /// How wrong each clock is at most, where you know that: 100ms if all of them follow a time server well
    /// [default: nothing is assumed].
    #[arg(long, value_name = "DURATION")]
    clocks_within: Option<TimeSpan>,

    /// How clocks answered on the bus, as `dashcap fleet --json` printed it soon after the failure: it holds for hosts that were
    /// not started again and whose clocks were not set in between, and tells less by 1 ms for each second in between.
    #[arg(long, value_name = "FILE")]
    clocks: Option<PathBuf>,

    /// Columns of the text [default: the terminal's, or 80].
    #[arg(long, value_name = "COLUMNS")]
    width: Option<usize>,
}

/// What is reported on.
#[derive(Default)]
struct Gathered {
    files: Vec<PathBuf>,
    /// Who gave nothing, and why.
    notes: Vec<String>,
    /// Something is not here that may be had.
    is_lacking: bool,
}

impl FleetReport {
    pub(super) fn start(self, place: &Place, line: &StatusLine) -> Result<ExitCode> {
        let Gathered { files: gathered, notes, is_lacking } = self.gather(place, line)?;
        if gathered.is_empty() {
            return Ok(ExitCode::FAILURE);
        }
        let read: Vec<PathBuf> = crate::report::inputs(&gathered).collect();
        let outputs = [("--html", &self.html), ("--pcapng", &self.pcapng)];
        let clocks = self.clocks.iter().cloned();
        let mut files = Files::default().reading(read.iter().cloned().chain(clocks));
        for (option, output) in outputs {
            if let Some(output) = output {
                check_output(&read, option, output)?;
                files = files.writing(output);
            }
        }
        confine(&files)?;
        let options = Options {
            files: gathered,
            notes,
            clocks_within: self.clocks_within.map(|TimeSpan(within)| within),
            answered: self.clocks,
        };
        let merged = report::report(&options, |progress| line.advance(progress))?;
        if let Some(path) = &self.pcapng {
            report::write_capture(&merged, path, |progress| line.advance(progress))?;
        }
        line.end();
        let report = &merged.report;
        let is_page = self.html.as_deref() == Some(Path::new("-"));
        if let (Some(path), false) = (&self.html, is_page) {
            write(path, &report::html(report)?)?;
        }
        say(&match (is_page, self.json) {
            (true, _) => report::html(report)?,
            (_, true) => report::json(report)?,
            _ => report::text(report, look(self.width, None)),
        })?;
        Ok(ExitCode::from(u8::from(is_lacking || !report.damage.is_empty())))
    }

    /// Fetches what is no file here.
    fn gather(&self, place: &Place, line: &StatusLine) -> Result<Gathered> {
        let mut gathered = Gathered::default();
        for named in &self.files {
            let id = named.to_str().filter(|id| is_named(id) && !named.exists());
            let Some(id) = id else {
                gathered.files.push(named.clone());
                continue;
            };
            let harvest = self.errand.run(id, place, line)?;
            for lacking in harvest.lacking() {
                eprintln!("{lacking}");
                gathered
                    .notes
                    .push(format!("{id} was not fetched, or not all of it, from {lacking}"));
            }
            gathered.is_lacking |= !harvest.failures.is_empty();
            gathered.files.extend(harvest.bundles.into_iter().map(|(_, path)| path));
        }
        Ok(gathered)
    }
}
