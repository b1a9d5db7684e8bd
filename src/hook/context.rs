//! What a program is told: as variables of its environment, and the same as JSON on its standard input.
//!
//! dashcap, which reads the bytes of strangers, says what happened ([`HookContext`]); the runner, which may have all
//! privileges, takes of it what such words can be ([`HookContext::checked`]) and adds where it is ([`BundlePath`]) from
//! what it was told at the start. So a dashcap that was subverted cannot make a program of root's look at a
//! file of its choice.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use super::options::When;
use crate::observation::request::one_line;
use crate::trigger::Trigger;

/// Version of the JSON; fields are added, never renamed or removed.
const VERSION: u32 = 1;
/// Longest text that is handed on, in characters: a sentence for a person, on one line. What is longer is
/// cut; the bundle has all of it.
const LONGEST: usize = 1_024;
/// Longest name of an incident or a bundle, in bytes: what a file system takes (NAME_MAX, limits.h).
const LONGEST_NAME: usize = 255;
/// Where programs are looked for, whatever environment dashcap has.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What happened, as far as a program wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HookContext {
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
    /// The name of the bundle, once it is whole.
    pub(super) bundle: Option<String>,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BundlePath {
    /// The directory in which bundles appear.
    output: String,
    /// The bundle in it, once it is whole.
    bundle: Option<String>,
}

impl BundlePath {
    /// The bundle called `name` in the directory `output`, if it is one there; links are not followed.
    ///
    /// # Errors
    /// When there is no such directory.
    pub(super) fn of(output: &Path, name: Option<&str>) -> io::Result<Self> {
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let bundle = name.map(|name| {
            let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let output_directory = openat(CWD, output, directory, Mode::empty())?;
            openat(&output_directory, name, directory | OFlags::NOFOLLOW, Mode::empty())?;
            Ok::<_, io::Error>(shown(&output.join(name)))
        });
        Ok(Self { output: shown(output), bundle: bundle.transpose()? })
    }
}

/// The JSON on standard input.
#[derive(Debug, Serialize)]
struct HookInput<'a> {
    version: u32,
    name: &'a str,
    when: Option<When>,
    timeout_seconds: f64,
    incident: &'a str,
    trigger: &'a str,
    object: Option<&'a str>,
    sentence: &'a str,
    time: &'a str,
    output: &'a str,
    bundle: Option<&'a str>,
}

impl HookContext {
    /// The story of `trigger` in the incident called `incident`.
    pub(super) fn of(trigger: &Trigger, incident: &str) -> Self {
        Self {
            incident: incident.to_owned(),
            trigger: trigger.kind.to_string(),
            object: trigger.object.as_deref().map(|object| one_line(object, LONGEST)),
            sentence: one_line(&trigger.sentence, LONGEST),
            time: trigger.at.wall.to_string(),
            bundle: None,
        }
    }

    /// The same, if its names can be names and its kind a kind; its texts on one line, cut again.
    ///
    /// # Errors
    /// Which word cannot be what it should.
    pub(super) fn checked(self) -> Result<Self, &'static str> {
        let is_name = |name: &str| {
            let of_names = |c: char| c.is_ascii_alphanumeric() || "-_.@:".contains(c);
            name.len() <= LONGEST_NAME && !name.starts_with('.') && name.chars().all(of_names)
        };
        let names = [Some(&self.incident), Some(&self.time), self.bundle.as_ref()];
        if !names.into_iter().flatten().all(|name| is_name(name)) {
            return Err("the incident is not called as incidents are");
        }
        if !self.trigger.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
            return Err("there is no such kind of trigger");
        }
        Ok(Self {
            object: self.object.map(|object| one_line(&object, LONGEST)),
            sentence: one_line(&self.sentence, LONGEST),
            ..self
        })
    }

    /// All variables a program has; those of dashcap begin with `DASHCAP_`. `when` is none for
    /// collectors.
    pub(super) fn environment(
        &self,
        name: &str,
        when: Option<When>,
        place: &BundlePath,
    ) -> Vec<(String, String)> {
        let own = [
            ("NAME", Some(name)),
            ("WHEN", Some(word(when))),
            ("INCIDENT", Some(self.incident.as_str())),
            ("TRIGGER", Some(&self.trigger)),
            ("OBJECT", Some(self.object.as_deref().unwrap_or_default())),
            ("SENTENCE", Some(&self.sentence)),
            ("TIME", Some(&self.time)),
            ("OUTPUT", Some(&place.output)),
            ("BUNDLE", place.bundle.as_deref()),
        ];
        let own = own.into_iter().filter_map(|(key, value)| {
            // execve(2) ends a variable at a zero byte.
            Some((format!("DASHCAP_{key}"), value?.replace('\0', " ")))
        });
        let usual = [("PATH", PATH), ("LC_ALL", "C"), ("HOME", "/")];
        own.chain(usual.map(|(key, value)| (key.to_owned(), value.to_owned()))).collect()
    }

    /// The JSON that a program finds on its standard input.
    pub(super) fn json(
        &self,
        name: &str,
        when: Option<When>,
        timeout: Duration,
        place: &BundlePath,
    ) -> String {
        let told = HookInput {
            version: VERSION,
            name,
            when,
            timeout_seconds: timeout.as_secs_f64(),
            incident: &self.incident,
            trigger: &self.trigger,
            object: self.object.as_deref(),
            sentence: &self.sentence,
            time: &self.time,
            output: &place.output,
            bundle: place.bundle.as_deref(),
        };
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

    pub(in crate::hook) fn story() -> HookContext {
        HookContext {
            incident: "2026-11-22T14-14-20.811Z_link-down_dp0bond0".to_owned(),
            trigger: "link-down".to_owned(),
            object: Some("dp0bond0".to_owned()),
            sentence: "dp0bond0: DOWN, carrier on -> off".to_owned(),
            time: "2026-11-22T14:14:20.811089123Z".to_owned(),
            bundle: None,
        }
    }

    fn place(bundle: Option<&str>) -> BundlePath {
        BundlePath { output: "/var/lib/dashcap".to_owned(), bundle: bundle.map(str::to_owned) }
    }

    #[test]
    fn variables_and_json_say_the_same() {
        let story = HookContext { object: None, sentence: "a\0b".to_owned(), ..story() };
        let place = place(Some("/var/lib/dashcap/x"));
        let environment = story.environment("copy", Some(When::Written), &place);
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
        let json = story.json("copy", Some(When::Written), Duration::from_secs(30), &place);
        let told: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(told["bundle"], "/var/lib/dashcap/x");
        assert_eq!(told["when"], "written");
        assert_eq!((told["object"].is_null(), &told["timeout_seconds"]), (true, &30.0.into()));
        let collector = self::story().environment("x", None, &self::place(None));
        assert!(!collector.iter().any(|(key, _)| key == "DASHCAP_BUNDLE"), "there is none yet");
    }

    #[test]
    fn a_sentence_is_one_line_and_a_path_is_as_it_is() {
        let trigger = Trigger {
            kind: crate::trigger::TriggerKind::Log,
            object: Some("stall".to_owned()),
            at: crate::time::Stamp::default(),
            told_after: Duration::ZERO,
            sentence: "a\nb ".to_owned() + &"ü".repeat(2 * LONGEST),
        };
        let story = HookContext::of(&trigger, "i");
        assert!(story.sentence.starts_with("a b ") && story.sentence.ends_with('…'));
        assert_eq!(story.sentence.chars().count(), LONGEST);
        let place = BundlePath::of(Path::new("/a  b"), None).unwrap();
        assert_eq!(place.output, "/a  b");
    }

    #[test]
    fn names_are_believed_and_paths_are_not() {
        let bundle = |name: &str| HookContext { bundle: Some(name.to_owned()), ..story() };
        let own = story().incident;
        assert_eq!(bundle(&own).checked(), Ok(bundle(&own)));
        for wrong in ["/etc/shadow", "../x", "..", ".partial", "a b", "a\nb"] {
            assert!(bundle(wrong).checked().is_err(), "{wrong}");
            assert!(
                HookContext { incident: wrong.to_owned(), ..story() }.checked().is_err(),
                "{wrong}"
            );
            assert!(
                HookContext { trigger: wrong.to_owned(), ..story() }.checked().is_err(),
                "{wrong}"
            );
        }
        let lines = HookContext { sentence: "a\nb\x1b[0m".to_owned(), ..story() };
        assert_eq!(lines.checked().unwrap().sentence, "a b [0m");
    }

    #[test]
    fn a_bundle_is_a_directory_in_the_output_and_no_link() {
        let output = tempfile::tempdir().unwrap();
        std::fs::create_dir(output.path().join("real")).unwrap();
        std::fs::write(output.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", output.path().join("link")).unwrap();
        let place = |name| BundlePath::of(output.path(), Some(name));
        let whole = output.path().join("real").to_string_lossy().into_owned();
        assert_eq!(place("real").unwrap().bundle, Some(whole));
        for wrong in ["file", "link", "missing"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
