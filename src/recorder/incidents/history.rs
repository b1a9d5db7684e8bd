//! What was seen of the host, as far back as the ring has frames, so that a window that is asked for late has its
//! story too: bounded in bytes, like the ring. What incidents that wait for the disk still have may be as much
//! again, so that no flood takes more, however many of them wait.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use crate::observation::kept::{Kept, KeptBytes};
use crate::observation::neighbour::NeighbourChange;
use crate::observation::route::RouteChange;
use crate::observation::{Fact, Observation};
use crate::time::{Mono, Window};

/// The newest observations, in order of arrival.
#[derive(Debug)]
pub(super) struct History {
    span: Duration,
    /// Since then the ring has frames.
    reach: Option<Mono>,
    /// Everything since then is here.
    complete_from: Mono,
    /// Bytes that are kept at most, and as many again by incidents that wait.
    budget: usize,
    /// Of history and of incidents.
    account: KeptBytes,
    /// Of [`Self::seen`].
    bytes: usize,
    seen: VecDeque<Kept>,
    /// Of what is too old, the last state of what is told only when it changes.
    lasting: BTreeMap<(&'static str, String), Kept>,
    forgotten: u64,
}

impl History {
    /// Of the memory for frames, so much again is for observations,
    const PART: u64 = 16;
    /// but that at least: a table of a hundred interfaces for three minutes; a host usually has a few hundred kB,
    const LEAST: u64 = 8 << 20;
    /// and that at most.
    const MOST: u64 = 128 << 20;
    /// States kept aside: as many interfaces as counters are watched of. What is beyond that is not kept.
    const MOST_ASIDE: usize = 4_096;

    /// Bytes of observations that are kept beside so much memory for frames.
    pub(super) fn budget(memory: u64) -> u64 {
        (memory / Self::PART).clamp(Self::LEAST, Self::MOST)
    }

    /// Keeps what is not older than `span`, or than the ring, in `budget` bytes.
    pub(super) fn new(span: Duration, budget: u64) -> Self {
        Self {
            span,
            reach: None,
            complete_from: Mono(0),
            budget: usize::try_from(budget).unwrap_or(usize::MAX),
            account: KeptBytes::default(),
            bytes: 0,
            seen: VecDeque::new(),
            lasting: BTreeMap::new(),
            forgotten: 0,
        }
    }

    /// Keeps what is not older than `span` from now on.
    pub(super) fn set_span(&mut self, span: Duration) {
        self.span = span;
    }

    /// Keeps also what is not older than this, because there are frames of then.
    pub(super) fn reach(&mut self, oldest: Option<Mono>) {
        self.reach = oldest;
    }

    /// Adds what was just seen and forgets what is too old for any window.
    ///
    /// Of what is forgotten, the last state of each interface and probe is still needed for the first
    /// row of the timeline; a sample every interval and probes every second renew it well within a span.
    /// What nothing renews (links with their bonds, routes, neighbours) is kept aside.
    pub(super) fn add(&mut self, seen: Observation) {
        let wanted = seen.at.mono.minus(self.span);
        let oldest = self.reach.map_or(wanted, |reach| reach.min(wanted));
        while self.seen.front().is_some_and(|old| old.at.mono < oldest) {
            if let Some(old) = self.pop() {
                self.keep_aside(old);
            }
        }
        let seen = Kept::new(seen, &self.account);
        self.bytes += seen.bytes();
        self.seen.push_back(seen);
        // What incidents wait with comes first out of history as well: it will be on the disk.
        while self.bytes > self.budget || self.account.bytes() > 2 * self.budget {
            let Some(old) = self.pop() else { break };
            // Beyond the span there is as much as finds room.
            self.forgotten += u64::from(old.at.mono >= wanted);
            self.keep_aside(old);
        }
    }

    fn pop(&mut self) -> Option<Kept> {
        let old = self.seen.pop_front()?;
        self.bytes -= old.bytes();
        self.complete_from = self.complete_from.max(Mono(old.at.mono.0.saturating_add(1)));
        Some(old)
    }

    fn keep_aside(&mut self, old: Kept) {
        let lasts = matches!(
            old.fact,
            Fact::Link { .. } | Fact::LinkGone { .. } | Fact::Route(_) | Fact::Neighbour(_)
        );
        let Some((kind, name)) = state_of(&old.fact).filter(|_| lasts) else { return };
        let key = (kind, name.into_owned());
        let is_gone = matches!(old.fact, Fact::LinkGone { .. });
        if is_gone || (self.lasting.len() >= Self::MOST_ASIDE && !self.lasting.contains_key(&key)) {
            self.lasting.remove(&key);
        } else {
            self.lasting.insert(key, old);
        }
    }

    /// The part of a window of which it knows nothing any more but the last states.
    pub(super) fn gap(&self, window: Window) -> Option<Window> {
        let to = self.complete_from.min(window.to);
        (window.from < to).then_some(Window { from: window.from, to })
    }

    /// Observations that had to be forgotten before their time.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// What was seen in the window, sorted by time, and before it the last known state of each
    /// interface and probe.
    pub(super) fn cut(&self, window: Window) -> Vec<Kept> {
        let (mut before, mut known) = (Vec::new(), HashSet::new());
        let aside = self.lasting.values().rev();
        for old in self.seen.iter().rev().chain(aside).filter(|old| old.at.mono < window.from) {
            if state_of(&old.fact).is_some_and(|state| known.insert(state)) {
                before.push(old);
            }
        }
        // Those aside are sorted by name; all together are sorted by time below.
        let inside = self.seen.iter().filter(|seen| window.contains(seen.at.mono));
        let mut cut: Vec<_> = before.into_iter().rev().chain(inside).cloned().collect();
        cut.sort_by_key(|seen| seen.at.mono);
        cut
    }
}

/// What a fact is the state of: kind of fact and name.
fn state_of(fact: &Fact) -> Option<(&'static str, Cow<'_, str>)> {
    let (kind, name): (_, &str) = match fact {
        Fact::Sample(sample) => ("sample", &sample.interface),
        Fact::Link { now, .. } => ("link", &now.name),
        Fact::LinkGone { last } => ("link", &last.name),
        Fact::ProbeAnswered { probe, .. } | Fact::ProbeLost { probe, .. } => ("probe", probe),
        Fact::Route(change) => {
            let RouteChange { ipv6, table, metric, .. } = &**change;
            return Some(("route", format!("{ipv6} {table} {metric}").into()));
        }
        Fact::Neighbour(change) => {
            let NeighbourChange { interface, address, .. } = &**change;
            return Some(("neighbour", format!("{address} {interface}").into()));
        }
        _ => return None,
    };
    Some((kind, name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::link::{LinkSample, LinkState};
    use crate::time::{Stamp, Wall};

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
        let mut history = History::new(Duration::from_secs(100), History::LEAST);
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
    fn what_nothing_renews_is_known_however_old_it_is() {
        let state = |name: &str| LinkState { name: name.into(), ..LinkState::default() };
        let at = |second: u64| Stamp { mono: Mono(second * S), wall: Wall(second) };
        let mut history = History::new(Duration::from_secs(10), History::LEAST);
        for (second, name) in [(1, "eth0"), (2, "eth0"), (3, "eth1"), (4, "eth2")] {
            let fact = Fact::Link { before: None, now: state(name) };
            history.add(Observation { at: at(second), fact });
        }
        history.add(Observation { at: at(5), fact: Fact::LinkGone { last: state("eth2") } });
        history.add(sample("eth0", 50));
        let cut = history.cut(Window { from: Mono(45 * S), to: Mono(60 * S) });
        let found: Vec<_> =
            cut.iter().map(|o| (o.fact.interface().unwrap(), o.at.mono.0 / S)).collect();
        assert_eq!(found, [("eth0", 2), ("eth1", 3), ("eth0", 50)]);
    }

    #[test]
    fn what_is_old_is_forgotten_and_what_is_too_much_is_counted() {
        let mut history = History::new(Duration::from_secs(10), History::LEAST);
        history.add(sample("eth0", 1));
        history.add(sample("eth0", 50));
        assert_eq!(history.cut(Window { from: Mono(0), to: Mono(60 * S) }).len(), 1);
    }

    #[test]
    fn it_is_as_deep_as_the_ring_and_says_where_it_is_not() {
        let second = |second: u64| Mono(second * S);
        let window = Window { from: second(10), to: second(30) };
        let mut history = History::new(Duration::from_secs(10), History::LEAST);
        history.reach(Some(Mono(0)));
        for second in 0..1_000 {
            history.add(sample("eth0", second));
        }
        assert_eq!(history.cut(window).len(), 22, "all of the window, and the state before it");
        assert_eq!((history.gap(window), history.forgotten()), (None, 0));
        history.reach(Some(second(20)));
        history.add(sample("eth0", 1_000));
        assert_eq!(history.gap(window), Some(Window { to: Mono(19 * S + 1), ..window }));
        assert_eq!(history.gap(Window { from: second(20), to: second(30) }), None);
        history.reach(Some(second(5_000)));
        history.add(sample("eth0", 1_001));
        assert_eq!(history.gap(Window { from: second(991), to: second(1_001) }), None, "its span");
        assert_eq!(history.gap(window), Some(window), "of what is before nothing");
    }

    #[test]
    fn beyond_its_span_it_has_what_finds_room_and_nothing_counts_as_missed() {
        let mut history = History::new(Duration::from_secs(10), 200_000);
        history.reach(Some(Mono(0)));
        for second in 0..5_000 {
            history.add(sample("eth0", second));
        }
        assert_eq!(history.forgotten(), 0);
        let from = history.complete_from;
        assert!(from > Mono(1_000 * S) && from < Mono(4_900 * S), "{from:?}");
    }

    #[test]
    fn f7_a_flood_is_bounded_in_bytes_also_while_incidents_wait_with_it() {
        const BUDGET: u64 = 200_000;
        let mut history = History::new(Duration::from_secs(100), BUDGET);
        let everything = Window { from: Mono(0), to: Mono(u64::MAX) };
        let (mut waiting, mut added) = (Vec::new(), 0);
        for round in 0..20 {
            for _ in 0..1_000 {
                history.add(sample("eth0", 50));
                added += 1;
                assert!(history.bytes as u64 <= BUDGET);
                assert!(history.account.bytes() as u64 <= 2 * BUDGET, "round {round}");
            }
            waiting.push(history.cut(everything));
        }
        assert!(waiting[0].len() > 200, "the first has what fits in");
        assert_eq!(history.forgotten() + history.seen.len() as u64, added);
        waiting.clear();
        history.add(sample("eth0", 51));
        assert_eq!(history.seen.len(), 1);
    }
}
