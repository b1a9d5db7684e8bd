//! What a detector remembers of a finding between its beginning and its end, and of a neighbour that is
//! to be heard again and again.

use std::time::Duration;

use super::heard::{Heard, Now};
use crate::finding::Finding;
use crate::time::Stamp;

/// Nobody waits longer for a neighbour that fell silent: it was taken out of service.
pub(super) const FORGET: Duration = Duration::from_secs(3_600);

/// What begins again so soon after it began before is flapping.
const FLAPPING: Duration = Duration::from_secs(60);
/// From this time on the sentence says how often: twice may be chance.
const FLAPS: u32 = 3;

/// How often something happened without a pause.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    times: u32,
    first: Stamp,
    last: Stamp,
}

impl Repeats {
    /// It happens at `at`: from the third time on " (5 times in 28 s)", else nothing.
    pub(super) fn again(&mut self, at: Stamp) -> String {
        if self.times == 0 || at.mono.since(self.last.mono) > FLAPPING {
            *self = Self { times: 0, first: at, last: at };
        }
        (self.times, self.last) = (self.times + 1, at);
        if self.times < FLAPS {
            return String::new();
        }
        let seconds = at.mono.since(self.first.mono).as_secs_f64();
        format!(" ({} times in {seconds:.0} s)", self.times)
    }
}

/// A finding while it lasts: told when it begins, and again when it is over.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    open: Option<Box<Finding>>,
    repeats: Repeats,
}

impl Lasting {
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Tells that it begins, and how often if it does so again and again; while it lasts, counts one more
    /// frame of it.
    pub(super) fn begin(&mut self, mut finding: Finding, findings: &mut Vec<Finding>) {
        if self.is_open() {
            self.more(finding.last);
        } else {
            finding.sentence += &self.repeats.again(finding.first);
            findings.push(finding.clone());
            self.open = Some(Box::new(finding));
        }
    }

    /// Begins, or tells once more what lasts and turned out worse.
    pub(super) fn begin_or_worsen(&mut self, finding: Finding, findings: &mut Vec<Finding>) {
        match &mut self.open {
            Some(open) if open.severity < finding.severity => {
                let (first, count, what) = (open.first, open.count + 1, open.what.clone());
                **open = Finding { first, count, what, ..finding };
                findings.push((**open).clone());
            }
            _ => self.begin(finding, findings),
        }
    }

    /// One more frame belongs to it.
    pub(super) fn more(&mut self, at: Stamp) {
        if let Some(finding) = &mut self.open {
            finding.last = at;
            finding.count += 1;
        }
    }

    /// When its first frame came, while it lasts.
    pub(super) fn first(&self) -> Option<Stamp> {
        self.open.as_ref().map(|finding| finding.first)
    }

    /// As it stands, while it lasts: with its frames until now.
    pub(super) fn standing(&self) -> Option<Finding> {
        self.open.as_deref().cloned()
    }

    /// When its last frame came, while it lasts.
    pub(super) fn last(&self) -> Option<Stamp> {
        self.open.as_ref().map(|finding| finding.last)
    }

    /// Tells that it is over, if it was.
    pub(super) fn end(
        &mut self,
        at: Stamp,
        sentence: impl FnOnce() -> String,
        findings: &mut Vec<Finding>,
    ) {
        if let Some(mut finding) = self.open.take() {
            finding.last = at;
            finding.over = true;
            finding.sentence = sentence();
            findings.push(*finding);
        }
    }
}

/// How often somebody speaks, and how long nothing may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rhythm {
    /// From one message to the next.
    pub(super) interval: Duration,
    /// Silence that is still in order.
    pub(super) patience: Duration,
}

/// Somebody heard at intervals. Silent once nothing came for longer than its patience.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When it was heard last.
    pub(super) last: Stamp,
    /// When it is to be heard again.
    pub(super) rhythm: Rhythm,
    /// The finding that it is silent, or said goodbye.
    pub(super) silence: Lasting,
}

impl Pulse {
    pub(super) fn new(last: Stamp, rhythm: Rhythm) -> Self {
        Self { last, rhythm, silence: Lasting::default() }
    }

    /// It was heard. `what` names it, as in "VRRP group 7".
    pub(super) fn beat(
        &mut self,
        heard: &Heard<'_>,
        rhythm: Rhythm,
        what: impl FnOnce() -> String,
        findings: &mut Vec<Finding>,
    ) {
        let silent = heard.at().mono.since(self.last.mono);
        let sentence = || format!("{} is heard again after {:.1} s", what(), silent.as_secs_f64());
        self.silence.end(heard.at(), sentence, findings);
        self.renew(heard.at(), rhythm);
    }

    /// It was heard, which ends no silence: what it says is no better.
    pub(super) fn renew(&mut self, at: Stamp, rhythm: Rhythm) {
        (self.last, self.rhythm) = (at, rhythm);
    }

    /// When the first message was due that is missing: there a silence begins, for what was still heard is
    /// no part of it.
    pub(super) fn due(&self, now: Stamp) -> Stamp {
        let mono = self.last.mono.plus(self.rhythm.interval).min(now.mono);
        Stamp { mono, wall: now.offset().wall(mono) }
    }

    /// Tells silence if it is time; `finding` says what is silent.
    pub(super) fn check(
        &mut self,
        now: &Now<'_>,
        finding: impl FnOnce(Duration) -> Finding,
        findings: &mut Vec<Finding>,
    ) {
        let silent = now.at.mono.since(self.last.mono);
        if silent > self.rhythm.patience && !self.silence.is_open() {
            let finding = Finding { first: self.due(now.at), count: 0, ..finding(silent) };
            self.silence.begin(finding, findings);
        }
    }

    /// True once it was silent for so long that nobody waits any more; ends the finding.
    pub(super) fn is_forgotten(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) -> bool {
        let patience = self.rhythm.patience.saturating_mul(2);
        let forgotten = now.at.mono.since(self.last.mono) > FORGET.max(patience);
        if forgotten {
            let sentence = || "silent for an hour, not waited for any longer".to_owned();
            self.silence.end(now.at, sentence, findings);
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Mono, Wall};

    #[test]
    fn what_flaps_says_how_often_from_the_third_time_on() {
        let stamp = |s: u64| Stamp { mono: Mono(s * 1_000_000_000), wall: Wall(0) };
        let mut repeats = Repeats::default();
        let said: Vec<String> =
            [5, 12, 19, 26, 33, 94, 200].into_iter().map(|s| repeats.again(stamp(s))).collect();
        let expected =
            ["", "", " (3 times in 14 s)", " (4 times in 21 s)", " (5 times in 28 s)", "", ""];
        assert_eq!(said, expected, "after a minute of quiet it is counted anew");
    }
}
