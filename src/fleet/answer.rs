//! What became of a notice on one host: a state, what is covered and what is missing, and how far to trust that
//! host's clock. One answer for each change of state; it carries no frames.
//!
//! A [`HostAnswer`] is within its bounds however it was made: it is only made by [`HostAnswer::new`] and
//! [`HostAnswer::read`].

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fields::{self, Fields, check_text, check_token};
use super::notice::Notice;
use crate::error::{Error, Result};
use crate::incident::coverage::{Coverage, MissingPart};
use crate::incident::onset::BundleOnset;
use crate::time::{Wall, as_nanos, as_nanos_if_any};
use crate::visible;

/// What an answer says, field by field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnswerFields {
    /// Of the notice.
    pub id: String,
    /// The host that answers.
    pub host: String,
    /// The boot of that host.
    pub boot: String,
    /// What became of it.
    pub state: State,
    /// Why, where that is a question.
    pub why: Option<String>,
    /// The name of the bundle, once there is or will be one.
    pub incident: Option<String>,
    /// Beginning of the window, by the wall clock of this host.
    pub from: Option<Wall>,
    /// End of the window.
    pub to: Option<Wall>,
    /// From here on every lane has everything.
    pub held_from: Option<Wall>,
    /// True if that is the whole window.
    pub full: bool,
    /// What of the window is not there, at most [`Coverage::MOST`].
    pub missing: Vec<MissingPart>,
    /// Frames of the bundle, once it is written; before, none.
    pub frames: Option<u64>,
    /// Bytes of the bundle, once it is written.
    pub bytes: Option<u64>,
    /// How long after the event the notice arrived.
    #[serde(rename = "arrived_after_ns", with = "as_nanos")]
    pub arrived_after: Duration,
    /// How long after its arrival the frames were pinned.
    #[serde(rename = "pinned_after_ns", with = "as_nanos_if_any")]
    pub pinned_after: Option<Duration>,
    /// The clock of this host.
    pub clock: ClockReading,
    /// The first thing of this host's own incident that belongs to it, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onset: Option<OnsetThere>,
}

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing was frozen, for a reason that `why` tells.
    Refused,
    /// Nothing of the window is left.
    Late,
    /// An incident that is open or written has it: no second bundle.
    Covered,
    /// The window is frozen, and parts of it are missing.
    Partial,
    /// The whole window is frozen.
    Pinned,
    /// The window is frozen, and waits to be confirmed.
    Held,
    /// It was given up.
    Released,
    /// Its window is over, and the bundle is on its way.
    Writing,
    /// The bundle is on the disk.
    Written,
    /// The bundle could not be written.
    Lost,
}

/// As it is called in a message.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A clock, read once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// The wall clock.
    pub wall: Wall,
    /// The monotonic clock at that moment.
    pub mono_ns: u64,
    /// Who says how far it may be wrong: "kernel", or "unknown".
    pub source: String,
    /// How far it may be wrong; none where nobody knows.
    pub max_ns: Option<u64>,
    /// True if the wall clock was stepped within the window.
    pub stepped: bool,
}

/// The onset of an incident, as another host is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnsetThere {
    /// When, by the wall clock of that host.
    pub at: Wall,
    /// How far off that may be on that clock.
    #[serde(rename = "err_ns", with = "as_nanos", default)]
    pub error: Duration,
    /// What kind of thing it was.
    pub kind: String,
    /// The whole of it for a person, if that may be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
}

impl OnsetThere {
    /// What of an onset may be told: with `tells`, its sentence, too.
    pub fn of(onset: &BundleOnset, tells: bool) -> Self {
        let BundleOnset { at, error, kind, sentence } = onset;
        let sentence = visible::plain(sentence);
        // Escapes for JSON make it longer.
        let end = sentence.floor_char_boundary(Notice::LONGEST_SENTENCE / 2);
        let kind = kind[..kind.floor_char_boundary(Notice::LONGEST_KIND)].to_owned();
        let sentence = tells.then(|| sentence[..end].to_owned());
        Self { at: *at, error: *error, kind, sentence }
    }
}

/// An answer that is within its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostAnswer(AnswerFields);

impl HostAnswer {
    /// Bytes of a reason, and of a bundle's name.
    pub const LONGEST_REASON: usize = 256;

    /// An answer that says this.
    ///
    /// # Errors
    /// [`Error::Usage`] with the name of the field that is out of bounds.
    pub fn new(fields: AnswerFields) -> Result<Self> {
        fields.check()?;
        fields::line(&fields)?;
        Ok(Self(fields))
    }

    /// Understands a message. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// [`Error::Usage`] with the name of the field that is wrong.
    pub fn read(message: &[u8]) -> Result<Self> {
        let mut fields = Fields::of(message)?;
        Self::new(AnswerFields {
            id: fields.take("id")?,
            host: fields.take("host")?,
            boot: fields.take("boot")?,
            state: fields.take("state")?,
            why: fields.take("why")?,
            incident: fields.take("incident")?,
            from: fields.take("from")?,
            to: fields.take("to")?,
            held_from: fields.take("held_from")?,
            full: fields.take("full")?,
            missing: fields.take("missing")?,
            frames: fields.take("frames")?,
            bytes: fields.take("bytes")?,
            arrived_after: fields.span("arrived_after_ns")?,
            pinned_after: fields.take::<Option<u64>>("pinned_after_ns")?.map(Duration::from_nanos),
            clock: fields.take("clock")?,
            onset: fields.take("onset")?,
        })
    }

    /// As it is sent: one line of JSON.
    pub fn line(&self) -> String {
        // Whoever made it has tried.
        fields::line(&self.0).unwrap_or_default()
    }
}

impl AnswerFields {
    fn check(&self) -> Result<()> {
        check_token("id", &self.id)?;
        let onset = self.onset.as_ref();
        for (name, text, most) in [
            ("host", Some(&self.host), Notice::LONGEST_NAME),
            ("boot", Some(&self.boot), Notice::LONGEST_NAME),
            ("why", self.why.as_ref(), HostAnswer::LONGEST_REASON),
            ("incident", self.incident.as_ref(), HostAnswer::LONGEST_REASON),
            ("clock", Some(&self.clock.source), Notice::LONGEST_KIND),
            ("onset", onset.map(|onset| &onset.kind), Notice::LONGEST_KIND),
            ("onset", onset.and_then(|onset| onset.sentence.as_ref()), Notice::LONGEST_SENTENCE),
        ] {
            check_text(name, text.map(String::as_str), most)?;
        }
        if self.host.is_empty() {
            return Err(Error::usage("host", "", "nobody says it", "the name of a host"));
        }
        if self.missing.len() > Coverage::MOST {
            let given = self.missing.len().to_string();
            return Err(Error::usage("missing", given, "too many parts", "up to 8 parts"));
        }
        let texts = self
            .missing
            .iter()
            .flat_map(|part| [part.interface.as_ref(), part.class.as_ref(), Some(&part.reason)]);
        texts.into_iter().try_for_each(|text| {
            check_text("missing", text.map(String::as_str), HostAnswer::LONGEST_REASON)
        })
    }
}

impl Deref for HostAnswer {
    type Target = AnswerFields;

    fn deref(&self) -> &AnswerFields {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn said() -> Value {
        json!({
            "v": 1, "id": "router-a-3f2b-7", "host": "router-b", "boot": "77aa", "state": "partial", "why": null,
            "incident": "2026-11-30T05-27-51.447Z_fleet_router-a", "from": "2026-11-30T05:25:51.447600000Z",
            "to": "2026-11-30T05:28:01.447600000Z", "held_from": "2026-11-30T05:26:00.000000000Z", "full": false,
            "missing": [{"interface": "eth3", "class": "data", "reason": "memory had no room",
                "from": "2026-11-30T05:25:51.447600000Z", "to": "2026-11-30T05:26:00.000000000Z"}],
            "frames": null, "bytes": null, "arrived_after_ns": 47_000_000_000_u64, "pinned_after_ns": 812_000,
            "clock": {"wall": "2026-11-30T05:28:38.447600000Z", "mono_ns": 7, "source": "kernel", "max_ns": 900_000,
                "stepped": false}
        })
    }

    fn read(message: &Value) -> Result<HostAnswer> {
        HostAnswer::read(message.to_string().as_bytes())
    }

    #[test]
    fn what_is_answered_is_understood_and_said_again() {
        let answer = read(&said()).unwrap();
        assert_eq!((answer.state, answer.missing.len()), (State::Partial, 1));
        assert_eq!(serde_json::from_str::<Value>(&answer.line()).unwrap(), said());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_the_name_of_its_field() {
        let part = said()["missing"][0].clone();
        for (field, wrong) in [
            ("id", json!("a b")),
            ("host", json!("")),
            ("boot", json!("x".repeat(254))),
            ("state", json!("perhaps")),
            ("why", json!("x".repeat(257))),
            ("incident", json!(7)),
            ("from", json!("soon")),
            ("full", json!("yes")),
            ("missing", json!(vec![part; 9])),
            ("missing", json!([{"reason": "x"}])),
            ("frames", json!(-1)),
            ("arrived_after_ns", json!(-1)),
            ("arrived_after_ns", json!(1e300)),
            ("pinned_after_ns", json!("1 ms")),
            ("clock", json!(null)),
            ("onset", json!({"at": "2026-11-30T05:25:51Z", "kind": "x".repeat(65)})),
        ] {
            let mut message = said();
            message[field] = wrong.clone();
            let refused = read(&message).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("{field} \"")), "{field} {wrong}: {refused}");
        }
    }

    #[test]
    fn a_sentence_names_hosts_and_is_told_only_where_it_may_be() {
        let onset =
            BundleOnset::new(Wall(7), true, "probe_down", &"192.0.2.1: LOST\u{1b} ".repeat(99));
        assert_eq!(OnsetThere::of(&onset, false).sentence, None);
        let mut message = said();
        message["state"] = "written".into();
        message["onset"] = serde_json::to_value(OnsetThere::of(&onset, true)).unwrap();
        assert_eq!(message["onset"]["err_ns"], 1_000_000_000);
        let answer = read(&message).unwrap();
        assert!(answer.onset.as_ref().unwrap().sentence.as_ref().unwrap().starts_with("192.0.2.1"));
        assert_eq!(HostAnswer::read(answer.line().as_bytes()).unwrap(), answer);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = HostAnswer::read(&bytes);
        }
    }
}
