//! `~/.config/dashcap/hosts`: whose memory can be looked into through ssh, and how they are asked.
//!
//! ```text
//!   # host, as after `ssh`      how dashcap is called there
//!   router1
//!   admin@leaf2.example.net     sudo dashcap
//! ```

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::api::protocol::FramesWanted;
use crate::api::status::RecorderStatus;
use crate::capture::filter::Filter;
use crate::cli::values::TimeSpan;
use crate::error::{Error, Result};

/// Begins what is no host.
const COMMENT: char = '#';
/// How dashcap is called where the file does not say.
const USUAL: &str = "dashcap";
/// Seconds until a host that is asked for its interfaces is given up: somebody waits before a dialog.
const PATIENCE: &str = "ConnectTimeout=5";

/// A host to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteHost {
    /// As ssh takes it.
    pub(super) name: String,
    /// How dashcap is called there: words for its shell.
    pub(super) command: String,
}

/// What a capture wants to have.
#[derive(Debug, Clone)]
pub(super) struct FramesOptions {
    pub(super) last: Option<TimeSpan>,
    pub(super) follow: bool,
    pub(super) interfaces: Vec<String>,
    pub(super) filter: Option<Filter>,
    pub(super) no_fade: bool,
    pub(super) no_fold: bool,
}

/// Where the file is.
pub(in crate::cli) fn file() -> PathBuf {
    configuration().join("dashcap/hosts")
}

/// Where this user's configuration is (XDG Base Directory Specification).
pub(in crate::cli) fn configuration() -> PathBuf {
    let named = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    named.filter(|path| path.is_absolute()).unwrap_or_else(|| home().join(".config"))
}

/// Where this user is at home.
pub(in crate::cli) fn home() -> PathBuf {
    std::env::home_dir().unwrap_or_else(|| "/".into())
}

/// The hosts of the file; none without one. What is no line of it is told on standard error, and passed over: one
/// mistake does not hide the others.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn read() -> Result<Vec<RemoteHost>> {
    let file = file();
    let text = match fs::read_to_string(&file) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|e| Error::operation("read", file.display().to_string(), e))?,
    };
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line));
    Ok(lines
        .filter_map(|(number, line)| {
            parse(line).unwrap_or_else(|reason| {
                eprintln!("dashcap: {}, line {number}: {reason}", file.display());
                None
            })
        })
        .collect())
}

/// How dashcap is called on a host, whether it stands in the file or not.
///
/// # Errors
/// When the file cannot be read.
pub(in crate::cli) fn command_at(host: &str) -> Result<String> {
    let known = read()?.into_iter().find(|known| known.name == host);
    Ok(known.map_or_else(|| USUAL.to_owned(), |known| known.command))
}

/// The host of a line; none in an empty one.
fn parse(line: &str) -> std::result::Result<Option<RemoteHost>, String> {
    let line = line.split(COMMENT).next().unwrap_or_default().trim();
    let (name, command) = line.split_once(char::is_whitespace).unwrap_or((line, USUAL));
    // What ssh would take for an option, or Wireshark for the end of a sentence.
    let is_name = |c: char| c.is_alphanumeric() || "._@:%+[]-".contains(c);
    match name {
        "" => Ok(None),
        _ if name.starts_with('-') || !name.chars().all(is_name) => Err(format!(
            "{name:?} is no host; accepted: as after ssh, such as router1 or admin@192.0.2.1"
        )),
        _ => Ok(Some(RemoteHost { name: name.to_owned(), command: command.trim().to_owned() })),
    }
}

impl RemoteHost {
    /// Becomes ssh, which writes frames into `pipe`; returns only if it cannot.
    pub(super) fn frames(&self, wanted: &FramesOptions, pipe: File) -> Error {
        let words = format!("{} frames {}", self.command, wanted.words().join(" "));
        let failed = Command::new("ssh")
            .args(["-T", "--", &self.name, &words])
            .stdin(Stdio::null())
            .stdout(pipe)
            .exec();
        Error::operation("run", "ssh", failed)
    }

    /// Names of the interfaces that are recorded there.
    ///
    /// # Errors
    /// When ssh or dashcap there fails; ssh's own words are on standard error.
    pub(super) fn recorded(&self) -> Result<Vec<String>> {
        let failed = |reason: String| Error::operation("ask", self.name.clone(), reason);
        let words = format!("{} status --json", self.command);
        let told = Command::new("ssh")
            .args(["-T", "-o", "BatchMode=yes", "-o", PATIENCE, "--", &self.name, &words])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|e| failed(e.to_string()))?;
        if !told.status.success() {
            return Err(failed(format!("ssh ended with {}", told.status)));
        }
        let status: RecorderStatus =
            serde_json::from_slice(&told.stdout).map_err(|e| failed(e.to_string()))?;
        Ok(status.interfaces.into_iter().map(|interface| interface.name).collect())
    }
}

impl FramesOptions {
    /// As options of `dashcap frames`, for a shell.
    fn words(&self) -> Vec<String> {
        // The shell there knows its own session, also where sudo forgets it.
        let mut words = vec!["--session=\"$SSH_CONNECTION\"".to_owned()];
        words.extend(self.last.map(|last| format!("--last={}", quoted(&last.to_string()))));
        words.extend(self.interfaces.iter().map(|name| format!("--interface={}", quoted(name))));
        words.extend(
            self.filter.iter().map(|filter| format!("--filter={}", quoted(&filter.to_string()))),
        );
        for (is_wanted, word) in
            [(self.follow, "--follow"), (self.no_fade, "--no-fade"), (self.no_fold, "--no-fold")]
        {
            words.extend(is_wanted.then(|| word.to_owned()));
        }
        words.push("--write=-".to_owned());
        words
    }
}

/// For the control socket of this machine.
impl From<FramesOptions> for FramesWanted {
    fn from(wanted: FramesOptions) -> Self {
        Self {
            last: wanted.last.map(|last| last.0),
            follow: wanted.follow,
            interfaces: wanted.interfaces,
            filter: wanted.filter.map(|filter| filter.to_string()),
            without_faded: wanted.no_fade,
            without_folded: wanted.no_fold,
            ..Self::default()
        }
    }
}

/// One word for a shell, whatever is in it (POSIX, Shell Command Language, 2.2.2).
pub(in crate::cli) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_host_and_how_dashcap_is_called_there() {
        let host = |name: &str, command: &str| {
            Ok(Some(RemoteHost { name: name.into(), command: command.into() }))
        };
        assert_eq!(parse("router1"), host("router1", "dashcap"));
        assert_eq!(
            parse("  admin@[2001:db8::1]\t sudo dashcap # the one"),
            host("admin@[2001:db8::1]", "sudo dashcap")
        );
        assert_eq!(parse("# router1"), Ok(None));
        assert_eq!(parse(""), Ok(None));
        for bad in ["-oProxyCommand=reboot", "r1}{default=true", "$(reboot)", "a;b"] {
            assert!(parse(bad).unwrap_err().contains("accepted"), "{bad}");
        }
    }

    #[test]
    fn what_is_asked_of_a_host_survives_its_shell() {
        let wanted = FramesOptions {
            last: Some("90s".parse().unwrap()),
            follow: true,
            interfaces: vec!["eth0".into(), "it's $HOME".into()],
            filter: Some(Filter::parse("arp or port 53").unwrap()),
            no_fade: false,
            no_fold: true,
        };
        let line = wanted.words().join(" ");
        let script = format!("for word in {line}; do printf '%s\\n' \"$word\"; done");
        let told = Command::new("sh")
            .args(["-c", &script])
            .env("SSH_CONNECTION", "a 1 b 2")
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(told.stdout).unwrap().lines().collect::<Vec<_>>(),
            [
                "--session=a 1 b 2",
                "--last=1m 30s",
                "--interface=eth0",
                "--interface=it's $HOME",
                "--filter=arp or port 53",
                "--follow",
                "--no-fold",
                "--write=-"
            ]
        );
    }
}
