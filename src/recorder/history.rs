//! The observations of the pre-trigger window: bounded in time and in number, like the ring.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Window;
use crate::watch::{Fact, Observation};

/// The newest observations, in order of arrival.
#[derive(Debug)]
pub(super) struct History {
    span: Duration,
    seen: VecDeque<Observation>,
    forgotten: u64,
}

impl History {
    /// A table of ten interfaces every second and a flood of link changes for an hour: 100 MB at most,
    /// usually a few hundred kB.
    const MAX: usize = 200_000;

    /// Keeps what is not older than `span`.
    pub(super) fn new(span: Duration) -> Self {
        Self { span, seen: VecDeque::new(), forgotten: 0 }
    }

    /// Adds what was just seen and forgets what is too old for any window.
    ///
    /// Of what is forgotten, the last state of each interface and probe is still needed for the first
    /// row of the timeline; a sample every interval and probes every second renew it well within a span.
    pub(super) fn add(&mut self, seen: Observation) {
        let oldest = seen.at.mono.minus(self.span);
        while self.seen.front().is_some_and(|old| old.at.mono < oldest) {
            self.seen.pop_front();
        }
        if self.seen.len() >= Self::MAX {
            self.seen.pop_front();
            self.forgotten += 1;
        }
        self.seen.push_back(seen);
    }

    /// Observations that had to be forgotten before their time.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// What was seen in the window, sorted by time, and before it the last known state of each
    /// interface and probe.
    pub(super) fn cut(&self, window: Window) -> Vec<Observation> {
        let mut before: Vec<&Observation> = Vec::new();
        for old in self.seen.iter().rev().filter(|old| old.at.mono < window.from) {
            if let Some(of) = state_of(&old.fact)
                && !before.iter().any(|newer| state_of(&newer.fact) == Some(of))
            {
                before.push(old);
            }
        }
        let inside = self.seen.iter().filter(|seen| window.contains(seen.at.mono));
        let mut cut: Vec<_> = before.into_iter().rev().chain(inside).cloned().collect();
        cut.sort_by_key(|seen| seen.at.mono);
        cut
    }
}

/// What a fact is the state of: kind of fact and name.
fn state_of(fact: &Fact) -> Option<(&str, &str)> {
    match fact {
        Fact::Sample(sample) => Some(("sample", &sample.interface)),
        Fact::Link { now, .. } => Some(("link", &now.name)),
        Fact::LinkGone { last } => Some(("link", &last.name)),
        Fact::ProbeAnswered { probe, .. } | Fact::ProbeLost { probe, .. } => Some(("probe", probe)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Mono, Stamp, Wall};
    use crate::watch::LinkSample;

    const S: u64 = 1_000_000_000;

    fn sample(interface: &str, second: u64) -> Observation {
        let sample = LinkSample {
            interface: interface.into(),
            carrier: Some(true),
            operstate: "up".into(),
            age: Duration::from_secs(second),
            changes: 0,
        };
        let at = Stamp { mono: Mono(second * S), wall: Wall(second) };
        Observation { at, fact: Fact::Sample(sample) }
    }

    #[test]
    fn a_cut_has_the_window_and_the_state_before_it() {
        let mut history = History::new(Duration::from_secs(100));
        for second in 0..50 {
            history.add(sample("eth0", second));
        }
        history.add(sample("eth1", 5));
        let cut = history.cut(Window { from: Mono(10 * S), to: Mono(12 * S) });
        let found: Vec<_> =
            cut.iter().map(|o| (o.fact.interface().unwrap(), o.at.mono.0 / S)).collect();
        let expected = [("eth1", 5), ("eth0", 9), ("eth0", 10), ("eth0", 11), ("eth0", 12)];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_old_is_forgotten_and_what_is_too_much_is_counted() {
        let mut history = History::new(Duration::from_secs(10));
        history.add(sample("eth0", 1));
        history.add(sample("eth0", 50));
        assert_eq!(history.cut(Window { from: Mono(0), to: Mono(60 * S) }).len(), 1);
        for _ in 0..History::MAX + 3 {
            history.add(sample("eth0", 50));
        }
        assert_eq!(history.forgotten(), 4);
    }
}
