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
        }
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
