//! What commands keep of their rights: those that record ([`grants`]), and those that only read and write files
//! ([`confine`]); and the descriptors that they were started with.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{self, Path, PathBuf};

use crate::error::{Error, Result};
use crate::hook::options::CommandLine;
use crate::incident::layout::DIRECTORY_MODE;
use crate::privilege::{self, Confinement, Files, Grants, is_roots_alone};
use crate::recorder::Options;

/// How a descriptor of the starter is named as a file: what a shell makes of `<(COMMAND)`.
const BY_NUMBER: [&[u8]; 2] = [b"/dev/fd/", b"/proc/self/fd/"];

/// Refuses to run hooks and collectors as root where somebody else could say what is run: the configuration,
/// and the programs.
///
/// # Errors
/// When somebody could, naming what has to be changed.
pub(super) fn check(options: &Options, config: Option<&Path>) -> Result<()> {
    let programs = &options.programs;
    if !privilege::is_root() || programs.is_idle() {
        return Ok(());
    }
    if let Some(config) = config.filter(|_| !programs.hooks.is_empty()) {
        is_roots_alone(config)?;
    }
    let command = |command: &CommandLine| match command {
        // What a line for the shell names is not known, only where it is written.
        CommandLine::Shell(_) => None,
        CommandLine::Words(words) => words.first().map(PathBuf::from),
    };
    let named = programs.hooks.iter().filter_map(|hook| command(&hook.command));
    let by_path = named.filter(|program| program.is_absolute());
    by_path.chain(programs.collect.clone()).try_for_each(|path| is_roots_alone(&path))
}

/// What recording takes, and what reading the configuration again does.
pub(super) fn grants(options: &Options, config: Option<&Path>) -> Grants {
    let mut grants = options.grants();
    let Some(file) = config else { return grants };
    grants.needs_to_read(file);
    // Where its name is, and where it is, should that be elsewhere.
    for place in [path::absolute(file), file.canonicalize()].into_iter().flatten() {
        if let Some(directory) = place.parent() {
            grants.read(directory);
        }
    }
    grants
}

/// What became of the privileges; what could not be done is a warning, once.
pub(super) fn tell(account: &Confinement, options: &privilege::Options) {
    tracing::info!("privileges given up: {account}");
    if account.user == "root" && options.user.is_none() {
        tracing::info!("still user root, without its capabilities; --user NAME gives that up, too");
    }
    for limitation in &account.limitations {
        tracing::warn!("{limitation}");
    }
}

/// Leaves this command nothing but `files`: what is in them comes from strangers.
///
/// # Errors
/// When privileges cannot be given up at all.
pub(super) fn confine(files: &Files) -> Result<()> {
    let account = privilege::give_up_for_files(files)?;
    for limitation in &account.limitations {
        tracing::debug!("{limitation}");
    }
    Ok(())
}

/// The output directory, made if it is missing: what is confined cannot make it where it writes nothing else.
///
/// # Errors
/// When it cannot be made.
pub(super) fn made(directory: &Path) -> Result<&Path> {
    let builder = &mut DirBuilder::new();
    let made = builder.recursive(true).mode(DIRECTORY_MODE).create(directory);
    made.map(|()| directory).map_err(|e| {
        Error::operation("create output directory", directory.display().to_string(), e)
    })
}

/// The descriptors of the starter that `arguments` name; all others are nobody's business here.
pub(super) fn named_descriptors(arguments: impl Iterator<Item = OsString>) -> Vec<RawFd> {
    let number = |argument: OsString| {
        let bytes = argument.as_bytes();
        let at = |prefix: &[u8]| {
            let found = bytes.windows(prefix.len()).position(|part| part == prefix)?;
            let digits = &bytes[found + prefix.len()..];
            let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
            str::from_utf8(&digits[..end]).ok()?.parse().ok()
        };
        BY_NUMBER.iter().find_map(|prefix| at(prefix))
    };
    arguments.filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_found_by_name() {
        let arguments =
            ["run", "-c", "/dev/fd/63", "--events=/proc/self/fd/7", "/dev/fd/", "/dev/fd/9x", "8"];
        let arguments = arguments.into_iter().map(OsString::from);
        assert_eq!(named_descriptors(arguments), [63, 7, 9]);
    }
}
