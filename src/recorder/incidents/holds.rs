//! Windows frozen for a watcher that is early and unsure: kept if another rule confirms it in time, else
//! released, and nothing is written.
//!
//! ```text
//!     held.from        held          confirmed (an incident opens, with both)
//!   ─────┬──────────────┬───────────────┬──────────────────┬───────────► monotonic
//!        └── pinned ────┴───────────────┴──── until: else released ──┘
//! ```
//!
//! Pure. The same rule and object hold once at a time, and time given is not prolonged: a watcher that
//! repeats itself cannot pin memory for good.

use std::time::Duration;

use crate::api::status::WaitingTrigger;
use crate::ring::HoldId;
use crate::time::Mono;
use crate::trigger::{Fired, Hold};

/// One held window.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    /// What pins its frames.
    pub(super) id: HoldId,
    /// What it is held for.
    pub(super) fired: Fired,
    /// Who must confirm it.
    confirm: String,
    /// Beginning of its window.
    pub(super) from: Mono,
    /// When it is released.
    until: Mono,
    /// From the observation until its frames were pinned.
    pub(super) pinned_after: Duration,
}

impl Held {
    pub(super) fn new(id: HoldId, fired: Fired, hold: &Hold, pinned_after: Duration) -> Self {
        let at = fired.trigger.at.mono;
        let from = at.minus(fired.terms.pre).minus(fired.lasted);
        let (confirm, until) = (hold.confirm.clone(), at.plus(hold.within));
        Self { id, fired, confirm, from, until, pinned_after }
    }
}

/// Every held window, in order of beginning to be held.
#[derive(Debug, Default)]
pub(super) struct Holds(Vec<Held>);

impl Holds {
    /// Windows held at a time: each pins memory in every lane.
    const MOST: usize = 16;

    /// True if `fired` is held already.
    pub(super) fn has(&self, fired: &Fired) -> bool {
        let (trigger, rules) = (&fired.trigger, &fired.rules);
        self.0.iter().any(|held| {
            let other = &held.fired.trigger;
            held.fired.rules == *rules
                && (other.kind, &other.object) == (trigger.kind, &trigger.object)
        })
    }

    /// True if there is no room for another.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= Self::MOST
    }

    pub(super) fn add(&mut self, held: Held) {
        self.0.push(held);
    }

    /// Takes out what a trigger at `at`, pulled by `rules`, confirms: the newest first.
    pub(super) fn confirmed(&mut self, rules: &[String], at: Mono) -> Vec<Held> {
        let mut confirmed = self.take(|held| rules.contains(&held.confirm) && at <= held.until);
        confirmed.reverse();
        confirmed
    }

    /// Takes out what nobody confirmed in time.
    pub(super) fn expired(&mut self, now: Mono) -> Vec<Held> {
        self.take(|held| held.until < now)
    }

    /// Takes out everything.
    pub(super) fn all(&mut self) -> Vec<Held> {
        std::mem::take(&mut self.0)
    }

    /// Those that wait, and how much longer.
    pub(super) fn waiting(&self, now: Mono) -> impl Iterator<Item = WaitingTrigger> {
        self.0.iter().map(move |held| WaitingTrigger {
            kind: held.fired.trigger.kind.to_string(),
            object: held.fired.trigger.object.clone(),
            confirm: Some(held.confirm.clone()),
            left_seconds: held.until.since(now).as_secs_f64(),
        })
    }

    /// When the next one expires.
    pub(super) fn next_expiry(&self) -> Option<Mono> {
        self.0.iter().map(|held| held.until.plus(Duration::from_nanos(1))).min()
    }

    fn take(&mut self, wanted: impl Fn(&Held) -> bool) -> Vec<Held> {
        self.0.extract_if(.., |held| wanted(held)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Stamp, Wall};
    use crate::trigger::{Terms, Trigger, TriggerKind};

    const S: u64 = 1_000_000_000;

    fn fired(rule: &str, object: &str, second: u64) -> Fired {
        let at = Stamp { mono: Mono(second * S), wall: Wall(0) };
        let ten = Duration::from_secs(10);
        Fired {
            trigger: Trigger {
                kind: TriggerKind::LinkUp,
                object: Some(object.into()),
                at,
                told_after: Duration::ZERO,
                sentence: String::new(),
            },
            rules: vec![rule.into()],
            terms: Terms { pre: ten, post: ten, cool_down: ten },
            lasted: Duration::from_secs(5),
            hold: None,
            announce: None,
        }
    }

    fn held(rule: &str, confirm: &str, second: u64) -> Held {
        let hold = Hold { confirm: confirm.into(), within: Duration::from_secs(90) };
        Held::new(HoldId(second), fired(rule, "eth0", second), &hold, Duration::ZERO)
    }

    fn ids(held: &[Held]) -> Vec<u64> {
        held.iter().map(|held| held.id.0).collect()
    }

    #[test]
    fn what_is_confirmed_in_time_is_kept_and_the_rest_expires() {
        let mut holds = Holds::default();
        for held in [held("a", "x", 100), held("b", "y", 110), held("c", "x", 120)] {
            holds.add(held);
        }
        assert!(holds.has(&fired("a", "eth0", 130)));
        assert!(!holds.has(&fired("a", "eth1", 130)) && !holds.has(&fired("x", "eth0", 130)));
        assert_eq!(holds.0[0].from, Mono(85 * S));
        assert_eq!(holds.next_expiry(), Some(Mono(190 * S + 1)));
        assert_eq!(ids(&holds.expired(Mono(190 * S))), [0; 0]);
        assert_eq!(ids(&holds.confirmed(&["z".into()], Mono(150 * S))), [0; 0]);
        assert_eq!(ids(&holds.confirmed(&["w".into(), "x".into()], Mono(190 * S))), [120, 100]);
        assert_eq!(ids(&holds.confirmed(&["y".into()], Mono(200 * S + 1))), [0; 0], "too late");
        assert_eq!(ids(&holds.expired(Mono(200 * S + 1))), [110]);
        assert_eq!(holds.next_expiry(), None);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut holds = Holds::default();
        for n in 0..Holds::MOST as u64 {
            assert!(!holds.is_full());
            holds.add(held(&n.to_string(), "x", n));
        }
        assert!(holds.is_full());
        assert_eq!(holds.all().len(), Holds::MOST);
    }
}
