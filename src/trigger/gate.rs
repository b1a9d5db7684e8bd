//! The gate: after an incident, the same trigger must wait for its cool-down, so that a flapping link
//! gives a few bundles that can be read, not a thousand.
//!
//! A trigger that recurs right after its cool-down has a permanent cause: each time its wait is doubled, up
//! to [`Gate::LONGEST`]. One that stays away for twice its wait begins anew.
//!
//! ```text
//!   incident │30s│ incident │ 1 min  │ incident │    2 min      │ ...        1 h
//!   ─────────┴───┴──────────┴────────┴──────────┴───────────────┴──────────────────►
//!            refused        refused             refused
//! ```

use std::collections::HashMap;
use std::time::Duration;

use super::{Trigger, TriggerKind};
use crate::time::Mono;

/// Remembers when incidents were closed, by kind and object of the triggers in them.
#[derive(Debug, Default)]
pub struct Gate {
    resting: HashMap<(TriggerKind, Option<String>), Rest>,
}

/// How long a trigger must wait, and since when.
#[derive(Debug, Clone, Copy)]
struct Rest {
    closed: Mono,
    wait: Duration,
}

impl Rest {
    /// True if a trigger at `at` came back as soon as it could.
    fn is_recent(self, at: Mono) -> bool {
        at.since(self.closed) < self.wait * 2
    }
}

impl Gate {
    /// What an incident makes its triggers wait, unless the operator says otherwise: a bundle is written
    /// meanwhile.
    pub const COOL_DOWN: Duration = Duration::from_secs(30);
    /// The longest wait, unless the operator's cool-down is longer: a permanent cause gives a bundle an
    /// hour, which shows that it is still there.
    pub const LONGEST: Duration = Duration::from_secs(3600);
    /// Triggers remembered; beyond that the one that has rested longest is forgotten, and may open an
    /// incident early.
    const MOST: usize = 4_096;

    /// A gate that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// True if the trigger may open an incident. An operator who asks is never made to wait.
    pub fn admits(&self, trigger: &Trigger) -> bool {
        let ready = |rest: &Rest| trigger.told_at().since(rest.closed) >= rest.wait;
        let key = (trigger.kind, trigger.object.clone());
        trigger.kind.never_waits() || self.resting.get(&key).is_none_or(ready)
    }

    /// What it admits no trigger for, and how much longer.
    pub fn waiting(
        &self,
        now: Mono,
    ) -> impl Iterator<Item = (TriggerKind, Option<&str>, Duration)> {
        self.resting.iter().filter_map(move |((kind, object), rest)| {
            let left = rest.wait.checked_sub(now.since(rest.closed))?;
            (!left.is_zero()).then_some((*kind, object.as_deref(), left))
        })
    }

    /// An incident was closed at `now` in which this trigger was told first at `first`.
    pub fn closed(
        &mut self,
        (kind, object): (TriggerKind, Option<String>),
        first: Mono,
        cool_down: Duration,
        now: Mono,
    ) {
        self.make_room(now);
        let longest = Self::LONGEST.max(cool_down);
        let rest = self
            .resting
            .entry((kind, object))
            .or_insert(Rest { closed: now, wait: Duration::ZERO });
        let wait = if rest.is_recent(first) { rest.wait * 2 } else { cool_down };
        *rest = Rest { closed: now, wait: wait.clamp(cool_down, longest) };
    }

    fn make_room(&mut self, now: Mono) {
        self.resting.retain(|_, rest| rest.is_recent(now));
        if self.resting.len() >= Self::MOST
            && let Some(oldest) = self.resting.iter().min_by_key(|(_, rest)| rest.closed)
        {
            let oldest = oldest.0.clone();
            self.resting.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Stamp, Wall};

    const S: u64 = 1_000_000_000;
    const COOL_DOWN: Duration = Duration::from_secs(30);

    fn trigger(kind: TriggerKind, object: &str, second: u64) -> Trigger {
        let at = Stamp { mono: Mono(second * S), wall: Wall(0) };
        let (object, told_after) = (Some(object.into()), Duration::ZERO);
        Trigger { kind, object, at, told_after, sentence: String::new() }
    }

    fn closed(gate: &mut Gate, of: &Trigger, second: u64) {
        let key = (of.kind, of.object.clone());
        gate.closed(key, of.at.mono, COOL_DOWN, Mono(second * S));
    }

    #[test]
    fn the_same_trigger_waits_and_others_do_not() {
        let mut gate = Gate::new();
        let down = |object, second| trigger(TriggerKind::LinkDown, object, second);
        assert!(gate.admits(&down("eth0", 100)));
        closed(&mut gate, &down("eth0", 100), 110);
        assert!(!gate.admits(&down("eth0", 111)));
        let waiting = |second: u64| {
            gate.waiting(Mono(second * S)).map(|(_, _, left)| left.as_secs()).collect::<Vec<_>>()
        };
        assert_eq!((waiting(111), waiting(139), waiting(140)), (vec![29], vec![1], vec![]));
        assert!(!gate.admits(&down("eth0", 139)));
        assert!(gate.admits(&down("eth0", 140)));
        assert!(gate.admits(&down("eth1", 111)));
        assert!(gate.admits(&trigger(TriggerKind::LinkUp, "eth0", 111)));
    }

    #[test]
    fn what_is_told_late_waits_from_when_it_is_told() {
        let mut gate = Gate::new();
        closed(&mut gate, &trigger(TriggerKind::Http, "", 100), 110);
        let late = |told_after| Trigger {
            told_after: Duration::from_secs(told_after),
            ..trigger(TriggerKind::Http, "", 100)
        };
        assert!(!gate.admits(&late(39)));
        assert!(gate.admits(&late(40)));
    }

    #[test]
    fn the_operator_never_waits() {
        let mut gate = Gate::new();
        let asked = trigger(TriggerKind::Signal, "", 1);
        closed(&mut gate, &asked, 1);
        assert!(gate.admits(&asked));
    }

    #[test]
    fn what_keeps_coming_back_waits_longer_and_what_stays_away_begins_anew() {
        let mut gate = Gate::new();
        let down = |second| trigger(TriggerKind::LinkDown, "eth0", second);
        let mut now = 1_000;
        for wait in [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
            assert!(gate.admits(&down(now)), "at {now}");
            closed(&mut gate, &down(now), now + 10);
            now += 10 + wait;
            assert!(!gate.admits(&down(now - 1)), "{wait} s are not over");
        }
        let later = now + 3_600;
        closed(&mut gate, &down(later), later);
        assert!(!gate.admits(&down(later + 29)) && gate.admits(&down(later + 30)));
    }

    #[test]
    fn the_gate_remembers_no_more_than_it_may() {
        let mut gate = Gate::new();
        for n in 0..Gate::MOST + 10 {
            closed(&mut gate, &trigger(TriggerKind::LinkDown, &format!("eth{n}"), 1), 1);
        }
        assert_eq!(gate.resting.len(), Gate::MOST);
        closed(&mut gate, &trigger(TriggerKind::LinkDown, "eth0", 90), 90);
        assert_eq!(gate.resting.len(), 1, "the rest is over");
    }
}
