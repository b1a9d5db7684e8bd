//! The kernel's log, record by record (`/dev/kmsg`, Documentation/ABI/testing/dev-kmsg):
//!
//! ```text
//!   6,339,5140900,-;bond0: (slave eth0): link status definitely down, disabling slave
//!   │ │   │       │  DEVICE=+net:bond0           ← dictionary lines, begin with a blank
//!   │ │   │       └ flags
//!   │ │   └ microseconds since boot, on the scheduler's clock
//!   │ └ sequence: a gap is records that were overwritten before we read them
//!   └ 8 × facility + severity
//! ```
//!
//! Programs may write to it, too; their lines count like the kernel's. A message without a line feed
//! at its end can still be continued, so it is shown to readers only when the next one comes
//! (`vprintk_store()`, kernel/printk/printk.c): such a line is late, and one that was waiting when the
//! log was opened is told as if it were news. Readers are woken at the next timer interrupt only
//! (`wake_up_klogd()`, the same file): up to 4 ms late at 250 Hz.

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::AsFd;

use super::sieve::{Line, Sieve};
use crate::error::{Error, Result};
use crate::observation::log_line::{Header, LONGEST, LogSource, Priority};
use crate::sys::kernel_log;
use crate::time::Stamp;
use crate::watch::{Wake, WatcherContext};

/// The longest record (`CONSOLE_EXT_LOG_MAX`, linux/printk.h, and `PRINTK_MESSAGE_MAX` since 6.4). A
/// shorter buffer makes the kernel answer EINVAL.
const RECORD: usize = LONGEST;
/// Records read before others are heard, so that a flood never keeps us from stopping.
const BATCH: usize = 1_000;

/// One record of the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRecord<'a> {
    /// 8 × facility + severity.
    pub number: u64,
    /// One more than that of the record before.
    pub sequence: u64,
    /// Microseconds since boot, as spelled.
    pub micros: &'a str,
    /// The message, with bytes that cannot be printed as `\xNN`.
    pub text: &'a str,
}

/// Understands one record; none if it is not as the kernel writes them. Fields that later kernels may
/// add before the semicolon are passed over.
pub fn parse_record(record: &str) -> Option<KernelRecord<'_>> {
    let (prefix, rest) = record.split_once(';')?;
    let mut fields = prefix.split(',');
    let number = fields.next()?.parse().ok()?;
    let sequence = fields.next()?.parse().ok()?;
    let micros = fields.next().filter(|field| field.parse::<u64>().is_ok())?;
    let text = rest.split('\n').next().unwrap_or(rest);
    Some(KernelRecord { number, sequence, micros, text })
}

/// The log, open behind its last record.
#[derive(Debug)]
pub(super) struct KernelLog {
    log: kernel_log::Reader,
    /// The next record's sequence; none before the first.
    next: Option<u64>,
    /// The kernel said that records were overwritten, and not yet which.
    overtaken: bool,
}

impl KernelLog {
    pub(super) fn open() -> Result<Self> {
        let open = || -> io::Result<kernel_log::Reader> {
            let mut log = kernel_log::open()?;
            log.seek(SeekFrom::End(0))?;
            Ok(log)
        };
        let log = open().map_err(|reason| {
            Error::operation("read", "the kernel's log, /dev/kmsg", reason).hint(
                "needs CAP_SYSLOG: run as root, or set kernel.dmesg_restrict to 0 and let this \
                 user read the device",
            )
        })?;
        Ok(Self { log, next: None, overtaken: false })
    }

    pub(super) fn run(mut self, context: &mut WatcherContext, mut sieve: Sieve) -> Result<()> {
        while sieve.wait(context, &[self.log.as_fd()], None)? != Wake::Stop {
            for _ in 0..BATCH {
                if !self.read(context, &mut sieve)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads one record; false when there is none.
    fn read(&mut self, context: &mut WatcherContext, sieve: &mut Sieve) -> Result<bool> {
        let mut record = [0; RECORD];
        let length = match self.log.read(&mut record) {
            Ok(0) => return Ok(false),
            Ok(length) => length,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(true),
            // EPIPE: the next read goes on at the oldest record there is.
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                self.overtaken = true;
                return Ok(true);
            }
            Err(e) => return Err(Error::operation("read", "the kernel's log, /dev/kmsg", e)),
        };
        let at = context.now();
        let record = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
        match parse_record(&record) {
            Some(record) => self.take(context, sieve, at, &record),
            None => sieve.unreadable(context, format_args!("{record:?}")),
        }
        Ok(true)
    }

    fn take(
        &mut self,
        context: &mut WatcherContext,
        sieve: &mut Sieve,
        at: Stamp,
        record: &KernelRecord<'_>,
    ) {
        match gap(self.next, record.sequence, std::mem::take(&mut self.overtaken)) {
            Gap::None => {}
            Gap::Some(count) => {
                sieve.trouble(context, format_args!("{count} records were overwritten unread"));
            }
            Gap::Unknown => sieve.trouble(context, "some records were overwritten unread"),
        }
        self.next = record.sequence.checked_add(1);
        let line = Line { text: record.text, cut: false, is_local: false };
        sieve.line(context, at, line, || {
            let header = Header {
                priority: Some(Priority::of(record.number)),
                stamp: Some(record.micros.to_owned()),
                ..Header::default()
            };
            (LogSource::Kernel, header)
        });
    }
}

/// What is missing before a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    Some(u64),
    Unknown,
}

fn gap(next: Option<u64>, sequence: u64, overtaken: bool) -> Gap {
    match next {
        Some(next) if sequence > next => Gap::Some(sequence - next),
        None if overtaken => Gap::Unknown,
        _ => Gap::None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::sync::atomic::{AtomicU32, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::lab::skip;
    use crate::time::Clock;
    use crate::watch::logs::lab::{Watching, show};
    use crate::watch::logs::{Matcher, Options, Place};

    #[test]
    fn records_are_read_as_the_kernel_writes_them() {
        let record =
            |number, sequence, micros, text| Some(KernelRecord { number, sequence, micros, text });
        for (text, expected) in [
            ("6,339,5140900,-;NET: Registered\n", record(6, 339, "5140900", "NET: Registered")),
            ("30,340,5690716,c,new=1;a;b\n DEVICE=+net:eth0\n", record(30, 340, "5690716", "a;b")),
            ("6,1,2,-;", record(6, 1, "2", "")),
            ("6,1,x,-;text", None),
            ("6,1;text", None),
            ("no semicolon", None),
            ("", None),
        ] {
            assert_eq!(parse_record(text), expected, "{text:?}");
        }
    }

    #[test]
    fn gaps_are_counted_from_the_first_record_on() {
        for (next, sequence, overtaken, expected) in [
            (None, 7, false, Gap::None),
            (None, 7, true, Gap::Unknown),
            (Some(7), 7, false, Gap::None),
            (Some(7), 10, true, Gap::Some(3)),
            (Some(7), 10, false, Gap::Some(3)),
            (Some(7), 2, false, Gap::None),
        ] {
            assert_eq!(gap(next, sequence, overtaken), expected, "{next:?} {sequence}");
        }
    }

    proptest! {
        #[test]
        fn no_record_makes_it_panic(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            parse_record(&String::from_utf8_lossy(&noise));
        }
    }

    #[test]
    fn what_is_written_to_the_kernel_log_is_seen_and_its_history_is_not() {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("dashcap test {}-{count}", std::process::id());
        let open = || fs::OpenOptions::new().write(true).open("/dev/kmsg");
        if open().is_err() {
            return skip("cannot write to /dev/kmsg, which needs root");
        }
        // Each opening may write ten lines in five seconds (devkmsg_write(), kernel/printk/printk.c).
        let write = |text: &str| {
            open().unwrap().write_all(format!("<30>{mark} {text}\n").as_bytes()).unwrap();
        };
        write("is history");
        let matchers = vec![Matcher::new("test", format!("{mark} (?<what>.*)"))];
        let options = Options { matchers, per_second: 1_000, ..Options::new(Place::Kernel) };
        let (watcher, clock) = (Watching::of(&options), Clock::system());
        write("is news");
        let (_, line) = watcher.line();
        assert_eq!((line.fields["what"].as_str(), &line.source), ("is news", &LogSource::Kernel));
        assert_eq!(line.header.priority, Some(Priority::Info));
        let mut latencies = Vec::new();
        for number in 0..20 {
            let written = clock.now();
            write(&number.to_string());
            latencies.push(watcher.line().0.mono.since(written.mono));
        }
        show("kernel log: from before the write to the stamp", latencies);
        assert_eq!(watcher.counters.read().sent, 21);
        assert_eq!(watcher.stop(), [""; 0]);
    }
}
