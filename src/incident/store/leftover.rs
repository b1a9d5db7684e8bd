//! What a dashcap that has died left behind: finished where its evidence is whole, else removed.
//!
//! A bundle is whole once its manifest is, because that is written after everything it lists is synced
//! (see [`secured`](crate::incident::secured)). What is there and not listed, such as half a report, is
//! taken out of it.

use std::path::Path;

use rustix::fs::FileType;
use sha2::{Digest, Sha256};

use super::record::{self, StoreRecord};
use super::removal::REMOVING;
use crate::incident::folder::{Folder, Inside};
use crate::incident::layout::{MANIFEST, REPORTS, SUFFIX};
use crate::incident::manifest::{FileEntry, read};
use crate::incident::name::is_our_name;
use crate::incident::partial::BESIDE;

/// Finishes or removes what was left in `directory`, where nobody else may be at work now.
pub(super) fn clear(directory: &Path) {
    let Ok(folder) = Folder::open(directory) else { return };
    let leftovers = Leftovers { folder, directory };
    for Inside { name, kind, .. } in leftovers.folder.inside().unwrap_or_default() {
        let name = name.to_str().filter(|_| kind == FileType::Directory);
        let Some(name) = name else { continue };
        let ours = |suffix| name.strip_suffix(suffix).filter(|name| is_our_name(name));
        if let Some(whole) = ours(SUFFIX) {
            if !leftovers.finish(name, whole) {
                leftovers.remove(name, "a dashcap that has died did not finish it");
            }
        } else if ours(REMOVING).is_some() {
            leftovers.remove(name, "its removal was interrupted");
        }
    }
}

struct Leftovers<'a> {
    folder: Folder,
    /// Where that is, for people.
    directory: &'a Path,
}

impl Leftovers<'_> {
    fn remove(&self, name: &str, why: &str) {
        let path = self.directory.join(name);
        match self.folder.remove(name) {
            Ok(()) => tracing::warn!("removed {}: {why}", path.display()),
            Err(error) => tracing::warn!("cannot remove leftover {}: {error}", path.display()),
        }
    }

    /// Records a manifest that was not yet when its dashcap died.
    fn record(&self, bundle: &Folder, name: &str) {
        let Ok(text) = read::text(bundle) else { return };
        let known = StoreRecord::read(self.directory).ok().flatten().unwrap_or_default();
        let sum: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        if known.place(name).is_none_or(|place| known.manifests[place].sha256 != sum) {
            record::add(self.directory, name, &sum);
        }
    }

    /// Publishes a bundle whose evidence is whole; false if it is not, or cannot be.
    fn finish(&self, partial: &str, whole: &str) -> bool {
        let Ok(bundle) = self.folder.folder(partial) else { return false };
        if self.folder.has(whole) || !is_whole(&bundle) {
            return false;
        }
        self.record(&bundle, whole);
        let published = self.folder.rename(partial, whole).and_then(|()| self.folder.sync());
        let path = |name: &str| self.directory.join(name);
        match published {
            Ok(()) => tracing::warn!(
                "published {}: a dashcap died after its evidence was on the disk",
                path(whole).display()
            ),
            // What is whole is never removed.
            Err(error) => tracing::warn!("cannot publish {}: {error}", path(partial).display()),
        }
        true
    }
}

/// True if everything is there that the manifest lists; takes out what else dashcap may have begun.
fn is_whole(partial: &Folder) -> bool {
    let Ok(text) = read::text(partial) else { return false };
    let Ok(told) = read::parse(&text) else { return false };
    let has = |file: &FileEntry| {
        let (folder, leaf) = match file.name.split_once('/') {
            Some((inner, leaf)) => (partial.folder(inner).ok(), leaf),
            None => (None, &*file.name),
        };
        folder.as_ref().unwrap_or(partial).length(leaf) == Some(file.size)
    };
    if told.files.is_empty() || !told.files.iter().all(has) {
        return false;
    }
    let beside = format!("{MANIFEST}{BESIDE}");
    for begun in REPORTS.into_iter().chain([&*beside]) {
        if !told.files.iter().any(|file| file.name == begun) {
            // Mostly there is none.
            let _ = partial.remove_file(begun);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::incident::fixture::Story;
    use crate::incident::layout::REPORT;
    use crate::incident::pcapng::Level;
    use crate::incident::secured::Evidence;
    use crate::incident::store::Store;

    #[test]
    fn evidence_that_is_safe_is_published_and_what_is_half_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), 0).unwrap();
        let incident = || Box::new(Story::new().track("eth0", 1, vec![]).incident());
        // As dead ones leave them: two safe, of which one is damaged then, and one without a manifest.
        for _ in 0..2 {
            let evidence = Evidence::write(&store, &incident(), Level::default()).unwrap();
            drop(evidence.secured(incident()));
        }
        drop(store);
        let name = incident().name();
        let at = |name: &str| directory.path().join(name);
        let first = at(&format!("{name}.partial"));
        fs::write(first.join(REPORT), b"half a pa").unwrap();
        fs::write(first.join("manifest.json.new"), b"{").unwrap();
        fs::write(at(&format!("{name}-2.partial")).join("capture.pcapng.zst"), b"short").unwrap();
        fs::create_dir(at(&format!("{name}-3.partial"))).unwrap();
        fs::create_dir_all(at(&format!("{name}-4.removing")).join("system")).unwrap();

        drop(Store::open(directory.path(), 0).unwrap());
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 2, "a bundle and the record: {left:?}");
        let bundle = at(&name);
        assert!(!bundle.join(REPORT).exists() && !bundle.join("manifest.json.new").exists());
        let text = fs::read_to_string(bundle.join(MANIFEST)).unwrap();
        assert!(text.contains("\"report_missing\": \"dashcap ended, or the disk"), "{text}");
    }
}
