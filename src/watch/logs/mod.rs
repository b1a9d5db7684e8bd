//! Log lines as watchers: what a routing daemon, the kernel or a switch says may come before, or
//! instead of, anything that netlink tells. In the incident the VRRP daemon was the one who noticed.
//!
//! ```text
//!   /dev/kmsg ─────────────────┐
//!   journalctl -f (a child) ───┤  lines   ┌── sieve ──────────────────────┐
//!   followed files ────────────┼─────────►│ matchers ─► so many a second  ├──► Fact::Log
//!   syslog over UDP and TCP ───┘          └── counters of all the others ─┘
//! ```
//!
//! | source | a line is seen after | at most |
//! |---|---|---|
//! | syslog | 10 µs | |
//! | files | 30 µs with inotify | 250 ms without, 1 s where a directory is made first |
//! | kernel log | the next timer interrupt, 4 ms at 250 Hz | |
//! | journal | 250 to 500 ms, by journald's own design | |
//!
//! What all sources promise:
//!
//! * They begin with what is logged from now on; history is no news.
//! * A line that matches a [`Matcher`] is a [`Fact::Log`](crate::observation::Fact::Log), stamped when it was read. Lines that match
//!   none are only counted ([`Counters`]).
//! * A flood is bounded: per second [`Options::per_second`] lines of a matcher are sent, and of all matchers
//!   together five times as many, 14 kB of them where that is 10, but always the first one of each; the rest is
//!   counted and told. A line is matched as far as `LONGEST` and kept as far as `KEPT`.
//! * What may have been missed is told: overwritten kernel records, a journal that went away, a
//!   truncated file, dropped datagrams. A line longer than `LONGEST` is cut and says so.
//! * They never answer, and never write to what they read.
//!
//! The same message may reach several sources (a syslog daemon writes what the kernel says into a
//! file). Each is a fact of its own: that they agree is evidence too, and the trigger's gate opens one
//! incident for all. Only the journal's copies of kernel lines are left to the kernel log.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::watch::{Watcher, WatcherContext};

mod allowance;
mod defaults;
mod elsewhere;
mod files;
mod journal;
mod kernel;
#[cfg(test)]
mod lab;
mod lines;
mod matcher;
mod sieve;
mod syslog;

pub use defaults::defaults;
pub use journal::{JournalEntry, journal_runs, parse_entry};
pub use kernel::{KernelRecord, parse_record};

pub use matcher::Matcher;
pub use sieve::{Counters, Counts};
pub use syslog::{CONNECTIONS, Framing, Transport, parse_header, split_priority};

use files::Files;
use journal::Journal;
use kernel::KernelLog;
use sieve::Sieve;
use syslog::Receiver;

/// A log to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where its lines are.
    pub place: Place,
    /// Which lines count; the first that matches wins.
    pub matchers: Vec<Matcher>,
    /// Lines sent per matcher and second; further ones are counted. Ten show what repeats itself and
    /// what differs, and leave room for the other watchers.
    pub per_second: u32,
}

/// Where lines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The kernel's log, `/dev/kmsg`.
    Kernel,
    /// systemd's journal.
    Journal {
        /// The program that follows it, by name or path.
        journalctl: PathBuf,
    },
    /// Files, by an absolute path that may have wildcards: `/var/log/frr/*.log`.
    Files(String),
    /// Messages that others send to this address.
    Syslog {
        /// How they come.
        transport: Transport,
        /// Where: an address of this host; port 0 lets the kernel choose one.
        address: SocketAddr,
    },
}

impl Place {
    /// The journal, followed by the program that everybody uses.
    pub fn journal() -> Self {
        Self::Journal { journalctl: journal::journalctl() }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Files(pattern) => files::check(pattern).map(|_| ()),
            Self::Kernel | Self::Journal { .. } | Self::Syslog { .. } => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => f.write_str("kernel log"),
            Self::Journal { .. } => f.write_str("journal"),
            Self::Files(pattern) => f.write_str(pattern),
            Self::Syslog { transport: Transport::Udp, address } => {
                write!(f, "syslog udp {address}")
            }
            Self::Syslog { transport: Transport::Tcp, address } => {
                write!(f, "syslog tcp {address}")
            }
        }
    }
}

impl Options {
    /// Watches `place` with the [`defaults()`].
    pub fn new(place: Place) -> Self {
        Self { place, matchers: defaults(), per_second: 10 }
    }

    /// More lines a second than this would push other observations out of the channel.
    const PER_SECOND: std::ops::RangeInclusive<u32> = 1..=1_000;

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no matcher, one of them or the place has no meaning, or
    /// [`Options::per_second`] is not within 1 to 1,000.
    pub fn check(&self) -> Result<()> {
        self.place.check()?;
        if !Self::PER_SECOND.contains(&self.per_second) {
            let given = self.per_second.to_string();
            return Err(Error::usage(
                "log lines per second",
                given,
                "the number of lines has bounds",
                "1 to 1000",
            ));
        }
        matcher::Matchers::compile(&self.matchers).map(|_| ())
    }
}

/// The watcher of one log.
#[derive(Debug)]
pub struct LogWatcher {
    sieve: Sieve,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Kernel(KernelLog),
    Journal(Journal),
    Files(Box<Files>),
    Syslog(Receiver),
}

impl LogWatcher {
    /// Opens the log; what is written from then on is seen, though told only when the watcher runs.
    ///
    /// # Errors
    /// When an option has no meaning, or the system keeps the log from us.
    pub fn open(options: &Options) -> Result<Self> {
        options.check()?;
        let sieve = Sieve::new(options)?;
        let source = match &options.place {
            Place::Kernel => Source::Kernel(KernelLog::open()?),
            Place::Journal { journalctl } => Source::Journal(Journal::open(journalctl)?),
            Place::Files(pattern) => Source::Files(Box::new(Files::open(pattern)?)),
            Place::Syslog { transport, address } => {
                Source::Syslog(Receiver::open(*transport, *address)?)
            }
        };
        Ok(Self { sieve, source })
    }

    /// What it cannot do here, for the log and the manifest; none where all is well.
    pub fn limitation(&self) -> Option<String> {
        match &self.source {
            Source::Files(files) => files.limitation(),
            Source::Kernel(_) | Source::Journal(_) | Source::Syslog(_) => None,
        }
    }

    /// Where it listens, if it does: the port the kernel chose where none was given.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.source {
            Source::Syslog(receiver) => receiver.address(),
            Source::Kernel(_) | Source::Journal(_) | Source::Files(_) => None,
        }
    }

    /// What becomes of its lines, for whoever shows it.
    pub fn counters(&self) -> Counters {
        self.sieve.counters()
    }
}

impl Watcher for LogWatcher {
    const NAME: &'static str = "log";

    fn run(self, context: &mut WatcherContext) -> Result<()> {
        let Self { sieve, source } = self;
        match source {
            Source::Kernel(log) => log.run(context, sieve),
            Source::Journal(journal) => journal.run(context, sieve),
            Source::Files(files) => files.run(context, sieve),
            Source::Syslog(receiver) => receiver.run(context, sieve),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::observation::Fact;
    use crate::observation::log_line::{Header, LogLine, LogSource, Priority};

    #[test]
    fn options_have_bounds() {
        let address = "192.0.2.1:514".parse().unwrap();
        let udp = Place::Syslog { transport: Transport::Udp, address };
        for (place, per_second, good) in [
            (Place::Kernel, 10, true),
            (Place::journal(), 1_000, true),
            (udp.clone(), 1, true),
            (Place::Files("/var/log/*.log".to_owned()), 10, true),
            (Place::Files("messages".to_owned()), 10, false),
            (Place::Kernel, 0, false),
            (Place::Kernel, 1_001, false),
        ] {
            let options = Options { per_second, ..Options::new(place) };
            assert_eq!(options.check().is_ok(), good, "{options:?}");
        }
        assert!(Options { matchers: Vec::new(), ..Options::new(Place::Kernel) }.check().is_err());
        assert_eq!(udp.to_string(), "syslog udp 192.0.2.1:514");
    }

    #[test]
    fn a_fact_names_the_interface_and_reads_back_as_json() {
        let fact = Fact::Log(Box::new(LogLine {
            source: LogSource::File("/var/log/messages".to_owned()),
            matcher: "vrrp-interface-down".to_owned(),
            text: "Kernel is reporting: interface dp0bond0 DOWN".to_owned(),
            fields: BTreeMap::from([("interface".to_owned(), "dp0bond0".to_owned())]),
            header: Header { priority: Some(Priority::Info), ..Header::default() },
            elsewhere: None,
        }));
        assert_eq!((fact.interface(), fact.watcher()), (Some("dp0bond0"), "log"));
        assert_eq!(
            fact.to_string(),
            "/var/log/messages: Kernel is reporting: interface dp0bond0 DOWN (vrrp-interface-down)"
        );
        assert_eq!(
            serde_json::to_string(&fact).unwrap(),
            "{\"fact\":\"log\",\"source\":{\"file\":\"/var/log/messages\"},\
             \"matcher\":\"vrrp-interface-down\",\
             \"text\":\"Kernel is reporting: interface dp0bond0 DOWN\",\
             \"fields\":{\"interface\":\"dp0bond0\"},\"priority\":\"info\"}"
        );
    }
}
