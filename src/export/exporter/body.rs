//! What a webhook is told of an incident, as JSON: `docs/export.md` has the schema.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::APPLICATION;
use crate::export::VERSION;
use crate::export::event::Event;
use crate::visible;

/// The report of a bundle, where there is one.
const REPORT: &str = "report.json";
/// Longest report that is looked into: one of a day with a thousand findings has a megabyte.
const LONGEST_REPORT: u64 = 16 << 20;

/// The body for `event`, told by `host`; `dropped` calls before it never got through.
pub(super) fn of(event: &Event, host: &str, dropped: u64) -> String {
    let field = |name: &str| event.fields.get(name).cloned().unwrap_or_default();
    let mut body = Map::new();
    for (name, value) in [
        ("v", Value::from(VERSION)),
        ("event", field("state")),
        ("time", field("time")),
        ("host", host.into()),
        ("program", APPLICATION.into()),
        ("incident", field("incident")),
        ("severity", event.severity.name().into()),
        ("sentence", field("sentence")),
        (
            "trigger",
            json!({
                "kind": field("trigger"),
                "object": field("object"),
                "time": field("triggered"),
                "sentence": field("cause"),
            }),
        ),
        ("window", json!({ "from": field("from"), "to": field("to") })),
        ("dropped_before", dropped.into()),
    ] {
        body.insert(name.to_owned(), value);
    }
    for name in ["path", "frames", "bytes", "manifest_sha256", "reason"] {
        if let Some(value) = event.fields.get(name) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(mut report) = event.text("path").and_then(|path| report(Path::new(path))) {
        let told = ["headline", "onset"].map(|name| (name, report[name].take()));
        for (name, value) in told.into_iter().filter(|(_, value)| !value.is_null()) {
            body.insert(name.to_owned(), value);
        }
    }
    visible::json(&Value::Object(body).to_string()).into_owned()
}

/// The report in a bundle: its sentence for the pager and the onset are told on. None where there is none.
fn report(bundle: &Path) -> Option<Value> {
    let mut text = Vec::new();
    let report = File::open(bundle.join(REPORT)).ok()?;
    report.take(LONGEST_REPORT).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok().filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::choice::What;
    use crate::finding::Severity;

    fn incident(fields: Value) -> Event {
        let Value::Object(fields) = fields else { panic!("an object") };
        Event::of(What::Incidents, Severity::Warning, fields)
    }

    fn event(state: &str, path: Option<&str>) -> Event {
        let mut line = json!({
            "time": "T2", "kind": "incident", "state": state, "incident": "I", "trigger": "link-down",
            "object": "eth0", "severity": "warning", "cause": "eth0: DOWN", "triggered": "T1",
            "from": "T0", "to": "T3", "sentence": "whole",
        });
        if let Some(path) = path {
            line["path"] = path.into();
            line["frames"] = 7.into();
        }
        incident(line)
    }

    #[test]
    fn a_body_says_what_happened_where_and_why() {
        let told: Value = serde_json::from_str(&of(&event("frozen", None), "router", 2)).unwrap();
        assert_eq!(
            told,
            json!({
                "v": 1, "event": "frozen", "time": "T2", "host": "router",
                "program": APPLICATION,
                "incident": "I", "severity": "warning", "sentence": "whole",
                "trigger": {
                    "kind": "link-down", "object": "eth0", "time": "T1", "sentence": "eth0: DOWN"
                },
                "window": { "from": "T0", "to": "T3" }, "dropped_before": 2,
            })
        );
    }

    #[test]
    fn the_headline_and_the_onset_are_those_of_the_report() {
        let bundle = tempfile::tempdir().unwrap();
        let path = bundle.path().to_str().unwrap();
        let told = |event: &Event| -> Value { serde_json::from_str(&of(event, "h", 0)).unwrap() };
        assert_eq!(told(&event("written", Some(path))).get("onset"), None);
        for (text, headline, expected) in [
            (
                r#"{"headline":"eth0: no link","onset":{"before_trigger_s":89}}"#,
                Some(json!("eth0: no link")),
                Some(json!({ "before_trigger_s": 89 })),
            ),
            (r#"{"onset":null}"#, None, None),
            ("[]", None, None),
            ("not json", None, None),
        ] {
            std::fs::write(bundle.path().join(REPORT), text).unwrap();
            let told = told(&event("written", Some(path)));
            let found = (told.get("headline"), told.get("onset"));
            assert_eq!(found, (headline.as_ref(), expected.as_ref()), "{text}");
            assert_eq!(told["frames"], 7);
        }
    }
}
