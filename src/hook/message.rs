//! What dashcap and its runner say to each other: one JSON object per line.
//!
//! ```text
//!   dashcap ── roster (once), then hook or collect ──► runner
//!           ◄── expect, began, ended, not_run ────────
//! ```
//!
//! Neither trusts the length of the other's lines, and neither panics, whatever they hold. The runner believes
//! names only: where bundles are, it was told at the start.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::context::HookContext;
use super::options::Hook;

/// Longest line in bytes: the output of one program, each byte of which may take six as JSON (`\u0000`),
/// and as much again for the rest.
pub(super) const LONGEST_LINE: u64 = 4 << 20;

/// What dashcap says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(super) enum Request {
    /// What there is to run, and the directory in which bundles appear: said first and once, before a
    /// single byte of a stranger was read.
    Roster { hooks: Vec<Hook>, collect: Option<PathBuf>, output: PathBuf },
    /// Run this hook.
    Hook { id: u64, name: String, story: HookContext },
    /// Run every collector.
    Collect { id: u64, story: HookContext },
}

/// What the runner says, each about the request with that number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(super) enum Answer {
    /// These programs will be told of: the collectors there are.
    Expect { id: u64, names: Vec<String> },
    /// It was started.
    Began { id: u64, name: String },
    /// It ended.
    Ended { id: u64, name: String, end: ProgramEnd },
    /// It was not started.
    NotRun { id: u64, name: String, why: String },
}

/// How a program ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProgramEnd {
    /// "exit status: 0", "stopped after 30s, it took too long".
    pub(super) ending: String,
    /// True if it ended by itself, with exit status 0.
    pub(super) success: bool,
    /// How long it ran, in nanoseconds.
    pub(super) ran_ns: u64,
    /// The beginning of what it printed, complaints included; bytes that are no text are replaced.
    pub(super) output: String,
    /// Bytes it printed beyond that.
    pub(super) beyond: u64,
}

/// The next line without its end; none at the end of input.
///
/// # Errors
/// When reading fails, or a line is too long: what follows it cannot be found then.
pub(super) fn next_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// `message` as a line with its end.
pub(super) fn line(message: &impl Serialize) -> String {
    // Nothing here has keys that JSON cannot write.
    serde_json::to_string(message).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::context::tests::story;
    use super::*;
    use crate::hook::options::{CommandLine, Pattern};

    #[test]
    fn messages_read_back() {
        let words = ["a".to_owned(), "b c".to_owned()];
        let mut hook = Hook::new("x", CommandLine::Words(words.into()));
        hook.on = vec!["link-down:dp0*".parse::<Pattern>().unwrap()];
        for request in [
            Request::Roster {
                hooks: vec![hook],
                collect: Some("/etc/dashcap/collect.d".into()),
                output: "/var/lib/dashcap".into(),
            },
            Request::Hook { id: 7, name: "x".to_owned(), story: story() },
            Request::Collect { id: 8, story: story() },
        ] {
            let text = line(&request);
            assert_eq!(text.matches('\n').count(), 1);
            assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
        }
        let end = ProgramEnd {
            ending: "exit status: 0".to_owned(),
            success: true,
            ran_ns: 5,
            output: "\n\0x".to_owned(),
            beyond: 3,
        };
        let ended = Answer::Ended { id: 1, name: "x".to_owned(), end };
        assert_eq!(serde_json::from_str::<Answer>(&line(&ended)).unwrap(), ended);
    }

    #[test]
    fn lines_have_an_end_and_a_bound() {
        let mut input: &[u8] = b"one\ntwo\n";
        assert_eq!(next_line(&mut input).unwrap().as_deref(), Some("one"));
        assert_eq!(next_line(&mut input).unwrap().as_deref(), Some("two"));
        assert_eq!(next_line(&mut input).unwrap(), None);
        assert!(next_line(&mut &b"torn"[..]).is_err());
        let flood = vec![b'x'; usize::try_from(LONGEST_LINE).unwrap() + 1];
        assert!(next_line(&mut &flood[..]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let mut input = &bytes[..];
            while let Ok(Some(line)) = next_line(&mut input) {
                let _ = serde_json::from_str::<Request>(&line);
                let _ = serde_json::from_str::<Answer>(&line);
            }
        }
    }
}
