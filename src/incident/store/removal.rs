//! Taking a bundle out of the store, and the mark that keeps it there.
//!
//! A bundle is first renamed to `NAME.removing`, then deleted, so that one that is half gone is never
//! taken for a whole one. The mark is a file inside the bundle: it goes where the bundle goes. It is
//! looked for again after the renaming, so whoever marks a bundle in the last moment wins.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::incident::layout::FILE_MODE;
use crate::incident::partial::{cannot, sync_directory};

/// Ends the name of a bundle that is on its way out.
pub const REMOVING: &str = ".removing";
/// The file in a bundle that keeps it.
pub const KEPT: &str = ".keep";

/// Removes the bundle at `path`; one that is marked only with `force`.
///
/// # Errors
/// When it is marked, or the disk refuses.
pub fn remove(path: &Path, force: bool) -> Result<()> {
    let failed = |e: io::Error| cannot("remove bundle", path, &e);
    let aside = aside(path);
    match fs::rename(path, &aside) {
        // What was left of one of the same name.
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {
            fs::remove_dir_all(&aside).and_then(|()| fs::rename(path, &aside)).map_err(failed)?;
        }
        renamed => renamed.map_err(failed)?,
    }
    if !force && aside.join(KEPT).exists() {
        fs::rename(&aside, path).map_err(failed)?;
        let object = path.display().to_string();
        return Err(Error::operation("remove bundle", object, "it is marked to be kept")
            .hint("unkeep it first, or use --force"));
    }
    path.parent().map_or(Ok(()), sync_directory).map_err(failed)?;
    fs::remove_dir_all(&aside).map_err(failed)
}

/// Marks the bundle at `path` to be kept, or no longer; tells whether that changed anything.
///
/// # Errors
/// When the disk refuses.
pub fn mark(path: &Path, kept: bool) -> Result<bool> {
    let mark = path.join(KEPT);
    let done = if kept {
        OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&mark).map(drop)
    } else {
        fs::remove_file(&mark)
    };
    match done {
        Ok(()) => sync_directory(path).map(|()| true),
        Err(e) if kept && e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) if !kept && e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
    .map_err(|e| cannot("mark bundle", path, &e))
}

fn aside(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(REMOVING);
    aside.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_goes_unless_it_is_marked() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("bundle");
        fs::create_dir_all(bundle.join("system")).unwrap();
        fs::write(bundle.join("system/a"), b"a").unwrap();
        // Somebody was interrupted while removing one of the same name.
        fs::create_dir_all(aside(&bundle).join("rest")).unwrap();
        assert_eq!([mark(&bundle, true).unwrap(), mark(&bundle, true).unwrap()], [true, false]);
        let refused = remove(&bundle, false).unwrap_err().to_string();
        assert!(refused.contains("marked to be kept; unkeep"), "{refused}");
        assert!(bundle.join("system/a").is_file());
        assert_eq!([mark(&bundle, false).unwrap(), mark(&bundle, false).unwrap()], [true, false]);
        remove(&bundle, false).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(remove(&bundle, true).unwrap_err().to_string().contains("No such file"));

        fs::create_dir(&bundle).unwrap();
        mark(&bundle, true).unwrap();
        remove(&bundle, true).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(mark(&bundle, true).is_err());
    }
}
