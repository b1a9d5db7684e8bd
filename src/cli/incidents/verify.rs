//! `dashcap incidents verify`: whether bundles are what was written.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::super::control::print;
use super::all_found;
use super::signature::Signers;
use crate::error::{Error, Result};
use crate::incident::store::record::{RECORD, StoreRecord};
use crate::incident::store::{Listing, Stored, What};
use crate::incident::verify::{Verification, verify};
use crate::visible::{self, plain};

/// Checks the bundles called `names`, or all and that none is missing; exit status 1 if anything is not in order.
pub(super) fn run(
    directory: &Path,
    listing: &Listing,
    names: &[String],
    signers: Option<&Path>,
    json: bool,
) -> Result<ExitCode> {
    let record = StoreRecord::read(directory)
        .map_err(|e| Error::operation("read", directory.join(RECORD).display().to_string(), e))?;
    let bundles = match names {
        [] => listing.bundles.iter().collect(),
        names => all_found(listing, names)?,
    };
    let signers = signers.map(Signers::open).transpose()?;
    let judged = |bundle: &Stored| {
        let mut verdict = verify(bundle, record.as_ref());
        let signed = signers.as_ref().map(|signers| signers.judge(&bundle.path, &mut verdict));
        signed.transpose().map(|_| verdict)
    };
    let mut told = bundles.into_iter().map(judged).collect::<Result<Vec<Verification>>>()?;
    let mut gone = Vec::new();
    if names.is_empty() {
        told.extend(listing.others.iter().filter_map(|other| damaged(&other.name, &other.what)));
        let names = told.iter().map(|verdict| verdict.name.as_str());
        let others = listing.others.iter().map(|other| other.name.as_str());
        let there: BTreeSet<&str> = names.chain(others).collect();
        gone = record.as_ref().map_or_else(Vec::new, |record| record.gone(&there));
    }
    let bad = told.iter().filter(|verdict| !verdict.is_in_order()).count() + gone.len();
    if json {
        let told = json!({ "bundles": told, "missing": gone, "in_order": bad == 0 });
        print(&visible::json(&serde_json::to_string_pretty(&told).unwrap_or_default()))?;
    } else {
        print(words(&told, &gone, bad).trim_end())?;
    }
    Ok(ExitCode::from(u8::from(bad > 0)))
}

fn damaged(name: &str, what: &What) -> Option<Verification> {
    let What::Damaged { reason } = what else { return None };
    Some(Verification {
        name: name.to_owned(),
        chain: vec![reason.clone()],
        ..Verification::default()
    })
}

fn words(told: &[Verification], gone: &[&str], bad: usize) -> String {
    let mut out = String::new();
    for verdict in told {
        tell(verdict, &mut out);
    }
    for name in gone {
        line(&mut out, name, "MISSING: it is recorded, and no removal is");
    }
    let _ = match bad {
        0 => writeln!(out, "{} in order", told.len()),
        bad => writeln!(out, "{bad} NOT IN ORDER of {}", told.len() + gone.len()),
    };
    out
}

fn tell(verdict: &Verification, out: &mut String) {
    let Verification { name, in_order, added, changed, missing, chain, after, notes } = verdict;
    let state = if verdict.is_in_order() { "in order" } else { "NOT IN ORDER" };
    line(out, name, &format!("{state}, {in_order} files as written"));
    for (what, files) in [("changed", changed), ("missing", missing), ("added", added)] {
        files.iter().for_each(|file| line(out, "  ", &format!("{what}: {file}")));
    }
    chain.iter().for_each(|sentence| line(out, "  ", sentence));
    if !after.is_empty() {
        let files = after.join(", ");
        line(out, "  ", &format!("written afterwards, covered by no sum: {files}"));
    }
    notes.iter().for_each(|note| line(out, "  ", note));
}

fn line(out: &mut String, name: &str, what: &str) {
    let between = if name.trim().is_empty() { "" } else { ": " };
    // Writing to a String never fails.
    let _ = writeln!(out, "{}{between}{}", plain(name), plain(what));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let good = Verification { name: "a".to_owned(), in_order: 5, ..Verification::default() };
        let bad = Verification {
            name: "b".to_owned(),
            changed: vec!["events.jsonl".to_owned()],
            added: vec!["e\u{1b}vil".to_owned()],
            ..Verification::default()
        };
        assert_eq!(
            words(&[good, bad], &["c"], 2),
            "a: in order, 5 files as written\nb: NOT IN ORDER, 0 files as written\n  changed: \
             events.jsonl\n  added: e\\u{1b}vil\nc: MISSING: it is recorded, and no removal is\n2 NOT IN ORDER \
             of 3\n"
        );
    }
}
