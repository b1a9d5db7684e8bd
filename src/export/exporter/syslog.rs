//! An event as a syslog message (RFC 5424), for UDP (RFC 5426) and for TCP with octet counting (RFC 6587).
//!
//! ```text
//!   <28>1 2026-11-22T14:14:20.811089Z router dashcap 4711 finding [dashcap@32473 …="…"] sentence
//!    │    │                           │              │    └ MSGID: kind of the event
//!    │    └ microseconds, no more is allowed          └ HOSTNAME or `-`
//!    └ facility × 8 + severity
//! ```
//!
//! What a person reads is the message; what a program looks for is structured data. Whatever the fields
//! hold, the message stays one line in the form the RFC demands, within the length every receiver takes.

use std::fmt::Write;

use serde_json::Value;

use crate::export::choice::What;
use crate::export::event::Event;
use crate::finding::Severity;
use crate::visible;

/// Name of our structured data. 32473 is the number that RFC 5612 sets aside for those without one of
/// their own.
const STRUCTURE: &str = "dashcap@32473";
/// Longest message in bytes: every receiver should take as much (RFC 5424, 6.1; RFC 5426, 3.2).
const LONGEST: usize = 2_048;
/// Longest value of structured data in bytes: a path of a bundle.
const VALUE: usize = 255;
/// Where structured data ends at the latest, so that the message itself has room; fields beyond are left
/// out.
const STRUCTURED: usize = LONGEST - 512;
/// Longest host name (RFC 5424, 6).
const HOST: usize = 255;
/// Longest name of a message's kind (RFC 5424, 6).
const KIND: usize = 32;

/// Fields that become structured data, where an event has them.
const FIELDS: [&str; 23] = [
    "interface",
    "watcher",
    "trigger",
    "object",
    "incident",
    "state",
    "path",
    "frames",
    "bytes",
    "manifest_sha256",
    "reason",
    "count",
    "seconds",
    "rxpck_s",
    "txpck_s",
    "rxkB_s",
    "txkB_s",
    "util_percent",
    "rxerr_s",
    "txerr_s",
    "rxdrop_s",
    "txdrop_s",
    "speed_mbit",
];

/// The same of what a finding says.
const FINDING: [&str; 5] = ["kind", "direction", "count", "rate", "over"];

/// Who tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Teller {
    host: String,
    process: u32,
    facility: u8,
}

impl Teller {
    /// This process on `host`.
    pub(super) fn new(host: &str, process: u32, facility: u8) -> Self {
        Self { host: name(host, HOST), process, facility }
    }

    /// `event` as a message.
    pub(super) fn message(&self, event: &Event) -> String {
        let priority = u32::from(self.facility) * 8 + level(event);
        let time = event.text("time").map_or_else(|| "-".to_owned(), microseconds);
        let kind = name(event.kind(), KIND);
        let Self { host, process, .. } = self;
        let mut message = format!("<{priority}>1 {time} {host} dashcap {process} {kind} ");
        structure(&mut message, event);
        message.push(' ');
        let room = LONGEST.saturating_sub(message.len());
        message.push_str(&cut(&line(event.text("sentence").unwrap_or_default()), room));
        message
    }
}

/// The message as a frame of a TCP stream (RFC 6587, 3.4.1).
pub(super) fn counted(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// Severity of syslog (RFC 5424, table 2).
fn level(event: &Event) -> u32 {
    match event.severity {
        _ if event.what == What::Traffic => 6,
        Severity::Info => 6,
        Severity::Notice => 5,
        Severity::Warning => 4,
        Severity::Critical => 2,
    }
}

fn structure(message: &mut String, event: &Event) {
    message.push('[');
    message.push_str(STRUCTURE);
    let of_event = FIELDS.iter().filter_map(|field| Some((*field, event.fields.get(*field)?)));
    let finding = event.fields.get("what").filter(|_| event.what == What::Findings);
    let of_finding = FINDING.iter().filter_map(|field| Some((*field, finding?.get(*field)?)));
    for (field, value) in of_event.chain(of_finding) {
        let value = match value {
            Value::String(text) => cut(&line(text), VALUE),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        let value = escaped(&value);
        if message.len() + field.len() + value.len() + " =\"\"]".len() <= STRUCTURED {
            // Writing to a String never fails.
            let _ = write!(message, " {field}=\"{value}\"");
        }
    }
    message.push(']');
}

/// `"`, `\` and `]` have a backslash before them (RFC 5424, 6.3.3).
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// One line: every character that controls is a blank.
fn line(text: &str) -> String {
    text.chars().map(|c| if visible::controls(c) { ' ' } else { c }).collect()
}

/// At most so many bytes, whole characters.
fn cut(text: &str, bytes: usize) -> String {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= bytes);
    text[..end.last().unwrap_or(0)].to_owned()
}

/// Visible ASCII, at most so long; `-` if nothing is left (NILVALUE).
fn name(text: &str, longest: usize) -> String {
    let name: String = text.chars().filter(char::is_ascii_graphic).take(longest).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// A time with the six digits that are allowed (TIME-SECFRAC); `-` for what is none.
fn microseconds(time: &str) -> String {
    let time: Result<jiff::Timestamp, _> = time.parse();
    time.map_or_else(|_| "-".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn teller() -> Teller {
        Teller::new("router", 4_711, crate::export::remote::DAEMON)
    }

    #[test]
    fn a_finding_becomes_a_message() {
        let line = json!({
            "time": "2026-11-22T14:14:20.811089123Z", "kind": "observation", "watcher": "detect",
            "interface": "eth0", "sentence": "a \"storm\"\nof frames",
            "what": { "fact": "finding", "kind": "duplicate_storm", "severity": "critical",
                      "direction": "outbound", "count": 7, "rate": 372.5, "over": false },
        });
        let Value::Object(fields) = line else { panic!("an object") };
        let event = Event::of(What::Findings, Severity::Critical, fields);
        assert_eq!(
            teller().message(&event),
            "<26>1 2026-11-22T14:14:20.811089Z router dashcap 4711 finding [dashcap@32473 \
             interface=\"eth0\" watcher=\"detect\" kind=\"duplicate_storm\" direction=\"outbound\" \
             count=\"7\" rate=\"372.5\" over=\"false\"] a \"storm\" of frames"
        );
        assert_eq!(counted("abc"), "3 abc");
    }

    #[test]
    fn what_would_break_the_form_is_escaped_or_left_out() {
        let fields = json!({ "object": "a\"b\\c]d", "path": "x".repeat(500), "sentence": "é".repeat(2_000) });
        let event = Event::new(What::Incidents, Severity::Notice, "in cident", fields);
        let told = Teller::new("ro uter\u{e9}", 1, 23).message(&event);
        assert!(told.starts_with("<189>1 - router dashcap 1 incident [dashcap@32473 object=\"a\\\"b\\\\c\\]d\" path=\"xxx"), "{told}");
        assert!(told.len() <= LONGEST && told.len() > LONGEST - 4);
        assert_eq!(Teller::new("", 1, 3).host, "-");
    }

    proptest! {
        #[test]
        fn every_message_is_understood(
            sentence in "\\PC{0,3000}|[\\x00-\\x7f]{0,100}", object in "\\PC{0,300}", time in "\\PC{0,40}"
        ) {
            let fields = json!({ "sentence": sentence, "object": object, "time": time });
            let event = Event::new(What::Incidents, Severity::Critical, "incident", fields);
            let told = teller().message(&event);
            prop_assert!(told.len() <= LONGEST);
            prop_assert!(!told.contains('\n'));
            let told = syslog_loose::parse_message(&told, syslog_loose::Variant::RFC5424);
            prop_assert_eq!(told.protocol, syslog_loose::Protocol::RFC5424(1));
            prop_assert_eq!(told.msgid, Some("incident"));
            prop_assert_eq!(told.structured_data.len(), 1);
        }
    }
}
