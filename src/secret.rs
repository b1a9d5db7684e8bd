//! Secrets that stand in files: one word each.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// Longest file with a secret, in bytes.
const LONGEST: u64 = 4_096;

/// One word that nobody else may read; `what` says which.
///
/// # Errors
/// When the file cannot be read, or holds no such word.
pub fn read(what: &'static str, file: &Path) -> Result<String> {
    let name = format!("{what} {}", file.display());
    let failed = |e: &dyn fmt::Display| Error::operation("read", &*name, e);
    let there = fs::metadata(file).map_err(|e| failed(&e))?;
    if !there.is_file() || there.len() > LONGEST {
        return Err(failed(&format!("not a file of at most {LONGEST} bytes")));
    }
    let text = fs::read_to_string(file).map_err(|e| failed(&e))?;
    let secret = text.trim();
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(failed(&"it must be one word of visible ASCII characters"));
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_visible_word() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, good) in [("s3cret\n", true), ("", false), ("two words", false), ("é", false)] {
            fs::write(&file, text).unwrap();
            assert_eq!(read("the token in", file.path()).is_ok(), good, "{text:?}");
        }
    }
}
