//! BFD: an end says that its session is down and why, or is not heard within the detection time.

use std::net::IpAddr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::Pulse;
use crate::finding::{Finding, FindingKind, Severity};
use crate::wire::bfd::{Bfd, State};
use crate::wire::link::Vlans;

/// Ends of sessions on one interface.
const MOST: usize = 1_024;
/// Beyond the detection time: our stamps are taken on the way, not at the receiver.
const GRACE: Duration = Duration::from_millis(20);

/// VLANs, source, destination.
type Name = (Vlans, IpAddr, IpAddr);

/// Judges the control packets of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    ends: Bounded<Name, End>,
}

#[derive(Debug)]
struct End {
    last: Bfd,
    /// Its silence is its being down: silent or saying so.
    pulse: Pulse,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { ends: Bounded::new(MOST) }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, bfd: &Bfd, findings: &mut Vec<Finding>) {
        let Some(packet) = heard.reading.packet else { return };
        let (source, destination) = (packet.source, packet.destination);
        let other = self.ends.get(&(heard.vlans(), destination, source)).map(|end| end.last);
        let patience = patience(bfd, other.as_ref());
        let make = || End { last: *bfd, pulse: Pulse::new(heard.at(), patience) };
        let name = (heard.vlans(), source, destination);
        let Some(end) = self.ends.entry(name, make) else { return };
        let before = std::mem::replace(&mut end.last, *bfd).state;
        let session = format!("BFD session {source} → {destination}{}", place(heard.vlans()));
        match bfd.state {
            State::Up => end.pulse.beat(heard, patience, || session, findings),
            _ if before == State::Up || end.pulse.silence.is_open() => {
                let administrative = bfd.state == State::AdminDown;
                let severity = if administrative { Severity::Notice } else { Severity::Critical };
                let sentence = format!("{session}: {} ({})", bfd.state, bfd.diagnostic());
                let finding = heard.finding(FindingKind::BfdDown, severity, sentence);
                end.pulse.silence.begin(finding, findings);
                (end.pulse.last, end.pulse.patience) = (heard.at(), patience);
            }
            _ => (end.pulse.last, end.pulse.patience) = (heard.at(), patience),
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.ends.retain(|(vlans, source, destination), end| {
            let silence = |silent: Duration| {
                let what = format!("BFD {source} → {destination}{}", place(*vlans));
                let sentence = format!(
                    "{what}: nothing heard for {:.3} s, longer than its detection time",
                    silent.as_secs_f64()
                );
                now.finding(FindingKind::BfdDown, Severity::Critical, what, sentence)
            };
            if end.last.state == State::Up {
                end.pulse.check(now, silence, findings);
            }
            !end.pulse.is_forgotten(now, findings)
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.ends.refused()
    }
}

/// The detection time (RFC 5880 §6.8.4): the sender's multiplier of the interval that both agreed on.
/// Endless where the receiver asked for silence, or is not heard here so that its wish is not known.
fn patience(bfd: &Bfd, other: Option<&Bfd>) -> Duration {
    match other {
        Some(other) if !other.demand && !other.receive.is_zero() => bfd
            .transmit
            .max(other.receive)
            .saturating_mul(bfd.multiplier.into())
            .saturating_add(GRACE),
        _ => Duration::MAX,
    }
}
