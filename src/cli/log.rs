//! What the operator sees while dashcap runs: log lines, and on a terminal one quiet status line below
//! them.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::capture_file::inputs::Progress;
use crate::recorder::Status;
use crate::time::Clock;
use crate::visible;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The status line; on anything but a terminal there is none.
#[derive(Debug, Clone)]
pub(super) struct StatusLine(ProgressBar);

impl StatusLine {
    /// Log lines go to standard error from now on, above the status line if there is one.
    pub(super) fn begin(format: Format) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // The template is constant and known to be good; the default would only look different.
        bar.set_style(
            ProgressStyle::with_template("{msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        let line = Self(bar);
        // What the client of the fleet's bus says of itself is told by us, and of wrong passwords not as often.
        let ours =
            line.clone().with_filter(|told| told.target().starts_with(env!("CARGO_PKG_NAME")));
        let log = tracing_subscriber::fmt().with_writer(ours).with_target(false);
        // The journal adds a time of its own (`JOURNAL_STREAM`, systemd.exec(5)).
        let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
        match format {
            Format::Json => log.json().flatten_event(true).with_timer(Now).init(),
            Format::Text if in_journal => {
                log.with_ansi(false).event_format(Journal::default()).init();
            }
            Format::Text => log.with_ansi(io::stderr().is_terminal()).with_timer(Now).init(),
        }
        line
    }

    /// Shows how the recording stands.
    pub(super) fn show(&self, status: &Status) {
        self.0.set_message(status.to_string());
        self.0.tick();
    }

    /// Shows how far a replay is: a bar where the size of the files is known, else a line.
    pub(super) fn advance(&self, progress: &Progress) {
        let Progress { read, size, frames, at } = *progress;
        if let Some(size) = size
            && self.0.length() != Some(size)
        {
            self.0.set_length(size);
            // As above: constant, and known to be good.
            if let Ok(style) = ProgressStyle::with_template(
                "{wide_bar} {percent}% · {binary_bytes_per_sec}, {eta} left · {msg}",
            ) {
                self.0.set_style(style);
            }
        }
        self.0.set_position(read);
        self.0.set_message(format!("{frames} frames · {}", at.milliseconds()));
        self.0.tick();
    }

    /// Shows how much of something is here, which is `shown`.
    pub(super) fn bring(&self, (here, of): (u64, u64), shown: &str) {
        if self.0.length() != Some(of) {
            self.0.set_length(of);
            // As above: constant, and known to be good.
            if let Ok(style) = ProgressStyle::with_template(
                "{msg} {wide_bar} {binary_bytes} of {binary_total_bytes} · {binary_bytes_per_sec}, {eta} left",
            ) {
                self.0.set_style(style);
            }
            // What was here before did not come now.
            self.0.set_position(here);
            self.0.reset_eta();
        }
        self.0.set_position(here);
        self.0.set_message(shown.to_owned());
        self.0.tick();
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Write for StatusLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let written = self.0.suspend(|| io::stderr().write_all(visible::logged(&text).as_bytes()));
        written.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for StatusLine {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Lines for the journal: it adds the time, and takes the severity from a number before the line, so that
/// `journalctl -p warning` shows what matters (sd-daemon(3)).
struct Journal(format::Format<format::Full, ()>);

impl Default for Journal {
    fn default() -> Self {
        Self(format::format().with_target(false).without_time())
    }
}

/// As syslog(3) counts severities.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// RFC 3339 with milliseconds, as everywhere.
struct Now;

impl FormatTime for Now {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&Clock::system().now().wall.milliseconds())
    }
}
