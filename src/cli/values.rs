//! Values as operators type them, on the command line and in the configuration file alike.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::capture::classes::Quota;
use crate::finding::Severity;
use crate::trigger::{Choice, TriggerKind};

/// A time span: `90s`, `2m`, `1h 30m`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeSpan(pub(super) Duration);

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let accepted = "accepted: a number with a unit, such as 500ms, 90s, 2m or 1h";
        let span: SignedDuration =
            text.parse().map_err(|_| format!("not a duration; {accepted}"))?;
        Duration::try_from(span)
            .map(Self)
            .map_err(|_| format!("a time is not negative; {accepted}"))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Everything here came from a SignedDuration, so it fits one.
        write!(f, "{:#}", SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX))
    }
}

/// An age: `30d`, `12h`, `2w`. Days have 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Age(pub(super) Duration);

/// Seconds of a day.
const DAY: u64 = 86_400;

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let accepted = "accepted: a number with a unit, such as 30d, 12h or 2w";
        let span: jiff::Span = text.parse().map_err(|_| format!("not an age; {accepted}"))?;
        let age = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
        let age = age.map_err(|_| {
            format!("months and years differ in length, so they are not accepted; {accepted}")
        })?;
        Duration::try_from(age).map(Self).map_err(|_| format!("a time is not negative; {accepted}"))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds if seconds >= DAY && self.0 == Duration::from_secs(seconds / DAY * DAY) => {
                write!(f, "{}d", seconds / DAY)
            }
            _ => TimeSpan(self.0).fmt(f),
        }
    }
}

/// An amount of memory: `256MiB`, `2GiB`, `1GB`, `65536`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<ByteSize>().map(|size| Self(size.as_u64())).map_err(|_| {
            "not a size; accepted: bytes with a unit, such as 256MiB, 2GiB or 1GB".to_owned()
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", ByteSize(self.0).display().iec())
    }
}

/// A part of an interface's memory: `12.5%`, or a size such as `32MiB`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part(pub(super) Quota);

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let accepted = "accepted: a part such as 12.5%, or a size such as 32MiB";
        match text.strip_suffix('%') {
            Some(percent) => {
                percent.trim().parse().map(|percent| Self(Quota::Percent(percent))).ok()
            }
            None => text.parse::<Size>().map(|size| Self(Quota::Bytes(size.0))).ok(),
        }
        .ok_or_else(|| format!("not a part of memory; {accepted}"))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Quota::Percent(percent) => write!(f, "{percent}%"),
            Quota::Bytes(bytes) => Size(bytes).fmt(f),
        }
    }
}

/// What is typed after `--on`: one choice, or several with commas between them.
#[derive(Debug, Clone)]
pub(super) struct On(pub(super) Vec<Choice>);

impl FromStr for On {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Choice::list(text).map(Self).map_err(|error| match error {
            crate::error::Error::Usage { reason, accepted, .. } => {
                format!("{reason}; accepted: {accepted}")
            }
            other => other.to_string(),
        })
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&each.join(","))
    }
}

/// A kind of trigger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind(pub(super) TriggerKind);

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How bad something is, as it is spelled in files.
pub(super) fn severity(text: &str) -> Result<Severity, String> {
    let accepted = "accepted: info, notice, warning or critical";
    serde_json::from_value(text.into()).map_err(|_| format!("not a severity; {accepted}"))
}

/// In files and manifests values look as they are typed.
macro_rules! as_typed {
    ($($value:ty),*) => {$(
        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|e| serde::de::Error::custom(format!("{text:?}: {e}")))
            }
        }

        impl Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

as_typed!(TimeSpan, Age, Size, Part, On, Kind);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_typed_with_a_unit() {
        for (text, millis) in [
            ("90s", 90_000),
            ("2m", 120_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("PT10S", 10_000),
            ("0s", 0),
        ] {
            assert_eq!(
                text.parse::<TimeSpan>(),
                Ok(TimeSpan(Duration::from_millis(millis))),
                "{text}"
            );
        }
        for bad in ["", "90", "2 parsecs", "-5s", "s", "99999999999999999999s"] {
            let error = bad.parse::<TimeSpan>().unwrap_err();
            assert!(error.contains("such as 500ms, 90s"), "{bad}: {error}");
        }
        assert_eq!(TimeSpan(Duration::from_secs(120)).to_string(), "2m");
    }

    #[test]
    fn ages_are_typed_in_days() {
        for (text, hours, shown) in
            [("30d", 720, "30d"), ("2w", 336, "14d"), ("36h", 36, "36h"), ("1d 12h", 36, "36h")]
        {
            assert_eq!(text.parse::<Age>(), Ok(Age(Duration::from_secs(hours * 3_600))), "{text}");
            assert_eq!(text.parse::<Age>().map(|age| age.to_string()), Ok(shown.to_owned()));
        }
        for bad in ["", "30", "1mo", "-1d", "2 parsecs"] {
            assert!(bad.parse::<Age>().unwrap_err().contains("such as 30d"), "{bad}");
        }
    }

    #[test]
    fn sizes_are_typed_in_bytes_or_with_a_unit() {
        for (text, bytes) in
            [("256MiB", 256 << 20), ("2GiB", 2 << 30), ("1GB", 1_000_000_000), ("65536", 65_536)]
        {
            assert_eq!(text.parse::<Size>(), Ok(Size(bytes)), "{text}");
        }
        for bad in ["", "MiB", "1 parsec", "-1"] {
            assert!(bad.parse::<Size>().unwrap_err().contains("such as 256MiB"), "{bad}");
        }
        assert_eq!(Size(256 << 20).to_string(), "256.0 MiB");
        assert_eq!("12.5%".parse(), Ok(Part(Quota::Percent(12.5))));
        assert_eq!("32MiB".parse(), Ok(Part(Quota::Bytes(32 << 20))));
        assert!("much".parse::<Part>().unwrap_err().contains("such as 12.5%"));
    }
    proptest! {
        #[test]
        fn no_text_panics(text in r"\PC{0,40}|-?[0-9.]{1,40} ?[a-zA-Z%]{0,4}") {
            let told = [
                text.parse::<TimeSpan>().map(|span| span.to_string()),
                text.parse::<Age>().map(|age| age.to_string()),
                text.parse::<Size>().map(|size| size.to_string()),
                text.parse::<Part>().map(|part| part.to_string()),
                text.parse::<On>().map(|on| on.to_string()),
                text.parse::<Kind>().map(|kind| kind.to_string()),
            ];
            for reason in told.iter().filter_map(|told| told.as_ref().err()) {
                prop_assert!(!reason.is_empty());
            }
        }
    }
}
