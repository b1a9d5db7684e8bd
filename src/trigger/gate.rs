//! The gate: after an incident, the same trigger must wait for its cool-down, so that a flapping link
//! gives a few bundles that can be read, not a thousand.

use std::collections::HashMap;
use std::time::Duration;

use super::{Trigger, TriggerKind};
use crate::time::Mono;

/// Remembers when incidents were closed, by kind and object of the triggers in them.
#[derive(Debug)]
pub struct Gate {
    cool_down: Duration,
    closed: HashMap<(TriggerKind, Option<String>), Mono>,
}

impl Gate {
    /// A gate that has seen nothing.
    pub fn new(cool_down: Duration) -> Self {
        Self { cool_down, closed: HashMap::new() }
    }

    /// True if the trigger may open an incident. An operator who asks is never made to wait.
    pub fn admits(&self, trigger: &Trigger) -> bool {
        trigger.kind.is_explicit()
            || self
                .closed
                .get(&key(trigger))
                .is_none_or(|closed| trigger.at.mono.since(*closed) >= self.cool_down)
    }

    /// An incident with these triggers was closed.
    pub fn closed<'a>(&mut self, triggers: impl IntoIterator<Item = &'a Trigger>, now: Mono) {
        self.closed.retain(|_, closed| now.since(*closed) < self.cool_down);
        self.closed.extend(triggers.into_iter().map(|trigger| (key(trigger), now)));
    }
}

fn key(trigger: &Trigger) -> (TriggerKind, Option<String>) {
    (trigger.kind, trigger.object.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Stamp, Wall};

    fn trigger(kind: TriggerKind, object: &str, second: u64) -> Trigger {
        let at = Stamp { mono: Mono(second * 1_000_000_000), wall: Wall(0) };
        Trigger { kind, object: Some(object.into()), at, sentence: String::new() }
    }

    #[test]
    fn the_same_trigger_waits_and_others_do_not() {
        let mut gate = Gate::new(Duration::from_secs(30));
        let down = |object, second| trigger(TriggerKind::LinkDown, object, second);
        assert!(gate.admits(&down("eth0", 100)));
        gate.closed([&down("eth0", 100)], Mono(110_000_000_000));
        assert!(!gate.admits(&down("eth0", 111)));
        assert!(!gate.admits(&down("eth0", 139)));
        assert!(gate.admits(&down("eth0", 140)));
        assert!(gate.admits(&down("eth1", 111)));
        assert!(gate.admits(&trigger(TriggerKind::LinkUp, "eth0", 111)));
    }

    #[test]
    fn the_operator_never_waits() {
        let mut gate = Gate::new(Duration::from_secs(30));
        let asked = trigger(TriggerKind::Signal, "", 1);
        gate.closed([&asked], Mono(1_000_000_000));
        assert!(gate.admits(&asked));
    }
}
