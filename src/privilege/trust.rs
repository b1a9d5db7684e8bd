//! Whether a file is root's alone: what root is told to run, and where, must not be anybody else's to write.
//! The model is `safe_path` of OpenSSH (misc.c), with one thing more: in a directory with the sticky bit, such as
//! /tmp, nobody can replace what is root's.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path, PathBuf};

use crate::error::{Error, Result};

/// Write permission of the group and of others (inode(7)).
const OTHERS_WRITE: u32 = 0o022;
/// Only owners rename and remove in such a directory (inode(7)).
const STICKY: u32 = 0o1_000;
/// Links in a row, as the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Refuses what somebody but root could change: the file or directory at `path`, what lies above it, and what
/// links on the way lead to. What is not there yet could be made by whoever may write above it. A pipe has no
/// name that could be taken.
///
/// # Errors
/// When somebody could, naming what has to be changed.
pub fn is_roots_alone(path: &Path) -> Result<()> {
    if fs::metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir()) {
        return Ok(());
    }
    let mut place = path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for _ in 0..MOST_LINKS {
        place.ancestors().try_for_each(check)?;
        let Some(next) = followed(&place) else { break };
        place = next;
    }
    let real = path.canonicalize().unwrap_or(place);
    real.ancestors().try_for_each(check)
}

/// Where a link leads.
fn followed(link: &Path) -> Option<PathBuf> {
    let target = fs::read_link(link).ok()?;
    Some(link.parent().unwrap_or(Path::new("/")).join(target))
}

fn check(place: &Path) -> Result<()> {
    let Some(why) = fs::metadata(place).ok().and_then(|it| distrusted(&it)) else { return Ok(()) };
    Err(Error::operation("trust", place.display().to_string(), why)
        .hint("root runs what is named there: chown root and chmod go-w, or take the hooks out"))
}

fn distrusted(it: &Metadata) -> Option<String> {
    if it.uid() != 0 {
        return Some(format!("it belongs to user {}, not root", it.uid()));
    }
    let is_sticky = it.is_dir() && it.mode() & STICKY != 0;
    let by_others = it.mode() & OTHERS_WRITE != 0 && !is_sticky;
    by_others.then(|| "others than root may write it".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;
    use crate::lab::is_root;

    /// Security review M7: who may write what names root's programs.
    #[test]
    fn what_others_could_change_is_not_trusted() {
        if !is_root("giving files away") {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let mode = |name: &str, mode| {
            fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        };
        for name in ["ours/inner", "theirs", "open"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for name in ["ours/inner/good", "ours/group", "ours/given", "theirs/x", "open/x"] {
            fs::write(at(name), "").unwrap();
            mode(name, 0o755);
        }
        mode("ours/group", 0o775);
        mode("open", 0o777);
        chown(at("ours/given"), Some(65_534), None).unwrap();
        chown(at("theirs"), Some(65_534), None).unwrap();
        symlink(at("theirs/x"), at("ours/link")).unwrap();
        symlink(at("theirs"), at("ours/way")).unwrap();
        symlink(at("ours/inner/good"), at("theirs/back")).unwrap();
        for (name, trusted) in [
            ("ours/inner/good", true),
            ("ours/inner", true),
            ("ours/missing", true),
            ("ours/group", false),
            ("ours/given", false),
            ("theirs/x", false),
            ("theirs/missing", false),
            ("open/x", false),
            ("ours/link", false),
            ("ours/way/x", false),
            ("theirs/back", false),
        ] {
            assert_eq!(is_roots_alone(&at(name)).is_ok(), trusted, "{name}");
        }
        mode("open", 0o1_777);
        is_roots_alone(&at("open/x")).unwrap();
        let told = is_roots_alone(&at("ours/group")).unwrap_err().to_string();
        assert!(told.contains("ours/group: others than root may write it; "), "{told}");
    }
}
