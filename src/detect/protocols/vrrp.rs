//! VRRP: one master per virtual address speaks at intervals; it falls silent, resigns, or another one takes
//! over.
//!
//! Two routers of equal priority may both speak for a moment until one gives way (the lower address
//! does, RFC 9568 §6.4.3). A lower one that goes on beside the master is a network torn in two.

use std::net::IpAddr;
use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, about, place};
use super::lasting::{Lasting, Pulse, Repeats, Rhythm};
use super::rival::Rival;
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::wire::Mac;
use crate::wire::link::Vlans;
use crate::wire::vrrp::Vrrp;

/// Groups on one interface: 255 in each of the VLANs that run it.
const MOST: usize = 1_024;

/// A group by VLANs, version, family and number; by its virtual address, because two of the same number may
/// be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    vlans: Vlans,
    version: u8,
    is_v6: bool,
    group: u8,
    address: Option<IpAddr>,
}

/// Judges the announcements on one interface.
#[derive(Debug)]
pub(super) struct Watch {
    groups: Bounded<Name, Group>,
}

#[derive(Debug)]
struct Group {
    master: IpAddr,
    /// Its own, where it does not speak as the virtual router.
    station: Option<Mac>,
    announcement: Vrrp,
    pulse: Pulse,
    rival: Option<Rival>,
    contested: Lasting,
    changes: Repeats,
    /// A master that fell silent without resigning, and its own link address.
    hung: Option<(IpAddr, Mac)>,
    /// It goes on to answer for the virtual address.
    held: Lasting,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { groups: Bounded::new(MOST) }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, vrrp: &Vrrp, findings: &mut Vec<Finding>) {
        let Some(router) = heard.reading.packet.map(|packet| packet.source) else { return };
        let (vlans, is_v6) = (heard.vlans(), router.is_ipv6());
        let Vrrp { version, group, address, .. } = *vrrp;
        let name = Name { vlans, version, is_v6, group, address };
        if self.groups.get(&name).is_none() {
            self.introduce(heard, &name, router, findings);
        }
        let make = || Group {
            master: router,
            station: heard.reading.link.source,
            announcement: *vrrp,
            pulse: Pulse::new(heard.at(), rhythm(vrrp)),
            rival: None,
            contested: Lasting::default(),
            changes: Repeats::default(),
            hung: None,
            held: Lasting::default(),
        };
        if let Some(group) = self.groups.entry(name, make) {
            group.heard(heard, &name, router, vrrp, findings);
        }
    }

    /// A virtual address that is new here: the group's was changed, or it is another group of the same
    /// number, whose routers share a link address with the first.
    fn introduce(
        &mut self,
        heard: &Heard<'_>,
        name: &Name,
        router: IpAddr,
        findings: &mut Vec<Finding>,
    ) {
        let same = |known: &Name| Name { address: name.address, ..*known } == *name;
        let known = self.groups.iter().find(|(known, _)| same(known));
        let Some((known, group)) = known.map(|(known, group)| (*known, group)) else { return };
        if group.master == router {
            if let Some(group) = self.groups.remove(&known) {
                self.groups.entry(*name, || group);
            }
            return;
        }
        let sentence = format!(
            "two VRRP groups have the number {}{}, and with it one link address: {} of {} and {} of \
             {router}",
            name.group,
            place(name.vlans),
            known.label(),
            group.master,
            name.label()
        );
        let kind = FindingKind::VrrpMasterChanged;
        findings.push(heard.finding(kind, Severity::Notice, sentence));
    }

    /// A station answers for an address, or announces that it has it.
    pub(super) fn claimed(
        &mut self,
        heard: &Heard<'_>,
        address: IpAddr,
        mac: Mac,
        findings: &mut Vec<Finding>,
    ) {
        let ours = |name: &Name| name.address == Some(address) && name.vlans == heard.vlans();
        let known = self.groups.iter().map(|(name, _)| *name).find(ours);
        let Some(name) = known else { return };
        if let Some(group) = self.groups.get_mut(&name) {
            group.claimed(heard, &name, mac, findings);
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.groups.retain(|name, group| {
            group.check(now, name, findings);
            !group.pulse.is_forgotten(now, findings)
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.groups.refused()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.groups
            .iter()
            .flat_map(|(_, group)| [&group.pulse.silence, &group.contested, &group.held])
    }
}

impl Group {
    fn heard(
        &mut self,
        heard: &Heard<'_>,
        name: &Name,
        router: IpAddr,
        vrrp: &Vrrp,
        findings: &mut Vec<Finding>,
    ) {
        if self.hung.is_some_and(|(hung, _)| hung == router) {
            self.hung = None;
            self.held.end(heard.at(), || format!("{router} speaks for {name} again"), findings);
        }
        let gone = self.pulse.silence.is_open();
        let rank = (vrrp.priority, router);
        match (router == self.master, vrrp.priority) {
            (true, 0) => self.resign(heard, name, findings),
            (true, _) => self.accept(heard, name, router, vrrp, findings),
            (false, 0) => {}
            (false, _) if gone || rank > (self.announcement.priority, self.master) => {
                self.take_over(heard, name, router, vrrp, findings);
            }
            (false, _) => self.contest(heard, name, router, findings),
        }
    }

    fn accept(
        &mut self,
        heard: &Heard<'_>,
        name: &Name,
        router: IpAddr,
        vrrp: &Vrrp,
        findings: &mut Vec<Finding>,
    ) {
        let what = || format!("a master of {name}");
        self.pulse.beat(heard, rhythm(vrrp), what, findings);
        if let Some(rival) = &mut self.rival {
            rival.hears(heard.at());
        }
        (self.master, self.announcement) = (router, *vrrp);
        self.station = heard.reading.link.source;
    }

    fn take_over(
        &mut self,
        heard: &Heard<'_>,
        name: &Name,
        router: IpAddr,
        vrrp: &Vrrp,
        findings: &mut Vec<Finding>,
    ) {
        let gone = self.pulse.silence.is_open();
        let severity = if gone { Severity::Warning } else { Severity::Notice };
        let often = self.changes.again(heard.at());
        let sentence =
            format!("the master of {name} changed from {} to {router}{often}", self.master);
        let finding = heard.finding(FindingKind::VrrpMasterChanged, severity, sentence);
        findings.push(name.about(finding).about(Party::Host(self.master)));
        // The old one may go on beside it.
        self.rival = None;
        let sentence = || format!("{router} is master of {name} in place of {}", self.master);
        self.contested.end(heard.at(), sentence, findings);
        self.accept(heard, name, router, vrrp, findings);
    }

    fn resign(&mut self, heard: &Heard<'_>, name: &Name, findings: &mut Vec<Finding>) {
        let sentence = format!("{} resigned as master of {name}", self.master);
        let finding = heard.finding(FindingKind::VrrpSilence, Severity::Warning, sentence);
        self.pulse.silence.begin(name.about(finding), findings);
        self.pulse.last = heard.at();
    }

    fn contest(
        &mut self,
        heard: &Heard<'_>,
        name: &Name,
        router: IpAddr,
        findings: &mut Vec<Finding>,
    ) {
        let Some(rival) = self.rival.as_mut().filter(|rival| rival.router == router) else {
            self.rival = Some(Rival::new(router, heard.at()));
            return;
        };
        if rival.insists(heard.at()) {
            let sentence = format!(
                "{name} has two masters, {} and {router}: they do not hear each other",
                self.master
            );
            let finding =
                heard.finding(FindingKind::VrrpMasterChanged, Severity::Warning, sentence);
            let finding = name.about(finding).about(Party::Host(self.master));
            self.contested.begin(Finding { first: rival.first, ..finding }, findings);
        }
    }

    /// A station answers for the virtual address: a master's that no longer says that it is master.
    fn claimed(&mut self, heard: &Heard<'_>, name: &Name, mac: Mac, findings: &mut Vec<Finding>) {
        let Some((router, _)) = self.hung.filter(|(_, station)| *station == mac) else { return };
        let sentence = format!(
            "{router}, silent as master of {name}, still answers for the address: the router is \
             alive, not its VRRP"
        );
        let finding = heard.finding(FindingKind::VrrpSilence, Severity::Warning, sentence);
        let what = format!("{name} of {router}, held");
        self.held.begin(Finding { what, ..name.about(finding) }, findings);
    }

    fn check(&mut self, now: &Now<'_>, name: &Name, findings: &mut Vec<Finding>) {
        let (master, patience) = (self.master, self.pulse.rhythm.patience);
        if self.rival.is_some_and(|rival| now.at.mono.since(rival.last.mono) > patience) {
            self.rival = None;
            self.contested.end(now.at, || format!("{name} has one master"), findings);
        }
        let silence = |silent: Duration| {
            let what = format!("{name} of {master}");
            let sentence = format!(
                "no announcement of {master}, master of {name}, for {:.1} s",
                silent.as_secs_f64()
            );
            let finding = now.finding(FindingKind::VrrpSilence, Severity::Warning, what, sentence);
            name.about(about(finding, name.vlans, &[master]))
        };
        let had_resigned = self.pulse.silence.is_open();
        self.pulse.check(now, silence, findings);
        if self.pulse.silence.is_open() && !had_resigned {
            let own = self.station.filter(|station| !station.is_virtual_router());
            self.hung = own.map(|station| (master, station));
        }
    }
}

impl Name {
    /// Virtual address or nothing.
    fn label(&self) -> String {
        self.address.map_or("one".to_owned(), |address| address.to_string())
    }

    /// Adds the virtual address to whom a finding is about.
    fn about(&self, finding: Finding) -> Finding {
        self.address.into_iter().map(Party::Host).fold(finding, Finding::about)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VRRP group {}", self.group)?;
        if let Some(address) = self.address {
            write!(f, " ({address})")?;
        }
        f.write_str(&place(self.vlans))
    }
}

fn rhythm(vrrp: &Vrrp) -> Rhythm {
    Rhythm { interval: vrrp.interval, patience: vrrp.master_down() }
}
