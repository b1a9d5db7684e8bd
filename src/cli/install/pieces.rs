//! What an installation consists of: each file, where it goes, and whose it is afterwards.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap_complete::Shell;

use super::super::manual;

/// The unit, shared with the package.
pub(super) const UNIT: &str = include_str!("../../../packaging/dashcap.service");
/// What systemd opens for it, likewise.
const SOCKET: &str = include_str!("../../../packaging/dashcap.socket");
/// Its user, likewise.
pub(super) const SYSUSERS: &str = include_str!("../../../packaging/dashcap.sysusers");
/// Who may read its configuration, likewise.
const TMPFILES: &str = include_str!("../../../packaging/dashcap.tmpfiles");
/// Its configuration, likewise.
const CONFIGURATION: &str = include_str!("../../../packaging/dashcap.toml");

/// Where the unit looks for the program if nobody says otherwise: where the package puts it.
const PACKAGED: &str = "/usr/bin/dashcap";
/// The unit's place for what an administrator installs (systemd.unit(5), "Unit File Load Path").
pub(super) const UNIT_PATH: &str = "/etc/systemd/system/dashcap.service";
/// Beside it.
const SOCKET_PATH: &str = "/etc/systemd/system/dashcap.socket";
/// sysusers.d(5).
pub(super) const SYSUSERS_PATH: &str = "/etc/sysusers.d/dashcap.conf";
/// tmpfiles.d(5).
const TMPFILES_PATH: &str = "/etc/tmpfiles.d/dashcap.conf";
/// Where configuration lives.
pub(super) const CONFIGURATION_DIRECTORY: &str = "/etc/dashcap";
/// The configuration itself.
pub(super) const CONFIGURATION_PATH: &str = "/etc/dashcap/dashcap.toml";
/// Where incidents appear.
pub(super) const STATE_DIRECTORY: &str = "/var/lib/dashcap";

pub(super) const PROGRAM_MODE: u32 = 0o755;
pub(super) const TEXT_MODE: u32 = 0o644;
/// Of the configuration, which may hold secrets: its group is dashcap's.
const SECRET_MODE: u32 = 0o640;

/// One file of an installation.
#[derive(Debug)]
pub(super) struct Piece {
    /// Where it goes, in the installed system.
    pub(super) path: PathBuf,
    pub(super) content: Vec<u8>,
    pub(super) mode: u32,
    pub(super) owner: Owner,
}

/// Who may change a file once it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// dashcap: the next installation writes it anew.
    Program,
    /// The operator: what was changed is kept.
    Operator,
}

/// Every file, with the program's own below `prefix`.
///
/// # Errors
/// When this program's own file cannot be read.
pub(super) fn all(prefix: &Path) -> io::Result<Vec<Piece>> {
    let program = prefix.join("bin/dashcap");
    let text =
        |path: PathBuf, content: Vec<u8>, owner| Piece { path, content, mode: TEXT_MODE, owner };
    let share = prefix.join("share");
    let mut pieces = vec![Piece {
        path: program.clone(),
        content: fs::read(std::env::current_exe()?)?,
        mode: PROGRAM_MODE,
        owner: Owner::Program,
    }];
    for (name, page) in manual::pages()? {
        pieces.push(text(share.join("man/man1").join(name), page, Owner::Program));
    }
    for (shell, place) in [
        (Shell::Bash, "bash-completion/completions/dashcap"),
        (Shell::Zsh, "zsh/site-functions/_dashcap"),
        (Shell::Fish, "fish/vendor_completions.d/dashcap.fish"),
    ] {
        pieces.push(text(share.join(place), manual::completions(shell), Owner::Program));
    }
    let unit = UNIT.replace(PACKAGED, &program.to_string_lossy());
    for (path, content, mode) in [
        (UNIT_PATH, unit, TEXT_MODE),
        (SOCKET_PATH, SOCKET.to_owned(), TEXT_MODE),
        (SYSUSERS_PATH, SYSUSERS.to_owned(), TEXT_MODE),
        (TMPFILES_PATH, TMPFILES.to_owned(), TEXT_MODE),
        (CONFIGURATION_PATH, CONFIGURATION.to_owned(), SECRET_MODE),
    ] {
        pieces.push(Piece { mode, ..text(path.into(), content.into_bytes(), Owner::Operator) });
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_starts_the_program_that_was_installed() {
        let pieces = all(Path::new("/opt/dashcap")).unwrap();
        let unit = pieces.iter().find(|piece| piece.path == Path::new(UNIT_PATH)).unwrap();
        let unit = String::from_utf8(unit.content.clone()).unwrap();
        let start = "ExecStart=/opt/dashcap/bin/dashcap run --config /etc/dashcap/dashcap.toml\n";
        assert!(unit.contains(start), "{unit}");
        assert!(!unit.contains(PACKAGED), "{unit}");
        assert!(pieces.iter().any(|piece| piece.path == Path::new("/opt/dashcap/bin/dashcap")));
    }

    #[test]
    fn the_configuration_that_is_installed_has_a_meaning() {
        crate::cli::check_configuration(CONFIGURATION).unwrap();
        // And so has every line that is an example, once its # is taken away.
        let examples = |line: &str| match line.strip_prefix('#') {
            Some(example) if !example.starts_with(' ') => example.to_owned(),
            _ => line.to_owned(),
        };
        let examples: Vec<_> = CONFIGURATION.lines().map(examples).collect();
        crate::cli::check_configuration(&examples.join("\n")).unwrap();
    }
}
