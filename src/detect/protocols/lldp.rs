//! LLDP: the neighbour at the other end of the cable is another one, another port of it, or gone.

use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now};
use super::lasting::{Lasting, Pulse, Rhythm};
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::wire::lldp::Lldp;

/// Neighbours on one interface: one, and more where something between them passes LLDP on.
const MOST: usize = 64;
/// Beyond the time to live, which is several intervals anyway.
const GRACE: Duration = Duration::from_secs(1);
/// Intervals in a time to live, where only one PDU was heard (IEEE 802.1AB 9.2.5.6, msgTxHold).
const HOLD: u32 = 4;

/// Sent by this host; chassis, port.
type Name = (bool, String, String);

/// Judges the PDUs of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    neighbours: Bounded<Name, Pulse>,
    /// One that was heard first while another was there, and when: is that one still heard?
    newcomer: Option<(Name, Finding)>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { neighbours: Bounded::new(MOST), newcomer: None }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, pdu: &Lldp<'_>, findings: &mut Vec<Finding>) {
        let own = heard.direction() == Direction::Outbound;
        let name = (own, pdu.chassis.to_string(), pdu.port.to_string());
        let what = named(&name);
        if pdu.ttl == 0 {
            if self.neighbours.remove(&name).is_some() {
                let sentence = format!("{what} says goodbye");
                let kind = FindingKind::LldpNeighborChanged;
                findings.push(heard.finding(kind, Severity::Notice, sentence));
            }
            return;
        }
        let patience = Duration::from_secs(pdu.ttl.into());
        let known = self.neighbours.get(&name).map(|known| known.last);
        let interval = known.map_or(patience / HOLD, |last| heard.at().mono.since(last.mono));
        if known.is_none() && self.neighbours.iter().any(|(other, _)| other.0 == own) {
            let finding = heard.finding(
                FindingKind::LldpNeighborChanged,
                Severity::Notice,
                format!("{what} is heard"),
            );
            self.newcomer = Some((name.clone(), finding));
        }
        let rhythm = Rhythm { interval: interval.min(patience), patience: patience + GRACE };
        let make = || Pulse::new(heard.at(), rhythm);
        if let Some(pulse) = self.neighbours.entry(name, make) {
            pulse.beat(heard, rhythm, || what, findings);
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.compare(now, findings);
        self.neighbours.retain(|name, pulse| {
            let gone = |silent: Duration| {
                let what = named(name);
                let sentence = format!(
                    "{what} is gone: its time to live ran out {:.0} s after its last word",
                    silent.as_secs_f64()
                );
                now.finding(FindingKind::LldpNeighborChanged, Severity::Warning, what, sentence)
            };
            pulse.check(now, gone, findings);
            !pulse.is_forgotten(now, findings)
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.neighbours.refused()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.neighbours.iter().map(|(_, pulse)| &pulse.silence)
    }

    /// A newcomer takes the place of the neighbour that was there, once that one missed its turn: where both
    /// go on, they are the two ends of the wire, or several behind one port.
    fn compare(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        let Some((name, finding)) = self.newcomer.take() else { return };
        let is_other = |other: &Name| other.0 == name.0 && *other != name;
        let others: Vec<_> = self.neighbours.iter().filter(|(other, _)| is_other(other)).collect();
        let [(old, pulse)] = others[..] else { return };
        let (last, interval) = (pulse.last.mono, pulse.rhythm.interval);
        if last > finding.first.mono {
            return;
        }
        let old = old.clone();
        if now.at.mono.since(last) <= interval + interval / 2 {
            self.newcomer = Some((name, finding));
            return;
        }
        let sentence = format!("{}, where {} was", finding.sentence, named(&old));
        findings.push(Finding { sentence, ..finding });
        self.neighbours.remove(&old);
    }
}

fn named((own, chassis, port): &Name) -> String {
    let whose = if *own { "this host as LLDP neighbor" } else { "LLDP neighbor" };
    format!("{whose} {chassis} port {port}")
}
