//! `dashcap install` and `dashcap uninstall`: the service on a machine that has no package of it.
//!
//! It does what a package does: the program, its unit, its user, a configuration to begin with. What it made
//! is written down, so that it can be taken back; what the operator made of it stays his:
//!
//! ```text
//!   file             not there    as we wrote it    changed since, or not ours
//!   the program's    written      written           written
//!   the operator's   written      written           kept, and told
//! ```

mod host;
mod pieces;
mod record;
mod wireshark;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::host::{SERVICE, USER, give_to_group, has_systemd, has_user, make_user, run, say};
use self::pieces::{
    CONFIGURATION_DIRECTORY, CONFIGURATION_PATH, Owner, Piece, STATE_DIRECTORY, UNIT_PATH,
};
use self::record::{InstallRecord, digest, digest_of};
use self::wireshark::Folders;
use super::extcap::hosts;
use crate::error::{Error, Result};

/// Where the package's unit is; older systems say /lib.
const OF_PACKAGE: [&str; 2] =
    ["/usr/lib/systemd/system/dashcap.service", "/lib/systemd/system/dashcap.service"];
/// Below the prefix: what was made.
const RECORD: &str = "lib/dashcap/installed";
/// Appended while a file is being written.
const PART: &str = ".dashcap-new";
/// Everybody may look at what is installed.
const DIRECTORY_MODE: u32 = 0o755;
/// Of the configuration's directory, as in the unit: its group is dashcap's.
const SECRET_DIRECTORY_MODE: u32 = 0o750;

/// Install dashcap as a service, on a machine that has no package of it.
///
/// Writes the program, its unit, its user, manual pages, completions and a configuration, tells each, and
/// starts the service where systemd runs. A configuration or unit that was changed is kept. Again, it
/// upgrades; `dashcap uninstall` takes it back.
#[derive(Debug, Args)]
pub(super) struct Install {
    #[command(flatten)]
    place: Place,

    /// Write the files only; start nothing.
    #[arg(long)]
    no_start: bool,

    /// Instead: put dashcap where this user's Wireshark and tshark look, as an interface, with a profile and a
    /// plugin that counts folded frames. Needs no root.
    #[arg(long, conflicts_with_all = ["prefix", "root", "no_start"])]
    wireshark: bool,
}

/// Stop the service and remove what `dashcap install` made; keep configuration and incidents.
#[derive(Debug, Args)]
pub(super) struct Uninstall {
    #[command(flatten)]
    place: Place,

    /// Remove /etc/dashcap, /var/lib/dashcap with all incidents, and the user, too.
    #[arg(long)]
    purge: bool,

    /// Instead: take back what `dashcap install --wireshark` made, and keep what was changed since.
    #[arg(long, conflicts_with_all = ["prefix", "root", "purge"])]
    wireshark: bool,
}

/// Where an installation is.
#[derive(Debug, Args)]
struct Place {
    /// Directory below which the program, its manual pages and completions go.
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,

    /// Directory that is the root of another system, such as an image: files only, nothing is run
    /// [default: this system].
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl Install {
    pub(super) fn start(self) -> Result<ExitCode> {
        let out = &mut io::stdout().lock();
        if self.wireshark {
            let pieces = wireshark::pieces(&Folders::of_user())?;
            Place::of_user().put_all(&pieces, out)?;
            say(out, wireshark::NEXT)?;
            return Ok(ExitCode::SUCCESS);
        }
        self.into(out)
    }

    fn into(self, out: &mut dyn Write) -> Result<ExitCode> {
        let place = &self.place;
        place.check()?;
        let packaged = OF_PACKAGE.iter().map(|path| place.real(Path::new(path)));
        if let Some(unit) = packaged.into_iter().find(|unit| unit.exists()) {
            let there = format!("the package's unit {} is there", unit.display());
            return Err(Error::operation("install", "dashcap", there)
                .hint("upgrade the package instead: apt install ./dashcap_*.deb"));
        }
        let read = |e| Error::operation("read", "what is to be installed", e);
        let pieces = pieces::all(&place.prefix).map_err(read)?;
        let mut record = place.put_all(&pieces, out)?;
        if place.root.is_none() && !has_user() {
            make_user(out)?;
            record.user = Some(USER.to_owned());
            place.write_record(&mut record)?;
        }
        if place.root.is_none() {
            give_to_group(out, &[CONFIGURATION_DIRECTORY, CONFIGURATION_PATH])?;
        }
        self.begin(out)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Starts the service, or says how.
    fn begin(&self, out: &mut dyn Write) -> Result<()> {
        if self.place.root.is_some() {
            return say(
                out,
                &format!("in that system: systemd-sysusers, systemctl enable {SERVICE}"),
            );
        }
        if self.no_start || !has_systemd() {
            let why = if self.no_start { "" } else { "systemd does not run here; " };
            return say(out, &format!("{why}to start it: systemctl enable --now {SERVICE}"));
        }
        run(out, &["systemctl", "daemon-reload"])?;
        run(out, &["systemctl", "enable", SERVICE])?;
        // Starts it, or puts the new program in the place of the old one.
        run(out, &["systemctl", "restart", SERVICE])?;
        say(out, "see: dashcap status, systemctl status dashcap, journalctl -u dashcap")
    }
}

impl Uninstall {
    pub(super) fn start(mut self) -> Result<ExitCode> {
        let out = &mut io::stdout().lock();
        if self.wireshark {
            self.place = Place::of_user();
            let record = self.recorded()?;
            self.take_back(&record, out)?;
            return Ok(ExitCode::SUCCESS);
        }
        self.from(out)
    }

    fn from(self, out: &mut dyn Write) -> Result<ExitCode> {
        let place = &self.place;
        place.check()?;
        let record = self.recorded()?;
        let live = place.root.is_none();
        if live && has_systemd() && Path::new(UNIT_PATH).exists() {
            run(out, &["systemctl", "disable", "--now", SERVICE])?;
        }
        self.take_back(&record, out)?;
        if live && has_systemd() {
            run(out, &["systemctl", "daemon-reload"])?;
        }
        if let Some(user) = record.user.filter(|_| live) {
            if self.purge {
                run(out, &["userdel", &user])?;
            } else {
                say(out, &format!("kept user {user}, whose incidents are in {STATE_DIRECTORY}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What was installed.
    fn recorded(&self) -> Result<InstallRecord> {
        let record = self.place.record()?;
        if record == InstallRecord::default() {
            let nothing = format!("there is no {}", self.place.record_file().display());
            return Err(Error::operation("uninstall", "dashcap", nothing)
                .hint("--prefix as it was installed; a package is removed with apt"));
        }
        Ok(record)
    }

    /// Removes files and directories that were made.
    fn take_back(&self, record: &InstallRecord, out: &mut dyn Write) -> Result<()> {
        let place = &self.place;
        for (path, digest) in &record.files {
            if path.starts_with(CONFIGURATION_DIRECTORY) && !self.purge {
                say(out, &format!("kept {}", place.real(path).display()))?;
            } else {
                place.take_back(path, digest, self.purge, out)?;
            }
        }
        remove(&place.record_file(), out)?;
        if self.purge {
            for directory in [CONFIGURATION_DIRECTORY, STATE_DIRECTORY] {
                remove_all(&place.real(Path::new(directory)), out)?;
            }
        }
        // The deepest first: what is empty then goes.
        let mut directories = record.directories.iter().rev();
        directories.try_for_each(|directory| remove_if_empty(&place.real(directory), out))
    }
}

impl Place {
    /// What a user has for himself: beside `~/.local/bin` (XDG Base Directory Specification).
    fn of_user() -> Self {
        Self { prefix: hosts::home().join(".local"), root: None }
    }

    /// Puts all pieces in their places, and tells what is installed now.
    fn put_all(&self, pieces: &[Piece], out: &mut dyn Write) -> Result<InstallRecord> {
        let mut record = self.record()?;
        let written = pieces.iter().try_for_each(|piece| self.put(piece, &mut record, out));
        // What was made is written down also if not all of it was.
        let recorded = self.write_record(&mut record);
        written.and(recorded).map(|()| record)
    }

    /// Refuses a prefix that means something else tomorrow, or in the unit (systemd.unit(5), specifiers and
    /// quoting).
    fn check(&self) -> Result<()> {
        let given = self.prefix.display().to_string();
        if !self.prefix.is_absolute() {
            let accepted = "a path from / on";
            return Err(Error::usage(
                "--prefix",
                given,
                "the prefix is an absolute path",
                accepted,
            ));
        }
        let is_harmless = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
        if given.chars().all(is_harmless) {
            return Ok(());
        }
        let accepted = "a path of letters, digits and . _ + -";
        Err(Error::usage(
            "--prefix",
            given,
            "a prefix has only characters that mean themselves in a unit",
            accepted,
        ))
    }

    /// Where a path of the installed system is seen from here.
    fn real(&self, path: &Path) -> PathBuf {
        match &self.root {
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    fn record_file(&self) -> PathBuf {
        self.real(&self.prefix.join(RECORD))
    }

    /// What was installed before; nothing if nothing was.
    fn record(&self) -> Result<InstallRecord> {
        let file = self.record_file();
        match fs::read(&file) {
            Ok(text) => Ok(InstallRecord::parse(&String::from_utf8_lossy(&text))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(InstallRecord::default()),
            Err(e) => Err(refused("read", &file, &e)),
        }
    }

    fn write_record(&self, record: &mut InstallRecord) -> Result<()> {
        let file = self.record_file();
        let installed = self.prefix.join(RECORD);
        self.make_parents(&installed, record)?;
        write(&file, record.text().as_bytes(), 0o644).map_err(|e| refused("write", &file, &e))
    }

    /// Puts a file in its place, unless it became the operator's.
    fn put(&self, piece: &Piece, record: &mut InstallRecord, out: &mut dyn Write) -> Result<()> {
        let real = self.real(&piece.path);
        let failed = |e: io::Error| refused("write", &real, &e);
        let shown = real.display();
        let new = digest(&piece.content[..]).map_err(failed)?;
        let there = digest_of(&real).map_err(failed)?;
        let ours = record.files.get(&piece.path);
        if there.as_ref() == Some(&new) {
            record.files.insert(piece.path.clone(), new);
            return say(out, &format!("kept {shown}, it is the same"));
        }
        if there.is_some() && piece.owner == Owner::Operator && ours != there.as_ref() {
            return say(out, &format!("kept {shown}, which was changed"));
        }
        self.make_parents(&piece.path, record)?;
        write(&real, &piece.content, piece.mode).map_err(failed)?;
        record.files.insert(piece.path.clone(), new);
        say(out, &format!("wrote {shown}"))
    }

    /// Makes the directories a file needs, and remembers which.
    fn make_parents(&self, path: &Path, record: &mut InstallRecord) -> Result<()> {
        let parents: Vec<_> = path.ancestors().skip(1).collect();
        for parent in parents.into_iter().rev() {
            let real = self.real(parent);
            let is_secret = parent == Path::new(CONFIGURATION_DIRECTORY);
            let mode = if is_secret { SECRET_DIRECTORY_MODE } else { DIRECTORY_MODE };
            match DirBuilder::new().mode(mode).create(&real) {
                Ok(()) => {
                    record.directories.insert(parent.to_owned());
                }
                Err(_) if real.is_dir() => {}
                Err(e) => return Err(refused("make", &real, &e)),
            }
        }
        Ok(())
    }

    /// Removes a file as it was written; one that was changed only if `all` is to go.
    fn take_back(&self, path: &Path, digest: &str, all: bool, out: &mut dyn Write) -> Result<()> {
        let real = self.real(path);
        match digest_of(&real).map_err(|e| refused("read", &real, &e))? {
            None => Ok(()),
            Some(found) if found != digest && !all => {
                say(out, &format!("kept {}, which was changed", real.display()))
            }
            Some(_) => remove(&real, out),
        }
    }
}

/// Writes a file aside and renames it: a program that runs keeps its old one, and nobody meets half of it.
fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(PART);
    let aside = PathBuf::from(aside);
    // What was left behind, or put there: replaced, and no link is followed.
    match fs::remove_file(&aside) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
    // Whatever the umask is.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&aside, path)
}

fn remove(path: &Path, out: &mut dyn Write) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => say(out, &format!("removed {}", path.display())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(refused("remove", path, &e)),
    }
}

fn remove_all(directory: &Path, out: &mut dyn Write) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Ok(()) => say(out, &format!("removed {} and all in it", directory.display())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(refused("remove", directory, &e)),
    }
}

fn remove_if_empty(directory: &Path, out: &mut dyn Write) -> Result<()> {
    match fs::remove_dir(directory) {
        Ok(()) => say(out, &format!("removed {}", directory.display())),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => Ok(()),
        Err(e) => Err(refused("remove", directory, &e)),
    }
}

fn refused(doing: &'static str, path: &Path, reason: &io::Error) -> Error {
    let error = Error::operation(doing, path.display().to_string(), reason);
    match reason.kind() {
        ErrorKind::PermissionDenied => error.hint("run it as root, or with --root DIR"),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
