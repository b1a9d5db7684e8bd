//! HSRP: one router of a group is active, one stands by. Told when another one gets active, when the
//! active one steps down or falls silent, and when two claim to be it.

use std::net::IpAddr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::{Lasting, Pulse};
use crate::finding::{Finding, FindingKind, Severity};
use crate::time::Stamp;
use crate::wire::hsrp::{Hsrp, Operation, State};
use crate::wire::link::Vlans;

/// Groups on one interface: 4,096 of version 2 in theory; who has more gets the first thousand.
const MOST: usize = 1_024;
/// Routers of a group that are told apart; further ones only count as active or not.
const ROUTERS: usize = 8;
/// A takeover this long after a coup or a resignation was meant.
const MEANT: Duration = Duration::from_secs(10);

/// VLANs, version, IPv6, group.
type Name = (Vlans, u8, bool, u16);

/// Judges the hellos on one interface.
#[derive(Debug)]
pub(super) struct Watch {
    missed: u32,
    groups: Bounded<Name, Group>,
}

#[derive(Debug)]
struct Group {
    active: Option<Active>,
    /// Who was active before, and until when.
    before: Option<(IpAddr, Stamp)>,
    /// Last coup or resignation.
    meant: Option<Stamp>,
    routers: Bounded<IpAddr, State>,
    contested: Lasting,
    last: Stamp,
}

#[derive(Debug)]
struct Active {
    router: IpAddr,
    pulse: Pulse,
}

impl Watch {
    /// `missed` hellos in a row are silence, if the hold time is not shorter.
    pub(super) fn new(missed: u32) -> Self {
        Self { missed, groups: Bounded::new(MOST) }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, hsrp: &Hsrp, findings: &mut Vec<Finding>) {
        let Some(router) = heard.reading.packet.map(|packet| packet.source) else { return };
        let name = (heard.vlans(), hsrp.version, router.is_ipv6(), hsrp.group);
        let make = || Group {
            active: None,
            before: None,
            meant: None,
            routers: Bounded::new(ROUTERS),
            contested: Lasting::default(),
            last: heard.at(),
        };
        let patience = self.patience(hsrp);
        if let Some(group) = self.groups.entry(name, make) {
            group.last = heard.at();
            group.heard(&Said { heard, router, hsrp, patience }, findings);
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.groups.retain(|name, group| {
            group.check(now, name, findings);
            let waiting = now.at.mono.since(group.last.mono) < super::lasting::FORGET;
            let active = group.active.as_mut();
            let forgotten = active.is_none_or(|active| active.pulse.is_forgotten(now, findings));
            waiting || !forgotten
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.groups.refused()
    }

    /// A quarter of an interval after the last missed hello, or the hold time. Learned values of zero
    /// mean the defaults (RFC 2281 §5.1).
    fn patience(&self, hsrp: &Hsrp) -> Duration {
        const HELLO: Duration = Duration::from_secs(3);
        const HOLD: Duration = Duration::from_secs(10);
        let hello = if hsrp.hello.is_zero() { HELLO } else { hsrp.hello };
        let hold = if hsrp.hold.is_zero() { HOLD } else { hsrp.hold };
        hold.min(hello.saturating_mul(self.missed).saturating_add(hello / 4))
    }
}

/// A message, and what goes with it.
struct Said<'a> {
    heard: &'a Heard<'a>,
    router: IpAddr,
    hsrp: &'a Hsrp,
    patience: Duration,
}

impl Said<'_> {
    fn changed(&self, severity: Severity, what: &str) -> Finding {
        let place = place(self.heard.vlans());
        let sentence = format!("HSRP group {}{place}: {what}", self.hsrp.group);
        self.heard.finding(FindingKind::HsrpStateChanged, severity, sentence)
    }
}

impl Group {
    fn heard(&mut self, said: &Said<'_>, findings: &mut Vec<Finding>) {
        let (at, router) = (said.heard.at(), said.router);
        match said.hsrp.operation {
            Operation::Coup => {
                self.meant = Some(at);
                let what = format!("{router} wants to become active");
                findings.push(said.changed(Severity::Notice, &what));
            }
            Operation::Resign => {
                self.meant = Some(at);
                let what = format!("{router} resigned");
                findings.push(said.changed(Severity::Warning, &what));
            }
            Operation::Hello => self.hello(said, findings),
        }
    }

    fn hello(&mut self, said: &Said<'_>, findings: &mut Vec<Finding>) {
        let (router, state) = (said.router, said.hsrp.state);
        let before = self.routers.get(&router).copied();
        if let Some(known) = self.routers.entry(router, || state) {
            *known = state;
        }
        let is_active = self.active.as_ref().is_some_and(|active| active.router == router);
        match (state == State::Active, is_active) {
            (true, true) => self.confirm(said, findings),
            (true, false) => self.take_over(said, findings),
            (false, true) => self.step_down(said, findings),
            (false, false) => {
                if let Some(before) = before.filter(|before| *before != state) {
                    let what = format!("{router} went from {before} to {state}");
                    findings.push(said.changed(Severity::Info, &what));
                }
            }
        }
    }

    fn confirm(&mut self, said: &Said<'_>, findings: &mut Vec<Finding>) {
        let (router, group) = (said.router, said.hsrp.group);
        let what = || format!("{router}, the active router of HSRP group {group},");
        if let Some(active) = &mut self.active {
            active.pulse.beat(said.heard, said.patience, what, findings);
        }
    }

    fn take_over(&mut self, said: &Said<'_>, findings: &mut Vec<Finding>) {
        let (at, router) = (said.heard.at(), said.router);
        let pulse = Pulse::new(at, said.patience);
        let known_before = self
            .before
            .filter(|(_, until)| at.mono.since(until.mono) < said.patience.saturating_mul(2));
        let Some(mut old) = self.active.replace(Active { router, pulse }) else {
            if let Some((old, _)) = known_before.filter(|(old, _)| *old != router) {
                let what = format!("{router} is active after {old}");
                findings.push(said.changed(self.severity(at, false), &what));
            }
            return;
        };
        let silent = old.pulse.silence.is_open();
        let sentence = || format!("{router} is active in place of {}", old.router);
        old.pulse.silence.end(at, sentence, findings);
        // Back and forth within their patience: both are active.
        if known_before.is_some_and(|(before, _)| before == router) && !silent {
            let what = format!("{router} and {} are active both", old.router);
            self.contested.begin(said.changed(Severity::Warning, &what), findings);
        } else {
            let what = format!("{router} is active in place of {}", old.router);
            findings.push(said.changed(self.severity(at, silent), &what));
        }
        self.before = Some((old.router, at));
    }

    fn step_down(&mut self, said: &Said<'_>, findings: &mut Vec<Finding>) {
        let at = said.heard.at();
        let (router, state) = (said.router, said.hsrp.state);
        let what = format!("{router} is not active any longer but {state}");
        findings.push(said.changed(self.severity(at, true), &what));
        if let Some(mut active) = self.active.take() {
            active.pulse.silence.end(at, || format!("{router} is heard again"), findings);
        }
        self.before = Some((router, at));
    }

    /// What a coup or a resignation announced is only a notice.
    fn severity(&self, at: Stamp, forced: bool) -> Severity {
        let meant = self.meant.is_some_and(|meant| at.mono.since(meant.mono) < MEANT);
        if forced && !meant { Severity::Warning } else { Severity::Notice }
    }

    fn check(&mut self, now: &Now<'_>, name: &Name, findings: &mut Vec<Finding>) {
        let (vlans, _, _, group) = *name;
        let Some(active) = &mut self.active else { return };
        let (router, patience) = (active.router, active.pulse.patience);
        if self
            .contested
            .last()
            .is_some_and(|l| now.at.mono.since(l.mono) > patience.saturating_mul(2))
        {
            let sentence = || format!("HSRP group {group}{} has one active router", place(vlans));
            self.contested.end(now.at, sentence, findings);
        }
        let silence = |silent: Duration| {
            let what = format!("HSRP group {group}{} of {router}", place(vlans));
            let sentence = format!(
                "no hello of {router}, active in HSRP group {group}{}, for {:.1} s",
                place(vlans),
                silent.as_secs_f64()
            );
            now.finding(FindingKind::HsrpSilence, Severity::Warning, what, sentence)
        };
        active.pulse.check(now, silence, findings);
    }
}
