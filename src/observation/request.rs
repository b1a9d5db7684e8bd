//! A wish for a snapshot, from people or scripts, whichever door it came through.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::time::{Wall, as_nanos_if_any};
use crate::visible;

/// The ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// The control socket: `dashcap snapshot`.
    Control,
    /// A file in the trigger directory.
    File,
    /// The HTTP endpoint.
    Http,
    /// The live page.
    Web,
}

/// Who wants what, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Through which door.
    pub door: Door,
    /// Who: "uid 0, process 4711", a file's name, an address. One line.
    pub who: String,
    /// Why, in the asker's words; may be empty. One line.
    pub reason: String,
    /// What it is about, if the asker names something: an alert's name.
    pub object: Option<String>,
    /// Time wanted from before; none: what is configured.
    #[serde(rename = "pre_ns", default, with = "as_nanos_if_any")]
    pub pre: Option<Duration>,
    /// Time wanted from after; none: what is configured.
    #[serde(rename = "post_ns", default, with = "as_nanos_if_any")]
    pub post: Option<Duration>,
    /// The moment it is about, as a clock on the wall showed it; neither this nor [`Self::ago`]: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Wall>,
    /// How long ago the moment is that it is about.
    #[serde(
        rename = "ago_ns",
        default,
        with = "as_nanos_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    pub ago: Option<Duration>,
    /// Also if a bundle has that window already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// Longest reason, in characters: a sentence or two. What is longer is cut, and ends in "…".
pub const REASON: usize = 500;
/// Longest name of who asks or what it is about, in characters: as long as a file name may be.
pub const NAME: usize = 255;
/// Longest time that can be asked for: what is longer is a capture, not an incident.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// So far ahead a moment is now: the clocks of two hosts that are kept in order differ by less.
pub const AHEAD: Duration = Duration::from_secs(2);

impl Ask {
    /// A wish for what is configured. Words from outside become one line each, without control
    /// characters, since they are shown in terminals and logs.
    pub fn new(door: Door, who: &str, reason: &str) -> Self {
        let (who, reason) = (one_line(who, NAME), one_line(reason, REASON));
        let (object, pre, post, at, ago, again) = (None, None, None, None, None, false);
        Self { door, who, reason, object, pre, post, at, ago, again }
    }

    /// True if it is about another moment than the one in which it came.
    pub fn names_a_moment(&self) -> bool {
        self.at.is_some() || self.ago.is_some()
    }

    /// Refuses times that cannot be meant at `now`.
    ///
    /// # Errors
    /// [`Error::Usage`] when one is longer than [`LONGEST`], or the moment it is about is still to come.
    pub fn check(&self, now: Wall) -> Result<()> {
        if let Some(at) = self.at.filter(|at| *at > now.plus(AHEAD)) {
            let ahead = Duration::from_nanos(at.0 - now.0).as_secs_f64();
            let reason = format!("that is in {ahead:.1} s");
            return Err(Error::usage("at", at.to_string(), reason, "a moment that is over"));
        }
        if let (Some(at), Some(_)) = (self.at, self.ago) {
            let reason = "the moment is named twice";
            return Err(Error::usage("at", at.to_string(), reason, "either at or ago"));
        }
        for (what, span) in [("pre", self.pre), ("post", self.post), ("ago", self.ago)] {
            if let Some(span) = span.filter(|span| *span > LONGEST) {
                let given = format!("{span:?}");
                return Err(Error::usage(
                    what,
                    given,
                    "the time is at most a day",
                    "up to 24h, as in 90s",
                ));
            }
        }
        Ok(())
    }
}

impl Door {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::File => "file",
            Self::Http => "http",
            Self::Web => "web",
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control socket",
            Self::File => "trigger directory",
            Self::Http => "HTTP",
            Self::Web => "live page",
        })
    }
}

impl Ask {
    /// The whole of it for a person, where it came so long after the moment it is about.
    pub fn sentence(&self, afterwards: Duration) -> String {
        let Self { who, door, reason, .. } = self;
        let mut sentence = format!("snapshot asked for by {who} ({door})");
        if !afterwards.is_zero() {
            sentence.push_str(&format!(" {afterwards:.1?} afterwards"));
        }
        if !reason.is_empty() {
            sentence.push_str(&format!(": {reason}"));
        }
        sentence
    }
}

/// As it came; what moment it is about stands beside it.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(Duration::ZERO))
    }
}

/// `text` as one line of at most `longest` characters: runs of blanks and characters that control become one
/// blank.
pub fn one_line(text: &str, longest: usize) -> String {
    let blank = |c: char| c.is_whitespace() || visible::controls(c);
    let words = text.split(blank).filter(|word| !word.is_empty());
    // Two characters too many are enough to know that it is too long.
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().take(longest + 1));
        if line.chars().count() > longest {
            let cut = line.char_indices().nth(longest.saturating_sub(1)).map_or(0, |(at, _)| at);
            line.truncate(cut);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::observation::request::*;

    #[test]
    fn words_from_outside_become_one_line() {
        for (text, longest, line) in [
            ("disk is full\n", 20, "disk is full"),
            ("\u{1b}[31mred\u{7}\r\n\tand  so on", 30, "[31mred and so on"),
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abcde…"),
            ("abc defg", 6, "abc d…"),
            ("äöüäöüä", 6, "äöüäö…"),
            ("  ", 6, ""),
        ] {
            assert_eq!(one_line(text, longest), line, "{text:?}");
        }
    }

    #[test]
    fn a_wish_is_one_sentence() {
        let mut ask = Ask::new(Door::Control, "uid 0", "before\nthe reboot");
        assert_eq!(
            ask.to_string(),
            "snapshot asked for by uid 0 (control socket): before the reboot"
        );
        let afterwards = ask.sentence(Duration::from_millis(12_340));
        assert!(afterwards.contains("(control socket) 12.3s afterwards: before"), "{afterwards}");
        let now = Wall(1_795_356_860_000_000_000);
        assert!(ask.check(now).is_ok());
        ask.post = Some(LONGEST + Duration::from_secs(1));
        assert!(ask.check(now).unwrap_err().to_string().contains("at most a day"));
        let json = serde_json::to_value(&ask).unwrap();
        assert_eq!(
            (&json["door"], &json["post_ns"]),
            (&"control".into(), &86_401_000_000_000_u64.into())
        );
    }

    #[test]
    fn a_moment_is_named_once_and_is_over() {
        let now = Wall(1_795_356_860_000_000_000);
        let second = Duration::from_secs(1);
        for (at, ago, refused) in [
            (None, None, None),
            (Some(now.minus(second)), None, None),
            (Some(now.plus(second)), None, None),
            (Some(Wall(0)), None, None),
            (None, Some(second), None),
            (Some(now.plus(60 * second)), None, Some("that is in 60.0 s")),
            (Some(now), Some(second), Some("either at or ago")),
            (None, Some(25 * 3_600 * second), Some("at most a day")),
        ] {
            let ask = Ask { at, ago, ..Ask::new(Door::Http, "x", "") };
            let told = ask.check(now).map_err(|error| error.to_string());
            match refused {
                None => assert_eq!(told, Ok(()), "{at:?} {ago:?}"),
                Some(why) => assert!(told.as_ref().unwrap_err().contains(why), "{told:?}"),
            }
            assert_eq!(ask.names_a_moment(), at.is_some() || ago.is_some());
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_bounded_line(text: String, longest in 1_usize..40) {
            let line = one_line(&text, longest);
            prop_assert!(line.chars().count() <= longest);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
