//! VRRP: one master per group speaks at intervals; it falls silent, resigns, or another one takes over.
//!
//! Two routers of equal priority may both speak for a moment until one gives way (the lower address
//! does, RFC 9568 §6.4.3). A lower one that goes on beside the master is a network torn in two.

use std::net::IpAddr;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::{Lasting, Pulse};
use crate::finding::{Finding, FindingKind, Severity};
use crate::time::Stamp;
use crate::wire::link::Vlans;
use crate::wire::vrrp::Vrrp;

/// Groups on one interface: 255 in each of the VLANs that run it.
const MOST: usize = 1_024;
/// Announcements of a lower router beside the master's until it counts as a second master.
const RIVAL: u32 = 3;

/// VLANs, version, IPv6, group.
type Name = (Vlans, u8, bool, u8);

/// Judges the announcements on one interface.
#[derive(Debug)]
pub(super) struct Watch {
    groups: Bounded<Name, Group>,
}

#[derive(Debug)]
struct Group {
    master: IpAddr,
    announcement: Vrrp,
    pulse: Pulse,
    rival: Option<Rival>,
    contested: Lasting,
}

/// Somebody who speaks though a better one does.
#[derive(Debug, Clone, Copy)]
struct Rival {
    router: IpAddr,
    count: u32,
    last: Stamp,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { groups: Bounded::new(MOST) }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, vrrp: &Vrrp, findings: &mut Vec<Finding>) {
        let Some(router) = heard.reading.packet.map(|packet| packet.source) else { return };
        let name = (heard.vlans(), vrrp.version, router.is_ipv6(), vrrp.group);
        let make = || Group {
            master: router,
            announcement: *vrrp,
            pulse: Pulse::new(heard.at(), vrrp.master_down()),
            rival: None,
            contested: Lasting::default(),
        };
        if let Some(group) = self.groups.entry(name, make) {
            group.heard(heard, router, vrrp, findings);
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.groups.retain(|name, group| {
            group.check(now, name.0, findings);
            !group.pulse.is_forgotten(now, findings)
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.groups.refused()
    }
}

impl Group {
    fn heard(
        &mut self,
        heard: &Heard<'_>,
        router: IpAddr,
        vrrp: &Vrrp,
        findings: &mut Vec<Finding>,
    ) {
        let gone = self.pulse.silence.is_open();
        let rank = (vrrp.priority, router);
        match (router == self.master, vrrp.priority) {
            (true, 0) => self.resign(heard, vrrp, findings),
            (true, _) => self.accept(heard, router, vrrp, findings),
            (false, 0) => {}
            (false, _) if gone || rank > (self.announcement.priority, self.master) => {
                let severity = if gone { Severity::Warning } else { Severity::Notice };
                let sentence = format!(
                    "the master of VRRP group {}{} changed from {} to {router}",
                    vrrp.group,
                    place(heard.vlans()),
                    self.master
                );
                let kind = FindingKind::VrrpMasterChanged;
                findings.push(heard.finding(kind, severity, sentence));
                self.accept(heard, router, vrrp, findings);
            }
            (false, _) => self.contest(heard, router, vrrp, findings),
        }
    }

    fn accept(
        &mut self,
        heard: &Heard<'_>,
        router: IpAddr,
        vrrp: &Vrrp,
        findings: &mut Vec<Finding>,
    ) {
        let what = || format!("a master of VRRP group {}{}", vrrp.group, place(heard.vlans()));
        self.pulse.beat(heard, vrrp.master_down(), what, findings);
        (self.master, self.announcement) = (router, *vrrp);
    }

    fn resign(&mut self, heard: &Heard<'_>, vrrp: &Vrrp, findings: &mut Vec<Finding>) {
        let sentence = format!(
            "{} resigned as master of VRRP group {}{}",
            self.master,
            vrrp.group,
            place(heard.vlans())
        );
        let finding = heard.finding(FindingKind::VrrpSilence, Severity::Warning, sentence);
        self.pulse.silence.begin(finding, findings);
        self.pulse.last = heard.at();
    }

    fn contest(
        &mut self,
        heard: &Heard<'_>,
        router: IpAddr,
        vrrp: &Vrrp,
        findings: &mut Vec<Finding>,
    ) {
        let before = self.rival.filter(|rival| rival.router == router).map_or(0, |r| r.count);
        let count = before.saturating_add(1);
        self.rival = Some(Rival { router, count, last: heard.at() });
        if count >= RIVAL {
            let sentence = format!(
                "VRRP group {}{} has two masters, {} and {router}: they do not hear each other",
                vrrp.group,
                place(heard.vlans()),
                self.master
            );
            let kind = FindingKind::VrrpMasterChanged;
            self.contested.begin(heard.finding(kind, Severity::Warning, sentence), findings);
        }
    }

    fn check(&mut self, now: &Now<'_>, vlans: Vlans, findings: &mut Vec<Finding>) {
        let (master, group) = (self.master, self.announcement.group);
        let patience = self.pulse.patience;
        if self.rival.is_some_and(|rival| now.at.mono.since(rival.last.mono) > patience) {
            self.rival = None;
            let sentence = || format!("VRRP group {group}{} has one master", place(vlans));
            self.contested.end(now.at, sentence, findings);
        }
        let silence = |silent: std::time::Duration| {
            let what = format!("VRRP group {group}{} of {master}", place(vlans));
            let sentence = format!(
                "no announcement of {master}, master of VRRP group {group}{}, for {:.1} s",
                place(vlans),
                silent.as_secs_f64()
            );
            now.finding(FindingKind::VrrpSilence, Severity::Warning, what, sentence)
        };
        self.pulse.check(now, silence, findings);
    }
}
