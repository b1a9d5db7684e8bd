//! Taking a bundle out of the store, and the mark that keeps it there.
//!
//! A bundle is first renamed to `NAME.removing`, then deleted, so that one that is half gone is never
//! taken for a whole one. The mark is a file inside the bundle: it goes where the bundle goes. It is
//! looked for again after the renaming, so whoever marks a bundle in the last moment wins.

use std::io;
use std::path::Path;

use super::record;
use crate::error::{Error, Result};
use crate::incident::folder::Folder;
use crate::incident::partial::cannot;

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
    let (around, name) = place(path).map_err(failed)?;
    let aside = format!("{name}{REMOVING}");
    record::remove(path);
    match around.rename(&name, &aside) {
        // What was left of one of the same name.
        Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {
            around.remove(&*aside).and_then(|()| around.rename(&name, &aside)).map_err(failed)?;
        }
        renamed => renamed.map_err(failed)?,
    }
    if !force && around.folder(&*aside).is_ok_and(|bundle| bundle.has(KEPT)) {
        around.rename(&aside, &name).map_err(failed)?;
        let object = path.display().to_string();
        return Err(Error::operation("remove bundle", object, "it is marked to be kept")
            .hint("unkeep it first, or use --force"));
    }
    around.sync().and_then(|()| around.remove(&*aside)).map_err(failed)
}

/// Marks the bundle at `path` to be kept, or no longer; tells whether that changed anything.
///
/// # Errors
/// When the disk refuses.
pub fn mark(path: &Path, kept: bool) -> Result<bool> {
    let mark = || {
        let bundle = Folder::open(path)?;
        let done = match kept {
            true => bundle.create(KEPT).map(drop),
            false => bundle.remove_file(KEPT),
        };
        match done {
            Ok(()) => bundle.sync().map(|()| true),
            Err(e) if kept && e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) if !kept && e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    };
    mark().map_err(|e| cannot("mark bundle", path, &e))
}

/// The directory around a bundle, and what the bundle is called there.
fn place(path: &Path) -> io::Result<(Folder, String)> {
    let name = path.file_name().and_then(|name| name.to_str());
    let (Some(name), Some(around)) = (name, path.parent()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let around = if around.as_os_str().is_empty() { Path::new(".") } else { around };
    Ok((Folder::named(around)?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn aside(bundle: &Path) -> PathBuf {
        bundle.with_file_name(format!("bundle{REMOVING}"))
    }

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
