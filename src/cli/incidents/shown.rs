//! One bundle in words: what its manifest says, and what its report begins with.

use std::fmt::Write;
use std::io::Read;

use serde_json::{Value, json};

use super::{absolute, local};
use crate::error::Result;
use crate::incident::folder::Folder;
use crate::incident::layout;
use crate::incident::store::Stored;
use crate::visible::{self, plain};
use crate::words::{self, count};

/// Lines of the report that are shown: a screen of old (VT100).
const SCREEN: usize = 24;
/// Most bytes of the report that are read for that.
const READ: u64 = 64 << 10;
/// Things of one kind that are told: triggers, missing parts, interfaces.
const TOLD: usize = 16;
/// The column of heads: as wide as the longest name of an interface (IFNAMSIZ, linux/if.h).
const HEAD: usize = 15;

/// A bundle with what its files say.
#[derive(Debug)]
pub(super) struct ShownBundle<'a> {
    bundle: &'a Stored,
    manifest: Value,
    report: Option<String>,
}

impl<'a> ShownBundle<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub(super) fn of(bundle: &'a Stored) -> Result<Self> {
        let folder = Folder::open(&bundle.path).ok();
        let file = folder.and_then(|folder| folder.file(layout::REPORT_TEXT).ok());
        let report = file.and_then(|file| {
            let mut bytes = Vec::new();
            file.take(READ).read_to_end(&mut bytes).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        });
        Ok(Self { bundle, manifest: bundle.manifest()?, report })
    }

    /// For scripts: where it is, and its manifest.
    pub(super) fn json(&self) -> String {
        let path = absolute(&self.bundle.path);
        let told = json!({"path": path, "bundle": self.bundle, "manifest": self.manifest});
        visible::json(&told.to_string()).into_owned()
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut lines = Lines(format!("{}\n", plain(&self.bundle.name)));
        self.happened(&mut lines);
        self.covered(&mut lines);
        self.interfaces(&mut lines);
        self.files(&mut lines);
        let Lines(mut text) = lines;
        if let Some(report) = &self.report {
            text.push('\n');
            let mut of_report = report.lines();
            for line in of_report.by_ref().take(SCREEN) {
                // Writing to a String never fails.
                let _ = writeln!(text, "{}", plain(line));
            }
            if of_report.next().is_some() {
                let rest = self.bundle.path.join(layout::REPORT_TEXT);
                let _ = write!(text, "... the rest is in {}", absolute(&rest));
            }
        }
        text.trim_end().to_owned()
    }

    fn happened(&self, lines: &mut Lines) {
        let Stored { time, kind, object, sentence, .. } = self.bundle;
        let object = object.as_ref().map(|object| format!(" {object}")).unwrap_or_default();
        lines.add("triggered", &format!("{}, local {}", time.milliseconds(), local(*time)));
        lines.add("by", &format!("{kind}{object}: {sentence}"));
        let counts = array(&self.manifest["trigger_counts"]);
        let each = counts.iter().map(|tally| {
            let times = tally["count"].as_u64().unwrap_or_default();
            let object = tally["object"].as_str().map(|o| format!(" {o}")).unwrap_or_default();
            format!("{} × {}{object}", count(times), text(&tally["kind"]))
        });
        lines.add_each("all triggers", each);
    }

    fn covered(&self, lines: &mut Lines) {
        let window = &self.manifest["window"];
        let span = |span: &Value| {
            let seconds = span["seconds"].as_f64().unwrap_or_default();
            let (from, to) = (text(&span["from"]["time"]), text(&span["to"]["time"]));
            format!("{from} to {to}, {seconds:.3} s")
        };
        let ending = match window["ending"]["how"].as_str() {
            Some("limit") => "; further triggers wanted more".to_owned(),
            Some("cut") => format!("; cut short by {}", text(&window["ending"]["by"])),
            _ => String::new(),
        };
        lines.add("window", &format!("{}{ending}", span(&window["closed"])));
        lines.add("in full", &span(&window["covered"]));
        let missing = array(&self.manifest["missing"]).iter().map(|part| {
            let whose: Vec<_> =
                ["class", "interface"].iter().filter_map(|key| part[*key].as_str()).collect();
            let whose = if whose.is_empty() { "all".to_owned() } else { whose.join(" of ") };
            let seconds = part["seconds"].as_f64().unwrap_or_default();
            format!("{whose}: {seconds:.3} s, {}", text(&part["reason"]))
        });
        lines.add_each("missing", missing);
        let host = &self.manifest["host"];
        let host: Vec<_> = ["name", "kernel", "architecture"].map(|key| text(&host[key])).into();
        let host: Vec<_> = host.into_iter().filter(|part| !part.is_empty()).collect();
        lines.add("host", &if host.is_empty() { "unknown".to_owned() } else { host.join(", ") });
    }

    fn interfaces(&self, lines: &mut Lines) {
        let interfaces = array(&self.manifest["interfaces"]);
        for interface in interfaces.iter().take(TOLD) {
            let held = &interface["in_bundle"];
            let number = |value: &Value| value.as_u64().map_or("unknown".to_owned(), count);
            let lost = &interface["counts"];
            let told = format!(
                "{} frames, {} copies folded, {} faded; dropped so far: {} by the kernel, {} by the lane",
                number(&held["frames"]),
                number(&held["folded"]),
                number(&held["faded"]),
                number(&lost["kernel_dropped"]),
                number(&lost["lane_dropped"])
            );
            lines.add(&text(&interface["name"]), &told);
        }
        if let more @ 1.. = interfaces.len().saturating_sub(TOLD) {
            lines.add("", &format!("and {more} more"));
        }
    }

    fn files(&self, lines: &mut Lines) {
        let Stored { path, bytes, kept, .. } = self.bundle;
        let files = array(&self.manifest["files"]).len() + 1;
        lines.add("directory", &absolute(path));
        lines.add("size", &format!("{} in {files} files", words::bytes(*bytes)));
        lines.add("kept", if *kept { "yes: no limit removes it" } else { "no" });
        let missing = self.manifest["report_missing"].as_str();
        match missing {
            Some(missing) => lines.add("report", &format!("not whole: {missing}")),
            None if self.report.is_none() => lines.add("report", "none"),
            None => {}
        }
        if self.report.is_none() {
            lines.add("", &format!("make one: dashcap report {}", absolute(path)));
        }
    }
}

/// Lines with a head each.
struct Lines(String);

impl Lines {
    fn add(&mut self, head: &str, told: &str) {
        // Writing to a String never fails.
        let _ = writeln!(self.0, "{:HEAD$}  {}", plain(head), plain(told));
    }

    /// One line each, as many as are told at most.
    fn add_each(&mut self, head: &str, each: impl ExactSizeIterator<Item = String>) {
        let more = each.len().saturating_sub(TOLD);
        for (number, told) in each.take(TOLD).enumerate() {
            self.add(if number == 0 { head } else { "" }, &told);
        }
        if more > 0 {
            self.add("", &format!("and {more} more"));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::stored;
    use super::*;

    #[test]
    fn a_bundle_is_told_in_words() {
        let manifest = json!({
            "trigger_counts": [{"kind": "link-down", "object": "eth0", "count": 1_200}, {"kind": "signal"}],
            "window": {
                "closed": {"from": {"time": "A"}, "to": {"time": "B"}, "seconds": 130.0},
                "covered": {"seconds": 1.5},
                "ending": {"how": "cut", "by": "a stop signal"},
            },
            "missing": [{"interface": "eth0", "class": "data", "seconds": 2.0, "reason": "short"}],
            "host": {"name": "router", "kernel": "6.18"},
            "interfaces": [{"name": "eth0", "in_bundle": {"frames": 12_345}, "counts": {"lane_dropped": 3}}],
            "files": [{}, {}],
            "report_missing": "it ends early",
        });
        let report = Some((0..30).map(|n| format!("line {n}\x07\n")).collect::<String>());
        let bundle = stored("2026-11-22T14-14-20.811Z_link-down_dp0bond0");
        let told = ShownBundle { bundle: &bundle, manifest, report }.text();
        for expected in [
            "2026-11-22T14-14-20.811Z_link-down_dp0bond0\n",
            "by               link-down dp0bond0: dp0bond0: DOWN\n",
            "all triggers     1,200 × link-down eth0\n                 0 × signal\n",
            "window           A to B, 130.000 s; cut short by a stop signal\n",
            "missing          data of eth0: 2.000 s, short\n",
            "host             router, 6.18\n",
            "eth0             12,345 frames, unknown copies folded, unknown faded; dropped so far: \
             unknown by the kernel, 3 by the lane\n",
            "size             1.2 MB in 3 files\n",
            "kept             no\n",
            "report           not whole: it ends early\n",
            "\nline 23\\u{7}\n... the rest is in /store/2026",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        assert!(!told.contains("line 24"));
    }

    proptest! {
        #[test]
        fn any_manifest_is_told(
            key in "(trigger_counts|window|missing|host|interfaces|files|report_missing)",
            value in "(null|1|\"x\"|\\[1\\]|\\[\\{\\}\\]|\\{\"closed\":1\\})",
        ) {
            let manifest = serde_json::from_str(&format!("{{\"{key}\":{value}}}")).unwrap();
            let bundle = stored("x");
            let told = ShownBundle { bundle: &bundle, manifest, report: None }.text();
            prop_assert!(told.contains("make one: dashcap report"));
        }
    }
}
