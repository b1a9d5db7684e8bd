//! What a protocol's detector is shown: a frame with its meaning, or only the time.

use crate::detect::Seen;
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::Stamp;
use crate::wire::Reading;
use crate::wire::link::Vlans;

/// A frame that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard<'a> {
    pub(super) seen: &'a Seen<'a>,
    pub(super) reading: &'a Reading<'a>,
}

impl Heard<'_> {
    pub(super) fn at(&self) -> Stamp {
        self.seen.at
    }

    pub(super) fn direction(&self) -> Direction {
        self.seen.header.direction
    }

    pub(super) fn vlans(&self) -> Vlans {
        self.reading.vlans()
    }

    /// A finding that this frame gives rise to.
    pub(super) fn finding(
        &self,
        kind: FindingKind,
        severity: Severity,
        sentence: String,
    ) -> Finding {
        Finding {
            kind,
            severity,
            first: self.at(),
            last: self.at(),
            interface: Some(self.seen.interface.to_owned()),
            direction: self.direction(),
            count: 1,
            rate: None,
            what: self.reading.to_string(),
            sentence,
            over: false,
        }
    }
}

/// The time, on an interface.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'a> {
    pub(super) at: Stamp,
    pub(super) interface: &'a str,
}

impl Now<'_> {
    /// A finding that no frame but its absence gives rise to.
    pub(super) fn finding(
        &self,
        kind: FindingKind,
        severity: Severity,
        what: String,
        sentence: String,
    ) -> Finding {
        Finding {
            kind,
            severity,
            first: self.at,
            last: self.at,
            interface: Some(self.interface.to_owned()),
            direction: Direction::Unknown,
            count: 1,
            rate: None,
            what,
            sentence,
            over: false,
        }
    }
}

/// Where: ` in VLAN 956`, or nothing for untagged frames.
pub(super) fn place(vlans: Vlans) -> String {
    if vlans.ids().is_empty() { String::new() } else { format!(" in VLAN {vlans}") }
}
