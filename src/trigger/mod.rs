//! What opens an incident: rules turn observations into triggers, the gate lets them through.
//!
//! Pure decisions on [`crate::watch::Observation`]s; nothing here asks a clock or knows a ring.

mod gate;
mod rule;

use std::fmt;

use serde::{Serialize, Serializer};

pub use gate::Gate;
pub use rule::{Circumstances, Rule};

use crate::time::Stamp;
use crate::watch::ask::Door;
use crate::watch::{Fact, Observation};

/// An accepted observation: the reason why a window is frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trigger {
    /// Of which kind.
    pub kind: TriggerKind,
    /// The interface, probe or command it is about.
    pub object: Option<String>,
    /// When the witness saw it.
    #[serde(skip)]
    pub at: Stamp,
    /// What happened, for a person.
    pub sentence: String,
}

/// The kinds of triggers, spelled as operators type them after `--on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TriggerKind {
    /// An interface that was able to carry frames no longer is, or bounced, or was removed.
    LinkDown,
    /// An interface became able to carry frames.
    LinkUp,
    /// A probe was lost as many times in a row as the operator allows.
    ProbeLost,
    /// The operator sent SIGUSR1.
    Signal,
    /// The command under `dashcap exec` failed.
    CommandFailed,
    /// Somebody asked through the control socket.
    Snapshot,
    /// A file appeared in the trigger directory.
    File,
    /// Somebody asked by HTTP.
    Http,
}

impl Trigger {
    /// What an observation amounts to if somebody asks with it: that needs no rule.
    pub fn asked(seen: &Observation) -> Option<Self> {
        let Fact::Asked(ask) = &seen.fact else { return None };
        let kind = match ask.door {
            Door::Control => TriggerKind::Snapshot,
            Door::File => TriggerKind::File,
            Door::Http => TriggerKind::Http,
        };
        Some(Self { kind, object: ask.object.clone(), at: seen.at, sentence: ask.to_string() })
    }
}

impl TriggerKind {
    /// The kinds that `--on` takes.
    pub const ARMABLE: [Self; 4] = [Self::LinkDown, Self::LinkUp, Self::ProbeLost, Self::Signal];

    /// As typed after `--on`, and as in bundle names.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinkDown => "link-down",
            Self::LinkUp => "link-up",
            Self::ProbeLost => "probe-lost",
            Self::Signal => "signal",
            Self::CommandFailed => "command-failed",
            Self::Snapshot => "snapshot",
            Self::File => "file",
            Self::Http => "http",
        }
    }

    /// True if an operator asks for it at that moment: then it never waits for a cool-down, and counts
    /// also while triggers are disarmed.
    pub fn is_explicit(self) -> bool {
        matches!(self, Self::Signal | Self::CommandFailed | Self::Snapshot)
    }
}

impl fmt::Display for TriggerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for TriggerKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
