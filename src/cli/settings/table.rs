//! `[[trigger]]`: a rule with everything it can have, as the file has it.

use serde::{Deserialize, Serialize};

use crate::cli::values::{Kind, TimeSpan};
use crate::error::Result;
use crate::finding::Severity;
use crate::trigger::{Announce, Bound, Hold, Names, Rule, Threshold, Words};

/// One table. Read, it is a rule that was checked; written, it is what was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Keys", into = "Keys")]
pub(super) struct TriggerTable(Rule);

/// The keys of a table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    neighbour: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<Severity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    above: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hysteresis: Option<f64>,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    lasting: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pre: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cool_down: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldKeys>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fleet: Option<FleetKeys>,
}

/// The keys of `hold`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldKeys {
    confirm: String,
    within: TimeSpan,
}

/// The keys of `fleet`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FleetKeys {
    to: Vec<String>,
    #[serde(default)]
    mode: AnnounceMode,
}

/// What other hosts do with the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnnounceMode {
    #[default]
    Keep,
    Hold,
}

impl FleetKeys {
    fn announce(&self) -> Result<Announce, String> {
        let to = self.to.iter().map(|to| to.parse()).collect::<Result<_, String>>()?;
        Ok(Announce { to, hold: self.mode == AnnounceMode::Hold })
    }

    fn of(announce: &Announce) -> Self {
        let mode = if announce.hold { AnnounceMode::Hold } else { AnnounceMode::Keep };
        Self { to: announce.to.iter().map(ToString::to_string).collect(), mode }
    }
}

impl TriggerTable {
    /// The rule it is.
    pub(super) fn rule(&self) -> &Rule {
        &self.0
    }

    /// The table that is `rule`.
    pub(super) fn of(rule: &Rule) -> Self {
        Self(rule.clone())
    }
}

impl TryFrom<Keys> for TriggerTable {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let rule = Rule {
            object: keys.object()?,
            threshold: keys.threshold()?,
            what: keys.what.as_deref().map(Words::parse).transpose()?,
            announce: keys.fleet.as_ref().map(FleetKeys::announce).transpose()?,
            name: keys.name,
            severity: keys.severity,
            lasting: keys.lasting.map_or_else(Default::default, |span| span.0),
            pre: keys.pre.map(|span| span.0),
            post: keys.post.map(|span| span.0),
            cool_down: keys.cool_down.map(|span| span.0),
            hold: keys.hold.map(|hold| Hold { confirm: hold.confirm, within: hold.within.0 }),
            ..Rule::new(keys.kind.0)
        };
        rule.check().map_err(|error| error.to_string())?;
        Ok(Self(rule))
    }
}

impl Keys {
    /// Which objects, under the key that suits the kind.
    fn object(&self) -> Result<Option<Names>, String> {
        let mut names = None;
        for (key, given) in [
            ("interface", &self.interface),
            ("probe", &self.probe),
            ("log", &self.log),
            ("path", &self.path),
            ("neighbour", &self.neighbour),
        ] {
            let Some(given) = given else { continue };
            match self.kind.0.about().key() {
                Some(right) if right == key => {
                    names = Some(Names::parse(given).map_err(|e| format!("{key}: {e}"))?);
                }
                Some(right) => {
                    let kind = self.kind.0;
                    return Err(format!(
                        "{kind} is not about a {key}; accepted: {right} = \"NAME\""
                    ));
                }
                None => {
                    let kind = self.kind.0;
                    return Err(format!(
                        "{kind} is about no interface, probe or other object; accepted: no {key}"
                    ));
                }
            }
        }
        Ok(names)
    }

    fn threshold(&self) -> Result<Option<Threshold>, String> {
        let bound = match (self.above, self.below) {
            (Some(_), Some(_)) => return Err("accepted: above or below, not both".to_owned()),
            (Some(above), None) => Bound::Above(above),
            (None, Some(below)) => Bound::Below(below),
            (None, None) if self.hysteresis.is_some() => {
                return Err("hysteresis of nothing; accepted: with above or below".to_owned());
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Threshold { bound, hysteresis: self.hysteresis.unwrap_or(0.0) }))
    }
}

impl From<TriggerTable> for Keys {
    fn from(TriggerTable(rule): TriggerTable) -> Self {
        let (above, below) = match rule.threshold.map(|threshold| threshold.bound) {
            Some(Bound::Above(bound)) => (Some(bound), None),
            Some(Bound::Below(bound)) => (None, Some(bound)),
            None => (None, None),
        };
        let names = rule.object.map(|names| names.to_string());
        let about = rule.kind.about().key();
        let named = |key| names.clone().filter(|_| about == Some(key));
        Self {
            name: rule.name,
            kind: Kind(rule.kind),
            interface: named("interface"),
            probe: named("probe"),
            log: named("log"),
            path: named("path"),
            neighbour: named("neighbour"),
            severity: rule.severity,
            what: rule.what.map(|words| words.to_string()),
            above,
            below,
            hysteresis: rule.threshold.map(|threshold| threshold.hysteresis),
            lasting: (!rule.lasting.is_zero()).then_some(TimeSpan(rule.lasting)),
            pre: rule.pre.map(TimeSpan),
            post: rule.post.map(TimeSpan),
            cool_down: rule.cool_down.map(TimeSpan),
            hold: rule
                .hold
                .map(|hold| HoldKeys { confirm: hold.confirm, within: TimeSpan(hold.within) }),
            fleet: rule.announce.as_ref().map(FleetKeys::of),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::settings::file::parse;

    /// The rule of one table, or what is wrong with it.
    fn rule(keys: &str) -> Result<String, String> {
        let settings = parse(&format!("[[trigger]]\n{keys}\n"))?;
        Ok(settings.trigger[0].rule().to_string())
    }

    #[test]
    fn every_key_becomes_a_part_of_the_rule() {
        for (keys, expected) in [
            ("kind = 'link-down'", "link-down"),
            ("kind = 'link-down'\ninterface = 'dp0*'", "link-down:dp0*"),
            ("kind = 'probe-lost'\nprobe = '192.0.2.*'", "probe-lost:192.0.2.*"),
            ("kind = 'log'\nlog = 'vrrp-*'", "log:vrrp-*"),
            ("kind = 'attribute'\npath = '/sys/*'\nabove = 5", "attribute:/sys/* (above 5)"),
            ("kind = 'neighbour-failed'\nneighbour = '192.0.2.1'", "neighbour-failed:192.0.2.1"),
            ("kind = 'counter'\nwhat = '^rx'\nabove = 9", "counter (what matches ^rx, above 9)"),
            ("kind = 'drops'\nname = 'losing'", "drops \"losing\""),
            ("kind = 'drops'\nseverity = 'critical'", "drops (critical or worse)"),
            ("kind = 'drops'\nwhat = 'ring.*full'", "drops (what matches ring.*full)"),
            ("kind = 'drops'\nabove = 5", "drops (above 5)"),
            ("kind = 'drops'\nbelow = 0.5\nhysteresis = 0.1", "drops (below 0.5 by 0.1)"),
            ("kind = 'link-down'\nfor = '5s'", "link-down (for 5s)"),
            (
                "kind = 'link-up'\npre = '1s'\npost = '2s'\ncool_down = '1h'",
                "link-up (pre 1s, post 2s, cool-down 3600s)",
            ),
            (
                "kind = 'drops'\nhold = {confirm = 'link-down', within = '90s'}",
                "drops (kept if link-down follows within 90s)",
            ),
            (
                "kind = 'drops'\nfleet = {to = ['peers', 'group:x']}",
                "drops (kept by peers, group:x, too)",
            ),
            (
                "kind = 'drops'\nhold = {confirm = 'link-down', within = '90s'}\n\
                 fleet = {to = ['host:b'], mode = 'hold'}",
                "drops (kept if link-down follows within 90s, held by host:b, too)",
            ),
        ] {
            assert_eq!(rule(keys).as_deref(), Ok(expected), "{keys}");
        }
    }

    #[test]
    fn what_does_not_suit_the_kind_is_refused_where_it_stands() {
        for (keys, told) in [
            ("kind = 'probe-lost'\ninterface = 'eth0'", "accepted: probe = "),
            ("kind = 'link-down'\nprobe = 'gw'", "accepted: interface = "),
            ("kind = 'signal'\ninterface = 'eth0'", "about no interface"),
            ("kind = 'link-down'\ninterface = '['", "interface: "),
            ("kind = 'link-down'\nabove = 5", "kinds with a number"),
            ("kind = 'drops'\nabove = 5\nbelow = 1", "not both"),
            ("kind = 'drops'\nhysteresis = 1", "hysteresis of nothing"),
            ("kind = 'drops'\nwhat = '('", "regex parse error"),
            ("kind = 'drops'\nseverity = 'bad'", "expected one of `info`"),
            ("kind = 'drops'\nfor = '5 parsecs'", "not a duration"),
            ("kind = 'signal'\nfor = '5s'", "over at once"),
            ("kind = 'drops'\nfleet = {to = []}", "1 to 16 of peers"),
            ("kind = 'drops'\nfleet = {to = ['all']}", "accepted: peers, group:NAME"),
            ("kind = 'drops'\nfleet = {to = ['peers'], mode = 'hold'}", "a rule with hold"),
            ("name = 'x'", "missing field `kind`"),
        ] {
            let refused = rule(keys).unwrap_err();
            assert!(refused.contains(told) && refused.contains("line "), "{keys}: {refused}");
        }
    }
}
