//! The conditions a rule is made of: which names, which words, which numbers, confirmed by whom.
//!
//! Parsed once, where the operator's text comes in; comparable, so that a rule that did not change is
//! recognised when the configuration is read again.

use std::fmt;
use std::time::Duration;

use globset::{Glob, GlobMatcher};
use regex::{Regex, RegexBuilder};

/// Names with wildcards: `dp0*`, `eth[01]`, `192.0.2.?`.
#[derive(Debug, Clone)]
pub struct Names(GlobMatcher);

impl Names {
    /// Understands a pattern.
    ///
    /// # Errors
    /// When it is empty, or its brackets do not match.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("an empty pattern matches nothing".to_owned());
        }
        Glob::new(pattern).map(|glob| Self(glob.compile_matcher())).map_err(|e| e.to_string())
    }

    /// True if `name` is one of them.
    pub fn include(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.glob().glob())
    }
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

/// Words that must occur: a regular expression.
#[derive(Debug, Clone)]
pub struct Words(Regex);

impl Words {
    /// Most memory that a compiled expression may take, in bytes: room for any that a person writes.
    const MEMORY: usize = 1 << 20;

    /// Understands an expression.
    ///
    /// # Errors
    /// When it is none, or too large.
    pub fn parse(expression: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(expression).size_limit(Self::MEMORY).build();
        built.map(Self).map_err(|e| e.to_string())
    }

    fn occur_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// True if they occur in `text`; without a text they cannot.
    pub fn are_in(&self, text: Option<&str>) -> bool {
        text.is_some_and(|text| self.occur_in(text))
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// A bound that a number crosses, and how far it must come back before it can cross it again.
///
/// ```text
///   value        ╱╲    ╱╲
///   above ──────╱──╲──╱──╲────────  begins here, once
///              ╱    ╲╱    ╲
///   - hysteresis ──────────╲──────  ends here
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// The bound.
    pub bound: Bound,
    /// How far it must come back.
    pub hysteresis: f64,
}

/// Which side of a number is meant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// More than this.
    Above(f64),
    /// Less than this.
    Below(f64),
}

impl Threshold {
    /// Whether `value` is beyond the bound, given that it `was`. What is no number changes nothing.
    pub fn is_beyond(self, was: bool, value: f64) -> bool {
        let back = if was { self.hysteresis } else { 0.0 };
        match self.bound {
            _ if value.is_nan() => was,
            Bound::Above(bound) => value > bound - back,
            Bound::Below(bound) => value < bound + back,
        }
    }

    /// True if every part is a number that can be meant.
    pub(super) fn makes_sense(self) -> bool {
        let (Bound::Above(bound) | Bound::Below(bound)) = self.bound;
        bound.is_finite() && self.hysteresis.is_finite() && self.hysteresis >= 0.0
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bound {
            Bound::Above(bound) => write!(f, "above {bound}")?,
            Bound::Below(bound) => write!(f, "below {bound}")?,
        }
        if self.hysteresis > 0.0 { write!(f, " by {}", self.hysteresis) } else { Ok(()) }
    }
}

/// Freeze now, keep only what another rule confirms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The name of the rule that must fire, too.
    pub confirm: String,
    /// Within that time.
    pub within: Duration,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kept if {} follows within {:?}", self.confirm, self.within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_crossed_once_and_again_only_from_further_back() {
        let above = Threshold { bound: Bound::Above(100.0), hysteresis: 20.0 };
        let below = Threshold { bound: Bound::Below(-100.0), hysteresis: 20.0 };
        let mut beyond = false;
        for (value, expected) in [
            (99.0, false),
            (100.0, false),
            (101.0, true),
            (90.0, true),
            (f64::NAN, true),
            (80.1, true),
            (80.0, false),
            (99.0, false),
            (f64::NAN, false),
            (1e9, true),
        ] {
            assert_eq!(below.is_beyond(beyond, -value), expected, "the mirror, {value}");
            beyond = above.is_beyond(beyond, value);
            assert_eq!(beyond, expected, "{value}");
        }
    }

    #[test]
    fn patterns_are_equal_when_they_are_written_alike() {
        assert_eq!(Names::parse("dp0*"), Names::parse("dp0*"));
        assert_ne!(Names::parse("dp0*"), Names::parse("dp1*"));
        assert_eq!(Words::parse("a+"), Words::parse("a+"));
        assert!(Names::parse("").is_err() && Names::parse("[").is_err());
        assert!(Words::parse("(").is_err() && Words::parse("((a{99}){99}){99}").is_err());
        assert!(!Words::parse("").unwrap().are_in(None));
    }
}
