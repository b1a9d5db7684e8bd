//! BFD: an end says that its session is down and why, is not heard within the detection time, or never
//! comes up.

use std::net::IpAddr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, about, place};
use super::lasting::{Lasting, Pulse, Rhythm};
use crate::finding::{Finding, FindingKind, Severity};
use crate::time::Stamp;
use crate::wire::bfd::{Bfd, State};
use crate::wire::link::Vlans;

/// Ends of sessions on one interface.
const MOST: usize = 1_024;
/// Beyond the detection time: our stamps are taken on the way, not at the receiver.
const GRACE: Duration = Duration::from_millis(20);
/// Down for so long since it was first heard, a session does not come up: at one packet a second
/// (RFC 5880 §6.8.3) three would do.
const NEVER: Duration = Duration::from_secs(30);

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
    /// When it was heard first.
    since: Stamp,
    was_up: bool,
    never: Lasting,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { ends: Bounded::new(MOST) }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, bfd: &Bfd, findings: &mut Vec<Finding>) {
        let Some(packet) = heard.reading.packet else { return };
        let (source, destination) = (packet.source, packet.destination);
        let other = self.ends.get(&(heard.vlans(), destination, source)).map(|end| end.last);
        let rhythm = rhythm(bfd, other.as_ref());
        let make = || End {
            last: *bfd,
            pulse: Pulse::new(heard.at(), rhythm),
            since: heard.at(),
            was_up: false,
            never: Lasting::default(),
        };
        let name = (heard.vlans(), source, destination);
        let Some(end) = self.ends.entry(name, make) else { return };
        let before = std::mem::replace(&mut end.last, *bfd).state;
        let session = format!("BFD session {source} → {destination}{}", place(heard.vlans()));
        match bfd.state {
            State::Up => {
                end.was_up = true;
                end.never.end(heard.at(), || format!("{session} is up"), findings);
                end.pulse.beat(heard, rhythm, || session, findings);
            }
            _ if before == State::Up || end.pulse.silence.is_open() => {
                let administrative = bfd.state == State::AdminDown;
                let severity = if administrative { Severity::Notice } else { Severity::Critical };
                let sentence = format!("{session}: {} ({})", bfd.state, bfd.diagnostic());
                let finding = heard.finding(FindingKind::BfdDown, severity, sentence);
                end.pulse.silence.begin(finding, findings);
                end.pulse.renew(heard.at(), rhythm);
            }
            _ => {
                end.pulse.renew(heard.at(), rhythm);
                end.does_not_come_up(heard, &session, findings);
            }
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
                let finding = now.finding(FindingKind::BfdDown, Severity::Critical, what, sentence);
                about(finding, *vlans, &[*source, *destination])
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

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.ends.iter().flat_map(|(_, end)| [&end.pulse.silence, &end.never])
    }
}

impl End {
    fn does_not_come_up(&mut self, heard: &Heard<'_>, session: &str, findings: &mut Vec<Finding>) {
        let lasts = heard.at().mono.since(self.since.mono);
        if self.was_up || lasts < NEVER || self.last.state == State::AdminDown {
            return;
        }
        let (state, why) = (self.last.state, self.last.diagnostic());
        let seconds = lasts.as_secs();
        let sentence = format!("{session} does not come up: {state} for {seconds} s ({why})");
        let finding = heard.finding(FindingKind::BfdDown, Severity::Notice, sentence);
        self.never.begin(Finding { first: self.since, ..finding }, findings);
    }
}

/// The detection time (RFC 5880 §6.8.4): the sender's multiplier of the interval that both agreed on.
/// Endless where the receiver asked for silence, or is not heard here so that its wish is not known.
fn rhythm(bfd: &Bfd, other: Option<&Bfd>) -> Rhythm {
    match other {
        Some(other) if !other.demand && !other.receive.is_zero() => {
            let interval = bfd.transmit.max(other.receive);
            let patience = interval.saturating_mul(bfd.multiplier.into()).saturating_add(GRACE);
            Rhythm { interval, patience }
        }
        _ => Rhythm { interval: bfd.transmit, patience: Duration::MAX },
    }
}
