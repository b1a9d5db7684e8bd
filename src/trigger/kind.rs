//! The kinds of triggers: one table that the command line, the configuration file, bundle names and
//! reports spell alike. Every kind of finding is a kind of trigger, too.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::error::nearest;
use crate::finding::FindingKind;

/// What a trigger is about: which key of `[[trigger]]` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// An interface.
    Interface,
    /// A probe.
    Probe,
    /// A matcher of log lines.
    Log,
    /// A file in /sys or /proc.
    Path,
    /// A neighbour, by its address.
    Neighbour,
    /// Nothing in particular.
    Nothing,
}

impl About {
    /// The key in the configuration file; none if there is nothing to name.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::Interface => Some("interface"),
            Self::Probe => Some("probe"),
            Self::Log => Some("log"),
            Self::Path => Some("path"),
            Self::Neighbour => Some("neighbour"),
            Self::Nothing => None,
        }
    }
}

/// Defines the kinds that are no findings: variant, spelling, what it is about; whether it lasts, as only
/// what begins and ends can be waited `for`; whether a number comes with it, as only that can be compared.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $about:ident, $lasts:literal, $number:literal;)+) => {
        /// The kinds of triggers, spelled as operators type them after `--on`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum TriggerKind {
            $($(#[doc = $doc])+ $variant,)+
            /// A detector concluded something; spelled as the finding, with `-` for `_`.
            Finding(FindingKind),
        }

        impl TriggerKind {
            const PLAIN: &[Self] = &[$(Self::$variant,)+];

            /// What it is about.
            pub fn about(self) -> About {
                match self {
                    $(Self::$variant => About::$about,)+
                    Self::Finding(_) => About::Interface,
                }
            }

            /// True if it begins and ends; false if it only happens.
            pub fn lasts(self) -> bool {
                match self {
                    $(Self::$variant => $lasts,)+
                    Self::Finding(_) => true,
                }
            }

            /// True if a number comes with it, which a rule may compare: of findings their frames per
            /// second.
            pub fn has_number(self) -> bool {
                match self {
                    $(Self::$variant => $number,)+
                    Self::Finding(_) => true,
                }
            }
        }

        impl fmt::Display for TriggerKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.pad($name),)+
                    Self::Finding(kind) => f.pad(&kind.name().replace('_', "-")),
                }
            }
        }
    };
}

kinds! {
    /// An interface that was able to carry frames no longer is, or bounced, or was removed.
    LinkDown = "link-down", Interface, true, false;
    /// An interface became able to carry frames.
    LinkUp = "link-up", Interface, true, false;
    /// A probe was lost as many times in a row as the operator allows.
    ProbeLost = "probe-lost", Probe, true, false;
    /// Round trips of a probe are longer than the operator allows.
    ProbeSlow = "probe-slow", Probe, true, false;
    /// A probe loses more than the operator allows.
    ProbeLossy = "probe-lossy", Probe, true, false;
    /// A port fell out of a bond's traffic, or LACP on it expired or was defaulted.
    BondPort = "bond-port", Interface, true, false;
    /// A bond uses another port, another aggregator or has another partner.
    BondChange = "bond-change", Interface, false, false;
    /// A port of a bridge no longer forwards.
    StpPort = "stp-port", Interface, true, false;
    /// An address of ours was removed.
    AddressGone = "address-gone", Interface, true, false;
    /// Somebody else has an address of ours.
    AddressDuplicate = "address-duplicate", Interface, true, false;
    /// A default route is gone, or leads nowhere that can be reached.
    DefaultRouteGone = "default-route-gone", Nothing, true, false;
    /// A next hop, or a neighbour that the operator named, does not answer.
    NeighbourFailed = "neighbour-failed", Neighbour, true, false;
    /// A line that matches was logged.
    Log = "log", Log, false, false;
    /// An attribute in /sys or /proc changed, or is beyond a number.
    Attribute = "attribute", Path, true, true;
    /// A counter of trouble grew; its number is by how much in a second.
    Counter = "counter", Interface, false, true;
    /// The operator sent SIGUSR1.
    Signal = "signal", Nothing, false, false;
    /// The command under `dashcap exec` failed.
    CommandFailed = "command-failed", Nothing, false, false;
    /// Somebody asked through the control socket.
    Snapshot = "snapshot", Nothing, false, false;
    /// A file appeared in the trigger directory.
    File = "file", Nothing, false, false;
    /// Somebody asked by HTTP.
    Http = "http", Nothing, false, false;
    /// Another host of the fleet asked, because of what happened there.
    Fleet = "fleet", Nothing, false, false;
    /// An earlier recording ended without stopping, and its ring file or a spool was read.
    Recovered = "recovered", Nothing, false, false;
}

impl TriggerKind {
    /// Every kind that a rule can be made for: `exec` alone makes the one for its command, and who asks
    /// needs none, nor what a ring file held.
    pub fn armable() -> impl Iterator<Item = Self> {
        const OTHERS: [TriggerKind; 6] = [
            TriggerKind::CommandFailed,
            TriggerKind::Snapshot,
            TriggerKind::File,
            TriggerKind::Http,
            TriggerKind::Fleet,
            TriggerKind::Recovered,
        ];
        let plain = Self::PLAIN.iter().copied().filter(|kind| !OTHERS.contains(kind));
        plain.chain(FindingKind::ALL.iter().copied().map(Self::Finding))
    }

    /// The kind with this name, whoever may ask for it.
    pub fn named(name: &str) -> Option<Self> {
        let findings = FindingKind::ALL.iter().copied().map(Self::Finding);
        Self::PLAIN.iter().copied().chain(findings).find(|kind| kind.to_string() == name)
    }

    /// True if one object can have several of it at a time, and a rule may say which with `what`.
    pub fn tells_what(self) -> bool {
        matches!(
            self,
            Self::Log
                | Self::Attribute
                | Self::Counter
                | Self::AddressGone
                | Self::AddressDuplicate
                | Self::DefaultRouteGone
                | Self::NeighbourFailed
                | Self::Finding(_)
        )
    }

    /// True if a rule that names no object means the recorded interfaces and their masters. Links and
    /// counters are told of every interface of the host, of which many come and go with containers; other
    /// findings come from what is recorded anyway, and a bond or an address is nobody's by accident.
    pub(super) fn is_of_watched(self) -> bool {
        matches!(
            self,
            Self::LinkDown
                | Self::LinkUp
                | Self::StpPort
                | Self::Counter
                | Self::Finding(FindingKind::LinkFlapping)
        )
    }

    /// True if it is told to begin again and again while it goes on: the kernel gives a neighbour up
    /// each time that somebody asks for it (net/core/neighbour.c, neigh_timer_handler()), and a link that flaps
    /// is told again with each count.
    pub(super) fn repeats(self) -> bool {
        matches!(self, Self::NeighbourFailed | Self::Finding(FindingKind::LinkFlapping))
    }

    /// True if somebody asked for it, or his program through an endpoint that is open to those he trusts, or another
    /// host, whose rate is bounded by itself: it is not held back by the hourly budget.
    pub fn is_asked_for(self) -> bool {
        self.is_explicit() || matches!(self, Self::File | Self::Http | Self::Fleet)
    }

    /// True if it never waits for a cool-down: the operator's wish, and that of another host, for which windows that
    /// a bundle has are no second one, and which has a rate of its own.
    pub(super) fn never_waits(self) -> bool {
        self.is_explicit() || self == Self::Fleet
    }

    /// True if an operator asks for it at that moment: then it never waits for a cool-down, and counts
    /// also while triggers are disarmed.
    pub fn is_explicit(self) -> bool {
        matches!(self, Self::Signal | Self::CommandFailed | Self::Snapshot)
    }
}

impl FromStr for TriggerKind {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        if let Some(kind) = Self::armable().find(|kind| kind.to_string() == typed) {
            return Ok(kind);
        }
        let nearest = nearest(typed, Self::armable().map(|kind| kind.to_string()));
        let nearest = nearest.map(|name| format!("; the nearest is {name}"));
        Err(format!("there is no trigger {typed:?}{}", nearest.unwrap_or_default()))
    }
}

impl Serialize for TriggerKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_and_no_two_share_a_name() {
        let kinds: Vec<_> = TriggerKind::armable().collect();
        for kind in &kinds {
            let name = kind.to_string();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
            assert_eq!(name.parse(), Ok(*kind));
            assert_eq!(kinds.iter().filter(|k| k.to_string() == name).count(), 1, "{name}");
        }
        assert_eq!("lacp-expired".parse(), Ok(TriggerKind::Finding(FindingKind::LacpExpired)));
        assert!("command-failed".parse::<TriggerKind>().is_err(), "only exec arms it");
    }

    #[test]
    fn a_misspelt_kind_is_told_the_nearest() {
        for (typed, nearest) in [
            ("linkdown", "link-down"),
            ("link_down", "link-down"),
            ("lacp_expired", "lacp-expired"),
            ("vrrp-silense", "vrrp-silence"),
            ("duplicate", "duplicate-storm"),
        ] {
            let refused = typed.parse::<TriggerKind>().unwrap_err();
            assert!(refused.ends_with(&format!("the nearest is {nearest}")), "{refused}");
        }
        assert_eq!("xyzzy".parse::<TriggerKind>().unwrap_err(), "there is no trigger \"xyzzy\"");
    }
}
