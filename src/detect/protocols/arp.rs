//! ARP: requests that nobody answers, and who claims which address. Per VLAN.

use std::net::IpAddr;
use std::time::Duration;

use super::claims::{Claims, How};
use super::heard::{Heard, Now};
use super::lasting::Lasting;
use super::resolution::{Question, Resolution};
use crate::finding::{Finding, FindingKind};
use crate::time::Mono;
use crate::wire::Mac;
use crate::wire::arp::Arp;

/// Judges the ARP frames of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    resolution: Resolution,
}

impl Watch {
    pub(super) fn new(tries: u32, patience: Duration) -> Self {
        let kind = FindingKind::ArpUnanswered;
        let resolution = Resolution::new(kind, "ARP requests", tries, patience);
        Self { resolution }
    }

    /// `free`: since when a DHCP server may ask for an address that nobody has.
    pub(super) fn heard(
        &mut self,
        heard: &Heard<'_>,
        arp: &Arp,
        free: Option<Mono>,
        claims: &mut Claims,
        findings: &mut Vec<Finding>,
    ) {
        let (sender, target) = (arp.sender.into(), arp.target.into());
        // A probe claims nothing, and is meant to go unanswered (RFC 5227 §1.1).
        if arp.sender.is_unspecified() {
            claims.probed(heard, target);
            return;
        }
        let alone = heard.reading.link.destination.is_some_and(Mac::is_unicast);
        let how = if arp.is_gratuitous() && !alone { How::Announced } else { How::Told };
        claims.claimed(heard, sender, arp.sender_mac, how, findings);
        if arp.is_reply {
            let asker = (!arp.is_gratuitous()).then_some(target);
            self.resolution.answered(heard, sender, asker, findings);
            return;
        }
        self.resolution.spoke(heard, sender, false);
        let is_free = free.is_some_and(|since| !self.resolution.spoke_since(heard, target, since));
        if !arp.is_gratuitous() && !is_free {
            self.resolution.asked(heard, Question { asker: sender, target, alone });
        }
    }

    /// The address was given back: nobody is to answer for it.
    pub(super) fn released(&mut self, heard: &Heard<'_>, address: IpAddr) {
        self.resolution.released(heard, address);
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.resolution.tick(now, findings);
    }

    pub(super) fn refused(&self) -> u64 {
        self.resolution.refused()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.resolution.lasting()
    }
}
