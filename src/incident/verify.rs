//! Whether a bundle is what was written: its files against the sums in its manifest, its manifest against the
//! record of the store and the manifest before it.
//!
//! It promises to name what was added, changed or is missing, and to follow no link. What it cannot know it says:
//! files in `after/`, which hooks write once the bundle is whole, have no sums; without a record nobody knows
//! what else there was.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::fetched::Fetched;
use super::folder::Folder;
use super::layout::{AFTER, FETCHED, MANIFEST, SIGNATURE};
use super::manifest::FileEntry;
use super::manifest::read::{self, Manifest};
use super::store::record::StoreRecord;
use super::store::{KEPT, Stored};
use crate::observation::fetch::PacketShare;

/// Bytes summed at once.
const CHUNK: usize = 64 << 10;
/// Directories below a bundle: it has `system/` and `after/`; nobody nests deeper.
const DEPTH: u32 = 4;

/// What was found out about one bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Its name.
    pub name: String,
    /// Files that are what the manifest says.
    pub in_order: u64,
    /// Files that the manifest does not list.
    pub added: Vec<String>,
    /// Files that are not what it says.
    pub changed: Vec<String>,
    /// Files that it lists and that are not there.
    pub missing: Vec<String>,
    /// What is wrong with the manifest itself, or its place among the others; a sentence each.
    pub chain: Vec<String>,
    /// Files in `after/`: written when the bundle was whole, covered by no sum.
    pub after: Vec<String>,
    /// What could not be checked, a sentence each.
    pub notes: Vec<String>,
}

impl Verification {
    /// True if nothing speaks against it.
    pub fn is_in_order(&self) -> bool {
        let Self { added, changed, missing, chain, .. } = self;
        [added, changed, missing, chain].iter().all(|found| found.is_empty())
    }
}

/// Checks one bundle; `record` is that of its store.
pub fn verify(bundle: &Stored, record: Option<&StoreRecord>) -> Verification {
    let mut verdict = Verification { name: bundle.name.clone(), ..Verification::default() };
    let text = Folder::open(&bundle.path).and_then(|folder| read::text(&folder));
    let text = text.map_err(|error| error.to_string());
    match text.and_then(|text| read::parse(&text).map(|told| (text, told))) {
        Ok((text, told)) => {
            // In a store of its own a bundle was never fetched, whatever lies in it.
            let fetched = Folder::open(&bundle.path).ok().filter(|_| record.is_none());
            let fetched = fetched.and_then(|folder| Fetched::read(&folder));
            files(&bundle.path, &told, fetched.as_ref(), &mut verdict);
            let sum = hex(&Sha256::digest(&text));
            match (record, fetched) {
                (Some(record), _) => chain(&sum, &told, record, &mut verdict),
                (None, Some(fetched)) => promised(&sum, &fetched, &mut verdict),
                (None, None) => verdict.notes.push(
                    "there is no record of manifests beside it: its manifest was not checked"
                        .to_owned(),
                ),
            }
        }
        Err(reason) => verdict.chain.push(format!("{MANIFEST} cannot be read: {reason}")),
    }
    verdict
}

/// Each file against its sum, and what else is there.
fn files(folder: &Path, told: &Manifest, fetched: Option<&Fetched>, verdict: &mut Verification) {
    let mut there = BTreeMap::new();
    list(folder, "", DEPTH, &mut there);
    if fetched.is_some() {
        there.remove(FETCHED);
    }
    for file in &told.files {
        let cut = fetched.filter(|fetched| fetched.has_cut(&file.name));
        let Some(file) = cut.map_or(Some(file), |cut| cut_on_the_way(cut, &file.name, verdict))
        else {
            continue;
        };
        match there.remove(&file.name) {
            None => verdict.missing.push(file.name.clone()),
            Some(true) if sum(&folder.join(&file.name)).is_ok_and(|sum| sum == file.sha256) => {
                verdict.in_order += u64::from(cut.is_none());
            }
            Some(_) => verdict.changed.push(file.name.clone()),
        }
    }
    for own in [MANIFEST, SIGNATURE, KEPT] {
        there.remove(own);
    }
    let after = format!("{AFTER}/");
    let (after, added): (Vec<_>, Vec<_>) =
        there.into_keys().partition(|name| name.starts_with(&after));
    (verdict.after, verdict.added) = (after, added);
}

/// What a file is to be that is not as it was written, because whoever sent it said so; none if it was not sent.
fn cut_on_the_way<'a>(
    fetched: &'a Fetched,
    name: &str,
    verdict: &mut Verification,
) -> Option<&'a FileEntry> {
    let host = &fetched.host;
    verdict.notes.push(match fetched.packets {
        PacketShare::Never => format!("{name} stayed on {host}, where it was fetched from"),
        _ => format!(
            "{name} was cut to headers on {host}, where it was fetched from: its sum is what that host told then"
        ),
    });
    fetched.file(name)
}

/// Every name below `folder` that is no directory, and whether it is a regular file.
fn list(folder: &Path, before: &str, depth: u32, there: &mut BTreeMap<String, bool>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = format!("{before}{}", entry.file_name().to_string_lossy());
        // Of links, the link counts.
        let kind = entry.file_type();
        if depth > 0 && kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            list(&entry.path(), &format!("{name}/"), depth - 1, there);
        } else {
            there.insert(name, kind.is_ok_and(|kind| kind.is_file()));
        }
    }
}

/// The manifest of a copy against what the host that it is from said of it.
fn promised(sum: &str, fetched: &Fetched, verdict: &mut Verification) {
    let host = &fetched.host;
    match fetched.file(MANIFEST) {
        Some(file) if file.sha256 == sum => verdict.notes.push(format!(
            "there is no record of manifests beside it: its manifest is the one that {host} promised in {FETCHED}"
        )),
        _ => verdict.chain.push(format!("{MANIFEST} is not the one that {host} promised in {FETCHED}")),
    }
}

/// The manifest against the record, and against the one before it.
fn chain(sum: &str, told: &Manifest, record: &StoreRecord, verdict: &mut Verification) {
    let Some(previous) = &told.previous else {
        verdict.notes.push("it was written before manifests were recorded".to_owned());
        return;
    };
    let Some(place) = record.place(&verdict.name) else {
        verdict.chain.push(format!("{MANIFEST} is not in the record"));
        return;
    };
    let recorded = &record.manifests[place].sha256;
    if recorded != sum {
        let wrong =
            format!("{MANIFEST} is not the one in the record: its sum is {sum}, not {recorded}");
        verdict.chain.push(wrong);
    }
    match previous {
        None if place > 0 => verdict.chain.push(format!(
            "{MANIFEST} says that it was the first one, and the record has {place} before it"
        )),
        None => {}
        Some(previous) if record.manifests[..place].contains(previous) => {}
        Some(previous) => verdict.chain.push(format!(
            "{MANIFEST} names {} with the sum {} before it, which the record does not have there",
            previous.name, previous.sha256
        )),
    }
}

/// The SHA-256 of a regular file.
fn sum(path: &Path) -> io::Result<String> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let mut sum = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&sum.finalize())),
            read => sum.update(&chunk[..read]),
        }
    }
}

fn hex(sum: &[u8]) -> String {
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::bundle;
    use crate::incident::fixture::Story;
    use crate::incident::layout::{CAPTURE, EVENTS, TIMELINE};
    use crate::incident::pcapng::Level;
    use crate::incident::store::record::RECORD;
    use crate::incident::store::{self, Listing, Store};

    fn written(place: &Path) -> Vec<Stored> {
        let store = Store::open(place, 0).unwrap();
        for _ in 0..3 {
            let incident = Story::new().track("eth0", 1, vec![]).incident();
            bundle::write(&store, &incident, Level::default()).unwrap();
        }
        Listing::read(place).unwrap().bundles
    }

    fn verdicts(place: &Path, bundles: &[Stored]) -> Vec<Verification> {
        let record = StoreRecord::read(place).unwrap();
        bundles.iter().map(|bundle| verify(bundle, record.as_ref())).collect()
    }

    /// Security review M6: bundles could be rewritten without a trace.
    #[test]
    fn what_was_added_changed_or_taken_away_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let bundles = written(place);
        for verdict in verdicts(place, &bundles) {
            assert!(verdict.is_in_order() && verdict.in_order >= 3, "{verdict:?}");
            assert_eq!(verdict.notes, [""; 0]);
        }
        let path = &bundles[1].path;
        store::mark(path, true).unwrap();
        fs::create_dir(path.join(AFTER)).unwrap();
        fs::write(path.join(AFTER).join("hook-x.txt"), "").unwrap();
        let verdict = &verdicts(place, &bundles)[1];
        assert!(verdict.is_in_order(), "{verdict:?}");
        assert_eq!(verdict.after, ["after/hook-x.txt"]);

        let size = fs::metadata(path.join(EVENTS)).unwrap().len();
        fs::write(path.join(EVENTS), vec![b' '; size as usize]).unwrap();
        fs::remove_file(path.join(TIMELINE)).unwrap();
        fs::write(path.join("evil"), "").unwrap();
        std::os::unix::fs::symlink("/etc/hosts", path.join("way")).unwrap();
        let verdict = &verdicts(place, &bundles)[1];
        assert_eq!(verdict.changed, [EVENTS]);
        assert_eq!(verdict.missing, [TIMELINE]);
        assert_eq!(verdict.added, ["evil", "way"]);
    }

    #[test]
    fn a_copy_with_cut_frames_is_told_as_such_and_only_where_no_store_wrote_it() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let bundle = &written(place)[0];
        let folder = Folder::open(&bundle.path).unwrap();
        let text = read::text(&folder).unwrap();
        let told = read::parse(&text).unwrap();
        let whole = verify(bundle, None).in_order;
        fs::write(bundle.path.join(CAPTURE), "cut").unwrap();
        let mut files = told.files;
        files.push(FileEntry {
            name: MANIFEST.to_owned(),
            size: text.len() as u64,
            sha256: hex(&Sha256::digest(&text)),
        });
        let capture = files.iter_mut().find(|file| file.name == CAPTURE).unwrap();
        capture.sha256 = hex(&Sha256::digest("cut"));
        for (packets, note) in
            [(PacketShare::Headers, "was cut to headers on b"), (PacketShare::Never, "stayed on b")]
        {
            if packets == PacketShare::Never {
                fs::remove_file(bundle.path.join(CAPTURE)).unwrap();
                files.retain(|file| file.name != CAPTURE);
            }
            let fetched = Fetched::new("b", crate::time::Wall(1), packets, files.clone()).unwrap();
            fetched.write(&folder).unwrap();
            let verdict = verify(bundle, None);
            assert!(verdict.is_in_order() && verdict.notes[0].contains(note), "{verdict:?}");
            assert_eq!(verdict.in_order, whole - 1, "the capture is not as written");
            let planted = &verdicts(place, std::slice::from_ref(bundle))[0];
            assert!(!planted.is_in_order() && planted.added == [FETCHED], "{planted:?}");
        }
        fs::write(bundle.path.join(MANIFEST), [&text[..], b" "].concat()).unwrap();
        let verdict = verify(bundle, None);
        assert!(verdict.chain[0].contains("not the one that b promised"), "{verdict:?}");
    }

    /// Whoever makes the sums of a bundle fit again has to change its manifest.
    #[test]
    fn a_manifest_that_was_rewritten_does_not_fit_the_record_or_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let bundles = written(place);
        let manifest = bundles[1].path.join(MANIFEST);
        let old = fs::read_to_string(&manifest).unwrap();
        let new = old.replace("\"version\": 1", "\"version\": 1 ");
        fs::write(&manifest, &new).unwrap();
        let told = verdicts(place, &bundles);
        assert!(told[1].chain[0].contains("not the one in the record"), "{told:?}");
        assert!(told[0].is_in_order() && told[2].is_in_order());
        // The record, too: then the next one names another sum.
        let sum = |text: &str| hex(&Sha256::digest(text));
        let record = fs::read_to_string(place.join(RECORD)).unwrap();
        fs::write(place.join(RECORD), record.replace(&sum(&old), &sum(&new))).unwrap();
        let told = verdicts(place, &bundles);
        assert!(told[1].is_in_order(), "{told:?}");
        assert!(told[2].chain[0].contains("which the record does not have there"), "{told:?}");
    }

    #[test]
    fn what_was_removed_by_dashcap_is_not_missed_and_what_was_taken_is() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let bundles = written(place);
        let gone = || -> Vec<String> {
            let listing = Listing::read(place).unwrap();
            let there = listing.bundles.iter().map(|bundle| bundle.name.as_str()).collect();
            let record = StoreRecord::read(place).unwrap().unwrap();
            record.gone(&there).into_iter().map(str::to_owned).collect()
        };
        store::remove(&bundles[1].path, false).unwrap();
        assert_eq!(gone(), [""; 0]);
        assert!(verify(&bundles[2], StoreRecord::read(place).unwrap().as_ref()).is_in_order());
        fs::remove_dir_all(&bundles[0].path).unwrap();
        assert_eq!(gone(), [bundles[0].name.as_str()]);
        // Slipped in: a copy under a name of its own.
        let mut copy = bundles[2].clone();
        copy.name.push_str("-9");
        let verdict = verify(&copy, StoreRecord::read(place).unwrap().as_ref());
        assert_eq!(verdict.chain, ["manifest.json is not in the record"]);
        fs::remove_file(place.join(RECORD)).unwrap();
        let verdict = verify(&bundles[2], None);
        assert!(verdict.is_in_order() && verdict.notes[0].contains("no record"), "{verdict:?}");
    }
}
