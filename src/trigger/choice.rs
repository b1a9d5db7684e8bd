//! Which rules are armed: the default list, more than that, or less, as typed after `--on` and in the
//! file.
//!
//! Choices hold from left to right. `default` stands for everything that is armed when nothing is named, `KIND`
//! or `KIND:NAME` adds, `-KIND` or `-KIND:NAME` takes away; what takes nothing away is refused, because then
//! somebody is mistaken. A list that does not say `default` begins with nothing.

use std::fmt;
use std::str::FromStr;

use super::terms::Names;
use super::{Rule, TriggerKind};
use crate::error::{Error, Result};

/// One choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// Everything that is armed when nothing is named.
    Default,
    /// This, too.
    Arm(Box<Rule>),
    /// No longer what is of this kind and, with names, has one of them.
    Disarm(TriggerKind, Option<Names>),
}

impl Choice {
    const DEFAULT: &str = "default";

    /// Several with commas between them; a comma within braces or brackets belongs to a name.
    ///
    /// # Errors
    /// When one of them has no meaning.
    pub fn list(text: &str) -> Result<Vec<Self>> {
        let mut depth = 0_usize;
        let comma = |c: char| {
            match c {
                '{' | '[' => depth += 1,
                '}' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        };
        text.split(comma).map(|one| one.trim().parse()).collect()
    }
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == Self::DEFAULT {
            return Ok(Self::Default);
        }
        let Some(less) = text.strip_prefix('-') else {
            return text.parse().map(|rule| Self::Arm(Box::new(rule)));
        };
        less.parse().map(|Rule { kind, object, .. }| Self::Disarm(kind, object))
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str(Self::DEFAULT),
            Self::Arm(rule) => f.write_str(&rule.short()),
            Self::Disarm(kind, None) => write!(f, "-{kind}"),
            Self::Disarm(kind, Some(names)) => write!(f, "-{kind}:{names}"),
        }
    }
}

/// The rules that `choices` arm; without any, the `default` ones.
///
/// # Errors
/// When a choice takes nothing away.
pub fn chosen(choices: &[Choice], default: impl FnOnce() -> Vec<Rule>) -> Result<Vec<Rule>> {
    if choices.is_empty() {
        return Ok(default());
    }
    let mut usual = choices.contains(&Choice::Default).then(default).unwrap_or_default();
    let mut rules: Vec<Rule> = Vec::new();
    for choice in choices {
        match choice {
            Choice::Default => rules.append(&mut usual),
            Choice::Arm(rule) => rules.push(Rule::clone(rule)),
            Choice::Disarm(kind, names) => {
                let armed = rules.len();
                rules.retain(|rule| rule.kind != *kind || !is_among(rule, names.as_ref()));
                if rules.len() == armed {
                    return Err(takes_nothing_away(choice, *kind, &rules));
                }
            }
        }
    }
    Ok(rules)
}

/// True if what the rule is about is among `names`, as far as it was written out.
fn is_among(rule: &Rule, names: Option<&Names>) -> bool {
    let Some(names) = names else { return true };
    let object = rule.object.as_ref();
    object.is_some_and(|object| object == names || names.include(&object.to_string()))
}

fn takes_nothing_away(choice: &Choice, kind: TriggerKind, rules: &[Rule]) -> Error {
    let same: Vec<_> = rules.iter().filter(|rule| rule.kind == kind).map(Rule::short).collect();
    let accepted = match &same[..] {
        [] => "what is armed before it, as in --on default,-link-down".to_owned(),
        same => format!("-{}", same.join(", -")),
    };
    Error::usage(
        "--on",
        choice.to_string(),
        "only what is armed can be taken away, and this is not",
        accepted,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(text: &str) -> Result<String> {
        let usual = ["link-down", "log:vrrp-*", "log:bond-*", "signal"];
        let usual = || usual.iter().map(|rule| rule.parse().unwrap()).collect();
        let rules = chosen(&Choice::list(text)?, usual)?;
        Ok(rules.iter().map(Rule::short).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn choices_hold_from_left_to_right() {
        for (typed, expected) in [
            ("default", "link-down log:vrrp-* log:bond-* signal"),
            ("default,bgp-notification", "link-down log:vrrp-* log:bond-* signal bgp-notification"),
            (
                "bgp-notification, default",
                "bgp-notification link-down log:vrrp-* log:bond-* signal",
            ),
            ("default,-log", "link-down signal"),
            ("default,-log:vrrp-*", "link-down log:bond-* signal"),
            ("default,-log:*,log:x", "link-down signal log:x"),
            ("default,-signal,signal", "link-down log:vrrp-* log:bond-* signal"),
            ("link-up:eth0,log:{a,b[,c]}", "link-up:eth0 log:{a,b[,c]}"),
            ("drops,signal,-drops", "signal"),
        ] {
            assert_eq!(armed(typed).unwrap(), expected, "{typed}");
        }
        assert_eq!(chosen(&[], || vec![Rule::new(TriggerKind::Signal)]).unwrap().len(), 1);
    }

    #[test]
    fn what_takes_nothing_away_is_refused_with_what_could_be() {
        for (typed, told) in [
            ("-signal", "--on default,-link-down"),
            ("-signal,default", "--on default,-link-down"),
            ("default,-link-up", "--on default,-link-down"),
            ("default,-log:vrrp-fault", "-log:vrrp-*, -log:bond-*"),
            ("default,-link-down:eth0", "accepted: -link-down"),
            ("default,-linkdown", "the nearest is link-down"),
            ("default,", "there is no trigger"),
            ("", "there is no trigger"),
        ] {
            let error = armed(typed).unwrap_err();
            assert_eq!(error.exit_status(), 2, "{typed}");
            assert!(error.to_string().contains(told), "{typed}: {error}");
        }
    }

    #[test]
    fn a_choice_reads_back_as_typed() {
        for typed in ["default", "link-down:eth*", "-log", "-log:{a,b}"] {
            assert_eq!(typed.parse::<Choice>().unwrap().to_string(), typed);
        }
    }
}
