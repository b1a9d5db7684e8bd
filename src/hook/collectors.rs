//! Which files of the collectors' directory are run: executables that nobody else could have put or
//! changed there, since the runner may do what dashcap itself no longer may.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most collectors: all of them run side by side.
const MOST: usize = 32;
/// Longest name in bytes; it becomes part of a file name (NAME_MAX of linux/limits.h is 255).
const LONGEST_NAME: usize = 128;
/// Execute permission of anybody (inode(7)).
const EXECUTABLE: u32 = 0o111;
/// Write permission of others than the owner.
const OTHERS_WRITE: u32 = 0o022;

/// One file, and whether it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Collector {
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Why it is not run, if so.
    pub(super) refused: Option<String>,
}

/// The executables in `directory`, by name. Hidden files, copies that editors leave (`~`) and files that
/// are not executable, such as a README, are passed over. A directory that is not there has none.
///
/// # Errors
/// When it cannot be listed, or others may write to it.
pub(super) fn list(directory: &Path) -> io::Result<Vec<Collector>> {
    let place = match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    if let Some(why) = distrusted(&place) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(file) = fs::metadata(&path) else { continue };
        let passed_over = name.starts_with('.') || name.ends_with('~');
        if passed_over || !file.is_file() || file.mode() & EXECUTABLE == 0 {
            continue;
        }
        found.push(Collector { refused: refusal(&name, &file), name, path });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    for beyond in found.iter_mut().skip(MOST) {
        beyond.refused = Some(format!("there are more than {MOST} collectors"));
    }
    Ok(found)
}

fn refusal(name: &str, file: &Metadata) -> Option<String> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.len() > LONGEST_NAME || !name.chars().all(harmless) {
        return Some("its name is not of letters, digits, -, _ and .".to_owned());
    }
    distrusted(file)
}

/// Why it is not to be trusted, if so.
fn distrusted(file: &Metadata) -> Option<String> {
    let ours = rustix::process::geteuid().as_raw();
    if file.uid() != 0 && file.uid() != ours {
        return Some(format!("it belongs to user {}, neither root nor dashcap", file.uid()));
    }
    let others = file.mode() & OTHERS_WRITE != 0;
    others.then(|| "others than its owner may write it; chmod go-w".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_what_is_meant_is_run() {
        let directory = tempfile::tempdir().unwrap();
        let chmod = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        for (name, mode) in [
            ("20-b", 0o755),
            ("10-a.sh", 0o700),
            ("README", 0o644),
            (".hidden", 0o755),
            ("old~", 0o755),
            ("open", 0o757),
            ("a b", 0o755),
        ] {
            let path = directory.path().join(name);
            fs::write(&path, "").unwrap();
            chmod(&path, mode).unwrap();
        }
        fs::create_dir(directory.path().join("sub")).unwrap();
        let found = list(directory.path()).unwrap();
        let told: Vec<_> =
            found.iter().map(|c| (c.name.as_str(), c.refused.as_deref().unwrap_or(""))).collect();
        assert_eq!(told[..2], [("10-a.sh", ""), ("20-b", "")]);
        assert!(told[2].1.contains("letters") && told[3].1.contains("chmod go-w"), "{told:?}");
        assert_eq!(told.len(), 4);
        chmod(directory.path(), 0o777).unwrap();
        assert!(list(directory.path()).is_err(), "anybody may put a program there");
        assert_eq!(list(Path::new("/no/such")).unwrap(), []);
    }

    #[test]
    fn there_is_a_bound() {
        let directory = tempfile::tempdir().unwrap();
        for n in 0..MOST + 3 {
            let path = directory.path().join(format!("{n:03}"));
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        let found = list(directory.path()).unwrap();
        assert_eq!(found.iter().filter(|c| c.refused.is_none()).count(), MOST);
        assert_eq!(found.iter().filter(|c| c.refused.is_some()).count(), 3);
    }
}
