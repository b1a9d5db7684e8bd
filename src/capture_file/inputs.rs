//! The files that a command reads, and how far it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::time::Wall;

/// The name that means standard input.
const STANDARD_INPUT: &str = "-";

/// How far reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read of all files, as they are on disk.
    pub read: u64,
    /// Their size; none where one is a pipe.
    pub size: Option<u64>,
    /// Frames so far: read, or written where a file is.
    pub frames: u64,
    /// The time in the files.
    pub at: Wall,
}

/// Refuses files that cannot be read.
///
/// # Errors
/// Wrong usage, when there is no file, or standard input is named twice.
pub fn check(files: &[PathBuf]) -> Result<()> {
    let given = match standard(files) {
        _ if files.is_empty() => "",
        0 | 1 => return Ok(()),
        _ => "- -",
    };
    Err(Error::usage(
        "FILE",
        given,
        "name at least one file, and - at most once",
        "one or more capture files, such as before.pcap after.pcapng.zst, and - once",
    ))
}

/// Refuses files that cannot be read, or not with this output.
///
/// # Errors
/// Wrong usage, also when the output is one of the files.
pub(crate) fn check_with_output(files: &[PathBuf], output: &Path) -> Result<()> {
    check(files)?;
    check_output(files, "--output", output)
}

/// Refuses to write over what is read, be it under another name or through a link; `option` names the output.
///
/// # Errors
/// Wrong usage, if it is one of them.
pub fn check_output(files: &[PathBuf], option: &str, output: &Path) -> Result<()> {
    let identity = |path: &Path| fs::metadata(path).ok().map(|m| (m.dev(), m.ino(), m.is_file()));
    let written = identity(output).filter(|(.., is_file)| *is_file);
    if written.is_some() && files.iter().any(|file| identity(file) == written) {
        let given = output.display().to_string();
        let reason = "the output must not be one of the files that are read";
        return Err(Error::usage(option, given, reason, "another name"));
    }
    Ok(())
}

/// How often standard input is named.
pub(crate) fn standard(files: &[PathBuf]) -> usize {
    files.iter().filter(|file| file.as_os_str() == STANDARD_INPUT).count()
}

/// Names the first files and counts the others: "a.pcap, b.pcap and 3 more".
pub(crate) fn named(files: &[PathBuf]) -> String {
    /// Files that are named.
    const NAMED: usize = 8;
    let names = files.iter().take(NAMED).map(|file| {
        file.file_name().map_or_else(|| file.to_string_lossy(), |name| name.to_string_lossy())
    });
    let named = names.collect::<Vec<_>>().join(", ");
    match files.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
