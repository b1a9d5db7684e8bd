//! ICMP: many packets at once do not arrive. A single error is daily business: a closed port, a host
//! that is off, traceroute.

use std::time::Duration;

use super::heard::{Heard, Now};
use super::lasting::Lasting;
use crate::finding::{Finding, FindingKind, Severity};
use crate::time::Mono;
use crate::wire::icmp_message::IcmpMessage;

/// Counted in slots of a second each: that many are the window.
const SLOTS: usize = 10;
const SLOT: Duration = Duration::from_secs(1);

/// Judges the ICMP errors of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    most: u32,
    counts: [u32; SLOTS],
    /// When the latest slot began.
    slot: Mono,
    burst: Lasting,
}

impl Watch {
    /// The time in which [`Watch::new`]'s `most` are counted.
    pub(super) const WINDOW: Duration = Duration::from_secs(SLOTS as u64);

    /// More than `most` within the window are a burst.
    pub(super) fn new(most: u32) -> Self {
        Self { most, counts: [0; SLOTS], slot: Mono::default(), burst: Lasting::default() }
    }

    pub(super) fn heard(
        &mut self,
        heard: &Heard<'_>,
        icmp: &IcmpMessage,
        findings: &mut Vec<Finding>,
    ) {
        if !icmp.is_unreachable() {
            return;
        }
        self.turn(heard.at().mono);
        self.counts[0] = self.counts[0].saturating_add(1);
        self.burst.more(heard.at());
        let count = self.total();
        if count > u64::from(self.most) && !self.burst.is_open() {
            let seconds = Self::WINDOW.as_secs();
            let sentence = format!("{count} packets in {seconds} s cannot be delivered, says ICMP");
            let kind = FindingKind::IcmpUnreachableBurst;
            let finding = heard.finding(kind, Severity::Warning, sentence);
            let rate = Some(count as f64 / Self::WINDOW.as_secs_f64());
            self.burst.begin(Finding { count, rate, ..finding }, findings);
        }
    }

    /// Over at half the rate at which it began.
    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        [&self.burst].into_iter()
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.turn(now.at.mono);
        if self.total() <= u64::from(self.most / 2) {
            let sentence = || "ICMP errors are few again".to_owned();
            self.burst.end(now.at, sentence, findings);
        }
    }

    fn total(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// Begins as many new slots as time has passed.
    fn turn(&mut self, now: Mono) {
        let passed = (now.since(self.slot).as_nanos() / SLOT.as_nanos()).min(SLOTS as u128);
        if passed == 0 {
            return;
        }
        // At most SLOTS.
        let passed = passed as usize;
        self.counts.rotate_right(passed);
        self.counts[..passed].fill(0);
        self.slot = now;
    }
}
