//! HSRP: one router of a group is active, one stands by. Told when another one gets active, when the
//! active one steps down or falls silent, and when two claim to be it.

use std::net::IpAddr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, about, place};
use super::lasting::{FORGET, Lasting, Pulse, Repeats, Rhythm};
use super::rival::Rival;
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::time::Stamp;
use crate::wire::hsrp::{Hsrp, Operation, State};
use crate::wire::link::Vlans;

/// Groups on one interface: 4,096 of version 2 in theory; who has more gets the first thousand.
const MOST: usize = 1_024;
/// Routers of a group that are told apart; further ones only count as active or not.
const ROUTERS: usize = 8;
/// A takeover this long after a coup or a resignation was meant.
const MEANT: Duration = Duration::from_secs(10);

/// A group by VLANs, version, family and number; by its virtual address, because two of the same number may
/// be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    vlans: Vlans,
    version: u8,
    is_v6: bool,
    group: u16,
    address: Option<IpAddr>,
}

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
    rival: Option<Rival>,
    contested: Lasting,
    changes: Repeats,
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
        let (vlans, is_v6) = (heard.vlans(), router.is_ipv6());
        let Hsrp { version, group, address, .. } = *hsrp;
        let mut name = Name { vlans, version, is_v6, group, address };
        if self.groups.get(&name).is_none() {
            name = self.introduce(heard, name, router, findings);
        }
        let make = || Group {
            active: None,
            before: None,
            meant: None,
            routers: Bounded::new(ROUTERS),
            rival: None,
            contested: Lasting::default(),
            changes: Repeats::default(),
            last: heard.at(),
        };
        let rhythm = self.rhythm(hsrp);
        if let Some(group) = self.groups.entry(name, make) {
            group.last = heard.at();
            group.heard(&Said { heard, name: &name, router, hsrp, rhythm }, findings);
        }
    }

    /// The name of a group that is not known by the address it was told with: one that has yet to learn it
    /// or whose address was changed, or another one of the same number, whose routers share a link address
    /// with the first.
    fn introduce(
        &mut self,
        heard: &Heard<'_>,
        name: Name,
        router: IpAddr,
        findings: &mut Vec<Finding>,
    ) -> Name {
        let same = |known: &Name| Name { address: name.address, ..*known } == name;
        let known = self.groups.iter().find(|(known, _)| same(known));
        let Some((known, group)) = known.map(|(known, group)| (*known, group)) else { return name };
        if name.address.is_none() {
            return known;
        }
        let active = group.active.as_ref().map(|active| active.router);
        if known.address.is_none() || active == Some(router) {
            if let Some(group) = self.groups.remove(&known) {
                self.groups.entry(name, || group);
            }
        } else if let (Some(one), Some(other)) = (known.address, name.address) {
            let sentence = format!(
                "two HSRP groups have the number {}{}, and with it one link address: {one} and \
                 {other}, which {router} speaks for",
                name.group,
                place(name.vlans)
            );
            let kind = FindingKind::HsrpStateChanged;
            findings.push(heard.finding(kind, Severity::Notice, sentence));
        }
        name
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.groups.retain(|name, group| {
            group.check(now, name, findings);
            let waiting = now.at.mono.since(group.last.mono) < FORGET;
            let active = group.active.as_mut();
            let forgotten = active.is_none_or(|active| active.pulse.is_forgotten(now, findings));
            waiting || !forgotten
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.groups.refused()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.groups.iter().flat_map(|(_, group)| {
            let silence = group.active.as_ref().map(|active| &active.pulse.silence);
            silence.into_iter().chain([&group.contested])
        })
    }

    /// A quarter of an interval after the last missed hello, or the hold time. Learned values of zero
    /// mean the defaults (RFC 2281 §5.1).
    fn rhythm(&self, hsrp: &Hsrp) -> Rhythm {
        const HELLO: Duration = Duration::from_secs(3);
        const HOLD: Duration = Duration::from_secs(10);
        let interval = if hsrp.hello.is_zero() { HELLO } else { hsrp.hello };
        let hold = if hsrp.hold.is_zero() { HOLD } else { hsrp.hold };
        let missed = interval.saturating_mul(self.missed).saturating_add(interval / 4);
        Rhythm { interval, patience: hold.min(missed) }
    }
}

/// A message, and what goes with it.
struct Said<'a> {
    heard: &'a Heard<'a>,
    name: &'a Name,
    router: IpAddr,
    hsrp: &'a Hsrp,
    rhythm: Rhythm,
}

impl Said<'_> {
    fn changed(&self, severity: Severity, what: &str) -> Finding {
        let sentence = format!("{}: {what}", self.name);
        let finding = self.heard.finding(FindingKind::HsrpStateChanged, severity, sentence);
        self.name.about(finding)
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
            (true, false) => self.rise(said, before, findings),
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
        let what = || format!("{}, the active router of {},", said.router, said.name);
        if let Some(active) = &mut self.active {
            active.pulse.beat(said.heard, said.rhythm, what, findings);
        }
        if let Some(rival) = &mut self.rival {
            rival.hears(said.heard.at());
        }
    }

    /// Somebody says active who was not: alone, in place of the one who was, or beside it.
    fn rise(&mut self, said: &Said<'_>, before: Option<State>, findings: &mut Vec<Finding>) {
        let (at, router) = (said.heard.at(), said.router);
        let Some(active) = &self.active else { return self.win(said, before, findings) };
        let due = said.rhythm.interval + said.rhythm.interval / 4;
        let gone = active.pulse.silence.is_open() || at.mono.since(active.pulse.last.mono) > due;
        if gone || self.is_meant(at) {
            return self.take_over(said, findings);
        }
        let Some(rival) = self.rival.as_mut().filter(|rival| rival.router == router) else {
            self.rival = Some(Rival::new(router, at));
            return;
        };
        if rival.insists(at) {
            let what = format!("{} and {router} are active both", active.router);
            let finding = said.changed(Severity::Warning, &what);
            let finding = finding.about(Party::Host(active.router));
            self.contested.begin(Finding { first: rival.first, ..finding }, findings);
        }
    }

    /// There was no active router. The first that is heard at all is no news; who got there is.
    fn win(&mut self, said: &Said<'_>, before: Option<State>, findings: &mut Vec<Finding>) {
        let (at, router) = (said.heard.at(), said.router);
        let pulse = Pulse::new(at, said.rhythm);
        self.active = Some(Active { router, pulse });
        let patience = said.rhythm.patience.saturating_mul(2);
        let known = self.before.filter(|(_, until)| at.mono.since(until.mono) < patience);
        let often = |changes: &mut Repeats| changes.again(at);
        match (known, before) {
            (Some((old, _)), _) if old != router => {
                let what = format!("{router} is active after {old}{}", often(&mut self.changes));
                findings.push(said.changed(Severity::Notice, &what));
            }
            (_, Some(before)) if before != State::Active => {
                let what = format!(
                    "{router} went from {before} to Active{}: nobody else was",
                    often(&mut self.changes)
                );
                findings.push(said.changed(Severity::Notice, &what));
            }
            _ => {}
        }
    }

    fn take_over(&mut self, said: &Said<'_>, findings: &mut Vec<Finding>) {
        let (at, router) = (said.heard.at(), said.router);
        let pulse = Pulse::new(at, said.rhythm);
        let Some(mut old) = self.active.replace(Active { router, pulse }) else { return };
        let silent = old.pulse.silence.is_open();
        let what = format!("{router} is active in place of {}", old.router);
        old.pulse.silence.end(at, || format!("{}: {what}", said.name), findings);
        self.contested.end(at, || format!("{}: {what}", said.name), findings);
        let often = self.changes.again(at);
        let finding = said.changed(self.severity(at, silent), &format!("{what}{often}"));
        findings.push(finding.about(Party::Host(old.router)));
        (self.before, self.rival) = (Some((old.router, at)), None);
    }

    fn step_down(&mut self, said: &Said<'_>, findings: &mut Vec<Finding>) {
        let at = said.heard.at();
        let (router, state) = (said.router, said.hsrp.state);
        let what = format!("{router} is not active any longer but {state}");
        let severity = self.severity(at, self.rival.is_none());
        findings.push(said.changed(severity, &what));
        if let Some(mut active) = self.active.take() {
            active.pulse.silence.end(at, || format!("{router} is heard again"), findings);
        }
        self.contested.end(at, || format!("{}: {what}", said.name), findings);
        (self.before, self.rival) = (Some((router, at)), None);
    }

    fn is_meant(&self, at: Stamp) -> bool {
        self.meant.is_some_and(|meant| at.mono.since(meant.mono) < MEANT)
    }

    /// What a coup or a resignation announced is only a notice.
    fn severity(&self, at: Stamp, forced: bool) -> Severity {
        if forced && !self.is_meant(at) { Severity::Warning } else { Severity::Notice }
    }

    fn check(&mut self, now: &Now<'_>, name: &Name, findings: &mut Vec<Finding>) {
        let Some(active) = &mut self.active else { return };
        let (router, patience) = (active.router, active.pulse.rhythm.patience);
        let is_quiet = |rival: Rival| now.at.mono.since(rival.last.mono) > patience;
        if self.rival.is_some_and(is_quiet) {
            self.rival = None;
            self.contested.end(now.at, || format!("{name} has one active router"), findings);
        }
        let silence = |silent: Duration| {
            let what = format!("{name} of {router}");
            let sentence = format!(
                "no hello of {router}, active in {name}, for {:.1} s",
                silent.as_secs_f64()
            );
            let finding = now.finding(FindingKind::HsrpSilence, Severity::Warning, what, sentence);
            name.about(about(finding, name.vlans, &[router]))
        };
        active.pulse.check(now, silence, findings);
    }
}

impl Name {
    /// Adds the virtual address to whom a finding is about.
    fn about(&self, finding: Finding) -> Finding {
        self.address.into_iter().map(Party::Host).fold(finding, Finding::about)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HSRP group {}", self.group)?;
        if let Some(address) = self.address {
            write!(f, " ({address})")?;
        }
        f.write_str(&place(self.vlans))
    }
}
