//! `dashcap thin`: a dump of gigabytes becomes a file that Wireshark opens.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::cut::Kind;
use super::log::StatusLine;
use super::replay::capture_of;
use super::rights::confine;
use super::values::Size;
use crate::capture_file::output::{Format, is_standard};

use crate::error::{Error, Result};
use crate::privilege::Files;
use crate::thin::{self, Account, Amount, Between, Hole, Limits, Share};
use crate::words::count;

/// Thin capture files of any size until they can be looked at, and say what is missing.
///
/// Of identical frames that come fast, and of packets that go in a circle, the first copies of each second are
/// kept; all control traffic is; of each flow the first and last frames of each second. The last frame before a
/// hole says in a comment what is missing, and the file how much in all. Reads what cut reads, merged by time.
/// The exit status is 1 if a file was damaged (what is before the damage is used) or --target is not reached.
#[derive(Debug, Args)]
pub(super) struct Thin {
    /// Capture files, bundles (their directories), or - for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The file to write, or - for standard output. It replaces what is there, by rename, when it is whole.
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,

    /// What to write, where the name of OUT does not tell [default for -: pcapng].
    #[arg(long, value_name = "FORMAT")]
    format: Option<Kind>,

    /// Frames kept from the begin and from the end of each second of a flow, 1 to 1,000,000.
    #[arg(long, value_name = "N", default_value_t = Limits::KEEP)]
    keep: u32,

    /// Copies kept of identical frames in a second, 1 to 1,000,000.
    #[arg(long, value_name = "N", default_value_t = Limits::COPIES)]
    fold_keep: u32,

    /// Choose both so that the capture has at most this size before compression, such as 50MiB. Reads the files
    /// twice, so not standard input.
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["keep", "fold_keep"])]
    target: Option<Size>,

    /// Print what was kept and set aside as JSON; its fields are in docs/thin.md.
    #[arg(long)]
    json: bool,
}

/// Flows named on the terminal; all others are one line.
const SHOWN: usize = 10;

impl Thin {
    pub(super) fn start(self, line: &StatusLine) -> Result<ExitCode> {
        let json = self.json;
        let options = self.options()?;
        let files = Files::default();
        confine(&files.reading(options.files.clone()).writing(&options.output))?;
        let account = thin::run(&options, |progress| line.advance(progress))?;
        line.end();
        for damage in &account.damage {
            tracing::error!("{damage}");
        }
        let missed = account.target.filter(|target| account.plain_bytes > *target);
        if let Some(target) = missed {
            tracing::error!(
                "--target {} is not reached: control traffic, comments and one frame from either end of each \
                 second take {}; cut a part out first (dashcap cut)",
                Size(target),
                Size(account.plain_bytes)
            );
        }
        // Where the capture itself goes to standard output, words do not.
        let told = if is_standard(&options.output) {
            tell(&account, json, &mut io::stderr().lock())
        } else {
            tell(&account, json, &mut io::stdout().lock())
        };
        told.map_err(|e| Error::operation("write", "the summary", e))?;
        let failed = missed.is_some() || !account.damage.is_empty();
        Ok(ExitCode::from(u8::from(failed)))
    }

    fn options(self) -> Result<thin::Options> {
        let amount = match self.target {
            Some(target) => Amount::Target(target.0),
            None => Amount::Frames(Limits::of(self.keep, self.fold_keep)?),
        };
        let format = match self.format {
            Some(kind) => kind.into(),
            None => Format::of(&self.output)?,
        };
        let files = self.files.into_iter().map(capture_of).collect();
        Ok(thin::Options { files, output: self.output, format, amount })
    }
}

fn tell(account: &Account, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, account)?;
        return writeln!(out);
    }
    let Account { total, limits, .. } = account;
    let bytes = account.bytes.map_or(String::new(), |bytes| format!(", {}", Size(bytes)));
    let (read, kept) = (total.read.frames, total.kept.frames);
    writeln!(out, "{}: {} of {} frames{bytes}", account.output, count(kept), count(read))?;
    if let Some(Between { first, last }) = account.span {
        writeln!(out, "from {first} to {last}")?;
    } else {
        writeln!(out, "the files have no frames")?;
    }
    writeln!(
        out,
        "kept: the first {} of identical frames in a second; of each flow the first and last {} frames of a \
         second, {} of control traffic",
        limits.copies, limits.keep, limits.control
    )?;
    if total.aside().frames == 0 {
        writeln!(out, "nothing is set aside: no flow came faster than that")?;
    }
    for flow in account.flows.iter().take(SHOWN) {
        share(&format!("{} {}", flow.interface, flow.flow), &flow.share, out)?;
    }
    if account.flows.len() > SHOWN {
        let more = account.flows.len() - SHOWN;
        writeln!(out, "and {more} more flows of which frames are set aside (--json lists them)")?;
    }
    share("in all", total, out)?;
    for (number, what) in [
        (account.entries, "journal entries between the frames"),
        (account.unstamped, "frames without a stamp, all kept"),
    ] {
        if number > 0 {
            writeln!(out, "{} {what}", count(number))?;
        }
    }
    for (what, number) in &account.left_out {
        writeln!(out, "{} {what} left out", count(*number))?;
    }
    Ok(())
}

/// Nothing is left out silently: what was read is what is kept and what is set aside.
fn share(name: &str, share: &Share, out: &mut impl Write) -> io::Result<()> {
    let Share { read, kept, folded, thinned } = share;
    writeln!(
        out,
        "{name}: {} read = {} kept + {} folded + {} thinned",
        count(read.frames),
        count(kept.frames),
        count(folded.count.frames),
        count(thinned.count.frames)
    )?;
    for (what, hole) in [("folded", folded), ("thinned", thinned)] {
        if let Hole { count: bytes, between: Some(Between { first, last }) } = hole {
            writeln!(out, "  {what}: {} from {first} to {last}", Size(bytes.bytes))?;
        }
    }
    Ok(())
}
