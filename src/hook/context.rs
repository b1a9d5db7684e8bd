//! What a program is told: as variables of its environment, and the same as JSON on its standard input.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::options::When;
use crate::observation::request::one_line;
use crate::trigger::Trigger;

/// Version of the JSON; fields are added, never renamed or removed.
const VERSION: u32 = 1;
/// Longest text that is handed on, in characters: a sentence for a person, on one line. What is longer is
/// cut; the bundle has all of it.
const LONGEST: usize = 1_024;
/// Where programs are looked for, whatever environment dashcap has.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What happened, as far as a program wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Story {
    /// The incident's name, which its bundle gets.
    pub(super) incident: String,
    /// The kind of the trigger.
    pub(super) trigger: String,
    /// The interface, probe or command it is about.
    pub(super) object: Option<String>,
    /// What happened, for a person.
    pub(super) sentence: String,
    /// When it was observed, RFC 3339.
    pub(super) time: String,
    /// The directory in which bundles appear.
    pub(super) output: String,
    /// The bundle, once it is whole.
    pub(super) bundle: Option<String>,
}

/// The JSON on standard input.
#[derive(Debug, Serialize)]
struct Told<'a> {
    version: u32,
    name: &'a str,
    when: Option<When>,
    timeout_seconds: f64,
    #[serde(flatten)]
    story: &'a Story,
}

impl Story {
    /// The story of `trigger` in the incident called `incident`.
    pub(super) fn of(trigger: &Trigger, incident: &str, output: &str) -> Self {
        Self {
            incident: incident.to_owned(),
            trigger: trigger.kind.to_string(),
            object: trigger.object.as_deref().map(|object| one_line(object, LONGEST)),
            sentence: one_line(&trigger.sentence, LONGEST),
            time: trigger.at.wall.to_string(),
            output: output.to_owned(),
            bundle: None,
        }
    }

    /// All variables a program has; those of dashcap begin with `DASHCAP_`. `when` is none for
    /// collectors.
    pub(super) fn environment(&self, name: &str, when: Option<When>) -> Vec<(String, String)> {
        let own = [
            ("NAME", Some(name)),
            ("WHEN", Some(word(when))),
            ("INCIDENT", Some(self.incident.as_str())),
            ("TRIGGER", Some(&self.trigger)),
            ("OBJECT", Some(self.object.as_deref().unwrap_or_default())),
            ("SENTENCE", Some(&self.sentence)),
            ("TIME", Some(&self.time)),
            ("OUTPUT", Some(&self.output)),
            ("BUNDLE", self.bundle.as_deref()),
        ];
        let own = own.into_iter().filter_map(|(key, value)| {
            // execve(2) ends a variable at a zero byte.
            Some((format!("DASHCAP_{key}"), value?.replace('\0', " ")))
        });
        let usual = [("PATH", PATH), ("LC_ALL", "C"), ("HOME", "/")];
        own.chain(usual.map(|(key, value)| (key.to_owned(), value.to_owned()))).collect()
    }

    /// The JSON that a program finds on its standard input.
    pub(super) fn json(&self, name: &str, when: Option<When>, timeout: Duration) -> String {
        let timeout_seconds = timeout.as_secs_f64();
        let told = Told { version: VERSION, name, when, timeout_seconds, story: self };
        // Nothing here has keys that JSON cannot write.
        serde_json::to_string(&told).unwrap_or_default() + "\n"
    }
}

/// `when` as a program reads it.
fn word(when: Option<When>) -> &'static str {
    match when {
        Some(When::Frozen) => "frozen",
        Some(When::Written) => "written",
        None => "collect",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::hook) fn story() -> Story {
        Story {
            incident: "2026-11-22T14-14-20.811Z_link-down_dp0bond0".to_owned(),
            trigger: "link-down".to_owned(),
            object: Some("dp0bond0".to_owned()),
            sentence: "dp0bond0: DOWN, carrier on -> off".to_owned(),
            time: "2026-11-22T14:14:20.811089123Z".to_owned(),
            output: "/var/lib/dashcap".to_owned(),
            bundle: None,
        }
    }

    #[test]
    fn variables_and_json_say_the_same() {
        let bundle = Some("/var/lib/dashcap/x".to_owned());
        let story = Story { bundle, object: None, sentence: "a\0b".to_owned(), ..story() };
        let environment = story.environment("copy", Some(When::Written));
        let variable = |key: &str| environment.iter().find(|(k, _)| k == key).map(|(_, v)| &**v);
        for (key, value) in [
            ("DASHCAP_NAME", "copy"),
            ("DASHCAP_WHEN", "written"),
            ("DASHCAP_TRIGGER", "link-down"),
            ("DASHCAP_OBJECT", ""),
            ("DASHCAP_SENTENCE", "a b"),
            ("DASHCAP_TIME", "2026-11-22T14:14:20.811089123Z"),
            ("DASHCAP_BUNDLE", "/var/lib/dashcap/x"),
            ("PATH", PATH),
        ] {
            assert_eq!(variable(key), Some(value), "{key}");
        }
        let json = story.json("copy", Some(When::Written), Duration::from_secs(30));
        let told: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(told["bundle"], "/var/lib/dashcap/x");
        assert_eq!(told["when"], "written");
        assert_eq!((told["object"].is_null(), &told["timeout_seconds"]), (true, &30.0.into()));
        let collector = self::story().environment("x", None);
        assert!(!collector.iter().any(|(key, _)| key == "DASHCAP_BUNDLE"), "there is none yet");
    }

    #[test]
    fn a_sentence_is_one_line_and_a_path_is_as_it_is() {
        let trigger = Trigger {
            kind: crate::trigger::TriggerKind::Log,
            object: Some("stall".to_owned()),
            at: crate::time::Stamp::default(),
            sentence: "a\nb ".to_owned() + &"ü".repeat(2 * LONGEST),
        };
        let story = Story::of(&trigger, "i", "/a  b");
        assert!(story.sentence.starts_with("a b ") && story.sentence.ends_with('…'));
        assert_eq!(story.sentence.chars().count(), LONGEST);
        assert_eq!(story.output, "/a  b");
    }
}
