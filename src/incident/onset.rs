//! Where it began, as the report in a bundle tells, and that report itself: for those who read bundles without
//! reading their frames again.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::folder::Folder;
use super::layout::REPORT_JSON;
use crate::time::Wall;

/// Longest report that is read: one of a day with a thousand findings has a megabyte.
const LONGEST: u64 = 16 << 20;

/// The first thing that belongs to an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleOnset {
    /// When, by the wall clock of the host.
    pub at: Wall,
    /// How far off that may be.
    pub error: Duration,
    /// A kind of finding, or of what the host saw: `link_down`, `probe_down`, `log`, ...
    pub kind: String,
    /// For a person.
    pub sentence: String,
}

impl BundleOnset {
    /// Where a time is the border of a count or of an interval, it may be off by so much: counts of a tenth of a
    /// second, watchers that look once a second.
    pub const ABOUT: Duration = Duration::from_secs(1);

    /// One at a time that is `about` right, or exact.
    pub fn new(at: Wall, about: bool, kind: &str, sentence: &str) -> Self {
        let error = if about { Self::ABOUT } else { Duration::ZERO };
        Self { at, error, kind: kind.to_owned(), sentence: sentence.to_owned() }
    }

    /// As a report for programs tells it; none where it tells none.
    pub fn told_by(report: &Value) -> Option<Self> {
        let (onset, finding) = (&report["onset"], &report["onset"]["finding"]);
        let at = onset["time"].as_str()?.parse().ok()?;
        let text = |name: &str| finding[name].as_str();
        let about = finding["about"].as_bool().unwrap_or(true);
        Some(Self::new(at, about, text("kind")?, text("sentence")?))
    }
}

/// The report for programs that lies in the bundle at `path`.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn report(path: &Path) -> io::Result<Value> {
    let mut text = Vec::new();
    let file = Folder::open(path)?.file(REPORT_JSON)?;
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_tells_where_it_began_or_nothing() {
        let told = |about: Value, time: &str| {
            let finding = json!({ "kind": "link_down", "sentence": "eth0: DOWN", "about": about });
            BundleOnset::told_by(&json!({ "onset": { "time": time, "finding": finding } }))
        };
        let time = "2026-11-30T05:27:51.447600000Z";
        for (about, error) in [(json!(false), 0), (json!(true), 1), (Value::Null, 1)] {
            let onset = told(about, time).unwrap();
            assert_eq!((onset.error.as_secs(), &*onset.kind), (error, "link_down"));
            assert_eq!(onset.at.to_string(), time);
        }
        assert_eq!(told(json!(false), "soon"), None);
        for report in [json!({}), json!({ "onset": null }), json!([])] {
            assert_eq!(BundleOnset::told_by(&report), None);
        }
        assert!(report(Path::new("/nowhere")).is_err());
    }
}
