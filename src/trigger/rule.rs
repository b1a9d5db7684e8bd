//! A rule says which observations count: `--on KIND[:OBJECT]`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobMatcher};

use super::{Trigger, TriggerKind};
use crate::error::Error;
use crate::watch::{Fact, LinkState, Observation};

/// One armed trigger.
#[derive(Debug, Clone)]
pub struct Rule {
    kind: TriggerKind,
    /// Which interfaces or probes; none = the watched interfaces, every probe.
    object: Option<GlobMatcher>,
}

/// What the operator's other choices mean for the rules.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Captured interfaces and their masters: what a link rule without an object is about.
    pub watched: &'a BTreeSet<String>,
    /// Losses in a row that make a probe lost.
    pub probe_fall: u32,
}

impl Rule {
    /// What is armed when the operator names nothing.
    pub fn defaults(with_probes: bool) -> Vec<Self> {
        let mut kinds = vec![TriggerKind::LinkDown, TriggerKind::Signal];
        if with_probes {
            kinds.push(TriggerKind::ProbeLost);
        }
        kinds.into_iter().map(|kind| Self { kind, object: None }).collect()
    }

    /// What `dashcap exec` arms instead.
    pub fn command_failed() -> Self {
        Self { kind: TriggerKind::CommandFailed, object: None }
    }

    /// The kind this rule arms.
    pub fn kind(&self) -> TriggerKind {
        self.kind
    }

    /// The trigger that an observation amounts to under this rule, if any.
    pub fn judge(&self, seen: &Observation, when: Circumstances<'_>) -> Option<Trigger> {
        let (kind, object) = happening(&seen.fact, when.probe_fall)?;
        if kind != self.kind || !self.is_about(kind, object, when.watched) {
            return None;
        }
        Some(Trigger {
            kind,
            object: object.map(str::to_owned),
            at: seen.at,
            sentence: seen.fact.to_string(),
        })
    }

    fn is_about(
        &self,
        kind: TriggerKind,
        object: Option<&str>,
        watched: &BTreeSet<String>,
    ) -> bool {
        match (&self.object, object) {
            (Some(glob), Some(object)) => glob.is_match(object),
            (Some(_), None) => false,
            (None, Some(object)) if kind.is_link() => watched.contains(object),
            (None, _) => true,
        }
    }
}

impl TriggerKind {
    fn is_link(self) -> bool {
        matches!(self, Self::LinkDown | Self::LinkUp)
    }
}

/// What an observation amounts to, whoever may be interested.
fn happening(fact: &Fact, probe_fall: u32) -> Option<(TriggerKind, Option<&str>)> {
    match fact {
        Fact::Link { before: Some(before), now } => {
            let kind = match (before.is_up(), now.is_up()) {
                (true, false) => TriggerKind::LinkDown,
                (true, true) if went_down_between(before, now) => TriggerKind::LinkDown,
                (false, true) => TriggerKind::LinkUp,
                _ => return None,
            };
            Some((kind, Some(&now.name)))
        }
        Fact::Link { before: None, now } if now.is_up() => {
            Some((TriggerKind::LinkUp, Some(&now.name)))
        }
        Fact::LinkGone { last } if last.is_up() => Some((TriggerKind::LinkDown, Some(&last.name))),
        // Exactly at the threshold: a probe that stays lost is one happening, not one a second.
        Fact::ProbeLost { probe, in_a_row, .. } if *in_a_row == probe_fall => {
            Some((TriggerKind::ProbeLost, Some(probe)))
        }
        Fact::SnapshotSignal => Some((TriggerKind::Signal, None)),
        Fact::CommandEnded { command, success: false, .. } => {
            Some((TriggerKind::CommandFailed, Some(command)))
        }
        _ => None,
    }
}

/// A bounce too short for two messages shows only in the carrier counter.
fn went_down_between(before: &LinkState, now: &LinkState) -> bool {
    matches!((before.carrier_down_count, now.carrier_down_count), (Some(b), Some(n)) if b != n)
}

impl FromStr for Rule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason: String| Error::usage("--on", text, reason, Self::accepted());
        let (kind, object) = match text.split_once(':') {
            Some((kind, object)) => (kind, Some(object)),
            None => (text, None),
        };
        let kind = TriggerKind::ARMABLE
            .into_iter()
            .find(|k| k.name() == kind)
            .ok_or_else(|| refuse(format!("there is no trigger {kind:?}")))?;
        if kind == TriggerKind::Signal && object.is_some() {
            return Err(refuse("a signal is about nothing in particular".into()));
        }
        let object = object.map(|pattern| {
            if pattern.is_empty() {
                return Err(refuse("nothing stands after the colon".into()));
            }
            Glob::new(pattern).map(|g| g.compile_matcher()).map_err(|e| refuse(e.to_string()))
        });
        Ok(Self { kind, object: object.transpose()? })
    }
}

impl Rule {
    fn accepted() -> String {
        let kinds: Vec<_> = TriggerKind::ARMABLE.iter().map(|k| k.name()).collect();
        format!("KIND or KIND:NAME with KIND one of {}, such as link-down:dp0*", kinds.join(", "))
    }
}

/// As the operator would type it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        self.object.as_ref().map_or(Ok(()), |glob| write!(f, ":{}", glob.glob()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Stamp;
    use crate::watch::OperState;

    fn link(name: &str, up: bool, falls: u32) -> LinkState {
        LinkState {
            name: name.into(),
            flags: LinkState::IFF_UP,
            carrier: Some(up),
            operstate: if up { OperState::Up } else { OperState::Down },
            carrier_up_count: Some(1),
            carrier_down_count: Some(falls),
            ..LinkState::default()
        }
    }

    fn change(name: &str, before: bool, now: bool) -> Fact {
        let falls = u32::from(before && !now);
        Fact::Link { before: Some(link(name, before, 0)), now: link(name, now, falls) }
    }

    fn lost(probe: &str, in_a_row: u32) -> Fact {
        Fact::ProbeLost {
            probe: probe.into(),
            address: [192, 0, 2, 1].into(),
            in_a_row,
            reason: "no answer in 1 s".into(),
        }
    }

    #[test]
    fn rules_pick_what_they_are_about() {
        let bounce = Fact::Link { before: Some(link("eth0", true, 0)), now: link("eth0", true, 1) };
        for (rule, fact, fires) in [
            ("link-down", change("eth0", true, false), Some("link-down eth0")),
            ("link-down", change("eth9", true, false), None),
            ("link-down:eth9", change("eth9", true, false), Some("link-down eth9")),
            ("link-down:dp0*", change("dp0bond0.956", true, false), Some("link-down dp0bond0.956")),
            ("link-down", change("eth0", false, false), None),
            ("link-down", change("eth0", false, true), None),
            ("link-down", bounce, Some("link-down eth0")),
            ("link-down", Fact::LinkGone { last: link("eth0", true, 0) }, Some("link-down eth0")),
            ("link-down", Fact::LinkGone { last: link("eth0", false, 1) }, None),
            ("link-up", change("eth0", false, true), Some("link-up eth0")),
            (
                "link-up",
                Fact::Link { before: None, now: link("eth0", true, 0) },
                Some("link-up eth0"),
            ),
            ("link-up", Fact::Link { before: None, now: link("eth0", false, 0) }, None),
            ("probe-lost", lost("gw", 2), None),
            ("probe-lost", lost("gw", 3), Some("probe-lost gw")),
            ("probe-lost", lost("gw", 4), None),
            ("probe-lost:dns*", lost("gw", 3), None),
            ("signal", Fact::SnapshotSignal, Some("signal ")),
            ("signal", Fact::StopSignal, None),
        ] {
            let watched = BTreeSet::from(["eth0".to_owned()]);
            let when = Circumstances { watched: &watched, probe_fall: 3 };
            let rule: Rule = rule.parse().unwrap();
            let seen = Observation { at: Stamp::default(), fact };
            let found = rule.judge(&seen, when);
            let found =
                found.map(|t| format!("{} {}", t.kind, t.object.as_deref().unwrap_or_default()));
            assert_eq!(found.as_deref(), fires, "{rule} on {}", seen.fact);
        }
    }

    #[test]
    fn a_rule_reads_back_as_typed_and_nonsense_names_the_accepted_form() {
        for good in ["link-down", "link-up:eth[01]", "probe-lost:192.0.2.*", "signal"] {
            assert_eq!(good.parse::<Rule>().unwrap().to_string(), good);
        }
        for bad in ["", "linkdown", "link-down:", "link-down:[", "signal:USR1", "command-failed"] {
            let error = bad.parse::<Rule>().unwrap_err();
            assert_eq!(error.exit_status(), 2);
            assert!(error.to_string().contains("such as link-down:dp0*"), "{error}");
        }
    }
}
