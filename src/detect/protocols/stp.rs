//! Spanning tree: a bridge reports a topology change, or takes another bridge for the root.
//!
//! A topology change is daily business (each port that comes up makes one) and a notice. Another root
//! is more: the old one is gone, or somebody plugged in a better one. Only a bridge that took itself
//! for the root until it heard of the real one is just joining. A network whose bridges no longer speak
//! lost its root, or a switch hangs.

use std::time::Duration;

use super::bounded::Bounded;
use super::heard::{Heard, Now, about, place};
use super::lasting::{Lasting, Pulse, Repeats, Rhythm};
use crate::finding::{Finding, FindingKind, Party, Severity};
use crate::frame::Direction;
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
/// Hellos missing in a row that are silence (IEEE 802.1D 17.21.23, rapid ageing).
const MISSING: u32 = 3;
/// Hellos of a tree before their silence means anything.
const SPEAKS: u32 = 3;
/// So long after its first word a bridge may still be joining: it hears of the root within a hello time, of
/// which these are five (IEEE 802.1D table 17-1).
const JOINING: Duration = Duration::from_secs(10);

/// VLANs of the frame, and the tree's own.
type Name = (Vlans, Option<u16>);

/// Judges the BPDUs of one interface.
#[derive(Debug)]
pub(super) struct Watch {
    trees: Bounded<Name, Tree>,
}

#[derive(Debug)]
struct Tree {
    /// The newest configuration, how many there were, and which way it went.
    newest: Option<Configuration>,
    configurations: u32,
    direction: Direction,
    pulse: Pulse,
    change: Lasting,
    bridges: Bounded<BridgeId, Bridge>,
    root_changes: Repeats,
}

/// A bridge that speaks.
#[derive(Debug)]
struct Bridge {
    root: BridgeId,
    since: Stamp,
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
            newest: None,
            configurations: 0,
            direction: heard.direction(),
            pulse: Pulse::new(heard.at(), rhythm(HELLO)),
            change: Lasting::default(),
            bridges: Bounded::new(BRIDGES),
            root_changes: Repeats::default(),
        };
        let Some(tree) = self.trees.entry((heard.vlans(), vlan), make) else { return };
        let place = tree_name(heard.vlans(), vlan);
        match bpdu {
            Bpdu::Notification => {
                let who = heard.reading.link.source.unwrap_or_default();
                let sentence = format!("{who} notifies a topology change{place}");
                tree.change(heard, sentence, findings);
            }
            Bpdu::Configuration(configuration) => {
                if configuration.topology_change {
                    let bridge = configuration.bridge;
                    let sentence = format!("bridge {bridge} reports a topology change{place}");
                    tree.change(heard, sentence, findings);
                }
                tree.compare(heard, configuration, &place, findings);
                tree.speaks(heard, configuration, &place, findings);
            }
        }
    }

    pub(super) fn tick(&mut self, now: &Now<'_>, findings: &mut Vec<Finding>) {
        self.trees.retain(|(vlans, vlan), tree| {
            tree.check(now, *vlans, &tree_name(*vlans, *vlan), findings);
            let quiet = tree.pulse.rhythm.interval.saturating_mul(QUIET);
            if tree.change.last().is_some_and(|last| now.at.mono.since(last.mono) > quiet) {
                let sentence = || format!("topology settled{}", tree_name(*vlans, *vlan));
                tree.change.end(now.at, sentence, findings);
            }
            !tree.pulse.is_forgotten(now, findings)
        });
    }

    pub(super) fn refused(&self) -> u64 {
        self.trees.refused()
    }

    /// What has not ended.
    pub(super) fn lasting(&self) -> impl Iterator<Item = &Lasting> {
        self.trees.iter().flat_map(|(_, tree)| [&tree.pulse.silence, &tree.change])
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
        let (at, root) = (heard.at(), now.root);
        let make = || Bridge { root, since: at };
        let Some(known) = self.bridges.entry(bridge, make) else { return };
        let before = std::mem::replace(&mut known.root, root);
        if before == root {
            return;
        }
        let is_better = root < before;
        let age = at.mono.since(known.since.mono);
        let joining = before == bridge && is_better && age < JOINING;
        let severity = if joining { Severity::Info } else { Severity::Warning };
        let why = if is_better { "it is a better one" } else { "that is no longer heard" };
        let often = self.root_changes.again(at);
        let sentence =
            format!("bridge {bridge} takes {root} for the root{place}, not {before}: {why}{often}");
        // Where hellos stayed away before it, the old root was lost then.
        let late = at.mono.since(self.pulse.last.mono) > self.pulse.rhythm.interval * 3 / 2;
        let first = if late && !is_better { self.pulse.due(at) } else { at };
        let finding = heard.finding(FindingKind::StpRootChanged, severity, sentence);
        let finding = finding.about(Party::Station(root.mac)).about(Party::Station(before.mac));
        findings.push(Finding { first, ..finding });
    }

    /// A configuration came, whoever sent it: the tree is alive.
    fn speaks(
        &mut self,
        heard: &Heard<'_>,
        now: &Configuration,
        place: &str,
        findings: &mut Vec<Finding>,
    ) {
        let what = || format!("the spanning tree{place}");
        self.pulse.beat(heard, rhythm(now.hello.max(HELLO)), what, findings);
        self.newest = Some(*now);
        self.configurations = self.configurations.saturating_add(1);
        self.direction = heard.direction();
    }

    fn check(&mut self, now: &Now<'_>, vlans: Vlans, place: &str, findings: &mut Vec<Finding>) {
        let Some(newest) = self.newest.filter(|_| self.configurations >= SPEAKS) else { return };
        let Configuration { bridge, root, .. } = newest;
        // This host's own bridge is silent because somebody told it so.
        let is_own = self.direction == Direction::Outbound;
        let severity = if is_own { Severity::Notice } else { Severity::Warning };
        let silence = |silent: Duration| {
            let sentence = format!(
                "no BPDU of bridge {bridge}{place} for {:.1} s: the root {root} is no longer heard",
                silent.as_secs_f64()
            );
            let what = format!("bridge {bridge}{place}");
            let finding = now.finding(FindingKind::StpSilence, severity, what, sentence);
            let finding = Finding { direction: self.direction, ..about(finding, vlans, &[]) };
            finding.about(Party::Station(bridge.mac)).about(Party::Station(root.mac))
        };
        self.pulse.check(now, silence, findings);
    }
}

/// Half a hello after the last that is missing.
fn rhythm(hello: Duration) -> Rhythm {
    Rhythm { interval: hello, patience: hello * MISSING + hello / 2 }
}

fn tree_name(vlans: Vlans, vlan: Option<u16>) -> String {
    vlan.map_or_else(|| place(vlans), |vlan| format!(" in the tree of VLAN {vlan}"))
}
