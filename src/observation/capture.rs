//! What can happen to the capture of an interface.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What can happen to the capture of one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CaptureEvent {
    /// Frames are recorded from now on.
    Started {
        /// Interface index bound to.
        index: u32,
        /// "packet ring" or "pnet", and what it cannot know.
        source: String,
    },
    /// The interface is administratively down; the socket stays and carries on when it is up.
    Down,
    /// The interface is up again.
    Up,
    /// The interface was removed: nothing is recorded until it is created again.
    Gap,
    /// The capture failed and is tried again.
    Failed {
        /// Why.
        reason: String,
        /// True where dashcap is to blame: it panicked.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        defect: bool,
    },
    /// Memory was exhausted by pinned incidents: frames are dropped and counted. Told again while that
    /// goes on.
    Dropping,
    /// Frames are stored again.
    Storing {
        /// Frames dropped since [`CaptureEvent::Dropping`].
        dropped: u64,
    },
}

impl fmt::Display for CaptureEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { index, source } => write!(f, "started, index {index}, {source}"),
            Self::Down => f.write_str("interface is down, waiting"),
            Self::Up => f.write_str("interface is up, recording"),
            Self::Gap => f.write_str("gap: interface removed, waiting for it to come back"),
            Self::Failed { reason, .. } => write!(f, "failed, will be tried again: {reason}"),
            Self::Dropping => f.write_str("all memory is pinned, dropping frames"),
            Self::Storing { dropped } => write!(f, "storing again after {dropped} dropped frames"),
        }
    }
}
