//! An event as destinations are told it: a JSON object with who tells it, of what sort it is and how bad.
//!
//! Made from a line of the live events (`dashcap events --json`), which stays as it is but for `kind`: a
//! finding is called `finding`, and its severity stands where that of every event stands. Lines come from
//! our own program; one that is none is passed over, never a panic.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::VERSION;
use super::choice::What;
use crate::finding::Severity;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Of which sort.
    pub what: What,
    /// How bad.
    pub severity: Severity,
    /// Its fields.
    pub fields: Map<String, Value>,
}

impl Event {
    /// Understands a line of live events.
    pub fn read(line: &str) -> Option<Self> {
        let mut fields: Map<String, Value> = serde_json::from_str(line).ok()?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let kind = text(fields.get("kind"))?;
        let fact = text(fields.get("what").and_then(|what| what.get("fact")));
        let (what, severity) = match (&*kind, fact.as_deref()) {
            ("observation", Some("finding")) => {
                fields.insert("kind".to_owned(), "finding".into());
                (What::Findings, told(fields.get("what")?.get("severity")))
            }
            ("observation", fact) => (What::Observations, observed(fact, fields.get("what"))),
            ("trigger", _) => (What::Incidents, Severity::Warning),
            ("incident", _) => (What::Incidents, told(fields.get("severity"))),
            _ => return None,
        };
        Some(Self { what, severity, fields })
    }

    /// An event of this program itself.
    pub fn new(what: What, severity: Severity, kind: &str, fields: Value) -> Self {
        let mut all = Map::from_iter([("kind".to_owned(), kind.into())]);
        if let Value::Object(fields) = fields {
            all.extend(fields);
        }
        Self { what, severity, fields: all }
    }

    /// A field that is text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// The event as a line of JSON, told by `host`; without line end.
    pub fn json(&self, host: &str) -> String {
        let mut fields = self.fields.clone();
        fields.insert("v".to_owned(), VERSION.into());
        fields.insert("host".to_owned(), host.into());
        if self.what != What::Traffic {
            fields.insert("severity".to_owned(), word(self.severity).into());
        }
        Value::Object(fields).to_string()
    }
}

/// As messages spell it.
pub fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// What an event says of itself; a warning where it says nothing.
fn told(severity: Option<&Value>) -> Severity {
    let told = severity.and_then(|severity| Severity::deserialize(severity).ok());
    told.unwrap_or(Severity::Warning)
}

/// How bad an observation is by itself: what stopped working is a warning, all else good to know.
fn observed(fact: Option<&str>, what: Option<&Value>) -> Severity {
    let at = |pointer: &str| what.and_then(|what| what.pointer(pointer));
    let is_up =
        |state: Option<&Value>| matches!(state.and_then(Value::as_str), Some("up" | "unknown"));
    match fact {
        Some("link") => match (is_up(at("/before/operstate")), is_up(at("/now/operstate"))) {
            (true, false) => Severity::Warning,
            (false, true) => Severity::Notice,
            _ => Severity::Info,
        },
        Some("capture") => match at("/event/event").and_then(Value::as_str) {
            Some("gap" | "failed" | "dropping") => Severity::Warning,
            _ => Severity::Info,
        },
        Some("probe_slow" | "probe_lossy") if at("/over") == Some(&Value::Bool(true)) => {
            Severity::Notice
        }
        Some(
            "link_gone" | "probe_lost" | "probe_down" | "probe_slow" | "probe_lossy" | "counter"
            | "log" | "reload_refused" | "missed",
        ) => Severity::Warning,
        Some("asked" | "arming" | "told" | "probe_up" | "reloaded") => Severity::Notice,
        _ => Severity::Info,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_sorted_and_graded() {
        use Severity::{Critical, Info, Notice, Warning};
        use What::{Findings, Incidents, Observations};
        let seen = |what: Value| json!({ "kind": "observation", "what": what });
        for (line, what, severity) in [
            (seen(json!({"fact": "finding", "severity": "critical"})), Findings, Critical),
            (seen(json!({"fact": "finding"})), Findings, Warning),
            (
                seen(
                    json!({"fact": "link", "before": {"operstate": "up"}, "now": {"operstate": "down"}}),
                ),
                Observations,
                Warning,
            ),
            (
                seen(json!({"fact": "link", "before": null, "now": {"operstate": "up"}})),
                Observations,
                Notice,
            ),
            (
                seen(json!({"fact": "capture", "interface": "eth0", "event": {"event": "gap"}})),
                Observations,
                Warning,
            ),
            (seen(json!({"fact": "probe_slow", "over": true})), Observations, Notice),
            (seen(json!({"fact": "probe_slow", "over": false})), Observations, Warning),
            (seen(json!({"fact": "address"})), Observations, Info),
            (json!({"kind": "trigger", "trigger": "link-down"}), Incidents, Warning),
            (json!({"kind": "incident", "severity": "notice"}), Incidents, Notice),
        ] {
            let event = Event::read(&line.to_string()).expect("an event");
            assert_eq!((event.what, event.severity), (what, severity), "{line}");
        }
        assert_eq!(Event::read(r#"{"kind":"weather"}"#), None);
    }

    #[test]
    fn an_event_is_told_with_who_tells_it() {
        let line = r#"{"time":"T","kind":"observation","sentence":"it storms","what":{"fact":"finding","severity":"warning"}}"#;
        let told = Event::read(line).unwrap().json("router");
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(
            told,
            json!({"v": 1, "host": "router", "severity": "warning", "time": "T", "kind": "finding",
                   "sentence": "it storms", "what": {"fact": "finding", "severity": "warning"}})
        );
        let traffic = Event::new(What::Traffic, Severity::Info, "traffic", json!({"rxpck_s": 1.5}));
        assert_eq!(
            traffic.json("router"),
            r#"{"host":"router","kind":"traffic","rxpck_s":1.5,"v":1}"#
        );
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "\\PC{0,200}|\\{\"kind\":\"(observation|incident)\",\"what\":[a-z0-9\"{}:,\\[\\]]{0,40}\\}") {
            if let Some(event) = Event::read(&line) {
                let _ = event.json("host");
            }
        }
    }
}
