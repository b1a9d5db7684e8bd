//! Spanning tree: a bridge reports a topology change, or takes another bridge for the root.
//!
//! A topology change is daily business (each port that comes up makes one) and a notice. Another root
//! is more: the old one is gone, or somebody plugged in a better one. Only a bridge that took itself
//! for the root until it heard of the real one is just joining.

use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, place};
use super::lasting::{FORGET, Lasting};
use crate::finding::{Finding, FindingKind, Severity};
use crate::time::Stamp;
use crate::wire::bpdu::{Bpdu, BridgeId, Configuration};
use crate::wire::link::Vlans;

/// Trees on one interface: one per VLAN at most.
const MOST: usize = 4_096;
/// Bridges that speak on one segment and in one tree: one designated, others while they settle.
const BRIDGES: usize = 16;
/// Hello times without it, then a topology change is over.
const QUIET: u32 = 3;
/// Where no configuration tells another (IEEE 802.1D table 17-1).
const HELLO: Duration = Duration::from_secs(2);

/// VLANs of the frame, and the tree's own.
type Name = (Vlans, Option<u16>);

/// Judges the BPDUs of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    trees: Bounded<Name, Tree>,
}

#[derive(Debug)]
struct Tree {
    hello: Duration,
    last: Stamp,
    change: Lasting,
    roots: Bounded<BridgeId, BridgeId>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { trees: Bounded::new(MOST) }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>, bpdu: &Bpdu, findings: &mut Vec<Finding>) {
        let vlan = match bpdu {
            Bpdu::Configuration(configuration) => configuration.vlan,
            Bpdu::Notification => None,
        };
        let make = || Tree {
            hello: HELLO,
            last: heard.at(),
            change: Lasting::default(),
            roots: Bounded::new(BRIDGES),
        };
        let Some(tree) = self.trees.entry((heard.vlans(), vlan), make) else { return };
        tree.last = heard.at();
        let place = tree_name(heard.vlans(), vlan);
        match bpdu {
            Bpdu::Notification => {
                let who = heard.reading.link.source.unwrap_or_default();
                let sentence = format!("{who} notifies a topology change{place}");
                tree.change(heard, sentence, findings);
            }
            Bpdu::Configuration(configuration) => {
                tree.hello = configuration.hello.max(HELLO);
                if configuration.topology_change {
                    let bridge = configuration.bridge;
                    let sentence = format!("bridge {bridge} reports a topology change{place}");
                    tree.change(heard, sentence, findings);
                }
                tree.compare(heard, configuration, &place, findings);
            }
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.trees.retain(|(vlans, vlan), tree| {
            let quiet = tree.hello.saturating_mul(QUIET);
            if tree.change.last().is_some_and(|last| now.at.mono.since(last.mono) > quiet) {
                let sentence = || format!("topology settled{}", tree_name(*vlans, *vlan));
                tree.change.end(now.at, sentence, findings);
            }
            now.at.mono.since(tree.last.mono) < FORGET
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.trees.refused()
    }
}

impl Tree {
    fn change(&mut self, heard: &Heard<'_>, sentence: String, findings: &mut Vec<Finding>) {
        let kind = FindingKind::StpTopologyChange;
        self.change.begin(heard.finding(kind, Severity::Notice, sentence), findings);
    }

    fn compare(
        &mut self,
        heard: &Heard<'_>,
        now: &Configuration,
        place: &str,
        findings: &mut Vec<Finding>,
    ) {
        let bridge = now.bridge;
        let Some(known) = self.roots.entry(bridge, || now.root) else { return };
        let before = std::mem::replace(known, now.root);
        if before == now.root {
            return;
        }
        let joining = before == bridge && now.root < before;
        let severity = if joining { Severity::Info } else { Severity::Warning };
        let root = now.root;
        let sentence = format!("bridge {bridge} takes {root} for the root{place}, not {before}");
        findings.push(heard.finding(FindingKind::StpRootChanged, severity, sentence));
    }
}

fn tree_name(vlans: Vlans, vlan: Option<u16>) -> String {
    vlan.map_or_else(|| place(vlans), |vlan| format!(" in the tree of VLAN {vlan}"))
}
