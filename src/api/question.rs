//! What the thread `api` asks the recorder, and what comes back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, oneshot};

use super::status::RecorderStatus;
use crate::capture::Follower;
use crate::export::event::Event;
use crate::fleet::exchange::HeardNotice;
use crate::fleet::inquiry::NoticeOutcome;
use crate::frames::FrameFeed;
use crate::incident::coverage::Coverage;
use crate::observation::Observation;
use crate::time::{Mono, Wall};

/// Where an answer goes. Sending never waits; a client that is gone is nobody's concern.
pub type Reply<T> = oneshot::Sender<T>;

/// Events that a reader can be behind. Beyond it the oldest are lost to it, and it is told how many.
pub const BEHIND: usize = 1_024;

/// Events from before that a new reader is told first.
pub const RECENT: usize = 100;

/// One question.
#[derive(Debug)]
pub enum Question {
    /// Take this in like any watcher's observation, and say what came of it.
    Tell {
        /// What somebody wants or says.
        seen: Box<Observation>,
        /// What came of it.
        verdict: Reply<Verdict>,
        /// What became of the incident it belongs to, once that is known; dropped where there is none.
        fate: Option<Reply<Fate>>,
    },
    /// How does it stand?
    Standing(Reply<Box<RecorderStatus>>),
    /// What was seen lately, and what is seen from now on?
    Listen(Reply<Audience>),
    /// What is there to read frames from, and what was seen since then?
    Frames {
        /// The first moment that matters.
        from: Mono,
        /// Where to read.
        reply: Reply<FrameFeed>,
    },
    /// Which interfaces are recorded now?
    Captures(Reply<Vec<Follower>>),
    /// What became of notices of other hosts that no bundle belongs to, of this one or of any?
    WithoutBundle {
        /// This one.
        id: Option<String>,
        /// Where that is told.
        reply: Reply<Vec<NoticeOutcome>>,
    },
    /// Another host asks for the seconds around a moment.
    Notice(Box<HeardNotice>),
}

/// What came of a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// An incident was opened: its frames are pinned.
    Frozen {
        /// From when it was asked for until every lane held its frames.
        pinned_after_ns: u64,
        /// Time from before it that was wanted, in nanoseconds.
        before_wanted_ns: u64,
        /// Of that, what memory has in full.
        before_held_ns: u64,
        /// Time until the window ends; zero where it is over.
        left_ns: u64,
        /// The name of its bundle.
        #[serde(default)]
        incident: String,
        /// What of the window is there, if somebody asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        coverage: Option<Box<Coverage>>,
    },
    /// One was open, and goes on.
    Extended {
        /// Time until the window ends.
        left_ns: u64,
        /// The name of its bundle.
        #[serde(default)]
        incident: String,
        /// What of the window that was asked for is there, if somebody asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        coverage: Option<Box<Coverage>>,
    },
    /// A bundle that is written, or is being written, has the window: no second one is made.
    Covered {
        /// The name of that bundle.
        incident: String,
        /// First moment of the window that it has.
        from: Wall,
        /// Last moment of the window that it has.
        to: Wall,
    },
    /// Nothing of the window is left in memory.
    Late {
        /// First moment of the window.
        from: Wall,
        /// Last moment of the window.
        to: Wall,
        /// The first moment that memory still has something of.
        oldest: Wall,
    },
    /// Nothing was frozen.
    Ignored {
        /// Why.
        why: String,
    },
    /// It was no wish for a snapshot, and was taken note of.
    Noted,
}

/// What became of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// Its bundle is whole and on the disk.
    Written {
        /// The bundle's directory.
        path: String,
        /// Frames in it.
        frames: u64,
        /// Size of its files in bytes.
        bytes: u64,
    },
    /// It could not be written and is gone.
    Lost {
        /// The name its bundle would have had.
        name: String,
        /// Why.
        reason: String,
    },
}

/// A reader's place among those who hear events: none between what was and what comes is left out.
#[derive(Debug)]
pub struct Audience {
    /// The latest events, oldest first.
    pub recent: Vec<Arc<Event>>,
    /// Events from now on.
    pub live: broadcast::Receiver<Arc<Event>>,
}

impl Fate {
    /// Of an incident that nobody told anything of: dashcap ended before.
    pub(super) fn forgotten() -> Self {
        let reason = "dashcap ended before it was written; see its log".to_owned();
        Self::Lost { name: String::new(), reason }
    }
}

impl Verdict {
    /// The incident that it is about.
    pub fn incident(&self) -> Option<&str> {
        match self {
            Self::Frozen { incident, .. }
            | Self::Extended { incident, .. }
            | Self::Covered { incident, .. } => Some(incident),
            Self::Late { .. } | Self::Ignored { .. } | Self::Noted => None,
        }
    }

    /// Time until the window ends.
    fn left(&self) -> Duration {
        match self {
            Self::Frozen { left_ns, .. } | Self::Extended { left_ns, .. } => {
                Duration::from_nanos(*left_ns)
            }
            _ => Duration::ZERO,
        }
    }

    /// The same, with what of the window is there.
    #[must_use]
    pub fn covering(mut self, told: Coverage) -> Self {
        if let Self::Frozen { coverage, .. } | Self::Extended { coverage, .. } = &mut self {
            *coverage = Some(Box::new(told));
        }
        self
    }
}

/// What of a window in the past is missing; of one around now the beginning tells enough.
fn past(coverage: Option<&Coverage>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(told) = coverage.filter(|told| told.asked_after_ns > 0) else { return Ok(()) };
    let (from, to) = (told.from.time_of_day(), told.to.time_of_day());
    write!(f, "; {from} to {to}, asked for {:.1?} afterwards", told.asked_after())?;
    if told.full { f.write_str("; all of it is there") } else { write!(f, "; {told}") }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ns: u64| Duration::from_nanos(ns).as_secs_f64();
        match self {
            Self::Frozen {
                pinned_after_ns, before_wanted_ns, before_held_ns, coverage, ..
            } => {
                let after = Duration::from_nanos(*pinned_after_ns);
                write!(f, "window frozen after {after:?}")?;
                let is_past = coverage.as_ref().is_some_and(|told| told.asked_after_ns > 0);
                if before_held_ns < before_wanted_ns && !is_past {
                    let (wanted, held) = (seconds(*before_wanted_ns), seconds(*before_held_ns));
                    write!(f, "; of the {wanted:.1} s before it {held:.1} s are there")?;
                }
                past(coverage.as_deref(), f)?;
                match self.left() {
                    Duration::ZERO => f.write_str("; its window is over"),
                    left => write!(f, "; collecting for another {:.1} s", left.as_secs_f64()),
                }
            }
            Self::Extended { coverage, .. } => {
                let left = self.left().as_secs_f64();
                write!(f, "the open incident goes on for {left:.1} s")?;
                past(coverage.as_deref(), f)
            }
            Self::Covered { incident, from, to } => {
                let (from, to) = (from.time_of_day(), to.time_of_day());
                write!(
                    f,
                    "nothing frozen anew: {incident} has {from} to {to}; a second bundle is made with again"
                )
            }
            Self::Late { from, to, oldest } => {
                let [from, to, oldest] = [from, to, oldest].map(|at| at.milliseconds());
                write!(
                    f,
                    "too late: nothing from {from} to {to} is left in memory, which begins at {oldest}"
                )
            }
            Self::Ignored { why } => write!(f, "nothing frozen: {why}"),
            Self::Noted => f.write_str("taken note of"),
        }
    }
}
