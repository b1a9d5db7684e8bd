//! A server that is called for each incident, as the operator names it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::finding::Severity;

/// One server.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What it is called in logs, status and metrics; without, scheme, host and port are shown.
    pub name: Option<String>,
    /// Where it is called.
    pub address: Address,
    /// When it is called.
    pub on: Vec<CallTime>,
    /// How bad the incident must be at least.
    pub severity: Severity,
    /// Longest time for a call.
    pub timeout: Duration,
    /// How often a call is tried.
    pub tries: u32,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// File whose content, without blanks around it, is sent as `Authorization: Bearer`.
    pub token_file: Option<PathBuf>,
    /// File with certificates that are trusted instead of those of the system, PEM.
    pub ca_file: Option<PathBuf>,
}

impl Options {
    /// Time for a call, unless the operator says otherwise.
    pub const USUAL_TIMEOUT: Duration = Duration::from_secs(10);
    /// Tries, unless the operator says otherwise: the last comes after half a minute.
    pub const USUAL_TRIES: u32 = 6;

    /// What calls `url` for every moment.
    pub fn new(url: &str) -> Self {
        Self {
            name: None,
            address: Address::Url(url.to_owned()),
            on: CallTime::ALL.to_vec(),
            severity: Severity::Info,
            timeout: Self::USUAL_TIMEOUT,
            tries: Self::USUAL_TRIES,
            headers: Vec::new(),
            token_file: None,
            ca_file: None,
        }
    }

    /// Its name, else no more of the address than anybody may know.
    pub(super) fn shown(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.address.shown())
    }
}

/// Where an address ends and what may be secret begins.
const AUTHORITY_ENDS: [char; 4] = ['/', '?', '#', '\\'];

/// The address of a server, as the operator gives it. Slack, Teams, Discord and others put their secret into the
/// path, so nothing behind the host ever gets into a log, the status, metrics or a manifest.
#[derive(Clone, PartialEq)]
pub enum Address {
    /// `http://` or `https://`.
    Url(String),
    /// A file that holds it and nothing else.
    File(PathBuf),
}

impl Address {
    /// Scheme, host and port; the file where the address is in one.
    pub fn shown(&self) -> String {
        match self {
            Self::Url(url) => origin(url),
            Self::File(file) => file.display().to_string(),
        }
    }

    /// The file that has to be readable.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Url(_) => None,
            Self::File(file) => Some(file),
        }
    }
}

/// A derived one would show the path.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// `scheme://host[:port]` of what may not even be an address.
pub(super) fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let authority = rest.split(AUTHORITY_ENDS).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

/// When a webhook is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallTime {
    /// Frames are pinned in memory.
    Frozen,
    /// The bundle is whole and on the disk.
    Written,
    /// The bundle could not be written.
    Lost,
}

impl CallTime {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Frozen, Self::Written, Self::Lost];

    fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Written => "written",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for CallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for CallTime {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|moment| moment.name() == typed).ok_or_else(|| {
            let accepted = Self::ALL.map(Self::name).join(", ");
            format!("{typed:?} is nothing an incident comes to; accepted: {accepted}")
        })
    }
}
