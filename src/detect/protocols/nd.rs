//! Neighbour discovery: solicitations that nobody answers, and who claims which address.

use std::net::IpAddr;
use std::time::Duration;

use super::claims::{Claims, How};
use super::heard::{Heard, Now};
use super::lasting::Lasting;
use super::resolution::{Question, Resolution};
use crate::finding::{Finding, FindingKind};
use crate::wire::nd::Nd;

/// Judges the solicitations and advertisements of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    resolution: Resolution,
}

impl Watch {
    pub(super) fn new(tries: u32, patience: Duration) -> Self {
        let kind = FindingKind::NdUnanswered;
        let resolution = Resolution::new(kind, "neighbor solicitations", tries, patience);
        Self { resolution }
    }

    pub(super) fn heard(
        &mut self,
        heard: &Heard<'_>,
        nd: &Nd,
        claims: &mut Claims,
        findings: &mut Vec<Finding>,
    ) {
        let Some(packet) = heard.reading.packet else { return };
        let target = nd.target.into();
        let to_all = packet.destination.is_multicast();
        if nd.is_advertisement {
            // Without the override flag it may be a proxy's or an anycast address's (RFC 4861 §7.2.7).
            if let Some(mac) = nd.mac.filter(|_| nd.overriding) {
                let announced = to_all && !nd.solicited;
                let how = if announced { How::Announced } else { How::Told };
                claims.claimed(heard, target, mac, how, findings);
            }
            let asker = Some(packet.destination).filter(|_| !to_all);
            self.resolution.answered(heard, target, asker, findings);
        } else if packet.source.is_unspecified() {
            // From nobody it is duplicate address detection, meant to go unanswered (RFC 4862 §5.4).
            claims.probed(heard, target);
        } else {
            if let Some(mac) = nd.mac {
                claims.claimed(heard, packet.source, mac, How::Told, findings);
            }
            self.resolution.spoke(heard, packet.source, false);
            self.resolution.asked(heard, Question { asker: packet.source, target, alone: !to_all });
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
