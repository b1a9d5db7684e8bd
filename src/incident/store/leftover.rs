//! What a dashcap that has died left behind: finished where its evidence is whole, else removed.
//!
//! A bundle is whole once its manifest is, because that is written after everything it lists is synced
//! (see [`secured`](crate::incident::secured)). What is there and not listed, such as half a report, is
//! taken out of it.

use std::fs;
use std::path::Path;

use super::is_our_name;
use super::removal::REMOVING;
use crate::incident::layout::{MANIFEST, REPORTS, SUFFIX};
use crate::incident::manifest::{FileEntry, read};
use crate::incident::partial::{BESIDE, sync_directory};

/// Finishes or removes what was left in `directory`, where nobody else may be at work now.
pub(super) fn clear(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        // Of links, the link counts.
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|_| is_directory) else { continue };
        let ours = |suffix| name.strip_suffix(suffix).filter(|name| is_our_name(name));
        let path = entry.path();
        if let Some(whole) = ours(SUFFIX) {
            if finish(&path, &directory.join(whole)) {
                continue;
            }
            remove(&path, "a dashcap that has died did not finish it");
        } else if ours(REMOVING).is_some() {
            remove(&path, "its removal was interrupted");
        }
    }
}

fn remove(path: &Path, why: &str) {
    match fs::remove_dir_all(path) {
        Ok(()) => tracing::warn!("removed {}: {why}", path.display()),
        Err(error) => tracing::warn!("cannot remove leftover {}: {error}", path.display()),
    }
}

/// Publishes a bundle whose evidence is whole; false if it is not, or cannot be.
fn finish(partial: &Path, whole: &Path) -> bool {
    if whole.exists() || !is_whole(partial) {
        return false;
    }
    let published =
        fs::rename(partial, whole).and_then(|()| whole.parent().map_or(Ok(()), sync_directory));
    match published {
        Ok(()) => tracing::warn!(
            "published {}: a dashcap died after its evidence was on the disk",
            whole.display()
        ),
        // What is whole is never removed.
        Err(error) => tracing::warn!("cannot publish {}: {error}", partial.display()),
    }
    true
}

/// True if everything is there that the manifest lists; takes out what else dashcap may have begun.
fn is_whole(partial: &Path) -> bool {
    let Ok(text) = read::text(partial) else { return false };
    let Ok(told) = read::parse(&text) else { return false };
    let has = |file: &FileEntry| {
        let is = fs::symlink_metadata(partial.join(&file.name));
        is.is_ok_and(|is| is.is_file() && is.len() == file.size)
    };
    if told.files.is_empty() || !told.files.iter().all(has) {
        return false;
    }
    let beside = format!("{MANIFEST}{BESIDE}");
    for begun in REPORTS.into_iter().chain([&*beside]) {
        if !told.files.iter().any(|file| file.name == begun) {
            // Mostly there is none.
            let _ = fs::remove_file(partial.join(begun));
        }
    }
    true
}

#[cfg(test)]
mod tests {
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
        assert_eq!(left.len(), 1, "{left:?}");
        let bundle = at(&name);
        assert!(!bundle.join(REPORT).exists() && !bundle.join("manifest.json.new").exists());
        let text = fs::read_to_string(bundle.join(MANIFEST)).unwrap();
        assert!(text.contains("\"report_missing\": \"dashcap ended, or the disk"), "{text}");
    }
}
