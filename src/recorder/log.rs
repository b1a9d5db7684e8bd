//! What an operator reads in the log while nothing is wrong, and what more when something is; in a storm
//! only as much as a person can read.

use std::time::Duration;

use crate::time::Mono;
use crate::watch::{CaptureEvent, Fact, Observation};

/// How much was told in the present second.
#[derive(Debug, Default)]
pub(super) struct Log {
    since: Mono,
    told: u32,
    untold: u64,
}

impl Log {
    /// Observations told in a second: a screen of them. The bundle has all.
    const A_SECOND: u32 = 50;

    /// Tells how much was not told.
    pub(super) fn end(&self) {
        if self.untold > 0 {
            tracing::info!("{} more observations are not told one by one", self.untold);
        }
    }

    /// Tells an observation, if it is worth a line and there were not too many.
    pub(super) fn tell(&mut self, seen: &Observation) {
        let Some(is_bad) = worth(&seen.fact) else { return };
        if seen.at.mono.since(self.since) >= Duration::from_secs(1) {
            self.end();
            *self = Self { since: seen.at.mono, ..Self::default() };
        }
        if self.told >= Self::A_SECOND {
            self.untold += 1;
            return;
        }
        self.told += 1;
        if is_bad { tracing::warn!("{}", seen.fact) } else { tracing::info!("{}", seen.fact) }
    }
}

/// Whether a fact is worth a line, and if so, whether something is wrong.
fn worth(fact: &Fact) -> Option<bool> {
    match fact {
        Fact::Sample(_) | Fact::ProbeAnswered { .. } => None,
        // A dead host is lost every second; the log has the 1st, 2nd, 4th, 8th, ...
        Fact::ProbeLost { in_a_row, .. } if !in_a_row.is_power_of_two() => None,
        Fact::ProbeLost { .. }
        | Fact::LinkGone { .. }
        | Fact::ReloadRefused { .. }
        | Fact::Missed { .. }
        | Fact::Capture {
            event: CaptureEvent::Gap | CaptureEvent::Failed { .. } | CaptureEvent::Dropping,
            ..
        } => Some(true),
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Stamp, Wall};

    #[test]
    fn a_storm_is_told_for_a_while_and_then_counted() {
        const S: u64 = 1_000_000_000;
        let mut log = Log::default();
        let mut told = |at: u64| {
            let at = Stamp { mono: Mono(at), wall: Wall(0) };
            log.tell(&Observation { at, fact: Fact::SnapshotSignal });
            (log.told, log.untold)
        };
        for n in 1..=Log::A_SECOND {
            assert_eq!(told(5 * S), (n, 0));
        }
        assert_eq!(told(5 * S), (Log::A_SECOND, 1));
        assert_eq!(told(6 * S - 1), (Log::A_SECOND, 2));
        assert_eq!(told(6 * S), (1, 0));
    }
}
