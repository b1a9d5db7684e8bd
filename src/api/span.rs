//! Time spans in JSON: `"90s"`, `"2m"`, `"1h 30m"` as on the command line, or a number of seconds.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// The accepted form, for messages.
const ACCEPTED: &str = "a number of seconds, or a duration such as \"90s\" or \"2m\"";

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Seconds(f64),
    Words(String),
}

impl Written {
    fn span(&self) -> Option<Duration> {
        match self {
            Self::Seconds(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            Self::Words(words) => words.parse::<SignedDuration>().ok()?.try_into().ok(),
        }
    }
}

/// Reads an optional span; null and absence mean none.
///
/// # Errors
/// When it is neither a duration nor a number of seconds, or negative.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let wrong = || D::Error::custom(format!("not a time span; accepted: {ACCEPTED}"));
    let written = Option::<Written>::deserialize(from).map_err(|_| wrong())?;
    written.map(|written| written.span().ok_or_else(wrong)).transpose()
}

/// Writes it as a number of seconds.
///
/// # Errors
/// As the serializer.
pub fn serialize<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match span {
        Some(span) => to.serialize_f64(span.as_secs_f64()),
        None => to.serialize_none(),
    }
}
