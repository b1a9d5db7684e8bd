//! Which programs run when, and within what bounds.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, nearest};
use crate::trigger::{Names, Trigger, TriggerKind};

/// Most hooks: each may run at once with the others, and has a file in the bundle.
pub const MOST_HOOKS: usize = 32;
/// Longest name of a hook in bytes: it becomes part of a file name (NAME_MAX of linux/limits.h is 255).
const LONGEST_NAME: usize = 64;
/// Longest time a hook may take: what takes longer is a service, which a hook can start.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(3_600);
/// A hook that says nothing of it has so long: a bond's slaves are added again in under a second, a
/// bundle of some megabytes is copied to another host within half a minute.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A hook that says nothing of it runs once in this time at most: a flapping link must not make a work-
/// around flap with it.
const PER: Duration = Duration::from_secs(60);
/// Most runs a rate limit may name: each is remembered.
const MOST_RUNS: u32 = 1_000;
/// Where the program itself is found again: the runner is another process of the same program
/// (proc_pid_exe(5)), also when the file was replaced meanwhile.
const OURSELVES: &str = "/proc/self/exe";

/// Everything about the operator's own programs.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What acts.
    pub hooks: Vec<Hook>,
    /// Directory of executables that tell of the host; none = none.
    pub collect: Option<PathBuf>,
    /// Directory in which bundles appear, for the programs to know.
    pub output: PathBuf,
    /// The dashcap that becomes the runner.
    pub program: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hooks: Vec::new(),
            collect: None,
            output: PathBuf::from("."),
            program: PathBuf::from(OURSELVES),
        }
    }
}

/// One `[[hook]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// Its name, in logs and file names.
    pub name: String,
    /// What is run.
    pub command: CommandLine,
    /// When it is run.
    pub when: When,
    /// Triggers it is run for; empty = all.
    pub on: Vec<Pattern>,
    /// How long it may take.
    pub timeout: Duration,
    /// Runs within `per` at most.
    pub at_most: u32,
    /// The time that `at_most` is about.
    pub per: Duration,
}

/// A program with its arguments, or a line for the shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// Run by `/bin/sh -c`.
    Shell(String),
    /// A program and its arguments, run as they are.
    Words(Vec<String>),
}

/// When a hook is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// As soon as the frames before the trigger are safe in memory.
    Frozen,
    /// Once the bundle is whole.
    Written,
}

/// Triggers as typed after `on`: `KIND` or `KIND:NAME`, both with wildcards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    kind: Names,
    object: Option<Names>,
}

impl Options {
    /// True if there is nothing to run.
    pub fn is_idle(&self) -> bool {
        self.hooks.is_empty() && self.collect.is_none()
    }

    /// Accepts only what can be meant.
    ///
    /// # Errors
    /// When a hook has no meaning, two share a name, or there are too many.
    pub fn check(&self) -> Result<()> {
        if self.hooks.len() > MOST_HOOKS {
            let given = self.hooks.len().to_string();
            return Err(Error::usage(
                "hook",
                given,
                "the number of hooks has a bound",
                format!("up to {MOST_HOOKS}"),
            ));
        }
        for (at, hook) in self.hooks.iter().enumerate() {
            hook.check()?;
            if self.hooks[..at].iter().any(|other| other.name == hook.name) {
                return hook.refuse(
                    "name",
                    "each name is used once, this one twice",
                    "a name for each",
                );
            }
        }
        Ok(())
    }
}

impl Hook {
    /// A hook that runs `command` for every trigger, within the usual bounds.
    pub fn new(name: impl Into<String>, command: CommandLine) -> Self {
        Self {
            name: name.into(),
            command,
            when: When::Frozen,
            on: Vec::new(),
            timeout: TIMEOUT,
            at_most: 1,
            per: PER,
        }
    }

    /// True if it is to be run for `trigger`.
    pub fn is_for(&self, trigger: &Trigger) -> bool {
        self.on.is_empty() || self.on.iter().any(|pattern| pattern.includes(trigger))
    }

    fn check(&self) -> Result<()> {
        let harmless = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let named = !self.name.is_empty() && self.name.len() <= LONGEST_NAME;
        if !named || !self.name.chars().all(harmless) || self.name.starts_with('.') {
            let accepted = "1 to 64 letters, digits, -, _ or ., such as \"readd-slaves\"";
            return self.refuse("name", "the name becomes part of a file name", accepted);
        }
        if self.command.words().first().is_none_or(String::is_empty) {
            let accepted = "[\"/path/to/program\", \"argument\"], or a line for /bin/sh";
            return self.refuse("command", "a command has a program, this one none", accepted);
        }
        if self.command.words().iter().any(|word| word.contains('\0')) {
            return self.refuse("command", "a command has no zero bytes", "text without one");
        }
        if self.timeout.is_zero() || self.timeout > LONGEST_TIMEOUT {
            return self.refuse(
                "timeout",
                "a run lasts at most an hour",
                "more than 0s, up to 1h, such as 30s",
            );
        }
        if !(1..=MOST_RUNS).contains(&self.at_most) {
            return self.refuse("at_most", "the number of runs has bounds", "1 to 1000 runs");
        }
        if self.per > LONGEST_TIMEOUT * 24 {
            return self.refuse("per", "the time is at most a day", "up to 24h, such as 1m");
        }
        Ok(())
    }

    fn refuse(&self, key: &str, reason: &str, accepted: &str) -> Result<()> {
        Err(Error::usage(format!("hook, {key} of"), &self.name, reason, accepted))
    }
}

impl CommandLine {
    /// The program and its arguments.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Shell(line) if line.trim().is_empty() => Vec::new(),
            Self::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            Self::Words(words) => words.clone(),
        }
    }
}

impl Pattern {
    /// Kinds that need no rule, and so cannot be armed, but can be hooked.
    const ASKED: [TriggerKind; 4] =
        [TriggerKind::CommandFailed, TriggerKind::Snapshot, TriggerKind::File, TriggerKind::Http];

    /// True if `trigger` is meant.
    pub fn includes(&self, trigger: &Trigger) -> bool {
        let object = match (&self.object, &trigger.object) {
            (None, _) => true,
            (Some(names), Some(object)) => names.include(object),
            (Some(_), None) => false,
        };
        object && self.kind.include(&trigger.kind.to_string())
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let (kind, object) = match typed.split_once(':') {
            Some((kind, object)) => (kind, Some(object)),
            None => (typed, None),
        };
        let names = Names::parse(kind)?;
        let kinds: Vec<String> =
            TriggerKind::armable().chain(Self::ASKED).map(|kind| kind.to_string()).collect();
        if !kinds.iter().any(|kind| names.include(kind)) {
            let near = nearest(kind, &kinds).map(|near| format!("; the nearest is {near}"));
            return Err(format!("there is no trigger {kind:?}{}", near.unwrap_or_default()));
        }
        let object = object.map(Names::parse).transpose()?;
        Ok(Self { kind: names, object })
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(typed: String) -> Result<Self, String> {
        typed.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        self.object.as_ref().map_or(Ok(()), |object| write!(f, ":{object}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::Stamp;

    fn hook(name: &str) -> Hook {
        Hook::new(name, CommandLine::Shell("true".to_owned()))
    }

    fn refusal(hooks: Vec<Hook>) -> Option<String> {
        let options = Options { hooks, ..Options::default() };
        options.check().err().map(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert_eq!(refusal(vec![hook("a"), hook("b-1_x.y")]), None);
        let words = |words: &[&str]| {
            CommandLine::Words(words.iter().map(|&word| word.to_owned()).collect())
        };
        let with = |command| Hook { command, ..hook("x") };
        for (hooks, told) in [
            (vec![hook("a"), hook("a")], "this one twice"),
            (vec![hook("")], "file name"),
            (vec![hook("../x")], "file name"),
            (vec![hook(".x")], "file name"),
            (vec![hook(&"x".repeat(65))], "file name"),
            (vec![with(words(&[]))], "has a program"),
            (vec![with(words(&[""]))], "has a program"),
            (vec![with(CommandLine::Shell(" ".to_owned()))], "has a program"),
            (vec![with(words(&["a", "\0"]))], "zero bytes"),
            (vec![Hook { timeout: Duration::ZERO, ..hook("x") }], "timeout"),
            (vec![Hook { timeout: Duration::from_secs(3_601), ..hook("x") }], "timeout"),
            (vec![Hook { at_most: 0, ..hook("x") }], "at_most"),
            (vec![Hook { per: Duration::from_secs(90_000), ..hook("x") }], "per"),
            ((0..=MOST_HOOKS).map(|n| hook(&n.to_string())).collect(), "number of hooks"),
        ] {
            let refused = refusal(hooks).unwrap_or_default();
            assert!(refused.contains(told), "{told}: {refused}");
        }
    }

    #[test]
    fn patterns_choose_triggers() {
        let trigger = |kind, object: Option<&str>| Trigger {
            kind,
            object: object.map(str::to_owned),
            at: Stamp::default(),
            told_after: Duration::ZERO,
            sentence: String::new(),
        };
        let down = trigger(TriggerKind::LinkDown, Some("dp0bond0"));
        let signal = trigger(TriggerKind::Signal, None);
        for (pattern, of_down, of_signal) in [
            ("link-down", true, false),
            ("link-*", true, false),
            ("link-down:dp0*", true, false),
            ("link-down:eth*", false, false),
            ("*", true, true),
            ("*:dp0bond0", true, false),
            ("{signal,snapshot}", false, true),
        ] {
            let hook = Hook { on: vec![pattern.parse().unwrap()], ..hook("x") };
            assert_eq!(
                (hook.is_for(&down), hook.is_for(&signal)),
                (of_down, of_signal),
                "{pattern}"
            );
            assert_eq!(hook.on[0].to_string(), pattern);
        }
        assert!(hook("x").is_for(&down) && hook("x").is_for(&signal));
        let refused = "linkdown".parse::<Pattern>().unwrap_err();
        assert!(refused.ends_with("the nearest is link-down"), "{refused}");
        assert!("snapshot".parse::<Pattern>().is_ok(), "needs no rule, can be hooked");
        assert!("link-down:[".parse::<Pattern>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Pattern>();
        }
    }
}
