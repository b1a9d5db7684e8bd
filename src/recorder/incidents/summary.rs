//! What a recording came to, told as it happens and at the end.

use std::path::PathBuf;

use crate::incident::store::Removed;
use crate::incident::writer::{Lost, Outcome};
use crate::stats::CaptureStats;

/// What a recording came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Bundles written.
    pub bundles: Vec<PathBuf>,
    /// Incidents that could not be written.
    pub lost: u64,
    /// Old bundles that went, because the limits of the store say so.
    pub removed: u64,
    /// Triggers that opened nothing because the same had just opened an incident.
    pub cooling: u64,
    /// Triggers that opened nothing because an hour had brought as many incidents as it may.
    pub over_budget: u64,
    /// Windows that were held, and released because nothing confirmed them.
    pub holds_released: u64,
    /// Windows that were not held because too many were.
    pub holds_refused: u64,
    /// Per interface, exact: the kernel was drained.
    pub interfaces: Vec<(String, CaptureStats)>,
}

impl Summary {
    /// Takes in, and logs, what became of an incident.
    pub(super) fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Written { bundle, took, .. } => {
                tracing::info!(
                    "bundle {} ({} frames, {} bytes, written in {:.2} s)",
                    bundle.path.display(),
                    bundle.frames,
                    bundle.bytes,
                    took.as_secs_f64()
                );
                self.bundles.push(bundle.path);
            }
            // Said less and less often.
            Outcome::Retrying { name, attempts, reason } if attempts.is_power_of_two() => {
                tracing::error!("{name} stays in memory after attempt {attempts}: {reason}");
            }
            Outcome::Retrying { .. } => {}
            Outcome::Lost(lost) => self.lost(&lost),
            Outcome::Removed(Removed { name, bytes, why }) => {
                self.removed += 1;
                tracing::info!("removed bundle {name} ({bytes} bytes): {why}");
            }
        }
    }

    /// Logs what was left out on purpose, where there is any.
    pub(super) fn tell_unwritten(&self) {
        for (count, what) in [
            (self.cooling, "triggers opened nothing, cooling down"),
            (self.over_budget, "triggers opened nothing, the hourly budget was spent"),
            (self.holds_released, "held windows were released unconfirmed"),
            (self.holds_refused, "windows were not held, too many were"),
        ] {
            if count > 0 {
                tracing::info!("{count} {what}");
            }
        }
    }

    /// Counts an incident that was never written.
    pub(super) fn lost(&mut self, lost: &Lost) {
        self.lost += 1;
        tracing::error!("lost {} after {} attempts: {}", lost.name, lost.attempts, lost.reason);
        if let Some(spool) = &lost.spool {
            let spool = spool.display();
            tracing::warn!(
                "what was on the disk of it is in {spool}: the next start makes a bundle of it"
            );
        }
    }
}
