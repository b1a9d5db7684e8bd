//! What is followed under one name: the file that has it, and for a while the one that had it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::sieve::{Line, Sieve};
use super::tail::{BACKLOG, BUDGET, Identity, Tail};
use crate::observation::log_line::{Header, LogSource};
use crate::time::Mono;
use crate::watch::WatcherContext;

/// How long a file that lost its name is read on: rsyslog and others write to it until they are told.
const GRACE: Duration = Duration::from_secs(10);
/// Readings that bring a file to its end, whatever it had.
const READS: u64 = BACKLOG / BUDGET as u64 + 1;

/// What is followed under one name.
#[derive(Debug, Default)]
pub(super) struct Followed {
    pub(super) tail: Option<Tail>,
    /// The file that had the name before, and until when it is read.
    leaving: Option<(Tail, Mono)>,
    /// Where its target lies, if it is a symbolic link.
    pub(super) real: Option<PathBuf>,
    /// It was there at the start, and not opened yet.
    pub(super) from_end: bool,
    /// Since that was last told, it could not be opened.
    pub(super) trouble: bool,
}

/// What must be done besides.
#[derive(Debug, Default)]
pub(super) struct FollowUp {
    pub(super) more: bool,
    pub(super) troubles: Vec<String>,
}

impl Followed {
    /// Something is read under this name.
    pub(super) fn is_open(&self) -> bool {
        self.tail.is_some() || self.leaving.is_some()
    }

    /// If another file has the name now, or none, the one that had it is read on for a while. One that
    /// is still leaving had its time: it is read to its end.
    pub(super) fn let_go_if_replaced(
        &mut self,
        name: &Path,
        now: Mono,
        context: &mut WatcherContext,
        sieve: &mut Sieve,
        outcome: &mut FollowUp,
    ) {
        let identity = fs::metadata(name).ok().map(|about| Identity::of(&about));
        if self.tail.as_ref().is_none_or(|tail| Some(tail.identity()) == identity) {
            return;
        }
        let leaves = self.tail.take().map(|tail| (tail, now.plus(GRACE)));
        if let Some((mut tail, _)) = std::mem::replace(&mut self.leaving, leaves) {
            // As often as the longest backlog needs, however fast it is written to.
            let _ = (0..READS).find(|_| !read(&mut tail, name, context, sieve, outcome));
            tail.finish(|line, cut| take(context, sieve, name, line, cut));
        }
    }

    /// The file that is leaving, if it is the one that has the name again.
    pub(super) fn come_back(&mut self, identity: Identity) -> Option<Tail> {
        self.leaving.take_if(|(tail, _)| tail.identity() == identity).map(|(tail, _)| tail)
    }

    /// Reads what was added to the file that is leaving, and lets it go when it is time.
    pub(super) fn read_leaving(
        &mut self,
        name: &Path,
        now: Mono,
        context: &mut WatcherContext,
        sieve: &mut Sieve,
        outcome: &mut FollowUp,
    ) {
        let Some((tail, until)) = &mut self.leaving else { return };
        let more = read(tail, name, context, sieve, outcome);
        if !more && *until <= now {
            tail.finish(|line, cut| take(context, sieve, name, line, cut));
            self.leaving = None;
        }
    }

    /// Reads what was added to the file that has the name.
    pub(super) fn read_tail(
        &mut self,
        name: &Path,
        context: &mut WatcherContext,
        sieve: &mut Sieve,
        outcome: &mut FollowUp,
    ) {
        if let Some(tail) = &mut self.tail {
            read(tail, name, context, sieve, outcome);
        }
    }
}

/// True if there is more to read at once.
fn read(
    tail: &mut Tail,
    name: &Path,
    context: &mut WatcherContext,
    sieve: &mut Sieve,
    outcome: &mut FollowUp,
) -> bool {
    match tail.read(|line, cut| take(context, sieve, name, line, cut)) {
        Ok(reading) => {
            let name = name.display();
            if reading.truncated {
                let what =
                    format!("{name} was truncated: what was written just before may be missing");
                outcome.troubles.push(what);
            }
            if reading.skipped > 0 {
                outcome.troubles.push(format!("{name}: {} bytes passed over", reading.skipped));
            }
            outcome.more |= reading.more;
            reading.more
        }
        Err(reason) => {
            outcome.troubles.push(format!("{}: {reason}", name.display()));
            false
        }
    }
}

fn take(context: &mut WatcherContext, sieve: &mut Sieve, name: &Path, line: &[u8], cut: bool) {
    let at = context.now();
    let text = String::from_utf8_lossy(line);
    sieve.line(context, at, Line { text: &text, cut, is_local: true }, || {
        (LogSource::File(name.display().to_string()), Header::default())
    });
}
