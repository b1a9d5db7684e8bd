//! How long a SYN waits for its answer, against how long it usually does: the way is longer, or queues on it
//! are full, or the host has no time.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::heard::Now;
use super::super::lasting::Lasting;
use super::{in_vlan, named};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::{Mono, Stamp};
use crate::wire::link::Vlans;
use std::net::SocketAddr;

/// Of one service.
#[derive(Debug, Default)]
pub(super) struct RoundTrips {
    /// The last ones: when the SYN was sent, how long it waited.
    lately: VecDeque<(Stamp, Duration)>,
    /// A median as it usually is.
    usual: Duration,
    seen: u32,
    slow: Lasting,
}

impl RoundTrips {
    /// So many make a median that a few slow ones do not move.
    const LATELY: usize = 10;
    /// So many must be known before there is a usual.
    const KNOWN: u32 = 30;
    /// So many times the usual is slow, if it is as much more as a person notices.
    const TIMES: u32 = 5;
    const MORE: Duration = Duration::from_millis(50);
    /// The slow ones must be spread over this time: a burst of connections waits for itself.
    const SPREAD: Duration = Duration::from_secs(1);
    /// A new median moves the usual by this part of the difference.
    const LEARNS: u32 = 8;
    /// Nothing is said of a service that is not asked for so long.
    const OVER: Duration = Duration::from_secs(30);

    /// A SYN and its answer.
    pub(super) fn took(
        &mut self,
        now: &Now<'_>,
        name: (Vlans, SocketAddr),
        (asked, answered): (Stamp, Stamp),
        findings: &mut Vec<Finding>,
    ) {
        self.lately.push_back((asked, answered.mono.since(asked.mono)));
        if self.lately.len() > Self::LATELY {
            self.lately.pop_front();
        }
        self.seen = self.seen.saturating_add(1);
        if self.lately.len() < Self::LATELY {
            return;
        }
        let median = self.median();
        if median < self.usual * (Self::TIMES / 2) || median < self.usual + Self::MORE / 2 {
            let sentence = || format!("connections to {} are answered as fast again", named(name));
            self.slow.end(now.at, sentence, findings);
        }
        if self.slow.is_open() {
            self.slow.more(now.at);
        } else if self.seen <= Self::KNOWN || !self.is_slow(median) {
            self.learn(median);
        } else if self.is_spread() {
            self.slow.begin(self.finding(now, name, median), findings);
        }
    }

    fn is_slow(&self, median: Duration) -> bool {
        median >= self.usual * Self::TIMES && median >= self.usual + Self::MORE
    }

    fn is_spread(&self) -> bool {
        let mut slow = self.lately.iter().filter(|(_, took)| self.is_slow(*took));
        let (first, last) = (slow.next(), slow.next_back());
        let span = first.zip(last).map(|(first, last)| last.0.mono.since(first.0.mono));
        span.is_some_and(|span| span >= Self::SPREAD)
    }

    fn learn(&mut self, median: Duration) {
        self.usual = match self.usual {
            Duration::ZERO => median,
            usual if median > usual => usual + (median - usual) / Self::LEARNS,
            usual => usual - (usual - median) / Self::LEARNS,
        };
    }

    fn median(&self) -> Duration {
        let mut took: Vec<_> = self.lately.iter().map(|(_, took)| *took).collect();
        took.sort_unstable();
        took[took.len() / 2]
    }

    fn finding(&self, now: &Now<'_>, name: (Vlans, SocketAddr), median: Duration) -> Finding {
        let (median, usual) = (median.as_secs_f64() * 1e3, self.usual.as_secs_f64() * 1e3);
        let sentence = format!(
            "connections to {} wait {median:.0} ms for an answer (median of {}), {usual:.1} ms \
             before: the way is slow, or the host",
            named(name),
            Self::LATELY
        );
        let what = format!("TCP SYN → {}", named(name));
        let kind = FindingKind::TcpRoundTrip;
        let finding = in_vlan(now, name.0, kind, Severity::Warning, what, sentence);
        let mut slow = self.lately.iter().filter(|(_, took)| self.is_slow(*took));
        let first = slow.next().map_or(now.at, |(asked, _)| *asked);
        let count = 1 + slow.count() as u64;
        Finding { first, count, ..finding }.about(Party::Host(name.1.ip()))
    }

    pub(super) fn tick(
        &mut self,
        now: &Now<'_>,
        name: (Vlans, SocketAddr),
        findings: &mut Vec<Finding>,
    ) {
        let asked = self.lately.back().map_or(Mono::default(), |(asked, _)| asked.mono);
        if now.at.mono.since(asked) >= Self::OVER {
            let sentence = || format!("{} is not asked any longer", named(name));
            self.slow.end(now.at, sentence, findings);
        }
    }
}
