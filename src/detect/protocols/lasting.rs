//! What a detector remembers of a finding between its beginning and its end, and of a neighbour that is
//! to be heard again and again.

use std::time::Duration;

use super::heard::{Heard, Now};
use crate::finding::Finding;
use crate::time::Stamp;

/// Nobody waits longer for a neighbour that fell silent: it was taken out of service.
pub(super) const FORGET: Duration = Duration::from_secs(3_600);

/// So many that are missing make a silence, nearly everywhere: LACP (IEEE 802.1AX 6.4.4), VRRP (RFC 9568 §6.1),
/// HSRP (RFC 2281 §5.1), BFD as it is mostly configured; OSPF waits for four.
const MISSING: u32 = 3;

/// A finding while it lasts: told when it begins, and again when it is over.
#[derive(Debug, Default)]
pub(super) struct Lasting(Option<Box<Finding>>);

impl Lasting {
    pub(super) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Tells that it begins; while it lasts, counts one more frame of it.
    pub(super) fn begin(&mut self, finding: Finding, findings: &mut Vec<Finding>) {
        match &mut self.0 {
            Some(_) => self.more(finding.last),
            None => {
                findings.push(finding.clone());
                self.0 = Some(Box::new(finding));
            }
        }
    }

    /// One more frame belongs to it.
    pub(super) fn more(&mut self, at: Stamp) {
        if let Some(finding) = &mut self.0 {
            finding.last = at;
            finding.count += 1;
        }
    }

    /// When its last frame came, while it lasts.
    pub(super) fn last(&self) -> Option<Stamp> {
        self.0.as_ref().map(|finding| finding.last)
    }

    /// Tells that it is over, if it was.
    pub(super) fn end(
        &mut self,
        at: Stamp,
        sentence: impl FnOnce() -> String,
        findings: &mut Vec<Finding>,
    ) {
        if let Some(mut finding) = self.0.take() {
            finding.last = at;
            finding.over = true;
            finding.sentence = sentence();
            findings.push(*finding);
        }
    }
}

/// Somebody heard at intervals. Silent once nothing came for longer than its patience.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When it was heard last.
    pub(super) last: Stamp,
    /// Silence that is still in order.
    pub(super) patience: Duration,
    /// The finding that it is silent, or said goodbye.
    pub(super) silence: Lasting,
}

impl Pulse {
    pub(super) fn new(last: Stamp, patience: Duration) -> Self {
        Self { last, patience, silence: Lasting::default() }
    }

    /// It was heard. `what` names it, as in "VRRP group 7".
    pub(super) fn beat(
        &mut self,
        heard: &Heard<'_>,
        patience: Duration,
        what: impl FnOnce() -> String,
        findings: &mut Vec<Finding>,
    ) {
        let silent = heard.at().mono.since(self.last.mono);
        let sentence = || format!("{} is heard again after {:.1} s", what(), silent.as_secs_f64());
        self.silence.end(heard.at(), sentence, findings);
        self.last = heard.at();
        self.patience = patience;
    }

    /// Tells silence if it is time; `finding` says what is silent. It begins when the first that is missing was
    /// due: what was still heard is no part of it, and must not be taken for the onset of an incident.
    pub(super) fn check(
        &mut self,
        now: &Now<'_>,
        finding: impl FnOnce(Duration) -> Finding,
        findings: &mut Vec<Finding>,
    ) {
        let silent = now.at.mono.since(self.last.mono);
        if silent > self.patience && !self.silence.is_open() {
            let due = self.last.mono.plus(self.patience / MISSING);
            let first = Stamp { mono: due, wall: now.at.offset().wall(due) };
            let finding = Finding { first, count: 0, ..finding(silent) };
            self.silence.begin(finding, findings);
        }
    }

    /// True once it was silent for so long that nobody waits any more; ends the finding.
    pub(super) fn is_forgotten(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) -> bool {
        let forgotten =
            now.at.mono.since(self.last.mono) > FORGET.max(self.patience.saturating_mul(2));
        if forgotten {
            let sentence = || "silent for an hour, not waited for any longer".to_owned();
            self.silence.end(now.at, sentence, findings);
        }
        forgotten
    }
}
