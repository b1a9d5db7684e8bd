//! One finding for all who suffer from the same host: a name server that fails fails everybody, and
//! forty findings of forty clients would hide the one that matters.

use std::net::IpAddr;

use crate::detect::protocols::bounded::Bounded;
use crate::detect::protocols::lasting::Lasting;
use crate::finding::Finding;
use crate::time::Stamp;

/// Hosts that others suffer from at a time.
const HOSTS: usize = 128;

/// The hosts that others suffer from.
#[derive(Debug)]
pub(in crate::detect::protocols) struct Outages(Bounded<IpAddr, Outage>);

#[derive(Debug, Default)]
struct Outage {
    finding: Lasting,
    clients: u32,
}

impl Outages {
    pub(in crate::detect::protocols) fn new() -> Self {
        Self(Bounded::new(HOSTS))
    }

    /// What has not ended.
    pub(in crate::detect::protocols) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.0.iter().map(|(_, outage)| &outage.finding)
    }

    /// One more client suffers from `host`: of the first a finding is made. False if there is no room.
    pub(in crate::detect::protocols) fn join(
        &mut self,
        host: IpAddr,
        finding: Finding,
        findings: &mut Vec<Finding>,
    ) -> bool {
        let Some(outage) = self.0.entry(host, Outage::default) else { return false };
        outage.clients += 1;
        outage.finding.begin(finding, findings);
        true
    }

    /// One more frame belongs to it.
    pub(in crate::detect::protocols) fn more(&mut self, host: IpAddr, at: Stamp) {
        if let Some(outage) = self.0.get_mut(&host) {
            outage.finding.more(at);
        }
    }

    /// One client that joined does not suffer any longer: with the last one it is over.
    pub(in crate::detect::protocols) fn leave(
        &mut self,
        host: IpAddr,
        at: Stamp,
        sentence: impl FnOnce() -> String,
        findings: &mut Vec<Finding>,
    ) {
        let Some(outage) = self.0.get_mut(&host) else { return };
        outage.clients -= 1;
        if outage.clients == 0 {
            outage.finding.end(at, sentence, findings);
            self.0.remove(&host);
        }
    }

    pub(in crate::detect::protocols) fn refused(&self) -> u64 {
        self.0.refused()
    }
}
