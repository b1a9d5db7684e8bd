//! What is told of the operator's own programs, hooks and collectors: that one began, how it ended, or
//! why it did not run. A hook may change the host, so its beginning stands among what was seen.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::as_nanos;

/// Something about one program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramNote {
    /// What it is for.
    pub role: Role,
    /// The hook's name, or the collector's file name.
    pub name: String,
    /// The incident it was asked for.
    pub incident: String,
    /// What happened.
    pub event: ProgramEvent,
}

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It acts when the window is safe, or when the bundle is whole.
    Hook,
    /// It tells of the host.
    Collector,
}

/// What can happen to a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ProgramEvent {
    /// It was started.
    Began,
    /// It ended, or was ended.
    Ended {
        /// "exit status: 1", "stopped after 30s".
        ending: String,
        /// True if it ended by itself, with exit status 0.
        success: bool,
        /// How long it ran.
        #[serde(rename = "ran_ns", with = "as_nanos")]
        ran: Duration,
        /// Bytes of its output that are kept.
        kept: u64,
        /// Bytes of its output beyond these, counted and thrown away.
        beyond: u64,
        /// The last line it printed, for the log; none if it printed nothing.
        last: Option<String>,
    },
    /// It was not started.
    NotRun {
        /// Why.
        why: String,
    },
}

impl ProgramNote {
    /// True if nothing is wrong with it.
    pub fn is_well(&self) -> bool {
        matches!(
            self.event,
            ProgramEvent::Began | ProgramEvent::Ended { success: true, beyond: 0, .. }
        )
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hook => "hook",
            Self::Collector => "collector",
        })
    }
}

impl fmt::Display for ProgramNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, name, event, .. } = self;
        match event {
            ProgramEvent::Began => write!(f, "{role} {name} began"),
            ProgramEvent::NotRun { why } => write!(f, "{role} {name} did not run: {why}"),
            ProgramEvent::Ended { ending, ran, beyond, last, .. } => {
                write!(f, "{role} {name} ended after {:.1} s: {ending}", ran.as_secs_f64())?;
                if *beyond > 0 {
                    write!(f, ", {beyond} bytes of its output were too much")?;
                }
                last.as_ref().map_or(Ok(()), |last| write!(f, "; it said: {last}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::observation::program::*;

    #[test]
    fn a_note_is_a_sentence() {
        let note = |event| ProgramNote {
            role: Role::Hook,
            name: "readd".to_owned(),
            incident: "i".to_owned(),
            event,
        };
        let ended = |success, beyond, last: Option<&str>| ProgramEvent::Ended {
            ending: "exit status: 3".to_owned(),
            success,
            ran: Duration::from_millis(1_234),
            kept: 5,
            beyond,
            last: last.map(str::to_owned),
        };
        for (event, sentence, well) in [
            (ProgramEvent::Began, "hook readd began", true),
            (
                ProgramEvent::NotRun { why: "busy".to_owned() },
                "hook readd did not run: busy",
                false,
            ),
            (ended(true, 0, None), "hook readd ended after 1.2 s: exit status: 3", true),
            (
                ended(false, 9, Some("no such device")),
                "hook readd ended after 1.2 s: exit status: 3, 9 bytes of its output were too much; \
                 it said: no such device",
                false,
            ),
        ] {
            let note = note(event);
            assert_eq!((note.to_string().as_str(), note.is_well()), (sentence, well));
        }
    }
}
