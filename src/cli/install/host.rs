//! What an installation asks of the running system: its user, its service. Where that cannot be done, the
//! operator is told the commands.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::pieces::SYSUSERS_PATH;
use crate::error::{Error, Result};

/// The user and group it runs as (packaging/dashcap.sysusers).
pub(super) const USER: &str = "dashcap";
/// The service.
pub(super) const SERVICE: &str = "dashcap.service";
/// Exists if systemd is the service manager (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// True if services can be started here.
pub(super) fn has_systemd() -> bool {
    Path::new(BOOTED).is_dir()
}

/// True if the user is there. Only this machine's own list is asked: it is a user of this machine.
pub(super) fn has_user() -> bool {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    passwd.lines().any(|line| line.split(':').next() == Some(USER))
}

/// Runs a program, and says so. What it prints is shown.
///
/// # Errors
/// When there is no such program, or it fails.
pub(super) fn run(out: &mut dyn Write, words: &[&str]) -> Result<()> {
    let line = words.join(" ");
    let failed = |reason: String| Error::operation("run", line.clone(), reason);
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .map_err(|e: io::Error| failed(e.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    say(out, &format!("ran {line}"))
}

/// Makes the user, by the first program of these that is there.
///
/// # Errors
/// When none can.
pub(super) fn make_user(out: &mut dyn Write) -> Result<()> {
    let by_systemd = run(out, &["systemd-sysusers", SYSUSERS_PATH]);
    if by_systemd.is_ok() && has_user() {
        return Ok(());
    }
    let home = "/";
    let shell = "/usr/sbin/nologin";
    let words = [
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir",
        home,
        "--shell",
        shell,
        USER,
    ];
    run(out, &words)
}

/// Gives what is root's group's to dashcap's: it reads its configuration, and nobody else does.
///
/// # Errors
/// When that is refused.
pub(super) fn give_to_group(out: &mut dyn Write, paths: &[&str]) -> Result<()> {
    let is_roots = |path: &str| fs::metadata(path).is_ok_and(|there| there.gid() == 0);
    let mut given = paths.iter().filter(|path| is_roots(path));
    given.try_for_each(|path| run(out, &["chgrp", USER, path]))
}

/// A line for the operator.
///
/// # Errors
/// When nobody can read it.
pub(super) fn say(out: &mut dyn Write, line: &str) -> Result<()> {
    let failed = |e| Error::operation("write to", "standard output", e);
    writeln!(out, "{line}").map_err(failed)
}
