//! What is in the directory of bundles, and how much room is left there.

use std::fs;
use std::path::Path;

use crate::sys::space;

/// Entries looked at, at most: a thousand bundles of twenty files. What is beyond is not counted.
const ENTRIES: usize = 20_000;

/// What a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::api) struct Contents {
    /// Bundles that are whole.
    pub(in crate::api) bundles: u64,
    /// Bytes of their files.
    pub(in crate::api) bytes: u64,
    /// Bytes that could still be written there; none where that is not told.
    pub(in crate::api) free: Option<u64>,
}

/// Looks; none where the directory cannot be read.
pub(in crate::api) fn contents(directory: &Path) -> Option<Contents> {
    let free = space::free(directory).ok();
    let mut contents = Contents { free, ..Contents::default() };
    let mut left = ENTRIES;
    for entry in fs::read_dir(directory).ok()?.flatten() {
        // Whole bundles have a manifest and their final name.
        let partial = entry.path().extension().is_some_and(|ending| ending == "partial");
        if !partial && entry.path().join("manifest.json").is_file() {
            contents.bundles += 1;
            contents.bytes += bytes(&entry.path(), &mut left);
        }
    }
    Some(contents)
}

/// Bytes of all files below `directory`; links are not followed.
fn bytes(directory: &Path, left: &mut usize) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let mut sum = 0;
    for entry in entries.flatten() {
        let Some(fewer) = left.checked_sub(1) else { break };
        *left = fewer;
        match entry.metadata() {
            Ok(there) if there.is_dir() => sum += bytes(&entry.path(), left),
            Ok(there) => sum += there.len(),
            Err(_) => {}
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_bundles_are_counted_with_all_their_files() {
        let store = tempfile::tempdir().unwrap();
        for (name, whole) in [("a", true), ("b", true), ("c.partial", true), ("other", false)] {
            let bundle = store.path().join(name);
            fs::create_dir_all(bundle.join("system")).unwrap();
            fs::write(bundle.join("system/ip"), [0; 10]).unwrap();
            if whole {
                fs::write(bundle.join("manifest.json"), [0; 100]).unwrap();
            }
        }
        let Contents { bundles, bytes, free } = contents(store.path()).unwrap();
        assert_eq!((bundles, bytes), (2, 220));
        assert!(free.is_some());
        assert_eq!(contents(Path::new("/does/not/exist")), None);
    }
}
