//! How a bundle lies on the disk: the names of its files, their modes, and what marks one that is not whole. Its own
//! name is in [`name`](super::name).

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

/// Where a bundle was brought from, in a copy of it.
pub const FETCHED: &str = "fetched.json";

/// Ends the name of a bundle that is not whole.
pub const SUFFIX: &str = ".partial";
/// Directories: the owner writes, the group reads.
pub const DIRECTORY_MODE: u32 = 0o750;
/// Files: the owner writes, the group reads.
pub const FILE_MODE: u32 = 0o640;
