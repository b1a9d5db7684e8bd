//! systemd's journal, through `journalctl --follow` as a child: the journal's files have a format of
//! their own, and its one good reader comes with it.
//!
//! When the child ends, that is told and another one is started, at first after a second, then ever
//! later up to [`LONGEST_PAUSE`]. It goes on behind the last entry that was seen, so nothing that was
//! logged meanwhile is missed, though it is told late.
//!
//! It is the slowest watcher of the same line: journald tells its readers of new entries every 250 ms
//! at most (`POST_CHANGE_TIMER_INTERVAL_USEC`, src/journal/journald-server.c), and half a second was
//! measured. When an entry was logged, [`Header::stamp`] says.
//!
//! What the kernel logs is left to the kernel's own log, which is faster and cannot go away.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::lines::Lines;
use super::sieve::{Line, Sieve};
use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::observation::log_line::{Header, LONGEST, LogSource, Priority};
use crate::time::Stamp;
use crate::watch::{Wake, WatcherContext};

/// The longest entry as JSON, in bytes: a message of [`LONGEST`] bytes that are no text takes five for
/// each, and there are a few other fields.
const ENTRY: usize = 64 << 10;
/// Bytes per read.
const CHUNK: usize = 64 << 10;
/// A child that ended is replaced after so long at most: a journal that cannot be read for a day is told 1,440
/// times.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Fields that are asked for; `__CURSOR` and the stamps come unasked (journalctl(1)).
const FIELDS: &str =
    "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_COMM,_PID,_HOSTNAME,_TRANSPORT";
/// Where journald listens wherever it runs (systemd-journald.service(8)).
const SOCKET: &str = "/run/systemd/journal/socket";

/// True if this system has a journal to follow.
pub fn journal_runs() -> bool {
    Path::new(SOCKET).exists()
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Where it is, for `--after-cursor`.
    pub cursor: String,
    /// The message.
    pub text: String,
    /// The rest.
    pub header: Header,
    /// True if the kernel logged it.
    pub by_kernel: bool,
    /// The process that did.
    pub pid: Option<u32>,
}

/// An entry as `journalctl --output=json` prints it. A field is a text, an array of numbers where it
/// is none, or an array of either where it occurs several times.
#[derive(Debug, Deserialize)]
struct Printed {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    realtime: Value,
    #[serde(rename = "MESSAGE", default)]
    message: Value,
    #[serde(rename = "PRIORITY", default)]
    priority: Value,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Value,
    #[serde(rename = "_COMM", default)]
    command: Value,
    #[serde(rename = "_PID", default)]
    pid: Value,
    #[serde(rename = "_HOSTNAME", default)]
    host: Value,
    #[serde(rename = "_TRANSPORT", default)]
    transport: Value,
}

/// Understands one line of `journalctl --output=json`.
///
/// # Errors
/// When it is no JSON object with a cursor.
pub fn parse_entry(line: &str) -> Result<JournalEntry, serde_json::Error> {
    let printed: Printed = serde_json::from_str(line)?;
    let pid = text(&printed.pid);
    let name = text(&printed.identifier).or_else(|| text(&printed.command));
    let program = name.map(|name| match &pid {
        Some(pid) => format!("{name}[{pid}]"),
        None => name,
    });
    Ok(JournalEntry {
        cursor: printed.cursor,
        text: text(&printed.message).unwrap_or_default(),
        header: Header {
            priority: text(&printed.priority)
                .and_then(|number| number.parse().ok())
                .map(Priority::of),
            host: text(&printed.host),
            program,
            stamp: text(&printed.realtime),
            cut: false,
        },
        by_kernel: text(&printed.transport).as_deref() == Some("kernel"),
        pid: pid.and_then(|pid| pid.parse().ok()),
    })
}

/// A field's text; the first one's where there are several.
fn text(field: &Value) -> Option<String> {
    match field {
        Value::String(text) => Some(text.clone()),
        Value::Array(values) => match values.first()? {
            Value::Number(_) => {
                let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
                let bytes: Vec<u8> = values.iter().map_while(byte).collect();
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            Value::String(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The journal, followed.
#[derive(Debug)]
pub(super) struct Journal {
    program: PathBuf,
    child: Option<Follower>,
    cursor: Option<String>,
    backoff: Backoff,
}

/// A child at work; it is ended when dropped.
#[derive(Debug)]
struct Follower {
    child: Child,
    /// What it prints, complaints included.
    pipe: PipeReader,
    lines: Lines,
    /// It printed an entry.
    worked: bool,
    /// The last line it printed that was no entry.
    complaint: String,
}

impl Journal {
    pub(super) fn open(program: &Path) -> Result<Self> {
        let child = Follower::start(program, None).map_err(|reason| {
            Error::operation("follow", "the journal", format!("{}: {reason}", program.display()))
                .hint("needs systemd's journalctl; without it, follow the log files themselves")
        })?;
        Ok(Self {
            program: program.to_owned(),
            child: Some(child),
            cursor: None,
            backoff: Backoff::up_to(LONGEST_PAUSE),
        })
    }

    pub(super) fn run(mut self, context: &mut WatcherContext, mut sieve: Sieve) -> Result<()> {
        loop {
            let wake = match &self.child {
                Some(follower) => sieve.wait(context, &[follower.pipe.as_fd()], None)?,
                None => {
                    let until = context.now().mono.plus(self.backoff.pause());
                    sieve.wait(context, &[], Some(until))?
                }
            };
            match wake {
                Wake::Stop => return Ok(()),
                Wake::Ready => self.read(context, &mut sieve),
                Wake::Due => self.start(context, &mut sieve),
            }
        }
    }

    fn start(&mut self, context: &mut WatcherContext, sieve: &mut Sieve) {
        match Follower::start(&self.program, self.cursor.as_deref()) {
            Ok(child) => self.child = Some(child),
            Err(reason) => {
                sieve.trouble(context, format_args!("journalctl cannot be run: {reason}"));
            }
        }
    }

    fn read(&mut self, context: &mut WatcherContext, sieve: &mut Sieve) {
        let Some(follower) = &mut self.child else { return };
        let mut chunk = vec![0; CHUNK];
        let length = match follower.pipe.read(&mut chunk) {
            Ok(0) => return self.ended(context, sieve, None),
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return,
            Err(reason) => return self.ended(context, sieve, Some(&reason)),
        };
        let at = context.now();
        let Follower { lines, worked, complaint, .. } = follower;
        lines.push(chunk.get(..length).unwrap_or_default(), |line, cut| {
            let line = String::from_utf8_lossy(line);
            if !line.starts_with('{') {
                *complaint = line.chars().take(200).collect();
                return;
            }
            match parse_entry(&line) {
                Ok(entry) => {
                    *worked = true;
                    self.cursor = Some(entry.cursor.clone());
                    take(context, sieve, at, entry);
                }
                Err(_) if cut => sieve.unreadable(context, "it is longer than 64 KiB"),
                Err(reason) => sieve.unreadable(context, reason),
            }
        });
    }

    fn ended(
        &mut self,
        context: &mut WatcherContext,
        sieve: &mut Sieve,
        broken: Option<&io::Error>,
    ) {
        let Some(mut follower) = self.child.take() else { return };
        if follower.worked {
            self.backoff.reset();
        } else {
            // Perhaps the cursor is what it cannot find.
            self.cursor = None;
        }
        let ending = match broken {
            Some(reason) => reason.to_string(),
            None => follower.end().map_or_else(|e| e.to_string(), |status| status.to_string()),
        };
        let complaint = Some(&follower.complaint).filter(|text| !text.is_empty());
        let complaint = complaint.map(|text| format!(": {text}")).unwrap_or_default();
        let seconds = self.backoff.next().as_secs();
        sieve.trouble(
            context,
            format_args!(
                "journalctl ended ({ending}{complaint}), it will be started again in {seconds} s"
            ),
        );
    }
}

fn take(context: &mut WatcherContext, sieve: &mut Sieve, at: Stamp, entry: JournalEntry) {
    if entry.by_kernel {
        return;
    }
    if entry.pid == Some(process::id()) {
        return sieve.own();
    }
    let text = &entry.text[..entry.text.floor_char_boundary(LONGEST)];
    let line = Line { text, cut: text.len() < entry.text.len(), is_local: false };
    sieve.line(context, at, line, || (LogSource::Journal, entry.header));
}

impl Follower {
    fn start(program: &Path, cursor: Option<&str>) -> io::Result<Self> {
        let (pipe, outlet) = io::pipe()?;
        let mut command = Command::new(program);
        command
            .args(["--follow", "--output=json", "--all", "--no-pager", "--quiet", FIELDS])
            .args(match cursor {
                None => vec!["--lines=0".to_owned()],
                Some(cursor) => vec!["--no-tail".to_owned(), format!("--after-cursor={cursor}")],
            })
            .stdin(Stdio::null())
            .stdout(outlet.try_clone()?)
            .stderr(outlet)
            // A key pressed in our terminal is for us.
            .process_group(0);
        let child = command.spawn()?;
        let lines = Lines::new(ENTRY);
        Ok(Self { child, pipe, lines, worked: false, complaint: String::new() })
    }

    /// Ends it, if it has not, and says how it ended.
    fn end(&mut self) -> io::Result<process::ExitStatus> {
        // It holds nothing that it could lose. Fails only if it was waited for before.
        let _ = self.child.kill();
        self.child.wait()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Fails only if it was waited for before.
        let _ = self.end();
    }
}

/// The name journalctl(1) is found by.
pub(super) fn journalctl() -> PathBuf {
    PathBuf::from("journalctl")
}

#[cfg(test)]
mod tests;
