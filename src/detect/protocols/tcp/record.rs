//! How a service fared lately against how it fares usually: the decision, without frames and clocks.
//!
//! A failure counts only where the like of it usually succeeds. So there are two usuals: of clients that
//! were served before, and of strangers. Whom a firewall turns away fails each time, and says nothing
//! of the service; a stranger at a public service is served as everybody, until the service is gone.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use crate::frame::Direction;
use crate::time::{Mono, Stamp};

/// How a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// A reset answered it.
    Refused,
    /// An ICMP error answered it.
    Unreachable,
    /// Nothing answered it.
    Unanswered,
    /// It was accepted, and the request was not answered.
    Silent,
}

/// One connection that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) how: Failure,
    pub(super) client: IpAddr,
    /// When it began to ask.
    pub(super) first: Stamp,
    /// When it was clear that it failed.
    pub(super) at: Stamp,
    pub(super) direction: Direction,
}

/// A service fails that usually does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trouble {
    /// How most of its connections fail.
    pub(super) how: Failure,
    /// One whose connection failed.
    pub(super) client: IpAddr,
    pub(super) first: Stamp,
    pub(super) direction: Direction,
    /// Connections that failed, of so many.
    pub(super) failed: u64,
    pub(super) of: u64,
    /// Connections that succeeded before, of so many.
    pub(super) before: (u64, u64),
}

impl Trouble {
    /// So many that succeeded before make it certain that something broke.
    const CERTAIN: u64 = 20;

    pub(super) fn is_certain(&self) -> bool {
        self.before.0 >= Self::CERTAIN
    }
}

/// The connections of one service.
#[derive(Debug, Default)]
pub(super) struct ServiceRecord {
    served: VecDeque<IpAddr>,
    /// Of clients that were served before, and of strangers.
    usual: [Usual; 2],
    /// The last ones that count, and those that failed. They are learned when they are no longer among the last.
    lately: VecDeque<Option<Failed>>,
    /// Failures since the last success.
    run: Option<Series>,
    good: u64,
    all: u64,
    good_in_a_row: u64,
}

/// Connections that succeeded and that failed.
#[derive(Debug, Clone, Copy, Default)]
struct Usual {
    good: u32,
    bad: u32,
}

#[derive(Debug, Clone, Copy)]
struct Series {
    first: Failed,
    last: Failed,
    count: u64,
    before: (u64, u64),
}

impl ServiceRecord {
    /// Failures in a row that are trouble: by chance they come once in three million at a share of 5 %.
    const IN_A_ROW: u64 = 5;
    /// Of so many connections within [`ServiceRecord::SOON`] ...
    const LATELY: usize = 10;
    /// ... so many failures are trouble, too: what is left of a group behind a load balancer.
    const MOST: usize = 8;
    const SOON: Duration = Duration::from_secs(3);
    /// A service that is started anew may fail for as long as that.
    const RESTART: Duration = Duration::from_secs(1);
    /// What is unanswered may only be late: no way takes longer than this, not even over satellites twice.
    const LATE: Duration = Duration::from_secs(2);
    /// Successes in a row after which it works again.
    const RECOVERED: u64 = 3;
    /// Clients remembered that were served.
    const SERVED: usize = 64;

    pub(super) fn succeeded(&mut self, client: IpAddr) {
        let class = self.class(client);
        self.usual[class].learn(true);
        self.served.retain(|served| *served != client);
        self.served.push_back(client);
        if self.served.len() > Self::SERVED {
            self.served.pop_front();
        }
        self.run = None;
        self.good_in_a_row += 1;
        self.good += 1;
        self.all += 1;
        self.remember(None);
    }

    /// True if the failure counts.
    pub(super) fn failed(&mut self, failed: Failed) -> bool {
        let class = self.class(failed.client);
        let counts = self.usual[class].is_known_to_succeed();
        if !counts {
            self.usual[class].learn(false);
        } else {
            let before = (self.good, self.all);
            let run =
                self.run.get_or_insert(Series { first: failed, last: failed, count: 0, before });
            if failed.first.mono < run.first.first.mono {
                run.first = failed;
            }
            run.last = failed;
            run.count += 1;
            self.good_in_a_row = 0;
            self.remember(Some(failed));
        }
        self.all += 1;
        counts
    }

    fn remember(&mut self, failed: Option<Failed>) {
        self.lately.push_back(failed);
        if self.lately.len() > Self::LATELY
            && let Some(failed) = self.lately.pop_front().flatten()
        {
            let class = self.class(failed.client);
            self.usual[class].learn(false);
        }
    }

    fn class(&self, client: IpAddr) -> usize {
        usize::from(!self.served.contains(&client))
    }

    /// True if it never succeeded.
    pub(super) fn is_new(&self) -> bool {
        self.good == 0
    }

    /// It works again after a trouble.
    pub(super) fn is_recovered(&self) -> bool {
        self.good_in_a_row >= Self::RECOVERED
    }

    /// What was usual stays so: the last failures were told.
    pub(super) fn told(&mut self) {
        self.lately.clear();
    }

    /// The trouble that the last failures make.
    pub(super) fn trouble(&self, now: Mono) -> Option<Trouble> {
        let run = self.run?;
        // What is unanswered still waits; what was refused says nothing of the time after.
        let (least, until) = match run.last.how {
            Failure::Unanswered => (Self::LATE, now),
            _ => (Self::RESTART, run.last.at.mono),
        };
        let lasted = |first: Failed| until.since(first.first.mono);
        let trouble = |first: Failed, failed, of, before| Trouble {
            how: self.how().unwrap_or(run.last.how),
            client: run.last.client,
            first: first.first,
            direction: first.direction,
            failed,
            of,
            before,
        };
        if run.count >= Self::IN_A_ROW && lasted(run.first) >= least {
            return Some(trouble(run.first, run.count, run.count, run.before));
        }
        let failures = self.lately.iter().copied().flatten();
        let first = failures.clone().min_by_key(|failed| failed.first.mono)?;
        let failed = failures.count();
        let soon = lasted(first) <= Self::SOON;
        let many = self.lately.len() == Self::LATELY && failed >= Self::MOST;
        let (failed, of) = (failed as u64, Self::LATELY as u64);
        let before = (self.good.saturating_sub(of - failed), self.all.saturating_sub(of));
        (many && soon && lasted(first) >= least).then(|| trouble(first, failed, of, before))
    }

    /// How most of the last connections failed.
    fn how(&self) -> Option<Failure> {
        let all = self.lately.iter().flatten().map(|failed| failed.how);
        all.clone().max_by_key(|how| all.clone().filter(|other| other == how).count())
    }
}

impl Usual {
    /// Successes from which on there is a usual.
    const LEAST: u32 = 5;
    /// It is one if of so many at most one fails.
    const SHARE: u32 = 20;
    /// Older connections count half after so many.
    const WINDOW: u32 = 1_000;

    fn learn(&mut self, good: bool) {
        let count = if good { &mut self.good } else { &mut self.bad };
        *count += 1;
        if self.good + self.bad > Self::WINDOW {
            (self.good, self.bad) = (self.good / 2, self.bad / 2);
        }
    }

    fn is_known_to_succeed(&self) -> bool {
        self.good >= Self::LEAST && self.bad * Self::SHARE <= self.good + self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    fn at(ms: u64) -> Stamp {
        Stamp { mono: Mono(ms * 1_000_000), wall: Wall(ms * 1_000_000) }
    }

    fn client(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn failed(how: Failure, from: u8, first: u64, ms: u64) -> Failed {
        let (first, at) = (at(first), at(ms));
        Failed { how, client: client(from), first, at, direction: Direction::Unknown }
    }

    /// Successes of one client, then failures: ms, of whom, how. The trouble's first ms and failures.
    fn story(good: u64, failures: &[(u64, u8, Failure)]) -> Option<(u64, u64)> {
        let mut record = ServiceRecord::default();
        for _ in 0..good {
            record.succeeded(client(1));
        }
        let mut told = None;
        for (ms, from, how) in failures {
            // Unanswered after a second.
            let first = if *how == Failure::Unanswered { ms - 1_000 } else { *ms };
            record.failed(failed(*how, *from, first, *ms));
            told = told.or(record.trouble(at(*ms).mono));
        }
        told.map(|trouble| (trouble.first.mono.0 / 1_000_000, trouble.failed))
    }

    #[test]
    fn a_service_fails_when_what_usually_succeeds_fails_in_a_row() {
        use Failure::{Refused, Unanswered};
        let row = |from, how, apart: u64| -> Vec<_> {
            (0..20).map(|n| (5_000 + n * apart, from, how)).collect()
        };
        for (name, good, failures, expected) in [
            ("refused", 20, row(1, Refused, 300), Some((5_000, 5))),
            ("refused, by few before", 6, row(1, Refused, 300), Some((5_000, 5))),
            ("unanswered", 20, row(1, Unanswered, 300), Some((4_000, 5))),
            ("unanswered, faster", 20, row(1, Unanswered, 100), Some((4_000, 11))),
            ("never served", 0, row(1, Refused, 300), None),
            ("somebody else, who never was", 20, row(2, Refused, 300), None),
            ("a restart", 20, row(1, Refused, 40), None),
        ] {
            assert_eq!(story(good, &failures), expected, "{name}");
        }
    }

    #[test]
    fn a_success_ends_the_row_and_failures_among_successes_become_usual() {
        let mut record = ServiceRecord::default();
        for _ in 0..20 {
            record.succeeded(client(1));
        }
        for n in 0..4 {
            assert!(record.failed(failed(Failure::Refused, 1, 5_000 + n, 5_000 + n)));
        }
        record.succeeded(client(1));
        assert!(record.failed(failed(Failure::Refused, 1, 6_000, 6_000)));
        for _ in 0..14 {
            record.succeeded(client(1));
        }
        assert!(!record.failed(failed(Failure::Refused, 1, 7_000, 7_000)), "5 of 39 failed before");
        assert_eq!(record.trouble(at(7_000).mono), None);
    }

    #[test]
    fn one_of_a_group_that_is_left_hides_nothing() {
        let mut record = ServiceRecord::default();
        for _ in 0..40 {
            record.succeeded(client(1));
        }
        let mut told = None;
        for n in 0..20 {
            let ms = 5_000 + n * 200;
            if n % 5 == 4 {
                record.succeeded(client(1));
            } else {
                record.failed(failed(Failure::Refused, 1, ms, ms));
                told = told.or(record.trouble(at(ms).mono));
            }
        }
        let told = told.unwrap();
        assert_eq!((told.failed, told.of, told.first), (8, 10, at(5_000)));
    }

    #[test]
    fn strangers_count_where_strangers_are_served() {
        let mut record = ServiceRecord::default();
        for n in 0..200_u8 {
            record.succeeded(client(n));
        }
        for n in 0..8 {
            record.failed(failed(Failure::Refused, 201 + n, 5_000 + u64::from(n) * 200, 6_400));
        }
        assert!(record.trouble(at(6_400).mono).unwrap().is_certain());
    }
}
