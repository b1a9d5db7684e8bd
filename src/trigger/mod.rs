//! What opens an incident: rules turn observations into triggers, the gate lets them through.
//!
//! ```text
//!   observation ─► happening (begins, ends, passes) ─► rule by rule ─► fired ─► gate ─► incident
//!                  the table of facts                  for, above,     with pre, post,
//!                                                      severity        cool-down, hold
//! ```
//!
//! Pure decisions on [`crate::observation::Observation`]s; nothing here asks a clock or knows a ring.

mod announce;
pub mod budget;
mod choice;
mod defaults;
mod gate;
mod happening;
mod kind;
mod rule;
mod rules;
mod terms;

use std::time::Duration;

use serde::Serialize;

pub use announce::{Announce, Recipient};
pub use budget::Budget;
pub use choice::{Choice, chosen};
pub use gate::Gate;
pub use kind::{About, TriggerKind};
pub use rule::{Circumstances, Rule};
pub use rules::{Fired, Rules, Terms};
pub use terms::{Bound, Hold, Names, Threshold, Words};

use crate::finding::Severity;
use crate::observation::request::{Ask, Door};
use crate::time::{Mono, Stamp};

/// An accepted observation: the reason why a window is frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trigger {
    /// Of which kind.
    pub kind: TriggerKind,
    /// The interface, probe or command it is about.
    pub object: Option<String>,
    /// When it happened, as far as the window is concerned: when the watcher saw it, or the moment that was
    /// asked for.
    #[serde(skip)]
    pub at: Stamp,
    /// How long after that the recorder was told; none but for a moment that was over when it was asked for.
    #[serde(skip)]
    pub told_after: Duration,
    /// What happened, for a person.
    pub sentence: String,
}

impl Trigger {
    /// How bad it is wherever it is shown: something happened that an incident is worth.
    pub fn severity(&self) -> Severity {
        Severity::Warning
    }

    /// When the recorder was told: what rests, is measured and is counted begins then.
    pub fn told_at(&self) -> Mono {
        self.at.mono.plus(self.told_after)
    }

    /// What a wish amounts to that came at `came` and is about `at`: that needs no rule.
    pub fn asked(ask: &Ask, at: Stamp, came: Mono) -> Self {
        let kind = match ask.door {
            Door::Control | Door::Web => TriggerKind::Snapshot,
            Door::File => TriggerKind::File,
            Door::Http => TriggerKind::Http,
        };
        let told_after = came.since(at.mono);
        Self {
            kind,
            object: ask.object.clone(),
            at,
            told_after,
            sentence: ask.sentence(told_after),
        }
    }
}

/// How often something triggered in one incident, when each time was too much to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Of which kind.
    pub kind: TriggerKind,
    /// The interface, probe or command it is about.
    pub object: Option<String>,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Stamp,
    /// The last time.
    pub last: Stamp,
}
