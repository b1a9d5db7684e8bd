//! What an operator reads in the log while nothing is wrong, and what more when something is; in a storm
//! only as much as a person can read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::mem;
use std::time::Duration;

use crate::finding::Severity;
use crate::observation::counter::Counter;
use crate::observation::program::Role;
use crate::observation::{Fact, Observation};
use crate::time::Mono;

/// How much was told in the present second.
#[derive(Debug, Default)]
pub(in crate::recorder) struct Log {
    since: Mono,
    told: u32,
    untold: u64,
    counters: ToldCounters,
    /// A line about its trigger has told the present observation.
    was_told: bool,
}

/// Which counters were told, and when: one that grows all day is told once a minute.
#[derive(Debug, Default)]
struct ToldCounters(HashMap<(String, Counter), Mono>);

impl ToldCounters {
    const PAUSE: Duration = Duration::from_secs(60);
    /// Counters remembered; beyond that, all are forgotten and told anew.
    const MOST: usize = 4_096;

    /// True if this one was told within the last minute; if not, it is told now.
    fn were_told(&mut self, seen: &Observation) -> bool {
        let Fact::Counter(growth) = &seen.fact else { return false };
        let key = (growth.interface.clone(), growth.counter);
        let now = seen.at.mono;
        if self.0.get(&key).is_some_and(|told| now.since(*told) < Self::PAUSE) {
            return true;
        }
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        self.0.insert(key, now);
        false
    }
}

impl Log {
    /// Observations told in a second: a screen of them. The bundle has all.
    const A_SECOND: u32 = 50;

    /// Tells how much was not told.
    pub(in crate::recorder) fn end(&self) {
        if self.untold > 0 {
            tracing::info!("{} more observations are not told one by one", self.untold);
        }
    }

    /// A line about its trigger tells the observation that is being judged.
    pub(in crate::recorder) fn told_as_trigger(&mut self) {
        self.was_told = true;
    }

    /// Tells an observation, if it is worth a line, was not told already, and there were not too many.
    pub(super) fn tell(&mut self, seen: &Observation) {
        let was_told = mem::take(&mut self.was_told);
        if was_told || !is_worth_a_line(&seen.fact) || self.counters.were_told(seen) {
            return;
        }
        if seen.at.mono.since(self.since) >= Duration::from_secs(1) {
            self.end();
            (self.since, self.told, self.untold) = (seen.at.mono, 0, 0);
        }
        if self.told >= Self::A_SECOND {
            self.untold += 1;
            return;
        }
        self.told += 1;
        let sentence = seen.fact.to_string();
        let sentence = short(&sentence);
        if is_bad(&seen.fact) {
            tracing::warn!("{sentence}");
        } else {
            tracing::info!("{sentence}");
        }
    }
}

/// The beginning of a sentence, as long as a line of our own log may be: the bundle has all of it.
pub(in crate::recorder) fn short(sentence: &str) -> Cow<'_, str> {
    /// In bytes: eight lines of a terminal.
    const MOST: usize = 512;
    let kept = &sentence[..sentence.floor_char_boundary(MOST)];
    if kept.len() == sentence.len() { kept.into() } else { format!("{kept}...").into() }
}

/// Whether a fact is worth a line.
fn is_worth_a_line(fact: &Fact) -> bool {
    match fact {
        Fact::Sample(_) | Fact::ProbeAnswered { .. } => false,
        // A dead host is lost every second; the log has the 1st, 2nd, 4th, 8th, ...
        Fact::ProbeLost { in_a_row, .. } => in_a_row.is_power_of_two(),
        Fact::Program(note) => note.role != Role::Collector || !note.is_well(),
        _ => true,
    }
}

/// Whether something is wrong; the end of it is not.
fn is_bad(fact: &Fact) -> bool {
    let is_over = matches!(fact, Fact::Finding(finding) if finding.over);
    fact.severity() >= Severity::Warning && !is_over
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::counter::CounterGrowth;
    use crate::time::{Stamp, Wall};

    #[test]
    fn h1_a_sentence_in_our_own_log_is_bounded() {
        assert_eq!(short("eth0: DOWN"), "eth0: DOWN");
        let long = short(&"ä".repeat(4_000)).into_owned();
        assert!(long.ends_with("ä...") && long.len() <= 515, "{}", long.len());
    }

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

    /// Regression: each trigger stood in the log twice, as TRIGGER and as observation.
    #[test]
    fn what_its_trigger_told_is_not_told_again() {
        let mut log = Log::default();
        let seen = Observation { at: Stamp::default(), fact: Fact::SnapshotSignal };
        log.told_as_trigger();
        log.tell(&seen);
        assert_eq!(log.told, 0);
        log.tell(&seen);
        assert_eq!(log.told, 1);
    }

    #[test]
    fn a_counter_that_grows_all_day_is_told_once_a_minute() {
        let mut log = Log::default();
        let mut lines = 0;
        for second in 0..150 {
            for interface in ["eth0", "eth1"] {
                let growth = CounterGrowth {
                    interface: interface.to_owned(),
                    counter: Counter::RxDropped,
                    before: second,
                    now: second + 1,
                    per_second: 1.0,
                };
                let at = Stamp { mono: Mono(second * 1_000_000_000), wall: Wall(0) };
                let before = log.told;
                log.tell(&Observation { at, fact: Fact::Counter(Box::new(growth)) });
                lines += u32::from(log.told != before);
            }
        }
        assert_eq!(lines, 6, "at 0 s, 60 s and 120 s");
    }
}
