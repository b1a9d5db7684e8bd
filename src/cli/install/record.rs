//! What an installation made, so that it can be taken back and nothing else is.
//!
//! A file that `sha256sum --check` understands; what it does not know stands in comments:
//!
//! ```text
//! # directory /usr/local/lib/dashcap
//! # user dashcap
//! 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  /usr/local/bin/dashcap
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What is remembered of one installation. Paths are those of the installed system, also in an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct InstallRecord {
    /// Files, and the SHA-256 they had.
    pub(super) files: BTreeMap<PathBuf, String>,
    /// Directories that were not there before.
    pub(super) directories: BTreeSet<PathBuf>,
    /// The user, if there was none before.
    pub(super) user: Option<String>,
}

/// Before a directory's path.
const DIRECTORY: &str = "# directory ";
/// Before a user's name.
const USER: &str = "# user ";
/// Between digest and path, as sha256sum(1) has it.
const GAP: &str = "  ";
/// Digits of a digest.
const DIGITS: usize = 64;
/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

impl InstallRecord {
    /// Understands a record; what is no line of one is passed over, and then nothing is done about it.
    pub(super) fn parse(text: &str) -> Self {
        let mut record = Self::default();
        for line in text.lines() {
            if let Some(path) = line.strip_prefix(DIRECTORY).filter(|path| path.starts_with('/')) {
                record.directories.insert(path.into());
            } else if let Some(user) = line.strip_prefix(USER) {
                record.user = Some(user.to_owned());
            } else if let Some((digest, path)) = line.split_once(GAP)
                && digest.len() == DIGITS
                && path.starts_with('/')
            {
                record.files.insert(path.into(), digest.to_owned());
            }
        }
        record
    }

    /// As it stands in the file.
    pub(super) fn text(&self) -> String {
        let mut text =
            "# What `dashcap install` made; `dashcap uninstall` takes it back.\n".to_owned();
        for directory in &self.directories {
            // Writing to a text cannot fail, here and below.
            let _ = writeln!(text, "{DIRECTORY}{}", directory.display());
        }
        if let Some(user) = &self.user {
            let _ = writeln!(text, "{USER}{user}");
        }
        for (path, digest) in &self.files {
            let _ = writeln!(text, "{digest}{GAP}{}", path.display());
        }
        text
    }
}

/// The SHA-256 of what `content` has, in hexadecimal digits.
pub(super) fn digest(mut content: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match content.read(&mut chunk)? {
            0 => break,
            length => hash.update(&chunk[..length]),
        }
    }
    Ok(hash.finalize().iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    }))
}

/// The same of a file; none if there is none.
pub(super) fn digest_of(file: &Path) -> io::Result<Option<String>> {
    match File::open(file) {
        Ok(file) => digest(file).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_reads_what_it_writes() {
        let mut record = InstallRecord { user: Some("dashcap".into()), ..InstallRecord::default() };
        record.directories.insert("/etc/dashcap".into());
        record.files.insert("/usr/bin/with two  blanks".into(), digest(&b"hello\n"[..]).unwrap());
        let text = record.text();
        let hello = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert!(text.contains(&format!("\n{hello}  /usr/bin/with two  blanks\n")), "{text}");
        assert_eq!(InstallRecord::parse(&text), record);
    }

    #[test]
    fn what_is_no_line_of_a_record_is_nothing_to_remove() {
        let relative = format!("{}  ../etc/passwd\n# directory tmp\n", "0".repeat(DIGITS));
        assert_eq!(InstallRecord::parse(&relative), InstallRecord::default());
        assert_eq!(digest_of(Path::new("/does/not/exist")).unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,400}") {
            let record = InstallRecord::parse(&text);
            prop_assert!(record.files.keys().all(|path| path.is_absolute()));
        }
    }
}
