//! LLDP: the neighbour at the other end of the cable is another one, another port of it, or gone.

use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now};
use super::lasting::Pulse;
use crate::finding::{Finding, FindingKind, Severity};
use crate::frame::Direction;
use crate::wire::lldp::Lldp;

/// Neighbours on one interface: one, and more where something between them passes LLDP on.
const MOST: usize = 64;
/// Beyond the time to live, which is several intervals anyway.
const GRACE: Duration = Duration::from_secs(1);

/// Sent by this host; chassis, port.
type Name = (bool, String, String);

/// Judges the PDUs of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    neighbours: Bounded<Name, Pulse>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { neighbours: Bounded::new(MOST) }
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
        if self.neighbours.get(&name).is_none()
            && let Some(before) = self.replaced_by(heard, &name)
        {
            let sentence = format!("{what} is heard, where {before} was");
            let kind = FindingKind::LldpNeighborChanged;
            findings.push(heard.finding(kind, Severity::Notice, sentence));
        }
        let patience = Duration::from_secs(pdu.ttl.into()) + GRACE;
        let make = || Pulse::new(heard.at(), patience);
        if let Some(pulse) = self.neighbours.entry(name, make) {
            pulse.beat(heard, patience, || what, findings);
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
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

    /// The neighbour whose place a new one takes. Where directions are not known, both ends of the cable
    /// are heard, and only another port of the same chassis is a change.
    fn replaced_by(&self, heard: &Heard<'_>, new: &Name) -> Option<String> {
        let known = heard.direction() == Direction::Inbound;
        let mut others = self.neighbours.iter().map(|(name, _)| name);
        others.find(|name| name.0 == new.0 && (known || name.1 == new.1)).map(named)
    }
}

fn named((own, chassis, port): &Name) -> String {
    let whose = if *own { "this host as LLDP neighbor" } else { "LLDP neighbor" };
    format!("{whose} {chassis} port {port}")
}
