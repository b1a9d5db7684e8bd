//! What becomes of an incident, step by step, for those who hear live events: frozen, then written or
//! lost. A bundle has no such lines, because it is written before the last of them is known.

use std::time::Duration;

use serde::Serialize;

use super::name::name_of;
use crate::finding::Severity;
use crate::time::{Stamp, Wall, as_nanos};
use crate::trigger::{Trigger, TriggerKind};

/// One step of one incident.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentProgress {
    /// When.
    #[serde(skip)]
    pub at: Stamp,
    /// Where it stands.
    #[serde(flatten)]
    pub step: Step,
    /// The name of its bundle, whether there is one yet or not.
    pub incident: String,
    /// Kind of the trigger that opened it.
    pub trigger: TriggerKind,
    /// What that is about.
    pub object: Option<String>,
    /// How bad: that of the finding that triggered, warning for other triggers, notice where somebody
    /// asked for it, critical once it is lost.
    pub severity: Severity,
    /// What triggered, for a person.
    pub cause: String,
    /// When what triggered happened.
    pub triggered: Wall,
    /// First moment of the window.
    pub from: Wall,
    /// Last moment of the window; as planned while it is collecting.
    pub to: Wall,
}

/// Where an incident stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Step {
    /// Its frames are pinned in memory.
    Frozen {
        /// From when the trigger was told until they were.
        #[serde(rename = "pinned_after_ns", with = "as_nanos")]
        pinned_after: Duration,
    },
    /// Its bundle is whole and on the disk.
    Written {
        /// The bundle's directory.
        path: String,
        /// Frames in it.
        frames: u64,
        /// Size of its files in bytes.
        bytes: u64,
        /// SHA-256 of its manifest: whoever hears it can witness what was written.
        manifest_sha256: String,
        /// How long that took.
        #[serde(rename = "took_ns", with = "as_nanos")]
        took: Duration,
    },
    /// It could not be written and is gone.
    Lost {
        /// Why.
        reason: String,
    },
}

impl IncidentProgress {
    /// The first step of the incident that `trigger` opened.
    pub fn frozen(trigger: &Trigger, pinned_after: Duration, from: Wall, to: Wall) -> Self {
        let asked = trigger.kind.is_explicit();
        Self {
            at: told_at(trigger),
            step: Step::Frozen { pinned_after },
            incident: name_of(trigger),
            trigger: trigger.kind,
            object: trigger.object.clone(),
            severity: if asked { Severity::Notice } else { Severity::Warning },
            cause: trigger.sentence.clone(),
            triggered: trigger.at.wall,
            from,
            to,
        }
    }

    /// The whole of it for a person.
    pub fn sentence(&self) -> String {
        let Self { incident, trigger, cause, .. } = self;
        match &self.step {
            Step::Frozen { .. } => format!("incident frozen: {trigger}: {cause}"),
            Step::Written { path, frames, .. } => {
                format!("incident written: {trigger}: {cause}; {frames} frames in {path}")
            }
            Step::Lost { reason } => format!("incident lost: {incident}: {reason}"),
        }
    }
}

/// When the recorder was told of it, on both clocks.
fn told_at(trigger: &Trigger) -> Stamp {
    let mono = trigger.told_at();
    Stamp { mono, wall: trigger.at.offset().wall(mono) }
}
