//! Reading a message of strangers field by field, so that whatever is wrong is told with the name of its field.
//! Unknown fields are passed over: a newer dashcap may say more.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::token::is_token;
use crate::error::{Error, Result};
use crate::visible;

/// The version of notices and answers: `v`. Within it fields are added, never renamed or removed.
pub(super) const VERSION: u64 = 1;
/// Bytes of a message at most. A notice has about 400 and an answer about 500; the rest is for names and
/// sentences.
pub(super) const LONGEST: usize = 4_096;
/// Bytes of what was given that a refusal repeats.
const REPEATED: usize = 64;

/// What is left of a message to be read.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Takes a message apart.
    pub(super) fn of(message: &[u8]) -> Result<Self> {
        if message.len() > LONGEST {
            let bytes = message.len().to_string();
            return Err(Error::usage("message", bytes, "it is too long", "up to 4096 bytes"));
        }
        let mut fields = serde_json::from_slice(message).map(Self).map_err(|error| {
            let given = String::from_utf8_lossy(message);
            Error::usage("message", shortened(&given), error.to_string(), "one JSON object")
        })?;
        match fields.take::<u64>("v")? {
            VERSION => Ok(fields),
            other => Err(Error::usage("v", other.to_string(), "not spoken here", "1")),
        }
    }

    /// The field `name`; one that is not there is null.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        let value = self.0.remove(name).unwrap_or_default();
        let given = shortened(&value.to_string());
        T::deserialize(value)
            .map_err(|error| Error::usage(name, given, error.to_string(), "see docs/fleet.md"))
    }

    /// A span in nanoseconds.
    pub(super) fn span(&mut self, name: &str) -> Result<Duration> {
        self.take(name).map(Duration::from_nanos)
    }
}

/// A message as it is sent: one line of JSON that controls nothing.
///
/// # Errors
/// When it is too long; its texts are what can be.
pub(super) fn line(message: &impl Serialize) -> Result<String> {
    /// The version, and what is said.
    #[derive(Serialize)]
    struct Versioned<'a, T> {
        v: u64,
        #[serde(flatten)]
        message: &'a T,
    }
    let line = serde_json::to_string(&Versioned { v: VERSION, message })
        .map_err(|error| Error::operation("write", "a message", error))?;
    let line = visible::json(&line).into_owned();
    if line.len() <= LONGEST {
        return Ok(line);
    }
    Err(Error::usage("message", line.len().to_string(), "it is too long", "up to 4096 bytes"))
}

/// Accepts what can stand in a subject.
pub(super) fn check_token(name: &str, given: &str) -> Result<()> {
    if is_token(given) {
        return Ok(());
    }
    let accepted = "1 to 255 letters, digits, _ and -";
    Err(Error::usage(name, shortened(given), "it is no token of a subject", accepted))
}

/// Accepts texts of so many bytes.
pub(super) fn check_text(name: &str, given: Option<&str>, most: usize) -> Result<()> {
    match given {
        Some(text) if text.len() > most => {
            let reason = format!("{} bytes are too long", text.len());
            Err(Error::usage(name, shortened(text), reason, format!("up to {most} bytes")))
        }
        _ => Ok(()),
    }
}

/// Accepts spans up to this.
pub(super) fn check_span(name: &str, given: Duration, most: Duration) -> Result<()> {
    if given <= most {
        return Ok(());
    }
    let accepted = format!("nanoseconds, up to {most:?}");
    Err(Error::usage(name, given.as_nanos().to_string(), "it is too long", accepted))
}

/// The beginning of what was given.
fn shortened(given: &str) -> String {
    let end = given.floor_char_boundary(REPEATED);
    visible::plain(&given[..end]).into_owned()
}
