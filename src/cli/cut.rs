//! `dashcap cut`: the minute that matters.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;

use super::log::StatusLine;
use super::replay::capture_of;
use super::rights::confine;
use super::values::TimeSpan;
use crate::capture::filter::Filter;
use crate::capture_file::cursor::Window;
use crate::capture_file::output::{Format, is_standard};
use crate::cut::{self, ACCEPTED, Asked, CutAccount, Moment};
use crate::error::{Error, Result};
use crate::privilege::Files;
use crate::time::Wall;

/// Cut a window out of capture files of any size, merge them by time, filter, convert.
///
/// Reads pcap and pcapng, also compressed with zstd or gzip, judged by their content. A plain file of more
/// than 64 MiB whose stamps are in order is read only where the window is. Times: RFC 3339
/// (2026-11-22T14:14:20.8Z), the local clock ("2026-11-22 14:14:20", 14:14:20), seconds since 1970, or
/// relative to the first frame (+90s) or the last one (-30s). The exit status is 1 if nothing was found,
/// or a file was damaged; what is before the damage is used.
#[derive(Debug, Args)]
pub(super) struct Cut {
    /// Capture files, bundles (their directories), or - for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The file to write, or - for standard output. It replaces what is there, by rename, when it is whole.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,

    /// What to write, where the name of OUT does not tell [default for -: pcapng].
    #[arg(long, value_name = "FORMAT")]
    format: Option<Kind>,

    /// First moment of the window, itself included [default: the first frame].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,

    /// Last moment of the window, itself included [default: the last frame].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,

    /// A moment, instead of --from and --to: the window is --pre before it to --post after it.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["from", "to"])]
    around: Option<String>,

    /// How long before --around [default: 1m].
    #[arg(long, value_name = "DUR", requires = "around")]
    pre: Option<TimeSpan>,

    /// How long after --around [default: 1m].
    #[arg(long, value_name = "DUR", requires = "around")]
    post: Option<TimeSpan>,

    /// Only frames that match, in libpcap's syntax, such as 'vlan 956 and port 1434'.
    #[arg(short, long, value_name = "EXPR")]
    filter: Option<String>,

    /// Only frames of this interface. Repeat for several. One without a name is called after its file.
    #[arg(short, long, value_name = "IF")]
    interface: Vec<String>,

    /// Read every file from its start to its end, also big ones whose stamps are in order: finds what the short
    /// way does not see, such as a second section or names in the middle of a file.
    #[arg(long)]
    scan: bool,
}

/// What [`Format`] is called.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    /// pcapng, compressed with zstd.
    #[value(name = "pcapng.zst")]
    PcapngZst,
    /// pcapng.
    Pcapng,
    /// pcap with nanoseconds: frames of one link type, nothing else.
    Pcap,
}

impl From<Kind> for Format {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::PcapngZst => Self::PcapngZstd,
            Kind::Pcapng => Self::Pcapng,
            Kind::Pcap => Self::Pcap,
        }
    }
}

/// Before and after --around.
const AROUND: Duration = Duration::from_secs(60);

impl Cut {
    pub(super) fn start(self, line: &StatusLine) -> Result<ExitCode> {
        let options = self.options()?;
        let files = Files::default().asking_names(options.filter.is_some());
        confine(&files.reading(options.files.clone()).writing(&options.output))?;
        let account = cut::run(&options, |progress| line.advance(progress))?;
        line.end();
        for damage in &account.damage {
            tracing::error!("{damage}");
        }
        let name = options.output.display().to_string();
        // Where the capture itself goes to standard output, words do not.
        let told = if is_standard(&options.output) {
            tell(&account, &name, &mut io::stderr().lock())
        } else {
            tell(&account, &name, &mut io::stdout().lock())
        };
        told.map_err(|e| Error::operation("write", "the summary", e))?;
        let found = account.span.is_some();
        Ok(ExitCode::from(u8::from(!found || !account.damage.is_empty())))
    }

    fn options(self) -> Result<cut::Options> {
        let zone = TimeZone::system();
        let moment = |what: &str, text: Option<String>| -> Result<Option<Moment>> {
            let Some(text) = text else { return Ok(None) };
            let read = Moment::parse(&text, &zone);
            read.map(Some).map_err(|reason| Error::usage(what, text, reason, ACCEPTED))
        };
        let span = |span: Option<TimeSpan>| span.map_or(AROUND, |span| span.0);
        let window = match moment("--around", self.around)? {
            Some(around) => Asked::Around(around, span(self.pre), span(self.post)),
            None => Asked::Between(moment("--from", self.from)?, moment("--to", self.to)?),
        };
        let format = match self.format {
            Some(kind) => kind.into(),
            None => Format::of(&self.output)?,
        };
        Ok(cut::Options {
            files: self.files.into_iter().map(capture_of).collect(),
            output: self.output,
            format,
            window,
            filter: self.filter.as_deref().map(Filter::parse).transpose()?,
            interfaces: self.interface,
            bisect: (!self.scan).then_some(cut::BISECT_FROM),
        })
    }
}

/// What was cut, and everything that was not; nothing found is explained.
fn tell(account: &CutAccount, name: &str, out: &mut impl Write) -> io::Result<()> {
    let bytes = account.bytes.map_or(String::new(), |bytes| format!(", {bytes} bytes"));
    writeln!(out, "{name}: {} frames{bytes}", account.frames)?;
    if let Some((first, last)) = account.span {
        writeln!(out, "from {first} to {last}")?;
    } else if let Some((first, last)) = account.files {
        writeln!(out, "nothing found: the files have frames from {first} to {last}")?;
        let Window { from, to } = account.window;
        let begins = (from > Wall(0)).then(|| format!("from {from}"));
        let ends = (to < Wall(u64::MAX)).then(|| format!("to {to}"));
        let asked: Vec<_> = begins.into_iter().chain(ends).collect();
        if !asked.is_empty() {
            writeln!(out, "{} was asked for (--from, --to, --around)", asked.join(" "))?;
        }
    } else {
        writeln!(out, "nothing found: the files have no frames")?;
    }
    for (count, what) in [
        (account.entries, "journal entries between them"),
        (account.filtered, "frames in the window that --filter refused"),
        (account.passed_over, "frames in the window of other interfaces"),
        (account.unstamped, "frames without a stamp, taken to be as old as the one before"),
    ] {
        if count > 0 {
            writeln!(out, "{count} {what}")?;
        }
    }
    for (what, count) in &account.left_out {
        writeln!(out, "{count} {what} left out")?;
    }
    if !account.unknown.is_empty() {
        let known: Vec<_> = account.interfaces.iter().map(String::as_str).collect();
        let (unknown, known) = (account.unknown.join(", "), known.join(", "));
        writeln!(out, "no interface {unknown} in the files; there are {known}")?;
    }
    if account.bisected > 0 {
        writeln!(
            out,
            "{} files read in part, where the window is: a frame elsewhere whose stamp steps back into it is \
             missing (--scan reads all)",
            account.bisected
        )?;
    }
    Ok(())
}
