//! `dashcap replay`: what would have been recorded.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::log::StatusLine;
use super::rights::{confine, made};
use super::run;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::incident::layout;
use crate::privilege::Files;
use crate::recorder;
use crate::recorder::replay::{self, Events, ReplaySummary};

/// Send capture files down the same road as live traffic, in their own time: what would have been
/// frozen, with these rules and this memory?
///
/// pcap and pcapng, also compressed with zstd or gzip, judged by their content; several are merged by
/// time. Options that are about a live host (--probe, --promiscuous, --source, ...) say nothing here;
/// --probe HOST arms probe-lost for what the host's events tell of it. The exit status is 1 if a file
/// was damaged or a bundle could not be written.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Capture files, bundles (their directories), or - for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// What the host saw meanwhile: events.jsonl or timeline.csv of a bundle, or a table with the
    /// columns date, if, state. Repeat for several [default: those beside the files].
    #[arg(long, value_name = "FILE")]
    events: Vec<PathBuf>,

    /// Use no host events, not even those beside the files.
    #[arg(long, conflicts_with = "events")]
    no_events: bool,

    #[command(flatten)]
    settings: Settings,
}

impl Replay {
    pub(super) fn start(self, line: &StatusLine) -> Result<ExitCode> {
        let recording = self.settings.options(run::DEFAULTS, Settings::usual_rules)?;
        let options = replay::Options {
            files: self.files.into_iter().map(capture_of).collect(),
            events: match self.events {
                _ if self.no_events => Events::None,
                named if named.is_empty() => Events::Beside,
                named => Events::Named(named),
            },
        };
        confine(&files(&options, &recording)?)?;
        let replay = replay::Replay::open(&options, recording)?;
        let account = replay.run(|progress| line.advance(progress))?;
        line.end();
        for damage in &account.damage {
            tracing::error!("{damage}");
        }
        tell(&account, &mut io::stdout().lock())
            .map_err(|e| Error::operation("write", "standard output", e))?;
        let failed = account.recording.lost > 0 || !account.damage.is_empty();
        Ok(ExitCode::from(u8::from(failed)))
    }
}

/// What a replay reads and writes: what the host saw may lie beside the files.
fn files(options: &replay::Options, recording: &recorder::Options) -> Result<Files> {
    let beside = options.files.iter().filter_map(|file| file.parent().map(Path::to_owned));
    let named = match &options.events {
        Events::Named(named) => named.clone(),
        Events::Beside | Events::None => Vec::new(),
    };
    let capture = &recording.capture;
    let filters = capture.filter().is_some()
        || !(capture.classes.own.is_empty() && recording.wanted.is_empty());
    let files = Files::default().reading(options.files.iter().cloned().chain(beside).chain(named));
    Ok(files.asking_names(filters).writing_in(made(&recording.output)?))
}

/// A bundle's directory stands for the capture in it.
pub(super) fn capture_of(path: PathBuf) -> PathBuf {
    let inside = path.join(layout::CAPTURE);
    if inside.is_file() { inside } else { path }
}

/// What the replay came to, with everything that was not used.
fn tell(account: &ReplaySummary, out: &mut impl Write) -> io::Result<()> {
    if let Some((first, last)) = account.span {
        writeln!(out, "from {first} to {last}")?;
    }
    for (interface, read, stats) in account.interfaces() {
        writeln!(
            out,
            "{interface}: {read} read = {} stored + {} folded + {} filtered + {} dropped by the lane",
            stats.stored, stats.folded, stats.filtered, stats.lane_dropped
        )?;
    }
    for interface in &account.unseen {
        writeln!(out, "{interface}: no frame of it in the files")?;
    }
    for (count, what) in [
        (account.passed_over, "frames of interfaces that were not selected"),
        (account.unstamped, "frames without a stamp, taken to be as old as the one before"),
        (account.steps, "times the stamps went back"),
        (account.recording.lost, "incidents could not be written"),
    ] {
        if count > 0 {
            writeln!(out, "{count} {what}")?;
        }
    }
    let passed_over: Vec<_> =
        account.not_replayed.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let passed_over =
        if passed_over.is_empty() { "none".to_owned() } else { passed_over.join(", ") };
    writeln!(out, "host events: {} replayed, passed over: {passed_over}", account.observations)?;
    for bundle in &account.recording.bundles {
        writeln!(out, "bundle {}", bundle.display())?;
    }
    if account.recording.bundles.is_empty() && account.recording.lost == 0 {
        writeln!(out, "no bundle: nothing happened that --on names")?;
    }
    Ok(())
}
