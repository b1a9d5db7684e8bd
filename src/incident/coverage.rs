//! What of a window memory has, told to whoever asked for it before its bundle is there.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// What of a window is there, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// How long after the moment it is about it was asked for.
    pub asked_after_ns: u64,
    /// First moment of the window.
    pub from: Wall,
    /// Last moment of the window; what is still to come will be recorded.
    pub to: Wall,
    /// From here on everything is pinned, on every interface.
    pub held_from: Wall,
    /// True if nothing of the window is missing.
    pub full: bool,
    /// What of it is missing, the longest first, at most [`Coverage::MOST`].
    pub missing: Vec<MissingPart>,
    /// Parts beyond those.
    pub more_missing: u64,
}

/// A part of a window that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPart {
    /// The interface; none where it is all of them.
    pub interface: Option<String>,
    /// The class; none where it is all of them.
    pub class: Option<String>,
    /// Why.
    pub reason: String,
    /// Its beginning.
    pub from: Wall,
    /// Its end.
    pub to: Wall,
}

impl Coverage {
    /// Parts that are told one by one: a line each is what a person reads.
    pub const MOST: usize = 8;

    /// How long after the moment it is about it was asked for.
    pub fn asked_after(&self) -> Duration {
        Duration::from_nanos(self.asked_after_ns)
    }
}

/// What is missing, in words.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, more_missing, .. } = self;
        for (n, part) in missing.iter().enumerate() {
            write!(f, "{}{part}", if n == 0 { "missing: " } else { "; " })?;
        }
        if *more_missing > 0 { write!(f, "; and {more_missing} more parts") } else { Ok(()) }
    }
}

impl fmt::Display for MissingPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, class, reason, from, to } = self;
        match (interface, class) {
            (Some(interface), Some(class)) => write!(f, "{interface} {class}")?,
            (Some(one), None) | (None, Some(one)) => f.write_str(one)?,
            (None, None) => f.write_str("everything")?,
        }
        write!(f, " {} to {} ({reason})", from.time_of_day(), to.time_of_day())
    }
}
