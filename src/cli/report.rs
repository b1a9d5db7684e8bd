//! `dashcap report`: what happened, in a bundle or any capture file.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jiff::tz::TimeZone;

use super::log::StatusLine;
use super::rights::confine;
use crate::capture_file::inputs::check_output;
use crate::cut::{ACCEPTED, Moment};
use crate::error::{Error, Result};
use crate::privilege::Files;
use crate::report::{self, Look, Options};

/// Say what happened in a bundle or in capture files of anybody: when it began, what followed, what it
/// was, who sent most.
///
/// Every frame goes through the detectors of a live recording, in the files' own time. pcap and pcapng,
/// also compressed with zstd or gzip; several are merged by time. Of a bundle, what the host saw belongs
/// to it. The report goes to standard output; the exit status is 1 if a file was damaged.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Bundles (their directories), capture files, or - for standard input.
    #[arg(required = true, value_name = "BUNDLE|FILE")]
    files: Vec<PathBuf>,

    /// Print JSON instead of text; its fields are in docs/report.md.
    #[arg(long)]
    json: bool,

    /// Write a page for browsers: one file, which needs no network. With - for standard output, in place
    /// of the text.
    #[arg(long, value_name = "OUT", conflicts_with = "json")]
    html: Option<PathBuf>,

    /// The moment of the failure, where you know better than the files: RFC 3339 such as
    /// 2026-11-22T14:14:20.8Z, the local clock such as 14:14:20, or relative to the first frame (+90s) or the
    /// last one (-30s) [default: the bundle's trigger, or the first critical finding].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,

    /// Columns of the text [default: the terminal's, or 80].
    #[arg(long, value_name = "COLUMNS")]
    width: Option<usize>,
}

impl Report {
    pub(super) fn start(self, line: &StatusLine) -> Result<ExitCode> {
        let at = self.at.as_deref().map(moment).transpose()?;
        if let Some(page) = &self.html {
            check_output(&report::inputs(&self.files).collect::<Vec<_>>(), "--html", page)?;
        }
        let page = self.html.as_deref().unwrap_or(Path::new("-"));
        confine(&Files::default().reading(report::inputs(&self.files)).writing(page))?;
        let options = Options { files: self.files, at, ..Options::default() };
        let report = report::report(&options, |progress| line.advance(progress))?;
        line.end();
        let offset_minutes = report.span.and_then(|span| report::local_offset(span.from));
        let mut text = None;
        match &self.html {
            Some(path) if path.as_os_str() == "-" => {
                text = Some(report::html(&report, offset_minutes)?);
            }
            Some(path) => write(path, &report::html(&report, offset_minutes)?)?,
            None if self.json => {
                text = Some(report::json(&report)?);
            }
            None => {}
        }
        say(&text.unwrap_or_else(|| report::text(&report, look(self.width, offset_minutes))))?;
        Ok(ExitCode::from(u8::from(!report.damage.is_empty())))
    }
}

/// As the terminal has it, unless the operator says otherwise.
pub(super) fn look(width: Option<usize>, offset_minutes: Option<i32>) -> Look {
    Look { width: width.unwrap_or_else(columns), color: color(), offset_minutes }
}

/// Writes to standard output.
pub(super) fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads it has seen enough, as with `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| Error::operation("write", "standard output", e)),
    }
}

/// Whole or not at all: beside, then renamed.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |e: io::Error| Error::operation("write", path.display().to_string(), e);
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    fs::write(&partial, text).map_err(failed)?;
    fs::rename(&partial, path).map_err(failed)
}

fn moment(text: &str) -> Result<Moment> {
    let read = Moment::parse(text, &TimeZone::system());
    read.map_err(|reason| Error::usage("--at", text, reason, ACCEPTED))
}

/// On a terminal, unless the operator does not want any (no-color.org).
fn color() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn columns() -> usize {
    let (_, columns) = console::Term::stdout().size_checked().unwrap_or((0, Look::WIDTH as u16));
    columns.into()
}
