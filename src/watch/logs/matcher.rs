//! Which lines count: regular expressions with names.
//!
//! A line is looked at by all patterns at once, so the thousands that match none cost one pass; only
//! what matched is looked at again for its groups. The first matcher that matches wins, in the order
//! given, so an operator's own stand before the ones that come with dashcap.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::{Regex, RegexSet, RegexSetBuilder};

use crate::error::{Error, Result};
use crate::observation::log_line::KEPT_FIELD;

/// A pattern that takes more memory than this when compiled is a mistake (regex's own default).
const LARGEST: usize = 10 << 20;
/// More matchers than this per source are refused: each takes part in every line.
const MOST: usize = 256;

/// A pattern with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// What triggers and bundles call it.
    pub name: String,
    /// A regular expression in the syntax of the `regex` crate, found anywhere in the line. Its named
    /// groups are kept with the line; the one called `interface` says which interface it is about.
    pub pattern: String,
}

impl Matcher {
    /// A matcher of these.
    pub fn new(name: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self { name: name.into(), pattern: pattern.into() }
    }

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] without a name, or when the pattern does not compile or matches every line.
    pub fn check(&self) -> Result<()> {
        if self.name.trim().is_empty() {
            let accepted = "a name, such as vrrp-fault";
            return Err(Error::usage(
                "log matcher",
                &self.pattern,
                "each matcher has a name, this one none",
                accepted,
            ));
        }
        self.compiled().map(|_| ())
    }

    fn compiled(&self) -> Result<Regex> {
        const ACCEPTED: &str = "a regular expression with named groups, such as \
                                'interface (?<interface>\\S+) is down'";
        let refuse = |reason: String| {
            Error::usage(format!("log matcher {}", self.name), &self.pattern, reason, ACCEPTED)
        };
        let regex = regex::RegexBuilder::new(&self.pattern)
            .size_limit(LARGEST)
            .build()
            .map_err(|e| refuse(e.to_string()))?;
        if regex.is_match("") {
            return Err(refuse("a pattern must not match every line, as this one does".to_owned()));
        }
        Ok(regex)
    }
}

/// Matchers made ready.
#[derive(Debug, Clone)]
pub(super) struct Matchers {
    set: RegexSet,
    each: Vec<(Arc<str>, Regex)>,
}

/// Which matcher a line matched, and what its groups caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) index: usize,
    pub(super) name: Arc<str>,
    pub(super) fields: BTreeMap<String, String>,
}

impl Matchers {
    pub(super) fn compile(matchers: &[Matcher]) -> Result<Self> {
        const ACCEPTED: &str = "1 to 256 matchers per log, each with a name of its own";
        let refuse =
            |given: &str, reason: &str| Err(Error::usage("log matchers", given, reason, ACCEPTED));
        if matchers.is_empty() || matchers.len() > MOST {
            return refuse(&matchers.len().to_string(), "a log has 1 to 256 matchers");
        }
        let mut each: Vec<(Arc<str>, Regex)> = Vec::with_capacity(matchers.len());
        for matcher in matchers {
            matcher.check()?;
            if each.iter().any(|(name, _)| **name == *matcher.name) {
                return refuse(&matcher.name, "each name is used once, this one twice");
            }
            each.push((matcher.name.as_str().into(), matcher.compiled()?));
        }
        let set = RegexSetBuilder::new(matchers.iter().map(|matcher| &matcher.pattern))
            .size_limit(LARGEST.saturating_mul(matchers.len()))
            .build()
            .map_err(|e| Error::operation("compile", "the log matchers together", e))?;
        Ok(Self { set, each })
    }

    pub(super) fn len(&self) -> usize {
        self.each.len()
    }

    pub(super) fn name(&self, index: usize) -> &str {
        self.each.get(index).map_or("", |(name, _)| name)
    }

    /// The first matcher that `text` matches.
    pub(super) fn find(&self, text: &str) -> Option<Match> {
        let index = self.set.matches(text).iter().next()?;
        let (name, regex) = self.each.get(index)?;
        let groups = regex.captures(text)?;
        let caught = |name: &str| {
            let text = groups.name(name)?.as_str();
            let kept = &text[..text.floor_char_boundary(KEPT_FIELD)];
            Some((name.to_owned(), kept.to_owned()))
        };
        let fields = regex.capture_names().flatten().filter_map(caught).collect();
        Some(Match { index, name: Arc::clone(name), fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_matches_wins_and_brings_its_groups() {
        let matchers = Matchers::compile(&[
            Matcher::new("mine", r"interface (?<interface>dp0\S+) (?<to>UP|DOWN)(?<rest> .*)?"),
            Matcher::new("theirs", r"interface (?<interface>\S+)"),
        ])
        .unwrap();
        for (text, name, fields) in [
            ("interface dp0bond0 DOWN", "mine", &[("interface", "dp0bond0"), ("to", "DOWN")][..]),
            ("interface eth0 DOWN", "theirs", &[("interface", "eth0")]),
            ("nothing", "", &[]),
            ("", "", &[]),
        ] {
            let found = matchers.find(text);
            assert_eq!(found.as_ref().map_or("", |found| &found.name), name, "{text}");
            let fields: BTreeMap<_, _> =
                fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(found.map(|found| found.fields).unwrap_or_default(), fields, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let good = Matcher::new("a", "b");
        for (matchers, named) in [
            (vec![], "1 to 256 matchers"),
            (vec![good.clone(); MOST + 1], "1 to 256 matchers"),
            (vec![good.clone(), good], "each name is used once, this one twice"),
            (vec![Matcher::new(" ", "b")], "has a name"),
            (vec![Matcher::new("a", "(")], "unclosed group"),
            (vec![Matcher::new("a", "x*")], "must not match every line"),
            (vec![Matcher::new("a", r"\w{10000}{100}")], "size limit"),
        ] {
            let error = Matchers::compile(&matchers).unwrap_err();
            assert_eq!(error.exit_status(), 2);
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
