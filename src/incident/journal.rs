//! Observations and triggers as lines between the packets.
//!
//! A pcapng file may carry entries of systemd's journal (block type 9, draft-ietf-opsawg-pcapng); the
//! entry itself is in the journal's export format
//! (systemd.io/JOURNAL_EXPORT_FORMATS). Wireshark shows them in the packet list at their time, libpcap
//! passes over them. So the reader sees "carrier on -> off" where it happened.
//!
//! Not everything a watcher saw belongs there: a sample every second and a probe answered every second
//! would drown the packets. [`worth_a_line`] keeps changes, lost probes and first recoveries; the rest
//! is in `timeline.csv` and `events.jsonl`.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt::Write;

use crate::finding::Severity;
use crate::observation::{Fact, Observation};
use crate::time::Stamp;
use crate::trigger::Trigger;
use crate::visible;

/// `SYSLOG_IDENTIFIER` of every entry: the name Wireshark prints before the message.
const IDENTIFIER: &str = "dashcap";

/// syslog(3) priorities as the journal numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Priority {
    Critical = 2,
    Warning = 4,
    Notice = 5,
    Info = 6,
}

/// One line between the packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, on both clocks; the journal keeps microseconds.
    pub at: Stamp,
    priority: Priority,
    message: String,
    /// Fields beyond the common ones, `DASHCAP_*`.
    fields: Vec<(&'static str, String)>,
}

impl Entry {
    /// An observation as a line.
    pub fn of_observation(observation: &Observation) -> Self {
        let fact = &observation.fact;
        let mut fields = vec![("DASHCAP_WATCHER", fact.watcher().to_owned())];
        fields.extend(fact.interface().map(|name| ("DASHCAP_INTERFACE", name.to_owned())));
        Self {
            at: observation.at,
            priority: priority(fact.severity()),
            message: fact.to_string(),
            fields,
        }
    }

    /// A trigger as a line.
    pub fn of_trigger(trigger: &Trigger) -> Self {
        let mut fields = vec![("DASHCAP_TRIGGER", trigger.kind.to_string())];
        fields.extend(trigger.object.iter().map(|object| ("DASHCAP_OBJECT", object.clone())));
        let message = format!("TRIGGER {}: {}", trigger.kind, trigger.sentence);
        Self { at: trigger.at, priority: priority(trigger.severity()), message, fields }
    }

    /// What a stream of frames says of itself.
    pub fn of_stream(at: Stamp, message: &str) -> Self {
        let message = message.to_owned();
        Self { at, priority: Priority::Warning, message, fields: Vec::new() }
    }

    /// The entry in the journal's export format. Line breaks in values become spaces: the binary form
    /// that would keep them is read by few. What else controls a terminal is shown instead, because tshark prints
    /// it as it is.
    pub fn export(&self, host: &str) -> String {
        let mut text = String::with_capacity(256);
        let mut field = |name: &str, value: &str| {
            let value = value.replace(['\n', '\r', '\0'], " ");
            let _ = writeln!(text, "{name}={}", visible::plain(&value));
        };
        field("__REALTIME_TIMESTAMP", &(self.at.wall.0 / 1_000).to_string());
        field("__MONOTONIC_TIMESTAMP", &(self.at.mono.0 / 1_000).to_string());
        field("_HOSTNAME", host);
        field("SYSLOG_IDENTIFIER", IDENTIFIER);
        field("PRIORITY", &(self.priority as u8).to_string());
        field("MESSAGE", &self.message);
        for (name, value) in &self.fields {
            field(name, value);
        }
        text
    }
}

/// Severities as syslog(3) priorities.
fn priority(severity: Severity) -> Priority {
    match severity {
        Severity::Info => Priority::Info,
        Severity::Notice => Priority::Notice,
        Severity::Warning => Priority::Warning,
        Severity::Critical => Priority::Critical,
    }
}

/// The observations that get a line: all but samples, and of answered probes only the first after a
/// loss.
pub fn worth_a_line(observations: &[impl Borrow<Observation>]) -> Vec<&Observation> {
    let mut lost: HashSet<&str> = HashSet::new();
    let mut lines = Vec::new();
    for observation in observations.iter().map(Borrow::borrow) {
        let worth = match &observation.fact {
            Fact::Sample(_) => false,
            Fact::ProbeAnswered { probe, .. } => lost.remove(probe.as_str()),
            Fact::ProbeLost { probe, .. } => {
                lost.insert(probe);
                true
            }
            _ => true,
        };
        if worth {
            lines.push(observation);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::incident::fixture::{answered, at, link, lost, sample};
    use crate::trigger::TriggerKind;

    #[test]
    fn changes_and_losses_get_a_line_and_the_pulse_does_not() {
        let seen = [
            answered(0, "a", 1),
            sample(1, "eth0", Some(true), "up", 1_000, 0),
            lost(2, "a", 1),
            lost(3, "a", 2),
            answered(3, "b", 1),
            answered(4, "a", 1),
            answered(5, "a", 1),
            link(6, "eth0", (true, "up"), (false, "down")),
        ];
        let lines = worth_a_line(&seen);
        let expected = [&seen[2], &seen[3], &seen[5], &seen[7]];
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_entry_is_written_as_the_journal_exports_it() {
        let trigger = Trigger {
            kind: TriggerKind::LinkDown,
            object: Some("eth0".to_owned()),
            at: at(2),
            told_after: Duration::ZERO,
            sentence: "eth0: DOWN\nMESSAGE=forged".to_owned(),
        };
        assert_eq!(
            Entry::of_trigger(&trigger).export("router"),
            "__REALTIME_TIMESTAMP=1795356862811089\n\
             __MONOTONIC_TIMESTAMP=1002000000\n\
             _HOSTNAME=router\n\
             SYSLOG_IDENTIFIER=dashcap\n\
             PRIORITY=4\n\
             MESSAGE=TRIGGER link-down: eth0: DOWN MESSAGE=forged\n\
             DASHCAP_TRIGGER=link-down\n\
             DASHCAP_OBJECT=eth0\n"
        );
        let hiding = Trigger { sentence: "log: \u{1b}[2K\u{202e}gone".to_owned(), ..trigger };
        let export = Entry::of_trigger(&hiding).export("ro\u{9b}uter");
        assert!(export.contains("link-down: log: \\u{1b}[2K\\u{202e}gone\n"), "{export}");
        assert!(export.contains("_HOSTNAME=ro\\u{9b}uter\n"), "{export}");
        let down = Entry::of_observation(&link(2, "eth0", (true, "up"), (false, "down")));
        assert!(down.export("").contains("PRIORITY=2\n"), "traffic is being lost");
        assert!(down.export("").contains("DASHCAP_WATCHER=link\nDASHCAP_INTERFACE=eth0\n"));
    }
}
