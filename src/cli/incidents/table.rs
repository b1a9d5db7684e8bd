//! The list of bundles, as a table and as JSON.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::{absolute, local, what};
use crate::incident::store::{Listing, Other, Stored, What};
use crate::visible::{self, plain};
use crate::words::{self, count};

/// Others of no interest that are named: a working directory may have hundreds.
const FOREIGN: usize = 5;
/// Interfaces named of one bundle: what still fits a line.
const INTERFACES: usize = 3;
const HEAD: [&str; 9] =
    ["NAME", "WHEN (UTC)", "LOCAL", "TRIGGER", "WINDOW", "INTERFACES", "FRAMES", "SIZE", "KEPT"];
/// Columns of figures, which stand to the right.
const FIGURES: [usize; 3] = [4, 6, 7];

/// The table, the newest at its end, then what is no bundle.
pub(super) fn text(directory: &Path, listing: &Listing) -> String {
    let mut text = String::new();
    if listing.bundles.is_empty() {
        text = format!(
            "no bundle in {}; where they are is said by -o DIR, or -c FILE\n",
            absolute(directory)
        );
    } else {
        let head = HEAD.map(str::to_owned);
        let rows: Vec<_> = std::iter::once(head).chain(listing.bundles.iter().map(row)).collect();
        let width = |column: usize| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, &width))| match FIGURES.contains(&column) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:width$}"),
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    others(&listing.others, &mut text);
    text
}

fn row(bundle: &Stored) -> [String; 9] {
    let time = bundle.time.milliseconds().replace('T', " ");
    let mut interfaces = bundle.interfaces.iter().take(INTERFACES).map(|name| plain(name));
    let interfaces = interfaces.by_ref().collect::<Vec<_>>().join(",");
    let more = bundle.interfaces.len().saturating_sub(INTERFACES);
    [
        plain(&bundle.name).into_owned(),
        time.trim_end_matches('Z').to_owned(),
        local(bundle.time),
        plain(&bundle.kind).into_owned(),
        window(bundle),
        if more == 0 { interfaces } else { format!("{interfaces},+{more}") },
        count(bundle.frames),
        words::bytes(bundle.bytes),
        if bundle.kept { "kept".to_owned() } else { String::new() },
    ]
}

/// `25 of 130 s`: what of the window is there in full, and how long it is.
fn window(bundle: &Stored) -> String {
    let [covered, all] = [bundle.covered_seconds, bundle.seconds].map(|s| format!("{s:.0}"));
    if covered == all { format!("{all} s") } else { format!("{covered} of {all} s") }
}

/// What is no bundle: each that should be one, and a few of those that have nothing to do with it.
fn others(others: &[Other], text: &mut String) {
    let (foreign, ours): (Vec<_>, Vec<_>) =
        others.iter().partition(|other| other.what == What::Foreign);
    if !others.is_empty() {
        text.push('\n');
    }
    for other in ours {
        // Writing to a String never fails.
        let _ = writeln!(text, "{}: {}", plain(&other.name), what(&other.what));
    }
    let named: Vec<_> = foreign.iter().take(FOREIGN).map(|other| plain(&other.name)).collect();
    match foreign.len().saturating_sub(FOREIGN) {
        _ if foreign.is_empty() => Ok(()),
        0 => writeln!(text, "not bundles: {}", named.join(", ")),
        more => writeln!(text, "not bundles: {} and {more} more", named.join(", ")),
    }
    // As above.
    .unwrap_or_default();
}

/// Everything, in one line.
pub(super) fn json(directory: &Path, listing: &Listing) -> String {
    #[derive(Serialize)]
    struct All<'a> {
        directory: String,
        bundles: &'a [Stored],
        others: &'a [Other],
    }
    let all =
        All { directory: absolute(directory), bundles: &listing.bundles, others: &listing.others };
    // Nothing here has keys that JSON cannot write.
    visible::json(&serde_json::to_string(&all).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::stored;
    use super::*;

    #[test]
    fn a_table_has_a_row_for_each_bundle_and_names_the_rest() {
        let mut second = stored("2026-11-22T14-14-20.811Z_signal");
        second.kept = true;
        second.frames = 7;
        second.covered_seconds = 130.0;
        second.interfaces = ["a", "b", "c", "d", "e\x1b"].map(str::to_owned).into();
        let other = |n: usize| Other { name: format!("folder{n}"), what: What::Foreign };
        let damaged = What::Damaged { reason: "manifest.json has no meaning".to_owned() };
        let mut listing = Listing {
            bundles: vec![stored("2026-11-22T14-14-20.811Z_link-down_dp0bond0"), second],
            others: (1..8).map(other).collect(),
        };
        listing.others.push(Other { name: "x".to_owned(), what: damaged });
        let told = text(Path::new("/store"), &listing);
        let lines: Vec<_> = told.lines().collect();
        assert!(
            lines[0].starts_with("NAME ") && lines[0].ends_with("FRAMES    SIZE  KEPT"),
            "{told}"
        );
        for part in [
            "2026-11-22 14:14:20.811  ",
            "  link-down  25 of 130 s  dp0s0,dp0s2",
            "  12,345  1.2 MB",
        ] {
            assert!(lines[1].contains(part), "{part}: {told}");
        }
        assert!(
            lines[2].contains("        130 s  a,b,c,+2 ") && lines[2].ends_with("kept"),
            "{told}"
        );
        assert_eq!(lines[4], "x: damaged: manifest.json has no meaning");
        assert_eq!(lines[5], "not bundles: folder1, folder2, folder3, folder4, folder5 and 2 more");
        let json: serde_json::Value =
            serde_json::from_str(&json(Path::new("/store"), &listing)).unwrap();
        assert_eq!(json["bundles"][0]["time"], "2026-11-22T14:14:20.811089123Z");
        assert_eq!(json["others"][7]["what"], "damaged");
        let empty = text(Path::new("/store"), &Listing::default());
        assert_eq!(empty, "no bundle in /store; where they are is said by -o DIR, or -c FILE\n");
    }
}
