//! The hourly budget: so many incidents, and so many bytes of them, that nobody asked for.
//!
//! The gate makes the same trigger wait; whoever can pull many different ones, by frames or by lines in a
//! log, would still open one incident after the other and fill the disk with what pushes the first, true one
//! out. Asked for by a person or his program, an incident neither waits nor counts. Pure: told the time.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::time::Mono;
use crate::words::size;

/// What it is counted over.
const HOUR: Duration = Duration::from_secs(3600);

/// How much an hour may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Incidents opened.
    pub count: u64,
    /// Bytes of bundles written; none = any number.
    pub bytes: Option<u64>,
}

impl Default for Options {
    /// One a minute: a night of flapping links, each with its cool-down, stays far below.
    fn default() -> Self {
        Self { count: 60, bytes: None }
    }
}

impl Options {
    /// Incidents remembered: more an hour than that cannot be counted.
    const MOST: u64 = 10_000;

    /// Refuses what would open nothing, or could not be counted.
    ///
    /// # Errors
    /// [`Error::Usage`] for zero, or far too many.
    pub fn check(&self) -> Result<()> {
        const ZERO: &str = "the limit is more than 0, with which no incident could open";
        let refused = |key, given: u64, why, accepted| {
            Err(Error::usage(key, given.to_string(), why, accepted))
        };
        match (self.count, self.bytes) {
            (0, _) => refused("--hourly-count", 0, ZERO, "1 or more, such as 60"),
            (_, Some(0)) => refused("--hourly-bytes", 0, ZERO, "a size such as 5GiB"),
            (count, _) if count > Self::MOST => refused(
                "--hourly-count",
                count,
                "an hour counts 10000 incidents at most",
                "10000 or less, such as 60",
            ),
            _ => Ok(()),
        }
    }
}

/// What the last hour brought.
#[derive(Debug)]
pub struct Budget {
    options: Options,
    opened: VecDeque<Mono>,
    written: VecDeque<(Mono, u64)>,
}

/// Why no incident opens now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// So many were opened.
    Count(u64),
    /// So many bytes were written.
    Bytes(u64),
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count} incidents within an hour (hourly_count)"),
            Self::Bytes(bytes) => {
                let size = size(*bytes);
                write!(f, "{size} of bundles within an hour (hourly_bytes)")
            }
        }
    }
}

impl Budget {
    /// Nothing spent yet.
    pub fn new(options: Options) -> Self {
        Self { options, opened: VecDeque::new(), written: VecDeque::new() }
    }

    /// Why no incident may open at `now`; none if one may.
    pub fn spent(&mut self, now: Mono) -> Option<Spent> {
        let is_over = |at: Mono| now.since(at) >= HOUR;
        while self.opened.front().is_some_and(|at| is_over(*at)) {
            self.opened.pop_front();
        }
        while self.written.front().is_some_and(|(at, _)| is_over(*at)) {
            self.written.pop_front();
        }
        let Options { count, bytes } = self.options;
        if self.opened.len() as u64 >= count {
            return Some(Spent::Count(count));
        }
        let written = self.written.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add);
        bytes.filter(|bytes| written >= *bytes).map(Spent::Bytes)
    }

    /// An incident was opened that nobody asked for.
    pub fn opened(&mut self, now: Mono) {
        self.opened.push_back(now);
    }

    /// A bundle of such an incident was written. There are not more of them than were opened.
    pub fn written(&mut self, now: Mono, bytes: u64) {
        self.written.push_back((now, bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Mono {
        Mono(second * 1_000_000_000)
    }

    #[test]
    fn an_hour_brings_so_many_and_then_waits() {
        let mut budget = Budget::new(Options { count: 3, bytes: Some(100) });
        for second in [0, 600, 1_200] {
            assert_eq!(budget.spent(at(second)), None);
            budget.opened(at(second));
        }
        assert_eq!(budget.spent(at(3_599)), Some(Spent::Count(3)));
        assert_eq!(budget.spent(at(3_600)), None, "the first is an hour ago");
        budget.written(at(3_600), 60);
        assert_eq!(budget.spent(at(3_601)), None);
        budget.written(at(3_602), 40);
        let spent = budget.spent(at(3_603)).unwrap();
        assert_eq!(spent.to_string(), "100 B of bundles within an hour (hourly_bytes)");
        assert_eq!(budget.spent(at(7_200)), None, "what was written first is an hour ago, too");
    }

    #[test]
    fn a_budget_that_opens_nothing_is_refused() {
        let options = Options::default();
        options.check().unwrap();
        for (options, named) in [
            (Options { count: 0, ..options }, "--hourly-count"),
            (Options { count: 10_001, ..options }, "10000 or less"),
            (Options { bytes: Some(0), ..options }, "--hourly-bytes"),
        ] {
            let refused = options.check().unwrap_err().to_string();
            assert!(refused.contains(named), "{refused}");
        }
    }
}
