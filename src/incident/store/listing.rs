//! What is in an output directory: bundles, and what only lies beside them.
//!
//! A bundle is a directory with a name of ours and a manifest of ours; only those are ever counted,
//! removed or marked. Everything else is named with the reason, and left alone. Links are never followed.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use serde::Serialize;
use serde_json::Value;

use super::removal::{KEPT, REMOVING};
use crate::error::{Error, Result};
use crate::incident::folder::{Folder, Inside};
use crate::incident::layout::{MANIFEST, REPORT, SUFFIX};
use crate::incident::manifest::read;
use crate::incident::moment::Span;
use crate::incident::name::is_our_name;
use crate::time::Wall;

/// All of a directory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The bundles, oldest first.
    pub bundles: Vec<Stored>,
    /// What is no bundle, by name.
    pub others: Vec<Other>,
}

/// A bundle in the store, as its manifest tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// Its directory.
    #[serde(skip)]
    pub path: PathBuf,
    /// When it was triggered.
    pub time: Wall,
    /// Kind of the trigger: `link-down`.
    pub kind: String,
    /// The interface, host or command; none where there is none.
    pub object: Option<String>,
    /// What happened, for a person.
    pub sentence: String,
    /// Length of its window in seconds.
    pub seconds: f64,
    /// Seconds of it of which everything is there.
    pub covered_seconds: f64,
    /// The interfaces.
    pub interfaces: Vec<String>,
    /// Frames in it.
    pub frames: u64,
    /// Copies that were counted only.
    pub folded: u64,
    /// Size of its files.
    pub bytes: u64,
    /// Marked to be kept.
    pub kept: bool,
    /// It has a report for browsers.
    pub report: bool,
}

/// Something beside the bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// What a directory is that is no bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A bundle that is being built, or was when dashcap died.
    BeingBuilt,
    /// A bundle that is being removed, or was when that was interrupted.
    BeingRemoved,
    /// Has a bundle's name, but its manifest is not in order.
    Damaged {
        /// Why not.
        reason: String,
    },
    /// None of ours.
    Foreign,
}

impl Listing {
    /// Looks at everything in `directory`.
    ///
    /// # Errors
    /// When the directory cannot be read. What of it cannot is among the others.
    pub fn read(directory: &Path) -> Result<Self> {
        let failed = |e: io::Error| {
            Error::operation("list bundles in", directory.display().to_string(), e)
                .hint("where they are is said by -o DIR, or -c FILE")
        };
        let mut listing = Self::default();
        let folder = Folder::named(directory).map_err(failed)?;
        for Inside { name, kind, .. } in folder.inside().map_err(failed)? {
            if kind != FileType::Directory {
                continue;
            }
            let name = name.to_string_lossy().into_owned();
            let bundle = look(&folder, &name);
            match bundle.map(|bundle| Stored { path: directory.join(&name), ..bundle }) {
                Ok(bundle) => listing.bundles.push(bundle),
                Err(what) => listing.others.push(Other { name, what }),
            }
        }
        listing.bundles.sort_by(|a, b| (a.time, &a.name).cmp(&(b.time, &b.name)));
        listing.others.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }
}

impl Stored {
    /// All that its manifest says.
    ///
    /// # Errors
    /// When it cannot be read any more.
    pub fn manifest(&self) -> Result<Value> {
        let object = || self.path.join(MANIFEST).display().to_string();
        let text = Folder::open(&self.path).and_then(|folder| read::text(&folder));
        let text = text.map_err(|e| Error::operation("read", object(), e))?;
        serde_json::from_slice(&text).map_err(|e| Error::operation("read", object(), e))
    }
}

/// The bundle `name` in `directory`, or what it is instead.
fn look(directory: &Folder, name: &str) -> Result<Stored, What> {
    let ours = |suffix: &str| name.strip_suffix(suffix).is_some_and(is_our_name);
    if ours(SUFFIX) {
        return Err(What::BeingBuilt);
    }
    if ours(REMOVING) {
        return Err(What::BeingRemoved);
    }
    if !is_our_name(name) {
        return Err(What::Foreign);
    }
    let damaged = |reason: String| What::Damaged { reason };
    let folder = directory.folder(name).map_err(|e| damaged(e.to_string()))?;
    let text = read::text(&folder).map_err(|e| damaged(format!("{MANIFEST}: {e}")))?;
    let told = read::parse(&text).map_err(damaged)?;
    let opened_by = told.triggers.into_iter().next().unwrap_or_default();
    let time = opened_by
        .time
        .ok_or_else(|| damaged(format!("{MANIFEST} does not tell when it was triggered")))?;
    let seconds = |span: Option<Span>| span.map_or(0.0, |span| span.seconds);
    let sum = |of: fn(&read::InBundle) -> u64| {
        told.interfaces.iter().map(|i| of(&i.in_bundle)).fold(0, u64::saturating_add)
    };
    Ok(Stored {
        name: name.to_owned(),
        path: PathBuf::from(name),
        time,
        kind: opened_by.kind,
        object: opened_by.object,
        sentence: opened_by.sentence,
        seconds: seconds(told.window.closed),
        covered_seconds: seconds(told.window.covered),
        frames: sum(|held| held.frames),
        folded: sum(|held| held.folded),
        interfaces: told.interfaces.into_iter().map(|interface| interface.name).collect(),
        bytes: folder.bytes(),
        kept: folder.has(KEPT),
        report: folder.length(REPORT).is_some(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::incident::bundle;
    use crate::incident::fixture::{Story, WALL};
    use crate::incident::pcapng::Level;
    use crate::incident::store::Store;

    #[test]
    fn bundles_are_told_from_what_lies_beside_them() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), 0).unwrap();
        let written = |second: i64| {
            let mut incident = Story::new().track("eth0", 1, vec![]).incident();
            let at = &mut incident.opened_by.at;
            at.wall = Wall(at.wall.0.saturating_add_signed(second * 1_000_000_000));
            bundle::write(&store, &incident, Level::default()).unwrap()
        };
        let (later, first) = (written(5), written(0));
        let make = |name: &str, manifest: Option<&str>| {
            let path = directory.path().join(name);
            fs::create_dir(&path).unwrap();
            if let Some(text) = manifest {
                fs::write(path.join(MANIFEST), text).unwrap();
            }
        };
        const NAME: &str = "2026-11-22T14-14-20.811Z_link-down_eth9";
        make("thesis", None);
        make(&format!("{NAME}.partial"), None);
        make(&format!("{NAME}-2.removing"), None);
        make(NAME, None);
        make(&format!("{NAME}-2"), Some("{}"));
        make(&format!("{NAME}-3"), Some("{\"format\":\"dashcap-bundle\"}"));
        make(&format!("{NAME}-4"), Some("{\"format\":"));
        fs::write(directory.path().join(format!("{NAME}-5")), "a file").unwrap();
        std::os::unix::fs::symlink(&first.path, directory.path().join(format!("{NAME}-6")))
            .unwrap();

        let listing = Listing::read(directory.path()).unwrap();
        let paths: Vec<_> = listing.bundles.iter().map(|b| (b.path.clone(), b.bytes)).collect();
        assert_eq!(paths, [(first.path, first.bytes), (later.path, later.bytes)]);
        let bundle = &listing.bundles[0];
        assert_eq!((bundle.time, bundle.seconds, bundle.kept), (Wall(WALL), 30.0, false));
        assert_eq!(
            (bundle.kind.as_str(), bundle.object.as_deref()),
            ("link-down", Some("dp0bond0"))
        );
        assert_eq!(bundle.interfaces, ["eth0"]);
        let others: Vec<_> = listing
            .others
            .iter()
            .map(|other| (other.name.replace(NAME, "N"), format!("{:?}", other.what)))
            .collect();
        for ((name, what), (expected, reason)) in others.iter().zip([
            ("N", "No such file"),
            ("N-2", "not one of dashcap"),
            ("N-2.removing", "BeingRemoved"),
            ("N-3", "when it was triggered"),
            ("N-4", "no meaning"),
            ("N.partial", "BeingBuilt"),
            ("thesis", "Foreign"),
        ]) {
            assert!(name == expected && what.contains(reason), "{others:#?}");
        }
        assert_eq!(others.len(), 7);
    }

    /// L7 of the security review: it hung whoever listed, and the start.
    #[test]
    fn a_pipe_in_place_of_a_manifest_makes_nobody_wait() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("2026-11-22T14-14-20.811Z_link-down_eth9");
        fs::create_dir(&bundle).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = bundle.join(MANIFEST);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, mode, 0).unwrap();
        let listing = Listing::read(directory.path()).unwrap();
        let What::Damaged { reason } = &listing.others[0].what else { panic!("{listing:?}") };
        assert!(reason.contains("not a regular file"), "{reason}");
    }

    proptest! {
        #[test]
        fn no_manifest_panics(text in r#"\{?("(format|triggers|window|time)":[\[\]{}0-9"a-z:,]{0,30},?){0,3}\}?"#, bytes: Vec<u8>) {
            let _ = read::parse(text.as_bytes());
            let _ = read::parse(&bytes);
        }
    }
}
