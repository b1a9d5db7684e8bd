//! A notice: somebody's window is worth keeping, here are the seconds; you may have them, too.
//!
//! The sender tells how long ago it happened, by its monotonic clock and anew at each resend, so that a receiver
//! whose wall clock is wrong by an hour keeps the right seconds. The wall time is for people, and for the error bar.
//!
//! A [`Notice`] is within its bounds however it was made: it is only made by [`Notice::new`] and [`Notice::read`].

use std::ops::Deref;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fields::{self, Fields, check_span, check_text, check_token};
use crate::error::{Error, Result};
use crate::finding::Severity;
use crate::time::{Wall, as_nanos};
use crate::trigger::TriggerKind;

/// What a notice says, field by field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoticeFields {
    /// Its own, the same in every resend: host, boot and number.
    pub id: String,
    /// The notice that was the first of all that came of one failure; its own where it is the first.
    pub root: String,
    /// How many recorders passed it on.
    pub hops: u8,
    /// The host that says it.
    pub from: String,
    /// The boot of that host.
    pub boot: String,
    /// What happened there: a kind of trigger.
    pub kind: String,
    /// The interface, probe or neighbour it happened to, if that may be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The whole of it for a person, if that may be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// How bad it is there.
    pub severity: Severity,
    /// When it happened, by the wall clock there.
    pub at: Wall,
    /// How far that moment may be wrong on the sender's own clock.
    #[serde(rename = "err_ns", with = "as_nanos")]
    pub error: Duration,
    /// How long before this copy was sent it happened.
    #[serde(rename = "age_ns", with = "as_nanos")]
    pub age: Duration,
    /// Time wanted from before.
    #[serde(rename = "pre_ns", with = "as_nanos")]
    pub pre: Duration,
    /// Time wanted from after.
    #[serde(rename = "post_ns", with = "as_nanos")]
    pub post: Duration,
    /// What is to be done with the window.
    pub mode: Mode,
    /// A window that is held is released if nothing follows within that time.
    #[serde(rename = "within_ns", with = "as_nanos")]
    pub within: Duration,
    /// What the answer should tell.
    pub want: Want,
    /// Answers are spread over that time, freezing never is.
    #[serde(rename = "spread_ns", with = "as_nanos")]
    pub spread: Duration,
}

/// What is to be done with a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Freeze it and write a bundle.
    Keep,
    /// Freeze it, and wait whether it is confirmed.
    Hold,
    /// Write what is held under this identifier.
    Confirm,
    /// Give up what is held under this identifier.
    Release,
}

/// What an answer should tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// Counts, times, states and kinds.
    State,
    /// Sentences and findings, too.
    Report,
}

/// A notice that is within its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice(NoticeFields);

/// What tells a notice from all others. An identifier alone does not: whoever hears one could say it, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeKey {
    /// Who says it.
    pub from: String,
    /// The identifier that it was given there.
    pub id: String,
}

impl Notice {
    /// What tells it from all others.
    pub fn key(&self) -> NoticeKey {
        NoticeKey { from: self.from.clone(), id: self.id.clone() }
    }

    /// How long ago it may have happened, and how long each part of a window may be: a day, as for a window of
    /// one's own.
    pub const LONGEST_SPAN: Duration = Duration::from_secs(24 * 3600);
    /// How long a window may wait to be confirmed: it pins memory.
    pub const LONGEST_WITHIN: Duration = Duration::from_secs(3600);
    /// Over how long answers may be spread: 0.2 ms for each of 10,000 hosts are 2 s.
    pub const LONGEST_SPREAD: Duration = Duration::from_secs(60);
    /// Recorders that may pass it on: more would be a loop.
    pub const MOST_HOPS: u8 = 1;
    /// Bytes of a host's or boot's name: a host name has at most 253 (RFC 1035, 2.3.4).
    pub const LONGEST_NAME: usize = 253;
    /// Bytes of a kind.
    pub const LONGEST_KIND: usize = 64;
    /// Bytes of what it happened to.
    pub const LONGEST_OBJECT: usize = 256;
    /// Bytes of a sentence.
    pub const LONGEST_SENTENCE: usize = 1_024;

    /// A notice that says this.
    ///
    /// # Errors
    /// [`Error::Usage`] with the name of the field that is out of bounds.
    pub fn new(fields: NoticeFields) -> Result<Self> {
        fields.check()?;
        fields::line(&fields)?;
        Ok(Self(fields))
    }

    /// What `from` says of the window that is held for its notice `id`: write it, or give it up.
    ///
    /// # Errors
    /// [`Error::Usage`] when one of them is no name.
    pub fn settling(from: &str, id: &str, mode: Mode, at: Wall) -> Result<Self> {
        Self::new(NoticeFields {
            id: id.to_owned(),
            root: id.to_owned(),
            hops: 0,
            from: from.to_owned(),
            boot: String::new(),
            kind: TriggerKind::Snapshot.to_string(),
            object: None,
            sentence: None,
            severity: Severity::Warning,
            at,
            error: Duration::ZERO,
            age: Duration::ZERO,
            pre: Duration::ZERO,
            post: Duration::ZERO,
            mode,
            within: Duration::ZERO,
            want: Want::State,
            spread: Duration::ZERO,
        })
    }

    /// Understands a message. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// [`Error::Usage`] with the name of the field that is wrong.
    pub fn read(message: &[u8]) -> Result<Self> {
        let mut fields = Fields::of(message)?;
        Self::new(NoticeFields {
            id: fields.take("id")?,
            root: fields.take("root")?,
            hops: fields.take("hops")?,
            from: fields.take("from")?,
            boot: fields.take("boot")?,
            kind: fields.take("kind")?,
            object: fields.take("object")?,
            sentence: fields.take("sentence")?,
            severity: fields.take("severity")?,
            at: fields.take("at")?,
            error: fields.span("err_ns")?,
            age: fields.span("age_ns")?,
            pre: fields.span("pre_ns")?,
            post: fields.span("post_ns")?,
            mode: fields.take("mode")?,
            within: fields.span("within_ns")?,
            want: fields.take("want")?,
            spread: fields.span("spread_ns")?,
        })
    }

    /// The same, sent when it is this old.
    ///
    /// # Errors
    /// When it is too old to be asked for.
    pub fn aged(&self, age: Duration) -> Result<Self> {
        Self::new(NoticeFields { age, ..self.0.clone() })
    }

    /// As it is sent: one line of JSON.
    pub fn line(&self) -> String {
        // Whoever made it has tried.
        fields::line(&self.0).unwrap_or_default()
    }
}

impl NoticeFields {
    fn check(&self) -> Result<()> {
        check_token("id", &self.id)?;
        check_token("root", &self.root)?;
        if self.hops > Notice::MOST_HOPS {
            return Err(Error::usage(
                "hops",
                self.hops.to_string(),
                "it goes in a circle",
                "0 or 1",
            ));
        }
        for (name, text, most) in [
            ("from", Some(&self.from), Notice::LONGEST_NAME),
            ("boot", Some(&self.boot), Notice::LONGEST_NAME),
            ("kind", Some(&self.kind), Notice::LONGEST_KIND),
            ("object", self.object.as_ref(), Notice::LONGEST_OBJECT),
            ("sentence", self.sentence.as_ref(), Notice::LONGEST_SENTENCE),
        ] {
            check_text(name, text.map(String::as_str), most)?;
        }
        if self.from.is_empty() {
            return Err(Error::usage("from", "", "nobody says it", "the name of a host"));
        }
        for (name, span, most) in [
            ("err_ns", self.error, Notice::LONGEST_SPAN),
            ("age_ns", self.age, Notice::LONGEST_SPAN),
            ("pre_ns", self.pre, Notice::LONGEST_SPAN),
            ("post_ns", self.post, Notice::LONGEST_SPAN),
            ("within_ns", self.within, Notice::LONGEST_WITHIN),
            ("spread_ns", self.spread, Notice::LONGEST_SPREAD),
        ] {
            check_span(name, span, most)?;
        }
        if self.mode == Mode::Hold && self.within.is_zero() {
            let reason = "a window is held for a time";
            return Err(Error::usage("within_ns", "0", reason, "more than 0 nanoseconds"));
        }
        Ok(())
    }
}

impl Deref for Notice {
    type Target = NoticeFields;

    fn deref(&self) -> &NoticeFields {
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
            "v": 1, "id": "router-a-3f2b-7", "root": "router-a-3f2b-7", "hops": 0, "from": "router-a",
            "boot": "3f2b", "kind": "link-down", "object": "bond0", "severity": "warning",
            "at": "2026-11-30T05:27:51.447600000Z", "err_ns": 0, "age_ns": 1_500_000, "pre_ns": 120_000_000_000_u64,
            "post_ns": 10_000_000_000_u64, "mode": "keep", "within_ns": 0, "want": "state", "spread_ns": 0
        })
    }

    fn read(message: &Value) -> Result<Notice> {
        Notice::read(message.to_string().as_bytes())
    }

    #[test]
    fn what_is_said_is_understood_and_said_again() {
        let notice = read(&said()).unwrap();
        assert_eq!((notice.from.as_str(), notice.age), ("router-a", Duration::from_micros(1_500)));
        assert_eq!(serde_json::from_str::<Value>(&notice.line()).unwrap(), said());
        let mut more = said();
        more["colour"] = "blue".into();
        assert_eq!(read(&more).unwrap(), notice, "what a newer one says is passed over");
        let older = notice.aged(Duration::from_secs(60)).unwrap();
        assert_eq!((older.age.as_secs(), &older.id), (60, &notice.id));
        assert!(notice.aged(Duration::from_secs(90_000)).is_err());
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_the_name_of_its_field() {
        let day = 86_400_000_000_001_u64;
        for (field, wrong) in [
            ("v", json!(2)),
            ("id", json!("a.b")),
            ("id", json!("")),
            ("root", json!("*")),
            ("hops", json!(2)),
            ("hops", json!(-1)),
            ("from", json!("")),
            ("from", json!("x".repeat(254))),
            ("boot", json!(7)),
            ("kind", json!("x".repeat(65))),
            ("object", json!("x".repeat(257))),
            ("sentence", json!("x".repeat(1_025))),
            ("severity", json!("awful")),
            ("at", json!("yesterday")),
            ("at", json!("1969-01-01T00:00:00Z")),
            ("err_ns", json!(day)),
            ("age_ns", json!(day)),
            ("age_ns", json!(-1)),
            ("age_ns", json!(u64::MAX)),
            ("age_ns", json!(1e300)),
            ("age_ns", json!(0.5)),
            ("age_ns", json!("NaN")),
            ("age_ns", json!(null)),
            ("age_ns", json!([1])),
            ("pre_ns", json!(day)),
            ("post_ns", json!(day)),
            ("mode", json!("burn")),
            ("within_ns", json!(3_600_000_000_001_u64)),
            ("want", json!("everything")),
            ("spread_ns", json!(60_000_000_001_u64)),
        ] {
            let mut message = said();
            message[field] = wrong.clone();
            let refused = read(&message).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("{field} \"")), "{field} {wrong}: {refused}");
        }
        let mut held = said();
        held["mode"] = "hold".into();
        assert!(read(&held).unwrap_err().to_string().starts_with("within_ns"));
        for message in ["", "[]", "7", "{}", "{\"v\":1,\"age_ns\":1e999}", "\u{0}"] {
            assert!(Notice::read(message.as_bytes()).is_err(), "{message}");
        }
        let long = format!("{{\"v\":1,\"x\":\"{}\"}}", "x".repeat(fields::LONGEST));
        assert!(Notice::read(long.as_bytes()).unwrap_err().to_string().contains("too long"));
        // Short, and long as soon as nothing in it controls anything.
        let mut message = said();
        message["sentence"] = "\u{202e}".repeat(300).into();
        assert!(read(&message).is_ok());
        message["sentence"] = "\u{1b}".repeat(1_024).into();
        assert!(read(&message).unwrap_err().to_string().contains("too long"));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Notice::read(&bytes);
        }

        #[test]
        fn what_is_accepted_stays_within_its_bounds(
            field in "id|root|hops|from|kind|object|sentence|err_ns|age_ns|pre_ns|post_ns|within_ns|spread_ns",
            value in r#"null|true|-?[0-9]{1,30}(\.[0-9]{1,5})?(e[0-9]{1,2})?|"[ -!#-\[\]-~]{0,20}"|\[\]|\{\}"#,
        ) {
            let mut message = said();
            let Ok(value) = serde_json::from_str::<Value>(&value) else { return Ok(()) };
            message[field] = value;
            if let Ok(notice) = read(&message) {
                prop_assert!(notice.age <= Notice::LONGEST_SPAN && notice.hops <= 1);
                prop_assert!(notice.line().len() <= fields::LONGEST);
                prop_assert_eq!(Notice::read(notice.line().as_bytes()).unwrap(), notice);
            }
        }
    }
}
