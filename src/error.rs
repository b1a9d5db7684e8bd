//! The one error type: every message says what was being done, to which object, why it failed and
//! what to try.
//!
//! Two kinds, because they leave the process differently: what was typed cannot be meant
//! ([`Error::Usage`], exit status 2), or the machine refused ([`Error::Operation`], exit status 1).

use std::fmt::Display;
use std::io;

/// What went wrong, worded for the operator who reads it in a terminal or a journal.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// An argument or a configuration value that has no meaning here.
    #[error("{what} {given:?}: {reason}; accepted: {accepted}")]
    Usage {
        /// The option or configuration key, as the operator typed it (`--pre`).
        what: String,
        /// The value as given.
        given: String,
        /// Why it has no meaning.
        reason: String,
        /// The accepted form, with an example.
        accepted: String,
    },
    /// An operation that the system refused.
    #[error("cannot {doing} {object}: {reason}{}", hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default())]
    Operation {
        /// What we were doing, in the infinitive: "open capture on".
        doing: &'static str,
        /// To which object: an interface, a path, an address.
        object: String,
        /// Why it failed, in the system's words.
        reason: String,
        /// What the operator can try.
        hint: Option<String>,
        /// What the system called it, where that decides how to go on.
        kind: Option<io::ErrorKind>,
    },
}

/// The result of anything that can fail in dashcap.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Usage`] for the option or key `what`.
    pub fn usage(
        what: impl Into<String>,
        given: impl Into<String>,
        reason: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Self {
        Self::Usage {
            what: what.into(),
            given: given.into(),
            reason: reason.into(),
            accepted: accepted.into(),
        }
    }

    /// An [`Error::Operation`] without advice; add it with [`Error::hint`].
    pub fn operation(doing: &'static str, object: impl Into<String>, reason: impl Display) -> Self {
        let (object, reason) = (object.into(), reason.to_string());
        Self::Operation { doing, object, reason, hint: None, kind: None }
    }

    /// The same error with advice on what to try.
    #[must_use]
    pub fn hint(mut self, advice: impl Into<String>) -> Self {
        if let Self::Operation { hint, .. } = &mut self {
            *hint = Some(advice.into());
        }
        self
    }

    /// The same error, with what the system called it.
    #[must_use]
    pub fn of_kind(mut self, called: io::ErrorKind) -> Self {
        if let Self::Operation { kind, .. } = &mut self {
            *kind = Some(called);
        }
        self
    }

    /// True if the disk, or the operator's share of it, was full (ENOSPC, EDQUOT).
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Operation { kind: Some(StorageFull | QuotaExceeded), .. })
    }

    /// The exit status of a process that ends with this error.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Usage { .. } => 2,
            Self::Operation { .. } => 1,
        }
    }
}

/// The word nearest to what was typed, if any is near: what a message suggests.
pub fn nearest<W: AsRef<str>>(typed: &str, words: impl IntoIterator<Item = W>) -> Option<W> {
    /// Part of the letters that must agree (1 less Damerau and Levenshtein's distance by length); below
    /// that a suggestion is a guess.
    const NEAR: f64 = 0.5;
    words
        .into_iter()
        .map(|word| (strsim::normalized_damerau_levenshtein(typed, word.as_ref()), word))
        .filter(|(similarity, _)| *similarity >= NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let words = ["pre", "post", "probe", "probe_fall"];
        for (typed, expected) in
            [("pro", Some("pre")), ("pots", Some("post")), ("probe-fall", Some("probe_fall"))]
        {
            assert_eq!(nearest(typed, words), expected, "{typed}");
        }
        assert_eq!(nearest("xyzzy", words), None);
    }

    #[test]
    fn messages_name_the_object_and_what_to_try() {
        let refused = Error::operation("open capture on", "eth0", "permission denied")
            .hint("needs CAP_NET_RAW: run as root");
        assert_eq!(
            refused.to_string(),
            "cannot open capture on eth0: permission denied; needs CAP_NET_RAW: run as root"
        );
        assert_eq!(refused.exit_status(), 1);
        let typed = Error::usage("--pre", "2 parsecs", "unknown unit", "a duration such as 90s");
        assert_eq!(
            typed.to_string(),
            "--pre \"2 parsecs\": unknown unit; accepted: a duration such as 90s"
        );
        assert_eq!(typed.exit_status(), 2);
    }
}
