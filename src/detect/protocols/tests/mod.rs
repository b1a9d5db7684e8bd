//! Stories of made-up frames, real captures with what is known of them, and nonsense.

mod addresses;
mod captures;
pub(crate) mod frames;
mod leases;
mod questions;
mod redundancy;
mod routers;
mod routing;
mod stories;

use super::*;
use crate::finding::{FindingKind, Severity};
use crate::frame::{Direction, FrameHeader, LinkType};
use crate::time::Wall;

/// The stage on which a story is played, in seconds since its beginning.
pub(super) struct Stage {
    protocols: Protocols,
    interface: &'static str,
    link_type: LinkType,
    now: f64,
    pub(super) findings: Vec<(f64, Finding)>,
}

impl Stage {
    /// How often the time is told.
    const TICK: f64 = 0.2;

    pub(super) fn new() -> Self {
        Self::on(&Local::default())
    }

    /// On this host.
    pub(super) fn on(local: &Local) -> Self {
        Self::at(local, "dp0s0")
    }

    /// On this interface of it.
    pub(super) fn at(local: &Local, interface: &'static str) -> Self {
        let protocols =
            Protocols::new(interface, &Options::default(), &Together::on(local.clone()));
        let link_type = LinkType::ETHERNET;
        Self { protocols, interface, link_type, now: 0.0, findings: Vec::new() }
    }

    fn stamp(&self) -> Stamp {
        // Stories begin an hour after boot and in 2026.
        let nanos = (self.now * 1e9) as u64;
        Stamp {
            mono: Mono(3_600_000_000_000 + nanos),
            wall: Wall(1_795_356_860_000_000_000 + nanos),
        }
    }

    /// Nothing comes until `seconds`.
    pub(super) fn wait(&mut self, seconds: f64) {
        while self.now + Self::TICK < seconds {
            self.now += Self::TICK;
            let mut new = Vec::new();
            self.protocols.tick(self.stamp(), &mut new);
            self.findings.extend(new.into_iter().map(|finding| (self.now, finding)));
        }
        self.now = self.now.max(seconds);
    }

    /// A frame at `seconds`.
    pub(super) fn frame(&mut self, seconds: f64, direction: Direction, bytes: &[u8]) {
        self.wait(seconds);
        let at = self.stamp();
        let original_len = bytes.len() as u32;
        let header =
            FrameHeader { wall: at.wall, original_len, direction, ..FrameHeader::default() };
        let seen = Seen {
            interface: self.interface,
            link_type: self.link_type,
            header,
            at,
            bytes,
            noticed: None,
        };
        let mut new = Vec::new();
        self.protocols.frame(&seen, &mut new);
        self.findings.extend(new.into_iter().map(|finding| (self.now, finding)));
    }

    /// What was told: severity, kind, `over`.
    pub(super) fn told(&self) -> Vec<String> {
        self.findings.iter().map(|(_, finding)| said(finding)).collect()
    }

    /// The sentences of this kind.
    pub(super) fn sentences(&self, kind: FindingKind) -> Vec<&str> {
        let of_kind = self.findings.iter().filter(|(_, finding)| finding.kind == kind);
        of_kind.map(|(_, finding)| finding.sentence.as_str()).collect()
    }

    /// The worst of it.
    pub(super) fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|(_, finding)| finding.severity).max()
    }

    /// When a finding of this kind was first told.
    pub(super) fn when(&self, kind: FindingKind) -> Option<f64> {
        self.findings.iter().find(|(_, finding)| finding.kind == kind).map(|(at, _)| *at)
    }
}

fn said(finding: &Finding) -> String {
    let severity = format!("{:?}", finding.severity).to_lowercase();
    let over = if finding.over { " over" } else { "" };
    format!("{severity} {}{over}", finding.kind)
}

#[test]
fn options_name_what_cannot_be_meant() {
    assert!(Options::default().check().is_ok());
    for wrong in [
        Options { missed: 0, ..Options::default() },
        Options { unanswered: 101, ..Options::default() },
        Options { dhcp_unanswered: 0, ..Options::default() },
        Options { patience: Duration::ZERO, ..Options::default() },
        Options { patience: Duration::from_secs(61), ..Options::default() },
        Options { unreachables: 0, ..Options::default() },
    ] {
        assert_eq!(wrong.check().unwrap_err().exit_status(), 2, "{wrong:?}");
    }
}
