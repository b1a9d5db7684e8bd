//! A rule says which happenings count, and what follows: `--on KIND[:OBJECT]`, or a `[[trigger]]` table
//! in the configuration file with everything a rule can have.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::happening::{Happening, Turn};
use super::terms::{Hold, Names, Threshold, Words};
use super::{About, Announce, TriggerKind};
use crate::error::{Error, Result};
use crate::finding::{FindingKind, Severity};

/// One armed trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What other rules call it in their `hold`.
    pub name: Option<String>,
    /// Which happenings it is about.
    pub kind: TriggerKind,
    /// Which interfaces, probes, matchers, files or neighbours; none = the watched interfaces, and
    /// everything else.
    pub object: Option<Names>,
    /// How bad a finding must be; none = however harmless.
    pub severity: Option<Severity>,
    /// Words that must occur in what exactly happened.
    pub what: Option<Words>,
    /// What its number must be beyond.
    pub threshold: Option<Threshold>,
    /// How long it must last before it counts; zero = at once.
    pub lasting: Duration,
    /// Kept from before it; none = as everywhere.
    pub pre: Option<Duration>,
    /// Kept from after it; none = as everywhere.
    pub post: Option<Duration>,
    /// After an incident, time during which it opens no other; none = as everywhere.
    pub cool_down: Option<Duration>,
    /// Freeze at once, keep only what another rule confirms.
    pub hold: Option<Hold>,
    /// Other hosts that are to freeze the same seconds.
    pub announce: Option<Announce>,
}

/// What the operator's other choices mean for the rules.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Captured interfaces and their masters: what a link rule without an object is about.
    pub watched: &'a BTreeSet<String>,
}

impl Rule {
    /// Longest time that a rule may wait, reach back or collect: what is longer is a capture.
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    /// Longest hold: what it pins is memory that new frames may want.
    const LONGEST_HOLD: Duration = Duration::from_secs(3600);
    /// Most rules: each looks at every observation.
    const MOST: usize = 256;

    /// Every happening of this kind, at once.
    pub fn new(kind: TriggerKind) -> Self {
        Self {
            name: None,
            kind,
            object: None,
            severity: None,
            what: None,
            threshold: None,
            lasting: Duration::ZERO,
            pre: None,
            post: None,
            cool_down: None,
            hold: None,
            announce: None,
        }
    }

    /// Log lines of the matchers that `names` stands for; none if that is no pattern.
    pub fn of_log(names: &str) -> Option<Self> {
        let object = Names::parse(names).ok()?;
        Some(Self { object: Some(object), ..Self::new(TriggerKind::Log) })
    }

    /// What `dashcap exec` arms instead.
    pub fn command_failed() -> Self {
        Self::new(TriggerKind::CommandFailed)
    }

    /// The kind this rule arms.
    pub fn kind(&self) -> TriggerKind {
        self.kind
    }

    /// What it is called: by its name, else as it would be typed after `--on`.
    pub fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.short())
    }

    /// As typed after `--on`, which for a rule with more to it is only a part.
    pub fn short(&self) -> String {
        self.object
            .as_ref()
            .map_or(self.kind.to_string(), |object| format!("{}:{object}", self.kind))
    }

    /// True if `--on` can say all of it.
    pub fn is_short(&self) -> bool {
        *self == Self { object: self.object.clone(), ..Self::new(self.kind) }
    }

    /// Many rules in a few lines for people: log lines together, and findings that need be no more than bad
    /// enough, of which those are named that are fewer: the armed ones, or the others.
    pub fn in_lines(rules: &[Self]) -> Vec<String> {
        let listed =
            |part: &[&Self]| part.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (floored, others): (Vec<_>, Vec<_>) =
            rules.iter().partition(|rule| rule.floor().is_some());
        let is_log = |rule: &&Self| rule.kind == TriggerKind::Log && rule.is_short();
        let (logs, others): (Vec<_>, Vec<_>) = others.into_iter().partition(is_log);
        let mut lines = vec![listed(&others)];
        if !logs.is_empty() {
            let names = logs.iter().map(|rule| rule.object.as_ref());
            let names = names.map(|names| names.map_or("all".to_owned(), ToString::to_string));
            lines.push(format!("log lines of {}", names.collect::<Vec<_>>().join(", ")));
        }
        for severity in [Severity::Info, Severity::Notice, Severity::Warning, Severity::Critical] {
            let same = floored.iter().filter(|rule| rule.floor() == Some(severity));
            let same: Vec<_> = same.map(|rule| rule.short()).collect();
            if !same.is_empty() {
                lines.push(format!("findings at {} or worse: {}", severity.name(), most(&same)));
            }
        }
        lines.retain(|line| !line.is_empty());
        lines
    }

    /// How bad a finding must be, for a rule that asks nothing else.
    fn floor(&self) -> Option<Severity> {
        self.severity.filter(|_| Self { severity: None, ..self.clone() }.is_short())
    }

    /// Accepts only what can be meant, by itself.
    ///
    /// # Errors
    /// When a condition does not suit the kind, or a time is too long.
    pub fn check(&self) -> Result<()> {
        let kind = self.kind;
        let finding = matches!(kind, TriggerKind::Finding(_));
        if self.object.is_some() && kind.about() == About::Nothing {
            return self.refuse(
                "interface",
                "this kind is about no interface, probe or other object",
                "no name",
            );
        }
        if !finding && self.severity.is_some() {
            let accepted = "severity for findings, such as lacp-expired";
            return self.refuse(
                "severity",
                "only findings have a severity, and this kind is none",
                accepted,
            );
        }
        if self.what.is_some() && !kind.tells_what() {
            let accepted = "what for findings, such as lacp-expired, and for log, counter, ...";
            return self.refuse(
                "what",
                "`what` is for kinds that tell more than their object, and this one does not",
                accepted,
            );
        }
        match self.threshold {
            Some(_) if !kind.has_number() => {
                let accepted =
                    "above or below for attribute, counter and findings, which have a number";
                return self.refuse(
                    "above",
                    "a threshold is for kinds with a number, and this one has none",
                    accepted,
                );
            }
            Some(threshold) if !threshold.makes_sense() => {
                let accepted = "finite numbers, hysteresis from 0 on";
                return self.refuse("above", "a threshold is a finite number", accepted);
            }
            _ => {}
        }
        if !self.lasting.is_zero() && !kind.lasts() {
            return self.refuse(
                "for",
                "`for` is for kinds that last, and this one is over at once",
                "for with what lasts, link-down",
            );
        }
        let times = [("for", Some(self.lasting)), ("pre", self.pre), ("post", self.post)];
        for (key, time) in times.into_iter().chain([("cool_down", self.cool_down)]) {
            if time.is_some_and(|time| time > Self::LONGEST) {
                return self.refuse(key, "the time is at most a day", "up to 24h, such as 90s");
            }
        }
        if let Some(announce) = &self.announce {
            self.check_announce(announce)?;
        }
        match &self.hold {
            Some(hold) if hold.within.is_zero() || hold.within > Self::LONGEST_HOLD => self.refuse(
                "hold.within",
                "the hold lasts at most an hour",
                "more than 0s, up to 1h, such as 90s",
            ),
            Some(_) if kind.is_explicit() => self.refuse(
                "hold",
                "a snapshot that was asked for is always kept, so it cannot be held",
                "no hold",
            ),
            _ => Ok(()),
        }
    }

    fn check_announce(&self, announce: &Announce) -> Result<()> {
        let most = Announce::MOST;
        if !(1..=most).contains(&announce.to.len()) {
            let accepted = format!("1 to {most} of peers, group:NAME, host:NAME");
            return self.refuse("fleet.to", "a notice goes to somebody, and not to all", &accepted);
        }
        if announce.hold && self.hold.is_none() {
            let reason = "others hold for as long as this rule does, and it does not";
            return self.refuse("fleet.mode", reason, "\"keep\", or a rule with hold");
        }
        Ok(())
    }

    /// Accepts only rules that can stand together.
    ///
    /// # Errors
    /// When one of them has no meaning, two share a name, or a hold waits for nobody.
    pub fn check_all(rules: &[Self]) -> Result<()> {
        if rules.len() > Self::MOST {
            let given = rules.len().to_string();
            let accepted = format!("up to {} rules; names take wildcards", Self::MOST);
            return Err(Error::usage(
                "trigger",
                given,
                "the number of rules has a bound",
                accepted,
            ));
        }
        for (at, rule) in rules.iter().enumerate() {
            rule.check()?;
            let same = |other: &Self| rule.name.is_some() && other.called() == rule.called();
            if rules[..at].iter().any(same) {
                return rule.refuse(
                    "name",
                    "each name is used once, this one twice",
                    "a name for each",
                );
            }
            let Some(hold) = &rule.hold else { continue };
            let sure = |other: &&Self| other.hold.is_none();
            if !rules.iter().filter(sure).any(|other| other.called() == hold.confirm) {
                let names: Vec<_> = rules.iter().filter(sure).map(Self::called).collect();
                let reason = format!("no rule without a hold is called {:?}", hold.confirm);
                let accepted = match &names[..] {
                    [] => "a further [[trigger]] with that name".to_owned(),
                    names => format!("one of {}", names.join(", ")),
                };
                return rule.refuse("hold.confirm", &reason, &accepted);
            }
        }
        Ok(())
    }

    fn refuse(&self, key: &str, reason: &str, accepted: &str) -> Result<()> {
        Err(Error::usage(format!("trigger, {key} of"), self.called(), reason, accepted))
    }

    /// True if the happening is of the kind, the object and the severity this rule is about.
    pub(super) fn is_about(&self, happening: &Happening<'_>, watched: &BTreeSet<String>) -> bool {
        let object = match (&self.object, happening.object.as_deref()) {
            (Some(names), Some(object)) => names.include(object),
            (Some(_), None) => false,
            (None, Some(object)) if self.kind.is_of_watched() => watched.contains(object),
            (None, _) => true,
        };
        // The end of something bad is no longer bad.
        let bad = happening.turn == Turn::Ends || happening.severity >= self.severity;
        let what = self.what.as_ref().is_none_or(|words| words.are_in(happening.what.as_deref()));
        happening.kind == self.kind && object && bad && what
    }

    fn accepted() -> String {
        let kinds: Vec<_> = TriggerKind::armable().map(|kind| kind.to_string()).collect();
        format!("KIND or KIND:NAME, such as link-down:dp0*, with KIND one of {}", kinds.join(", "))
    }
}

impl FromStr for Rule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason: String| Error::usage("--on", text, reason, Self::accepted());
        let (kind, object) = match text.split_once(':') {
            Some((kind, object)) => (kind, Some(object)),
            None => (text, None),
        };
        let kind: TriggerKind = kind.parse().map_err(refuse)?;
        if object.is_some() && kind.about() == About::Nothing {
            return Err(refuse("this kind is about no interface, probe or other object".into()));
        }
        let object = object.map(|names| Names::parse(names).map_err(refuse)).transpose()?;
        Ok(Self { object, ..Self::new(kind) })
    }
}

/// For people: as typed, and in brackets what more there is.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut more: Vec<String> = Vec::new();
        more.extend(self.severity.map(|severity| format!("{} or worse", severity.name())));
        more.extend(self.what.as_ref().map(|words| format!("what matches {words}")));
        more.extend(self.threshold.map(|threshold| threshold.to_string()));
        if !self.lasting.is_zero() {
            more.push(format!("for {:?}", self.lasting));
        }
        let times = [("pre", self.pre), ("post", self.post), ("cool-down", self.cool_down)];
        more.extend(times.iter().filter_map(|(key, time)| Some(format!("{key} {:?}", (*time)?))));
        more.extend(self.hold.as_ref().map(ToString::to_string));
        more.extend(self.announce.as_ref().map(ToString::to_string));
        f.write_str(&self.short())?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " {name:?}"))?;
        if more.is_empty() { Ok(()) } else { write!(f, " ({})", more.join(", ")) }
    }
}

/// The findings by name, or by those that are not among them, whichever are fewer.
fn most(armed: &[String]) -> String {
    let all = FindingKind::ALL.iter().map(|kind| TriggerKind::Finding(*kind).to_string());
    let others: Vec<_> = all.filter(|kind| !armed.contains(kind)).collect();
    match others.len() {
        0 => "every kind".to_owned(),
        few if few < armed.len() => format!("every kind but {}", others.join(", ")),
        _ => armed.join(", "),
    }
}

#[cfg(test)]
mod tests;
