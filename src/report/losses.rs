//! What recorders say that they lost: the interface statistics of pcapng files, which count from the beginning
//! of a recording to its end.
//!
//! When it was lost they do not say, so it belongs to no incident and stays a notice. Of a bundle's capture
//! they are left out: its manifest and its events say the same, and when.

use super::model::Loss;
use super::pass::Pass;
use crate::capture_file::merge::Merged;
use crate::capture_file::statistics::Statistics;
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::time::{Offset, Stamp, Wall};
use crate::words;

/// What a loss that a file tells is called.
const DROPPED: &str = "dropped";

impl Pass<'_> {
    /// Adds a finding for each interface of a file that lost frames; returns all counts, also of zero.
    pub(super) fn losses(&mut self, files: &Merged) -> Vec<Loss> {
        let mut losses: Vec<Loss> = Vec::new();
        for (number, source) in files.sources().enumerate() {
            if self.covering[number] {
                continue;
            }
            for told in source.statistics() {
                let Some(dropped) = told.dropped.max(told.os_dropped) else { continue };
                let place = self.places.get(number).and_then(|file| *file.get(told.origin)?);
                let judged = place.flatten().map(|place| &self.interfaces[place]);
                let unseen = || source.origins()[told.origin].interface.clone();
                let interface = judged.map_or_else(unseen, |judged| judged.name.to_string());
                // Of files that one recorder wrote in turns, each counts on from the one before.
                match losses.iter_mut().find(|loss| loss.interface == interface) {
                    Some(known) => known.count = known.count.max(Some(dropped)),
                    None => losses.push(Loss {
                        interface: interface.clone(),
                        name: DROPPED.to_owned(),
                        count: Some(dropped),
                    }),
                }
                if dropped > 0 {
                    let span = judged.and_then(|judged| judged.span).unwrap_or_default();
                    let finding = finding(told, dropped, &interface, &self.named(number), span);
                    self.shared.ledger.add(finding, |_| None);
                }
            }
        }
        losses
    }
}

fn finding(
    told: &Statistics,
    dropped: u64,
    interface: &str,
    file: &str,
    span: (Wall, Wall),
) -> Finding {
    let stamp = |wall| Stamp { mono: Offset::default().mono(wall), wall };
    let of = told.received.filter(|received| *received >= dropped && dropped > 0);
    let of = of.map_or_else(String::new, |received| {
        let percent = dropped as f64 / received as f64 * 100.0;
        format!(" of {} ({percent:.1} %)", words::count(received))
    });
    let what = format!("{}{of} frames dropped", words::count(dropped));
    Finding {
        kind: FindingKind::Drops,
        severity: Severity::Notice,
        first: stamp(told.from.unwrap_or(span.0)),
        last: stamp(told.to.unwrap_or(span.1)),
        interface: Some(interface.to_owned()),
        direction: Direction::Unknown,
        count: dropped,
        rate: None,
        sentence: format!(
            "{what} on {interface} before they were recorded, say the statistics in {file}"
        ),
        what,
        parties: Vec::new(),
        over: true,
    }
}
