//! What Wireshark gets of dashcap on a desk: a wrapper among its extcaps, a plugin, a profile, and the list of hosts.
//!
//! Where it looks differs between versions, so it is asked. Where there is no tshark to ask, the wrapper lies at both
//! places: a version looks at one of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::pieces::{Owner, PROGRAM_MODE, Piece, TEXT_MODE};
use crate::cli::extcap::hosts;
use crate::error::{Error, Result};

/// What can be done now.
pub(super) const NEXT: &str =
    "see: tshark -D; in Wireshark the profile dashcap; hosts behind ssh stand in the file hosts";
/// Counts folded frames.
const PLUGIN: &str = include_str!("../../../packaging/wireshark/dashcap.lua");
/// Hosts to begin with: none.
const HOSTS: &str = include_str!("../../../packaging/wireshark/hosts");
/// Files of the profile.
const PROFILE: [(&str, &str); 4] = [
    ("preferences", include_str!("../../../packaging/wireshark/profile/preferences")),
    ("colorfilters", include_str!("../../../packaging/wireshark/profile/colorfilters")),
    ("dfilter_buttons", include_str!("../../../packaging/wireshark/profile/dfilter_buttons")),
    ("io_graphs", include_str!("../../../packaging/wireshark/profile/io_graphs")),
];

/// Where a user's Wireshark looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folders {
    configuration: PathBuf,
    plugins: PathBuf,
    /// More than one where it is not known which.
    extcaps: Vec<PathBuf>,
}

impl Folders {
    /// As this user's tshark tells them.
    pub(super) fn of_user() -> Self {
        let asked =
            Command::new("tshark").args(["-G", "folders"]).stdin(Stdio::null()).output().ok();
        let told = asked.map(|asked| String::from_utf8_lossy(&asked.stdout).into_owned());
        Self::told(&told.unwrap_or_default(), &hosts::configuration(), &hosts::home())
    }

    /// Of `Name:<tabulator>path` a line; what is not told is where it was before versions told it.
    fn told(told: &str, configuration: &Path, home: &Path) -> Self {
        let folder = |name: &str| {
            let mut lines = told.lines().filter_map(|line| line.split_once(':'));
            let (_, path) = lines.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            Some(PathBuf::from(path.trim())).filter(|path| path.is_absolute())
        };
        let own = folder("Personal configuration");
        let libraries = home.join(".local/lib/wireshark");
        let is_old = own.is_some();
        let configuration = own.unwrap_or_else(|| configuration.join("wireshark"));
        let extcaps = match folder("Personal Extcap path") {
            Some(told) => vec![told],
            // Up to version 4.0.
            None if is_old => vec![configuration.join("extcap")],
            None => vec![configuration.join("extcap"), libraries.join("extcap")],
        };
        let plugins = folder("Personal Lua Plugins").unwrap_or_else(|| libraries.join("plugins"));
        Self { configuration, plugins, extcaps }
    }
}

/// Every file.
///
/// # Errors
/// When this program does not know where it is.
pub(super) fn pieces(folders: &Folders) -> Result<Vec<Piece>> {
    let program = std::env::current_exe();
    let program = program.map_err(|e| Error::operation("find", "this program", e))?;
    let program = hosts::quoted(&program.to_string_lossy());
    let wrapper = format!("#!/bin/sh\nexec {program} extcap \"$@\"\n");
    let piece = |path: PathBuf, content: &str, mode, owner| Piece {
        path,
        content: content.as_bytes().to_vec(),
        mode,
        owner,
    };
    let wrappers = folders.extcaps.iter().map(|extcaps| extcaps.join("dashcap"));
    let mut pieces: Vec<_> =
        wrappers.map(|path| piece(path, &wrapper, PROGRAM_MODE, Owner::Program)).collect();
    pieces.push(piece(folders.plugins.join("dashcap.lua"), PLUGIN, TEXT_MODE, Owner::Program));
    let profile = folders.configuration.join("profiles/dashcap");
    // Wireshark writes there what its user changes.
    for (name, content) in PROFILE {
        pieces.push(piece(profile.join(name), content, TEXT_MODE, Owner::Operator));
    }
    pieces.push(piece(hosts::file(), HOSTS, TEXT_MODE, Owner::Operator));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Folders {
        Folders::told(text, Path::new("/home/u/.config"), Path::new("/home/u"))
    }

    #[test]
    fn folders_are_those_of_the_version_that_is_there() {
        let of_4_0 = "Temp:                \t/tmp\n\
                      Personal configuration:\t/home/u/.config/wireshark\n\
                      Personal Lua Plugins:\t/home/u/.local/lib/wireshark/plugins\n\
                      Extcap path:         \t/usr/lib/x86_64-linux-gnu/wireshark/extcap\n";
        let of_4_4 = "Personal configuration:\t/home/u/.config/wireshark\n\
                      Personal Lua Plugins:\t/home/u/.local/lib/wireshark/plugins\n\
                      Personal Extcap path:\t/home/u/.local/lib/wireshark/extcap\n\
                      Global Extcap path:\t/usr/lib/x86_64-linux-gnu/wireshark/extcap\n";
        let (old, new) =
            ("/home/u/.config/wireshark/extcap", "/home/u/.local/lib/wireshark/extcap");
        for (text, extcaps) in [(of_4_0, &[old][..]), (of_4_4, &[new]), ("", &[old, new])] {
            let found = told(text);
            assert_eq!(found.extcaps, extcaps.iter().map(PathBuf::from).collect::<Vec<_>>());
            assert_eq!(found.configuration, Path::new("/home/u/.config/wireshark"));
            assert_eq!(found.plugins, Path::new("/home/u/.local/lib/wireshark/plugins"));
        }
    }

    #[test]
    fn the_wrapper_runs_this_program_and_what_a_user_changes_is_his() {
        let pieces = pieces(&told("")).unwrap();
        let wrapper = String::from_utf8(pieces[0].content.clone()).unwrap();
        assert!(
            wrapper.starts_with("#!/bin/sh\nexec '/") && wrapper.ends_with("extcap \"$@\"\n"),
            "{wrapper}"
        );
        assert_eq!(pieces[0].mode, PROGRAM_MODE);
        let profile = pieces
            .iter()
            .filter(|piece| piece.path.to_string_lossy().contains("profiles/dashcap/"));
        assert!(profile.clone().count() == PROFILE.len());
        assert!(profile.into_iter().all(|piece| piece.owner == Owner::Operator));
    }
}
