//! What is armed when the operator names nothing, and what then is not.

use super::TriggerKind;
use super::rule::Rule;
use crate::finding::{FindingKind, Severity};

impl Rule {
    /// Findings that are not armed when the operator names nothing, though they are warnings: what a port
    /// scan causes in a network where all is well, and holes in the recording, of which nothing can be kept.
    pub(super) const UNARMED: [FindingKind; 3] =
        [FindingKind::TcpResetBurst, FindingKind::IcmpUnreachableBurst, FindingKind::CaptureGap];

    /// Log lines that are armed when the operator names nothing: of redundancy and routing that failed, of
    /// tables of the kernel that are full, and of transmitters that hang. What else is matched is often
    /// harmless by itself.
    pub const LOGS: [&str; 13] = [
        "vrrp-*",
        "nsm-interface-down",
        "*-neighbor-down",
        "bgp-hold-timer",
        "bond-*",
        "lacp-*",
        "team-lacp-state",
        "transmit-*",
        "bridge-loop",
        "duplicate-address",
        "neighbor-table-full",
        "conntrack-table-full",
        "syn-flood",
    ];
    /// Log lines that are armed beside them where the operator named a log: who names one wants to know
    /// whatever it calls down. In the kernel's log these repeat what links tell themselves.
    pub const LOGS_NAMED: [&str; 2] = ["switch-interface-down", "nic-link-down"];

    /// What is armed when the operator names nothing: what is a failure for anybody. Of findings every kind
    /// that is at warning or worse, but those of `UNARMED`.
    pub fn defaults(with_probes: bool) -> Vec<Self> {
        let probes = with_probes.then_some(TriggerKind::ProbeLost);
        let plain = [
            TriggerKind::LinkDown,
            TriggerKind::BondPort,
            TriggerKind::DefaultRouteGone,
            TriggerKind::NeighbourFailed,
            TriggerKind::AddressDuplicate,
            TriggerKind::Signal,
        ];
        let plain = plain.into_iter().chain(probes);
        let warning = |kind: &FindingKind| Self {
            severity: Some(Severity::Warning),
            ..Self::new(TriggerKind::Finding(*kind))
        };
        let findings = FindingKind::ALL.iter().filter(|kind| !Self::UNARMED.contains(kind));
        plain
            .map(Self::new)
            .chain(Self::LOGS.into_iter().filter_map(Self::of_log))
            .chain(findings.map(warning))
            .collect()
    }

    /// Kinds that can be armed, and none of these rules is about.
    pub fn unarmed(rules: &[Self]) -> Vec<TriggerKind> {
        let is_armed = |kind: &TriggerKind| rules.iter().any(|rule| rule.kind == *kind);
        TriggerKind::armable().filter(|kind| !is_armed(kind)).collect()
    }
}
