//! Links that go down again and again: one finding with a count, where every fall by itself says little. While it
//! goes on it is told again with the count so far.
//!
//! Pure, and told the time. What the administrator sets down does not flap.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::finding::{Finding, FindingKind, Severity};
use crate::observation::link::LinkState;
use crate::time::{Mono, Stamp};

/// So many falls within [`WITHIN`] are flapping: a link that is plugged in falls once, one that negotiates
/// its speed anew twice.
const FALLS: usize = 3;
/// A fall that is older no longer belongs to it, and after as long without one it is over. Link flap
/// dampening of switches looks at about as long.
const WITHIN: Duration = Duration::from_secs(60);
/// What flaps is told again at most this often: a port may fall many times a second.
const AGAIN: Duration = Duration::from_secs(1);
/// Interfaces remembered at a time; those that fall beyond that are not counted.
const MOST: usize = 1_024;

/// The falls of every interface, by index: a name may change meanwhile.
#[derive(Debug, Default)]
pub(super) struct Flapping(BTreeMap<u32, Falls>);

#[derive(Debug, Default)]
struct Falls {
    name: String,
    /// The latest, at most [`FALLS`].
    latest: VecDeque<Stamp>,
    /// Once it flaps.
    open: Option<OpenFlapping>,
}

#[derive(Debug, Clone, Copy)]
struct OpenFlapping {
    /// The first fall, and how many there were.
    first: Stamp,
    count: u64,
    /// When it was told.
    told: Mono,
}

impl Flapping {
    /// What a change at `at` adds to it: the finding, when it begins or has got worse.
    pub(super) fn changed(
        &mut self,
        before: &LinkState,
        now: &LinkState,
        at: Stamp,
    ) -> Option<Finding> {
        let fell = falls(before, now);
        if fell == 0 || (self.0.len() >= MOST && !self.0.contains_key(&now.index)) {
            return None;
        }
        let falls = self.0.entry(now.index).or_default();
        falls.name.clone_from(&now.name);
        for _ in 0..fell.min(FALLS as u64) {
            falls.latest.push_back(at);
        }
        let surplus = falls.latest.len().saturating_sub(FALLS);
        falls.latest.drain(..surplus);
        if let Some(open) = &mut falls.open {
            open.count += fell;
            if at.mono.since(open.told) < AGAIN {
                return None;
            }
            open.told = at.mono;
            let OpenFlapping { first, count, .. } = *open;
            return Some(falls.finding(first, count, false));
        }
        let first = *falls.latest.front()?;
        if falls.latest.len() < FALLS || at.mono.since(first.mono) > WITHIN {
            return None;
        }
        let count = falls.latest.len() as u64;
        falls.open = Some(OpenFlapping { first, count, told: at.mono });
        Some(falls.finding(first, count, false))
    }

    /// It was removed.
    pub(super) fn gone(&mut self, index: u32) {
        self.0.remove(&index);
    }

    /// What is over by `now`.
    pub(super) fn over(&mut self, now: Mono) -> Vec<Finding> {
        let quiet = self.0.extract_if(.., |_, falls| falls.is_quiet(now));
        let over = quiet.filter_map(|(_, falls)| {
            let OpenFlapping { first, count, .. } = falls.open?;
            Some(falls.finding(first, count, true))
        });
        over.collect()
    }

    /// When something may be over.
    pub(super) fn due(&self) -> Option<Mono> {
        let ends = self.0.values().filter_map(|falls| Some(falls.latest.back()?.mono.plus(WITHIN)));
        ends.min()
    }
}

impl Falls {
    fn is_quiet(&self, now: Mono) -> bool {
        self.latest.back().is_none_or(|last| now.since(last.mono) >= WITHIN)
    }

    fn finding(&self, first: Stamp, count: u64, over: bool) -> Finding {
        let last = self.latest.back().copied().unwrap_or(first);
        let seconds = last.mono.since(first.mono).as_secs_f64();
        let name = &self.name;
        let sentence = match over {
            false => format!("{name}: down {count} times in {seconds:.0} s, it flaps"),
            true => format!("{name}: no longer flaps, it was down {count} times in {seconds:.0} s"),
        };
        let finding = Finding::of_host(
            FindingKind::LinkFlapping,
            Severity::Warning,
            last,
            "carrier",
            sentence,
        );
        Finding { first, interface: Some(name.clone()), count, over, ..finding }
    }
}

/// How often it fell between two states; a bounce too short for a message shows in the counter.
fn falls(before: &LinkState, now: &LinkState) -> u64 {
    if !now.admin_up() {
        return 0;
    }
    match (before.carrier_down_count, now.carrier_down_count) {
        (Some(before), Some(now)) => u64::from(now.wrapping_sub(before)),
        _ => u64::from(before.is_up() && !now.is_up()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    fn at(second: u64) -> Stamp {
        Stamp { mono: Mono(second * 1_000_000_000), wall: Wall(second * 1_000_000_000) }
    }

    fn link(up: bool, downs: u32) -> LinkState {
        LinkState {
            index: 2,
            name: "eth0".into(),
            flags: LinkState::IFF_UP,
            carrier: Some(up),
            carrier_down_count: Some(downs),
            ..LinkState::default()
        }
    }

    /// Regression: ten falls of a switch port were ten rows, and nothing said that it flapped.
    #[test]
    fn falls_within_a_minute_are_one_finding_with_a_count() {
        for (name, seconds, begins, again, ends) in [
            ("twice", &[1_u64, 5][..], None, None, None),
            ("rarely", &[1, 50, 100, 150], None, None, None),
            (
                "ten times",
                &[0, 6, 12, 18, 24, 30, 36, 42, 48, 54],
                Some("eth0: down 3 times in 12 s, it flaps"),
                Some("eth0: down 10 times in 54 s, it flaps"),
                Some("eth0: no longer flaps, it was down 10 times in 54 s (over)"),
            ),
            (
                "after a pause",
                &[1, 100, 110, 120],
                Some("eth0: down 3 times in 20 s, it flaps"),
                None,
                Some("eth0: no longer flaps, it was down 3 times in 20 s (over)"),
            ),
        ] {
            let mut flapping = Flapping::default();
            let mut told = Vec::new();
            for (count, second) in (1..).zip(seconds) {
                let (up, down) = (link(true, count - 1), link(false, count));
                told.extend(flapping.changed(&up, &down, at(*second)));
                told.extend(flapping.changed(&down, &link(true, count), at(*second + 1)));
                assert!(flapping.over(at(*second + 1).mono).is_empty(), "{name}");
            }
            let shown: Vec<_> = told.iter().map(ToString::to_string).collect();
            assert_eq!(shown.first().map(String::as_str), begins, "{name}");
            assert_eq!(shown.last().map(String::as_str), again.or(begins), "{name}");
            let due = flapping.due().unwrap();
            assert_eq!(due, at(seconds.last().unwrap() + 60).mono, "{name}");
            let over: Vec<_> = flapping.over(due).iter().map(ToString::to_string).collect();
            assert_eq!(over, ends.into_iter().collect::<Vec<_>>(), "{name}");
            assert_eq!(flapping.due(), None, "{name}");
        }
    }

    #[test]
    fn a_bounce_between_two_messages_counts_and_the_administrator_does_not_flap() {
        let mut flapping = Flapping::default();
        assert!(flapping.changed(&link(true, 0), &link(true, 3), at(1)).is_some());
        flapping.gone(2);
        let set_down = LinkState { flags: 0, ..link(false, 4) };
        for second in 0..9 {
            assert_eq!(flapping.changed(&link(true, 3), &set_down, at(second)), None);
        }
        assert_eq!(flapping.due(), None);
    }

    #[test]
    fn a_port_that_falls_many_times_a_second_is_told_once_a_second() {
        let mut flapping = Flapping::default();
        let told = (0..100).filter(|n| {
            let at = Stamp { mono: Mono(n * 30_000_000), wall: Wall(0) };
            flapping.changed(&link(true, *n as u32), &link(true, *n as u32 + 1), at).is_some()
        });
        assert_eq!(told.count(), 3);
    }

    #[test]
    fn no_more_is_remembered_than_may_be() {
        let mut flapping = Flapping::default();
        for index in 0..MOST as u32 + 9 {
            let link = |downs| LinkState { index, ..link(true, downs) };
            flapping.changed(&link(0), &link(1), at(1));
        }
        assert_eq!(flapping.0.len(), MOST);
    }
}
