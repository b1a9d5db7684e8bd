//! What is said over the control socket: one JSON object a line, each way. `docs/control.md` tells it
//! to those who write clients; this is the same in types.
//!
//! Parsing never panics, whatever the bytes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::line::Unanswered;
use super::question::{Fate, Verdict};
use super::span;
use super::status::RecorderStatus;
use crate::time::Wall;
use crate::visible;

/// The version of requests and answers: `v`. Within a version fields and answers are added, never
/// renamed or removed.
pub const VERSION: u64 = 1;

/// Longest request in bytes, its line end included: a reason in any script, and room for the rest.
pub const LONGEST: usize = 8_192;

/// What a client can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Freeze the window around now, or around a moment that is over.
    Snapshot(SnapshotWanted),
    /// Tell how it stands.
    Status {},
    /// Tell what was seen lately.
    Events {
        /// And go on telling what is seen.
        #[serde(default)]
        follow: bool,
    },
    /// Send frames out of memory: after the answer the rest of the connection is a pcapng file.
    Frames(FramesWanted),
    /// Tell the way to the live page.
    Web {},
    /// Make triggers count again.
    Arm {},
    /// Make triggers not count.
    Disarm {},
}

/// Which window a client wants to be frozen, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SnapshotWanted {
    /// Why.
    pub reason: String,
    /// Time wanted from before.
    #[serde(with = "span", skip_serializing_if = "Option::is_none")]
    pub pre: Option<Duration>,
    /// Time wanted from after.
    #[serde(with = "span", skip_serializing_if = "Option::is_none")]
    pub post: Option<Duration>,
    /// Around this moment; neither this nor `ago`: around now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Wall>,
    /// Around the moment that was so long ago.
    #[serde(with = "span", skip_serializing_if = "Option::is_none")]
    pub ago: Option<Duration>,
    /// Also if a bundle has the window already.
    pub again: bool,
    /// Also tell when the bundle is whole.
    pub wait: bool,
}

/// Which frames a client wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FramesWanted {
    /// Names of interfaces; empty: all that are recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// From so long before now on.
    #[serde(with = "span", skip_serializing_if = "Option::is_none")]
    pub last: Option<Duration>,
    /// From this moment on, instead of `last`; neither: as far as memory reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Wall>,
    /// Up to this moment; none: up to now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Wall>,
    /// Go on with what comes.
    pub follow: bool,
    /// Only frames that match, in libpcap's syntax.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// But none that match this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<String>,
    /// At most so many frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Without frames of which memory has only the headers.
    pub without_faded: bool,
    /// Without frames that stand for copies that were counted.
    pub without_folded: bool,
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// What came of a snapshot.
    Verdict(Verdict),
    /// What became of its incident.
    Fate(Fate),
    /// How it stands.
    Status(Box<RecorderStatus>),
    /// A pcapng file follows, to the end of the connection.
    Frames {
        /// The first moment that was asked for.
        from: Wall,
        /// Since then memory has every frame.
        held_from: Wall,
        /// Interfaces that are read.
        interfaces: Vec<String>,
    },
    /// Where the live page is.
    Web {
        /// The path of a socket, or address and port.
        place: String,
        /// Good once within a minute; none where the socket knows who asks.
        ticket: Option<String>,
    },
    /// Triggers count, or not, from now on.
    Arming {
        /// True if they count.
        armed: bool,
    },
    /// Something was seen: a line of `events.jsonl`.
    Event {
        /// The line.
        event: Value,
    },
    /// The client was too slow: so many events are lost to it.
    Missed {
        /// How many.
        count: u64,
    },
    /// Nothing to tell for a while, and still there.
    Alive,
    /// There are no more events.
    End,
    /// It cannot be done.
    Error {
        /// Of which kind.
        error: Trouble,
        /// What is wrong, for a person.
        message: String,
    },
}

/// Kinds of trouble, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The request has no meaning.
    BadRequest,
    /// This client may not ask.
    Refused,
    /// Too much at once: try again.
    Busy,
    /// dashcap is ending, or does not answer.
    Unavailable,
}

/// A line: the version, and what is said.
#[derive(Debug, Serialize, Deserialize)]
struct Said<T> {
    v: u64,
    #[serde(flatten)]
    said: T,
}

/// Understands a line of a client.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn request(line: &[u8]) -> Result<Command, String> {
    let accepted =
        r#"accepted: {"v":1,"command":"snapshot"}, or status, events, frames, arm, disarm"#;
    let wrong = |reason: &str| format!("{reason}; {accepted}");
    let mut fields: Map<String, Value> =
        serde_json::from_slice(line).map_err(|e| wrong(&format!("not a JSON object: {e}")))?;
    match fields.remove("v").as_ref().map(Value::as_u64) {
        Some(Some(VERSION)) => {}
        None => return Err(wrong("the version is missing")),
        Some(_) => return Err(wrong("a version not spoken here")),
    }
    Command::deserialize(Value::Object(fields)).map_err(|e| wrong(&e.to_string()))
}

/// A command as a line.
pub fn command(command: &Command) -> String {
    line(command)
}

/// An answer as a line.
pub fn answer(answer: &Answer) -> String {
    line(answer)
}

/// An event as a line, with the fields of a line of `events.jsonl`.
pub fn event(fields: &Map<String, Value>) -> String {
    /// [`Answer::Event`] of what somebody else keeps.
    #[derive(Serialize)]
    struct EventLine<'a> {
        answer: &'static str,
        event: &'a Map<String, Value>,
    }
    line(&EventLine { answer: "event", event: fields })
}

/// Understands a line of dashcap.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn answered(line: &[u8]) -> Result<Answer, String> {
    let said: Said<Answer> =
        serde_json::from_slice(line).map_err(|e| format!("an answer not understood: {e}"))?;
    if said.v == VERSION { Ok(said.said) } else { Err(format!("version {} is spoken", said.v)) }
}

fn line(said: &impl Serialize) -> String {
    // Only maps with keys other than strings cannot be written, and there are none.
    let line = serde_json::to_string(&Said { v: VERSION, said }).unwrap_or_default();
    let mut line = visible::json(&line).into_owned();
    line.push('\n');
    line
}

impl Answer {
    /// An error of this kind.
    pub fn error(error: Trouble, message: impl Into<String>) -> Self {
        Self::Error { error, message: message.into() }
    }
}

impl From<Unanswered> for Answer {
    fn from(why: Unanswered) -> Self {
        let error = match why {
            Unanswered::Busy => Trouble::Busy,
            Unanswered::Silent | Unanswered::Ending => Trouble::Unavailable,
        };
        Self::error(error, why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::incident::coverage::{Coverage, MissingPart};

    fn snapshot(reason: &str, pre: Option<u64>, post: Option<u64>, wait: bool) -> Command {
        let [pre, post] = [pre, post].map(|ms| ms.map(Duration::from_millis));
        let reason = reason.to_owned();
        Command::Snapshot(SnapshotWanted { reason, pre, post, wait, ..SnapshotWanted::default() })
    }

    fn past(at: Option<u64>, ago: Option<u64>, again: bool) -> Command {
        let (at, ago) = (at.map(Wall), ago.map(Duration::from_secs));
        Command::Snapshot(SnapshotWanted { at, ago, again, ..SnapshotWanted::default() })
    }

    #[test]
    fn requests_are_understood_or_refused_with_the_reason() {
        let refused = |reason: &str| Err(reason.to_owned());
        for (line, expected) in [
            (r#"{"v":1,"command":"snapshot"}"#, Ok(snapshot("", None, None, false))),
            (
                r#"{"command":"snapshot","reason":"x","pre":"90s","post":1.5,"wait":true,"v":1}"#,
                Ok(snapshot("x", Some(90_000), Some(1_500), true)),
            ),
            (
                r#"{"v":1,"command":"snapshot","at":"1970-01-01T00:00:01Z","again":true}"#,
                Ok(past(Some(1_000_000_000), None, true)),
            ),
            (r#"{"v":1,"command":"snapshot","ago":"2m"}"#, Ok(past(None, Some(120), false))),
            (r#" {"v":1,"command":"status"} "#, Ok(Command::Status {})),
            (r#"{"v":1,"command":"events","follow":true}"#, Ok(Command::Events { follow: true })),
            (r#"{"v":1,"command":"arm"}"#, Ok(Command::Arm {})),
            (r#"{"v":1,"command":"disarm"}"#, Ok(Command::Disarm {})),
            ("", refused("not a JSON object")),
            ("[]", refused("not a JSON object")),
            ("\u{0}", refused("not a JSON object")),
            (r#"{"command":"status"}"#, refused("the version is missing")),
            (r#"{"v":2,"command":"status"}"#, refused("a version not spoken here")),
            (r#"{"v":"1","command":"status"}"#, refused("a version not spoken here")),
            (r#"{"v":1,"command":"stop"}"#, refused("unknown variant `stop`")),
            (r#"{"v":1,"command":"status","x":1}"#, refused("unknown field `x`")),
            (r#"{"v":1,"command":"snapshot","pre":"2 parsecs"}"#, refused("not a time span")),
            (r#"{"v":1,"command":"snapshot","pre":-1}"#, refused("not a time span")),
            (r#"{"v":1,"command":"snapshot","pre":true}"#, refused("not a time span")),
            (r#"{"v":1,"command":"snapshot","ago":-5}"#, refused("not a time span")),
            (
                r#"{"v":1,"command":"snapshot","at":"soon"}"#,
                refused("\"soon\" is no time as in RFC 3339"),
            ),
        ] {
            match (request(line.as_bytes()), expected) {
                (Ok(command), Ok(expected)) => assert_eq!(command, expected, "{line}"),
                (Err(reason), Err(expected)) => {
                    assert!(reason.starts_with(&expected), "{line}: {reason}");
                    assert!(reason.contains(r#"accepted: {"v":1,"#), "{reason}");
                }
                (got, _) => panic!("{line}: {got:?}"),
            }
        }
    }

    #[test]
    fn what_is_said_is_understood() {
        for said in [
            snapshot("why", Some(1_500), None, true),
            past(Some(7), None, false),
            past(None, Some(7), true),
            Command::Status {},
            Command::Events { follow: true },
            Command::Disarm {},
            Command::Web {},
        ] {
            let line = command(&said);
            assert!(line.starts_with("{\"v\":1,\"command\":") && line.ends_with("}\n"), "{line}");
            assert_eq!(request(line.as_bytes()), Ok(said));
        }
        let frozen = Verdict::Frozen {
            pinned_after_ns: 1,
            before_wanted_ns: u64::MAX,
            before_held_ns: 3,
            left_ns: 4,
            incident: "x".into(),
            coverage: None,
        };
        let part = MissingPart {
            interface: Some("eth0".into()),
            class: None,
            reason: "not recorded yet".into(),
            from: Wall(1),
            to: Wall(2),
        };
        let coverage = Coverage {
            asked_after_ns: 1,
            from: Wall(1),
            to: Wall(9),
            held_from: Wall(2),
            full: false,
            missing: vec![part],
            more_missing: 3,
        };
        let extended = Verdict::Extended { left_ns: 1, incident: "x".into(), coverage: None }
            .covering(coverage);
        let written = Fate::Written { path: "/x".into(), frames: 1, bytes: 2 };
        for said in [
            Answer::Verdict(frozen),
            Answer::Verdict(extended),
            Answer::Verdict(Verdict::Covered { incident: "x".into(), from: Wall(1), to: Wall(2) }),
            Answer::Verdict(Verdict::Late { from: Wall(1), to: Wall(2), oldest: Wall(3) }),
            Answer::Verdict(Verdict::Ignored { why: "disarmed".into() }),
            Answer::Fate(written),
            Answer::Fate(Fate::Lost { name: "x".into(), reason: "y".into() }),
            Answer::Status(Box::default()),
            Answer::Arming { armed: false },
            Answer::Missed { count: 7 },
            Answer::Alive,
            Answer::End,
            Answer::error(Trouble::Busy, "x"),
        ] {
            let line = answer(&said);
            assert_eq!(answered(line.as_bytes()), Ok(said), "{line}");
        }
        let fields = Map::from_iter([("kind".to_owned(), "trigger".into())]);
        let (line, event) = (event(&fields), Value::Object(fields));
        assert_eq!(answered(line.as_bytes()), Ok(Answer::Event { event }));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = request(&bytes);
            let _ = answered(&bytes);
        }

        #[test]
        fn nearly_right_requests_never_panic(
            command in "snapshot|status|events|arm|x",
            field in "reason|pre|post|at|ago|again|wait|follow|v",
            value in r#"null|true|-?[0-9]{1,30}(\.[0-9]{1,5})?(e[0-9]{1,4})?|"[ -!#-\[\]-~]{0,20}"|\[\]|\{\}"#,
        ) {
            let line = format!("{{\"v\":1,\"command\":\"{command}\",\"{field}\":{value}}}");
            let _ = request(line.as_bytes());
        }
    }
}
