//! What every source has in common: lines go in, those that match and are not too many become facts.
//!
//! Every line is counted under exactly one name of [`Counts`] beside `read`. The text of our own log
//! is passed over: dashcap logs what it observed, and where that log is a log it follows, a line would
//! call itself forth forever. Whose line it is, only its beginning tells, where a syslog daemon of this host
//! writes it: a word further on may be anybody's, and nobody may hide a line from us.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::os::fd::BorrowedFd;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::Options;
use super::allowance::{Allowance, Most};
use super::elsewhere::{self, Here};
use super::matcher::Matchers;
use crate::error::Result;
use crate::observation::Fact;
use crate::observation::log_line::{Header, KEPT, LogLine, LogSource};
use crate::time::{Mono, Stamp};
use crate::watch::{Wake, WatcherContext};

/// How many lines a source had, and what became of them. Cloning gives a second hand on the same
/// counters.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    read: AtomicU64,
    unmatched: AtomicU64,
    sent: AtomicU64,
    held: AtomicU64,
    own: AtomicU64,
    cut: AtomicU64,
    unreadable: AtomicU64,
}

/// The counters at one moment: `read = unmatched + sent + held + own + unreadable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Lines read.
    pub read: u64,
    /// Lines that matched nothing.
    pub unmatched: u64,
    /// Lines that became a fact.
    pub sent: u64,
    /// Lines that matched and were only counted, because there were too many.
    pub held: u64,
    /// Lines that dashcap itself had written.
    pub own: u64,
    /// Lines longer than [`LONGEST`](crate::observation::log_line::LONGEST), also counted under what became of them.
    pub cut: u64,
    /// Records that are not as their source promises.
    pub unreadable: u64,
}

impl Counters {
    /// Now.
    pub fn read(&self) -> Counts {
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let Cells { read, unmatched, sent, held, own, cut, unreadable } = &*self.0;
        Counts {
            read: load(read),
            unmatched: load(unmatched),
            sent: load(sent),
            held: load(held),
            own: load(own),
            cut: load(cut),
            unreadable: load(unreadable),
        }
    }
}

fn count(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::Relaxed);
}

/// All matchers of a source together may send in a second what so many of them may, beside the first line of
/// each: enough to show a failure of many interfaces.
const AT_ONCE: u32 = 5;
/// Bytes that all matchers of a source together may send in a second, for each line that one may: a line as
/// it is kept and a third. By default that is 14 kB a second, 8 MB in ten minutes.
const BYTES: usize = 1_400;

/// The lines of one source on their way to the context.
#[derive(Debug)]
pub(super) struct Sieve {
    /// The source as the operator knows it, for what is told.
    name: String,
    matchers: Matchers,
    allowances: Vec<Allowance>,
    /// Of all matchers together.
    source: Allowance,
    /// And how much that is.
    most: Most,
    per_second: u32,
    counters: Counters,
    /// How a syslog daemon marks our lines.
    own: String,
    /// How it marks those of this machine's kernel.
    kernel: String,
    /// Times that listeners' queues were full until the last line of that.
    queues_full: Option<u64>,
    /// Troubles of this second, and the last one that was not told.
    troubles: Allowance,
    trouble: String,
}

/// What a source hands over: a line without its end, and whether it is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) cut: bool,
    /// True if this host's syslog daemon may have written it, with the name of its program in front.
    pub(super) is_local: bool,
}

impl Sieve {
    pub(super) fn new(options: &Options) -> Result<Self> {
        let matchers = Matchers::compile(&options.matchers)?;
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Ok(Self {
            name: options.place.to_string(),
            allowances: vec![Allowance::default(); matchers.len()],
            source: Allowance::default(),
            most: Most {
                lines: options.per_second * AT_ONCE,
                bytes: options.per_second as usize * BYTES,
            },
            matchers,
            per_second: options.per_second,
            counters: Counters::default(),
            own: format!("{}[{}]", env!("CARGO_PKG_NAME"), process::id()),
            kernel: format!(" {} kernel: ", host.trim()),
            queues_full: elsewhere::queues_full(),
            troubles: Allowance::default(),
            trouble: String::new(),
        })
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// A line, read at `at`; what it says of itself is asked for only if it matches.
    pub(super) fn line(
        &mut self,
        context: &mut WatcherContext,
        at: Stamp,
        line: Line<'_>,
        about: impl FnOnce() -> (LogSource, Header),
    ) {
        let Line { text, cut, is_local } = line;
        count(&self.counters.0.read);
        if cut {
            count(&self.counters.0.cut);
        }
        if is_local && text.contains(&self.own) && program(text) == Some(&self.own) {
            return count(&self.counters.0.own);
        }
        let Some(found) = self.matchers.find(text) else {
            return count(&self.counters.0.unmatched);
        };
        self.tell_held(context, at.mono);
        if !self.admits(at.mono, found.index, text.len().min(KEPT)) {
            return count(&self.counters.0.held);
        }
        count(&self.counters.0.sent);
        let (source, header) = about();
        let header = Header { cut: cut || text.len() > KEPT, ..header }.bounded();
        let is_ours = self.is_of_this_kernel(&source, text);
        let elsewhere = is_ours.then(|| self.elsewhere(&found.name, &found.fields)).flatten();
        let kept = &text[..text.floor_char_boundary(KEPT)];
        let (matcher, text) = (found.name.to_string(), kept.to_owned());
        let line = LogLine { source, matcher, text, fields: found.fields, header, elsewhere };
        context.send_at(at, Fact::Log(Box::new(line)));
    }

    /// Whether a line of this matcher is sent. The first one of each always is, so that a flood of others does
    /// not hide it.
    fn admits(&mut self, now: Mono, index: usize, length: usize) -> bool {
        let Some(allowance) = self.allowances.get_mut(index) else { return false };
        if !allowance.is_fresh() && !self.source.admits(now, self.most, length) {
            return false;
        }
        allowance.admits(now, Most::lines(self.per_second), length)
    }

    /// Why a line of the kernel is not about this namespace.
    fn elsewhere(&mut self, matcher: &str, fields: &BTreeMap<String, String>) -> Option<String> {
        let here = Here::read(self.queues_full);
        if matcher == elsewhere::FLOOD {
            self.queues_full = elsewhere::queues_full();
        }
        here.elsewhere(matcher, fields)
    }

    /// True if this machine's kernel wrote it: what a syslog daemon copied into a file stands behind the name
    /// of the host.
    fn is_of_this_kernel(&self, source: &LogSource, text: &str) -> bool {
        match source {
            LogSource::Kernel => true,
            LogSource::File(_) => text.contains(&self.kernel),
            LogSource::Journal | LogSource::Syslog(_) => false,
        }
    }

    /// A line that the source knows to be dashcap's.
    pub(super) fn own(&mut self) {
        count(&self.counters.0.read);
        count(&self.counters.0.own);
    }

    /// A record that is not as its source promises.
    pub(super) fn unreadable(&mut self, context: &mut WatcherContext, why: impl Display) {
        count(&self.counters.0.read);
        count(&self.counters.0.unreadable);
        self.trouble(context, format_args!("a record could not be read: {why}"));
    }

    /// Says that something was missed. Of many troubles in a second, the first is told, the last one,
    /// and how many there were.
    pub(super) fn trouble(&mut self, context: &mut WatcherContext, what: impl Display) {
        let now = context.now().mono;
        self.tell_held(context, now);
        if self.troubles.admits(now, Most::lines(1), 0) {
            self.report_missed(context, what);
        } else {
            self.trouble = what.to_string();
        }
    }

    /// [`WatcherContext::wait`], and what was held is told when it is time; [`Wake::Due`] is for `until` only.
    pub(super) fn wait(
        &mut self,
        context: &mut WatcherContext,
        fds: &[BorrowedFd<'_>],
        until: Option<Mono>,
    ) -> Result<Wake> {
        loop {
            let held = self.spans().filter_map(Allowance::due).min();
            let wake = context.wait(fds, until.into_iter().chain(held).min())?;
            if wake == Wake::Stop {
                self.finish(context);
                return Ok(wake);
            }
            let now = context.now().mono;
            self.tell_held(context, now);
            if wake == Wake::Ready || until.is_some_and(|until| until <= now) {
                return Ok(wake);
            }
        }
    }

    fn report_missed(&self, context: &mut WatcherContext, what: impl Display) {
        context.report_missed(format!("{}: {what}", self.name));
    }

    fn spans(&self) -> impl Iterator<Item = &Allowance> {
        self.allowances.iter().chain([&self.source, &self.troubles])
    }

    fn tell_held(&mut self, context: &mut WatcherContext, now: Mono) {
        self.tell(context, |span| span.over(now));
    }

    fn finish(&mut self, context: &mut WatcherContext) {
        self.tell(context, Allowance::finish);
    }

    fn tell(&mut self, context: &mut WatcherContext, ended: impl Fn(&mut Allowance) -> u64) {
        for index in 0..self.allowances.len() {
            let held = self.allowances.get_mut(index).map_or(0, &ended);
            if held > 0 {
                let matcher = self.matchers.name(index);
                self.report_missed(
                    context,
                    format_args!("{held} more lines within a second matched {matcher}: not kept"),
                );
            }
        }
        let held = ended(&mut self.source);
        if held > 0 {
            let what = format_args!("{held} more lines within a second, of all matchers: not kept");
            self.report_missed(context, what);
        }
        let troubles = ended(&mut self.troubles);
        if troubles > 0 {
            let last = std::mem::take(&mut self.trouble);
            self.report_missed(
                context,
                format_args!("{troubles} more troubles within a second, the last one: {last}"),
            );
        }
    }
}

/// The word that names the program, where a syslog daemon has put it: first, or behind host and stamp, which
/// has one word (RFC 3339) or three (RFC 3164 §4.1.2).
fn program(text: &str) -> Option<&str> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let first = text.split_whitespace().next()?;
    let is_modern = first.as_bytes().get(4) == Some(&b'-') && first.contains('T');
    let before = match first {
        _ if is_modern => 2,
        month if MONTHS.contains(&month) => 4,
        _ => 0,
    };
    text.split_whitespace().nth(before).map(|word| word.trim_end_matches(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_line_stands_at_its_beginning() {
        for (text, expected) in [
            ("dashcap[12]: eth0 is down", Some("dashcap[12]")),
            ("Nov  2 14:14:20 router dashcap[12]: eth0 is down", Some("dashcap[12]")),
            ("2026-11-22T14:14:20.811Z router dashcap[12]: eth0", Some("dashcap[12]")),
            ("Netlink reports eth9 down dashcap[12]", Some("Netlink")),
            ("Nov 22 14:14:20 router sshd[1]: no user dashcap[12]: bad", Some("sshd[1]")),
            ("2026-11-22T14:14:20Z router sshd[1]: dashcap[12]: x", Some("sshd[1]")),
            ("2026/11/22 14:14:20 BGP: peer dashcap[12] down", Some("2026/11/22")),
            ("", None),
        ] {
            assert_eq!(program(text), expected, "{text}");
        }
    }
}
