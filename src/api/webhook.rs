//! The bodies that `POST /trigger` takes: our own, or that of Alertmanager's webhook.
//!
//! Told apart by the field `alerts`, which every webhook has. Parsing never panics, whatever the bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::span;
use crate::observation::Fact;
use crate::observation::request::{Ask, Door, NAME, REASON, one_line};
use crate::time::Wall;

/// What a body amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// A snapshot is wanted.
    Ask(Ask),
    /// An alert is over.
    Over(String),
}

/// Our own body; an empty one is `{}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    #[serde(default)]
    reason: String,
    #[serde(default, with = "span")]
    pre: Option<Duration>,
    #[serde(default, with = "span")]
    post: Option<Duration>,
    #[serde(default)]
    at: Option<Wall>,
    #[serde(default, with = "span")]
    ago: Option<Duration>,
    #[serde(default)]
    again: bool,
}

/// Alertmanager's, as far as it matters here (template data of version 4,
/// prometheus.io/docs/alerting/latest/configuration, `webhook_config`). It may grow, so unknown fields
/// are passed over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlertWebhook {
    status: AlertStatus,
    alerts: Vec<Alert>,
    #[serde(default)]
    group_labels: Labels,
    #[serde(default)]
    common_labels: Labels,
    #[serde(default)]
    common_annotations: Labels,
    #[serde(default)]
    truncated_alerts: u64,
}

#[derive(Debug, Deserialize)]
struct Alert {
    status: AlertStatus,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AlertStatus {
    Firing,
    Resolved,
}

type Labels = BTreeMap<String, String>;

/// Understands a body that came from `who` at `now`.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn meaning(body: &[u8], who: &str, now: Wall) -> Result<Meaning, String> {
    let wrong = |e: serde_json::Error| {
        format!(
            "{e}; accepted: {{\"reason\": TEXT, \"pre\": \"90s\", \"post\": \"10s\", \"ago\": \"5m\"}}, each may \
             be left out, or the body of Alertmanager's webhook"
        )
    };
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let fields: Map<String, Value> = serde_json::from_slice(body).map_err(wrong)?;
    if fields.contains_key("alerts") {
        let webhook = AlertWebhook::deserialize(Value::Object(fields)).map_err(wrong)?;
        return Ok(webhook.meaning(who));
    }
    let Plain { reason, pre, post, at, ago, again } =
        Plain::deserialize(Value::Object(fields)).map_err(wrong)?;
    let ask = Ask { pre, post, at, ago, again, ..Ask::new(Door::Http, who, &reason) };
    ask.check(now).map_err(|e| e.to_string())?;
    Ok(Meaning::Ask(ask))
}

impl Meaning {
    /// As an observation.
    pub fn fact(self, who: &str) -> Fact {
        match self {
            Self::Ask(ask) => Fact::Asked(ask.into()),
            Self::Over(what) => Fact::Told {
                door: Door::Http,
                who: one_line(who, NAME),
                what: one_line(&what, REASON),
            },
        }
    }
}

impl AlertWebhook {
    fn meaning(&self, who: &str) -> Meaning {
        let sentence = self.sentence();
        match self.status {
            AlertStatus::Resolved => Meaning::Over(format!("resolved: {sentence}")),
            AlertStatus::Firing => {
                let object = self.name().map(|name| one_line(name, NAME));
                Meaning::Ask(Ask { object, ..Ask::new(Door::Http, who, &sentence) })
            }
        }
    }

    /// `BgpDown (critical), 2 alerts: the peer is gone; leaf1, leaf2`.
    fn sentence(&self) -> String {
        let label = |name| self.label(name);
        let mut sentence = self.name().unwrap_or("an alert without a name").to_owned();
        if let Some(severity) = label("severity") {
            sentence.push_str(&format!(" ({severity})"));
        }
        let count = self.alerts.len() as u64 + self.truncated_alerts;
        if count > 1 {
            sentence.push_str(&format!(", {count} alerts"));
        }
        if let Some(text) = self.annotation("summary").or(self.annotation("description")) {
            sentence.push_str(&format!(": {text}"));
        }
        let mut instances: Vec<&str> =
            self.those().filter_map(|alert| Some(alert.labels.get("instance")?.as_str())).collect();
        instances.dedup();
        if !instances.is_empty() {
            sentence.push_str(&format!("; {}", instances.join(", ")));
        }
        sentence
    }

    fn name(&self) -> Option<&str> {
        self.label("alertname")
    }

    /// Of the group, else of the first alert that is meant.
    fn label(&self, name: &str) -> Option<&str> {
        let common = self.group_labels.get(name).or_else(|| self.common_labels.get(name));
        common.or_else(|| self.those().find_map(|alert| alert.labels.get(name))).map(String::as_str)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        let common = self.common_annotations.get(name);
        let first = || self.those().find_map(|alert| alert.annotations.get(name));
        common.or_else(first).map(String::as_str)
    }

    /// The alerts with the status of the whole: a firing group may have resolved ones in it.
    fn those(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.status == self.status)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Wall = Wall(1_795_356_860_000_000_000);

    /// As Alertmanager 0.27 words it, shortened.
    fn webhook(status: &str) -> String {
        serde_json::json!({
            "version": "4", "groupKey": "{}:{alertname=\"BgpDown\"}", "truncatedAlerts": 0,
            "status": status, "receiver": "dashcap",
            "groupLabels": { "alertname": "BgpDown" },
            "commonLabels": { "alertname": "BgpDown", "severity": "critical" },
            "commonAnnotations": { "summary": "a peer\nis gone" },
            "externalURL": "http://alertmanager:9093",
            "alerts": [
                { "status": "resolved", "labels": { "instance": "spine" }, "annotations": {},
                  "startsAt": "2026-11-22T14:14:00Z", "fingerprint": "1" },
                { "status": status, "labels": { "instance": "leaf1" }, "annotations": {} },
                { "status": status, "labels": { "instance": "leaf2" }, "annotations": {} },
            ],
        })
        .to_string()
    }

    #[test]
    fn our_own_body_is_a_wish() {
        let who = "192.0.2.9";
        for (body, reason, pre, post) in [
            ("", "", None, None),
            ("{}", "", None, None),
            (r#"{"reason":"deploy\nfailed"}"#, "deploy failed", None, None),
            (r#"{"reason":"x","pre":"2m","post":5}"#, "x", Some(120), Some(5)),
        ] {
            let [pre, post] = [pre, post].map(|span| span.map(Duration::from_secs));
            let ask = Ask { pre, post, ..Ask::new(Door::Http, who, reason) };
            assert_eq!(meaning(body.as_bytes(), who, NOW), Ok(Meaning::Ask(ask)), "{body}");
        }
        let (at, ago) = (Some(Wall(NOW.0 - 60_000_000_000)), Some(Duration::from_secs(60)));
        for (body, at, ago, again) in [
            (r#"{"at":"2026-11-22T14:13:20Z"}"#, at, None, false),
            (r#"{"ago":"1m","again":true}"#, None, ago, true),
        ] {
            let ask = Ask { at, ago, again, ..Ask::new(Door::Http, who, "") };
            assert_eq!(meaning(body.as_bytes(), who, NOW), Ok(Meaning::Ask(ask)), "{body}");
        }
        for (body, reason) in [
            ("reason=x", "expected value"),
            (r#"{"at":"2026-11-22T14:24:20Z"}"#, "that is in 600.0 s"),
            (r#"{"at":"2026-11-22T14:13:20Z","ago":"1m"}"#, "either at or ago"),
            (r#"{"raison":"x"}"#, "unknown field `raison`"),
            (r#"{"pre":"long"}"#, "not a time span"),
            (r#"{"post":"25h"}"#, "at most a day"),
            (r#"{"alerts":3}"#, "invalid type"),
            (r#"{"alerts":[],"status":"x"}"#, "unknown variant"),
            ("[]", "expected a map"),
        ] {
            let refused = meaning(body.as_bytes(), who, NOW).unwrap_err();
            assert!(refused.contains(reason), "{body}: {refused}");
        }
    }

    #[test]
    fn a_firing_alert_is_a_wish_a_resolved_one_is_not() {
        let sentence = "BgpDown (critical), 3 alerts: a peer is gone; leaf1, leaf2";
        let Ok(Meaning::Ask(ask)) = meaning(webhook("firing").as_bytes(), "x", NOW) else {
            panic!()
        };
        assert_eq!((ask.object.as_deref(), &*ask.reason), (Some("BgpDown"), sentence));
        let over = meaning(webhook("resolved").as_bytes(), "x", NOW).unwrap().fact("x");
        let what = "resolved: BgpDown (critical), 3 alerts: a peer is gone; spine, leaf1, leaf2";
        assert_eq!(over, Fact::Told { door: Door::Http, who: "x".into(), what: what.into() });
        let bare = meaning(br#"{"status":"firing","alerts":[]}"#, "x", NOW);
        let Ok(Meaning::Ask(ask)) = bare else { panic!("{bare:?}") };
        assert_eq!((ask.object, &*ask.reason), (None, "an alert without a name"));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = meaning(&bytes, "x", NOW);
        }

        #[test]
        fn damaged_webhooks_never_panic(at in 0_usize..400, byte: u8) {
            let mut body = webhook("firing").into_bytes();
            if let Some(place) = body.get_mut(at) {
                *place = byte;
            }
            let _ = meaning(&body, "x", NOW);
        }
    }
}
