//! Neighbour discovery: solicitations that nobody answers, and addresses that two stations claim.

use std::time::Duration;

use super::claims::Claims;
use super::heard::{Heard, Now};
use super::lasting::Lasting;
use super::resolution::{Question, Resolution};
use crate::finding::{Finding, FindingKind};
use crate::wire::nd::Nd;

/// Judges the solicitations and advertisements of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    resolution: Resolution,
    claims: Claims,
}

impl Watch {
    pub(super) fn new(tries: u32, patience: Duration) -> Self {
        let kind = FindingKind::NdUnanswered;
        let resolution = Resolution::new(kind, "neighbor solicitations", tries, patience);
        Self { resolution, claims: Claims::new() }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, nd: &Nd, findings: &mut Vec<Finding>) {
        let Some(packet) = heard.reading.packet else { return };
        let target = nd.target.into();
        if nd.is_advertisement {
            // Without the override flag it may be a proxy's or an anycast address's (RFC 4861 §7.2.7).
            if let Some(mac) = nd.mac.filter(|_| nd.overriding) {
                self.claims.claimed(heard, target, mac, findings);
            }
            let asker = Some(packet.destination).filter(|to| !to.is_multicast());
            self.resolution.answered(heard, target, asker, findings);
        } else if !packet.source.is_unspecified() {
            // From nobody it is duplicate address detection, meant to go unanswered (RFC 4862 §5.4).
            let alone = !packet.destination.is_multicast();
            self.resolution.asked(heard, Question { asker: packet.source, target, alone });
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
