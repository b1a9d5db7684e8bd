//! An event as listeners are told it: the fields of a line of `events.jsonl`, of what sort it is and how bad.
//!
//! `dashcap events` shows the fields as they are; other hosts are also told who tells it, and a finding is
//! called `finding` there.

use serde_json::{Map, Value};

use super::VERSION;
use super::choice::What;
use crate::finding::Severity;
use crate::visible;

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
    /// An event with these fields, those of a line of `events.jsonl`.
    pub fn of(what: What, severity: Severity, fields: Map<String, Value>) -> Self {
        Self { what, severity, fields }
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

    /// What it is called elsewhere: a finding is not one observation among others.
    pub fn kind(&self) -> &str {
        match self.what {
            What::Findings => "finding",
            _ => self.text("kind").unwrap_or_default(),
        }
    }

    /// The event as a line of JSON, told by `host`; without line end.
    pub fn json(&self, host: &str) -> String {
        let mut fields = self.fields.clone();
        fields.insert("v".to_owned(), VERSION.into());
        fields.insert("host".to_owned(), host.into());
        fields.insert("kind".to_owned(), self.kind().into());
        if self.what != What::Traffic {
            fields.insert("severity".to_owned(), self.severity.name().into());
        }
        visible::json(&Value::Object(fields).to_string()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_told_with_who_tells_it() {
        let fields = json!({"time": "T", "kind": "observation", "sentence": "it storms",
                            "what": {"fact": "finding", "severity": "warning"}});
        let Value::Object(fields) = fields else { panic!("an object") };
        let told = Event::of(What::Findings, Severity::Warning, fields).json("router");
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
}
