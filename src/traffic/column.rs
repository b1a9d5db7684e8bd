//! One column: a class of an interface, what it had counted last, and its minute so far.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::row::{TOP, TrafficRow};
use super::{ClassTotals, InterfaceTotals};
use crate::time::{Mono, Stamp};
use crate::wire::ServiceName;

/// Whose a column is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ColumnOwner {
    /// Name of the interface.
    pub(super) interface: String,
    /// Its index; zero where that is of another boot, and means nothing now.
    pub(super) index: u32,
    /// Name of the class.
    pub(super) class: String,
}

/// A class of an interface.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) owner: ColumnOwner,
    /// What it had counted when a row ended last, and since when; none after a gap.
    last: Option<LastCounted>,
    /// When it was heard of last.
    pub(super) heard: Mono,
    /// The minute so far; none without a row in it.
    minute: Option<TrafficRow>,
}

#[derive(Debug)]
struct LastCounted {
    at: Stamp,
    since: (Stamp, u64),
    name: String,
    totals: ClassTotals,
}

impl Column {
    pub(super) fn new(owner: ColumnOwner) -> Self {
        Self { owner, last: None, heard: Mono(0), minute: None }
    }

    /// What passed since the last time; none after a gap, and where counting began anew.
    pub(super) fn row(&mut self, of: &InterfaceTotals, now: &ClassTotals) -> Option<TrafficRow> {
        self.heard = of.at.mono;
        // Frames of a renamed interface are counted anew.
        let (at, since, name) = (of.at, of.since, of.interface.clone());
        let counted = LastCounted { at, since, name, totals: now.clone() };
        let last = self.last.replace(counted)?;
        if last.since != of.since || last.name != of.interface {
            return None;
        }
        let row = difference(now, &last.totals, of.at.mono.since(last.at.mono))?;
        match &mut self.minute {
            Some(minute) => minute.add(&row),
            None => self.minute = Some(row.clone()),
        }
        Some(row)
    }

    /// Nothing was heard of it: what comes next is no continuation.
    pub(super) fn gap(&mut self) {
        self.last = None;
    }

    /// True if nothing is heard of it any more.
    pub(super) fn is_gone(&self) -> bool {
        self.last.is_none()
    }

    /// The minute is over.
    pub(super) fn minute(&mut self) -> Option<TrafficRow> {
        let mut minute = self.minute.take()?;
        minute.keep_largest(TOP);
        Some(minute)
    }
}

/// What was counted in between; none where no time passed.
fn difference(now: &ClassTotals, before: &ClassTotals, span: Duration) -> Option<TrafficRow> {
    let kernel_dropped = now.kernel_dropped.zip(before.kernel_dropped);
    let mut row = TrafficRow {
        span,
        frames: now.frames.checked_sub(before.frames)?,
        bytes: now.bytes.checked_sub(before.bytes)?,
        folded: now.folded.checked_sub(before.folded)?,
        dropped: now.dropped.checked_sub(before.dropped)?,
        kernel_dropped: kernel_dropped.map(|(now, before)| now.saturating_sub(before)),
        services: services(&now.services, &before.services),
    };
    row.keep_largest(TOP);
    (!span.is_zero()).then_some(row)
}

/// What each service brought since.
fn services(
    now: &[(u32, ServiceName, u64)],
    before: &[(u32, ServiceName, u64)],
) -> Vec<(ServiceName, u64)> {
    let brought = |(lease, service, bytes): &(u32, ServiceName, u64)| {
        let known = before.iter().find(|(known, ..)| known == lease);
        let bytes = bytes - known.map_or(0, |(.., known)| *known).min(*bytes);
        (bytes > 0).then_some((*service, bytes))
    };
    now.iter().filter_map(brought).collect()
}
