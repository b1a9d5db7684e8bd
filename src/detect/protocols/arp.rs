//! ARP: requests that nobody answers, and addresses that two stations claim. Per VLAN.

use std::time::Duration;

use super::claims::Claims;
use super::heard::{Heard, Now};
use super::lasting::Lasting;
use super::resolution::{Question, Resolution};
use crate::finding::{Finding, FindingKind};
use crate::wire::Mac;
use crate::wire::arp::Arp;

/// Judges the ARP frames of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    resolution: Resolution,
    claims: Claims,
}

impl Watch {
    pub(super) fn new(tries: u32, patience: Duration) -> Self {
        let kind = FindingKind::ArpUnanswered;
        let resolution = Resolution::new(kind, "ARP requests", tries, patience);
        Self { resolution, claims: Claims::new() }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, arp: &Arp, findings: &mut Vec<Finding>) {
        // A probe claims nothing, and is meant to go unanswered (RFC 5227 §1.1).
        if arp.sender.is_unspecified() {
            return;
        }
        self.claims.claimed(heard, arp.sender.into(), arp.sender_mac, findings);
        let (sender, target) = (arp.sender.into(), arp.target.into());
        if arp.is_reply {
            let asker = (!arp.is_gratuitous()).then_some(target);
            self.resolution.answered(heard, sender, asker, findings);
        } else if !arp.is_gratuitous() {
            let alone = heard.reading.link.destination.is_some_and(Mac::is_unicast);
            self.resolution.asked(heard, Question { asker: sender, target, alone });
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.resolution.tick(now, findings);
        self.claims.tick(now, findings);
    }

    pub(super) fn refused(&self) -> u64 {
        self.resolution.refused() + self.claims.refused()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.resolution.lasting().chain(self.claims.lasting())
    }
}
