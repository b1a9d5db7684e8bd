//! How a bundle lies on the disk: its name, the names of its files, their modes, and what marks one that is not
//! whole.

use crate::trigger::Trigger;

/// The packets.
pub const CAPTURE: &str = "capture.pcapng.zst";
/// The operator's table.
pub const TIMELINE: &str = "timeline.csv";
/// What passed each interface for an hour and for a week before.
pub const TRAFFIC: &str = "traffic.csv";
/// Observations and triggers.
pub const EVENTS: &str = "events.jsonl";
/// What the system said.
pub const SYSTEM: &str = "system";
/// What happened, for browsers.
pub const REPORT: &str = "report.html";
/// The same for a terminal.
pub const REPORT_TEXT: &str = "report.txt";
/// The same for programs.
pub const REPORT_JSON: &str = "report.json";
/// All that the report is.
pub(super) const REPORTS: [&str; 3] = [REPORT, REPORT_TEXT, REPORT_JSON];
/// What hooks said when the bundle was whole; the manifest does not list it.
pub const AFTER: &str = "after";
/// What the bundle is.
pub const MANIFEST: &str = "manifest.json";
/// Whoever vouches for that, where a hook signs it.
pub const SIGNATURE: &str = "manifest.json.sig";

/// Ends the name of a bundle that is not whole.
pub const SUFFIX: &str = ".partial";
/// Directories: the owner writes, the group reads.
pub const DIRECTORY_MODE: u32 = 0o750;
/// Files: the owner writes, the group reads.
pub const FILE_MODE: u32 = 0o640;

/// The name of the bundle of the incident that `trigger` opens.
pub fn name_of(trigger: &Trigger) -> String {
    let mut name = format!("{}_{}", trigger.at.wall.file_name(), trigger.kind);
    if let Some(object) = &trigger.object {
        name.push('_');
        name.push_str(&file_name(object));
    }
    name
}

/// Longest part of a file name taken from an object, in bytes: interface names have 15, host names up
/// to 253 (RFC 1035), a whole file name 255 (NAME_MAX of linux/limits.h).
const OBJECT_NAME: usize = 64;

/// `text` as a part of a file name: letters, digits, `.`, `-`, `_`, `@`, `:`; every other byte is `_`,
/// and a leading dot too, so that nothing is hidden or climbs.
pub(crate) fn file_name(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_.@:".contains(c);
    let mut name: String =
        text.chars().take(OBJECT_NAME).map(|c| if safe(c) { c } else { '_' }).collect();
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_becomes_a_harmless_file_name() {
        for (object, name) in [
            ("dp0bond0.956", "dp0bond0.956"),
            ("eth0@if7", "eth0@if7"),
            ("fe80::1%eth0", "fe80::1_eth0"),
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("make test -- \"a b\"\n", "make_test_--__a_b__"),
            ("", ""),
            ("zürich", "z_rich"),
        ] {
            assert_eq!(file_name(object), name);
        }
        assert_eq!(file_name(&"x".repeat(300)).len(), OBJECT_NAME);
    }
}
